import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from strategies.functional.typicality import typicality


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(1, 25))
def test_agrees_with_sorted_distances(seed, n, n_neighbours):
    points = np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)
    n_near = min(n_neighbours, n // 2)
    means = np.sort(cdist(points, points), axis=1)[:, 1 : n_near + 1].mean(axis=1)
    np.testing.assert_allclose(typicality(points, n_neighbours), 1 / (means + 1e-5), rtol=1e-4)


def test_agrees_with_scikit_learn():
    points = np.random.default_rng(0).normal(size=(600, 8)).astype(np.float32)
    distances, _ = NearestNeighbors(n_neighbors=20).fit(points).kneighbors()
    np.testing.assert_allclose(typicality(points), 1 / (distances.mean(axis=1) + 1e-5), rtol=1e-4)


@pytest.mark.parametrize("tile_rows", [1, 7, 1000])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_tiles_and_threads_change_nothing(tile_rows, n_threads):
    points = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
    scores = typicality(points, tile_rows=tile_rows, n_threads=n_threads)
    np.testing.assert_array_equal(scores, typicality(points))


@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_duplicates_tie_at_the_largest_value(n):
    points = np.tile(np.random.default_rng(0).normal(size=(1, 700)).astype(np.float32), (n, 1))
    np.testing.assert_allclose(typicality(points), 1e5)
    assert typicality(points).argmax() == 0
