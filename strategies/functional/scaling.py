"""Scaling of frozen features, so that defaults mean the same on features of any unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from strategies.exceptions import InvalidParameterError
from strategies.functional.arrays import FloatArray
from strategies.functional.distances import normalise_rows, safe_factor
from strategies.functional.tiles import TILE_ROWS, slices

Scaling = Literal["rms", "centred", "unit", "none"]
"""How: divided by the overall root mean square; centred first; rows of norm sqrt(dim); as they are."""


@dataclass(frozen=True, eq=False)
class Scaler:
    """A scaling fitted to a pool.

    Attributes:
        how: the scaling.
        unit: power of two that all is multiplied by first, so that squares of features fit float32.
        shift: subtracted from each feature, `dim`.
        factor: what the differences are multiplied by.
    """

    how: Scaling
    unit: float
    shift: FloatArray
    factor: float

    def __call__(self, features: FloatArray) -> FloatArray:
        """Scaled copy of `features`, `n x dim` float32."""
        if self.how == "unit":
            return normalise_rows(features) * np.float32(np.sqrt(features.shape[1]))
        scaled: FloatArray = features * np.float32(self.unit)
        scaled -= self.shift
        scaled *= np.float32(self.factor)
        return scaled

    def pull_back(self, features: FloatArray, gradient: FloatArray) -> FloatArray:
        """The gradient by `features`, `n x dim`, of what has this gradient by the scaled ones."""
        if self.how == "unit":
            unit = normalise_rows(features)
            norms = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
            along = np.einsum("ij,ij->i", gradient, unit)[:, None]
            factor = np.divide(np.sqrt(features.shape[1]), norms, out=np.zeros_like(norms), where=norms > 0)
            pulled: FloatArray = ((gradient - along * unit) * factor).astype(np.float32)
            return pulled
        return gradient * np.float32(self.unit * self.factor)


def fit_scaling(features: FloatArray, how: Scaling) -> Scaler:
    """Fit a scaling to the pool, `n x dim`; constant features keep the factor 1.

    Raises:
        InvalidParameterError: `none`, where squares of the features do not fit float32.
    """
    dim = features.shape[1]
    largest = np.maximum(features.max(), -features.min())
    unit = float(safe_factor(largest))
    if how == "none" and unit != 1:
        raise InvalidParameterError(
            f"Expected a largest absolute feature of 1e-12 to 1e12 for scaling=none, but got {largest:.3g}. "
            "Multiply them by a constant, or set scaling=rms."
        )
    shift = np.zeros(dim, dtype=np.float32)
    if how == "centred":
        shift = (features.mean(axis=0, dtype=np.float64) * unit).astype(np.float32)
        tiles = slices(0, len(features), TILE_ROWS)
        power = sum(float(np.square(features[rows].astype(np.float64) * unit - shift).sum()) for rows in tiles)
        power /= features.size
    else:
        square = np.einsum("ij,ij->j", features, features, dtype=np.float64) / len(features) * unit**2
        power = float(square.mean())
    scaled = how in ("rms", "centred") and power > 0
    return Scaler(how, unit, shift, 1 / float(np.sqrt(power)) if scaled else 1.0)
