"""Running a comparison: plan, cluster, store, progress, summary."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING

from rich.console import Console

from analysis.registration import COMPARE
from analysis.words import counted
from harness.data import Dataset
from harness.plan import Job, Origin, Plan, make_plan
from harness.spec import TrajectorySpec, canonical_json, study_name
from harness.store.location import Location
from harness.store.reading import Row, from_json
from harness.store.schema import ORACLES
from harness.store.writing import Store
from harness.workers.resources import Resources, settle_on, this_machine, unusable_gpus
from studies.compare import Comparison
from studies.progress import StudyProgress, duration
from studies.register import Terms, beyond, of_comparison, register
from studies.terminal import say, terminal

if TYPE_CHECKING:
    from analysis import Results


@dataclass(frozen=True)
class Outcome:
    """How a study ended.

    Attributes:
        name: of the study in the store.
        n_failed: trajectories that failed.
        results: what is finished; None of a dry run, or where nothing is.
    """

    name: str
    n_failed: int
    results: Results | None = None


def run_comparison(
    comparison: Comparison,
    data: Dataset,
    out: Location,
    resources: Resources,
    *,
    command: str,
    dry_run: bool,
    terms: Terms | None = None,
    earlier: Sequence[Results] | None = None,
    later: Sequence[Dataset] = (),
) -> Outcome:
    """Run what the store does not have yet, then print the table and write the picture.

    Args:
        comparison: what to compare.
        data: on what.
        out: folder of the store.
        resources: with what.
        command: the command line, kept with the study.
        dry_run: print the plan only.
        terms: what to register before anything runs; None registers nothing.
        earlier: what the command has run on other data sets, for one `results.csv` of all; None where there is just
            this one.
        later: what the command will run on afterwards, which is registered as well before anything runs.

    Raises:
        HarnessError, StrategyError: bad input, or more asked for than the cluster has; nothing is written.
    """
    specs = comparison.specs(data)
    study = study_name(comparison.kind, specs)
    console, progress_console = terminal(), Console(stderr=True)
    store = Store(out)
    for note in comparison.notes:
        say(progress_console, note)
    plan = make_plan(specs, store)
    for note in unlike(plan.known.values(), specs[0]):
        say(progress_console, note)

    def registering(*, keep: bool) -> None:
        if terms is not None:
            text = _register(specs, plan, terms, store, study, command, keep=keep)
            for each in later:
                others = comparison.specs(each)
                name = study_name(comparison.kind, others)
                _register(others, make_plan(others, store), terms, store, name, command, keep=keep)
        else:
            text = beyond(store, COMPARE, data.content_hash, study) or ""
        if text and (keep or dry_run):
            say(progress_console, text)

    registering(keep=False)
    failures = []
    if plan.jobs:
        with machine(resources, data, len(plan.jobs), dry_run=dry_run) as settled:
            show_plan(progress_console, describe(plan), settled, plan)
            if dry_run:
                return Outcome(study, 0)
            from harness.workers.driver import drive

            with store.writing():
                # Planned again: another process may have written until the lock was taken.
                plan = make_plan(specs, store)
                registering(keep=True)
                store.write_study(study, command, [spec.trajectory_id for spec in specs])
                with StudyProgress(plan.jobs, progress_console) as progress:
                    jobs = loading_meanwhile(plan.jobs, "studies.summary")
                    failures = drive(jobs, data, store, settled, progress)
    else:
        say(progress_console, describe(plan))
        if dry_run:
            return Outcome(study, 0)
        with store.writing():
            registering(keep=True)
            store.write_study(study, command, [spec.trajectory_id for spec in specs])
    from analysis import load
    from studies.summary import show_summary, write_summary

    results = _named(load(out, study=study), data.name)
    if not results.rounds.empty:
        show_summary(results, console)
        for path in write_summary(results, out, earlier):
            say(console, str(path))
    say(console, str(out / "rounds"))
    n_others = len(store.studies().keys() - {study})
    if n_others and earlier is None:  # else the other studies may be of this command, and a report of all follows
        say(
            console,
            f"These results are of this command only. `{out}` also holds {counted(n_others, 'other study')}; to see "
            f"all, run: ntkcpl report {shlex.quote(str(out))}",
        )
    return Outcome(study, len(failures), None if results.rounds.empty else results)


def _register(
    specs: Sequence[TrajectorySpec], plan: Plan, terms: Terms, store: Store, study: str, command: str, *, keep: bool
) -> str:
    n_begun = len(specs) - sum(job.origin == "new" for job in plan.jobs)
    wanted = of_comparison(specs, terms, study=study, n_begun=n_begun, command=command)
    return register(wanted, store, len(specs), keep=keep)


def unlike(rows: Iterable[Row], spec: TrajectorySpec) -> list[str]:
    """What in a store a report cannot show beside a trajectory, in a sentence each.

    Args:
        rows: of `trajectories`.
        spec: of the trajectory.
    """
    same_name = [
        (row["data_hash"], from_json(row["spec"]).get("learner"))
        for row in rows
        if row["data"] == spec.data and row["status"] == "ok" and row["strategy"] not in ORACLES
    ]
    learner = spec.learner.model_dump(mode="json")
    said = []
    if any(data_hash != spec.data_hash for data_hash, _ in same_name):
        said.append(
            f"The store has trajectories on other data called `{spec.data}`, which no report shows beside these; if the"
            " file has changed, use another --out."
        )
    if any(data_hash == spec.data_hash and other != learner for data_hash, other in same_name):
        said.append("The store has trajectories with another learner; a report of both needs --by-learner or --study.")
    return said


@contextmanager
def machine(resources: Resources, data: Dataset, n_jobs: int, *, dry_run: bool) -> Iterator[Resources]:
    """A cluster, with the resources as settled on it; the plan of a dry run needs none but somebody else's.

    Raises:
        ResourceError: there is no cluster, or it cannot give what was asked for.
    """
    if dry_run and resources.address is None:
        yield settle_on([this_machine(resources.num_gpus)], resources, n_jobs)
        return
    from harness.workers.cluster import cluster, settle

    data_bytes = sum(array.nbytes for array in (data.x_train, data.x_test, data.y_train, data.y_test, data.labels))
    with cluster(resources, data_bytes):
        yield settle(resources, n_jobs)


def loading_meanwhile(jobs: Iterable[Job | None], *modules: str) -> Iterator[Job | None]:
    """The jobs. As soon as there is none for a free worker, a thread imports modules that are needed afterwards."""

    def load() -> None:
        with suppress(Exception):  # Whoever needs it imports it again, and says what is wrong.
            for module in modules:
                import_module(module)

    loading = Thread(target=load)
    for job in jobs:
        if job is None and loading.ident is None:
            loading.start()
        yield job
    if loading.ident is None:
        loading.start()


def show_plan(console: Console, text: str, settled: Resources, plan: Plan) -> None:
    """Say what is to run, and with what."""
    say(console, text)
    say(console, describe_resources(settled, plan))
    if warning := unusable_gpus(settled):
        say(console, warning)


def _named(results: Results, data: str) -> Results:
    """The study's own name for the data in all rows; a trajectory may have been run under another."""
    names = ("trajectories", "rounds", "failures", "bounds")
    tables = {name: getattr(results, name).assign(data=data) for name in names}
    return replace(results, **tables)


