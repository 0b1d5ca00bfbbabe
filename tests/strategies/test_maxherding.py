import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.spatial.distance import cdist

from strategies.functional.balls import all_near
from strategies.functional.distances import normalise_rows
from strategies.functional.herding import TILE, herd
from strategies.maxherding import MaxHerding
from strategies.probcover import greedy_cover
from strategies.testing import choose, make_view

NEAR = 1e-5
"""What float32 may lose of a gain."""


def draw_points(seed, n, dim=5, n_distinct=None):
    points = normalise_rows(np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32))
    return points if n_distinct is None else points[np.arange(n) % n_distinct]


def gains_of(points, covering, chosen, sigma):
    """The definition, in float64: the gain of every point."""
    everything = np.concatenate([points, covering]).astype(np.float64)
    kernel = np.exp(-cdist(everything, everything, "sqeuclidean") / sigma**2)
    centres = [*range(len(points), len(everything)), *chosen]
    nearest = kernel[centres].max(axis=0) if centres else np.zeros(len(everything))
    return np.maximum(kernel[: len(points)] - nearest, 0).mean(axis=1)


def assert_greedy(points, covering, picks, scores, sigma):
    for step, (pick, score) in enumerate(zip(picks, scores, strict=True)):
        gains = gains_of(points, covering, picks[:step], sigma)
        gains[picks[:step]] = -1
        assert gains[pick] >= gains.max() - NEAR
        assert score == pytest.approx(gains[pick], abs=NEAR)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 10**6),
    st.integers(1, 90),
    st.sampled_from([0, 1, 7]),
    st.sampled_from([0.3, 1.0, 3.0]),
    st.sampled_from([None, 1, 4, 20]),
)
def test_picks_are_those_of_the_definition(seed, n, n_covering, sigma, n_distinct):
    points = draw_points(seed, n + n_covering, n_distinct=n_distinct)
    covering, points = points[:n_covering], points[n_covering:]
    picks, scores = herd(points, covering, n, sigma=sigma)
    assert sorted(picks) == list(range(n))
    assert_greedy(points, covering, picks, scores, sigma)


@pytest.mark.parametrize("n_covering", [0, 40])
def test_several_tiles_and_batches(n_covering):
    points = draw_points(3, 2 * TILE + 30 + n_covering, dim=16)
    covering, points = points[:n_covering], points[n_covering:]
    picks, scores = herd(points, covering, 30, sigma=1.0)
    assert_greedy(points, covering, picks, scores, 1.0)
    for n_threads in (2, 3):
        np.testing.assert_array_equal(herd(points, covering, len(picks), sigma=1.0, n_threads=n_threads)[0], picks)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([0, 5]))
def test_the_order_of_the_pool_changes_nothing(seed, n_covering):
    points, covering = draw_points(seed, 60), draw_points(seed + 1, n_covering)
    order = np.random.default_rng(seed).permutation(60)
    picks, _ = herd(points, covering, 4, sigma=1.0)
    gaps = [np.diff(np.sort(gains_of(points, covering, picks[:step], 1.0))[-2:]) for step in range(4)]
    if min(gaps) > NEAR:
        np.testing.assert_array_equal(order[herd(points[order], covering, 4, sigma=1.0)[0]], picks)


@pytest.mark.parametrize("dim", [3, 300, 5000])
def test_copies_add_nothing_and_ties_go_to_the_smallest_index(dim):
    points = draw_points(0, 700, dim=dim, n_distinct=3)
    picks, scores = herd(points, points[:0], 6, sigma=1.0)
    assert set(picks[:3]) == {0, 1, 2}
    np.testing.assert_array_equal(picks[3:], [3, 4, 5])
    np.testing.assert_array_equal(scores[3:], 0)


def test_points_that_cover_have_no_twin_worth_picking():
    points = draw_points(0, 50)
    _, scores = herd(points, points, 50, sigma=0.5)
    np.testing.assert_array_equal(scores, 0)


@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_a_first_pick_of_far_clusters_is_that_of_probcover(sigma):
    # Three clusters at right angles, each within a thousandth: a Gaussian and a ball tell the same of them.
    sizes = [40, 60, 20]
    centres = np.repeat(np.eye(3), sizes, axis=0)
    points = normalise_rows((centres + np.random.default_rng(0).normal(0, 1e-3, (120, 3))).astype(np.float32))
    cluster_of = np.repeat([0, 1, 2], sizes)
    of_balls, _ = greedy_cover(all_near(points, 0.5), np.empty(0, dtype=np.int64), 3)
    picks, _ = herd(points, points[:0], 3, sigma=sigma)
    np.testing.assert_array_equal(cluster_of[picks], cluster_of[of_balls])
    np.testing.assert_array_equal(cluster_of[picks], [1, 0, 2])


def test_a_subset_is_drawn_above_the_cap_alone():
    view = make_view()
    everything = choose(MaxHerding(candidates="all"), view).indices
    for candidates in (60, 1000):
        np.testing.assert_array_equal(choose(MaxHerding(candidates=candidates), view, seed=5).indices, everything)
    drawn = [choose(MaxHerding(candidates=25), view, seed=seed).indices.tolist() for seed in range(6)]
    assert len({tuple(picks) for picks in drawn}) > 1
    assert len(choose(MaxHerding(candidates=2), view, 20).indices) == 20


@pytest.mark.parametrize("wrong", [{"sigma": 0}, {"sigma": 0.01}, {"sigma": 11}, {"candidates": 1}])
def test_hyperparameters_are_validated(wrong):
    with pytest.raises(ValidationError):
        MaxHerding(**wrong)
