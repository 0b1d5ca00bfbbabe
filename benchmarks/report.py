"""Time to load and report a synthetic store of 10,000 trajectories x 12 rounds.

    python benchmarks/report.py [--layout files|compact] [--data 5] [--configurations 40] [--seeds 50] [--keep DIR]

`files` has one Parquet file per trajectory and table, as a running study leaves them; `compact` a few large ones.
Limit the cores with `taskset -c 0,1`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # `strategies` is the package, not the script of that name.

import numpy as np
import pyarrow as pa

from harness.store import schema
from harness.store.location import write

N_LABELS = (20, 40, 60, 80, 100, 200, 300, 400, 500, 1000, 1500, 2000)
SCHEDULE = "20x5,100x4,500x3"


def trajectories(
    n_data: int, n_configurations: int, n_seeds: int
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Rows of `trajectories` with their rows of `rounds`: curves that saturate, with noise shared by a seed."""
    rng = np.random.default_rng(0)
    axis = np.log(np.array(N_LABELS) / 20) / np.log(100)
    for d in range(n_data):
        shared = rng.normal(0, 0.02, (n_seeds, 12))
        for c in range(n_configurations):
            strategy = "random" if c == 0 else f"strategy_{c:02d}"
            level = 0.5 + 0.1 * rng.random()
            for seed in range(n_seeds):
                name = f"{d:03d}{c:04d}{seed:05d}"
                spec = {"learner": {"epochs": 100}, "strategy_version": 1}
                row = {
                    "trajectory_id": name,
                    "data": f"data_{d}",
                    "data_hash": f"hash_{d}",
                    "strategy": strategy,
                    "params": "{}",
                    "seed": seed,
                    "schedule": SCHEDULE,
                    "evaluate_on": "all",
                    "status": "ok",
                    "spec": json.dumps(spec),
                    "versions": json.dumps({"torch": "2", "fingerprint": {"device": "cpu"}}),
                    "device": "cpu",
                    "started_at": datetime(2024, 1, 1, tzinfo=UTC),
                    "seconds": 10.0,
                    "peak_bytes": 2**30,
                }
                accuracy = level + 0.3 * axis + shared[seed] + rng.normal(0, 0.01, 12)
                yield row, [round_of(row, i, float(a)) for i, a in enumerate(accuracy)]


def round_of(row: dict[str, Any], position: int, accuracy: float) -> dict[str, Any]:
    """A row of `rounds`."""
    looks_ahead = row["strategy"] == "strategy_01"
    errors = {"p_nff": 0.1, "p_fnf": 0.05, "ntk_error": 0.1}
    return {
        **{key: row[key] for key in ("trajectory_id", "data", "strategy", "params", "seed")},
        "round": position,
        "n_labels": N_LABELS[position],
        "n_query": int(np.diff([0, *N_LABELS])[position]),
        "accuracy": accuracy,
        "select_seconds": 0.5,
        "train_seconds": 0.5,
        "n_clusters": 20 + position if looks_ahead else None,
        "coverage_estimated": 0.9 if looks_ahead else None,
        "coverage_ntk_true": 0.8 if looks_ahead else None,
        "coverage_true": 0.7 if looks_ahead else None,
        "stats": json.dumps(errors if looks_ahead else {}),
    }


def write_store(root: Path, layout: str, n_data: int, n_configurations: int, n_seeds: int) -> None:
    """Write the synthetic store."""
    for table in schema.TABLES:
        (root / table).mkdir(parents=True)
    size = 1 if layout == "files" else 2500
    batch: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    made = list(trajectories(n_data, n_configurations, n_seeds))
    for start in range(0, len(made), size):
        batch = made[start : start + size]
        name = f"{batch[0][0]['trajectory_id']}.parquet"
        rows = {"trajectories": [row for row, _ in batch], "rounds": [each for _, rounds in batch for each in rounds]}
        for table, content in rows.items():
            write(root / table / name, pa.Table.from_pylist(content, schema=schema.TABLES[table]))
    members = [{"study": "benchmark", "trajectory_id": row["trajectory_id"], "command": "none"} for row, _ in made]
    write(root / "studies" / "benchmark.parquet", pa.Table.from_pylist(members, schema=schema.STUDIES))


def main() -> None:
    """Write a store, then load and report it, with the time of each step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layout", choices=["files", "compact"], default="files")
    parser.add_argument("--data", type=int, default=5)
    parser.add_argument("--configurations", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--keep", type=Path, help="folder of the store, reused where it exists")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = options.keep or Path(scratch) / "store"
        if not root.exists():
            write_store(root, options.layout, options.data, options.configurations, options.seeds)
        clock = Clock()
        from analysis import load
        from analysis.report import make_report, write_report

        clock.lap("import")
        results = load(root, queries=False)
        clock.lap("load")
        report = make_report(results)
        clock.lap("compute")
        write_report(report, Path(scratch) / "report")
        clock.lap("write")
    print(f"{len(results.trajectories)} trajectories, {len(results.rounds)} rounds; wall (CPU) seconds: {clock}")


class Clock:
    """Wall and CPU seconds of steps, those of child processes included; on shared cores the latter say more."""

    def __init__(self) -> None:
        self._laps: dict[str, tuple[float, float]] = {}
        self._last = self._now()

    def lap(self, name: str) -> None:
        """End a step."""
        now = self._now()
        self._laps[name] = (now[0] - self._last[0], now[1] - self._last[1])
        self._last = now

    def __str__(self) -> str:
        """Each step and their sum."""
        wall, cpu = (sum(lap[i] for lap in self._laps.values()) for i in range(2))
        return ", ".join(
            f"{name} {lap[0]:.1f} ({lap[1]:.1f})" for name, lap in {**self._laps, "all": (wall, cpu)}.items()
        )

    @staticmethod
    def _now() -> tuple[float, float]:
        used = os.times()
        return time.perf_counter(), used.user + used.system + used.children_user + used.children_system


if __name__ == "__main__":
    main()
