"""Numbers over seeds: estimates with intervals that hold at the few seeds of a study."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from analysis.exceptions import InvalidValuesError, UnpairedError


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval, in the unit of the values.

    Attributes:
        estimate: the point estimate.
        low: lower end; NaN when one value alone says nothing of the spread.
        high: upper end; NaN likewise.
        n: number of values (of pairs, for a paired difference).
        method: name and level of the interval, for a caption.
    """

    estimate: float
    low: float
    high: float
    n: int
    method: str


def mean_std(values: ArrayLike, ddof: int = 1) -> tuple[float, float]:
    """Mean and standard deviation.

    Args:
        values: `n` numbers, n > 0.
        ddof: the deviation divides by `n - ddof`.

    Returns:
        Both, in the unit of the values; the deviation is NaN for `n <= ddof`.

    Raises:
        InvalidValuesError: no values, or one that is not finite.
    """
    sample = _sample(values)
    return float(sample.mean()), float(sample.std(ddof=ddof)) if len(sample) > ddof else float("nan")


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Two-sided Student's t interval of a mean.

    It is exact for normal values. A percentile bootstrap of 5 values covers 83 % where it promises 95 %; from
    20 values on, t and the bootstraps agree for means that are not heavily skewed. So t serves for every n: it
    is one method for a whole table and draws no random numbers.

    Args:
        values: `n` independent numbers, n > 0.
        confidence: probability that the interval covers the mean, in (0, 1).

    Returns:
        The interval; its ends are NaN for n = 1.

    Raises:
        InvalidValuesError: no values, one that is not finite, or a confidence outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise InvalidValuesError(f"Expected a confidence in (0, 1), but got {confidence:g}.")
    mean, std = mean_std(values)
    n = len(_sample(values))
    half = float(stats.t.ppf((1 + confidence) / 2, df=n - 1)) * std / np.sqrt(n) if n > 1 else float("nan")
    return Interval(mean, float(mean - half), float(mean + half), n, f"Student's t, {100 * confidence:g} %")


def paired_difference(a: pd.Series[float], b: pd.Series[float], confidence: float = 0.95) -> Interval:
    """Mean of `a - b`, paired by seed, with its Student's t interval (see `mean_interval`).

    Pairing removes what a seed does to both, such as the initial pool that they share.

    Args:
        a: one number per seed; the index is the seed, in any order.
        b: one number for each of the same seeds.
        confidence: probability that the interval covers the mean difference, in (0, 1).

    Raises:
        UnpairedError: the seeds differ, or one occurs twice.
        InvalidValuesError: no values, one that is not finite, or a confidence outside (0, 1).
    """
    if not (a.index.is_unique and b.index.is_unique):
        raise UnpairedError("Expected one value per seed, but got a seed twice.")
    if unequal := sorted(a.index.symmetric_difference(b.index)):
        raise UnpairedError(f"Expected equal seeds, but got {unequal} on one side alone.")
    interval = mean_interval((a - b).to_numpy(), confidence)
    return Interval(interval.estimate, interval.low, interval.high, interval.n, f"paired {interval.method}")


def _sample(values: ArrayLike) -> NDArray[np.float64]:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not len(sample) or not np.isfinite(sample).all():
        raise InvalidValuesError(f"Expected at least one value, all finite, but got {sample.tolist()}.")
    return sample
