"""Compiled loops, kept on disk between processes where numba finds a folder that it may write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a loop without Python objects: it releases the GIL, and divides as numpy does.

    On a read-only file system without a home there is no folder for the result; each process compiles anew then.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    found: Any
    try:
        found = njit(cache=True, **options)(function)
    except RuntimeError:
        found = njit(**options)(function)
    return cast(F, found)
