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

from __future__ import annotations

import os
import sysconfig
import traceback
from pathlib import Path

_AT = "at "


def one_line(text: object) -> str:
    """A text, or what an error says, in one line that UTF-8 can hold."""
    return " ".join(str(text).split()).encode(errors="backslashreplace").decode()


def reason(error: Exception) -> str:
    """What went wrong, in one line without a full stop."""
    text = str(getattr(error, "strerror", None) or error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(". ")


def in_one_line(error: BaseException) -> str:
    """Any error as the message of a trajectory that failed: its kind, what it says in 500 characters, and its place."""
    kind = "Out of memory" if isinstance(error, MemoryError) else type(error).__name__
    places = [note for note in getattr(error, "__notes__", []) if note.startswith(_AT)]
    return " ".join([f"{kind}: {one_line(error)}"[:500], *(f"({place})" for place in places)])


def note_place(error: Exception) -> None:
    """Note where an error comes from, in words that another process can read.

    That is the innermost line of code that is neither Python's, nor an installed package's, nor this project's: the
    user's own strategy or learner. Where there is none, it is the innermost line of all.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [str(Path(__file__).parents[1] / name) for name in ("harness", "strategies", "studies", "analysis")]
    others = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    known = ("<", *(f"{folder}{os.sep}" for folder in (*own, *others)))
    frame = ([each for each in frames if not each.filename.startswith(known)] or frames)[-1]
    error.add_note(f"{_AT}{Path(frame.filename).name}:{frame.lineno} in {frame.name}")


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
