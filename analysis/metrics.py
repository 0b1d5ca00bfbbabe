"""From a learning curve to a number. Accuracy is in [0, 1]; the label axis is the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.exceptions import InvalidValuesError
from analysis.rounding import DIGITS

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]


def area_under_curve(
    n_labels: ArrayLike, accuracy: ArrayLike, *, log: bool = False, window: tuple[float, float] | None = None
) -> float:
    """Mean height of a learning curve over its label axis: the area under it, divided by the span.

    The curve is linear between its own label counts, so the area does not depend on how often accuracy was
    measured where it is linear; a mean over rounds would weigh short rounds as much as long ones.

    Args:
        n_labels: `n_rounds` label counts, rising strictly.
        accuracy: `n_rounds` accuracies in [0, 1].
        log: let the axis be the logarithm of the label count, in which the curve is then linear.
        window: first and last label count of the area, within the curve; None takes all of the curve.

    Returns:
        The area in units of accuracy; of a curve or window of one label count, the accuracy there.

    Raises:
        InvalidValuesError: no curve, a window beyond the curve, or `log` with a label count of 0.
    """
    _curve(n_labels, accuracy)
    return float(areas_under_curves(n_labels, accuracy, log=log, window=window))


def areas_under_curves(
    n_labels: ArrayLike, curves: ArrayLike, *, log: bool = False, window: tuple[float, float] | None = None
) -> FloatArray:
    """`area_under_curve` of many curves over the same label counts.

    Args:
        n_labels: `n_rounds` label counts, rising strictly.
        curves: `... x n_rounds` accuracies.
        log: as in `area_under_curve`.
        window: as in `area_under_curve`.

    Returns:
        `...` areas in units of accuracy.

    Raises:
        InvalidValuesError: as `area_under_curve`.
    """
    y = np.asarray(curves, dtype=np.float64)
    x, _ = _curve(n_labels, np.zeros(y.shape[-1:]))
    low, high = (x[0], x[-1]) if window is None else window
    if not x[0] <= low <= high <= x[-1]:
        raise InvalidValuesError(f"Expected a window in [{x[0]:g}, {x[-1]:g}], but got [{low:g}, {high:g}].")
    if log:
        if x[0] <= 0:
            raise InvalidValuesError(f"Expected label counts above 0 on a logarithmic axis, but got {x[0]:g}.")
        x, low, high = np.log(x), np.log(low), np.log(high)
    knots = np.array([low, *x[(x > low) & (x < high)], high], dtype=np.float64)
    # Weights of linear interpolation: `n_rounds x n_knots`, each column sums to 1.
    weights = np.stack([np.interp(knots, x, unit) for unit in np.eye(len(x))])
    heights = y @ weights
    span = knots[-1] - knots[0]
    areas: FloatArray = np.trapezoid(heights, knots, axis=-1) / span if span > 0 else heights[..., 0]
    return areas


def gain(curve: pd.Series[float], baseline: pd.Series[float]) -> pd.Series[float]:
    """Accuracy above the baseline's at equal label counts.

    Args:
        curve: accuracies by label count (the index).
        baseline: accuracies of the baseline at the same label counts.

    Returns:
        The differences by label count, in units of accuracy.

    Raises:
        InvalidValuesError: no curve, or the label counts differ.
    """
    for part in (curve, baseline):
        _curve(part.index, part)
    if not curve.index.equals(baseline.index):
        unequal = sorted(curve.index.symmetric_difference(baseline.index))
        raise InvalidValuesError(f"Expected equal label counts, but not both curves have {unequal}.")
    return curve - baseline


def labels_to_reach(n_labels: ArrayLike, accuracy: ArrayLike, target: float) -> float | None:
    """Fewest labels at which a curve, linear between its label counts, is at `target` or above.

    Args:
        n_labels: `n_rounds` label counts, rising strictly.
        accuracy: `n_rounds` accuracies in [0, 1].
        target: accuracy to reach.

    Returns:
        The label count; the first one when the curve starts at the target (fewer might do); None when the
        curve never gets there.

    Raises:
        InvalidValuesError: no curve.
    """
    _curve(n_labels, accuracy)
    reached = float(first_reach(n_labels, accuracy, target))
    return None if np.isnan(reached) else reached


def first_reach(n_labels: ArrayLike, curves: ArrayLike, target: ArrayLike) -> FloatArray:
    """`labels_to_reach` of many curves over the same label counts.

    Args:
        n_labels: `n_rounds` label counts, rising strictly.
        curves: `... x n_rounds` accuracies.
        target: accuracy to reach, one or `...`.

    Returns:
        `...` label counts; NaN where the target is not reached.

    Raises:
        InvalidValuesError: no curve.
    """
    y = np.asarray(curves, dtype=np.float64)
    x, _ = _curve(n_labels, np.zeros(y.shape[-1]))
    wanted = np.asarray(target, dtype=np.float64)
    reached = (y - wanted[..., None]).round(DIGITS) >= 0
    end = reached.argmax(axis=-1)
    start = np.maximum(end - 1, 0)
    low, high = _at(y, start), _at(y, end)
    share = np.divide(wanted - low, high - low, out=np.zeros_like(high), where=end > 0)
    labels = np.where(end > 0, x[start] + np.minimum(share, 1) * (x[end] - x[start]), x[0])
    return np.where(reached.any(axis=-1), labels, np.nan)


def last_crossing(n_labels: ArrayLike, gains: ArrayLike, after: int) -> FloatArray:
    """Label count from which on a gain has one sign for good; linear between its label counts.

    Args:
        n_labels: `n_rounds` label counts, rising strictly.
        gains: `... x n_rounds` gains; one of exactly 0 takes no side and is passed over.
        after: the sign for good, -1 or 1.

    Returns:
        `...`: the label count of the last change to that sign; -inf where the gain has it throughout, so that
        a change, if any, came before the first label count; inf where the gain does not end with it.

    Raises:
        InvalidValuesError: no curve.
    """
    y = np.asarray(gains, dtype=np.float64)
    x, _ = _curve(n_labels, np.zeros(y.shape[-1]))
    against, with_sign = np.sign(y) == -after, np.sign(y) == after
    start = len(x) - 1 - against[..., ::-1].argmax(axis=-1)
    later = with_sign & (np.arange(len(x)) > start[..., None])
    end = later.argmax(axis=-1)
    ends_so = later.any(axis=-1)
    low, high = _at(y, start), _at(y, end)
    share = np.divide(low, low - high, out=np.zeros_like(low), where=ends_so)
    crossings = np.where(ends_so, x[start] + share * (x[end] - x[start]), np.inf)
    return np.where(against.any(axis=-1), crossings, -np.inf)


def share_above(n_labels: ArrayLike, accuracy: ArrayLike, threshold: ArrayLike) -> float:
    """Share of the label axis on which a curve lies above another; both are linear between their label counts.

    Args:
        n_labels: `n_rounds` label counts, rising strictly.
        accuracy: `n_rounds` accuracies.
        threshold: `n_rounds` heights to exceed.

    Returns:
        The share in [0, 1]; of a single label count, 1 or 0.

    Raises:
        InvalidValuesError: no curve.
    """
    x, y = _curve(n_labels, accuracy)
    above = (y - _curve(n_labels, threshold)[1]).round(DIGITS)
    if len(x) == 1:
        return float(above[0] > 0)
    left, right = above[:-1], above[1:]
    height = np.abs(left) + np.abs(right)
    positive = np.maximum(left, 0) + np.maximum(right, 0)
    share = np.divide(positive, height, out=np.zeros_like(height), where=height > 0)
    return float((share * np.diff(x)).sum() / (x[-1] - x[0]))


def _at(curves: FloatArray, position: NDArray[np.intp]) -> FloatArray:
    return np.take_along_axis(curves, position[..., None], axis=-1)[..., 0]


def _curve(n_labels: ArrayLike, accuracy: ArrayLike) -> tuple[FloatArray, FloatArray]:
    x, y = np.asarray(n_labels, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or not len(x):
        raise InvalidValuesError(f"Expected as many accuracies as label counts, but got {y.shape} and {x.shape}.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InvalidValuesError("Expected finite label counts and accuracies, but got NaN or infinity.")
    if not (np.diff(x) > 0).all():
        raise InvalidValuesError(f"Expected label counts that rise strictly, but got {x.tolist()}.")
    return x, y
