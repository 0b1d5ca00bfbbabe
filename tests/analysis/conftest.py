"""A synthetic store, written with pyarrow by the columns of `harness.schema`."""

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import schema

N_LABELS = (10, 20, 40)
Trajectory = dict[str, Any]


def _trajectory(
    strategy: str = "random",
    seed: int = 0,
    accuracy: Sequence[float] = (0.4, 0.6, 0.8),
    *,
    n_labels: Sequence[int] = N_LABELS,
    params: dict[str, Any] | None = None,
    data: str = "digits",
    data_hash: str = "h1",
    learner: dict[str, Any] | None = None,
    schedule: str = "10x2,20x1",
    evaluate_on: str = "all",
    status: str = "ok",
    algorithm: str = "1",
    device: str = "cpu",
    versions: dict[str, Any] | None = None,
    rounds: Sequence[dict[str, Any]] = (),
) -> Trajectory:
    identity = [strategy, seed, params, data, data_hash, learner, schedule, evaluate_on, algorithm]
    return {
        "trajectory_id": hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16],
        "data": data,
        "data_hash": data_hash,
        "strategy": strategy,
        "params": json.dumps(params or {}),
        "seed": seed,
        "schedule": schedule,
        "evaluate_on": evaluate_on,
        "status": status,
        "message": None if status == "ok" else "out of memory",
        "spec": json.dumps({"learner": learner or {"epochs": 100, "width": 64}}),
        "versions": json.dumps(versions or {}),
        "device": device,
        "peak_bytes": 2**20,
        "started_at": datetime(2024, 1, 1, tzinfo=UTC),
        "seconds": 1.0,
        "curve": list(zip(n_labels, accuracy, strict=True)),
        "rounds": rounds or [{} for _ in n_labels],
    }


def _rounds(trajectory: Trajectory) -> list[dict[str, Any]]:
    bought = np.diff([0, *(n for n, _ in trajectory["curve"])]).tolist()
    shared = {key: trajectory[key] for key in ("trajectory_id", "data", "strategy", "params", "seed")}
    return [
        {
            **shared,
            "round": position,
            "n_labels": n,
            "n_query": n_query,
            "accuracy": value,
            "select_seconds": 0.25,
            "train_seconds": 0.5,
            **trajectory["rounds"][position],
        }
        for position, ((n, value), n_query) in enumerate(zip(trajectory["curve"], bought, strict=True))
    ]


def _queries(trajectory: Trajectory) -> list[dict[str, Any]]:
    return [
        {"trajectory_id": trajectory["trajectory_id"], "round": row["round"], "position": i, "pool_index": i}
        for row in _rounds(trajectory)
        for i in range(row["n_query"])
    ]


def _write_store(root: Path, trajectories: Sequence[Trajectory], study: str = "example") -> Path:
    tables: dict[str, Callable[[Trajectory], list[dict[str, Any]]]] = {
        "trajectories": lambda row: [row],
        "rounds": _rounds,
        "queries": _queries,
        "studies": lambda row: [{"study": study, "trajectory_id": row["trajectory_id"], "command": f"ntkcpl {study}"}],
    }
    for name, rows in tables.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for position, row in enumerate(trajectories):
            table = pa.Table.from_pylist(rows(row), schema=schema.TABLES[name])
            pq.write_table(table, root / name / f"{study}-{position:04d}-{row['trajectory_id']}.parquet")
    return root


@pytest.fixture
def trajectory() -> Callable[..., Trajectory]:
    """Make one trajectory of a synthetic store."""
    return _trajectory


def _published(name: str) -> pd.DataFrame:
    return pd.read_csv(Path(__file__).parent / name, index_col="labels") / 100


PUBLISHED_NAMES = {
    "Random": "random",
    "Entropy": "entropy",
    "Coreset(self)": "coreset_self",
    "BADGE": "badge",
    "TypiClust": "typiclust",
    "LookAhead": "lookahead",
    "NTKCPL(self)": "ntkcpl_self",
    "NTKCPL(al)": "ntkcpl_al",
}


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A store of five pseudo-seeds with the mean and standard deviation (ddof = 1) of the paper's Table 1."""
    mean, std = _published("table1.csv"), _published("table1_std.csv")
    pattern = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]) / np.std([-2, -1, 0, 1, 2], ddof=1)
    rng = np.random.default_rng(0)
    trajectories = []
    for heading, name in PUBLISHED_NAMES.items():
        seeds = np.array([mean.loc[n, heading] + std.loc[n, heading] * rng.permutation(pattern) for n in mean.index])
        trajectories += [
            _trajectory(name, seed, seeds[:, seed].tolist(), n_labels=list(mean.index), schedule="20x5,100x4,500x3")
            for seed in range(5)
        ]
    return _write_store(tmp_path / "published", trajectories, study="table1")


@pytest.fixture
def write_store() -> Callable[..., Path]:
    """Write trajectories as a store below a folder, one file per trajectory and table."""
    return _write_store
