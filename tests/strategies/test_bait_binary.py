import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from strategies.bait_binary import RESOLVED, BaitBinary
from strategies.functional.fisher import bait, binary_information, weighted_gram
from strategies.testing import FakeModel, choose, fresh, make_view


def draw_problem(seed, n=30, dim=6, ridge=1.0):
    rng = np.random.default_rng(seed)
    points = np.maximum(rng.normal(size=(n, dim)), 0) * rng.uniform(0.5, 4)
    weights = rng.uniform(0, 0.25, size=n)
    return points, weights, weighted_gram(points, weights), ridge * np.eye(dim)


def trace_after(points, weights, information, start, chosen):
    total = start + sum((weights[i] * np.outer(points[i], points[i]) for i in chosen), np.zeros_like(start))
    return np.trace(information @ np.linalg.inv(total))


def brute_force(points, weights, information, start, n, n_forward):
    """The definition: an inverse for every candidate of every step."""
    chosen, gains = [], []
    for _ in range(n_forward):
        before = trace_after(points, weights, information, start, chosen)
        rest = [i for i in range(len(points)) if i not in chosen]
        gain = [before - trace_after(points, weights, information, start, [*chosen, i]) for i in rest]
        chosen.append(rest[int(np.argmax(gain))])
        gains.append(max(gain))
    kept = list(chosen)
    while len(kept) > n:
        without = [trace_after(points, weights, information, start, [j for j in kept if j != i]) for i in kept]
        del kept[int(np.argmin(without))]
    return kept, [gains[chosen.index(i)] for i in kept]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 8), st.sampled_from([1, 2, 3]))
def test_picks_are_those_of_direct_inverses(seed, n, oversampling):
    problem = draw_problem(seed)
    n_forward = min(oversampling * n, 20)
    picks, gains = bait(*problem, n, n_forward=n_forward)
    expected, expected_gains = brute_force(*problem, n, n_forward)
    np.testing.assert_array_equal(picks, expected)
    np.testing.assert_allclose(gains, expected_gains, rtol=1e-6, atol=1e-12)


def test_updates_agree_with_a_direct_inverse_after_many_picks():
    rng = np.random.default_rng(0)
    points, weights = np.maximum(rng.normal(size=(1200, 40)), 0), rng.uniform(0, 0.25, size=1200)
    information, start = weighted_gram(points, weights), np.eye(40)
    picks, gains = bait(points, weights, information, start, 500, n_forward=500)
    for step in (1, 100, 499):
        before = trace_after(points, weights, information, start, picks[:step])
        after = trace_after(points, weights, information, start, picks[: step + 1])
        assert gains[step] == pytest.approx(before - after, rel=1e-6)


def test_removal_leaves_a_batch_no_worse_than_the_first_half():
    # Not a theorem, but on these problems the second thought pays.
    better = 0
    for seed in range(10):
        problem = draw_problem(seed, n=60)
        plain, _ = bait(*problem, 6, n_forward=6)
        second, _ = bait(*problem, 6, n_forward=12)
        better += trace_after(*problem, second) <= trace_after(*problem, plain) + 1e-12
    assert better >= 8


@pytest.mark.parametrize("length", [1e3, 1e4, 1e6])
def test_removals_are_right_where_points_are_long(length):
    # Each point lies along an axis, so that the definition needs no inverse; then all is rotated, which matters not.
    # Some picks are alone on their axis.
    for seed in range(5):
        rng = np.random.default_rng(seed)
        n, dim = 24, 8
        axes, weights = rng.integers(dim, size=n), rng.uniform(0.01, 0.25, size=n)
        points = length * rng.uniform(0.5, 2, size=(n, 1)) * np.eye(dim)[axes]
        information = rng.uniform(0.5, 2, size=dim) * length**2
        turn = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
        rotated = [points @ turn, weights, turn.T * information @ turn, np.eye(dim)]
        added, _ = bait(*rotated, 12, n_forward=12)
        kept = added.tolist()
        while len(kept) > 6:
            batches = [[j for j in kept if j != i] for i in kept]
            after = [np.sum(information / (1 + weights[batch] @ points[batch] ** 2)) for batch in batches]
            kept = batches[int(np.argmin(after))]
        np.testing.assert_array_equal(bait(*rotated, 6, n_forward=12)[0], kept)


