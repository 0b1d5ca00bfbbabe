"""The Ray shell: one long-lived actor per share of the machine, one trajectory a call."""

from __future__ import annotations

import logging
import math
import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DISABLE_MEMORY_MONITOR": "0",
}
for _name, _value in _QUIET.items():
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402
import torch  # noqa: E402
from ray.exceptions import RayActorError, RayError, RayTaskError  # noqa: E402

from harness.data import Dataset  # noqa: E402
from harness.exceptions import ResourceError  # noqa: E402
from harness.fingerprint import digest, fingerprint, versions  # noqa: E402
from harness.memory import peak_bytes  # noqa: E402
from harness.plan import Job  # noqa: E402
from harness.spec import TrajectorySpec  # noqa: E402
from harness.trajectory import History, RoundRecord, run_trajectory  # noqa: E402
from strategies.base import Compute  # noqa: E402


@dataclass(frozen=True)
class Resources:
    """What a study may use.

    Attributes:
        workers: trajectories at once; None takes what the cluster has room for.
        cpus_per_trajectory: CPU threads of each.
        gpus_per_trajectory: GPUs of each, fractions allowed; None is 1 where the cluster has GPUs.
        num_gpus: GPUs of a local cluster; None finds out.
        address: an existing Ray cluster; None starts a local one.
    """

    workers: int | None = None
    cpus_per_trajectory: int = 1
    gpus_per_trajectory: float | None = None
    num_gpus: int | None = None
    address: str | None = None


@dataclass(frozen=True, eq=False)
class Summary:
    """The end of a trajectory, from the process that ran it."""

    device: str
    versions: dict[str, Any]
    peak_bytes: int


@dataclass(frozen=True, eq=False)
class Started:
    """A worker took the job."""

    job: Job


@dataclass(frozen=True, eq=False)
class RoundDone:
    """A round is finished."""

    job: Job
    record: RoundRecord


@dataclass(frozen=True, eq=False)
class Finished:
    """All rounds are finished."""

    job: Job
    summary: Summary


@dataclass(frozen=True, eq=False)
class Failed:
    """The trajectory raised, or its worker died."""

    job: Job
    message: str


Event = Started | RoundDone | Finished | Failed


@contextmanager
def cluster(resources: Resources, data_bytes: int) -> Iterator[None]:
    """A connection to Ray, closed at the end; a local cluster ends with it.

    Args:
        resources: where to connect, or what a local cluster has.
        data_bytes: size of the data set, for the object store of a local cluster.

    Raises:
        ResourceError: there is no cluster at the address.
    """
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL, "include_dashboard": False}
    environment = {"env_vars": {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}}
    try:
        if resources.address is None:
            os.environ.setdefault("RAY_AUTH_MODE", "disabled")
            ray.init(
                address="local",
                num_gpus=resources.num_gpus,
                object_store_memory=200 * 2**20 + 2 * data_bytes,
                runtime_env=environment,
                **quiet,
            )
        else:
            quiet.pop("include_dashboard")
            ray.init(address=resources.address, runtime_env=environment, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise ResourceError(
            f"Expected a Ray cluster at `{resources.address or 'local'}`, but got: {first_line}"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def settle(resources: Resources, n_jobs: int) -> Resources:
    """Fill in the number of workers and GPUs from the connected cluster.

    Raises:
        ResourceError: the cluster cannot give what was asked for.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    n_cpus = sum(node.get("CPU", 0) for node in nodes)
    n_gpus = sum(node.get("GPU", 0) for node in nodes)
    gpus = resources.gpus_per_trajectory
    if gpus is None:
        gpus = 1.0 if n_gpus else 0.0
    room = sum(_room(node, resources.cpus_per_trajectory, gpus) for node in nodes)
    asked = resources.workers or 1
    if asked > room:
        raise ResourceError(
            f"Expected room for {asked} x ({resources.cpus_per_trajectory} CPUs, {gpus:g} GPUs), but the cluster has "
            f"{n_cpus:g} CPUs and {n_gpus:g} GPUs, room for {room}; ask for fewer workers or smaller shares."
        )
    return replace(resources, workers=max(1, min(resources.workers or room, n_jobs)), gpus_per_trajectory=gpus)


def _room(node: dict[str, float], cpus: int, gpus: float) -> int:
    room = node.get("CPU", 0) // cpus
    if gpus >= 1:
        room = min(room, node.get("GPU", 0) // gpus)
    elif gpus > 0:
        # A fraction never spans two GPUs.
        room = min(room, node.get("GPU", 0) * math.floor(1 / gpus + 1e-9))
    return int(room)


@ray.remote
class TrajectoryActor:
    """Owns a share of the machine and the data set; runs one trajectory after the other."""

    def __init__(self, data: Dataset, n_threads: int) -> None:
        self._data = data
        device = "cuda" if ray.get_gpu_ids() and torch.cuda.is_available() else "cpu"
        self._compute = Compute(n_threads=n_threads, device=device)

    def run(
        self, spec: TrajectorySpec, history: History | None, history_fingerprint: str | None
    ) -> Iterator[RoundRecord | Summary]:
        """The rounds of a trajectory as they finish, then its summary."""
        arithmetic = fingerprint(self._compute.device)
        if history_fingerprint != digest(arithmetic):
            history = None
        peak = peak_bytes()
        for record in run_trajectory(spec, self._data, compute=self._compute, history=history):
            peak = max(peak, record.stats["peak_bytes"])
            yield replace(record, stats={**record.stats, "fingerprint": digest(arithmetic)})
        yield Summary(self._compute.device, {**versions(), "fingerprint": arithmetic}, peak)


def execute(jobs: Sequence[Job], data: Dataset, resources: Resources) -> Iterator[Event]:
    """Run jobs on the connected cluster; their events come in the order in which they happen.

    Args:
        jobs: what to run, started in this order.
        data: the data set, put into the object store once.
        resources: settled (`settle`).
    """
    assert resources.workers is not None
    shared = ray.put(data)
    options = TrajectoryActor.options(  # type: ignore[attr-defined]
        num_cpus=resources.cpus_per_trajectory, num_gpus=resources.gpus_per_trajectory
    )

    def start() -> Any:
        return options.remote(shared, resources.cpus_per_trajectory)

    waiting = deque(jobs)
    idle = [start() for _ in range(min(resources.workers, len(jobs)))]
    running: dict[Any, tuple[Job, Any]] = {}
    while waiting or running:
        while waiting and idle:
            job, actor = waiting.popleft(), idle.pop()
            call: Any = actor.run.options(num_returns="streaming").remote(job.spec, job.history, job.fingerprint)
            running[call] = (job, actor)
            yield Started(job)
        ready, _ = ray.wait(list(running), num_returns=1, timeout=1.0)
        for call in ready:
            job, actor = running[call]
            try:
                message: RoundRecord | Summary = ray.get(next(call))
            except RayTaskError as error:
                event: Event = Failed(job, _one_line(error.cause))
            except RayActorError:
                event = Failed(job, "The worker died (killed, or out of memory); run the command again to retry.")
                actor = start()
            except (RayError, StopIteration) as error:
                event = Failed(job, _one_line(error))
            else:
                event = RoundDone(job, message) if isinstance(message, RoundRecord) else Finished(job, message)
            if not isinstance(event, RoundDone):
                del running[call]
                idle.append(actor)
            yield event


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:500]
