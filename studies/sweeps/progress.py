"""Live progress of a sweep: its trials beside the running trajectories."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from rich.console import Console

from analysis.words import counted
from harness.plan import Job
from harness.spec import TrajectorySpec
from studies.progress import StudyProgress, duration
from studies.sweeps.trials import Record


class SweepProgress(StudyProgress):
    """Listens to a sweep's events and shows its trials beside the running trajectories.

    Args:
        n_trials: how many there will be.
        records: trials that had ended before.
        console: where to write.
    """

    def __init__(self, n_trials: int, records: list[Record], console: Console) -> None:
        super().__init__([], console)
        self._n_trials = n_trials
        self._counts = Counter(record.status for record in records)
        self._n_before = len(records)
        self._running_trials: dict[int, set[str]] = {}
        self._best = max(records, key=lambda record: record.objective, default=None)
        self._bar.update(self._task, description="trials", total=n_trials)

    def trial_started(self, number: int, specs: Sequence[TrajectorySpec]) -> None:
        """Take notice of a trial that begins, with its trajectories."""
        self._running_trials[number] = {spec.trajectory_id for spec in specs}

    def trial_ended(self, record: Record) -> None:
        """Take notice of a trial that has ended."""
        self._running_trials.pop(record.number, None)
        self._counts[record.status] += 1
        if self._best is None or record.objective > self._best.objective:
            self._best = record
        if not self._live:
            found = f"{record.objective:.2%}" if record.scores else f"{record.status} at {record.labels} labels"
            self._say(f"trial {record.number}  {found}  ({self._counts.total()}/{self._n_trials}, {self._state()})")

    def confirming(self, n_jobs: int) -> None:
        """Take notice of the search's end."""
        self._say(
            f"confirming the best: {counted(n_jobs, 'trajectory')} with other seeds or of the default configuration"
        )

    def _end(self, job: Job) -> None:
        self._running.pop(job.spec.trajectory_id, None)

    def _owner(self, job: Job) -> str:
        numbers = [number for number, names in self._running_trials.items() if job.spec.trajectory_id in names]
        return f"trial {', '.join(map(str, numbers))}" if numbers else super()._owner(job)

    def _say_done(self, job: Job) -> None:
        pass

    def _state(self) -> str:
        parts = [f"{len(self._running_trials)} running"]
        parts += [f"{self._counts[status]} {status}" for status in ("stopped", "failed") if self._counts[status]]
        if self._best is not None and self._best.scores:
            parts.append(f"best {self._best.objective:.2%} in trial {self._best.number}")
        if self._counts.total() < self._n_trials:
            parts.append(self._time_left())
        return ", ".join(parts)

    def _time_left(self) -> str:
        n_ended = self._counts.total()
        if n_ended == self._n_before:
            return "time left not known yet"
        seconds = (time.monotonic() - self._began) / (n_ended - self._n_before) * (self._n_trials - n_ended)
        return f"about {duration(seconds)} left"

    def _heading(self) -> tuple[int, str]:
        return self._counts.total(), self._state()
