import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from strategies.functional.distances import normalise_rows
from strategies.functional.herding import ROUNDING, TILE, exchange, herd

NEAR = 2e-6
"""What float32 may lose of a coverage."""


def draw_points(seed, n, dim=5, n_distinct=None):
    points = normalise_rows(np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32))
    return points if n_distinct is None else points[np.arange(n) % n_distinct]


def coverage_of(points, covering, chosen, sigma, weights=None):
    """The definition with its lowered distances, in float64."""
    centres = np.concatenate([covering, points[chosen]]).astype(np.float64)
    distances = np.maximum(cdist(centres, points, "sqeuclidean") - ROUNDING, 0)
    nearest = np.exp(-distances / sigma**2).max(axis=0)
    return (nearest if weights is None else weights * nearest).sum() / (len(points) + len(covering))


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 10**6),
    st.integers(1, 12),
    st.sampled_from([0, 1, 7]),
    st.sampled_from([0.3, 1.0]),
    st.sampled_from([None, 20]),
    st.booleans(),
)
def test_no_exchange_of_one_point_is_left_that_raises_the_coverage(seed, n, n_covering, sigma, n_distinct, weighted):
    points, covering = draw_points(seed, 60, n_distinct=n_distinct), draw_points(seed + 1, n_covering)
    rng = np.random.default_rng(seed)
    weights = (lambda drawn: drawn / drawn.mean())(rng.random(60)) if weighted else None
    start = rng.choice(60, n, replace=False)
    picks, scores = exchange(points, covering, start, sigma=sigma, weights=weights)
    assert len(set(picks)) == n
    best = coverage_of(points, covering, picks, sigma, weights)
    assert best >= coverage_of(points, covering, start, sigma, weights) - NEAR
    for place in range(n):
        others = np.delete(picks, place)
        if len(others) + n_covering:
            without = coverage_of(points, covering, others, sigma, weights)
            assert scores[place] == pytest.approx(best - without, abs=NEAR)
        for other in np.setdiff1d(np.arange(60), picks):
            assert coverage_of(points, covering, [*others, other], sigma, weights) <= best + NEAR


def test_what_is_right_stays():
    clouds = normalise_rows(np.repeat(np.eye(4, dtype=np.float32), 5, axis=0) + 0.01 * draw_points(0, 20, dim=4))
    picks, _ = herd(clouds, np.empty((0, 4), dtype=np.float32), 4, sigma=0.5)
    again, _ = exchange(clouds, np.empty((0, 4), dtype=np.float32), picks, sigma=0.5)
    assert sorted(again // 5) == [0, 1, 2, 3]


def test_the_greedy_first_pick_in_the_middle_of_everything_is_exchanged():
    corners = np.concatenate([np.eye(3), np.eye(3), np.full((1, 3), 3**-0.5)]).astype(np.float32)
    none = np.empty((0, 3), dtype=np.float32)
    picks, _ = herd(corners, none, 3, sigma=1.0)
    assert 6 in picks
    assert sorted(exchange(corners, none, picks, sigma=1.0)[0] % 3) == [0, 1, 2]


@pytest.mark.parametrize("n_covering", [0, 40])
def test_threads_change_nothing(n_covering):
    points = draw_points(3, 2 * TILE + 30 + n_covering, dim=16)
    covering, points = points[:n_covering], points[n_covering:]
    picks, _ = herd(points, covering, 20, sigma=0.7)
    one, scores = exchange(points, covering, picks, sigma=0.7)
    assert coverage_of(points, covering, one, 0.7) > coverage_of(points, covering, picks, 0.7)
    for n_threads in (2, 3):
        other = exchange(points, covering, picks, sigma=0.7, n_threads=n_threads)
        np.testing.assert_array_equal(other[0], one)
        np.testing.assert_array_equal(other[1], scores)
