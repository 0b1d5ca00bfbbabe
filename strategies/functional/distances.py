"""Euclidean distances in tiles of a fixed size: linear memory, and bits that no thread count changes."""

from __future__ import annotations

import numpy as np

from strategies.functional.arrays import FloatArray, IndexArray
from strategies.functional.tiles import TILE_ROWS, map_tiles

_SAFE_EXPONENT = 40
"""Largest entries up to 2^40 and down to 2^-40 have squares that float32 can add up."""
_LEAST_SPREAD = 1e-4
"""Mean squared distance from the mean, over its squared length, below which float32 mistakes the nearest points."""


def safe_factor(largest: FloatArray) -> FloatArray:
    """The power of two that brings a largest absolute value near 1, where its square might not fit float32.

    Multiplying by it is exact, so results change by the factor and nothing else; in the usual range it is 1.

    Args:
        largest: largest absolute values, of any shape.

    Returns:
        A factor for each, in the same dtype.
    """
    exponents = np.frexp(largest)[1]
    exponents = np.where(np.abs(exponents) > _SAFE_EXPONENT, exponents.clip(-126, 126), 0)
    factors: FloatArray = np.ldexp(largest.dtype.type(1), -exponents)
    return factors


def safely_scaled(points: FloatArray) -> tuple[FloatArray, float]:
    """`points`, `n x dim`, times the power of two after which their squares fit, and that factor.

    The points themselves where it is 1, as it usually is.
    """
    factor = safe_factor(np.maximum(points.max(), -points.min()))
    return (points if factor == 1 else points * factor), float(factor)


def normalise_rows(points: FloatArray) -> FloatArray:
    """`points`, `n x dim`, with every row divided by its Euclidean norm; zero rows stay zero.

    Rows of any magnitude that float32 holds in full: a power of two is taken out before squares are.
    """
    if not len(points):
        return points.copy()
    unit: FloatArray = points * safe_factor(np.maximum(points.max(axis=1), -points.min(axis=1)))[:, None]
    norms = np.linalg.norm(unit, axis=1, keepdims=True)
    unit /= np.where(norms > 0, norms, 1)
    return unit


def squared_norms(points: FloatArray) -> FloatArray:
    """Squared Euclidean norm of each row, `n x dim` -> `n`."""
    norms: FloatArray = np.einsum("ij,ij->i", points, points)
    return norms


def squared_distances(rows: FloatArray, columns: FloatArray, column_norms: FloatArray | None = None) -> FloatArray:
    """Squared Euclidean distances by one matrix product, clamped at 0, in the precision of the points.

    The rounding error is that of |x|^2 + |y|^2, so equal points may come out slightly apart.

    Args:
        rows: `n x dim`, one tile.
        columns: `m x dim`.
        column_norms: `squared_norms(columns)` where the caller has them already.

    Returns:
        `n x m`.
    """
    block: FloatArray = rows @ columns.T
    block *= -2
    block += squared_norms(columns) if column_norms is None else column_norms
    block += squared_norms(rows)[:, None]
    return np.maximum(block, 0, out=block)


def squared_distances_to(centre: FloatArray, points: FloatArray, *, tile_rows: int = TILE_ROWS) -> FloatArray:
    """Squared Euclidean distance of each point to one centre by differences: exactly 0 for equal points.

    Args:
        centre: `dim`.
        points: `n x dim`.
        tile_rows: points handled at once; it does not change the result.

    Returns:
        `n`.
    """
    distances: FloatArray = np.empty(len(points), dtype=points.dtype)
    for start in range(0, len(points), tile_rows):
        distances[start : start + tile_rows] = squared_norms(points[start : start + tile_rows] - centre)
    return distances


def nearest_others(
    points: FloatArray, n_near: int, *, tile_rows: int = TILE_ROWS, n_threads: int = 1
) -> tuple[IndexArray, FloatArray]:
    """The nearest other points of each point, and how far they are.

    Distances are taken by differences once the neighbours are known, so duplicates are at exactly 0.

    Args:
        points: `n x dim`.
        n_near: from 1 to `n - 1`.
        tile_rows: points handled at once; memory is O(tile_rows x n), and tile_rows x n_near x dim for the differences.
        n_threads: tiles handled at once.

    Returns:
        Rows of `points` and Euclidean distances, both `n x n_near`, in no order.
    """
    shifted = _shifted(points)
    norms = squared_norms(shifted)

    def of_tile(tile: slice) -> tuple[IndexArray, FloatArray]:
        block = squared_distances(shifted[tile], shifted, norms)
        rows = np.arange(len(block))
        block[rows, rows + tile.start] = np.inf
        near = np.argpartition(block, n_near - 1, axis=1)[:, :n_near].copy()
        return near, np.linalg.norm(points[near] - points[tile, None], axis=2)

    found = map_tiles(of_tile, len(points), tile_rows=tile_rows, n_threads=n_threads)
    near, gaps = zip(*found, strict=True)
    return np.concatenate(near), np.concatenate(gaps)


def _shifted(points: FloatArray) -> FloatArray:
    """`points` less their mean, where they are so far from 0 that rounding decides which of them are near."""
    mean = points.mean(axis=0, dtype=np.float64)
    offset = float(mean @ mean)
    if float(squared_norms(points).mean(dtype=np.float64)) - offset > _LEAST_SPREAD * offset:
        return points
    shifted: FloatArray = (points - mean).astype(points.dtype)
    return shifted
