"""MaxHerding: greedy maximum of a generalised coverage, the mean similarity of a point to its nearest label."""

from __future__ import annotations

import itertools
import math

import numpy as np

from strategies.base import FloatArray, IndexArray
from strategies.functional.tiles import map_tiles, slices

TILE = 512
"""Rows and columns of a tile; part of the arithmetic."""
BATCHES = (64, 128, 256, 512, 1024)
"""Largest gains that are brought up to date at once, more each time it was not enough; part of the arithmetic."""
ROUNDING = 2.0**-18
"""What squared distances are lowered by: more than float32 errs by between unit vectors, so copies are at 0."""
RESOLUTION = 2.0**-22
"""Gains are multiples of it, so that float32's rounding does not come between equal ones."""


def herd(
    points: FloatArray,
    covering: FloatArray,
    n: int,
    *,
    sigma: float,
    weights: FloatArray | None = None,
    n_threads: int = 1,
) -> tuple[IndexArray, FloatArray]:
    """Greedy picks of the largest gain in coverage, by k(i, j) = exp(-(||i - j|| / sigma)^2).

    With m_j the largest k of point j to `covering` and the picks so far (0 without any), the gain of i is the
    mean over all points, `covering` included, of u_j max(k_ij - m_j, 0). Coverage is submodular: a gain that was
    right some picks ago is an upper bound, so only the largest are computed again until the first one is up to
    date, and the picks are those of computing all (lazy greedy: Minoux 1978). Kernel in float32 with squared
    distances 2^-18 smaller (see `ROUNDING`), gains rounded to 2^-22, ties to the smallest index: a pick may fall
    short of the largest gain by that rounding alone, about 1e-6 for sigma=1.

    One pass over half of the kernel, k being symmetric (two passes where nothing covers yet, since the first
    pick changes all gains), and rows of it for what is computed again. Memory O(n_points^2 / 512).

    Args:
        points: `n_points x dim` float32, rows of norm 1 or 0.
        covering: points that cover already and cannot be picked, `n_covering x dim`, likewise.
        n: picks, at most `n_points`.
        sigma: width of the kernel.
        weights: u_j of each of `points`, with a mean near 1, which the resolution is made for; 1 where None. Those of
            `covering` are 0.
        n_threads: tiles handled at once.

    Returns:
        Distinct rows of `points` in pick order and the gain of each.

    Source: Bae et al. 2024, arXiv 2407.12212, algorithm 1; weights: Bae et al. 2025, arXiv 2412.20644.
    """
    factor = np.float32(math.sqrt(2) / sigma)
    points, covering = points * factor, covering * factor
    halves = _half_norms(points)
    lowered = halves - np.float32(ROUNDING / sigma**2)
    weights = np.ones(len(points), dtype=np.float32) if weights is None else weights.astype(np.float32)
    unit = 1 / (RESOLUTION * (len(points) + len(covering)))

    def kernel(rows: FloatArray, row_halves: FloatArray, columns: slice) -> FloatArray:
        # -(||i - j|| / sigma)^2 = a.b - |a|^2 / 2 - |b|^2 / 2 of points multiplied by sqrt(2) / sigma.
        block: FloatArray = rows @ points[columns].T
        block -= lowered[columns]
        block -= row_halves[:, None]
        return np.exp(np.minimum(block, 0, out=block), out=block)

    def excess(block: FloatArray, covered: FloatArray, out: FloatArray | None = None) -> FloatArray:
        above = np.subtract(block, covered, out=out)
        return np.maximum(above, 0, out=above)

    def in_resolution(sums: list[FloatArray]) -> FloatArray:
        gains: FloatArray = np.round(np.sum(sums, axis=0, dtype=np.float64) * unit) * RESOLUTION
        return gains

    def all_gains() -> FloatArray:
        def of_upper_tiles(rows: slice) -> FloatArray:
            sums = np.zeros(len(points))
            for columns in slices(rows.start, len(points), TILE):
                block = kernel(points[rows], halves[rows], columns)
                above = excess(block, nearest[columns])
                sums[rows] += above @ weights[columns]
                if columns != rows:
                    sums[columns] += weights[rows] @ excess(block, nearest[rows, None], out=above)
            return sums

        return in_resolution(map_tiles(of_upper_tiles, len(points), tile_rows=TILE, n_threads=n_threads))

    def gains_of(candidates: IndexArray) -> FloatArray:
        rows, row_halves = points[candidates], halves[candidates]

        def in_tile(columns: slice) -> FloatArray:
            above = excess(kernel(rows, row_halves, columns), nearest[columns])
            sums: FloatArray = above @ weights[columns]
            return sums

        return in_resolution(map_tiles(in_tile, len(points), tile_rows=TILE, n_threads=n_threads))

    def largest_to(rows: FloatArray) -> FloatArray:
        row_halves = _half_norms(rows)
        parts = map_tiles(
            lambda columns: kernel(rows, row_halves, columns).max(axis=0),
            len(points),
            tile_rows=TILE,
            n_threads=n_threads,
        )
        return np.concatenate(parts)

    nearest = largest_to(covering) if len(covering) else np.zeros(len(points), dtype=np.float32)
    gains = all_gains()
    right_at = np.zeros(len(points), dtype=np.int64)
    picks, scores = np.empty(n, dtype=np.int64), np.empty(n)
    for step in range(n):
        if step == 1 and not len(covering):
            gains = np.where(gains < 0, gains, all_gains())
            right_at[:] = step
        for batch in itertools.chain(BATCHES, itertools.repeat(BATCHES[-1])):
            order = np.argsort(-gains, kind="stable")[:batch]
            # A gain of 0 cannot fall.
            stale = order[(right_at[order] < step) & (gains[order] > 0)]
            if order[0] not in stale:
                break
            gains[stale], right_at[stale] = gains_of(stale), step
        pick = picks[step] = order[0]
        scores[step] = gains[pick]
        np.maximum(nearest, largest_to(points[pick, None]), out=nearest)
        gains[pick] = -1
    return picks, scores


def _half_norms(rows: FloatArray) -> FloatArray:
    """Half the squared norms; in float64, as float32 loses more than a product does in thousands of dimensions."""
    halves: FloatArray = (np.einsum("ij,ij->i", rows, rows, dtype=np.float64) / 2).astype(np.float32)
    return halves
