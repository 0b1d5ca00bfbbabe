"""A study in this process: one trajectory after the other, without Ray, into the same store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from harness.data import Dataset
from harness.exceptions import HarnessError, SpecError, in_one_line, note_place
from harness.plan import Job, Plan, make_plan
from harness.record import History, RoundRecord
from harness.spec import TrajectorySpec, study_name
from harness.store.writing import Store
from harness.trajectory import run_trajectory
from harness.workers.driver import record
from harness.workers.events import Event, Failed, Finished, Restarted, RoundDone, Started, Summary
from harness.workers.fingerprint import digest, fingerprint, versions
from harness.workers.memory import peak_bytes, reset_peak
from strategies.base import Compute
from strategies.exceptions import StrategyError


def run_study(
    specs: Sequence[TrajectorySpec],
    data: Dataset,
    store: Store,
    *,
    name: str | None = None,
    command: str = "harness.run_study(specs, data, store)",
    compute: Compute | None = None,
    listen: Callable[[Event | Restarted], None] = lambda event: None,
) -> Plan:
    """Run what the store does not have yet, in this process and without Ray; the rows are those of `ntkcpl compare`.

    Finished trajectories are not repeated, interrupted ones continue, and failed ones are tried again. If a trajectory
    raises an error, it becomes a row with the status `failed`, and the error is raised.

    Args:
        specs: the trajectories of the study.
        data: the data set of the trajectories.
        store: the store to write to.
        name: name of the study in the store; None makes one from the trajectories.
        command: the command that the report shows for this study.
        compute: the share of the machine; it changes no result.
        listen: called with each event (`harness.workers.events`) after it is in the store.

    Returns:
        What was already done, and what was run.

    Raises:
        SpecError: A trajectory has another data set.
        StoreError: Another process writes to the store, or the store cannot be written.
    """
    for spec in specs:
        if spec.data_hash != data.content_hash:
            raise SpecError(f"Expected trajectories of `{data.name}`, but got one of other data, `{spec.data}`.")
    with store.writing():
        plan = make_plan(specs, store)
        ids = [spec.trajectory_id for spec in specs]
        store.write_study(name or study_name("python", specs), command, ids)
        record(_events(plan.jobs, data, compute or Compute()), store, listen)
    return plan


def run_job(
    spec: TrajectorySpec,
    data: Dataset,
    compute: Compute,
    history: History | None = None,
    history_fingerprint: str | None = None,
    until: int | None = None,
) -> Iterator[RoundRecord | Summary]:
    """The rounds of a trajectory as they finish, up to round `until`, then its summary.

    Args:
        spec: what to run.
        data: the data set of the trajectory.
        compute: the share of the machine.
        history: rounds from which to continue, if they were computed with the same arithmetic.
        history_fingerprint: fingerprint of the arithmetic with which they were computed.
        until: the round to stop before; None runs them all.
    """
    arithmetic = fingerprint(compute.device)
    if history_fingerprint != digest(arithmetic):
        history = None
    peaks = []
    reset_peak()
    try:
        for each in run_trajectory(spec, data, compute=compute, history=history, until=until):
            peaks.append(peak_bytes())
            own = {"peak_bytes": peaks[-1], "fingerprint": digest(arithmetic)}
            yield replace(each, stats={**each.stats, **own})
            reset_peak()
    except (HarnessError, StrategyError):
        raise  # says what is wrong, and in whose code
    except Exception as error:
        note_place(error)
        raise
    yield Summary(compute.device, {**versions(), "fingerprint": arithmetic}, max([*peaks, peak_bytes()]))


def _events(jobs: Iterable[Job], data: Dataset, compute: Compute) -> Iterator[Event]:
    for job in jobs:
        yield Started(job)
        try:
            for each in run_job(job.spec, data, compute, job.history, job.fingerprint):
                yield RoundDone(job, each) if isinstance(each, RoundRecord) else Finished(job, each)
        except Exception as error:
            yield Failed(job, in_one_line(error))
            raise
