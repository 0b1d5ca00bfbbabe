"""Fixed-size tiles: the same numbers for any number of threads and shards.

Every reduction of the look-ahead runs inside one tile, with BLAS on one thread, and the tiles run in
parallel; how many run at once changes the time and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

TILE = 256
"""Rows of a tile. Part of the arithmetic: another value may change the last bits of a kernel."""


def tiles(n: int, size: int = TILE) -> list[slice]:
    """Slices of `size` rows that cover `range(n)`; the last one may be shorter."""
    return [slice(first, min(first + size, n)) for first in range(0, n, size)]


class TileRunner:
    """Runs a function over tiles on `n_threads` threads.

    The work must release the GIL (BLAS, numba with `nogil`) to gain anything from more than one.
    """

    def __init__(self, n_threads: int = 1) -> None:
        self._pool = ThreadPoolExecutor(n_threads) if n_threads > 1 else None

    def __call__(self, work: Callable[[slice], None], n: int) -> None:
        """Call `work` once for each tile of `range(n)` and wait; the first exception is raised."""
        if self._pool is None:
            for tile in tiles(n):
                work(tile)
        else:
            list(self._pool.map(work, tiles(n)))

    def close(self) -> None:
        """Stop the threads."""
        if self._pool is not None:
            self._pool.shutdown()
