import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from strategies.base import top_k
from strategies.functional.uncertainty import entropy, margin
from strategies.least_confidence import LeastConfidence
from strategies.testing import choose, make_view

scores_of_ten = arrays(np.float64, 10, elements=st.integers(0, 4))


def draw_probabilities(n=50, n_classes=7):
    return np.random.default_rng(0).dirichlet(np.full(n_classes, 0.3), size=n).astype(np.float32)


def test_entropy_agrees_with_scipy():
    probabilities = draw_probabilities().astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(entropy(probabilities), stats.entropy(probabilities, axis=1), rtol=1e-12)


def test_entropy_of_certain_and_uniform_rows():
    np.testing.assert_allclose(
        entropy(np.array([[1, 0, 0, 0], [0.25] * 4], dtype=np.float32)), [0, np.log(4)], atol=1e-12
    )


def test_margin_agrees_with_sorting():
    probabilities = draw_probabilities()
    ordered = np.sort(probabilities.astype(np.float64), axis=1)
    np.testing.assert_array_equal(margin(probabilities), ordered[:, -1] - ordered[:, -2])


def test_margin_of_one_class_is_one():
    np.testing.assert_array_equal(margin(np.ones((3, 1), dtype=np.float32)), 1)


@settings(deadline=None, max_examples=50)
@given(scores_of_ten, st.integers(1, 10), st.permutations(range(20)))
def test_top_k_agrees_with_sorting(scores, n, shuffled):
    candidates = np.array(shuffled[:10])
    selection = top_k(scores, candidates, n)
    expected = sorted(zip(-scores, candidates, strict=True))[:n]
    np.testing.assert_array_equal(selection.indices, [index for _, index in expected])
    np.testing.assert_array_equal(selection.scores, [-score for score, _ in expected])


@pytest.mark.parametrize("measure", [entropy, margin])
def test_saturated_rows_are_finite(measure):
    assert np.isfinite(measure(np.eye(5, dtype=np.float32))).all()


def test_least_confidence_takes_the_smallest_largest_probability():
    view = make_view()
    likeliest = view.model.probabilities.max(axis=1)
    selection = choose(LeastConfidence(), view, 7)
    np.testing.assert_array_equal(selection.indices, sorted(view.unlabelled, key=lambda i: (likeliest[i], i))[:7])
    np.testing.assert_allclose(selection.scores, 1 - likeliest[selection.indices].astype(np.float64))
