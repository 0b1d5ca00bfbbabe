"""Live progress of a study: a bar and a line per running trajectory, or plain lines without a terminal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from harness.plan import Job
from harness.spec import TrajectorySpec
from harness.workers.events import Event, Failed, Finished, Paused, Restarted, RoundDone, Started

if TYPE_CHECKING:
    from studies.sweeps.trials import Record


class StudyProgress:
    """Listens to a study's events and shows them.

    Args:
        jobs: what will run.
        console: where to write.
    """

    def __init__(self, jobs: list[Job], console: Console) -> None:
        self._console = console
        self._n_jobs = len(jobs)
        self._rounds_left = sum(len(job.spec.queries) - len(job.rounds) for job in jobs)
        self._rounds_done = 0
        self._ended = 0
        self._began = time.monotonic()
        self._running: dict[str, tuple[Job, float | None]] = {}
        self._bar = Progress(
            TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}")
        )
        self._task = self._bar.add_task("trajectories", total=self._n_jobs, left="")
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, event: Event | Restarted) -> None:
        """Take notice of an event."""
        job = event.job
        name = job.spec.trajectory_id
        match event:
            case Started():
                self._running[name] = (job, job.rounds[-1]["accuracy"] if job.rounds else None)
            case RoundDone(record=record):
                self._running[name] = (job, record.accuracy)
                self._rounds_done += 1
                self._rounds_left -= 1
                if not self._live:
                    self._say(
                        f"{self._title(job)}  round {record.round}  labels {record.n_labels}  {record.accuracy:.2%}"
                    )
            case Restarted():
                self._rounds_left += len(job.rounds)
                self._say(
                    f"{self._title(job)}  starts again at round 0: its finished rounds cannot be repeated bit by bit"
                )
            case Failed(message=message):
                self._end(job)
                self._say(f"{self._title(job)}  failed: {message}")
            case Finished():
                self._end(job)
                self._say_done(job)
            case Paused():
                self._running.pop(name, None)
        if self._live:
            self._live.update(self._render())

    def _say_done(self, job: Job) -> None:
        if not self._live:
            self._say(f"{self._title(job)}  done  ({self._ended}/{self._n_jobs}, {self._time_left()})")

    def _heading(self) -> tuple[int, str]:
        """Trajectories done, and what is said beside them."""
        return self._ended, self._time_left()

    def _end(self, job: Job) -> None:
        self._running.pop(job.spec.trajectory_id, None)
        self._rounds_left -= max(0, len(job.spec.queries) - len(job.rounds))
        self._ended += 1

    def _owner(self, job: Job) -> str:
        """What a trajectory belongs to."""
        return job.spec.strategy

    def _title(self, job: Job) -> str:
        return f"{self._owner(job)}  seed {job.spec.seed}"

    def _say(self, line: str) -> None:
        self._console.print(escape(line), soft_wrap=True, highlight=False)

    def _time_left(self) -> str:
        if self._rounds_done == 0:
            return "time left unknown yet"
        seconds = (time.monotonic() - self._began) / self._rounds_done * self._rounds_left
        return f"about {duration(seconds)} left"

    def _render(self) -> Group:
        completed, left = self._heading()
        self._bar.update(self._task, completed=completed, left=left)
        table = Table(box=None, pad_edge=False)
        for heading in ("running", "seed", "round", "labels", "accuracy"):
            table.add_column(heading, justify="left" if heading == "running" else "right")
        for job, accuracy in self._running.values():
            n_labels = job.rounds[-1]["n_labels"] if job.rounds else 0
            table.add_row(
                escape(self._owner(job)),
                str(job.spec.seed),
                f"{len(job.rounds)}/{len(job.spec.queries)}",
                str(n_labels),
                "" if accuracy is None else f"{accuracy:.1%}",
            )
        return Group(self._bar, table)


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
        self._say(f"confirming: {n_jobs} trajectories with other seeds, or of the default")

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
            return "time left unknown yet"
        seconds = (time.monotonic() - self._began) / (n_ended - self._n_before) * (self._n_trials - n_ended)
        return f"about {duration(seconds)} left"

    def _heading(self) -> tuple[int, str]:
        return self._counts.total(), self._state()


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 05 min` or `31 days`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds >= 3 * 86400:
        return f"{seconds / 86400:.0f} days"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
