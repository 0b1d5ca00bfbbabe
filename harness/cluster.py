"""The Ray shell: one long-lived actor per share of the machine, one trajectory a call."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DISABLE_MEMORY_MONITOR": "0",
    "RAY_ENABLE_AUTO_CONNECT": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
for _name, _value in _QUIET.items():
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402
import torch  # noqa: E402
from ray._private import ray_constants  # noqa: E402
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError  # noqa: E402
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group  # noqa: E402
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy  # noqa: E402

from harness.data import Dataset  # noqa: E402
from harness.exceptions import ResourceError, reason  # noqa: E402
from harness.fingerprint import digest, fingerprint, versions  # noqa: E402
from harness.memory import available_bytes, peak_bytes, reset_peak  # noqa: E402
from harness.plan import Job  # noqa: E402
from harness.sharding import Shards  # noqa: E402
from harness.spec import TrajectorySpec  # noqa: E402
from harness.trajectory import History, RoundRecord, run_trajectory  # noqa: E402
from strategies.base import Compute  # noqa: E402

_MEMORY_SHARE = 0.6
_RESERVATION_SECONDS = 60
_MOST_SHARDS = 1_000
_CONNECTION_SECONDS = 10
_ASK_SECONDS = 0.05
"""Until a source that had nothing yet is asked again."""
_MOST_STARTS = 3
"""Of workers in a row that die before they have run anything."""
_LONGEST_TEMPORARY = 40
"""Characters of a temporary folder below which Ray's sockets have names that an operating system takes."""
_SMALLEST_SHARE = 1e-4
"""Of a GPU, in Ray's books."""


@dataclass(frozen=True)
class Resources:
    """What a study may use.

    Attributes:
        workers: trajectories at once; None takes what the cluster has room for.
        cpus_per_trajectory: CPU threads of each.
        gpus_per_trajectory: GPUs of each, fractions allowed; None is 1 where the cluster has GPUs.
        num_gpus: GPUs of a local cluster; None finds out.
        shards: blocks of a look-ahead; they share the CPUs of a trajectory and have its GPUs each.
        memory_limit: bytes that a look-ahead may hold at once; None finds out.
        address: an existing Ray cluster; None starts a local one.
        time_limit: seconds after which a trajectory is given up; None waits.

    Raises:
        ResourceError: a share of GPUs that Ray does not know.
    """

    workers: int | None = None
    cpus_per_trajectory: int = 1
    gpus_per_trajectory: float | None = None
    num_gpus: int | None = None
    shards: int = 1
    memory_limit: int | None = None
    address: str | None = None
    time_limit: float | None = None

    def __post_init__(self) -> None:
        gpus = self.gpus_per_trajectory
        if self.address is not None and self.address.startswith("ray://"):
            raise ResourceError(
                f"Expected the address of a cluster's head such as `10.0.0.1:6379`, but got `{self.address}`; "
                "Ray's client cannot stream results: run on a node of the cluster or as a Ray job."
            )
        if self.address is not None and self.num_gpus is not None:
            raise ResourceError("Expected --num-gpus for a local cluster alone, but got it with --address.")
        if not 1 <= self.shards <= _MOST_SHARDS:
            raise ResourceError(f"Expected 1 to {_MOST_SHARDS} shards, but got {self.shards}.")
        if gpus is not None and not (_SMALLEST_SHARE <= gpus < 1 or float(gpus).is_integer()):
            raise ResourceError(
                f"Expected a whole number of GPUs per trajectory or a fraction of one, but got {gpus:g}."
            )


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
class Paused:
    """The rounds that the job was for are finished, but not all of its schedule."""

    job: Job


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


Event = Started | RoundDone | Paused | Finished | Failed


@contextmanager
def cluster(resources: Resources, data_bytes: int) -> Iterator[None]:
    """A connection to Ray, closed at the end; a local cluster ends with it.

    Args:
        resources: where to connect, or what a local cluster has.
        data_bytes: size of the data set, for the object store of a local cluster.

    Raises:
        ResourceError: there is no cluster at the address, or no folder with a name short enough for a local one.
    """
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL, "include_dashboard": False}
    environment = {"env_vars": {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}}
    on_sigterm = signal.getsignal(signal.SIGTERM)
    folder = None if resources.address else _temporary_folder()
    try:
        _reach(resources.address)
        if resources.address is None:
            os.environ.setdefault("RAY_AUTH_MODE", "disabled")
            with _on_loopback():
                ray.init(
                    address="local",
                    num_gpus=resources.num_gpus,
                    _temp_dir=folder,
                    object_store_memory=200 * 2**20 + 2 * data_bytes,
                    runtime_env=environment,
                    **quiet,
                )
        else:
            quiet.pop("include_dashboard")
            ray.init(address=resources.address, runtime_env=environment, **quiet)
    except Exception as error:  # Ray raises bare ones, too, such as when a machine is too busy to start it.
        raise ResourceError(
            f"Expected a Ray cluster at `{resources.address or 'local'}`, but got: {reason(error)}"
        ) from error
    if on_sigterm is not None:
        # Ray puts its own handler there, which aborts the process.
        signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield
    finally:
        ray.shutdown()


