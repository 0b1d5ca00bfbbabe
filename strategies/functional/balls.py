"""Balls around points: who lies in whose, as bits, and how wide a ball may be until it is impure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategies.functional.arrays import FloatArray, IndexArray
from strategies.functional.distances import squared_distances, squared_norms
from strategies.functional.tiles import TILE_ROWS, map_tiles, slices

BLOCK = 4096
"""Columns of a block of distances between all points, a multiple of 64 and of a tile. Part of the arithmetic."""
DENSE = 1 / 16
"""Share of marked points from which on passing over all bits is faster than over the rows of the marked ones."""
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


def all_near(points: FloatArray, radius: float, *, n_threads: int = 1) -> NDArray[np.uint64]:
    """Whether each point is nearer than `radius` to each point, as `near` has it but 64 points a word.

    Half of the distances are computed, so the matrix is symmetric to the bit, and each point is near itself. It takes
    `n^2 / 8` bytes whatever the radius.

    Args:
        points: `n x dim`.
        radius: a Euclidean distance strictly below it is near.
        n_threads: tiles handled at once.

    Returns:
        `n x ceil(n / 64)`; the bits beyond `n` are 0.
    """
    n = len(points)
    norms = squared_norms(points)
    words = np.zeros((n, (n + 63) // 64), dtype=np.uint64)
    packed = words.view(np.uint8)

    def fill(rows: slice) -> None:
        for columns in slices(rows.start, n, BLOCK):
            block = squared_distances(points[rows], points[columns], norms[columns]) < radius**2
            if columns.start == rows.start:
                own = block[:, : len(block)]
                own |= own.T
                np.fill_diagonal(own, True)
            packed[rows, columns.start // 8 : (columns.stop + 7) // 8] = np.packbits(block, axis=1)
            packed[columns, rows.start // 8 : (rows.stop + 7) // 8] = np.packbits(block.T, axis=1)

    map_tiles(fill, n, tile_rows=TILE_ROWS, n_threads=n_threads)
    return words


def members(is_near: NDArray[np.unsignedinteger[Any]], n: int) -> NDArray[np.bool_]:
    """Rows of `near` or `all_near`, one or several, as `n` booleans each."""
    return np.unpackbits(is_near.view(np.uint8), axis=-1, count=n).view(bool)


def number_near(is_near: NDArray[np.uint64], which: NDArray[np.bool_]) -> IndexArray:
    """How many of the points that `which` marks are near each point: `all_near`, `n` booleans -> `n`."""
    n = len(is_near)
    counts = np.zeros(n, dtype=np.int64)
    marked = np.flatnonzero(which)
    if len(marked) > DENSE * n:
        wanted = np.zeros(is_near.shape[1], dtype=np.uint64)
        wanted.view(np.uint8)[: (n + 7) // 8] = np.packbits(which)
        for rows in slices(0, n, TILE_ROWS):
            counts[rows] = np.bitwise_count(is_near[rows] & wanted).sum(axis=1, dtype=np.int64)
    else:
        # Up to 255 rows add up in a byte.
        for some in slices(0, len(marked), 255):
            counts += members(is_near[marked[some]], n).sum(axis=0, dtype=np.uint8)
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
