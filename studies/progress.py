"""Live progress of a study: a bar and a line per running trajectory, or plain lines without a terminal."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from harness.plan import Job
from harness.workers.events import Event, Failed, Finished, Paused, Restarted, RoundDone, Started


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
                    f"{self._title(job)}  starts again at round 0, as its finished rounds cannot be reproduced exactly"
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
            return "time left not known yet"
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


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 05 min` or `31 days`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds >= 3 * 86400:
        return f"{seconds / 86400:.0f} days"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