def _temporary_folder() -> str | None:
    """Where Ray keeps its sockets: None for its own choice, or a folder with a shorter name."""
    usual = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    if len(usual) <= _LONGEST_TEMPORARY:
        return None
    if os.access("/tmp", os.W_OK | os.X_OK):  # noqa: S108
        return f"/tmp/ntkcpl-ray-{os.getuid()}"  # noqa: S108
    raise ResourceError(
        f"Expected a temporary folder with a name of at most {_LONGEST_TEMPORARY} characters for Ray's sockets, but "
        f"got `{usual}`; set TMPDIR to a shorter one."
    )


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Let a cluster that starts meanwhile listen on the loopback interface alone: who reaches its ports runs code.

    Ray does so by itself on a Mac and on Windows, and has no option for it elsewhere.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _reach(address: str | None) -> None:
    """Raise OSError where nobody listens: Ray would wait for minutes, deaf to signals."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECTION_SECONDS).close()


def unusable_gpus(resources: Resources) -> str | None:
    """What to say where a local study asks for GPUs, as settled, and torch can use none of them."""
    if not resources.gpus_per_trajectory or resources.address is not None or torch.cuda.is_available():
        return None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    hint = "" if visible is None else f" CUDA_VISIBLE_DEVICES is `{visible}`."
    return f"torch can use no GPU here, so all of this runs on the CPU.{hint}"


def settle(resources: Resources, n_jobs: int) -> Resources:
    """Fill in the number of workers and GPUs from the connected cluster; with shards, reserve once to see if it can.

    On a cluster of others' the default number of workers is what is free now, at least 1: a worker without room
    waits for it.

    Raises:
        ResourceError: the cluster cannot give what was asked for.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    n_cpus = sum(node.get("CPU", 0) for node in nodes)
    n_gpus = sum(node.get("GPU", 0) for node in nodes)
    gpus = resources.gpus_per_trajectory
    if gpus is None:
        gpus = 1.0 if n_gpus else 0.0
    cpus = resources.cpus_per_trajectory / resources.shards
    room = sum(_room(node, cpus, gpus) for node in nodes) // resources.shards
    asked = resources.workers or 1
    if asked > room:
        share = f"{resources.cpus_per_trajectory} CPUs, {gpus * resources.shards:g} GPUs"
        raise ResourceError(
            f"Expected room for {asked} x ({share}), but the cluster has {n_cpus:g} CPUs and {n_gpus:g} GPUs, "
            f"room for {room}; ask for fewer workers or smaller shares."
        )
    if resources.workers is None and resources.address is not None:
        free = ray.available_resources()  # type: ignore[no-untyped-call]
        room = min(room, _room({name: free.get(name, 0) for name in ("CPU", "GPU")}, cpus, gpus) // resources.shards)
    n_workers = max(1, min(resources.workers or room, n_jobs))
    limit = resources.memory_limit
    if limit is None:
        limit = int(_MEMORY_SHARE * available_bytes() / math.ceil(n_workers / len(nodes)))
    settled = replace(resources, workers=n_workers, gpus_per_trajectory=gpus, memory_limit=limit)
    groups: list[PlacementGroup | None] = []
    try:
        for _ in range(n_workers if settled.shards > 1 else 0):
            groups.append(_reserve(settled))
    finally:
        for group in groups:
            remove_placement_group(group)
    return settled


def _room(node: dict[str, float], cpus: float, gpus: float) -> int:
    """Shards that a node has room for."""
    room: float = math.floor(node.get("CPU", 0) / cpus + 1e-9)
    if gpus >= 1:
        room = min(room, node.get("GPU", 0) // gpus)
    elif gpus > 0:
        # A fraction never spans two GPUs.
        room = min(room, node.get("GPU", 0) * math.floor(1 / gpus + 1e-9))
    return int(room)


@ray.remote
class TrajectoryActor:
    """Owns a share of the machine and the data set; runs one trajectory after the other."""

    def __init__(self, data: Dataset, resources: Resources, group: PlacementGroup | None) -> None:
        self._data = data
        self._compute = Compute(
            n_threads=max(1, resources.cpus_per_trajectory // resources.shards),
            device="cuda" if ray.get_gpu_ids() and torch.cuda.is_available() else "cpu",
            memory_limit=resources.memory_limit,
            engine=Shards(resources.shards, group) if group else None,
        )

    def ready(self) -> None:
        """Answered as soon as the actor has its place."""

    def run(
        self, spec: TrajectorySpec, history: History | None, history_fingerprint: str | None, until: int | None
    ) -> Iterator[RoundRecord | Summary]:
        """The rounds of a trajectory as they finish, up to round `until`, then its summary."""
        arithmetic = fingerprint(self._compute.device)
        if history_fingerprint != digest(arithmetic):
            history = None
        reset_peak()
        peak = 0
        for record in run_trajectory(spec, self._data, compute=self._compute, history=history, until=until):
            peak = max(peak, record.stats["peak_bytes"])
            yield replace(record, stats={**record.stats, "fingerprint": digest(arithmetic)})
        yield Summary(self._compute.device, {**versions(), "fingerprint": arithmetic}, max(peak, peak_bytes()))


def execute(jobs: Iterable[Job | None], data: Dataset, resources: Resources) -> Iterator[Event]:
    """Run jobs on the connected cluster; their events come in the order in which they happen.

    Args:
        jobs: what to run, started in this order. It is asked when a worker is free: None says that there is
            nothing yet, the end that nothing more will come.
        data: the data set, put into the object store once.
        resources: settled (`settle`).
    """
    assert resources.workers is not None
    shared = ray.put(data)

    def start(group: PlacementGroup | None) -> Any:
        strategy = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=0) if group else None
        return TrajectoryActor.options(  # type: ignore[attr-defined]
            num_cpus=resources.cpus_per_trajectory / resources.shards,
            num_gpus=resources.gpus_per_trajectory,
            scheduling_strategy=strategy,
        ).remote(shared, resources, group)

    source, closed = iter(jobs), False
    groups = [_reserve(resources) for _ in range(resources.workers)]
    # A worker that has no place yet gets no job: after the death of a node it may never have one.
    actors = [(start(group), group) for group in groups]
    starting = {actor.ready.remote(): (actor, group) for actor, group in actors}
    n_stillborn = 0
    idle: list[tuple[Any, PlacementGroup | None]] = []
    deadlines: dict[Any, float] = {}
    running: dict[Any, tuple[Job, Any, PlacementGroup | None]] = {}
    try:
        while running or not closed:
            while idle and not closed:
                try:
                    next_job = next(source)
                except StopIteration:
                    closed = True
                    break
                if next_job is None:
                    break
                actor, group = idle.pop()
                call: Any = actor.run.options(num_returns="streaming").remote(
                    next_job.spec, next_job.history, next_job.fingerprint, next_job.until
                )
                running[call] = (next_job, actor, group)
                deadlines[call] = time.monotonic() + (resources.time_limit or math.inf)
                yield Started(next_job)
            for call in [call for call in running if time.monotonic() > deadlines[call]]:
                ray.kill(running[call][1])
            if not (running or starting):
                time.sleep(0 if closed else _ASK_SECONDS)
                continue
            seconds = _ASK_SECONDS if idle and not closed else 1.0
            ready, _ = ray.wait([*running, *starting], num_returns=1, timeout=seconds)
            for call in ready:
                if call in starting:
                    actor, group = starting.pop(call)
                    try:
                        ray.get(call)
                    except RayError as error:
                        n_stillborn += 1
                        if n_stillborn == _MOST_STARTS:
                            raise ResourceError(f"Expected a worker to start, but got: {_one_line(error)}") from error
                        actor = start(group)
                        starting[actor.ready.remote()] = (actor, group)
                    else:
                        n_stillborn = 0
                        idle.append((actor, group))
                    continue
                job, actor, group = running[call]
                try:
                    message: RoundRecord | Summary = ray.get(next(call))
                except RayTaskError as error:
                    event: Event = Failed(job, _one_line(error.cause))
                except (RayError, StopIteration) as error:
                    event = Failed(job, _why_lost(error, resources.time_limit, time.monotonic() > deadlines[call]))
                    ray.kill(actor)
                    actor = start(group)
                    starting[actor.ready.remote()] = (actor, group)
                else:
                    if isinstance(message, RoundRecord):
                        event = RoundDone(job, message)
                    else:
                        event = Finished(job, message) if job.is_last_leg else Paused(job)
                if not isinstance(event, RoundDone):
                    del running[call], deadlines[call]
                    if (actor, group) not in starting.values():
                        idle.append((actor, group))
                yield event
    finally:
        if ray.is_initialized():
            for actor, _ in [*idle, *starting.values(), *((actor, group) for _, actor, group in running.values())]:
                ray.kill(actor)
            for group in groups:
                if group is not None:
                    remove_placement_group(group)


def _reserve(resources: Resources) -> PlacementGroup | None:
    """A bundle for each shard of a trajectory; none is needed without shards."""
    if resources.shards == 1:
        return None
    bundle = {"CPU": resources.cpus_per_trajectory / resources.shards}
    if resources.gpus_per_trajectory:
        bundle["GPU"] = resources.gpus_per_trajectory
    group: PlacementGroup = placement_group([bundle] * resources.shards, strategy="PACK")
    if not group.wait(_RESERVATION_SECONDS):
        remove_placement_group(group)  # else it would hold what others give back
        raise ResourceError(
            f"Expected {resources.shards} x {bundle} within {_RESERVATION_SECONDS} s, but the cluster is busy."
        )
    return group


def _why_lost(error: BaseException, time_limit: float | None, is_over: bool) -> str:
    if is_over:
        return f"It took longer than the time limit of {time_limit:g} s; a longer --time-limit tries it again."
    if isinstance(error, (RayActorError, OutOfMemoryError)):
        return "The worker died (killed, or out of memory); run the command again to retry."
    return _one_line(error)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return f"Out of memory: {text}"[:500]
    return f"{type(error).__name__}: {text}"[:500]
