from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from strategies.badge import Badge
from strategies.badge_partition import BadgePartition
from strategies.functional.badge import gradient_norms, prediction_error, sample_centres, squared_gradient_distances
from strategies.testing import FakeModel, choose, fresh, make_view


def draw_factors(seed, n=6, n_classes=3, dim=4):
    rng = np.random.default_rng(seed)
    error = prediction_error(rng.dirichlet(np.ones(n_classes), size=n).astype(np.float32))
    return error, np.maximum(rng.normal(size=(n, dim)), 0)


def outer(error, embedding):
    return np.einsum("ic,id->icd", error, embedding).reshape(len(error), -1)


def test_prediction_error_is_zero_on_a_saturated_row():
    error = prediction_error(np.array([[0.25, 0.5, 0.25], [0, 0, 1], [0.5, 0.5, 0]], dtype=np.float32))
    np.testing.assert_array_equal(error, [[0.25, -0.5, 0.25], [0, 0, 0], [-0.5, 0.5, 0]])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 5), st.integers(1, 5))
def test_factorised_distances_agree_with_the_outer_product(seed, n, n_classes, dim):
    error, embedding = draw_factors(seed, n, n_classes, dim)
    gradients, norms = outer(error, embedding), gradient_norms(error, embedding)
    np.testing.assert_allclose(norms, (gradients**2).sum(axis=1), atol=1e-11)
    for centre in range(n):
        expected = ((gradients - gradients[centre]) ** 2).sum(axis=1)
        np.testing.assert_allclose(squared_gradient_distances(error, embedding, norms, centre), expected, atol=1e-11)


def test_duplicates_are_at_exactly_zero():
    error, embedding = draw_factors(0, n=40, n_classes=10, dim=700)
    rows = np.arange(40) % 4
    error, embedding = error[rows], 1e3 * embedding[rows]
    distances = squared_gradient_distances(error, embedding, gradient_norms(error, embedding), 1)
    np.testing.assert_array_equal(distances == 0, rows == 1)


def test_first_centre_has_the_largest_gradient():
    error, embedding = draw_factors(3)
    norms = np.linalg.norm(outer(error, embedding), axis=1)
    picks, scores = sample_centres(error, embedding, 1, rng=np.random.default_rng(0))
    assert picks[0] == norms.argmax()
    assert scores[0] == pytest.approx(norms.max() ** 2)


def test_draws_follow_the_exact_probabilities():
    error, embedding = draw_factors(1, n=5)
    gradients = outer(error, embedding)
    first = int(np.linalg.norm(gradients, axis=1).argmax())
    squared = ((gradients[:, None] - gradients) ** 2).sum(axis=2)
    pairs = list(permutations([i for i in range(5) if i != first], 2))

    def probability(second, third):
        both = np.minimum(squared[first], squared[second])
        return squared[first, second] / squared[first].sum() * both[third] / both.sum()

    expected = np.array([probability(*pair) for pair in pairs])
    assert expected.sum() == pytest.approx(1)
    rng = np.random.default_rng(0)
    drawn = [tuple(sample_centres(error, embedding, 3, rng=rng)[0].tolist()) for _ in range(1500)]
    counts = np.array([drawn.count((first, *pair)) for pair in pairs])
    assert counts.sum() == 1500
    assert stats.chisquare(counts, 1500 * expected).pvalue > 0.001


def test_scores_are_distances_to_the_nearest_earlier_centre():
    error, embedding = draw_factors(2, n=20)
    gradients = outer(error, embedding)
    picks, scores = sample_centres(error, embedding, 8, rng=np.random.default_rng(0))
    for step in range(1, 8):
        nearest = ((gradients[picks[:step]] - gradients[picks[step]]) ** 2).sum(axis=1).min()
        assert scores[step] == pytest.approx(nearest, abs=1e-11)


def test_zero_gradients_are_drawn_uniformly():
    error, embedding = np.zeros((4, 3)), np.ones((4, 2))
    rng = np.random.default_rng(0)
    drawn = [sample_centres(error, embedding, 4, rng=rng)[0].tolist() for _ in range(500)]
    assert all(sorted(picks) == [0, 1, 2, 3] for picks in drawn)
    assert all(picks[0] == 0 for picks in drawn)
    assert stats.chisquare(np.bincount([picks[1] for picks in drawn], minlength=4)[1:]).pvalue > 0.001


def test_duplicates_come_after_all_distinct_gradients():
    error, embedding = draw_factors(4, n=3)
    rows = np.arange(12) % 3
    picks, _ = sample_centres(error[rows], embedding[rows], 12, rng=np.random.default_rng(0))
    assert sorted(rows[picks[:3]]) == [0, 1, 2]
    assert sorted(picks) == list(range(12))


def test_one_partition_draws_like_badge_whatever_the_order_of_the_pool():
    view = make_view()
    selection = choose(BadgePartition(n_partitions=1), view, 1)
    np.testing.assert_array_equal(selection.indices, choose(Badge(), view, 1).indices)


@pytest.mark.parametrize(("n_partitions", "n"), [(10, 7), (10, 23), (3, 7), (1000, 51), (7, 51), (50, 51)])
def test_partitions_of_any_number_fill_the_query(n_partitions, n):
    choose(BadgePartition(n_partitions=n_partitions), make_view(), n)


def test_every_part_gives_its_largest_gradient_first():
    view = make_view()
    norms = np.linalg.norm(outer(prediction_error(view.model.probabilities), view.model.embedding), axis=1)
    selection = choose(BadgePartition(n_partitions=10), view, 10)
    np.testing.assert_allclose(selection.scores, norms[selection.indices] ** 2, rtol=1e-6)
    assert view.unlabelled[norms[view.unlabelled].argmax()] in selection.indices


def test_a_single_class_model_is_handled():
    view = make_view()
    model = FakeModel(np.ones((len(view.features), 1), dtype=np.float32), view.model.embedding)
    choose(Badge(), fresh(view, model=model), 20)


def test_partition_count_is_validated():
    with pytest.raises(ValidationError):
        BadgePartition(n_partitions=0)
