"""Similarity by random walks on the graph of nearest neighbours."""

from __future__ import annotations

from functools import partial

import numpy as np

from strategies.functional.arrays import FloatArray
from strategies.functional.distances import nearest_others
from strategies.functional.tiles import TILE_ROWS, map_tiles, slices

SMALLEST_SCALE = 1e-6
"""Of the distances around a point, so that a point with enough copies has one."""


def neighbour_weights(points: FloatArray, n_near: int, *, n_threads: int = 1) -> FloatArray:
    """Weights of the graph that joins each point to its nearest others, dense and symmetric.

    w_ij = exp(-||i - j||^2 / (s_i s_j)) where j is one of the nearest of i or the other way round, and 0 elsewhere; s_i
    is the distance of i to the last of its nearest, so that the unit of length is that of the place.

    Args:
        points: `n x dim` float32.
        n_near: others that each point is joined to, where there are as many.
        n_threads: tiles handled at once.

    Returns:
        `n x n` float32, 0 on the diagonal.

    Source: Zelnik-Manor and Perona 2004, Self-Tuning Spectral Clustering, NeurIPS.
    """
    n = len(points)
    weights = np.zeros((n, n), dtype=np.float32)
    if n == 1:
        return weights
    near, gaps = nearest_others(points, min(n_near, n - 1), n_threads=n_threads)
    scales = np.maximum(gaps.max(axis=1), np.float32(SMALLEST_SCALE))
    rows = np.arange(n)[:, None]
    found = np.exp(-np.square(gaps) / (scales[:, None] * scales[near]))
    weights[rows, near] = found
    # The union of both directions: a weight is the same from either end, so writing it twice changes nothing.
    weights[near, rows] = found
    return weights


def diffusion_kernel(points: FloatArray, *, n_near: int = 10, stay: float = 0.95, n_threads: int = 1) -> FloatArray:
    """How surely random walks on the graph of `neighbour_weights` get from one point to another.

    A walk goes on with probability `stay` before each step and then takes an edge with a probability proportional to
    its weight. If h_ij is the probability that a walk from i ever reaches j, k_ij = sqrt(h_ij h_ji): 1 on the diagonal,
    and 0 between points that no path joins.

    With S = D^-1/2 W D^-1/2, D the sums of the rows of W, and G = (I - stay S)^-1,
    h_ij = G_ij / G_jj sqrt(d_j / d_i), so k_ij = G_ij / sqrt(G_ii G_jj). G is the kernel of label spreading.

    Args:
        points: `n x dim` float32.
        n_near: others that each point is joined to.
        stay: probability of each further step, at most 0.999; stay / (1 - stay) steps are expected.
        n_threads: tiles handled at once; they do not change the result.

    Returns:
        `n x n` float32, symmetric, from 0 to 1. Time O(n^3), memory two matrices of this size at most.

    Source: Zhou et al. 2004, Learning with Local and Global Consistency, NeurIPS.
    """
    weights = neighbour_weights(points, n_near, n_threads=n_threads)
    roots = np.sqrt(weights.sum(axis=1))
    roots[roots == 0] = 1  # A point that nothing is near: all its weights are 0.
    weights /= roots
    weights /= -roots[:, None] / np.float32(stay)
    np.fill_diagonal(weights, 1)
    kernel = negative_inverse(weights, n_threads=n_threads)
    roots = np.sqrt(-np.diag(kernel))
    for tile in slices(0, len(kernel), TILE_ROWS):
        rows = kernel[tile, tile.start :]
        rows /= -roots[tile, None] * roots[tile.start :]
        np.clip(rows, 0, 1, out=rows)
        square = np.triu(rows[:, : len(rows)])
        rows[:, : len(rows)] = np.maximum(square, square.T)
        kernel[tile.stop :, tile] = rows[:, len(rows) :].T
    np.fill_diagonal(kernel, 1)
    return kernel


def negative_inverse(matrix: FloatArray, *, n_threads: int = 1) -> FloatArray:
    """Minus the inverse of a positive definite matrix, right in the upper triangle, which alone is read.

    Each block of rows in turn is swept: with P the inverse of its square on the diagonal and B its columns, the rest
    becomes A - B P B^T, B becomes B P, and the square -P. These are n^3 operations, as many as Cholesky's factor and
    the inverse from it take, but all of them are products of tiles, which can be worked on at once.

    Args:
        matrix: `n x n` float32, overwritten. It must not be nearly singular: there is no pivoting.
        n_threads: tiles handled at once; they do not change the result.

    Source: Goodnight 1979, A Tutorial on the SWEEP Operator, The American Statistician.
    """
    n = len(matrix)
    for block in slices(0, n, TILE_ROWS):
        columns = np.concatenate([matrix[: block.start, block], matrix[block, block.start :].T])
        square = np.triu(matrix[block, block]).astype(np.float64)
        inverse = np.linalg.inv(square + np.triu(square, 1).T).astype(np.float32)
        swept = columns @ inverse
        map_tiles(partial(_subtract, matrix, swept, columns, block), n, n_threads=n_threads)
        matrix[: block.start, block] = swept[: block.start]
        matrix[block, block.start :] = swept[block.start :].T
        matrix[block, block] = -inverse
    return matrix


def _subtract(matrix: FloatArray, swept: FloatArray, columns: FloatArray, block: slice, rows: slice) -> None:
    """A - B P B^T in some rows, right of the diagonal and outside the block."""
    if rows != block:
        for part in (slice(rows.start, block.start), slice(max(rows.start, block.stop), len(matrix))):
            matrix[rows, part] -= swept[rows] @ columns[part].T
