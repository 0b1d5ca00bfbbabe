import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from strategies.functional.distances import (
    nearest_others,
    normalise_rows,
    squared_distances,
    squared_distances_to,
    squared_norms,
)
from strategies.functional.tiles import map_tiles

matrices = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(-100, 100))


@settings(deadline=None, max_examples=50)
@given(matrices)
def test_normalise_rows_gives_unit_or_zero_rows(points):
    points[0] = 0
    unit = normalise_rows(points)
    assert unit.dtype == np.float32
    norms = np.linalg.norm(unit.astype(np.float64), axis=1)
    is_zero = np.linalg.norm(points, axis=1) == 0
    np.testing.assert_array_equal(unit[is_zero], 0)
    np.testing.assert_allclose(norms[~is_zero], 1, rtol=1e-5)


@settings(deadline=None, max_examples=50)
@given(matrices)
def test_squared_distances_agree_with_scipy(points):
    expected = cdist(points.astype(np.float64), points.astype(np.float64), "sqeuclidean")
    tolerance = 1e-5 * max(1.0, float((points.astype(np.float64) ** 2).sum(axis=1).max()))
    block = squared_distances(points, points)
    assert block.dtype == np.float32
    assert (block >= 0).all()
    np.testing.assert_allclose(block, expected, atol=tolerance)
    np.testing.assert_array_equal(squared_distances(points, points, squared_norms(points)), block)
    np.testing.assert_allclose(squared_distances_to(points[0], points), expected[0], rtol=1e-5, atol=1e-6)


def test_distance_to_a_duplicate_is_exactly_zero():
    points = np.random.default_rng(0).normal(1e3, 1, size=(5, 700)).astype(np.float32)
    points[3] = points[1]
    distances = squared_distances_to(points[1], points)
    np.testing.assert_array_equal(np.flatnonzero(distances == 0), [1, 3])


@pytest.mark.parametrize("tile_rows", [1, 7, 1000])
def test_tiles_do_not_change_distances_to_a_centre(tile_rows):
    points = np.random.default_rng(0).normal(size=(300, 37)).astype(np.float32)
    np.testing.assert_array_equal(
        squared_distances_to(points[5], points, tile_rows=tile_rows), squared_distances_to(points[5], points)
    )


def test_nearest_others_keeps_no_block_of_distances():
    n = 4000
    points = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
    tracemalloc.start()
    nearest_others(points, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * n**2 / 4


@pytest.mark.parametrize("offset", [1e3, 1e5])
def test_nearest_others_are_found_far_from_0(offset):
    points = normalise_rows((load_digits().data + offset).astype(np.float32))
    exact = cdist(points.astype(np.float64), points.astype(np.float64))
    np.fill_diagonal(exact, np.inf)
    limits = np.sort(exact, axis=1)[:, 9]
    near, gaps = nearest_others(points, 10)
    assert (np.take_along_axis(exact, near, axis=1) <= 1.01 * limits[:, None]).all()
    assert np.allclose(gaps, np.take_along_axis(exact, near, axis=1), rtol=1e-3)


@pytest.mark.parametrize("n_threads", [1, 4])
@pytest.mark.parametrize(
    ("n_rows", "tile_rows", "expected"), [(7, 3, [3, 3, 1]), (6, 3, [3, 3]), (2, 5, [2]), (0, 4, [])]
)
def test_map_tiles_keeps_every_row_in_order(n_rows, tile_rows, expected, n_threads):
    rows = np.arange(n_rows)
    parts = map_tiles(lambda tile: rows[tile], n_rows, tile_rows=tile_rows, n_threads=n_threads)
    assert [len(part) for part in parts] == expected
    assert [row for part in parts for row in part] == list(range(n_rows))
