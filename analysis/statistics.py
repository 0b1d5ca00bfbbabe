"""Numbers over seeds: estimates with intervals that hold at the few seeds of a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from analysis.exceptions import InvalidValuesError, UnpairedError
from analysis.rounding import DIGITS

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]

LEVEL = 0.05
NO_SPREAD = 1e-12
"""Standard deviation of rounding errors. Values that are equal but for it show no spread that a test could use."""
LEAST_BOOTSTRAP = 5


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval, in the unit of the values.

    Attributes:
        estimate: the point estimate.
        low: lower end; NaN where the values show no spread, because there is one or all are equal.
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
        The interval; its ends are NaN where the values show no spread: for n = 1, or where all are equal, as happens
        by chance to a few accuracies on a small test set.

    Raises:
        InvalidValuesError: no values, one that is not finite, or a confidence outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise InvalidValuesError(f"Expected a confidence in (0, 1), but got {confidence:g}.")
    mean, std = mean_std(values)
    n = len(_sample(values))
    half = _critical_t(n - 1, confidence) * std / np.sqrt(n) if std > NO_SPREAD else float("nan")
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
        raise UnpairedError(f"Expected equal seeds, but not both sides have {unequal}.")
    interval = mean_interval((a - b).round(DIGITS).to_numpy(), confidence)
    return replace(interval, method=f"paired {interval.method}")


def t_test(differences: ArrayLike) -> FloatArray:
    """Two-sided p-values of Student's t-test that a mean difference is 0.

    Args:
        differences: `n x ...` paired differences, NaN where a pair is missing.

    Returns:
        `...` p-values; 1 where all differences are 0; NaN where there are fewer than two pairs, or all differences
        are equal but not 0: they show no spread that the mean could be held against.
    """
    sample = np.asarray(differences, dtype=np.float64)
    n = np.isfinite(sample).sum(axis=0)
    total = np.where(np.isfinite(sample), sample, 0).sum(axis=0)
    mean = total / np.maximum(n, 1)
    squares = (np.where(np.isfinite(sample), sample - mean, 0) ** 2).sum(axis=0)
    std = np.sqrt(squares / np.maximum(n - 1, 1))
    unknown = np.where((n > 1) & (np.abs(mean) <= NO_SPREAD), 0.0, np.nan)
    t = np.divide(np.abs(mean) * np.sqrt(n), std, out=unknown, where=std > NO_SPREAD)
    return np.asarray(2 * scipy.stats.t.sf(t, np.maximum(n - 1, 1)), dtype=np.float64)


def holm(p_values: ArrayLike) -> FloatArray:
    """Correct p-values for their number by Holm's step-down rule (1979), along the last axis.

    Some hypothesis that is true is then rejected at 5 % in at most 5 % of the cases, however they depend on
    one another.

    Args:
        p_values: `... x m`; NaN is no test and counts for nothing.

    Returns:
        `... x m` adjusted p-values, at most 1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, axis=-1)  # NaN last
    ordered = np.take_along_axis(p, order, axis=-1)
    m = np.isfinite(p).sum(axis=-1, keepdims=True)
    steps = np.maximum(m - np.arange(p.shape[-1]), 1)
    adjusted = np.minimum(np.fmax.accumulate(ordered * steps, axis=-1), 1) + 0 * ordered
    result = np.empty_like(adjusted)
    np.put_along_axis(result, order, adjusted, axis=-1)
    return result


def detectable_difference(std: float, n: int, *, power: float = 0.8, confidence: float = 0.95) -> float:
    """Least true mean difference that a paired t-test finds with the given power.

    Args:
        std: standard deviation of the paired differences.
        n: number of pairs.
        power: probability of finding it, in (0.5, 1).
        confidence: 1 less the level of the two-sided test.

    Returns:
        The difference in the unit of `std`; NaN where there is no spread, as of fewer than two pairs.
    """
    if n < 2 or not std > NO_SPREAD:
        return float("nan")
    return float(_detectable_shift(n - 1, power, confidence) * std / np.sqrt(n))


@lru_cache
def _detectable_shift(df: int, power: float, confidence: float) -> float:
    """`detectable_difference` in standard errors."""
    critical = _critical_t(df, confidence)
    # The power grows with the shift; a shift of 4 critical values has practically all of it.
    shift = scipy.optimize.brentq(lambda value: scipy.stats.nct.sf(critical, df, value) - power, 0.0, 4 * critical)
    return float(shift)


@lru_cache
def _critical_t(df: int, confidence: float) -> float:
    return float(scipy.stats.t.ppf((1 + confidence) / 2, df))


def bootstrap_weights(n: int, n_resamples: int, rng: np.random.Generator, *, confidence: float = 0.95) -> FloatArray:
    """Draw resamples with replacement of `n` seeds, widened for few seeds: `n_resamples x n`, rows sum to 1.

    `weights @ values` are resampled means. Seeds stay whole, so pairing and dependence between label counts are
    kept. Deviations from the mean of all seeds are multiplied by `bootstrap_inflation`.
    """
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples) / n
    weights: FloatArray = 1 / n + bootstrap_inflation(n, n - 1, confidence) * (drawn - 1 / n)
    return weights


