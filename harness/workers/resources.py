"""What a study may use, and what a cluster has room for; Ray is neither started nor, for most of it, imported."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from harness.exceptions import ResourceError, reason
from harness.workers.memory import available_bytes

# Before the first import of Ray, whoever makes it.
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

MEMORY_SHARE = 0.6
_MOST_SHARDS = 1_000
_SMALLEST_SHARE = 1e-4
"""Ray counts GPUs in steps of so much."""

Node: TypeAlias = Mapping[str, float]
"""How many a machine has of `CPU` and `GPU`; none of what is not named."""


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
        time_limit: seconds after which a trajectory is given up, or a leg of it where trials may stop; None waits.

    Raises:
        ResourceError: no address of a cluster that is there, or a share of GPUs that Ray does not know.
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
        if self.address is not None and self.address.strip() in ("", "local"):
            raise ResourceError(
                "Expected the address of a cluster that is there, such as `10.0.0.1:6379` or `auto`, but got "
                f"`{self.address}`; leave it out to start a local one."
            )
        if self.address is not None and self.num_gpus is not None:
            raise ResourceError("Expected --num-gpus only for a local cluster, but got it with --address.")
        if not 1 <= self.shards <= _MOST_SHARDS:
            raise ResourceError(f"Expected 1 to {_MOST_SHARDS} shards, but got {self.shards}.")
        if gpus is not None and not (_SMALLEST_SHARE <= gpus < 1 or float(gpus).is_integer()):
            raise ResourceError(
                f"Expected a whole number of GPUs per trajectory or a fraction of one, but got {gpus:g}."
            )


def this_machine(num_gpus: int | None = None) -> Node:
    """What a local cluster has, as Ray counts it, but of CPUs only those that this process may use.

    Slurm, `taskset` and containers withhold the others.

    Args:
        num_gpus: GPUs; None finds out.

    Raises:
        ResourceError: Ray refuses the number.
    """
    import joblib
    from ray._private.resource_and_label_spec import ResourceAndLabelSpec

    logging.getLogger("ray").setLevel(logging.CRITICAL)
    try:
        counted = ResourceAndLabelSpec(num_cpus=joblib.cpu_count(), num_gpus=num_gpus).resolve(
            is_head=True, node_ip_address="127.0.0.1"
        )
        found: Node = counted.to_resource_dict()  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise ResourceError(f"Expected a Ray cluster at `local`, but got: {reason(error)}") from error
    return found


def settle_on(nodes: Sequence[Node], resources: Resources, n_jobs: int, free: Node | None = None) -> Resources:
    """Fill in the number of workers, GPUs and memory.

    Args:
        nodes: machines of the cluster.
        resources: what was asked for.
        n_jobs: trajectories to run.
        free: what the default number of workers fits into, at least 1 of them; None for all that the nodes have.

    Raises:
        ResourceError: the cluster cannot give what was asked for.
    """
    n_cpus = sum(node.get("CPU", 0) for node in nodes)
    n_gpus = sum(node.get("GPU", 0) for node in nodes)
    gpus = resources.gpus_per_trajectory
    if gpus is None:
        gpus = 1.0 if n_gpus else 0.0
    cpus = resources.cpus_per_trajectory / resources.shards
    rooms = [_room(node, cpus, gpus) for node in nodes]
    room = sum(rooms) // resources.shards
    asked = resources.workers or 1
    if asked > room:
        share = f"{_shown(resources.cpus_per_trajectory, 'CPU')} and {_shown(gpus * resources.shards, 'GPU')}"
        raise ResourceError(
            f"Expected room for {asked} at a time, each with {share}, but the cluster has {_shown(n_cpus, 'CPU')} and "
            f"{_shown(n_gpus, 'GPU')}, room for {room}; ask for fewer workers or smaller shares."
        )
    if free is not None:
        room = min(room, _room(free, cpus, gpus) // resources.shards)
    n_workers = max(1, min(resources.workers or room, n_jobs))
    limit = resources.memory_limit
    if limit is None:
        # Each of the machines that shards need brings its own memory; one without room, as a head often is, none.
        whole = [room // resources.shards for room in rooms]
        even = (k for k in range(1, n_workers) if sum(min(k, most) for most in whole) >= n_workers)
        on_one = min(next(even, n_workers) * resources.shards, max(rooms))
        limit = int(MEMORY_SHARE * available_bytes() * resources.shards / on_one)
    return replace(resources, workers=n_workers, gpus_per_trajectory=gpus, memory_limit=limit)


def unusable_gpus(resources: Resources) -> str | None:
    """What to say where a local study asks for GPUs, as settled, and torch can use none of them."""
    if not resources.gpus_per_trajectory or resources.address is not None:
        return None
    import torch

    if torch.cuda.is_available():
        return None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    hint = "" if visible is None else f" CUDA_VISIBLE_DEVICES is `{visible}`."
    return f"torch can use no GPU here, so all of this runs on the CPU.{hint}"


def _shown(n: float, noun: str) -> str:
    return f"{n:g} {noun}" if n == 1 else f"{n:g} {noun}s"


def _room(node: Node, cpus: float, gpus: float) -> int:
    """Shards that a node has room for."""
    room: float = math.floor(node.get("CPU", 0) / cpus + 1e-9)
    if gpus >= 1:
        room = min(room, node.get("GPU", 0) // gpus)
    elif gpus > 0:
        # A fraction never spans two GPUs.
        room = min(room, node.get("GPU", 0) * math.floor(1 / gpus + 1e-9))
    return int(room)
