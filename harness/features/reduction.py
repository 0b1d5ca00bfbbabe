"""Features in little space: principal components as 8-bit integers with a scale per column."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data import Dataset, Fields
from harness.exceptions import DataError
from strategies.functional.tiles import slices

_LEVELS = 127
_ROWS = 4096
"""Rows of which there are copies in float64 at a time."""


def reduce_features(data: Dataset, dim: int) -> tuple[Fields, NDArray[np.float32]]:
    """Project on the leading principal components of the pool and round.

    Test rows beyond the range of the pool are clipped.

    Args:
        data: the features.
        dim: components to keep.

    Returns:
        int8 features with the labels by name or number as the data set has them, and the scale of each column:
        features are integers times scale.

    Raises:
        DataError: more components than columns.
    """
    if not 1 <= dim <= data.x_train.shape[1]:
        raise DataError(f"Expected 1 to {data.x_train.shape[1]} components of {data.name}, but got {dim}.")
    centre = data.x_train.mean(axis=0, dtype=np.float64)
    second = np.zeros((len(centre), len(centre)))
    for rows in np.array_split(data.x_train, max(1, len(data.x_train) // _ROWS)):
        shifted = rows - centre
        second += shifted.T @ shifted
    axes = np.linalg.eigh(second)[1][:, ::-1][:, :dim]
    # The sign of an eigenvector is arbitrary: the largest entry is positive.
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(dim)])
    train, test = (
        [(x[rows] - centre) @ axes for rows in slices(0, len(x), _ROWS)] for x in (data.x_train, data.x_test)
    )
    scale = np.max([np.abs(part).max(axis=0) for part in train], axis=0) / _LEVELS
    scale[scale == 0] = 1
    x_train, x_test = (
        np.concatenate([np.clip(np.rint(part / scale), -_LEVELS, _LEVELS).astype(np.int8) for part in parts])
        for parts in (train, test)
    )
    labels = _as_given(np.array(data.class_names))
    return Fields(x_train, labels[data.y_train], x_test, labels[data.y_test]), scale.astype(np.float32)


def _as_given(names: NDArray[np.str_]) -> NDArray[Any]:
    """Names of classes as numbers where each is the plain form of one, such as `-3`, but not `03`.

    Text stays text where numbers would have another order, such as `11` before `2`.
    """
    try:
        numbers = names.astype(np.int64)
    except (ValueError, OverflowError):
        return names
    return numbers if (numbers.astype(np.str_) == names).all() and (np.diff(numbers) > 0).all() else names
