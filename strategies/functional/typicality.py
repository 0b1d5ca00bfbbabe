"""Typicality: the inverse mean distance of a point to its nearest neighbours."""

from __future__ import annotations

import numpy as np

from strategies.functional.arrays import FloatArray
from strategies.functional.distances import nearest_others
from strategies.functional.tiles import TILE_ROWS

EPSILON = 1e-5
"""Added to the mean distance, so that duplicates have a finite typicality."""


def typicality(
    points: FloatArray, n_neighbours: int = 20, *, tile_rows: int = TILE_ROWS, n_threads: int = 1
) -> FloatArray:
    """1 / (mean Euclidean distance to the min(n_neighbours, n // 2) nearest other points + 1e-5).

    Distances are taken by differences once the neighbours are known, so duplicates are at exactly 0. A
    single point has no neighbour and the largest possible typicality.

    Args:
        points: `n x dim`.
        n_neighbours: neighbours that are averaged over, where there are twice as many points.
        tile_rows: points handled at once; memory is O(tile_rows x n).
        n_threads: tiles handled at once.

    Returns:
        `n`, float64.
    """
    n_near = min(n_neighbours, len(points) // 2)
    if n_near == 0:
        return np.full(len(points), 1 / EPSILON)
    _, gaps = nearest_others(points, n_near, tile_rows=tile_rows, n_threads=n_threads)
    means: FloatArray = np.sort(gaps, axis=1).mean(axis=1, dtype=np.float64)
    scores: FloatArray = 1 / (means + EPSILON)
    return scores
