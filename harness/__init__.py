"""How to run: data, specifications, the learner, the trajectory loop, the Ray shell, the Parquet store.

What serves a program or a notebook is here, and imported when it is asked for; the tables that are written are in
`harness.store.schema`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from harness.exceptions import (
    CheckpointError,
    DataError,
    HarnessError,
    PackageError,
    ResourceError,
    SpecError,
    StoreError,
    StoreWriteError,
)

if TYPE_CHECKING:
    from harness.data import Dataset, load_dataset
    from harness.query import select
    from harness.spec import TrajectorySpec
    from harness.store.writing import Store
    from harness.trajectory import run_trajectory
    from harness.workers.serial import run_study

_WHERE = {
    "Dataset": "data",
    "load_dataset": "data",
    "run_study": "workers.serial",
    "run_trajectory": "trajectory",
    "select": "query",
    "Store": "store.writing",
    "TrajectorySpec": "spec",
}

__all__ = [
    "CheckpointError",
    "DataError",
    "Dataset",
    "HarnessError",
    "PackageError",
    "ResourceError",
    "SpecError",
    "Store",
    "StoreError",
    "StoreWriteError",
    "TrajectorySpec",
    "load_dataset",
    "run_study",
    "run_trajectory",
    "select",
]


def __getattr__(name: str) -> Any:
    """What is asked for, from its module."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"harness.{_WHERE[name]}"), name)
