"""Limits on the threads of the libraries that are loaded."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[Any]:
    """One BLAS and OpenMP thread in each library that is loaded; put back at the end."""
    limit: AbstractContextManager[Any] = _controller(len(sys.modules)).limit(limits=1)
    return limit


def one_openmp_thread() -> None:
    """One OpenMP thread in the thread that calls, which no limit of another one reaches, for as long as it lives."""
    _controller(len(sys.modules)).select(user_api="openmp").limit(limits=1)


@lru_cache(maxsize=1)
def _controller(n_modules: int) -> ThreadpoolController:
    """What is loaded, which takes milliseconds to find: looked for again when there are other modules than before."""
    return ThreadpoolController()
