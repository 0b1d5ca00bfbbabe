import math

import numpy as np
import pytest
from pydantic import ValidationError

from strategies.dcom import DCoM, competence_of, greedy, min_max
from strategies.functional.balls import all_near, widest_pure_radii
from strategies.functional.distances import normalise_rows
from strategies.probcover import ProbCover, greedy_cover
from strategies.testing import choose, make_view


def distances_of(points):
    points = points.astype(np.float64)
    return np.linalg.norm(points[:, None] - points, axis=2)


def reference(view, n, first_radius):
    """Picks by the definition, in float64, the graph and all scores computed again for every pick."""
    points = normalise_rows(view.features)
    distances = distances_of(points)
    predicted = view.model.probabilities.argmax(axis=1)
    threshold = 0.2 * np.mean((distances[view.labelled] < first_radius).any(axis=0)) + 0.4
    radii = []
    for i, label in zip(view.labelled, view.labels, strict=True):
        low, high = 0.0, 1.1
        while high - low > 0.05:
            middle = (low + high) / 2
            is_pure = np.mean(predicted[distances[i] < middle] == label) >= threshold
            low, high = (middle, high) if is_pure else (low, middle)
        radii.append((low + high) / 2)
    covered = (distances[view.labelled] < np.array(radii)[:, None]).any(axis=0)
    competence = (1 + math.exp(-10)) / (1 + math.exp(-50 * (covered.mean() - 0.8)))
    top = np.sort(view.model.probabilities.astype(np.float64), axis=1)
    uncertainty = min_max(top[:, -2] - top[:, -1])
    taken = list(view.labelled)
    picks = []
    for _ in range(n):
        uncertainty[taken] = 0
        density = (distances < np.mean(radii)).astype(int) @ ~covered
        density[taken] = 0
        scores = competence * min_max(uncertainty) + (1 - competence) * min_max(density)
        scores[taken] = -1
        picks.append(int(np.argmax(scores)))
        taken.append(picks[-1])
        covered = covered | (distances[picks[-1]] < np.mean(radii))
    return picks, {"radius": np.mean(radii), "competence": competence}


@pytest.mark.parametrize("seed", range(5))
def test_picks_are_those_of_the_definition(seed):
    view = make_view(seed)
    picks, stats = reference(view, 12, 0.6)
    selection = choose(DCoM(), view, 12)
    np.testing.assert_array_equal(selection.indices, picks)
    assert {key: selection.stats[key] for key in stats} == pytest.approx(stats)


def test_competence_grows_with_coverage():
    assert competence_of(0) == pytest.approx(0, abs=1e-15)
    assert competence_of(0.8) == pytest.approx(0.5, abs=1e-4)
    assert competence_of(1) == pytest.approx(1)


def test_without_labels_the_densest_ball_comes_first():
    view = make_view(n_labelled=0)
    selection = choose(DCoM(first_radius=0.5), view, 3)
    is_near = distances_of(normalise_rows(view.features)) < 0.5
    assert selection.indices[0] == is_near.sum(axis=1).argmax()
    rest = ~is_near[selection.indices[0]]
    assert is_near[selection.indices[1]][rest].sum() == is_near[:, rest].sum(axis=1).max()


def test_where_all_is_covered_and_certain_coverage_goes_on_as_in_probcover():
    view = make_view(n_labelled=0)
    expected = choose(ProbCover(delta=0.9), view, 30).indices
    np.testing.assert_array_equal(choose(DCoM(first_radius=0.9), view, 30).indices, expected)
    is_near, none = all_near(normalise_rows(view.features), 0.9), np.empty(0, dtype=np.int64)
    covered, certain = np.ones(60, dtype=bool), np.zeros(60)
    picks, _ = greedy(is_near, covered, certain, 1.0, none, 30)
    np.testing.assert_array_equal(picks, greedy_cover(is_near, none, 30)[0])


def test_a_pure_pool_has_the_widest_balls():
    points = normalise_rows(np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32))
    radii, _ = widest_pure_radii(points, np.zeros(20, dtype=int), np.zeros(2, dtype=int), 1.0)
    np.testing.assert_allclose(radii, 1.1 - 1.1 / 64)
    radii, is_covered = widest_pure_radii(points, np.ones(20, dtype=int), np.zeros(2, dtype=int), 0.5)
    np.testing.assert_allclose(radii, 1.1 / 64)
    np.testing.assert_array_equal(np.flatnonzero(is_covered), [0, 1])


@pytest.mark.parametrize("wrong", [{"first_radius": 1e-4}, {"first_radius": 2.1}, {"candidates": 1}])
def test_hyperparameters_are_validated(wrong):
    with pytest.raises(ValidationError):
        DCoM(**wrong)
