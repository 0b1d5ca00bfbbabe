"""Batches by binary Fisher information: forward greedy, then backward, with rank-1 updates."""

from __future__ import annotations

import numpy as np
import scipy

from strategies.functional.arrays import FloatArray, IndexArray
from strategies.functional.tiles import map_tiles

TILE_ROWS = 2048
"""Rows of a tile; part of the arithmetic."""


def binary_information(probabilities: FloatArray) -> FloatArray:
    """Variance p (1 - p) of the largest probability p of each row, `n x classes` -> `n` float64."""
    largest = probabilities.max(axis=1).astype(np.float64).clip(0, 1)
    weights: FloatArray = largest * (1 - largest)
    return weights


def weighted_gram(points: FloatArray, weights: FloatArray, *, n_threads: int = 1) -> FloatArray:
    """Mean over points x of w x x^T, `n x dim` and `n` -> `dim x dim` float64."""

    def in_tile(rows: slice) -> FloatArray:
        tile = points[rows].astype(np.float64)
        gram: FloatArray = (tile * weights[rows, None]).T @ tile
        return gram

    total = np.zeros((points.shape[1], points.shape[1]))
    for part in map_tiles(in_tile, len(points), tile_rows=TILE_ROWS, n_threads=n_threads):
        total += part
    return total / len(points)


def bait(
    points: FloatArray,
    weights: FloatArray,
    information: FloatArray,
    start: FloatArray,
    n: int,
    *,
    n_forward: int,
    n_threads: int = 1,
) -> tuple[IndexArray, FloatArray]:
    """The batch after which tr(F M) is small, with M the inverse of `start` plus the batch's sum of w x x^T.

    Adding x lowers the trace by w x^T M F M x / (1 + w x^T M x); the largest is added `n_forward` times. Then the
    point whose removal raises it least is removed until `n` are left, by w x^T M F M x / (1 - w x^T M x). Both x^T M x
    and x^T M F M x of all points are kept through the rank-1 updates of M, so a step is one pass over the points:
    O(n_points dim), and O(n_points dim^2) before the first. float64 throughout; of equal points the smallest index is
    added first, the one added last is removed first.

    Where w |x|^2 is large beside `start`, a pick that alone covers a direction has 1 - w x^T M x near 0: from a million
    times on, no more than the rounding of M. So before the first removal, coordinates are changed to those in which M
    is the identity.

    Args:
        points: candidates, `n_points x dim`.
        weights: w of each.
        information: F, `dim x dim`.
        start: what M is the inverse of before the first pick, positive definite.
        n: picks.
        n_forward: picks before the first removal, `n` to `n_points`.
        n_threads: tiles handled at once.

    Returns:
        Indices of the picks in the order they were added, and the gain of each when it was.

    Source: Ash et al. 2021, Gone Fishing, NeurIPS, algorithm 1; Huseljic et al. 2024, arXiv 2404.08981.
    """
    points = points.astype(np.float64)
    inverse = np.linalg.inv(start)
    inverse = (inverse + inverse.T) / 2

    def quadratics(rows: slice) -> FloatArray:
        turned = points[rows] @ inverse
        return np.stack(
            [np.einsum("ij,ij->i", turned, points[rows]), np.einsum("ij,ij->i", turned @ information, turned)]
        )

    # quadratic: x^T M x; trace: x^T M F M x.
    parts = map_tiles(quadratics, len(points), tile_rows=TILE_ROWS, n_threads=n_threads)
    quadratic, trace = np.concatenate(parts, axis=1)

    def update(pick: FloatArray, weight: float, rows: FloatArray, sign: int) -> tuple[FloatArray, FloatArray]:
        """Changes of x^T M x and x^T M F M x when w v v^T of the pick v joins (1) or leaves (-1)."""
        nonlocal inverse
        column = inverse @ pick
        second = inverse @ (information @ column)
        curvature = column @ information @ column
        scale = weight / (1 + sign * weight * (pick @ column)) * sign
        inverse -= scale * np.outer(column, column)
        both = np.stack([column, second], axis=1)
        tiles = map_tiles(lambda tile: rows[tile] @ both, len(rows), tile_rows=TILE_ROWS, n_threads=n_threads)
        along, across = np.concatenate(tiles).T
        return -scale * along**2, along * (curvature * scale**2 * along - 2 * scale * across)

    picks: list[int] = []
    gains: list[float] = []
    is_free = np.ones(len(points), dtype=bool)
    for _ in range(n_forward):
        gain = np.where(is_free, weights * trace / (1 + weights * quadratic), -np.inf)
        pick = int(np.argmax(gain))
        picks.append(pick)
        gains.append(float(gain[pick]))
        is_free[pick] = False
        changes = update(points[pick], weights[pick], points, 1)
        quadratic += changes[0]
        trace += changes[1]

    kept = np.array(picks)
    w, rows = weights[kept], points[kept]
    factor = scipy.linalg.cholesky(start + (rows * w[:, None]).T @ rows, lower=True)
    rows = np.ascontiguousarray(scipy.linalg.solve_triangular(factor, rows.T, lower=True).T)
    half = scipy.linalg.solve_triangular(factor, information, lower=True)
    information, inverse = scipy.linalg.solve_triangular(factor, half.T, lower=True), np.eye(len(factor))
    quadratic, trace = np.einsum("ij,ij->i", rows, rows), np.einsum("ij,ij->i", rows @ information, rows)
    is_kept = np.ones(len(kept), dtype=bool)
    for _ in range(n_forward - n):
        loss = np.where(is_kept, w * trace / (1 - w * quadratic), np.inf)
        position = len(kept) - 1 - int(np.argmin(loss[::-1]))
        is_kept[position] = False
        changes = update(rows[position], w[position], rows, -1)
        quadratic += changes[0]
        trace += changes[1]
    return kept[is_kept].astype(np.int64), np.array(gains)[is_kept]
