"""A synthetic store, written with pyarrow by the columns of `harness.store.schema`."""

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

from analysis import load
from harness.store import schema

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
    preset: dict[str, list[str]] | None = None,
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
        "spec": json.dumps({"learner": learner or {"epochs": 100, "width": 64}, "preset": preset or {}}),
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


@pytest.fixture(scope="session")
def trajectory() -> Callable[..., Trajectory]:
    """Make one trajectory of a synthetic store."""
    return _trajectory


@pytest.fixture(scope="session")
def diagnosis() -> list[dict[str, Any]]:
    """What NTKCPL leaves of itself in each of three rounds."""
    stats = json.dumps({"p_nff": 0.1, "p_fnf": 0.05, "ntk_error": 0.2})
    coverage = {"coverage_estimated": 0.9, "coverage_ntk_true": 0.8, "coverage_true": 0.7}
    return [{"n_clusters": n, **coverage, "stats": stats} for n in (10, 15, 20)]


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


@pytest.fixture(scope="session")
def write_store() -> Callable[..., Path]:
    """Write trajectories as a store below a folder, one file per trajectory and table."""
    return _write_store


CAPS, SCHEDULES = (5, 20, 50), ("10x4", "20x2")
LABELS = {"10x4": (10, 20, 30, 40), "20x2": (20, 40)}


@pytest.fixture
def swept(trajectory, write_store, tmp_path):
    """Three caps x two schedules x three seeds; the last cap is one that never binds, a seventh trial was stopped."""
    trajectories, rows = [], []
    for number, (cap, schedule) in enumerate((cap, schedule) for cap in CAPS for schedule in SCHEDULES):
        used = min(cap, 20)
        level = {5: 0.4, 20: 0.6}[used] + (0.1 if schedule == "20x2" else 0)
        own = [
            trajectory(
                "ntkcpl_al",
                seed,
                [level + 0.01 * seed + 0.001 * n for n in LABELS[schedule]],
                n_labels=LABELS[schedule],
                params={"max_clusters": used},
                schedule=schedule,
                evaluate_on="tune",
            )
            for seed in range(3)
        ]
        trajectories += [] if cap == 50 else own
        areas = [level + 0.01 * seed + 0.03 for seed in range(3)]
        row = {"study": "sweep-x", "trial": number, "params": json.dumps({"max_clusters": cap}), "schedule": schedule}
        row |= {
            "objective": np.mean(areas),
            "objective_std": np.std(areas, ddof=1),
            "final_accuracy": 0.5,
            "n_seeds": 3,
        }
        row |= {"labels_reached": 40, "status": "complete", "seconds": 1.0}
        rows.append(row | {"trajectory_ids": [each["trajectory_id"] for each in own]})
    stopped = {
        "trial": 6,
        "params": '{"max_clusters": 9}',
        "objective": None,
        "status": "stopped",
        "labels_reached": 20,
    }
    rows.append(rows[0] | stopped)
    root = write_store(tmp_path / "store", trajectories, study="sweep-x")
    (root / "trials").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema.TRIALS), root / "trials" / "sweep-x.parquet")
    return root


@pytest.fixture
def swept_results(swept):
    return load(swept)
