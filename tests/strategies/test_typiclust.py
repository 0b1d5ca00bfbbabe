import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from strategies.base import PoolView
from strategies.testing import choose, freeze, fresh, make_view
from strategies.typiclust import TypiClust, visits


def blobs(sizes, seed=0):
    """Tight blobs around orthogonal directions and the blob of each point."""
    blob = np.repeat(np.arange(len(sizes)), sizes)
    noise = np.random.default_rng(seed).normal(scale=0.05, size=(len(blob), len(sizes)))
    return (np.eye(len(sizes))[blob] + noise).astype(np.float32), blob


def blob_view(sizes, labelled=()):
    features, blob = blobs(sizes)
    labelled = np.array(labelled, dtype=np.int64)
    return freeze(PoolView(features, labelled, blob[labelled], len(sizes))), blob


def reference_visits(clusters, is_free, min_size):
    """One cluster per unlabelled point by counting down, turn after turn."""
    ids = range(clusters.max() + 1)
    left = {c: int((is_free & (clusters == c)).sum()) for c in ids}
    size = {c: int((clusters == c).sum()) for c in ids}
    order = sorted(ids, key=lambda c: (size[c] - left[c], -size[c], c))
    for tier in ([c for c in order if size[c] > min_size], [c for c in order if size[c] <= min_size]):
        while any(left[c] for c in tier):
            for c in tier:
                if left[c]:
                    left[c] -= 1
                    yield c


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40), st.integers(0, 8))
def test_visits_agree_with_counting(members, min_size):
    _, clusters = np.unique([cluster for cluster, _ in members], return_inverse=True)
    is_free = np.array([free for _, free in members])
    if is_free.any():
        expected = list(reference_visits(clusters, is_free, min_size))
        assert visits(clusters, is_free, min_size).tolist() == expected


def test_first_round_takes_one_point_of_each_blob():
    view, blob = blob_view([12, 20, 16, 8])
    selection = choose(TypiClust(), view, 4)
    assert blob[selection.indices].tolist() == [1, 2, 0, 3]
    assert selection.stats == {"n_clusters": 4}


def test_picks_the_most_typical_member():
    view, blob = blob_view([12, 20, 16])
    pick = int(choose(TypiClust(), view, 3).indices[0])
    unit = view.features / np.linalg.norm(view.features, axis=1, keepdims=True)
    members = np.flatnonzero(blob == 1)
    distances = np.sort(np.linalg.norm(unit[members, None] - unit[members], axis=2), axis=1)[:, 1:11]
    assert pick == members[distances.mean(axis=1).argmin()]


def test_clusters_without_labels_come_first():
    view, blob = blob_view([12, 20, 16, 8], labelled=[13, 14])
    strategy = TypiClust(cluster_limit=4)
    assert blob[choose(strategy, view, 5).indices].tolist() == [2, 0, 3, 1, 2]


def test_small_clusters_wait_until_the_others_are_empty():
    view, blob = blob_view([7, 3, 9])
    picks = choose(TypiClust(cluster_limit=3), view, 19).indices
    assert blob[picks].tolist() == [2, 0] * 7 + [2, 2] + [1] * 3


def test_small_clusters_serve_when_there_are_no_others():
    view, blob = blob_view([4, 5, 3])
    assert blob[choose(TypiClust(), view, 3).indices].tolist() == [1, 0, 2]


def test_many_clusters_use_mini_batches():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 6)).astype(np.float32)
    view = freeze(PoolView(features, np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), 10))
    selection = choose(TypiClust(), view, 80)
    assert 50 < selection.stats["n_clusters"] <= 80


def test_scale_of_a_row_changes_nothing():
    view = make_view()
    factors = 2.0 ** np.random.default_rng(0).integers(-3, 4, size=(len(view.features), 1))
    scaled = fresh(view, features=(view.features * factors).astype(np.float32))
    np.testing.assert_array_equal(choose(TypiClust(), scaled).indices, choose(TypiClust(), view).indices)


@pytest.mark.parametrize("wrong", [{"cluster_limit": 0}, {"min_cluster_size": -1}, {"n_neighbours": 0}])
def test_hyperparameters_are_validated(wrong):
    with pytest.raises(ValidationError):
        TypiClust(**wrong)
