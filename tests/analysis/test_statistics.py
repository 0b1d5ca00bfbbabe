import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.exceptions import InvalidValuesError, UnpairedError
from analysis.metrics import last_crossing
from analysis.statistics import (
    bootstrap_interval,
    bootstrap_weights,
    detectable_difference,
    holm,
    interquartile_mean,
    least_wilcoxon_p,
    mean_interval,
    mean_std,
    normalised_iqm,
    paired_difference,
    t_test,
    wilcoxon,
)


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
    a, b = pd.Series({0: 0.5, 1: 0.7}), pd.Series({1: 0.6, 0: 0.38})
    got, expected = paired_difference(a, b), mean_interval([0.12, 0.1])
    assert (got.low, got.estimate, got.high) == pytest.approx((expected.low, expected.estimate, expected.high))


@pytest.mark.parametrize("n", [3, 5, 10, 50])
def test_coverage(n):
    """95 % promised; 1,500 repetitions have a standard error of 0.56 points."""
    rng = np.random.default_rng(n)
    seeds = rng.normal(0, 0.03, (1500, n, 1))
    accuracy = np.array([0.81, 0.80]) + seeds + rng.normal(0, 0.01, (1500, n, 2))
    intervals = [paired_difference(pd.Series(both[:, 0]), pd.Series(both[:, 1])) for both in accuracy]
    assert np.mean([interval.low <= 0.01 <= interval.high for interval in intervals]) == pytest.approx(0.95, abs=0.017)


def test_unequal_seeds_are_refused():
    with pytest.raises(UnpairedError, match=r"equal seeds, but not both sides have \[2\]"):
        paired_difference(pd.Series([1.0, 2.0]), pd.Series([1.0, 2.0, 3.0]))
    with pytest.raises(UnpairedError, match="twice"):
        paired_difference(pd.Series([1.0, 2.0], index=[0, 0]), pd.Series([1.0, 2.0], index=[0, 0]))


def test_one_seed_has_no_spread():
    assert np.isnan(mean_std([0.5])[1])
    interval = mean_interval([0.5])
    assert interval.estimate == 0.5
    assert np.isnan([interval.low, interval.high]).all()


def test_nor_have_seeds_that_do_not_differ():
    alike = paired_difference(pd.Series([0.1 + 0.2, 0.4, 0.5]), pd.Series([0.2, 0.3, 0.4]))
    assert (alike.estimate, alike.n) == (pytest.approx(0.1), 3)
    assert np.isnan([alike.low, alike.high]).all()


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


def test_t_test_against_scipy():
    differences = np.random.default_rng(3).normal(0.3, 1, (9, 4))
    assert t_test(differences) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    gappy = differences.copy()
    gappy[:3, 0] = np.nan
    assert t_test(gappy)[0] == pytest.approx(stats.ttest_1samp(differences[3:, 0], 0).pvalue)


def test_t_test_of_no_spread():
    assert t_test(np.zeros((4, 1)))[0] == 1
    assert np.isnan(t_test(np.full((4, 1), 0.1))[0])
    assert np.isnan(t_test(np.ones((1, 2)))).all()
    # equal up to rounding is equal
    assert np.isnan(t_test([0.1 + 0.2, 0.3, 0.3]))
    assert t_test([0.1 + 0.2 - 0.3, 0.0, 0.0]) == 1


def test_holm():
    # 3 x 0.01, then 2 x 0.03 = 0.06, then max(0.06, 0.04)
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([[0.01, np.nan, 0.4]])[0] == pytest.approx([0.02, np.nan, 0.4], nan_ok=True)
    assert holm([0.6, 0.9]).tolist() == [1, 1]
    assert np.isnan(holm([np.nan])).all()


@pytest.mark.parametrize("n", [3, 7, 12])
def test_wilcoxon_against_scipy(n):
    differences = np.random.default_rng(n).normal(0.4, 1, n)
    assert wilcoxon(differences) == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)
    assert wilcoxon(np.abs(differences)) == pytest.approx(least_wilcoxon_p(n))


def test_wilcoxon_edges():
    assert wilcoxon([0.0, 0.0]) == 1
    assert wilcoxon([1.0, 1.0, -1.0, 0.0]) == 1  # equal ranks: any of 8 sign patterns is at least as far out
    long = np.random.default_rng(0).normal(0.5, 1, 40)
    assert wilcoxon(long) == pytest.approx(stats.wilcoxon(long, method="approx").pvalue, rel=1e-6)
    assert least_wilcoxon_p(5) == 0.0625


@pytest.mark.parametrize("n", [5, 10])
def test_a_detectable_difference_is_found_with_its_power(n):
    shift = detectable_difference(0.02, n)
    drawn = np.random.default_rng(n).normal(shift, 0.02, (n, 4000))
    assert np.mean(t_test(drawn) < 0.05) == pytest.approx(0.8, abs=0.02)
    assert np.isnan(detectable_difference(0.02, 1))
    assert np.isnan(detectable_difference(0.0, n))


