"""The bridge between Tune and the workers: trials become jobs, and what their trajectories give becomes reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.exceptions import ResourceError
from harness.plan import Job
from harness.spec import TrajectorySpec
from harness.workers.events import Event, Restarted, Started
from studies.sweeps.book import TrialBook
from studies.sweeps.legs import JobQueue
from studies.sweeps.progress import SweepProgress
from studies.sweeps.trials import REDUCTION, Status, reports

if TYPE_CHECKING:
    from studies.sweeps.tuning import Tuning


def start_tuning(book: TrialBook, n_concurrent: int) -> Tuning:
    """Start Tune over the trials that have not ended.

    Args:
        book: of the sweep; Tune's thread asks it for configurations.
        n_concurrent: trials that Tune runs at once, each in a process.
    """
    from studies.sweeps.tuning import Tuning  # late: where nothing is left to run, Tune is not even loaded

    is_asha = book.sweep.scheduler == "asha"
    # ASHA learns from what earlier runs have finished before it judges anything new.
    replayed = sorted(book.records) if is_asha else []
    return Tuning(
        [*replayed, *book.pending],
        lambda number: dict(book.configure(number)),
        grid=book.sweep.search == "grid",
        n_concurrent=n_concurrent,
        window=book.sweep.space.window,
        reduction=REDUCTION if is_asha else None,
    )


@dataclass(eq=False)
class _Open:
    """A trial that has begun: reports that Tune has asked for, and label counts of those it got."""

    number: int
    specs: list[TrajectorySpec]
    asked: int = 0
    sent: list[int] = field(default_factory=list)


class Bridge:
    """Serves the trials that have begun.

    One thread, the driver's, asks it for jobs and tells it what became of them.

    Args:
        book: of the sweep.
        queue: of its jobs.
        tuning: Tune, which says what trials ask for and when they end.
        progress: told of each event and trial.
        n_ahead: trials that may have begun at once although Tune has not started them yet; it starts them later, in the
            same order. 0 waits for Tune.
    """

    def __init__(
        self, book: TrialBook, queue: JobQueue, tuning: Tuning, progress: SweepProgress, *, n_ahead: int = 0
    ) -> None:
        self._book = book
        self._queue = queue
        self._tuning = tuning
        self._progress = progress
        self._n_ahead = n_ahead
        self._open: dict[int, _Open] = {}
        self._answered: set[int] = set()

    def jobs(self) -> Iterator[Job | None]:
        """A live queue, until all trials have ended: the next job, or None where there is none yet.

        Raises:
            ResourceError: Tune has ended before its trials.
        """
        while self._book.pending:
            error = self._tuning.error
            ahead = [(number, 0) for number in self._book.pending[: self._n_ahead] if number not in self._open]
            for number, position in [*ahead, *self._tuning.requests()]:
                if number not in self._answered:
                    trial = self._open.get(number) or self._begin(number)
                    trial.asked = max(trial.asked, position + 1)
                    self._advance(trial)
            for number, labels, has_failed in self._tuning.ended():
                if number in self._open and number not in self._book.records:  # before all of its rounds
                    trial = self._open[number]
                    self._record(trial, "failed" if has_failed else "stopped", labels)
                    self._close(trial)
            if error is not None and self._book.pending:
                raise ResourceError(f"Expected Ray Tune to run all trials, but it ended with: {error}.")
            yield self._queue.take()

    def listen(self, event: Event | Restarted) -> None:
        """Take notice of an event, which is in the store."""
        self._progress(event)
        self._queue.hear(event)
        if not isinstance(event, Started | Restarted):
            for trial in list(self._open.values()):
                if event.job.spec.trajectory_id in [spec.trajectory_id for spec in trial.specs]:
                    self._advance(trial)

    def _begin(self, number: int) -> _Open:
        trial = self._open[number] = _Open(number, self._book.specs(number))
        self._book.join(trial.specs)
        if number not in self._book.records:
            self._progress.trial_started(number, trial.specs)
        return trial

    def _advance(self, trial: _Open) -> None:
        """Answer a trial as far as its trajectories have come, and queue what it waits for."""
        if (known := self._known(trial)) is None:
            return
        found, is_over = known
        new = [(labels, value) for labels, value in found if not trial.sent or labels > trial.sent[-1]]
        trial.sent += [labels for labels, _ in new]
        if is_over:
            self._close(trial)
            self._answered.add(trial.number)
        if new or is_over:
            self._tuning.reply(trial.number, new, is_over=is_over)
        if not is_over and trial.asked > len(trial.sent) and self._queue_leg(trial):
            self._advance(trial)

    def _known(self, trial: _Open) -> tuple[list[tuple[int, float]], bool] | None:
        """The reports of a trial so far, and whether they are all; None where it ends as soon as its workers stop."""
        sweep = self._book.sweep
        budget = sweep.space.budget
        if (recorded := self._book.records.get(trial.number)) is not None:
            return list(recorded.reports), True
        if self._queue.has_failed(trial.specs):
            if self._queue.is_under_way(trial.specs):
                return None
            self._record(trial, "failed", min(map(self._queue.labels, trial.specs)))
            return [], True
        curves = [self._queue.rounds(spec) for spec in trial.specs]
        found = reports(curves, sweep.objective, sweep.space.window, sweep.rungs, sweep.metric)
        if all(map(self._book.is_done, trial.specs)):
            self._record(trial, "complete", budget)
            return found, True
        # The last report waits for the rows that say that all is well.
        return [(labels, value) for labels, value in found if labels < budget], False

    def _queue_leg(self, trial: _Open) -> bool:
        """Queue the trajectories of a trial up to the next label count at which it may be stopped.

        Returns:
            Whether there was nothing to run, because another trajectory had begun alike.
        """
        space = self._book.sweep.space
        reached = min(map(self._queue.labels, trial.specs))
        goal = next((rung for rung in self._book.sweep.rungs if rung > reached), space.budget)
        counts = space.schedule(self._book.configure(trial.number)).label_counts
        n_rounds = next(round_ + 1 for round_, n_labels in enumerate(counts) if n_labels >= goal)
        for spec in trial.specs:
            if not self._book.is_done(spec):
                self._queue.add(spec, n_rounds)
        return not self._queue.is_under_way(trial.specs)

    def _record(self, trial: _Open, status: Status, labels: int) -> None:
        curves = [self._queue.rounds(spec) for spec in trial.specs]
        self._progress.trial_ended(self._book.record(trial.number, trial.specs, curves, status, labels))

    def _close(self, trial: _Open) -> None:
        """Forget a trial that has ended, and the rounds that no other one waits for: a search may be long."""
        del self._open[trial.number]
        needed = {spec.trajectory_id for other in self._open.values() for spec in other.specs}
        self._queue.forget([spec for spec in trial.specs if spec.trajectory_id not in needed])
