"""Errors of the harness.

HarnessError
├── DataError        a data set that cannot be read or does not fit the contract
├── SpecError        a schedule, a setting or an option that does not parse or does not fit
├── StoreError       a store that cannot be opened, read or written
│   ├── DamagedFileError a file of a store that is cut off or no Parquet at all
│   └── StoreWriteError  a full disk, lost permission, server or lock in the middle of a study
├── ResourceError    the cluster cannot give what was asked for
├── CheckpointError  the weights of an encoder cannot be read or do not fit
└── PackageError     an optional package is not installed
"""


def reason(error: Exception) -> str:
    """What went wrong, in one line without a full stop."""
    text = str(getattr(error, "strerror", None) or error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(". ")


def in_one_line(error: BaseException) -> str:
    """Any error as the message of a trajectory that failed: its kind and what it says, at most 500 characters."""
    kind = "Out of memory" if isinstance(error, MemoryError) else type(error).__name__
    return f"{kind}: {' '.join(str(error).split())}"[:500]


class HarnessError(Exception):
    """Root of all errors that the harness raises on purpose; its message is one line for a user."""


class DataError(HarnessError, ValueError):
    """Features or labels that cannot be read or break the contract of a feature file."""


class SpecError(HarnessError, ValueError):
    """A schedule, setting or option that does not parse or does not fit."""


class StoreError(HarnessError, RuntimeError):
    """A store that cannot be opened, read or written."""


class DamagedFileError(StoreError):
    """A file of a store that is cut off or no Parquet at all; the message names it."""


class StoreWriteError(StoreError):
    """A file that cannot be written: the disk, a permission, the server or the lock fails, not the input."""

    def __init__(self, path: object, error: OSError) -> None:
        super().__init__(
            f"Cannot write `{path}`: {reason(error)}. What was finished before is kept, and the same command continues "
            "once the cause is removed."
        )


class ResourceError(HarnessError, RuntimeError):
    """The cluster cannot give what was asked for."""


class CheckpointError(HarnessError, ValueError):
    """Weights of an encoder that cannot be read, or that belong to another architecture or run."""


class PackageError(HarnessError, ImportError):
    """A package that an optional part needs is not installed."""
