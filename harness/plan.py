"""What a study still has to run, given what its store holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from harness.exceptions import StoreError
from harness.record import History
from harness.spec import TrajectorySpec
from harness.store.reading import Row, StoreReader, from_json

Origin = Literal["new", "resumed", "continued", "retried"]


@dataclass(eq=False)
class Job:
    """A trajectory to run, with the rounds it goes on from.

    Attributes:
        spec: what to run.
        origin: `resumed` from its own interrupted rounds, `continued` from a trajectory that begins alike,
            `retried` after a failure.
        rounds: rows of `rounds` that are finished; grows as the job runs.
        queries: rows of `queries`, a list per finished round.
        history: what it starts from: the rounds that were there at the start.
        until: the round to stop before, leaving the rest to a later job; None runs them all.
    """

    spec: TrajectorySpec
    origin: Origin = "new"
    rounds: list[Row] = field(default_factory=list)
    queries: list[list[Row]] = field(default_factory=list)
    history: History | None = None
    until: int | None = None

    @property
    def is_last_leg(self) -> bool:
        """Whether nothing is left of the schedule after this job."""
        return self.until is None or self.until >= len(self.spec.queries)

    @property
    def fingerprint(self) -> str | None:
        """Arithmetic fingerprint of the finished rounds; None where they disagree."""
        found = {from_json(row["stats"]).get("fingerprint") for row in self.rounds}
        return found.pop() if len(found) == 1 else None


@dataclass(frozen=True, eq=False)
class Plan:
    """What a study has and still needs.

    Attributes:
        done: trajectories that are finished.
        jobs: the others, in the study's order.
        known: the store's rows of `trajectories` by id.
    """

    done: list[TrajectorySpec]
    jobs: list[Job]
    known: Mapping[str, Row]


def make_plan(
    specs: Sequence[TrajectorySpec], store: StoreReader, trajectories: Mapping[str, Row] | None = None
) -> Plan:
    """Compare a study with its store.

    Args:
        specs: what the study is made of.
        store: what there is.
        trajectories: the store's rows of `trajectories`, where they are known; None reads them.
    """
    rows = store.trajectories() if trajectories is None else trajectories
    finished = {name: stored_spec(row) for name, row in rows.items() if row["status"] == "ok"}
    by_lineage: dict[str, list[TrajectorySpec]] = {}
    for spec in finished.values():
        by_lineage.setdefault(spec.lineage, []).append(spec)
    done = [spec for spec in specs if spec.trajectory_id in finished]
    jobs = []
    for spec in specs:
        if spec.trajectory_id in finished:
            continue
        origin: Origin = "retried" if spec.trajectory_id in rows else "resumed"
        job = _continue(Job(spec, origin), spec, store, len(spec.queries))
        for donor in by_lineage.get(spec.lineage, []):
            shared = spec.n_alike(donor)
            if shared > len(job.rounds):
                job = _continue(Job(spec, "continued"), donor, store, shared)
        if not job.rounds and job.origin == "resumed":
            job.origin = "new"
        jobs.append(job)
    return Plan(done, jobs, rows)


def stored_spec(row: Row) -> TrajectorySpec:
    """What a row of `trajectories` was made from.

    Raises:
        StoreError: its `spec` cannot be read.
    """
    try:
        return TrajectorySpec.model_validate_json(row["spec"])
    except ValueError as error:
        raise StoreError(
            f"Expected the specification of trajectory {row['trajectory_id']} in its column `spec`, but cannot read "
            "it; see `ntkcpl store check`."
        ) from error


def _continue(job: Job, donor: TrajectorySpec, store: StoreReader, n_rounds: int) -> Job:
    rounds, picks, queries = store.rounds(donor.trajectory_id)
    own = {"trajectory_id": job.spec.trajectory_id, "data": job.spec.data, "params": job.spec.params_json}
    job.rounds = [{**row, **own} for row in rounds[:n_rounds]]
    job.queries = [[{**row, "trajectory_id": job.spec.trajectory_id} for row in rows] for rows in queries[:n_rounds]]
    job.history = History(picks[:n_rounds], job.rounds[-1]["accuracy"]) if job.rounds else None
    return job