def bootstrap_inflation(n: int, df: int, confidence: float = 0.95) -> float:
    """How much wider resamples must spread for the percentiles of a mean to match Student's t.

    Resamples of `n` values spread by sqrt((n - 1) / n) too little, and normal percentiles take the spread as
    known. Moving outwards in the percentiles instead fails at 5 seeds, where few distinct resamples exist.

    Args:
        n: number of values that each resample redraws (per stratum).
        df: degrees of freedom of the spread.
        confidence: intended coverage of the percentiles.

    Returns:
        The factor, above 1; NaN for n = 1.
    """
    if n < 2:
        return float("nan")
    tail = (1 + confidence) / 2
    return float(np.sqrt(n / (n - 1)) * scipy.stats.t.ppf(tail, df) / scipy.stats.norm.ppf(tail))


def bootstrap_interval(resampled: ArrayLike, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Percentile interval of estimates from widened resamples (see `bootstrap_inflation`).

    Args:
        resampled: estimates from resamples; -inf and inf are allowed (before or beyond all label counts).
        n: number of values that each resample redraws.
        confidence: intended coverage.

    Returns:
        Lower and upper end; NaN below 5 values, of which too few distinct resamples exist, or where a resample
        gave NaN.
    """
    values = np.asarray(resampled, dtype=np.float64)
    if n < LEAST_BOOTSTRAP or np.isnan(values).any():
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


def interquartile_mean(values: ArrayLike) -> FloatArray:
    """Mean of the middle half along the last axis: without the lowest and highest 25 % (rounded down)."""
    ordered = np.sort(np.asarray(values, dtype=np.float64), axis=-1)
    cut = ordered.shape[-1] // 4
    middle: FloatArray = ordered[..., cut : ordered.shape[-1] - cut].mean(axis=-1)
    return middle


def normalised_iqm(
    strata: Sequence[tuple[ArrayLike, ArrayLike]],
    rng: np.random.Generator,
    *,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Interquartile mean of all values, each normalised by the baseline of its stratum.

    The normalised value is (value - m) / (1 - m), with m the mean of the baseline. The interval is from resampling the
    seeds of each stratum, for the baseline as well.

    Args:
        strata: for each data set, the values and those of the baseline, a seed at the same position in both.
        rng: source of the resamples.
        n_resamples: number of resamples.
        confidence: intended coverage.

    Raises:
        InvalidValuesError: a stratum without values, or one that is not finite, or a baseline whose mean is 1.
    """
    normalised, resampled, sizes = [], [], []
    for own, baseline in strata:
        values, floors = _sample(own), _sample(baseline)
        if np.round(floors.mean(), DIGITS) >= 1:
            raise InvalidValuesError("Expected a baseline with a mean below 1 to normalise by, but got 1.")
        drawn = rng.integers(len(values), size=(n_resamples, len(values)))
        normalised.append(_normalised(values, floors))
        resampled.append(_normalised(values[drawn], floors[drawn]))
        sizes.append(len(values))
    estimate = float(interquartile_mean(np.concatenate(normalised)))
    inflation = bootstrap_inflation(min(sizes), sum(sizes) - len(sizes), confidence)
    means = interquartile_mean(np.concatenate(resampled, axis=1))
    low, high = bootstrap_interval(estimate + inflation * (means - estimate), min(sizes), confidence=confidence)
    return Interval(estimate, low, high, sum(sizes), f"stratified bootstrap, {100 * confidence:g} %")


def _normalised(values: FloatArray, floors: FloatArray) -> FloatArray:
    floor = floors.mean(axis=-1, keepdims=True)
    normalised: FloatArray = (values - floor) / (1 - floor)
    return normalised


def least_wilcoxon_p(n: int) -> float:
    """Smallest two-sided p-value that a Wilcoxon signed-rank test of `n` pairs can give."""
    return min(1.0, 2.0 ** (1 - n))


def wilcoxon(differences: ArrayLike) -> float:
    """Two-sided p-value of the Wilcoxon signed-rank test, exact: all signs of the ranks are enumerated.

    Differences of 0 are left out; equal sizes share their mean rank. For more than 20 differences the normal
    approximation takes over.

    Args:
        differences: one per pair.

    Returns:
        The p-value; 1 where no difference is left.
    """
    sample = _sample(differences).round(DIGITS)
    sample = sample[sample != 0]
    ranks = scipy.stats.rankdata(np.abs(sample))
    distance = abs(float((np.sign(sample) * ranks).sum()))
    if len(sample) > 20:
        return float(2 * scipy.stats.norm.sf(distance / np.sqrt((ranks**2).sum())))
    sums = np.zeros(1)
    for rank in ranks:
        sums = np.concatenate([sums - rank, sums + rank])
    return float((np.abs(sums) >= distance - 1e-9).mean())


def _sample(values: ArrayLike) -> FloatArray:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not len(sample) or not np.isfinite(sample).all():
        raise InvalidValuesError(f"Expected at least one value, all finite, but got {sample.tolist()}.")
    return sample
