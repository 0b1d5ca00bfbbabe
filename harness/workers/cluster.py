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
from typing import Any, NamedTuple

from harness.workers.resources import Resources, settle_on  # sets Ray's environment

# isort: split
import joblib
import ray
from ray._private import ray_constants, services
from ray._private.node import Node
from ray.exceptions import OutOfMemoryError, RayActorError, RayError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from harness.data import Dataset
from harness.exceptions import ResourceError, in_one_line, reason
from harness.plan import Job
from harness.record import History, RoundRecord
from harness.spec import TrajectorySpec
from harness.workers.collector import collect_rarely
from harness.workers.events import Event, Failed, Finished, Paused, RoundDone, Started, Summary

_RESERVATION_SECONDS = 60
_CONNECTION_SECONDS = 10
_ASK_SECONDS = 0.05
"""Pause before a source that had nothing yet is asked again."""
_MOST_STARTS = 3
"""Most workers in a row that die before they have run anything."""
_NO_MORE = object()
"""What stands for the end of the jobs."""
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
        KeyboardInterrupt: SIGTERM came while Ray started.
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
                    num_cpus=joblib.cpu_count(),  # Ray would count those of the whole machine
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
    except SystemExit as error:
        if error.code != signal.SIGTERM:
            raise
        raise KeyboardInterrupt from error  # from Ray's own handler, which is there from its start on
    finally:
        if on_sigterm is not None:
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
        collect_rarely()
        from harness.workers.worker import Worker

        self._worker = Worker(data, resources, group)

    def ready(self) -> None:
        """Answered as soon as the actor has its place."""

    def run(
        self, spec: TrajectorySpec, history: History | None, history_fingerprint: str | None, until: int | None
    ) -> Iterator[RoundRecord | Summary | str]:
        """The rounds of a trajectory as they finish, then its summary (`Worker.run`) or what it raised, in one line.

        Text, since not every error of a plug-in can be pickled.
        """
        try:
            yield from self._worker.run(spec, history, history_fingerprint, until)
            return
        except Exception as error:
            message = in_one_line(error)
        yield message


def execute(jobs: Iterable[Job | None], data: Dataset, resources: Resources) -> Iterator[Event]:
    """Run jobs on the connected cluster; their events come in the order in which they happen.

    Args:
        jobs: what to run, started in this order. It is asked when a worker is free: None says that there is
            nothing yet, the end that nothing more will come.
        data: the data set, put into the object store once.
        resources: settled (`settle`).
    """
    source, closed = iter(jobs), False
    workers = _Workers(data, resources)
    try:
        while workers.running or not closed:
            while workers.idle and not closed:
                job = next(source, _NO_MORE)
                if not isinstance(job, Job):
                    closed = job is _NO_MORE
                    break
                workers.run(job)
                yield Started(job)
            workers.kill_overdue()
            if workers.running or workers.starting:
                yield from workers.events(_ASK_SECONDS if workers.idle and not closed else 1.0)
            elif not closed:
                time.sleep(_ASK_SECONDS)
    finally:
        workers.close()


class _Worker(NamedTuple):
    """An actor, with the bundles of its shards."""

    actor: Any
    group: PlacementGroup | None


class _Run(NamedTuple):
    """A job that a worker has, and when it must have ended."""

    job: Job
    worker: _Worker
    deadline: float


class _Workers:
    """The actors of a study: each is starting, idle or running.

    Attributes:
        starting: workers without a place yet by the call that says that they have one; after the death of a node it
            may never come, so they get no job.
        idle: workers without a job.
        running: jobs by the call that streams their rounds.
    """

    def __init__(self, data: Dataset, resources: Resources) -> None:
        assert resources.workers is not None
        self.starting: dict[Any, _Worker] = {}
        self.idle: list[_Worker] = []
        self.running: dict[Any, _Run] = {}
        self._data = ray.put(data)
        self._resources = resources
        self._n_stillborn = 0
        self._groups = [_reserve(resources) for _ in range(resources.workers)]
        for group in self._groups:
            self._start(group)

    def run(self, job: Job) -> None:
        """Give a job to an idle worker."""
        worker = self.idle.pop()
        call = worker.actor.run.options(num_returns="streaming").remote(
            job.spec, job.history, job.fingerprint, job.until
        )
        self.running[call] = _Run(job, worker, time.monotonic() + (self._resources.time_limit or math.inf))

    def kill_overdue(self) -> None:
        """End the workers whose jobs take too long; their loss is an event."""
        for run in self.running.values():
            if time.monotonic() > run.deadline:
                ray.kill(run.worker.actor)

    def events(self, seconds: float) -> Iterator[Event]:
        """What a worker says within so many seconds, if one does.

        Raises:
            ResourceError: several in a row have died before they ran anything.
        """
        ready, _ = ray.wait([*self.running, *self.starting], num_returns=1, timeout=seconds)
        for call in ready:
            if call in self.starting:
                self._welcome(call)
            else:
                yield self._hear(call)

    def close(self) -> None:
        """Kill all workers, where the cluster is still there."""
        if ray.is_initialized():
            for worker in [*self.idle, *self.starting.values(), *(run.worker for run in self.running.values())]:
                ray.kill(worker.actor)
            for group in self._groups:
                if group is not None:
                    remove_placement_group(group)

    def _start(self, group: PlacementGroup | None) -> None:
        resources = self._resources
        strategy = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=0) if group else None
        actor = TrajectoryActor.options(  # type: ignore[attr-defined]
            num_cpus=resources.cpus_per_trajectory / resources.shards,
            num_gpus=resources.gpus_per_trajectory,
            scheduling_strategy=strategy,
        ).remote(self._data, resources, group)
        self.starting[actor.ready.remote()] = _Worker(actor, group)

    def _welcome(self, call: Any) -> None:
        worker = self.starting.pop(call)
        try:
            ray.get(call)
        except RayError as error:
            self._n_stillborn += 1
            if self._n_stillborn == _MOST_STARTS:
                raise ResourceError(f"Expected a worker to start, but got: {in_one_line(error)}") from error
            self._start(worker.group)
        else:
            self._n_stillborn = 0
            self.idle.append(worker)

    def _hear(self, call: Any) -> Event:
        job, worker, deadline = self.running[call]
        try:
            message: RoundRecord | Summary | str = ray.get(next(call))
        except (RayError, StopIteration) as error:
            del self.running[call]
            ray.kill(worker.actor)
            self._start(worker.group)
            return Failed(job, _why_lost(error, self._resources.time_limit, time.monotonic() > deadline))
        else:
            if isinstance(message, RoundRecord):
                return RoundDone(job, message)
            if isinstance(message, str):
                event: Event = Failed(job, message)
            else:
                event = Finished(job, message) if job.is_last_leg else Paused(job)
        del self.running[call]
        self.idle.append(worker)
        return event


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
        return (
            f"It took longer than the time limit of {time_limit:g} s; run it again with a longer --time-limit to retry."
        )
    if isinstance(error, (RayActorError, OutOfMemoryError)):
        return "The worker died (killed, or out of memory); run the command again to retry."
    return in_one_line(error)
