"""What a worker is: a share of the machine with the data set, which runs one trajectory after the other."""

from __future__ import annotations

from collections.abc import Iterator

import ray
import torch
from ray.util.placement_group import PlacementGroup

from harness.data import Dataset
from harness.record import History, RoundRecord
from harness.spec import TrajectorySpec
from harness.workers.events import Summary
from harness.workers.resources import Resources
from harness.workers.serial import run_job
from harness.workers.sharding import Shards
from strategies.base import Compute


class Worker:
    """Owns a share of the machine and the data set; runs one trajectory after the other."""

    def __init__(self, data: Dataset, resources: Resources, group: PlacementGroup | None) -> None:
        self._data = data
        self._compute = Compute(
            n_threads=max(1, resources.cpus_per_trajectory // resources.shards),
            device="cuda" if ray.get_gpu_ids() and torch.cuda.is_available() else "cpu",
            memory_limit=resources.memory_limit,
            engine=Shards(resources.shards, group) if group else None,
        )

    def run(
        self, spec: TrajectorySpec, history: History | None, history_fingerprint: str | None, until: int | None
    ) -> Iterator[RoundRecord | Summary]:
        """The rounds of a trajectory as they finish, up to round `until`, then its summary."""
        yield from run_job(spec, self._data, self._compute, history, history_fingerprint, until)
