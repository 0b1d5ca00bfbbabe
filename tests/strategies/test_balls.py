import numpy as np
import pytest
from scipy.spatial.distance import cdist

from strategies.functional import balls
from strategies.functional.balls import all_near, members, near, number_near


def draw(n, dim=5):
    return np.random.default_rng(n).normal(size=(n, dim)).astype(np.float32)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_near_compares_distances(n_threads):
    points = draw(300)
    bits = near(points[:7], points, 2.0, n_threads=n_threads)
    np.testing.assert_array_equal(members(bits, 300), cdist(points[:7], points) < 2)


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("n", [1, 7, 64, 300, 577])
def test_all_near_is_the_symmetric_comparison_of_all_pairs(n, n_threads, monkeypatch):
    monkeypatch.setattr(balls, "BLOCK", 256)
    points = draw(n)
    words = all_near(points, 2.0, n_threads=n_threads)
    assert words.shape == (n, -(-n // 64))
    np.testing.assert_array_equal(members(words, n), cdist(points, points) < 2)
    assert np.bitwise_count(words).sum() == members(words, n).sum()


def test_each_point_is_near_itself_even_within_no_radius():
    np.testing.assert_array_equal(members(all_near(draw(70), 0.0), 70), np.eye(70, dtype=bool))


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 1])
def test_number_near_counts_the_marked(share):
    points = draw(700)
    which = np.random.default_rng(1).random(700) < share
    counts = number_near(all_near(points, 2.0), which)
    np.testing.assert_array_equal(counts, (cdist(points, points) < 2)[:, which].sum(axis=1))


def test_more_rows_than_a_byte_counts(monkeypatch):
    monkeypatch.setattr(balls, "DENSE", 1.0)
    np.testing.assert_array_equal(number_near(all_near(draw(600), np.inf), np.ones(600, dtype=bool)), 600)
