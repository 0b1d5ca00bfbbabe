from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.exceptions import InvalidValuesError
from analysis.metrics import area_under_curve, gain, labels_to_reach

PERCENT = pd.read_csv(Path(__file__).parent / "table1.csv", index_col="labels")
TABLE1 = PERCENT / 100


@st.composite
def curves(draw, min_size=2):
    steps = draw(st.lists(st.integers(1, 500), min_size=min_size, max_size=12))
    heights = draw(st.lists(st.floats(0, 1), min_size=len(steps), max_size=len(steps)))
    return np.cumsum(steps).astype(float), np.array(heights)


@pytest.mark.parametrize(
    ("name", "labels", "log"),
    [
        ("Random", 84.55, 74.74),
        ("BADGE", 84.82, 74.82),
        ("TypiClust", 84.95, 77.86),
        ("LookAhead", 84.62, 75.39),
        ("NTKCPL(self)", 85.76, 79.58),
        ("NTKCPL(al)", 85.59, 77.97),
    ],
)
def test_area_of_published_table(name, labels, log):
    assert 100 * area_under_curve(TABLE1.index, TABLE1[name]) == pytest.approx(labels, abs=0.005)
    assert 100 * area_under_curve(TABLE1.index, TABLE1[name], log=True) == pytest.approx(log, abs=0.005)


def test_area_over_rounds_would_rank_the_other_way():
    typiclust, ntkcpl = TABLE1["TypiClust"], TABLE1["NTKCPL(al)"]
    rounds = range(len(TABLE1))
    per_round = [100 * area_under_curve(rounds, curve) for curve in (typiclust, ntkcpl)]
    assert per_round == pytest.approx([79.19, 79.13], abs=0.005)
    assert area_under_curve(TABLE1.index, typiclust) < area_under_curve(TABLE1.index, ntkcpl)


def test_area_closed_forms():
    assert area_under_curve([10, 30], [0.2, 0.6]) == pytest.approx(0.4)
    assert area_under_curve([10, 20, 60], [0.0, 1.0, 1.0]) == pytest.approx(0.9)
    assert area_under_curve([1, 10, 1000], [0.0, 1.0, 1.0], log=True) == pytest.approx((0.5 + 2) / 3)
    assert area_under_curve([10], [0.7]) == 0.7
    # f(x) = x / 100 over [20, 60]
    assert area_under_curve([0, 50, 100], [0.0, 0.5, 1.0], window=(20, 60)) == pytest.approx(0.4)
    assert area_under_curve([0, 100], [0.0, 1.0], window=(30, 30)) == pytest.approx(0.3)


@given(curves(min_size=1), st.booleans())
def test_area_lies_between_the_extremes(curve, log):
    assert curve[1].min() - 1e-12 <= area_under_curve(*curve, log=log) <= curve[1].max() + 1e-12


@given(curves(), st.floats(0.01, 0.99), st.booleans())
def test_area_ignores_an_interpolated_point(curve, share, log):
    x, y = curve
    axis = np.log if log else np.asarray
    new = x[0] + share * (x[-1] - x[0])
    if np.abs(x - new).min() < 1e-6:
        return
    at = int(np.searchsorted(x, new))
    finer = np.insert(x, at, new), np.insert(y, at, np.interp(axis(new), axis(x), y))
    assert area_under_curve(*finer, log=log) == pytest.approx(area_under_curve(x, y, log=log), abs=1e-9)


@given(curves(), st.floats(0.01, 0.99), st.booleans())
def test_area_adds_up_over_windows(curve, share, log):
    x, y = curve
    axis = np.log if log else np.asarray
    middle = x[0] + share * (x[-1] - x[0])
    parts = sum(
        area_under_curve(x, y, log=log, window=window) * (axis(window[1]) - axis(window[0]))
        for window in ((x[0], middle), (middle, x[-1]))
    )
    assert parts == pytest.approx(area_under_curve(x, y, log=log) * (axis(x[-1]) - axis(x[0])), abs=1e-9)


def test_gain_of_published_table():
    difference = 100 * gain(TABLE1["TypiClust"], TABLE1["Random"])
    assert [difference[n] for n in (20, 1000, 2000)] == pytest.approx([4.58, -0.19, -0.75])


def test_gain_refuses_other_label_counts():
    curve = TABLE1["Random"]
    with pytest.raises(InvalidValuesError, match=r"equal label counts, but not both curves have \[20\]"):
        gain(curve, curve.drop(20))


def test_labels_to_reach():
    assert labels_to_reach([10, 20, 40], [0.4, 0.6, 0.8], 0.5) == pytest.approx(15)
    assert labels_to_reach([10, 20, 40], [0.4, 0.6, 0.8], 0.8) == 40
    assert labels_to_reach([10, 20, 40], [0.4, 0.6, 0.8], 0.3) == 10
    assert labels_to_reach([10, 20, 40], [0.4, 0.6, 0.5], 0.55) == pytest.approx(17.5)
    assert labels_to_reach([10, 20, 40], [0.4, 0.6, 0.8], 0.9) is None


@given(curves(min_size=1), st.floats(0, 1))
def test_the_curve_is_at_the_target_where_it_is_reached(curve, target):
    reached = labels_to_reach(*curve, target)
    if reached is None:
        assert curve[1].max() < target
    elif reached > curve[0][0]:
        assert np.interp(reached, *curve) == pytest.approx(target, abs=1e-6)


@pytest.mark.parametrize(
    ("n_labels", "accuracy", "options", "message"),
    [
        ([], [], {}, "as many"),
        ([1, 2], [0.5], {}, "as many"),
        ([1, 2], [0.5, np.nan], {}, "finite"),
        ([2, 2], [0.5, 0.5], {}, "rise strictly"),
        ([10, 20], [0.5, 0.5], {"window": (5, 20)}, r"window in \[10, 20\], but got \[5, 20\]"),
        ([10, 20], [0.5, 0.5], {"window": (18, 12)}, "window"),
        ([0, 20], [0.5, 0.5], {"log": True}, "above 0"),
    ],
)
def test_area_refuses(n_labels, accuracy, options, message):
    with pytest.raises(InvalidValuesError, match=message):
        area_under_curve(n_labels, accuracy, **options)
