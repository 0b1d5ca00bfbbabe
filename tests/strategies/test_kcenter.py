from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from strategies.functional.kcenter import k_centre

grids = arrays(np.float32, (9, 2), elements=st.integers(0, 5))


def radius(points, centres):
    return cdist(points, points[list(centres)]).min(axis=1).max()


@settings(deadline=None, max_examples=50)
@given(grids, st.sets(st.integers(0, 8), max_size=4), st.integers(1, 5))
def test_every_pick_is_the_farthest_point(points, covered, n):
    covered = np.array(sorted(covered), dtype=np.int64)
    picks, distances = k_centre(points, covered, n)
    centres = covered.tolist()
    for pick, distance in zip(picks, distances, strict=True):
        nearest = cdist(points, points[centres]).min(axis=1) if centres else np.full(9, np.inf)
        nearest[centres] = -1
        assert pick == nearest.argmax()
        assert distance == pytest.approx(nearest.max(), abs=1e-6)
        centres.append(int(pick))
    assert len(set(centres)) == len(centres)


@settings(deadline=None, max_examples=25)
@given(grids, st.integers(0, 8), st.integers(1, 4))
def test_radius_is_at_most_twice_the_optimum(points, start, n):
    picks, _ = k_centre(points, np.array([start]), n - 1)
    optimum = min(radius(points, centres) for centres in combinations(range(9), n))
    assert radius(points, [start, *picks]) <= 2 * optimum + 1e-6


@pytest.mark.parametrize("tile_rows", [1, 7, 1000])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_tiles_and_threads_change_no_pick(tile_rows, n_threads):
    points = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
    covered = np.arange(0, 300, 30)
    expected, expected_distances = k_centre(points, covered, 40)
    picks, distances = k_centre(points, covered, 40, tile_rows=tile_rows, n_threads=n_threads)
    np.testing.assert_array_equal(picks, expected)
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-5)


@pytest.mark.parametrize("offset", [0, 1e2, 1e4])
def test_an_offset_changes_no_pick(offset):
    points = (np.random.default_rng(0).integers(-9, 10, size=(300, 16)) / 4).astype(np.float32)
    covered = np.arange(0, 300, 30)
    expected, expected_distances = k_centre(points, covered, 40)
    picks, distances = k_centre(points + np.float32(offset), covered, 40)
    np.testing.assert_array_equal(picks, expected)
    np.testing.assert_array_equal(distances, expected_distances)


def test_copies_of_centres_come_after_what_is_none():
    rng = np.random.default_rng(0)
    centres = (4 * rng.normal(size=(30, 256))).astype(np.float32)
    centres[15:] = centres[:15] + np.float32(1e-4)
    close = centres[:10] + np.float32(1e-3) * rng.normal(size=(10, 256)).astype(np.float32)
    points = np.concatenate([centres, centres[rng.integers(30, size=200)], close])
    picks, distances = k_centre(points, np.arange(30), 40)
    assert set(picks[:10]) == set(range(230, 240))
    np.testing.assert_array_equal(distances[10:], 0)


def test_equal_points_are_taken_in_index_order():
    picks, distances = k_centre(np.zeros((6, 3), dtype=np.float32), np.array([2]), 5)
    np.testing.assert_array_equal(picks, [0, 1, 3, 4, 5])
    np.testing.assert_array_equal(distances, 0)


def test_no_centre_starts_at_the_smallest_index():
    picks, distances = k_centre(np.array([[0.0], [3.0], [1.0]], dtype=np.float32), np.empty(0, dtype=np.int64), 2)
    np.testing.assert_array_equal(picks, [0, 1])
    np.testing.assert_array_equal(distances, [np.inf, 3])
