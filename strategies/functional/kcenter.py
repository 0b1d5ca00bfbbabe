"""Greedy k-centre: every pick is the point farthest from all that is covered so far."""

from __future__ import annotations

import numpy as np

from strategies.functional.arrays import FloatArray, IndexArray
from strategies.functional.distances import safely_scaled, squared_distances, squared_distances_to, squared_norms
from strategies.functional.tiles import TILE_ROWS, map_tiles

UNRESOLVED = 2.0**-16
"""Share of a squared norm below which a product in float32 may mistake which centre is nearest."""


def k_centre(
    points: FloatArray, covered: IndexArray, n: int, *, tile_rows: int = TILE_ROWS, n_threads: int = 1
) -> tuple[IndexArray, FloatArray]:
    """The farthest-first traversal, a 2-approximation of k-centre (Gonzalez 1985).

    O((covered + n) x n_points x dim) time, O(n_points) memory beyond one tile. A product of matrices finds the nearest
    covered point, and distances are taken by differences, so copies are at exactly 0.

    Args:
        points: `n_points x dim`.
        covered: indices of the points that are centres already; may be empty.
        n: centres to add, at most the number of points that are not centres.
        tile_rows: points handled at once.
        n_threads: tiles handled at once.

    Returns:
        Indices of the new centres in pick order and the Euclidean distance of each to the nearest earlier
        centre (infinite where there was none). Ties go to the smallest index; no index comes twice.
    """
    points, factor = safely_scaled(points)
    nearest: FloatArray = np.full(len(points), np.inf, dtype=points.dtype)
    if len(covered):
        centres = points[covered]
        mean = points.mean(axis=0, dtype=np.float64).astype(points.dtype)
        shifted, norms = centres - mean, squared_norms(centres - mean)

        def to_nearest(tile: slice) -> FloatArray:
            rows = points[tile] - mean
            about, unresolved = squared_distances(rows, shifted, norms), UNRESOLVED * squared_norms(rows)
            found = squared_norms(points[tile] - centres[about.argmin(axis=1)])
            for row in np.flatnonzero((found > 0) & (found < unresolved)):
                near = about[row] <= about[row].min() + 2 * unresolved[row]
                found[row] = squared_distances_to(points[tile][row], centres[near]).min()
            return found

        nearest = np.concatenate(map_tiles(to_nearest, len(points), tile_rows=tile_rows, n_threads=n_threads))
        nearest[covered] = -1
    picks: IndexArray = np.empty(n, dtype=np.int64)
    squared: FloatArray = np.empty(n, dtype=np.float64)
    for step in range(n):
        pick = picks[step] = np.argmax(nearest)
        squared[step] = nearest[pick]
        np.minimum(nearest, squared_distances_to(points[pick], points, tile_rows=tile_rows), out=nearest)
        nearest[pick] = -1
    return picks, np.sqrt(squared) / factor
