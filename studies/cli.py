"""The command line. Modules that import torch, Ray or scikit-learn are imported when a command needs them."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from studies import features_cli

app = typer.Typer(
    help="Active-learning studies on frozen self-supervised features.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(features_cli.app, name="features")

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def main() -> None:
    """Entry point of `ntkcpl`."""
    app()


@contextmanager
def _one_line_errors(
    interrupted: str = "Interrupted: finished rounds are in the store; the same command goes on from there.",
) -> Iterator[None]:
    """Turn errors meant for a user into a line on stderr and an exit code."""
    from analysis.exceptions import AnalysisError
    from harness.exceptions import HarnessError
    from strategies.exceptions import StrategyError

    try:
        yield
    except (HarnessError, StrategyError, AnalysisError) as error:
        typer.echo(f"Error: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(BAD_INPUT) from None
    except KeyboardInterrupt:
        typer.echo(interrupted, err=True)
        raise typer.Exit(INTERRUPTED) from None


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@app.command()
def compare(
    out: Annotated[Path, typer.Option(help="Folder of the store; the same command continues it.")],
    data: Annotated[
        str | None, typer.Option(help="Built-in data set (`ntkcpl list data`), or a .npz, .parquet or folder.")
    ] = None,
    strategies: Annotated[
        str | None, typer.Option(help="Names (`ntkcpl list strategies`) or module:Class, with commas.")
    ] = None,
    schedule: Annotated[str | None, typer.Option(help="Labels per round, such as 20x5,100x4.")] = None,
    study: Annotated[
        str | None,
        typer.Option(help="Study (`ntkcpl list studies`) or YAML file: what other options leave open, from images on."),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of the study's images, where --data is not given.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Number of seeds, or a range such as 10-14; default: 5.")] = None,
    max_clusters: Annotated[int | None, typer.Option(help="Most clusters of NTKCPL after the first round.")] = None,
    candidates: Annotated[str | None, typer.Option(help="Points that a look-ahead works on, or `all`.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="strategy.parameter=value, learner.setting=value, features.setting=value."),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Trajectories at once; default: what fits.")] = None,
    cpus_per_trajectory: Annotated[int, typer.Option(min=1, help="CPU threads of a trajectory.")] = 1,
    gpus_per_trajectory: Annotated[
        float | None, typer.Option(min=0, help="GPUs of a trajectory, fractions allowed; default: 1 if there are any.")
    ] = None,
    num_gpus: Annotated[int | None, typer.Option(min=0, help="GPUs of the local cluster; default: found out.")] = None,
    shards: Annotated[int, typer.Option(min=1, help="Actors that share the look-ahead of a trajectory.")] = 1,
    memory_limit: Annotated[
        str | None, typer.Option(help="Memory that a look-ahead may hold, such as 8GiB; default: found out.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster to run on; default: a local one.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
) -> None:
    """Run strategies x seeds as full active-learning trajectories and compare their accuracy."""
    with _one_line_errors():
        from harness.cluster import Resources
        from harness.data import load_dataset
        from harness.exceptions import SpecError
        from studies.compare import parse_bytes
        from studies.run import run_comparison
        from studies.study import Options, load_study

        if ":/" in str(out):  # An address; as a path its slashes have been merged.
            raise SpecError(f"Expected a local folder for --out, but got `{out}`.")
        options = Options(strategies, schedule, seeds, max_clusters, candidates, settings or [])
        plan = None if study is None else load_study(study)
        comparison = options.comparison(plan)
        if data is not None and (root is not None or options.feature_changes()):
            raise SpecError("Expected --root and features settings for a --study without --data, but got --data too.")
        if plan is None and data is None:
            raise SpecError("Expected --data, or a --study that starts from images, but got neither.")
        resources = Resources(
            workers=workers,
            cpus_per_trajectory=cpus_per_trajectory,
            gpus_per_trajectory=gpus_per_trajectory,
            num_gpus=num_gpus,
            shards=shards,
            memory_limit=parse_bytes(memory_limit) if memory_limit else None,
            address=address,
        )
        signal.signal(signal.SIGTERM, _interrupt)
        if data is None and plan is not None:
            from studies.stages import feature_path, make_features

            stage = plan[1].features.changed(options.feature_changes())
            path = feature_path(plan[1].data, out)
            if dry_run and not path.exists():
                typer.echo(f"First: pre-training and extraction, to {path}; then the plan of the comparison.", err=True)
                return
            data = str(path if dry_run else make_features(plan[1].data, stage, root, out))
        outcome = run_comparison(
            comparison,
            load_dataset(data or ""),
            out,
            resources,
            command=shlex.join(["ntkcpl", *sys.argv[1:]]),
            dry_run=dry_run,
        )
        if plan is not None and not dry_run:
            from studies.report import report_store

            typer.echo(report_store([out]) / "index.html")
    if outcome.n_failed:
        typer.echo(f"{outcome.n_failed} trajectories failed; the same command tries them again.", err=True)
        raise typer.Exit(FAILED)


@app.command()
def status(store: Annotated[Path, typer.Argument(help="Folder of a store.")]) -> None:
    """Say how far the studies of a store are."""
    with _one_line_errors():
        from studies.status import study_status

        for study, command, table in study_status(store):
            console = Console()
            console.print(f"[bold]{escape(study)}[/]  {escape(command)}", soft_wrap=True, highlight=False)
            console.print(table)


@app.command()
def report(
    stores: Annotated[list[str], typer.Argument(help="Folders of stores; several are merged.")],
    baseline: Annotated[str, typer.Option(help="Strategy that the others are compared with.")] = "random",
    formats: Annotated[
        str, typer.Option("--format", help="Some of html,csv,md,tex,svg,pdf,png.")
    ] = "html,csv,md,tex,svg,pdf,png",
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: report/ in the first store.")] = None,
    study: Annotated[str | None, typer.Option(help="Report on this study alone.")] = None,
    shared_seeds: Annotated[
        bool, typer.Option("--shared-seeds", help="Keep the seeds that all have finished.")
    ] = False,
    skip_damaged: Annotated[bool, typer.Option("--skip-damaged", help="Leave out files that cannot be read.")] = False,
) -> None:
    """Write tables, figures and a page from the results of one store or several."""
    with _one_line_errors():
        from studies.report import report_store

        wanted = [name.strip() for name in formats.split(",")]
        folder = report_store(
            stores,
            baseline=baseline,
            formats=wanted,
            out=out,
            study=study,
            shared_seeds=shared_seeds,
            skip_damaged=skip_damaged,
        )
        typer.echo(folder / "index.html" if "html" in wanted else folder)


class Listed(StrEnum):
    """What `ntkcpl list` can name."""

    strategies = "strategies"
    data = "data"
    studies = "studies"


@app.command("list")
def list_(what: Annotated[Listed, typer.Argument(help="What to name.")]) -> None:
    """Name the strategies with their parameters, the built-in data sets, or the paper's studies."""
    with _one_line_errors():
        console = Console()
        table = Table(box=None, pad_edge=False)
        if what is Listed.data:
            from harness.data import describe_builtin

            table.add_column("data")
            table.add_column("what it is")
            for name, text in describe_builtin().items():
                table.add_row(escape(name), escape(text))
        elif what is Listed.studies:
            from studies.study import load_study, study_names

            for heading in ("study", "what it is", "schedule", "not stated by the paper, chosen here"):
                table.add_column(heading)
            for name in study_names():
                study = load_study(name)[1]
                chosen = "\n".join(f"{key}: {text}" for key, text in study.not_stated.items())
                table.add_row(name, escape(study.title), study.schedule, escape(chosen))
        else:
            from strategies.registry import make_strategy, resolved_parameters, strategy_class, strategy_names

            for heading in ("strategy", "parameters", "source"):
                table.add_column(heading)
            for name in strategy_names():
                parameters = resolved_parameters(make_strategy(name))
                shown = "\n".join(f"{key}={value}" for key, value in parameters.items())
                table.add_row(escape(name), escape(shown), escape(strategy_class(name).source))
        console.print(table)
