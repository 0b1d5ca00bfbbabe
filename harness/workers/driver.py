"""The single writer: puts every event of what runs into the store."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from harness.data import Dataset
from harness.plan import Job
from harness.record import RoundRecord
from harness.spec import canonical_json
from harness.store import schema
from harness.store.reading import Row, from_json, round_seconds
from harness.store.writing import Store
from harness.workers.events import Event, Failed, Finished, Paused, Restarted, RoundDone, Started
from harness.workers.fingerprint import git_commit
from harness.workers.resources import Resources


def drive(
    jobs: Iterable[Job | None],
    data: Dataset,
    store: Store,
    resources: Resources,
    listen: Callable[[Event | Restarted], None],
) -> list[Failed]:
    """Run jobs on the connected cluster, those of a plan or a live queue of them.

    Args:
        jobs: what is left to run; None where there is nothing yet (`harness.workers.cluster.execute`).
        data: the data set.
        store: held for writing.
        resources: settled for the connected cluster.
        listen: called with each event after it is in the store.

    Returns:
        The failures, in the order in which they happened.
    """
    from harness.workers.cluster import execute  # late: who runs without Ray records as well

    return record(execute(jobs, data, resources), store, listen)


def record(events: Iterable[Event], store: Store, listen: Callable[[Event | Restarted], None]) -> list[Failed]:
    """Put events into the store.

    Args:
        events: of jobs that run.
        store: held for writing.
        listen: called with each event after it is in the store.

    Returns:
        The failures, in the order in which they happened.
    """
    failures = []
    commit = git_commit()
    started: dict[str, datetime] = {}
    for event in events:
        job = event.job
        name = job.spec.trajectory_id
        match event:
            case Started():
                started[name] = datetime.now(UTC)
                # Somebody may have removed some of the files of a finished trajectory; what is left must not count.
                if job.origin != "retried":
                    store.forget(name, schema.MERGEABLE if job.origin != "resumed" else ("trajectories",))
                if job.origin == "continued":
                    store.write_rounds(name, job.rounds, job.queries)
            case RoundDone(record=done):
                if done.round < len(job.rounds):
                    store.forget(name, ("queries", "rounds"))
                    listen(Restarted(job))
                job.rounds[done.round :] = [_round_row(job, done)]
                job.queries[done.round :] = [_query_rows(name, done)]
                store.write_rounds(name, job.rounds, job.queries)
            case Finished(summary=summary):
                row = _trajectory_row(job, started[name], commit, "ok", None)
                row |= {
                    "versions": canonical_json(summary.versions),
                    "device": summary.device,
                    "peak_bytes": max([summary.peak_bytes, *(_peak(row) for row in job.rounds)]),
                }
                store.write_trajectory(row)
            case Failed(message=message):
                failures.append(event)
                store.write_trajectory(_trajectory_row(job, started[name], commit, "failed", message))
        listen(event)
        if isinstance(event, Finished | Failed | Paused):
            job.rounds, job.queries, job.history = [], [], None  # they are in the store, and a study has many
    return failures


def _round_row(job: Job, record: RoundRecord) -> Row:
    spec = job.spec
    return {
        "trajectory_id": spec.trajectory_id,
        "data": spec.data,
        "strategy": spec.strategy,
        "params": spec.params_json,
        "seed": spec.seed,
        "round": record.round,
        "n_labels": record.n_labels,
        "n_query": record.n_query,
        "accuracy": record.accuracy,
        "select_seconds": record.select_seconds,
        "train_seconds": record.train_seconds,
        "n_clusters": record.n_clusters,
        "coverage_estimated": record.coverage_estimated,
        "coverage_ntk_true": record.coverage_ntk_true,
        "coverage_true": record.coverage_true,
        "stats": canonical_json(record.stats),
        **record.metrics,
    }


def _query_rows(name: str, record: RoundRecord) -> list[Row]:
    scores: list[float | None] = [None] * record.n_query
    if record.scores is not None:
        scores = [float(score) if math.isfinite(score) else None for score in record.scores]
    return [
        {"trajectory_id": name, "round": record.round, "position": k, "pool_index": int(index), "score": score}
        for k, (index, score) in enumerate(zip(record.picks, scores, strict=True))
    ]


def _trajectory_row(job: Job, started: datetime, commit: str | None, status: str, message: str | None) -> Row:
    spec = job.spec
    return {
        "trajectory_id": spec.trajectory_id,
        "data": spec.data,
        "data_hash": spec.data_hash,
        "strategy": spec.strategy,
        "params": spec.params_json,
        "seed": spec.seed,
        "schedule": spec.schedule,
        "evaluate_on": spec.evaluate_on,
        "status": status,
        "message": message,
        "spec": canonical_json(spec.model_dump(mode="json")),
        "git": commit,
        "started_at": started,
        "seconds": sum(round_seconds(row) for row in job.rounds),
    }


def _peak(row: Row) -> int:
    return int(from_json(row["stats"]).get("peak_bytes", 0))
