"""Running a sweep: Tune decides which trials run, one pool of workers runs their trajectories."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from analysis.registration import sweep_subject
from harness.data import Dataset
from harness.exceptions import ResourceError, SpecError
from harness.plan import Job, Plan, make_plan
from harness.schedule import MAX_SEEDS
from harness.spec import TrajectorySpec
from harness.store.location import Location
from harness.store.reading import Row
from harness.store.writing import Store
from harness.workers.events import Event, Failed, Finished, Paused, Restarted, RoundDone
from harness.workers.resources import Resources
from studies.compare import LEARNER, learner_notes
from studies.progress import SweepProgress
from studies.register import beyond, of_sweep, register
from studies.run import describe, machine, show_plan
from studies.sweeps.confirm import confirm_plan, confirm_seeds, confirmed
from studies.sweeps.search import Told, mirror, propose
from studies.sweeps.space import Values
from studies.sweeps.trials import REDUCTION, Record, Sweep, best_first, make_record, pareto_front, reports, values_of
from studies.terminal import say, terminal

if TYPE_CHECKING:
    from studies.sweeps.tuning import Tuning


@dataclass(frozen=True)
class SweepOutcome:
    """How a sweep ended.

    Attributes:
        name: of the study in the store.
        n_failed: trials that failed.
        n_unconfirmed: trajectories of the confirmation that failed.
    """

    name: str
    n_failed: int
    n_unconfirmed: int = 0


@dataclass(frozen=True)
class Options:
    """How a sweep runs, beside its resources; nothing here changes what a trial gives.

    Attributes:
        concurrent_trials: trials at once; None takes what keeps the workers busy.
        confirm_seeds: further seeds on the other half of the test data; 0 leaves the result unconfirmed.
        optuna_storage: sqlite file for optuna-dashboard.
        command: the command line, kept with the study.
        dry_run: print the plan only.
        register: keep in the store what the sweep will show, before anything runs.
    """

    concurrent_trials: int | None = None
    confirm_seeds: int = 0
    optuna_storage: Path | None = None
    command: str = "ntkcpl sweep"
    dry_run: bool = False
    register: bool = False


@dataclass(eq=False)
class _Open:
    """A trial that Tune has started."""

    number: int
    values: Values
    specs: list[TrajectorySpec]
    asked: int = 0
    sent: list[int] = field(default_factory=list)


class _Search:
    """Turns the trials that Tune starts into jobs, and what their trajectories give into reports and records."""

    def __init__(self, sweep: Sweep, data: Dataset, store: Store, options: Options) -> None:
        self.sweep = sweep
        self.study = sweep.study(data)
        self.progress: SweepProgress | None = None
        self._data = data
        self._store = store
        self._options = options
        self._known = store.trajectories()
        self._members = [row["trajectory_id"] for row in store.studies().get(self.study, [])]
        self._grid = list(sweep.space.grid()) if sweep.search == "grid" else None
        self._values: dict[int, Values] = {}
        self._open: dict[int, _Open] = {}
        self._rounds: dict[str, list[Row]] = {}
        self._broken: set[str] = set()
        self._under_way: set[str] = set()
        self._queue: deque[Job] = deque()
        self._answered: set[int] = set()
        self.records: dict[int, Record] = {}
        self._read_trials()
        if sweep.scheduler == "none":
            self._take_what_is_done()

    def _read_trials(self) -> None:
        """Trials of earlier runs; those that failed are tried again, with their configuration."""
        for row in self._store.trials(self.study):
            number, values = int(row["trial"]), values_of(row, self.sweep.space)
            self._values[number] = values
            if row["status"] == "failed" or number >= self.n_trials:
                continue
            specs = self.sweep.specs(values, self._data)
            curves = [self._store.rounds(spec.trajectory_id)[0] for spec in specs]
            if all(curves):  # else its rows were removed, and it runs again
                status, labels = row["status"], int(row["labels_reached"])
                self.records[number] = make_record(self.sweep, number, values, specs, curves, status, labels)

    def _take_what_is_done(self) -> None:
        """Trials whose trajectories the store has already, from whatever study: they need no worker and no Tune."""
        for number in self.pending:
            values = self.configure(number)
            specs = self.sweep.specs(values, self._data)
            if all(self._is_done(spec) for spec in specs):
                curves = [self._store.rounds(spec.trajectory_id)[0] for spec in specs]
                budget = self.sweep.space.budget
                self.records[number] = make_record(self.sweep, number, values, specs, curves, "complete", budget)
            elif not self._is_known:
                return  # what comes next depends on this one

    @property
    def _is_known(self) -> bool:
        """Whether every configuration is known before the others have ended."""
        return self.sweep.search in ("grid", "random")

    def _is_done(self, spec: TrajectorySpec) -> bool:
        return bool(self._known.get(spec.trajectory_id, {}).get("status") == "ok")

    @property
    def n_trials(self) -> int:
        """Trials that there will be."""
        return self.sweep.n_trials if self._grid is None else len(self._grid)

    @property
    def pending(self) -> list[int]:
        """Numbers of the trials that have not ended."""
        return [number for number in range(self.n_trials) if number not in self.records]

    @property
    def told(self) -> list[Told]:
        """What a sampler is told of the trials that have ended or run."""
        running = [
            Told(number, dict(values), "running")
            for number, values in list(self._values.items())
            if number not in self.records
        ]
        return [*(record.told for record in list(self.records.values())), *running]

    def configure(self, number: int) -> Values:
        """The configuration of a trial; Tune's thread asks, too."""
        if number not in self._values:
            if self._grid is not None:
                self._values[number] = self._grid[number]
            else:
                sweep = self.sweep
                assert sweep.search != "grid"
                self._values[number] = propose(
                    sweep.space, sweep.search, sweep.search_seed, number, self.told, n_objectives=sweep.n_objectives
                )
        return self._values[number]

    def plan(self) -> Plan:
        """What the pending trials still need, each trajectory once, where that is known."""
        known = [self.configure(number) for number in self.pending] if self._is_known else []
        specs = [spec for values in known for spec in self.sweep.specs(values, self._data)]
        return make_plan(list({spec.trajectory_id: spec for spec in specs}.values()), self._store, self._known)

    @property
    def confirmation(self) -> list[TrajectorySpec]:
        """Trajectories that the confirmation of the trials so far needs."""
        n_seeds = self._options.confirm_seeds
        return confirm_plan(self.sweep, self._data, self.finalists, n_seeds) if n_seeds and self.finalists else []

    @property
    def n_left(self) -> int:
        """Most trajectories that may still have to run."""
        if not self.pending:
            return len(make_plan(self.confirmation, self._store, self._known).jobs)
        return max(1, len(self.plan().jobs) if self._is_known else len(self.pending) * len(self.sweep.seeds))

    def __str__(self) -> str:
        parts = [f"{len(self.records)} done already"] if self.records else []
        if self.pending:
            n_most = len(self.pending) * len(self.sweep.seeds)
            parts.append(describe(self.plan()) if self._is_known else f"up to {n_most} trajectories to run")
            if (n_seeds := self._options.confirm_seeds) and not self.sweep.by_seconds:
                parts.append(f"then up to {2 * n_seeds + len(self.sweep.seeds)} that confirm the best")
        return f"{self.n_trials} trials of {len(self.sweep.seeds)} seeds: {'; '.join(parts)}"

    def tune(self, n_workers: int) -> Tuning | None:
        """Start Tune over the pending trials; None where there are none."""
        if not self.pending:
            return None
        from studies.sweeps.tuning import Tuning  # late: where nothing is left to run, Tune is not even loaded

        is_asha = self.sweep.scheduler == "asha"
        # ASHA learns from what earlier runs have finished before it judges anything new.
        replayed = sorted(self.records) if is_asha else []
        return Tuning(
            [*replayed, *self.pending],
            lambda number: dict(self.configure(number)),
            grid=self._grid is not None,
            n_concurrent=self._options.concurrent_trials or math.ceil(n_workers / len(self.sweep.seeds)) + 1,
            window=self.sweep.space.window,
            reduction=REDUCTION if is_asha else None,
        )

    def jobs(self, tuning: Tuning | None) -> Iterator[Job | None]:
        """A live queue: jobs of the trials that Tune starts, then those of the confirmation."""
        while tuning is not None and self.pending:
            error = tuning.error
            for number, position in tuning.requests():
                if number in self._answered:
                    continue
                trial = self._open.get(number) or self._begin(number)
                trial.asked = max(trial.asked, position + 1)
                self._advance(trial, tuning)
            for number, labels, has_failed in tuning.ended():
                self._end_of(number, labels, has_failed)
            if error is not None and self.pending:
                raise ResourceError(f"Expected Ray Tune to run all trials, but it ended with: {error}.")
            yield self._queue.popleft() if self._queue else None
        if specs := self.confirmation:
            self._join(specs)
            jobs = make_plan(specs, self._store, self._known).jobs
            if jobs and self.progress is not None:
                self.progress.confirming(len(jobs))
            yield from jobs

    def listener(self, tuning: Tuning | None) -> Callable[[Event | Restarted], None]:
        """What is to be called with each event of the workers."""

        def listen(event: Event | Restarted) -> None:
            name = event.job.spec.trajectory_id
            if self.progress is not None:
                self.progress(event)
            if isinstance(event, Failed):
                self._broken.add(name)
            if isinstance(event, Finished):
                self._known[name] = self._store.trajectory(name)
            if isinstance(event, Failed | Finished | Paused):
                self._under_way.discard(name)
            if tuning is not None and isinstance(event, Failed | Finished | Paused | RoundDone):
                for trial in list(self._open.values()):
                    if any(spec.trajectory_id == name for spec in trial.specs):
                        self._advance(trial, tuning)

        return listen

    @property
    def finalists(self) -> list[Record]:
        """What is to be confirmed: the best trial, or those of the Pareto front."""
        complete = [record for record in self.records.values() if record.status == "complete"]
        return pareto_front(complete) if self.sweep.by_seconds else best_first(complete)[:1]

    def _begin(self, number: int) -> _Open:
        values = self.configure(number)
        specs = self.sweep.specs(values, self._data)
        trial = self._open[number] = _Open(number, values, specs)
        self._join(specs)
        for spec in specs:
            if spec.trajectory_id not in self._rounds:
                self._rounds[spec.trajectory_id] = self._store.rounds(spec.trajectory_id)[0]
        if self.progress is not None and number not in self.records:
            self.progress.trial_started(number, specs)
        return trial

    def _join(self, specs: Sequence[TrajectorySpec]) -> None:
        """Make trajectories part of the study."""
        new = [spec.trajectory_id for spec in specs if spec.trajectory_id not in self._members]
        if new:
            self._members += new
            self._store.write_study(self.study, self._options.command, self._members)

    def _advance(self, trial: _Open, tuning: Tuning) -> None:
        """Answer a trial as far as its trajectories have come, and queue what it waits for."""
        names = [spec.trajectory_id for spec in trial.specs]
        curves = [self._rounds[name] for name in names]
        if (recorded := self.records.get(trial.number)) is not None:
            found, is_over = list(recorded.reports), True
        elif self._broken & set(names):
            if self._under_way & set(names):
                return
            self._record(trial, "failed", min(curve[-1]["n_labels"] if curve else 0 for curve in curves))
            found, is_over = [], True
        else:
            found = reports(curves, self.sweep.objective, self.sweep.space.window, self.sweep.rungs, self.sweep.metric)
            is_over = bool(found) and found[-1][0] == self.sweep.space.budget
            is_over = is_over and all(self._is_done(spec) for spec in trial.specs)
            if is_over:
                self._record(trial, "complete", self.sweep.space.budget)
        new = [(labels, value) for labels, value in found if not trial.sent or labels > trial.sent[-1]]
        if not is_over:
            # The last report waits for the rows that say that all is well.
            new = [(labels, value) for labels, value in new if labels < self.sweep.space.budget]
        trial.sent += [labels for labels, _ in new]
        if is_over:
            self._close(trial)
            self._answered.add(trial.number)
        if new or is_over:
            tuning.reply(trial.number, new, is_over=is_over)
        if not is_over and trial.asked > len(trial.sent) and self._queue_leg(trial):
            self._advance(trial, tuning)

    def _queue_leg(self, trial: _Open) -> bool:
        """Queue the trajectories of a trial up to the next label count at which it may be stopped.

        Returns:
            Whether there was nothing to run, because another trajectory had begun alike.
        """
        reached = min(
            curve[-1]["n_labels"] if (curve := self._rounds[spec.trajectory_id]) else 0 for spec in trial.specs
        )
        goal = next((rung for rung in self.sweep.rungs if rung > reached), self.sweep.space.budget)
        for spec in trial.specs:
            name = spec.trajectory_id
            if name in self._under_way or self._is_done(spec):
                continue
            (job,) = make_plan([spec], self._store, self._known).jobs
            counts = self.sweep.space.schedule(trial.values).label_counts
            job.until = next(round_ + 1 for round_, n_labels in enumerate(counts) if n_labels >= goal)
            self._rounds[name] = job.rounds
            if len(job.rounds) >= job.until and not job.is_last_leg:
                continue
            self._under_way.add(name)
            self._queue.append(job)
        return not any(spec.trajectory_id in self._under_way for spec in trial.specs)

    def _end_of(self, number: int, labels: int, has_failed: bool) -> None:
        """Record a trial that Tune has ended before all of its rounds."""
        if number in self.records or number not in self._open:
            return
        trial = self._open[number]
        self._record(trial, "failed" if has_failed else "stopped", labels)
        self._close(trial)

    def _close(self, trial: _Open) -> None:
        """Forget a trial that has ended, and the rounds that no other one waits for: a search may be long."""
        del self._open[trial.number]
        needed = {spec.trajectory_id for other in self._open.values() for spec in other.specs}
        for spec in trial.specs:
            if spec.trajectory_id not in needed:
                self._rounds.pop(spec.trajectory_id, None)

    def _record(self, trial: _Open, status: Any, labels: int) -> None:
        curves = [self._rounds[spec.trajectory_id] for spec in trial.specs]
        record = make_record(self.sweep, trial.number, trial.values, trial.specs, curves, status, labels)
        self.records[trial.number] = record
        self.save()
        if self.progress is not None:
            self.progress.trial_ended(record)

    def save(self) -> None:
        """Write the trials with their trajectories, and the mirror where one is wanted."""
        self._join([spec for record in self.records.values() for spec in record.specs])
        rows = {int(row["trial"]): row for row in self._store.trials(self.study)}
        rows |= {number: record.row(self.study, self.sweep) for number, record in self.records.items()}
        if rows:
            self._store.write_trials(self.study, [rows[number] for number in sorted(rows)])
        if self._options.optuna_storage is not None:
            told = [record.told for record in self.records.values()]
            n_objectives = self.sweep.n_objectives
            mirror(self._options.optuna_storage, self.study, self.sweep.space, told, n_objectives=n_objectives)

    def confirm(self) -> None:
        """Add what is left of the finalists' advantages to earlier looks, where that was asked for."""
        if (n_seeds := self._options.confirm_seeds) and self.finalists:
            found = confirmed(self.sweep, self._data, self.finalists, n_seeds, self._store)
            earlier = self._store.confirmations(self.study)
            self._store.write_confirmations(self.study, [*earlier, *found.rows(self.study, datetime.now(UTC))])

    def registering(self, *, keep: bool) -> str | None:
        """Keep what the sweep will show, or see whether that may be; what to say of it."""
        default, options = self.sweep.default_specs(self._data)[0], self._options
        if not options.register:
            return beyond(self._store, sweep_subject(self.sweep.strategy), default.data_hash, self.study)
        n_seeds = len(self.sweep.seeds)
        wanted = of_sweep(
            self.sweep,
            default,
            study=self.study,
            n_trials=self.n_trials,
            confirm_seeds=confirm_seeds(self.sweep, options.confirm_seeds),
            n_begun=len(self.records) * n_seeds + sum(job.origin != "new" for job in self.plan().jobs),
            command=options.command,
        )
        return register(wanted, self._store, self.n_trials * n_seeds, keep=keep)


