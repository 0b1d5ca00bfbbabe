"""Calibration of predicted probabilities: expected calibration error, and a temperature that makes it small."""

from __future__ import annotations

import numpy as np
import scipy

from strategies.functional.arrays import FloatArray, IndexArray

TEMPERATURES = np.arange(10, 200) / 10
"""1.0, 1.1, ... 19.9."""


def tempered(probabilities: FloatArray, temperature: float) -> FloatArray:
    """Softmax of the logits over `temperature`, `n x classes` float64; a probability of 0 counts as 1e-38."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))
    scaled: FloatArray = scipy.special.softmax(logits / temperature, axis=1)
    return scaled


def expected_calibration_error(probabilities: FloatArray, labels: IndexArray, n_bins: int) -> float:
    """Mean over points of |accuracy - confidence| of their bin, for bins of equal width (Guo et al. 2017, eq. 3).

    Args:
        probabilities: `n x classes`.
        labels: true classes, `n`.
        n_bins: bins of (0, 1]; each includes its upper end.
    """
    confidence = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == labels
    bins = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    differences = np.bincount(bins, weights=is_right - confidence, minlength=n_bins)
    return float(np.abs(differences).sum() / len(labels))


def best_temperature(probabilities: FloatArray, labels: IndexArray, n_bins: int) -> float:
    """The one of `TEMPERATURES` with the least expected calibration error; ties go to the smallest."""
    errors = [
        expected_calibration_error(tempered(probabilities, float(temperature)), labels, n_bins)
        for temperature in TEMPERATURES
    ]
    return float(TEMPERATURES[int(np.argmin(errors))])
