"""Fixed-size tiles: the same numbers for any number of threads and shards.

Every reduction runs inside one tile, with BLAS and OpenMP on one thread (`Strategy.select` sees to it, and
`map_each` in its threads), and the tiles run in parallel; how many run at once changes the time and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from strategies.functional.threads import one_openmp_thread

S = TypeVar("S")
T = TypeVar("T")

TILE_ROWS = 256
"""Rows of a tile. Part of the arithmetic: another value may change the last bits of a product."""


def slices(first: int, last: int, size: int) -> list[slice]:
    """Consecutive slices of `size` that cover first..last; the last one may be shorter."""
    return [slice(start, min(start + size, last)) for start in range(first, last, size)]


def map_tiles(work: Callable[[slice], T], n_rows: int, *, tile_rows: int = TILE_ROWS, n_threads: int = 1) -> list[T]:
    """`work` on consecutive slices of `tile_rows` rows, as `map_each` does.

    Args:
        work: called with each slice; the last one may be shorter.
        n_rows: rows in all.
        tile_rows: rows of a tile.
        n_threads: tiles worked on at once.

    Returns:
        What `work` returned, in the order of the rows.
    """
    return map_each(work, slices(0, n_rows, tile_rows), n_threads=n_threads)


def map_each(work: Callable[[S], T], items: Sequence[S], *, n_threads: int = 1) -> list[T]:
    """`work` on each item; what it returns is in the order of the items, and the first exception is raised.

    To gain from more than one thread the work must release the GIL, as numpy's products and compiled code do.

    Args:
        work: called with each item.
        items: what to work on.
        n_threads: items worked on at once.
    """
    if n_threads == 1 or len(items) == 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(n_threads, initializer=one_openmp_thread) as pool:
        return list(pool.map(work, items))
