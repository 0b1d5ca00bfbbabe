"""Balls around points: who lies in whose, as bits, and how wide a ball may be until it is impure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from strategies.base import FloatArray, IndexArray
from strategies.functional.distances import squared_distances, squared_norms
from strategies.functional.tiles import map_tiles

LARGEST_RADIUS = 1.1
RESOLUTION = 0.05


def near(rows: FloatArray, points: FloatArray, radius: float, *, n_threads: int = 1) -> NDArray[np.uint8]:
    """Whether each point is nearer than `radius` to each row, eight points a byte (`np.packbits`).

    Args:
        rows: `n_rows x dim`.
        points: `n x dim`.
        radius: a Euclidean distance strictly below it is near.
        n_threads: tiles handled at once.

    Returns:
        `n_rows x ceil(n / 8)`.
    """
    norms = squared_norms(points)

    def in_tile(tile: slice) -> NDArray[np.uint8]:
        return np.packbits(squared_distances(rows[tile], points, norms) < radius**2, axis=1)

    return np.concatenate(map_tiles(in_tile, len(rows), n_threads=n_threads))


def number_near(is_near: NDArray[np.uint8], which: NDArray[np.bool_]) -> IndexArray:
    """How many of the points that `which` marks are near each row: bits of `near` -> `n_rows`."""
    wanted = np.packbits(which)
    used = np.flatnonzero(wanted)
    counts: IndexArray = np.bitwise_count(is_near[:, used] & wanted[used]).sum(axis=1, dtype=np.int64)
    return counts


def widest_pure_radii(
    points: FloatArray, predicted: IndexArray, labels: IndexArray, threshold: float
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Radius of the ball of each labelled point, and which points lie in any of these balls.

    A binary search in [0, 1.1], to 0.05, goes on to wider balls while the share of the ball that is predicted to be of
    its centre's class is at least `threshold`, else to narrower ones (Mishal and Weinshall 2024).

    Args:
        points: `n x dim`, the labelled ones first.
        predicted: class of each.
        labels: class of each labelled point.
        threshold: in [0, 1].

    Returns:
        Radii of the labelled points, and `n` booleans.
    """
    norms = squared_norms(points)
    radii, is_covered = np.empty(len(labels)), np.zeros(len(points), dtype=bool)
    for centre, label in enumerate(labels):
        squared = squared_distances(points[centre, None], points, norms)[0]
        squared[centre] = 0
        is_pure = predicted == label
        low, high = 0.0, LARGEST_RADIUS
        while high - low > RESOLUTION:
            middle = (low + high) / 2
            inside = squared < middle**2
            if np.count_nonzero(inside & is_pure) >= threshold * np.count_nonzero(inside):
                low = middle
            else:
                high = middle
        radii[centre] = (low + high) / 2
        is_covered |= squared < radii[centre] ** 2
    return radii, is_covered
