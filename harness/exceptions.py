"""Errors of the harness.

HarnessError
├── DataError        a data set that cannot be read or does not fit the contract
├── SpecError        a schedule, a setting or an option that does not parse or does not fit
├── StoreError       a store that cannot be opened, read or written
│   └── StoreWriteError  a full disk or lost permission in the middle of a study
├── ResourceError    the cluster cannot give what was asked for
├── CheckpointError  the weights of an encoder cannot be read or do not fit
└── PackageError     an optional package is not installed
"""

from pathlib import Path


class HarnessError(Exception):
    """Root of all errors that the harness raises on purpose; its message is one line for a user."""


class DataError(HarnessError, ValueError):
    """Features or labels that cannot be read or break the contract of a feature file."""


class SpecError(HarnessError, ValueError):
    """A schedule, setting or option that does not parse or does not fit."""


class StoreError(HarnessError, RuntimeError):
    """A store that cannot be opened, read or written."""


class StoreWriteError(StoreError):
    """A file that cannot be written: not the user's input is wrong, the disk is full or a permission is gone."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            f"Expected to write `{path}`, but got: {error.strerror or error}; what was finished before is kept, and "
            "the same command goes on when the cause is removed."
        )


class ResourceError(HarnessError, RuntimeError):
    """The cluster cannot give what was asked for."""


class CheckpointError(HarnessError, ValueError):
    """Weights of an encoder that cannot be read, or that belong to another architecture or run."""


class PackageError(HarnessError, ImportError):
    """A package that an optional part needs is not installed."""