def test_interquartile_mean():
    assert interquartile_mean([0, 1, 2, 3, 4, 5, 6, 100]) == pytest.approx(3.5)
    assert interquartile_mean([[1, 2, 3], [3, 4, 8]]).tolist() == [2, 5]


@pytest.mark.parametrize("n", [5, 10, 50])
def test_coverage_of_the_bootstrap(n):
    """95 % promised for the mean; 1,000 repetitions have a standard error of 0.69 points."""
    rng = np.random.default_rng(n)
    samples = rng.normal(0.01, 0.03, (1000, n))
    intervals = [bootstrap_interval(bootstrap_weights(n, 999, rng) @ sample, n) for sample in samples]
    assert np.mean([low <= 0.01 <= high for low, high in intervals]) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("n", [5, 10, 50])
def test_coverage_of_a_crossing(n):
    """A gain that falls through 0 between known label counts, with noise shared by label counts and own noise."""
    rng = np.random.default_rng(n)
    n_labels = np.array([20, 40, 60, 80, 100, 200, 300, 400, 500, 1000, 1500, 2000])
    truth = 0.04 - 0.05 * np.log(n_labels / 20) / np.log(100)
    crossing = float(last_crossing(n_labels, truth, -1))
    hits = 0
    for _ in range(500):
        gains = truth + rng.normal(0, 0.012, (n, 1)) + rng.normal(0, 0.008, (n, 12))
        low, high = bootstrap_interval(last_crossing(n_labels, bootstrap_weights(n, 1000, rng) @ gains, -1), n)
        hits += low <= crossing <= high
    assert hits / 500 == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(("n", "shared"), [(5, 0), (5, 0.9), (10, 0), (10, 0.9), (50, 0)])
def test_coverage_of_the_interquartile_mean(n, shared):
    """Noise of two parts: what strategies of one seed share, and their own."""
    rng = np.random.default_rng(n)
    hits = 0
    for _ in range(800):
        strata = []
        for _ in range(4):
            both = 0.02 * np.sqrt(shared) * rng.normal(size=n)
            values, floors = both + 0.02 * np.sqrt(1 - shared) * rng.normal(size=(2, n)) + [[0.8], [0.75]]
            strata.append((values, floors))
        interval = normalised_iqm(strata, rng, n_resamples=600)
        hits += interval.low <= 0.2 <= interval.high
    # What is shared cancels in each seed, but not in the middle half of all: the interval is then too wide.
    assert 0.93 <= hits / 800 <= (0.99 if shared else 0.97)  # where the baseline's mean counts as known, 0.89 and 1


def test_bootstrap_needs_five_values():
    assert np.isnan(bootstrap_interval([1.0, 2.0], 4)).all()
    assert np.isnan(bootstrap_interval([1.0, np.nan], 5)).all()
    assert bootstrap_interval(np.full(9, np.inf), 5) == (np.inf, np.inf)


def curves(rng, repetitions, n, gain):
    """Paired gains `repetitions x n x 12` whose noise is shared half by the label counts; one paired std is 0.02."""
    shared, own = rng.normal(0, 0.02, (repetitions, n, 1)), rng.normal(0, 0.02, (repetitions, n, 12))
    return gain + np.sqrt(0.5) * shared + np.sqrt(0.5) * own


def verdicts(gains):
    """Share of repetitions with the verdict `better` by area, and with any label count significant."""
    n_labels = np.array([20, 40, 60, 80, 100, 200, 300, 400, 500, 1000, 1500, 2000])
    areas = np.trapezoid(gains, n_labels, axis=-1) / (n_labels[-1] - n_labels[0])
    better = (t_test(areas.T) < 0.05) & (areas.mean(axis=1) > 0)
    anywhere = ((t_test(np.moveaxis(gains, 1, 0)) < 0.05) & (gains.mean(axis=1) > 0)).any(axis=-1)
    return better.mean(), anywhere.mean()


@pytest.mark.parametrize("n", [5, 10, 50])
def test_verdict_on_a_curve_is_rarely_false(n):
    better, anywhere = verdicts(curves(np.random.default_rng(n), 4000, n, 0.0))
    assert better <= 0.05
    assert better == pytest.approx(0.025, abs=0.01)
    assert anywhere > 0.1  # why single label counts are no verdict


def test_power_of_the_verdict():
    """A gain of one paired standard deviation at every label count, even where all noise is shared by them."""
    rng = np.random.default_rng(1)
    assert verdicts(curves(rng, 4000, 10, 0.02))[0] >= 0.8
    shared = rng.normal(0.02, 0.02, (8000, 10, 1)) + np.zeros(12)
    assert verdicts(shared)[0] == pytest.approx(0.803, abs=0.015)
