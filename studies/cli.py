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
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

app = typer.Typer(
    help="Active-learning studies on frozen self-supervised features.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def main() -> None:
    """Entry point of `ntkcpl`."""
    app()


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Turn errors meant for a user into a line on stderr and an exit code."""
    from analysis.exceptions import AnalysisError
    from harness.exceptions import HarnessError, StoreWriteError
    from strategies.exceptions import StrategyError

    try:
        yield
    except (HarnessError, StrategyError, AnalysisError) as error:
        typer.echo(f"Error: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(FAILED if isinstance(error, StoreWriteError) else BAD_INPUT) from None
    except OSError as error:
        typer.echo(f"Error: Expected to read and write files, but got: {' '.join(str(error).split())}.", err=True)
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        typer.echo("Interrupted: finished rounds are in the store; the same command goes on from there.", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@app.command()
def compare(
    data: Annotated[str, typer.Option(help="Built-in data set (`ntkcpl list data`), or a .npz, .parquet or folder.")],
    strategies: Annotated[str, typer.Option(help="Names (`ntkcpl list strategies`) or module:Class, with commas.")],
    schedule: Annotated[str, typer.Option(help="Labels per round, such as 20x5,100x4.")],
    out: Annotated[Path, typer.Option(help="Folder of the store; the same command continues it.")],
    seeds: Annotated[str, typer.Option(help="Number of seeds, or a range such as 10-14.")] = "5",
    max_clusters: Annotated[int | None, typer.Option(help="Most clusters of NTKCPL after the first round.")] = None,
    candidates: Annotated[str | None, typer.Option(help="Points that a look-ahead works on, or `all`.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="strategy.parameter=value or learner.setting=value; repeatable.")
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
    time_limit: Annotated[
        str | None, typer.Option(help="Give a trajectory up that takes longer, such as 90s, 15min or 2h.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
) -> None:
    """Run strategies x seeds as full active-learning trajectories and compare their accuracy."""
    with _one_line_errors():
        from harness.cluster import Resources
        from harness.data import load_dataset
        from harness.exceptions import SpecError
        from harness.schedule import Schedule, parse_seeds
        from studies.compare import Comparison, parse_bytes, parse_seconds, parse_settings, parse_strategies
        from studies.run import run_comparison

        if ":/" in str(out):  # An address; as a path its slashes have been merged.
            raise SpecError(f"Expected a local folder for --out, but got `{out}`.")
        names = parse_strategies(strategies)
        shared: dict[str, Any] = {"max_clusters": max_clusters, "candidates": candidates}
        comparison = Comparison(
            strategies=names,
            schedule=Schedule.parse(schedule),
            seeds=parse_seeds(seeds),
            settings=parse_settings(settings or [], names),
            shared={key: value for key, value in shared.items() if value is not None},
        )
        resources = Resources(
            workers=workers,
            cpus_per_trajectory=cpus_per_trajectory,
            gpus_per_trajectory=gpus_per_trajectory,
            num_gpus=num_gpus,
            shards=shards,
            memory_limit=parse_bytes(memory_limit) if memory_limit else None,
            address=address,
            time_limit=None if time_limit is None else parse_seconds(time_limit),
        )
        signal.signal(signal.SIGTERM, _interrupt)
        outcome = run_comparison(
            comparison,
            load_dataset(data),
            out,
            resources,
            command=shlex.join(["ntkcpl", *sys.argv[1:]]),
            dry_run=dry_run,
        )
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


@app.command()
def picture(
    out: Annotated[Path, typer.Option(help="Folder of the store; `ntkcpl report` on it draws the picture.")],
    data: Annotated[
        str | None, typer.Option(help="A .npz, .parquet or folder with two features; default: a built-in mixture.")
    ] = None,
    labels: Annotated[int, typer.Option(min=1, help="Labels to buy, in one round.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of selection and training.")] = 0,
    strategies: Annotated[
        str, typer.Option(help="Names (`ntkcpl list strategies`) or module:Class, with commas.")
    ] = "coreset_self,probcover,ntkcpl_self",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="strategy.parameter=value or learner.setting=value; repeatable.")
    ] = None,
) -> None:
    """Compare what strategies believe to have covered with what the classifier gets right, in two dimensions."""
    with _one_line_errors():
        from studies.compare import parse_settings, parse_strategies
        from studies.picture import run_picture

        names = parse_strategies(strategies)
        table = run_picture(
            data,
            out,
            strategies=names,
            labels=labels,
            seed=seed,
            settings=parse_settings(settings or [], names),
            command=shlex.join(["ntkcpl", *sys.argv[1:]]),
        )
        typer.echo(table)


store_app = typer.Typer(help="Verify a store, or make it smaller.", no_args_is_help=True)
app.add_typer(store_app, name="store")


@store_app.command()
def check(store: Annotated[Path, typer.Argument(help="Folder of a store; a study may be writing to it.")]) -> None:
    """Verify every file of a store: readable, complete, and in agreement with one another."""
    with _one_line_errors():
        from harness.check import check_store, is_written

        checked = check_store(store)
        table = Table(box=None, pad_edge=False)
        for heading in ("table", "files", "rows"):
            table.add_column(heading, justify="left" if heading == "table" else "right")
        for name, n_files in checked.files.items():
            table.add_row(name, str(n_files), str(checked.rows[name]))
        Console().print(table)
        states = ", ".join(f"{n} {state}" for state, n in checked.states.items()) or "none"
        typer.echo(f"trajectories: {states}" + ("; a process is writing" if is_written(store) else ""))
        for problem in checked.problems:
            typer.echo(" ".join(f"{problem.where}: {problem.what}; {problem.remedy}.".split()), err=True)
        typer.echo(f"{len(checked.problems)} problems")
    if checked.problems:
        raise typer.Exit(FAILED)


@store_app.command()
def compact(store: Annotated[Path, typer.Argument(help="Folder of a store; others may read it meanwhile.")]) -> None:
    """Merge the small files of finished trajectories into few; nothing else changes."""
    with _one_line_errors():
        from harness.check import require_store
        from harness.compaction import compact as merge
        from harness.store import Store

        require_store(store)
        opened = Store(store)
        with opened.writing():
            for merged in merge(opened):
                typer.echo(f"{merged.table}: {merged.n_before} -> {merged.n_after} files")


class Listed(StrEnum):
    """What `ntkcpl list` can name."""

    strategies = "strategies"
    data = "data"


@app.command("list")
def list_(what: Annotated[Listed, typer.Argument(help="What to name.")]) -> None:
    """Name the strategies with their parameters, or the built-in data sets."""
    with _one_line_errors():
        console = Console()
        table = Table(box=None, pad_edge=False)
        if what is Listed.data:
            from harness.data import describe_builtin

            table.add_column("data")
            table.add_column("what it is")
            for name, text in describe_builtin().items():
                table.add_row(escape(name), escape(text))
        else:
            from strategies.exceptions import StrategyError
            from strategies.registry import make_strategy, resolved_parameters, strategy_class, strategy_names

            for heading in ("strategy", "parameters", "source"):
                table.add_column(heading)
            for name in strategy_names():
                try:
                    parameters = resolved_parameters(make_strategy(name))
                except StrategyError as error:  # of an installed package
                    table.add_row(escape(name), "", escape(" ".join(str(error).split())))
                    continue
                shown = "\n".join(f"{key}={value}" for key, value in parameters.items())
                table.add_row(escape(name), escape(shown), escape(strategy_class(name).source))
        console.print(table)
