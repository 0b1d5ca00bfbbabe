import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from strategies.functional.diffusion import diffusion_kernel, negative_inverse, neighbour_weights


def some_points(n=60, dim=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def reached(weights, stay):
    """Probability that a walk from i ever reaches j, by the equations of first passage."""
    n = len(weights)
    steps = stay * weights / weights.sum(axis=1, keepdims=True)
    columns = []
    for j in range(n):
        equations = np.eye(n) - steps
        equations[j] = np.eye(n)[j]
        columns.append(np.linalg.solve(equations, np.eye(n)[j]))
    return np.stack(columns, axis=1)


def test_weights_are_those_of_the_definition():
    points, n_near = some_points(), 4
    distances = cdist(points.astype(np.float64), points)
    order = np.argsort(distances, axis=1)
    scales = distances[np.arange(60), order[:, n_near]]
    joined = np.zeros((60, 60), dtype=bool)
    joined[np.arange(60)[:, None], order[:, 1 : n_near + 1]] = True
    expected = np.where(joined | joined.T, np.exp(-(distances**2) / np.outer(scales, scales)), 0)
    np.testing.assert_allclose(neighbour_weights(points, n_near), expected, rtol=1e-4, atol=1e-7)


@given(seed=st.integers(0, 10_000), n=st.integers(2, 40), n_near=st.integers(1, 8), stay=st.floats(0.05, 0.99))
def test_the_kernel_is_the_mean_of_the_probabilities_of_reaching_each_other(seed, n, n_near, stay):
    points = some_points(n, seed=seed)
    weights = neighbour_weights(points, n_near).astype(np.float64)
    there = reached(weights, stay)
    kernel = diffusion_kernel(points, n_near=n_near, stay=stay)
    np.testing.assert_allclose(kernel, np.sqrt(there * there.T), atol=2e-5)
    np.testing.assert_array_equal(kernel, kernel.T)
    assert kernel.min() >= 0
    assert (np.diag(kernel) == 1).all()


@pytest.mark.parametrize("n", [1, 2, 255, 256, 257, 1100])
def test_threads_and_tiles_do_not_change_a_bit(n):
    points = some_points(n)
    kernel = diffusion_kernel(points)
    np.testing.assert_array_equal(kernel, diffusion_kernel(points, n_threads=3))
    np.testing.assert_array_equal(kernel, kernel.T)
    if n > 1:
        weights = neighbour_weights(points, 10).astype(np.float64)
        roots = np.sqrt(weights.sum(axis=1))
        inverse = np.linalg.inv(np.eye(n) - 0.95 * weights / roots / roots[:, None])
        scale = np.sqrt(np.diag(inverse))
        np.testing.assert_allclose(kernel, inverse / scale / scale[:, None], atol=2e-5)


def test_points_that_no_path_joins_have_nothing_in_common():
    points = np.concatenate([some_points(20), some_points(20) + 1000])
    kernel = diffusion_kernel(points, n_near=3)
    assert (kernel[:20, 20:] == 0).all()
    assert (kernel[:20, :20] > 0).any()


@pytest.mark.parametrize("stay", [0.95, 0.999])
def test_copies_and_points_beside_them_are_no_problem(stay):
    points = np.concatenate([np.ones((30, 3)), some_points(5) + 50, np.zeros((1, 3))]).astype(np.float32)
    kernel = diffusion_kernel(points, n_near=5, stay=stay)
    assert np.isfinite(kernel).all()
    assert (kernel >= 0).all()
    assert (kernel <= 1).all()


@pytest.mark.parametrize("n", [1, 2, 511, 512, 513, 1300])
def test_the_inverse_is_that_of_the_upper_triangle(n):
    rng = np.random.default_rng(n)
    matrix = np.eye(n) + 0.9 / n * rng.uniform(-1, 1, size=(n, n))
    matrix = np.triu(matrix) + np.triu(matrix, 1).T
    upper = (np.triu(matrix) + np.tril(np.full((n, n), 7), -1)).astype(np.float32)
    found = [np.triu(negative_inverse(upper.copy(), n_threads=n_threads)) for n_threads in (1, 3)]
    np.testing.assert_array_equal(*found)
    np.testing.assert_allclose(found[0], np.triu(-np.linalg.inv(matrix)), atol=1e-5)
