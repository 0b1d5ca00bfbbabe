import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.spatial.distance import cdist

from strategies.functional.calibration import best_temperature, tempered
from strategies.functional.distances import normalise_rows
from strategies.functional.herding import herd
from strategies.functional.uncertainty import margin
from strategies.maxherding import MaxHerding
from strategies.testing import FakeModel, choose, fresh, make_view
from strategies.uherding import UHerding

NEAR = 1e-5


def gains_of(points, labelled, chosen, sigma, weights):
    """The definition, in float64: the gain of every candidate; labelled points have no weight."""
    kernel = np.exp(-cdist(points, np.concatenate([labelled, points[chosen]]), "sqeuclidean") / sigma**2)
    nearest = kernel.max(axis=1, initial=0)
    own = np.exp(-cdist(points, points, "sqeuclidean") / sigma**2)
    return (weights * np.maximum(own - nearest, 0)).sum(axis=1) / (len(points) + len(labelled))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(5, 60), st.sampled_from([0.2, 1.0]))
def test_weighted_picks_are_those_of_the_definition(seed, n, sigma):
    rng = np.random.default_rng(seed)
    points, labelled = (normalise_rows(rng.normal(size=(m, 5)).astype(np.float32)) for m in (n, 4))
    weights = rng.uniform(0, 2, size=n)
    picks, gains = herd(points, labelled, 5, sigma=sigma, weights=weights)
    for step, (pick, gain) in enumerate(zip(picks, gains, strict=True)):
        expected = gains_of(points.astype(float), labelled.astype(float), picks[:step], sigma, weights)
        expected[picks[:step]] = -1
        assert gain == pytest.approx(expected[pick], abs=NEAR)
        assert expected[pick] >= expected.max() - NEAR


def test_without_labels_it_is_maxherding():
    view = make_view(n_labelled=0)
    np.testing.assert_array_equal(choose(UHerding(), view).indices, choose(MaxHerding(), view).indices)


def test_the_strategy_is_the_definition():
    view, n = make_view(), 6
    labelled = normalise_rows(view.features[view.labelled]).astype(float)
    distances = cdist(labelled, labelled)
    sigma = max(0.1, distances[distances > 0].min())
    kept, held_out = np.arange(7), view.labelled[7:]  # 0.3 of 9 labels are 2
    held = view.model.refit(kept).probabilities[held_out]
    temperature = best_temperature(held, view.labels[7:], view.n_classes)
    selection = choose(UHerding(), view, n)
    assert selection.stats["sigma"] == pytest.approx(sigma, rel=1e-6)
    assert selection.stats["temperature"] == temperature
    rows = np.searchsorted(view.unlabelled, selection.indices)
    points = normalise_rows(view.features[view.unlabelled]).astype(float)
    weights = 1 - margin(tempered(view.model.probabilities[view.unlabelled], temperature))
    for step, row in enumerate(rows):
        gains = gains_of(points, labelled, rows[:step], sigma, weights)
        gains[rows[:step]] = -1
        assert gains[row] >= gains.max() - NEAR
        assert selection.scores[step] == pytest.approx(gains[row], abs=NEAR)


def test_copies_among_the_labelled_do_not_make_the_radius_vanish():
    view = make_view(n_labelled=12)
    features = view.features.copy()
    features[view.labelled[1]] = features[view.labelled[0]]
    features[view.labelled[2]] = features[view.labelled[0]] * np.float32(1 + 1e-6)
    selection = choose(UHerding(), fresh(view, features=features))
    assert selection.stats["sigma"] >= 0.1
    wide = choose(UHerding(quantile=0.5), fresh(view, features=features)).stats["sigma"]
    assert wide > selection.stats["sigma"]


def test_all_labelled_points_equal_leaves_the_radius_at_1():
    view = make_view()
    features = view.features.copy()
    features[view.labelled] = features[view.labelled[0]]
    assert choose(UHerding(), fresh(view, features=features)).stats["sigma"] == 1


@pytest.mark.parametrize(("n_labelled", "asks"), [(1, False), (3, False), (4, True)])
def test_up_to_three_labels_have_nothing_to_hold_out(n_labelled, asks):
    asked = []

    class Model(FakeModel):
        def refit(self, positions):
            asked.append(positions.tolist())
            return self

    view = make_view(n_labelled=n_labelled)
    choose(UHerding(), fresh(view, model=Model(view.model.probabilities, view.model.embedding)))
    assert asked == ([[0, 1, 2]] if asks else [])


def test_a_certain_classifier_leaves_the_smallest_indices():
    view = make_view()
    certain = np.eye(3, dtype=np.float32)[np.zeros(60, dtype=int)]
    selection = choose(UHerding(), fresh(view, model=FakeModel(certain, view.model.embedding)), 5)
    assert np.isfinite(selection.scores).all()


@pytest.mark.parametrize("wrong", [{"candidates": 1}, {"quantile": -0.1}, {"quantile": 1.1}])
def test_hyperparameters_are_validated(wrong):
    with pytest.raises(ValidationError):
        UHerding(**wrong)
