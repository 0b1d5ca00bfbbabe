import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.exceptions import InvalidValuesError, UnpairedError
from analysis.statistics import mean_interval, mean_std, paired_difference


@pytest.mark.parametrize("n", [2, 5, 40])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_paired_difference_against_scipy(n, confidence):
    rng = np.random.default_rng(7)
    a, b = rng.normal(0.8, 0.02, n), rng.normal(0.79, 0.02, n)
    expected = stats.ttest_rel(a, b).confidence_interval(confidence)
    got = paired_difference(pd.Series(a), pd.Series(b), confidence)
    assert (got.low, got.high) == pytest.approx((expected.low, expected.high))
    assert got.estimate == pytest.approx((a - b).mean())
    assert (got.n, got.method) == (n, f"paired Student's t, {100 * confidence:g} %")


def test_pairing_follows_the_seed_not_the_order():
    a, b = pd.Series({0: 0.5, 1: 0.7}), pd.Series({1: 0.6, 0: 0.4})
    got = paired_difference(a, b)
    assert (got.low, got.estimate, got.high) == pytest.approx((0.1, 0.1, 0.1))


@pytest.mark.parametrize("n", [3, 5, 20])
def test_coverage(n):
    """95 % promised; 1,500 repetitions have a standard error of 0.56 points."""
    rng = np.random.default_rng(n)
    seeds = rng.normal(0, 0.03, (1500, n, 1))
    accuracy = np.array([0.81, 0.80]) + seeds + rng.normal(0, 0.01, (1500, n, 2))
    intervals = [paired_difference(pd.Series(both[:, 0]), pd.Series(both[:, 1])) for both in accuracy]
    assert np.mean([interval.low <= 0.01 <= interval.high for interval in intervals]) == pytest.approx(0.95, abs=0.017)


def test_unequal_seeds_are_refused():
    with pytest.raises(UnpairedError, match=r"equal seeds, but got \[2\] on one side"):
        paired_difference(pd.Series([1.0, 2.0]), pd.Series([1.0, 2.0, 3.0]))
    with pytest.raises(UnpairedError, match="twice"):
        paired_difference(pd.Series([1.0, 2.0], index=[0, 0]), pd.Series([1.0, 2.0], index=[0, 0]))


def test_one_seed_has_no_spread():
    assert np.isnan(mean_std([0.5])[1])
    interval = mean_interval([0.5])
    assert interval.estimate == 0.5
    assert np.isnan([interval.low, interval.high]).all()


def test_mean_std():
    assert mean_std([1, 2, 3, 4]) == pytest.approx((2.5, np.sqrt(5 / 3)))
    assert mean_std([1, 2, 3, 4], ddof=0) == pytest.approx((2.5, np.sqrt(5 / 4)))


@pytest.mark.parametrize("values", [[], [0.1, np.nan]])
def test_no_sample_is_refused(values):
    with pytest.raises(InvalidValuesError, match="all finite"):
        mean_interval(values)


def test_confidence_is_checked():
    with pytest.raises(InvalidValuesError, match="but got 95"):
        mean_interval([1.0, 2.0], confidence=95)