def describe(plan: Plan) -> str:
    """How much of a study is done, goes on, or starts."""
    origins = Counter(job.origin for job in plan.jobs)
    n_all = len(plan.done) + len(plan.jobs)
    parts = [f"{len(plan.done)} already done"] if plan.done else []
    texts: dict[Origin, str] = {
        "new": "to run",
        "resumed": "resumed after the last finished round",
        "continued": "continued from a shorter or longer schedule",
        "retried": "tried again after a failure",
    }
    parts += [f"{origins[origin]} {text}" for origin, text in texts.items() if origins[origin]]
    return f"{counted(n_all, 'trajectory')}: {', '.join(parts)}"


def describe_resources(resources: Resources, plan: Plan) -> str:
    """With what a plan runs, and for about how long; nothing of the time where none is known yet."""
    share = counted(resources.cpus_per_trajectory, "CPU")
    if gpus := resources.gpus_per_trajectory:
        share += f" and {gpus:g} {'GPU' if gpus <= 1 else 'GPUs'}"
    left = _estimate(plan, resources.workers or 1)
    return f"{resources.workers} at a time, with {share} each; {left}"


def _estimate(plan: Plan, n_workers: int) -> str:
    """Time for a plan, from finished trajectories of the same strategy, data, schedule and learner."""
    if not plan.jobs:
        return "no estimate of the time yet"
    seconds: dict[tuple[str, str, str, str], list[float]] = {}
    for row in plan.known.values():
        if row["status"] == "ok":
            learner = canonical_json(from_json(row["spec"])["learner"])
            seconds.setdefault((row["strategy"], row["data_hash"], row["schedule"], learner), []).append(row["seconds"])
    total = 0.0
    for spec in (job.spec for job in plan.jobs):
        learner = canonical_json(spec.learner.model_dump(mode="json"))
        like = seconds.get((spec.strategy, spec.data_hash, spec.schedule, learner))
        if not like:
            return "no estimate of the time yet"
        total += sum(like) / len(like)
    return f"about {duration(total / n_workers)}"
