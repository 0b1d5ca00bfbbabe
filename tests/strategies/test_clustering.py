import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from strategies.functional.clustering import central_points, kmeans


def draw_blobs(n=200, n_blobs=4, seed=0):
    rng = np.random.default_rng(seed)
    blob = rng.integers(n_blobs, size=n)
    return (10 * np.eye(n_blobs)[blob] + rng.normal(size=(n, n_blobs))).astype(np.float32), blob


@pytest.mark.parametrize("minibatch", [False, True])
def test_finds_separated_blobs(minibatch):
    points, blob = draw_blobs()
    result = kmeans(points, 4, seed=0, n_init=3, minibatch=minibatch)
    assert adjusted_rand_score(blob, result.labels) == 1
    assert result.labels.dtype == np.int64
    for cluster, centre in enumerate(result.centres):
        np.testing.assert_allclose(
            centre, points[result.labels == cluster].mean(axis=0), atol=0.3 if minibatch else 1e-4
        )


def test_agrees_with_scikit_learn():
    points, _ = draw_blobs()
    with threadpool_limits(1):
        expected = KMeans(7, n_init=2, random_state=3).fit(points)
    result = kmeans(points, 7, seed=3, n_init=2)
    np.testing.assert_array_equal(result.labels, expected.labels_)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 5), st.integers(1, 12), st.booleans(), st.integers(0, 2**31 - 1))
def test_every_cluster_has_a_member_whatever_the_number_of_distinct_points(n_distinct, n_clusters, minibatch, seed):
    points = np.eye(5, dtype=np.float32)[np.arange(9) % n_distinct]
    result = kmeans(points, n_clusters, seed=seed, minibatch=minibatch)
    assert len(result.centres) <= min(n_clusters, n_distinct)
    np.testing.assert_array_equal(np.unique(result.labels), np.arange(len(result.centres)))


@pytest.mark.parametrize("minibatch", [False, True])
def test_same_seed_same_bits_and_other_seed_other_start(minibatch):
    points = np.random.default_rng(0).normal(size=(500, 5)).astype(np.float32)
    first, second, other = (kmeans(points, 20, seed=seed, minibatch=minibatch) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.centres, second.centres)
    assert adjusted_rand_score(first.labels, other.labels) < 1


def test_central_points_are_nearest_to_their_centre():
    points = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    picks = central_points(points, 3, seed=0)
    found = kmeans(points, 3, seed=0)
    clusters = found.labels[picks]
    assert sorted(clusters) == [0, 1, 2]
    assert (np.diff(np.bincount(found.labels)[clusters]) <= 0).all()
    for pick, cluster in zip(picks, clusters, strict=True):
        distances = np.linalg.norm(points - found.centres[cluster], axis=1)
        assert distances[pick] == pytest.approx(distances[found.labels == cluster].min())


@pytest.mark.parametrize("n", [3, 5])
def test_few_points_are_all_central(n):
    np.testing.assert_array_equal(central_points(np.ones((3, 2), dtype=np.float32), n, seed=0), [0, 1, 2])
