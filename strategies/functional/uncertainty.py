"""Uncertainty scores of a predicted class distribution."""

from __future__ import annotations

import numpy as np
import scipy

from strategies.functional.arrays import FloatArray


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
