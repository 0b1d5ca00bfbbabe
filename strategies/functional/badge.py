"""BADGE: k-means++ draws in gradient space, on the two factors of the gradient instead of the gradient."""

from __future__ import annotations

import numpy as np

from strategies.functional.arrays import FloatArray, IndexArray
from strategies.functional.distances import squared_norms

ROUNDING = 1e-13
"""Relative to |g|^2; a squared distance below it is float64 rounding and counts as 0."""


def prediction_error(probabilities: FloatArray) -> FloatArray:
    """The class factor p - onehot(arg max p) of the last-layer gradient, `n x classes` float64.

    The gradient of the cross-entropy at the predicted label is its outer product with the embedding.
    """
    error: FloatArray = probabilities.astype(np.float64)
    error[np.arange(len(error)), error.argmax(axis=1)] -= 1
    return error


def gradient_norms(error: FloatArray, embedding: FloatArray) -> FloatArray:
    """Squared norm of each gradient from its factors, `n x classes` and `n x dim` -> `n`."""
    return squared_norms(error) * squared_norms(embedding)


def squared_gradient_distances(error: FloatArray, embedding: FloatArray, norms: FloatArray, centre: int) -> FloatArray:
    """Squared Euclidean distance of each gradient to that of point `centre`.

    ||g_i - g_j||^2 = |q_i|^2 |h_i|^2 + |q_j|^2 |h_j|^2 - 2 (q_i.q_j)(h_i.h_j) for g = q outer h.

    Args:
        error: class factors q, `n x classes` float64.
        embedding: feature factors h, `n x dim` float64.
        norms: `gradient_norms(error, embedding)`.
        centre: row of the reference point.

    Returns:
        `n`, at least 0, and exactly 0 where the difference drowns in rounding.
    """
    scale = norms + norms[centre]
    overlap = np.einsum("ij,j->i", error, error[centre]) * np.einsum("ij,j->i", embedding, embedding[centre])
    squared: FloatArray = scale - 2 * overlap
    squared[squared <= ROUNDING * scale] = 0
    return squared


def sample_centres(
    error: FloatArray, embedding: FloatArray, n: int, *, rng: np.random.Generator
) -> tuple[IndexArray, FloatArray]:
    """k-means++ (D^2) draws among gradients; the first centre is the gradient with the largest norm.

    Every later centre is drawn with probability proportional to the squared distance to its nearest
    centre, or uniformly from the rest once all of these are 0. O(n_points x (classes + dim)) memory.

    Args:
        error: class factors of the gradients, `n_points x classes`.
        embedding: feature factors, `n_points x dim`.
        n: centres to draw, 1 to `n_points`.
        rng: source of the draws.

    Returns:
        Rows of the centres in pick order, all distinct, and the squared distance of each to its nearest
        earlier centre (of the first: to the origin).
    """
    error, embedding = error.astype(np.float64, copy=False), embedding.astype(np.float64)
    norms = gradient_norms(error, embedding)
    nearest = np.full(len(error), np.inf)
    remaining = np.ones(len(error), dtype=np.float64)
    picks: IndexArray = np.empty(n, dtype=np.int64)
    scores = np.empty(n)
    for step in range(n):
        if step:
            weights = nearest if nearest.any() else remaining
            pick = int(rng.choice(len(weights), p=weights / weights.sum()))
        else:
            pick = int(np.argmax(norms))
        picks[step], scores[step] = pick, nearest[pick] if step else norms[pick]
        np.minimum(nearest, squared_gradient_distances(error, embedding, norms, pick), out=nearest)
        nearest[pick] = remaining[pick] = 0
    return picks, scores
