"""What a worker is: a share of the machine with the data set, which runs one trajectory after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import ray
import torch
from ray.util.placement_group import PlacementGroup

from harness.data import Dataset
from harness.record import History, RoundRecord
from harness.spec import TrajectorySpec
from harness.trajectory import run_trajectory
from harness.workers.events import Summary
from harness.workers.fingerprint import digest, fingerprint, versions
from harness.workers.memory import peak_bytes, reset_peak
from harness.workers.resources import Resources
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
        arithmetic = fingerprint(self._compute.device)
        if history_fingerprint != digest(arithmetic):
            history = None
        reset_peak()
        peak = 0
        for record in run_trajectory(spec, self._data, compute=self._compute, history=history, until=until):
            peak = max(peak, record.stats["peak_bytes"])
            yield replace(record, stats={**record.stats, "fingerprint": digest(arithmetic)})
        yield Summary(self._compute.device, {**versions(), "fingerprint": arithmetic}, max(peak, peak_bytes()))
