"""How to run: data, specifications, the learner, the trajectory loop, the Ray shell, the Parquet store.

Its errors are here; the tables that it writes are in `harness.store.schema`.
"""

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

__all__ = [
    "CheckpointError",
    "DataError",
    "HarnessError",
    "PackageError",
    "ResourceError",
    "SpecError",
    "StoreError",
    "StoreWriteError",
]
