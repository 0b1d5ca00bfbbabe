"""Uncertainty scores of a predicted class distribution, and the selector that takes the largest."""

from __future__ import annotations

import numpy as np
import scipy

from strategies.base import FloatArray, IndexArray, Selection


def entropy(probabilities: FloatArray) -> FloatArray:
    """Shannon entropy in nats of each row of `probabilities`, `n x classes` -> `n`; 0 log 0 is 0."""
    scores: FloatArray = scipy.special.entr(probabilities.astype(np.float64)).sum(axis=1)
    return scores


def margin(probabilities: FloatArray) -> FloatArray:
    """Largest minus second largest probability of each row, `n x classes` -> `n`; one class has margin 1."""
    if probabilities.shape[1] == 1:
        return np.ones(len(probabilities))
    top = np.partition(probabilities.astype(np.float64), -2, axis=1)
    margins: FloatArray = top[:, -1] - top[:, -2]
    return margins


def top_k(scores: FloatArray, candidates: IndexArray, n: int) -> Selection:
    """The `n` candidates with the largest scores, best first; ties go to the smallest pool index.

    Args:
        scores: one score per candidate.
        candidates: pool indices.
        n: how many to take.
    """
    order = np.lexsort((candidates, -scores))[:n]
    return Selection(candidates[order], scores[order])