def test_from_some_length_of_the_embedding_on_its_unit_does_not_matter():
    view, n = make_view(), 5
    long = [FakeModel(view.model.probabilities, view.model.embedding * np.float32(2.0**power)) for power in (20, 40)]
    found = [choose(BaitBinary(), fresh(view, model=model), n) for model in long]
    np.testing.assert_array_equal(found[1].indices, found[0].indices)
    np.testing.assert_allclose(found[1].scores, found[0].scores, rtol=1e-6)


def test_tiles_and_threads_change_nothing():
    rng = np.random.default_rng(1)
    points, weights = rng.normal(size=(5000, 8)).astype(np.float32), rng.uniform(0, 0.25, size=5000)
    information = weighted_gram(points, weights)
    np.testing.assert_allclose(information, (points * weights[:, None]).T.astype(float) @ points / 5000, rtol=1e-5)
    expected = bait(points, weights, information, np.eye(8), 9, n_forward=18)
    for n_threads in (2, 3):
        np.testing.assert_array_equal(weighted_gram(points, weights, n_threads=n_threads), information)
        found = bait(points, weights, information, np.eye(8), 9, n_forward=18, n_threads=n_threads)
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


def test_certain_predictions_carry_no_information():
    np.testing.assert_array_equal(binary_information(np.eye(3, dtype=np.float32)), 0)
    probabilities = np.array([[0.5, 0.25, 0.25], [0.9, 0.1, 0]], dtype=np.float32)
    np.testing.assert_allclose(binary_information(probabilities), [0.25, 0.09], rtol=1e-6)
    view = make_view()
    certain = np.eye(3, dtype=np.float32)[view.model.probabilities.argmax(axis=1)]
    selection = choose(BaitBinary(), fresh(view, model=FakeModel(certain, view.model.embedding)), 5)
    np.testing.assert_array_equal(selection.indices, view.unlabelled[:5])


def test_the_strategy_is_the_definition():
    view, n = make_view(), 5
    weights = view.model.probabilities.max(axis=1).astype(np.float64)
    weights *= 1 - weights
    h = view.model.embedding.astype(np.float64)
    share = n / (n + len(view.labelled))
    mean = sum(weights[i] * np.outer(h[i], h[i]) for i in view.labelled) / len(view.labelled)
    information = sum(weights[i] * np.outer(h[i], h[i]) for i in range(len(h))) / len(h)
    rows = view.unlabelled
    start = np.eye(h.shape[1]) + (1 - share) * mean
    expected, _ = brute_force(h[rows], share * weights[rows], information, start, n, 2 * n)
    np.testing.assert_array_equal(choose(BaitBinary(), view, n).indices, rows[expected])


@pytest.mark.parametrize("wrong", [{"regulariser": 0}, {"oversampling": 0.5}, {"oversampling": 11}])
def test_hyperparameters_are_validated(wrong):
    with pytest.raises(ValidationError):
        BaitBinary(**wrong)


def test_additions_are_right_at_the_smallest_lambda():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n, dim = 12, 3
        points, weights = rng.normal(size=(n, dim)), rng.uniform(0.01, 0.25, size=n)
        start = RESOLVED * np.square(points).sum(axis=1).max() * np.eye(dim)
        information = (points * weights[:, None]).T @ points
        kept: list[int] = []
        for _ in range(6):
            batches = [[*kept, i] for i in range(n) if i not in kept]
            after = [
                np.trace(information @ np.linalg.inv(start + (points[each] * weights[each, None]).T @ points[each]))
                for each in batches
            ]
            kept = batches[int(np.argmin(after))]
        np.testing.assert_array_equal(bait(points, weights, information, start, 6, n_forward=6)[0], kept)
