"""The unit of the features changes no pick: nothing squares a float32 that does not bear it."""

import numpy as np
import pytest

from strategies.exceptions import InvalidParameterError
from strategies.functional.distances import normalise_rows, safe_factor, safely_scaled
from strategies.functional.kcenter import k_centre
from strategies.functional.scaling import fit_scaling
from strategies.registry import BUILT_IN, make_strategy
from strategies.testing import LeastSquaresModel, choose, fresh, make_view

ASKS = ("dropquery", "alfamix", "refine")
"""Who ask the classifier about features of their own, and cluster what comes out."""
PARAMETERS = {"refine": {"n_batches": 9, "n_filters": 1}}
UNITS = [2.0**66, 2.0**-76, 2.0**120, 2.0**-120, 1e20, 1e-23]
POOL = (np.random.default_rng(0).normal(size=(50, 4)) * [1, 20, 0.3, 5] + [3, 0, -7, 100]).astype(np.float32)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("n_labelled", [0, 9])
@pytest.mark.parametrize("name", BUILT_IN)
def test_picks(name, n_labelled, unit):
    if name in ASKS and np.frexp(unit)[0] != 0.5:
        pytest.skip("K-means of few points turns on the last bits, which a unit that is no power of two rounds")
    view = make_view(n_labelled=n_labelled)
    strategy = make_strategy(name, PARAMETERS.get(name))
    expected = choose(strategy, view, 20)
    features = view.features * np.float32(unit)
    # A harness's learner is free of the unit, so answers on the pool stay; it is asked for other features by one alone.
    asks = name in ASKS and n_labelled > 0
    model = LeastSquaresModel(features, view.labelled, view.labels) if asks else view.model
    found = choose(strategy, fresh(view, features=features, model=model), 20)
    np.testing.assert_array_equal(found.indices, expected.indices)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("name", ["ntkcpl_self", "lookahead"])
@pytest.mark.parametrize("scaling", ["centred", "unit"])
def test_picks_of_other_scalings(name, scaling, unit):
    view, strategy = make_view(), make_strategy(name, {"scaling": scaling})
    found = choose(strategy, fresh(view, features=view.features * np.float32(unit)), 20)
    np.testing.assert_array_equal(found.indices, choose(strategy, view, 20).indices)


@pytest.mark.parametrize("unit", [unit for unit in UNITS if np.frexp(unit)[0] == 0.5])
def test_powers_of_two_change_no_bit(unit):
    unit = np.float32(unit)
    np.testing.assert_array_equal(normalise_rows(POOL * unit), normalise_rows(POOL))
    for how in ("rms", "centred", "unit"):
        np.testing.assert_array_equal(fit_scaling(POOL * unit, how)(POOL * unit), fit_scaling(POOL, how)(POOL))
    nothing = np.array([3])
    for found, expected in zip(k_centre(POOL * unit, nothing, 9), k_centre(POOL, nothing, 9), strict=True):
        np.testing.assert_array_equal(found, expected * (1 if found.dtype == np.int64 else np.float64(unit)))


def test_rows_of_all_magnitudes_have_norm_1():
    rows = POOL * np.exp2(np.linspace(-120, 119, len(POOL)))[:, None].astype(np.float32)
    np.testing.assert_array_equal(normalise_rows(rows[::-1]), normalise_rows(rows)[::-1])
    np.testing.assert_allclose(np.linalg.norm(normalise_rows(rows), axis=1), 1, rtol=1e-6)


def test_points_in_the_usual_range_are_not_touched():
    assert safely_scaled(POOL)[0] is POOL
    assert safe_factor(np.float32(0)) == 1
    largest = np.array([0, 2.0**-39, 1, 2.0**39], dtype=np.float32)
    np.testing.assert_array_equal(safe_factor(largest), 1)
    extreme = np.array([np.finfo(np.float32).smallest_normal, np.finfo(np.float32).max])
    assert (np.abs(np.log2(extreme * safe_factor(extreme))) <= 3).all()


@pytest.mark.parametrize("unit", [2.0**66, 2.0**-76])
def test_no_scaling_is_refused_where_squares_do_not_fit(unit):
    with pytest.raises(InvalidParameterError, match=r"for scaling=none, but got .*\. Multiply .* scaling=rms\."):
        fit_scaling(POOL * np.float32(unit), "none")
