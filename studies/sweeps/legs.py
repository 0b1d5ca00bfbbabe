"""The job queue of a sweep: how far its trajectories are, and which is to go how much further."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from harness.plan import Job, make_plan
from harness.spec import TrajectorySpec
from harness.store.reading import Row, StoreReader
from harness.workers.events import Event, Failed, Finished, Paused, Restarted


class JobQueue:
    """Jobs that wait for a worker, each a leg of a trajectory that one or more trials wait for.

    One thread, the driver's, adds jobs, takes them and says what became of them.

    Args:
        store: what the trajectories have so far.
        known: its rows of `trajectories` by id; those that end are added.
    """

    def __init__(self, store: StoreReader, known: dict[str, Row]) -> None:
        self._store = store
        self._known = known
        self._rounds: dict[str, list[Row]] = {}
        self._waiting: deque[Job] = deque()
        self._under_way: set[str] = set()
        self._failed: set[str] = set()

    def rounds(self, spec: TrajectorySpec) -> list[Row]:
        """Finished rounds of a trajectory; they grow while it runs."""
        name = spec.trajectory_id
        if name not in self._rounds:
            self._rounds[name] = self._store.rounds(name)[0]
        return self._rounds[name]

    def labels(self, spec: TrajectorySpec) -> int:
        """Label count that a trajectory has reached."""
        rounds = self.rounds(spec)
        return int(rounds[-1]["n_labels"]) if rounds else 0

    def is_under_way(self, specs: Iterable[TrajectorySpec]) -> bool:
        """Whether one of these waits for a worker or runs."""
        return any(spec.trajectory_id in self._under_way for spec in specs)

    def has_failed(self, specs: Iterable[TrajectorySpec]) -> bool:
        """Whether one of these has failed in this run."""
        return any(spec.trajectory_id in self._failed for spec in specs)

    def add(self, spec: TrajectorySpec, n_rounds: int) -> None:
        """Let a trajectory that is not finished run up to a number of rounds, unless it is as far or under way."""
        if self.is_under_way([spec]):
            return
        (job,) = make_plan([spec], self._store, self._known).jobs
        job.until = n_rounds
        self._rounds[spec.trajectory_id] = job.rounds
        if len(job.rounds) < n_rounds or job.is_last_leg:
            self._under_way.add(spec.trajectory_id)
            self._waiting.append(job)

    def take(self) -> Job | None:
        """The next job; None where nothing waits."""
        return self._waiting.popleft() if self._waiting else None

    def hear(self, event: Event | Restarted) -> None:
        """Take notice of what became of a job; it is in the store."""
        name = event.job.spec.trajectory_id
        if isinstance(event, Failed):
            self._failed.add(name)
        if isinstance(event, Finished):
            self._known[name] = self._store.trajectory(name)
        if isinstance(event, Failed | Finished | Paused):
            self._under_way.discard(name)

    def forget(self, specs: Sequence[TrajectorySpec]) -> None:
        """Forget the rounds of trajectories that nobody waits for, unless they grow: a search may be long."""
        for spec in specs:
            if not self.is_under_way([spec]):
                self._rounds.pop(spec.trajectory_id, None)