def run_sweep(sweep: Sweep, data: Dataset, out: Location, resources: Resources, options: Options) -> SweepOutcome:
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
        raise SpecError(f"Expected at most {MAX_SEEDS} seeds, but got {options.confirm_seeds} to confirm.")
    console, progress_console = terminal(), Console(stderr=True)
    store = Store(out)
    search = _Search(sweep, data, store, options)
    for note in learner_notes(sweep.settings.get(LEARNER, {}), [sweep.strategy]):
        say(progress_console, note)
    if (text := search.registering(keep=False)) and options.dry_run:
        say(progress_console, text)
    failures: list[Failed] = []
    if n_left := search.n_left:
        # The stack is outside: Tune's thread ends with the cluster.
        with ExitStack() as stack, machine(resources, data, n_left, dry_run=options.dry_run) as settled:
            show_plan(progress_console, str(search), settled, search.plan())
            if options.dry_run:
                return SweepOutcome(search.study, 0)
            from harness.workers.driver import drive

            with store.writing():
                # Read again: another process may have written until the lock was taken.
                search = _Search(sweep, data, store, options)
                if text := search.registering(keep=True):
                    say(progress_console, text)
                search.save()
                with SweepProgress(search.n_trials, list(search.records.values()), progress_console) as progress:
                    search.progress = progress
                    tuning = search.tune(settled.workers or 1)
                    if tuning is not None:
                        stack.callback(tuning.close)
                    failures = drive(search.jobs(tuning), data, store, settled, search.listener(tuning))
                search.confirm()
    else:
        say(progress_console, str(search))
        if options.dry_run:
            return SweepOutcome(search.study, 0)
        with store.writing():
            if text := search.registering(keep=True):
                say(progress_console, text)
            search.save()
            search.confirm()
    from analysis import load
    from studies.sweeps.summary import show_confirmation, show_trials, write_figures

    records = list(search.records.values())
    if records:
        show_trials(sweep, records, console)
    results = load(out, study=search.study, queries=False, metric=sweep.metric)
    show_confirmation(results, console)
    for path in write_figures(results, out / search.study):
        say(console, str(path))
    say(console, str(out / "trials"))
    n_failed = sum(record.status == "failed" for record in records)
    n_unconfirmed = sum(failed.job.spec.evaluate_on == "confirm" for failed in failures)
    return SweepOutcome(search.study, n_failed, n_unconfirmed)
