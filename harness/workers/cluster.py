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
from typing import Any

from harness.workers.resources import Resources, settle_on  # sets Ray's environment

# isort: split
import ray
from ray._private import ray_constants, services
from ray._private.node import Node
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from harness.data import Dataset
from harness.exceptions import ResourceError, in_one_line, reason
from harness.plan import Job
from harness.record import History, RoundRecord
from harness.spec import TrajectorySpec
from harness.workers.events import Event, Failed, Finished, Paused, RoundDone, Started, Summary

_RESERVATION_SECONDS = 60
_CONNECTION_SECONDS = 10
_ASK_SECONDS = 0.05
"""Until a source that had nothing yet is asked again."""
_MOST_STARTS = 3
"""Of workers in a row that die before they have run anything."""
_LONGEST_TEMPORARY = 40
"""Characters of a temporary folder below which Ray's sockets have names that an operating system takes."""


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
    environment = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    on_sigterm = signal.getsignal(signal.SIGTERM)
    folder = None if resources.address else _temporary_folder()
    try:
        _reach(resources.address)
        if resources.address is None:
            os.environ.setdefault("RAY_AUTH_MODE", "disabled")
            os.environ.update(environment)  # workers inherit it: a runtime environment takes a second to set up
            with _on_loopback(), _without_servants():
                ray.init(
                    address="local",
                    num_gpus=resources.num_gpus,
                    _temp_dir=folder,
                    object_store_memory=200 * 2**20 + 2 * data_bytes,
                    **quiet,
                )
        else:
            quiet.pop("include_dashboard")
            ray.init(address=resources.address, runtime_env={"env_vars": environment}, **quiet)
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


@contextmanager
def _without_servants() -> Iterator[None]:
    """Let a cluster that starts meanwhile do without an interpreter each for the dashboard, its scaling and its logs.

    Ray waits for the first even where no dashboard is wanted, and has no option for any of them. Where a version of
    it calls them otherwise, they start.
    """
    changes: list[tuple[Any, str, Any]] = [
        (services, "start_api_server", lambda *_, **__: (None, None)),
        (Node, "start_monitor", lambda self: None),
        (Node, "start_log_monitor", lambda self: None),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in changes if hasattr(owner, name)]
    try:
        for owner, name, nothing in changes:
            setattr(owner, name, nothing)
        yield
    finally:
        for owner, name, usual in before:
            setattr(owner, name, usual)


def _reach(address: str | None) -> None:
    """Raise OSError where nobody listens: Ray would wait for minutes, deaf to signals."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECTION_SECONDS).close()


def settle(resources: Resources, n_jobs: int) -> Resources:
    """Fill in the number of workers and GPUs from the connected cluster; with shards, reserve once to see if it can.

    On a cluster of others' the default number of workers is what is free now, at least 1: a worker without room
    waits for it.

    Raises:
        ResourceError: the cluster cannot give what was asked for.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    is_shared = resources.workers is None and resources.address is not None
    free = ray.available_resources() if is_shared else None  # type: ignore[no-untyped-call]
    settled = settle_on(nodes, resources, n_jobs, free)
    groups: list[PlacementGroup | None] = []
    try:
        for _ in range((settled.workers or 1) if settled.shards > 1 else 0):
            groups.append(_reserve(settled))
    finally:
        for group in groups:
            remove_placement_group(group)
    return settled


@ray.remote
class TrajectoryActor:
    """A `harness.workers.worker.Worker` in a process of its own, which alone imports what trajectories need."""

    def __init__(self, data: Dataset, resources: Resources, group: PlacementGroup | None) -> None:
        from harness.workers.worker import Worker

        self._worker = Worker(data, resources, group)

    def ready(self) -> None:
        """Answered as soon as the actor has its place."""

    def run(
        self, spec: TrajectorySpec, history: History | None, history_fingerprint: str | None, until: int | None
    ) -> Iterator[RoundRecord | Summary]:
        """The rounds of a trajectory as they finish, then its summary (`Worker.run`)."""
        yield from self._worker.run(spec, history, history_fingerprint, until)


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
                            raise ResourceError(f"Expected a worker to start, but got: {in_one_line(error)}") from error
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
                    event: Event = Failed(job, in_one_line(error.cause))
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
    return in_one_line(error)
