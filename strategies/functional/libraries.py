"""Libraries that are imported late, because the command line answers much without them, and the limit on their threads.

A limit reaches only what is loaded, and a measured second is to be a strategy's own: so whoever limits or measures
imports this module before.
"""

import sys
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

import scipy.linalg
import scipy.sparse
import scipy.spatial
import scipy.special
import sklearn.cluster
from threadpoolctl import ThreadpoolController

from strategies.functional import arc_cosine
from strategies.functional.engine import counting

__all__ = ["arc_cosine", "counting", "one_thread", "scipy", "sklearn"]


def one_thread() -> AbstractContextManager[Any]:
    """One BLAS and OpenMP thread in each library that is loaded; put back at the end."""
    limit: AbstractContextManager[Any] = _controller(len(sys.modules)).limit(limits=1)
    return limit


@lru_cache(maxsize=1)
def _controller(n_modules: int) -> ThreadpoolController:
    """What is loaded, which takes milliseconds to find: looked for again when there are other modules than before."""
    return ThreadpoolController()
