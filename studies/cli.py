"""The command line. Modules that import torch, Ray or scikit-learn are imported when a command needs them."""

from __future__ import annotations

import io
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from analysis.words import counted
from harness.workers.collector import collect_rarely
from studies import features_cli
from studies.ending import FAILED, one_line_errors
from studies.once import OnceCommand

if TYPE_CHECKING:
    from analysis import Results
    from harness.store.location import Location
    from harness.workers.resources import Resources
    from studies.compare import Comparison
    from studies.study import FeatureStage, Study

app = typer.Typer(
    help="Run active-learning studies on frozen self-supervised features.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(features_cli.app, name="features")


def main() -> None:
    """Run the command that was typed."""
    collect_rarely()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no ± shows a question mark
    app()


_DATA = typer.Option(
    help="Data set: built in (`ntkcpl list data`), a .npz, .parquet or .safetensors file, or a folder of .npy files."
)
OutOption = Annotated[
    str,
    typer.Option(help="Folder of the store, or an address such as s3://bucket/folder; the same command continues it."),
]
StudyOption = Annotated[
    str | None,
    typer.Option(
        help="Study (`ntkcpl list studies`) or YAML file; it sets what the other options do not. Without --data, it"
        " starts from images."
    ),
]
RootOption = Annotated[Path | None, typer.Option(help="Folder with the study's images; only without --data.")]
DownloadOption = Annotated[bool, typer.Option("--download", help="Let torchvision fetch the study's images.")]
CandidatesOption = Annotated[
    str | None, typer.Option(help="Value of `candidates` for all strategies that have it: a number or `all`.")
]
SettingsOption = Annotated[
    list[str] | None, typer.Option("--set", help="Set strategy.parameter=value or learner.setting=value; repeatable.")
]
StudySettingsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Set strategy.parameter=value, learner.setting=value or features.setting=value; repeatable."
    ),
]
LearnerOption = Annotated[
    str | None,
    typer.Option(help="Learner that trains the classifier (`ntkcpl list learners`), or module:Class; default: mlp."),
]
WorkersOption = Annotated[int | None, typer.Option(min=1, help="Trajectories to run at once; default: as many as fit.")]
CpusOption = Annotated[int, typer.Option(min=1, help="CPU threads for each trajectory.")]
GpusOption = Annotated[
    float | None, typer.Option(min=0, help="GPUs for each trajectory, also a fraction; default: 1 if there is one.")
]
NumGpusOption = Annotated[
    int | None, typer.Option(min=0, help="GPUs in the local cluster; default: all that are found.")
]
ShardsOption = Annotated[int, typer.Option(min=1, help="Actors that share the look-ahead of one trajectory.")]
MemoryOption = Annotated[
    str | None, typer.Option(help="Memory that a look-ahead may use, such as 8GiB; default: a share of what is free.")
]
TimeOption = Annotated[
    str | None, typer.Option(help="Give up a trajectory that takes longer than this, such as 90s, 15min or 2h.")
]
AddressOption = Annotated[
    str | None, typer.Option(help="Address of the Ray cluster to run on; default: start a local one.")
]
PoolOption = Annotated[
    str | None,
    typer.Option(
        help="Keep a part of the data as the pool: longtail:RATIO (an imbalance of classes), or subset:N points."
    ),
]
LabelNoiseOption = Annotated[
    str | None,
    typer.Option(help="Probability that a label in the pool is wrong, or a CSV file with a confusion matrix."),
]
OodOption = Annotated[
    str | None,
    typer.Option(
        help="FILE:SHARE adds points of no class to the pool, as that share of it; a label spent on one is lost."
    ),
]
PoolSeedOption = Annotated[
    int,
    typer.Option(
        min=0,
        help="Seed with which the pool, the label noise and the points of no class are drawn, once for all --seeds.",
    ),
]
RegisterOption = Annotated[
    bool | None,
    typer.Option(
        "--register/--no-register",
        help="Before anything runs, record in the store what the study will show; default: as the study says.",
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")]


def _to_write(store: str) -> Location:
    """The place of a store that a command writes to; says on stderr what its lock cannot promise."""
    from harness.store.location import locate
    from harness.store.lock import warning

    location = locate(store)
    if text := warning(location):
        typer.echo(text, err=True)
    return location


@dataclass(frozen=True)
class _Images:
    """Images of a study that are to become features."""

    data: str
    stage: FeatureStage
    root: Path | None
    folder: Path
    download: bool

    def features(self, comparisons: Sequence[Comparison], resources: Resources, *, dry_run: bool) -> str | None:
        """Make the feature file, or find it done; of a dry run that lacks it, say what is missing and return None."""
        from studies.apart import apart
        from studies.study import encoder_path, feature_path

        # What cannot be is refused before a pre-training that may take days.
        self.stage.made_recipe()
        for comparison in comparisons:
            comparison.check()
        stages = (self.data, self.stage, self.root, self.folder)
        path, encoder = feature_path(self.data, self.folder), encoder_path(self.data, self.folder)
        if not dry_run:
            # Its memory, a GPU's too, is free before the workers start.
            path = apart("studies.stages:make_features", *stages, download=self.download)
        elif not ((path.exists() or encoder.exists()) and apart("studies.stages:is_made", *stages)):
            from studies.forecast import forecast

            for line in forecast(comparisons, *stages, resources, download=self.download):
                typer.echo(line, err=True)
            return None
        return str(path)


def _images(
    plan: tuple[str, Study] | None,
    data: str | None,
    root: Path | None,
    download: bool,
    settings: list[str],
    place: Location,
) -> _Images | None:
    """The images of a study, where features are not given."""
    from harness.exceptions import SpecError
    from harness.store.location import local
    from studies.study import feature_changes

    changes = feature_changes(settings)
    if data is not None:
        if root is not None or download or changes:
            raise SpecError(
                "Expected --root, --download and features settings only without --data, but got them with --data."
            )
        return None
    if plan is None or plan[1].data is None or plan[1].features is None:
        raise SpecError(
            "Expected --data, or a --study that starts from images (with `data` and `features`), but got neither."
        )
    folder = local(place, "make features with `ntkcpl features`, then give them with --data")
    return _Images(plan[1].data, plan[1].features.changed(changes), root, folder, download)


def _resources(memory_limit: str | None, time_limit: str | None, **options: Any) -> Resources:
    from harness.workers.resources import Resources
    from studies.compare import parse_bytes, parse_seconds

    return Resources(
        memory_limit=None if memory_limit is None else parse_bytes(memory_limit),
        time_limit=None if time_limit is None else parse_seconds(time_limit),
        **options,
    )


@app.command(cls=OnceCommand)
def compare(
    out: OutOption,
    data: Annotated[str | None, _DATA] = None,
    strategies: Annotated[
        str | None,
        typer.Option(
            help="Strategies, separated by commas: names (`ntkcpl list strategies`), module:Class, `recommended` or"
            " `all`."
        ),
    ] = None,
    schedule: Annotated[str | None, typer.Option(help="Labels x rounds, such as 20x5,100x4.")] = None,
    study: StudyOption = None,
    root: RootOption = None,
    download: DownloadOption = False,
    seeds: Annotated[str | None, typer.Option(help="Number of seeds, or a range such as 10-14; default: 5.")] = None,
    pool: PoolOption = None,
    label_noise: LabelNoiseOption = None,
    ood: OodOption = None,
    pool_seed: PoolSeedOption = 0,
    oracle: Annotated[
        str | None,
        typer.Option(help="boss draws a bound into the figures: it sees the true labels and trains 100 times a round."),
    ] = None,
    max_clusters: Annotated[
        int | None, typer.Option(help="Largest number of clusters of NTKCPL after the first round.")
    ] = None,
    candidates: CandidatesOption = None,
    learner: LearnerOption = None,
    settings: StudySettingsOption = None,
    workers: WorkersOption = None,
    cpus_per_trajectory: CpusOption = 1,
    gpus_per_trajectory: GpusOption = None,
    num_gpus: NumGpusOption = None,
    shards: ShardsOption = 1,
    memory_limit: MemoryOption = None,
    time_limit: TimeOption = None,
    address: AddressOption = None,
    register: RegisterOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Run each strategy with each seed as a full active-learning trajectory, and compare their accuracy."""
    with one_line_errors():
        from studies.reading import make_pools, read_dataset
        from studies.run import run_comparison
        from studies.study import AskedComparison, asked_pools, load_study, registered_terms

        place = _to_write(out)
        asked = AskedComparison(strategies, schedule, seeds, max_clusters, candidates, settings or [], oracle, learner)
        plan = None if study is None else load_study(study)
        pools = asked_pools(plan, pool, label_noise, ood, pool_seed)
        comparison = asked.comparison(plan)
        terms = registered_terms(plan, register)
        images = _images(plan, data, root, download, settings or [], place)
        resources = _resources(
            memory_limit,
            time_limit,
            workers=workers,
            cpus_per_trajectory=cpus_per_trajectory,
            gpus_per_trajectory=gpus_per_trajectory,
            num_gpus=num_gpus,
            shards=shards,
            address=address,
        )
        if images is not None:
            data = images.features([comparison] * len(pools), resources, dry_run=dry_run)
            if data is None:
                return
        source = read_dataset(data or "")
        datasets = make_pools(source, pools)
        for each in datasets:
            comparison.specs(each)  # what cannot be is refused before anything runs
        n_failed, found = 0, list["Results"]()
        for position, each in enumerate(datasets):
            if len(datasets) > 1:
                typer.echo(f"Data set {each.name}")
            outcome = run_comparison(
                comparison,
                each,
                place,
                resources,
                command=shlex.join(["ntkcpl", *sys.argv[1:]]),
                dry_run=dry_run,
                terms=terms,
                earlier=found if len(datasets) > 1 else None,
                later=datasets[position + 1 :],
            )
            n_failed += outcome.n_failed
            found += [outcome.results] if outcome.results else []
        if plan is not None and not dry_run:
            from studies.report import report_store

            typer.echo(report_store([place], remarks={plan[0]: plan[1].remarks}) / "index.html")
    if n_failed:
        typer.echo(f"{counted(n_failed, 'trajectory')} failed; the same command tries again.", err=True)
        raise typer.Exit(FAILED)


class SearchOption(StrEnum):
    """How a sweep chooses configurations."""

    grid = "grid"
    random = "random"
    tpe = "tpe"
    gp = "gp"


class SchedulerOption(StrEnum):
    """Whether hopeless trials end early."""

    none = "none"
    asha = "asha"


class ObjectiveOption(StrEnum):
    """What a sweep maximises."""

    area = "area"
    log_area = "log_area"
    final = "final"


class SecondOption(StrEnum):
    """What a sweep minimises as well."""

    seconds = "seconds"


@app.command(cls=OnceCommand)
def sweep(
    out: OutOption,
    data: Annotated[str | None, _DATA] = None,
    strategy: Annotated[str | None, typer.Option(help="Name (`ntkcpl list strategies`) or module:Class.")] = None,
    study: StudyOption = None,
    root: RootOption = None,
    download: DownloadOption = False,
    max_clusters: Annotated[
        str | None,
        typer.Option(help="Largest numbers of clusters to try: a list 10,50,100, or a range 10..200 on a log scale."),
    ] = None,
    schedules: Annotated[
        str | None, typer.Option(help='Schedules to try, all with one total budget, such as "20x10;50x4;100x2".')
    ] = None,
    space: Annotated[
        Path | None, typer.Option(help="YAML file with further hyperparameters, or schedules, to try.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Number of seeds, or a range such as 10-14; default: 3, or the study's.")
    ] = None,
    pool: PoolOption = None,
    label_noise: LabelNoiseOption = None,
    ood: OodOption = None,
    pool_seed: PoolSeedOption = 0,
    confirm_seeds: Annotated[
        int,
        typer.Option(
            min=0,
            help="Compare the best trial with the default on the other half of the test data, with so many new seeds.",
        ),
    ] = 0,
    search: Annotated[SearchOption, typer.Option(help="How configurations are chosen.")] = SearchOption.grid,
    trials: Annotated[int, typer.Option(min=1, help="Number of trials; a grid has one for each of its points.")] = 20,
    search_seed: Annotated[int, typer.Option(min=0, help="Seed of the sampler.")] = 0,
    scheduler: Annotated[
        SchedulerOption, typer.Option(help="asha stops trials whose objective so far is in the lower half.")
    ] = SchedulerOption.none,
    objective: Annotated[
        ObjectiveOption,
        typer.Option(
            help="What is maximised: the area under the accuracy curve over the label counts that all schedules span,"
            " the same area over log labels, or the accuracy at the budget."
        ),
    ] = ObjectiveOption.area,
    metric: Annotated[
        str,
        typer.Option(
            help="Metric on the test data that the objective is made of: accuracy, balanced_accuracy or macro_f1."
        ),
    ] = "accuracy",
    objective_from: Annotated[
        int | None,
        typer.Option(min=1, help="Label count at which the area begins; default: the first that all schedules have."),
    ] = None,
    second_objective: Annotated[
        SecondOption | None, typer.Option(help="Minimise the seconds of selection as well, which gives a Pareto front.")
    ] = None,
    concurrent_trials: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Trials to run at once; default: as many as keep the workers busy. 1 makes tpe and gp repeatable.",
        ),
    ] = None,
    optuna_storage: Annotated[
        Path | None, typer.Option(help="SQLite file to copy the trials to, for optuna-dashboard.")
    ] = None,
    candidates: CandidatesOption = None,
    learner: LearnerOption = None,
    settings: StudySettingsOption = None,
    workers: WorkersOption = None,
    cpus_per_trajectory: CpusOption = 1,
    gpus_per_trajectory: GpusOption = None,
    num_gpus: NumGpusOption = None,
    shards: ShardsOption = 1,
    memory_limit: MemoryOption = None,
    time_limit: TimeOption = None,
    address: AddressOption = None,
    register: RegisterOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Search for good settings of a strategy: number of clusters, schedule and others. Each trial runs all seeds."""
    with one_line_errors():
        from analysis.results import check_metric
        from harness.exceptions import SpecError
        from studies.reading import make_pool, read_dataset
        from studies.study import asked_pools, load_study, registered_terms
        from studies.sweeps.asked import AskedSweep
        from studies.sweeps.book import SweepRun
        from studies.sweeps.run import run_sweep

        check_metric(metric)
        place = _to_write(out)
        plan = None if study is None else load_study(study)
        pools = asked_pools(plan, pool, label_noise, ood, pool_seed)
        if len(pools) > 1:
            raise SpecError(f"Expected one pool to sweep on, but the study has {len(pools)}; choose it with --pool.")
        asked = AskedSweep(
            strategy,
            max_clusters,
            schedules,
            space,
            seeds,
            candidates,
            settings or [],
            objective_from,
            search.value,
            trials,
            search_seed,
            objective.value,
            second_objective is not None,
            scheduler.value,
            metric,
            learner,
        ).sweep(plan)
        images = _images(plan, data, root, download, settings or [], place)
        resources = _resources(
            memory_limit,
            time_limit,
            workers=workers,
            cpus_per_trajectory=cpus_per_trajectory,
            gpus_per_trajectory=gpus_per_trajectory,
            num_gpus=num_gpus,
            shards=shards,
            address=address,
        )
        if images is not None and (data := images.features(asked.comparisons, resources, dry_run=dry_run)) is None:
            return
        outcome = run_sweep(
            asked,
            make_pool(read_dataset(data or ""), *pools),
            place,
            resources,
            SweepRun(
                concurrent_trials=concurrent_trials,
                confirm_seeds=confirm_seeds,
                optuna_storage=optuna_storage,
                command=shlex.join(["ntkcpl", *sys.argv[1:]]),
                dry_run=dry_run,
                register=registered_terms(plan, register) is not None,
            ),
        )
    if outcome.n_failed or outcome.n_unconfirmed:
        typer.echo(
            f"{counted(outcome.n_failed, 'trial')} and {counted(outcome.n_unconfirmed, 'trajectory')} of the"
            " confirmation failed; the same command tries again.",
            err=True,
        )
        raise typer.Exit(FAILED)


@app.command(cls=OnceCommand)
def status(store: Annotated[str, typer.Argument(help="Folder or address of a store.")]) -> None:
    """Show how far the studies in a store have come."""
    with one_line_errors("Interrupted."):
        from harness.store.location import locate
        from studies.status import study_status

        for study, command, table in study_status(locate(store)):
            console = Console()
            console.print(f"[bold]{escape(study)}[/]  {escape(command)}", soft_wrap=True, highlight=False)
            console.print(table)


@app.command(cls=OnceCommand)
def report(
    stores: Annotated[list[str], typer.Argument(help="Folders or addresses of stores; several are merged.")],
    baseline: Annotated[
        str | None, typer.Option(help="Strategy that the others are compared with; default: as registered, or random.")
    ] = None,
    formats: Annotated[
        str, typer.Option("--format", help="Formats to write, separated by commas.")
    ] = "html,csv,md,tex,svg,pdf,png",
    out: Annotated[
        str | None, typer.Option(help="Folder or address to write to; default: report/ in the first store.")
    ] = None,
    study: Annotated[str | None, typer.Option(help="Report on this study only.")] = None,
    shared_seeds: Annotated[
        bool, typer.Option("--shared-seeds", help="Use only the seeds that all configurations have finished.")
    ] = False,
    skip_damaged: Annotated[bool, typer.Option("--skip-damaged", help="Leave out files that cannot be read.")] = False,
    metric: Annotated[
        str | None,
        typer.Option(
            help="Metric to report on: accuracy, balanced_accuracy or macro_f1; default: as registered, or accuracy."
        ),
    ] = None,
    by_learner: Annotated[
        bool, typer.Option("--by-learner", help="Show whether the order of the strategies depends on the learner.")
    ] = False,
    watch: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="SECONDS",
            help="Write the report again every so many seconds, until no command writes to the stores any more.",
        ),
    ] = None,
) -> None:
    """Write tables, figures and a page from the results of one store or several."""
    with one_line_errors("Interrupted: the last finished report is kept."):
        from harness.store.location import locate
        from studies.report import hints, report_store

        wanted = [name.strip() for name in formats.split(",")]
        places = [locate(store) for store in stores]

        def write(renewed_every: int | None = None) -> None:
            folder = report_store(
                places,
                baseline=baseline,
                formats=wanted,
                out=None if out is None else locate(out),
                study=study,
                shared_seeds=shared_seeds,
                skip_damaged=skip_damaged,
                metric=metric,
                by_learner=by_learner,
                renewed_every=renewed_every,
            )
            typer.echo(folder / "index.html" if "html" in wanted else folder)

        if watch is None:
            write()
            for line in hints(places):
                typer.echo(line, err=True)
        else:
            from studies.watch import watch as follow

            follow(places, write, typer.echo, watch)


@app.command(cls=OnceCommand)
def picture(
    out: Annotated[str, typer.Option(help="Folder or address of the store; `ntkcpl report` on it draws the picture.")],
    data: Annotated[
        str | None, typer.Option(help="File or folder of a data set with two features; default: a built-in mixture.")
    ] = None,
    labels: Annotated[int, typer.Option(min=1, help="Labels to buy, in one round.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Seed of selection and training.")] = 0,
    strategies: Annotated[
        str,
        typer.Option(help="Strategies, separated by commas: names (`ntkcpl list strategies`) or module:Class."),
    ] = "coreset_self,probcover,ntkcpl_self",
    learner: LearnerOption = None,
    settings: SettingsOption = None,
) -> None:
    """Compare what strategies believe to have covered with what the classifier gets right, in two dimensions."""
    with one_line_errors("Interrupted: the picture is written as a whole or not at all."):
        from studies.compare import parse_settings, parse_strategies

        names = parse_strategies(strategies)
        place, parsed = _to_write(out), parse_settings(settings or [], names, learner)
        from studies.coverage import run_coverage  # late: it trains

        table = run_coverage(
            data,
            place,
            strategies=names,
            labels=labels,
            seed=seed,
            settings=parsed,
            command=shlex.join(["ntkcpl", *sys.argv[1:]]),
        )
        typer.echo(table)


@app.command(cls=OnceCommand)
def select(
    data: Annotated[
        Path,
        typer.Option(
            help="Pool without labels: a .npy, .npz, .safetensors or .parquet file of features, such as one that "
            "`ntkcpl features extract --unlabelled` wrote, or a folder of .npy files; or a data set of `compare`."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="File to write the picks to, .csv or .parquet; its column `label` is empty.")
    ],
    strategy: Annotated[str, typer.Option(help="Name (`ntkcpl list strategies`) or module:Class.")],
    n: Annotated[int, typer.Option("-n", min=1, help="Points to label next.")],
    labels: Annotated[
        list[Path] | None,
        typer.Option(help="Labels so far: earlier picks with `label` filled in; repeatable, the oldest first."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            help="Names of the classes, separated by commas, or their number; a name with a comma stands in quotation"
            " marks; default: those of the labels."
        ),
    ] = None,
    no_class: Annotated[
        str | None,
        typer.Option(
            help="Label of points that belong to no class: they leave the pool, and nothing is learnt of them."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of selection and training; keep it the same in all rounds.")
    ] = 0,
    learner: LearnerOption = None,
    settings: SettingsOption = None,
    images: Annotated[Path | None, typer.Option(help="Folder with a picture for each name in the pool.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="HTML page to write, with the pictures of the picks.")] = None,
) -> None:
    """Choose the points of your own pool to label next, as a study in the same state would."""
    with one_line_errors("Interrupted: nothing was written."):
        from harness.exceptions import SpecError
        from strategies.registry import make_strategy
        from studies.compare import (
            LEARNER,
            check_answers,
            learner_notes,
            parse_learner,
            parse_settings,
            parse_strategies,
        )
        from studies.select import run_select

        name, *others = parse_strategies(strategy)
        if others:
            raise SpecError(f"Expected one strategy, but got {len(others) + 1} in `{strategy}`.")
        parsed = parse_settings(settings or [], [name], learner)
        chosen, trained_by = make_strategy(name, parsed.get(name)), parse_learner(parsed.get(LEARNER, {}))
        check_answers(trained_by, [name])
        said = run_select(
            data,
            labels or [],
            out,
            strategy=chosen,
            n=n,
            classes=classes,
            no_class=no_class,
            seed=seed,
            learner=trained_by,
            images=images,
            sheet=sheet,
        )
        for line in learner_notes(parsed.get(LEARNER, {}), [name]):
            typer.echo(line, err=True)
        for line in said:
            typer.echo(line)


store_app = typer.Typer(help="Verify a store, or make it smaller.", no_args_is_help=True)
app.add_typer(store_app, name="store")


@store_app.command(cls=OnceCommand)
def check(
    store: Annotated[str, typer.Argument(help="Folder or address of a store; a study may be writing to it.")],
) -> None:
    """Verify every file of a store: readable, complete, and in agreement with one another."""
    with one_line_errors("Interrupted."):
        from harness.store.check import check_store
        from harness.store.location import locate
        from harness.store.lock import is_held

        root = locate(store)
        checked = check_store(root)
        table = Table(box=None, pad_edge=False)
        for heading in ("table", "files", "rows"):
            table.add_column(heading, justify="left" if heading == "table" else "right")
        for name, n_files in checked.files.items():
            table.add_row(name, str(n_files), str(checked.rows[name]))
        Console().print(table)
        states = ", ".join(f"{n} {state}" for state, n in checked.states.items()) or "none"
        typer.echo(f"trajectories: {states}" + ("; a process is writing" if is_held(root) else ""))
        for problem in checked.problems:
            typer.echo(" ".join(f"{problem.where}: {problem.what}; {problem.remedy}.".split()), err=True)
        typer.echo(counted(len(checked.problems), "problem"))
    if checked.problems:
        raise typer.Exit(FAILED)


@store_app.command(cls=OnceCommand)
def compact(
    store: Annotated[str, typer.Argument(help="Folder or address of a store; others may read it meanwhile.")],
) -> None:
    """Merge the small files of finished trajectories into few; nothing else changes."""
    with one_line_errors():
        from harness.store.merging import merge
        from harness.store.reading import require_store
        from harness.store.writing import Store

        root = _to_write(store)
        require_store(root)
        opened = Store(root)
        with opened.writing():
            for merged in merge(opened):
                typer.echo(f"{merged.table}: {merged.n_before} -> {merged.n_after} files")


class Listed(StrEnum):
    """What `ntkcpl list` can name."""

    strategies = "strategies"
    learners = "learners"
    data = "data"
    studies = "studies"


@app.command("list", cls=OnceCommand)
def list_(
    what: Annotated[Listed, typer.Argument(help="What to list.")],
    name: Annotated[
        str | None,
        typer.Argument(help="Study, to show what its paper leaves open and what is done differently here."),
    ] = None,
) -> None:
    """List the strategies by what they need, the learners, the built-in data sets, or the paper's studies."""
    with one_line_errors("Interrupted."):
        if name is not None:
            from studies.listing import study_lines

            if what is not Listed.studies:
                from harness.exceptions import SpecError

                raise SpecError(f"Expected a name only after `studies`, but got `{what.value} {name}`.")
            typer.echo("\n".join(study_lines(name)))
            return
        console = Console()
        table = Table(box=None, pad_edge=False, caption_justify="left")
        if what is Listed.data:
            from harness.data import describe_builtin

            table.add_column("data")
            table.add_column("what it is")
            for data, text in describe_builtin().items():
                table.add_row(escape(data), escape(text))
        elif what is Listed.studies:
            from studies.listing import add_studies

            add_studies(table)
        elif what is Listed.learners:
            from studies.listing import add_learners

            add_learners(table)
        else:
            from studies.listing import add_strategies

            add_strategies(table)
        console.print(table)
        if what is Listed.strategies:
            typer.echo(
                "skactiveml:NAME, such as skactiveml:CoreSet, is the pool strategy NAME of scikit-activeml, which "
                "pip install 'ntkcpl[skactiveml]' adds."
            )


if __name__ == "__main__":
    main()
