"""Running a sweep: Tune starts and stops trials, one pool of workers runs their trajectories."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from rich.console import Console

from analysis.words import counted
from harness.data import Dataset
from harness.exceptions import SpecError
from harness.plan import Job
from harness.schedule import MAX_SEEDS
from harness.store.location import Location
from harness.store.writing import Store
from harness.workers.events import Failed
from harness.workers.resources import Resources
from studies.compare import LEARNER, learner_notes
from studies.run import loading_meanwhile, machine, show_plan, unlike
from studies.sweeps.book import SweepRun, TrialBook
from studies.sweeps.bridge import Bridge, start_tuning
from studies.sweeps.legs import JobQueue
from studies.sweeps.progress import SweepProgress
from studies.sweeps.search import STARTUP_TRIALS
from studies.sweeps.trials import Sweep
from studies.terminal import say, terminal


@dataclass(frozen=True)
class SweepOutcome:
    """How a sweep ended.

    Attributes:
        n_failed: trials that failed.
        n_unconfirmed: trajectories of the confirmation that failed.
    """

    n_failed: int
    n_unconfirmed: int = 0


def run_sweep(sweep: Sweep, data: Dataset, out: Location, resources: Resources, options: SweepRun) -> SweepOutcome:
    """Run what the store does not have yet, then print the trials and draw the figures.

    Args:
        sweep: what to search.
        data: on what.
        out: folder of the store.
        resources: with what.
        options: how.

    Raises:
        HarnessError, StrategyError: bad input, or more asked for than the cluster has; nothing is written.
    """
    sweep.check(data)
    if options.confirm_seeds > MAX_SEEDS - max(sweep.seeds):
        raise SpecError(f"Expected seeds up to {MAX_SEEDS}, but got {options.confirm_seeds} more for --confirm-seeds.")
    console, progress_console = terminal(), Console(stderr=True)
    store = Store(out)
    book = TrialBook(sweep, data, store, options)
    for note in learner_notes(sweep.settings.get(LEARNER, {}), [sweep.strategy]):
        say(progress_console, note)
    for note in unlike(book.known.values(), sweep.default_specs(data)[0]):
        say(progress_console, note)
    if (text := book.registering(keep=False)) and options.dry_run:
        say(progress_console, text)
    failures: list[Failed] = []
    if n_left := book.n_left:
        # The stack is outside: after an error, Tune's thread ends with the cluster.
        with ExitStack() as stack, machine(resources, data, n_left, dry_run=options.dry_run) as settled:
            show_plan(progress_console, str(book), settled, book.plan())
            if sweep.search in ("tpe", "gp") and book.n_trials <= STARTUP_TRIALS:
                trials = counted(book.n_trials, "trial")
                note = f"With {trials}, {sweep.search} is a random search: only trials after the first {STARTUP_TRIALS}"
                say(progress_console, f"{note} look at results.")
            if options.dry_run:
                return SweepOutcome(0)
            from harness.workers.driver import drive

            with store.writing():
                # Read again: another process may have written until the lock was taken.
                book = TrialBook(sweep, data, store, options)
                if text := book.registering(keep=True):
                    say(progress_console, text)
                book.save()
                with SweepProgress(book.n_trials, list(book.records.values()), progress_console) as progress:
                    bridge = None
                    if book.pending:
                        n_busy = math.ceil((settled.workers or 1) / len(sweep.seeds)) + 1
                        n_concurrent = options.concurrent_trials or n_busy
                        n_ahead = n_concurrent if book.runs_anyway else 0
                        # Each trial in Tune is a process, and where the driver runs ahead of it one is enough.
                        tuning = start_tuning(book, 1 if n_ahead else n_concurrent)
                        stack.callback(tuning.close)
                        bridge = Bridge(book, JobQueue(store, book.known), tuning, progress, n_ahead=n_ahead)
                    jobs, listen = _jobs(book, bridge, progress), bridge.listen if bridge else progress
                    # Importances, in the summary, are estimated with a forest.
                    jobs = loading_meanwhile(jobs, "studies.sweeps.summary", "optuna.importance", "sklearn.ensemble")
                    failures = drive(jobs, data, store, settled, listen)
                    stack.close()  # Tune has nothing more to do, and is to end before the cluster.
                book.confirm()
    else:
        say(progress_console, str(book))
        if options.dry_run:
            return SweepOutcome(0)
        with store.writing():
            if text := book.registering(keep=True):
                say(progress_console, text)
            book.save()
            book.confirm()
    from analysis import load
    from studies.sweeps.summary import show_confirmation, show_trials, write_figures

    records = list(book.records.values())
    if records:
        show_trials(sweep, records, console)
    results = load(out, study=book.study, queries=False, metric=sweep.metric)
    show_confirmation(results, console)
    for path in write_figures(results, out / book.study):
        say(console, str(path))
    say(console, str(out / "trials"))
    n_failed = sum(record.status == "failed" for record in records)
    of_trials = {spec.trajectory_id for record in records for spec in record.specs}
    of_confirmation = {spec.trajectory_id for spec in book.confirmation} - of_trials
    n_unconfirmed = sum(failed.job.spec.trajectory_id in of_confirmation for failed in failures)
    return SweepOutcome(n_failed, n_unconfirmed)


def _jobs(book: TrialBook, bridge: Bridge | None, progress: SweepProgress) -> Iterator[Job | None]:
    """Jobs of the trials, then those of the confirmation."""
    if bridge is not None:
        yield from bridge.jobs()
    if specs := book.confirmation:
        book.join(specs)
        if jobs := book.plan(specs).jobs:
            progress.confirming(len(jobs))
        yield from jobs
