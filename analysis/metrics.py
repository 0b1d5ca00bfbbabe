"""From a learning curve to a number. Accuracy is in [0, 1]; the label axis is the real one."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from analysis.exceptions import InvalidValuesError

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
    x, y = _curve(n_labels, accuracy)
    low, high = (x[0], x[-1]) if window is None else window
    if not x[0] <= low <= high <= x[-1]:
        raise InvalidValuesError(f"Expected a window in [{x[0]:g}, {x[-1]:g}], but got [{low:g}, {high:g}].")
    knots = np.array([low, *x[(x > low) & (x < high)], high], dtype=np.float64)
    if log:
        if x[0] <= 0:
            raise InvalidValuesError(f"Expected label counts above 0 on a logarithmic axis, but got {x[0]:g}.")
        x, knots = np.log(x), np.log(knots)
    heights = np.interp(knots, x, y)
    span = knots[-1] - knots[0]
    return float(np.trapezoid(heights, knots) / span) if span > 0 else float(heights[0])


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
        raise InvalidValuesError(f"Expected equal label counts, but got {unequal} in one curve alone.")
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
    x, y = _curve(n_labels, accuracy)
    reached = np.flatnonzero(y >= target)
    if not len(reached):
        return None
    end = int(reached[0])
    if end == 0:
        return float(x[0])
    share = (target - y[end - 1]) / (y[end] - y[end - 1])
    return float(x[end - 1] + share * (x[end] - x[end - 1]))


def _curve(n_labels: ArrayLike, accuracy: ArrayLike) -> tuple[FloatArray, FloatArray]:
    x, y = np.asarray(n_labels, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or not len(x):
        raise InvalidValuesError(f"Expected as many accuracies as label counts, but got {y.shape} and {x.shape}.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InvalidValuesError("Expected finite label counts and accuracies, but got NaN or infinity.")
    if not (np.diff(x) > 0).all():
        raise InvalidValuesError(f"Expected label counts that rise strictly, but got {x.tolist()}.")
    return x, y
