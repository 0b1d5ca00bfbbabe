from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.spatial.distance import cdist

from strategies.functional.clustering import kmeans
from strategies.functional.distances import normalise_rows
from strategies.probcover import FIXED_SEED, ProbCover, greedy_cover, purity_radius
from strategies.testing import choose, make_view


def draw_points(seed=0, n=60, dim=4):
    return normalise_rows(np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32))


def draw_graph(seed, n, density):
    edges = np.triu(np.random.default_rng(seed).random((n, n)) < density, 1)
    return (edges | edges.T | np.eye(n, dtype=bool)).astype(np.int32)


def as_bits(dense):
    padded = np.zeros((len(dense), 64), dtype=bool)
    padded[:, : len(dense)] = dense
    return np.packbits(padded, axis=1).view(np.uint64)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.floats(0.01, 1))
def test_radius_is_the_largest_that_purity_allows(seed, purity):
    points = draw_points(seed)
    labels = kmeans(points, 3, seed=FIXED_SEED).labels
    enemies = np.where(labels[:, None] == labels, np.inf, cdist(points, points)).min(axis=1)
    radius = purity_radius(points, 3, purity)
    assert (enemies >= radius - 1e-5).mean() >= purity - 1e-9
    assert (enemies >= radius + 1e-5).mean() < purity


def test_radius_of_one_pseudo_class_is_infinite():
    assert purity_radius(draw_points(), 1, 0.95) == np.inf


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.sampled_from([0.05, 0.2, 0.5]), st.sets(st.integers(0, 11), max_size=6))
def test_cover_is_greedy_fold_by_fold(seed, density, labelled):
    dense = draw_graph(seed, 12, density)
    labelled = np.array(sorted(labelled), dtype=np.int64)
    picks, scores = greedy_cover(as_bits(dense), labelled, 12 - len(labelled))
    assert sorted([*labelled, *picks]) == list(range(12))
    chosen = labelled.tolist()
    for pick, score in zip(picks, scores, strict=True):
        times = dense[chosen].sum(axis=0)
        candidates = [i for i in range(12) if i not in chosen]
        fold = next(k for k in range(13) if dense[candidates][:, times <= k].any())
        gains = [dense[i, times <= fold].sum() for i in candidates]
        assert score == max(gains)
        assert pick == candidates[int(np.argmax(gains))]
        chosen.append(int(pick))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_cover_reaches_the_greedy_bound(seed, n):
    dense = draw_graph(seed, 10, 0.2)
    picks, _ = greedy_cover(as_bits(dense), np.empty(0, dtype=np.int64), n)
    optimum = max(dense[list(centres)].any(axis=0).sum() for centres in combinations(range(10), n))
    assert dense[picks].any(axis=0).sum() >= (1 - 1 / np.e) * optimum


def test_covered_pool_goes_on_with_new_points():
    labelled = np.array([2, 0])
    picks, scores = greedy_cover(as_bits(np.ones((6, 6))), labelled, 4)
    np.testing.assert_array_equal(picks, [1, 3, 4, 5])
    np.testing.assert_array_equal(scores, 6)


def test_delta_and_graph_are_built_once_a_trajectory():
    view = make_view(n_labelled=0)
    builds = []
    original = view.cached

    def counted(key, build):
        return original(key, lambda features: builds.append(key) or build(features))

    object.__setattr__(view, "cached", counted)
    for _ in range(2):
        choose(ProbCover(), view)
    assert len(builds) == len(set(builds)) == 2


def test_delta_given_is_delta_used():
    selection = choose(ProbCover(delta=0.5), make_view())
    assert selection.stats["delta"] == 0.5
    assert 0 < selection.stats["covered"] <= 1
    assert choose(ProbCover(delta=10.0), make_view()).stats["covered"] == 1


def test_a_stricter_purity_gives_a_smaller_delta():
    deltas = [choose(ProbCover(purity=purity), make_view()).stats["delta"] for purity in (0.5, 0.9, 1.0)]
    assert deltas == sorted(deltas, reverse=True)


@pytest.mark.parametrize("wrong", [{"delta": 1e-4}, {"delta": 1e160}, {"purity": 0.0}, {"purity": 1.1}])
def test_hyperparameters_are_validated(wrong):
    with pytest.raises(ValidationError):
        ProbCover(**wrong)
