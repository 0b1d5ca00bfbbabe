"""Calibration of predicted probabilities: expected calibration error, and a temperature that makes it small."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

from strategies.functional.arrays import FloatArray, IndexArray

TEMPERATURES = np.arange(10, 200) / 10
"""1.0, 1.1, ... 19.9."""


def tempered(probabilities: FloatArray, temperature: float) -> FloatArray:
    """Softmax of the logits over `temperature`, `n x classes` float64; a probability of 0 counts as 1e-38."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))
    scaled: FloatArray = scipy.special.softmax(logits / temperature, axis=1)
    return scaled


def expected_calibration_error(confidence: FloatArray, is_right: NDArray[np.bool_], n_bins: int) -> float:
    """Mean over points of |accuracy - confidence| of their bin, for bins of equal width (Guo et al. 2017, eq. 3).

    Args:
        confidence: largest probability of each of `n` points, float64.
        is_right: whether the class that has it is the true one, `n`.
        n_bins: bins of (0, 1]; each includes its upper end.
    """
    bins = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    differences = np.bincount(bins, weights=is_right - confidence, minlength=n_bins)
    return float(np.abs(differences).sum() / len(confidence))


def best_temperature(probabilities: FloatArray, labels: IndexArray, n_bins: int) -> float:
    """The one of `TEMPERATURES` with the least expected calibration error; ties go to the smallest."""

    def error(temperature: float) -> float:
        found = tempered(probabilities, temperature)
        return expected_calibration_error(found.max(axis=1), found.argmax(axis=1) == labels, n_bins)

    return float(min(TEMPERATURES.tolist(), key=error))
