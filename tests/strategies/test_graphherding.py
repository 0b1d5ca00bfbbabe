from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from strategies.bait_binary import BaitBinary
from strategies.base import PoolView
from strategies.functional.diffusion import diffusion_kernel
from strategies.functional.distances import normalise_rows
from strategies.functional.uncertainty import margin
from strategies.graphherding import GraphHerding, agreed
from strategies.testing import choose, make_view


def kernel_of(view):
    return diffusion_kernel(normalise_rows(view.features)).astype(np.float64)


def coverage(kernel, weights, covered, picks):
    return weights @ np.maximum(kernel[picks].max(axis=0), covered) / len(kernel)


def no_exchange_covers_more(kernel, weights, covered, picks):
    best = coverage(kernel, weights, covered, picks)
    for place in range(len(picks)):
        others = np.delete(picks, place)
        if any(coverage(kernel, weights, covered, [*others, other]) > best + 2e-6 for other in range(len(kernel))):
            return False
    return True


def test_no_exchange_in_the_first_query_covers_more():
    view = make_view(n_labelled=0)
    found = choose(GraphHerding(), view, 6)
    kernel = kernel_of(view)
    assert no_exchange_covers_more(kernel, np.ones(len(kernel)), np.zeros(len(kernel)), found.indices)


def test_later_queries_cover_what_is_uncertain():
    view = make_view(n_labelled=9)
    strategy = GraphHerding()
    found = choose(strategy, view, 5)
    kernel = kernel_of(view)
    free = np.setdiff1d(np.arange(len(kernel)), view.labelled)
    # The first numbers that the strategy draws are the parts of the labels; without limits nothing was drawn before.
    probabilities, temperature = strategy._probabilities(view, free, np.random.default_rng(1))
    assert found.stats["temperature"] == temperature
    weights = np.zeros(len(kernel))
    weights[free] = 1 - margin(probabilities)
    agreement = probabilities / probabilities.max(axis=1, keepdims=True)
    covered = np.ones(len(kernel))
    covered[free] = (kernel[np.ix_(view.labelled, free)] * agreement[:, view.labels].T).max(axis=0)
    assert no_exchange_covers_more(kernel, weights, covered, found.indices)
    lost = coverage(kernel, weights, covered, found.indices) - coverage(kernel, weights, covered, found.indices[1:])
    assert found.scores[0] == pytest.approx(lost, abs=2e-6)


def test_a_label_covers_where_the_classifier_gives_its_class():
    similarities = np.array([[1.0, 0.8, 0.5], [0.2, 0.4, 0.9]])
    probabilities = np.array([[0.9, 0.1, 0.0], [0.5, 0.25, 0.25], [0.8, 0.2, 0.0]])
    # The last point is near to a label of class 1 and is given class 0: a quarter of 0.9 is less than 0.5.
    covered = agreed(similarities, np.array([0, 1]), probabilities)
    np.testing.assert_allclose(covered, [1, 0.8, 0.5], rtol=1e-6)
    np.testing.assert_allclose(agreed(similarities[1:], np.array([1]), probabilities), [0.2 / 9, 0.2, 0.225], rtol=1e-6)


def test_a_path_of_near_points_counts_and_the_distance_does_not():
    # Two rings, one in the other: no path of three near points leads across.
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    features = np.concatenate([0.15 * ring[::3], ring]).astype(np.float32)
    features = np.concatenate([features, np.ones((80, 1), dtype=np.float32)], axis=1)
    view = PoolView(features, np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), 2)
    picks = choose(GraphHerding(neighbours=3), view, 2).indices
    assert sorted(picks < 20) == [False, True]


def test_from_some_labels_for_each_class_on_bait_binary_chooses_where_the_classifier_learns_an_embedding():
    view = make_view(n_labelled=9)  # three classes
    herded, later = choose(GraphHerding(), view, 5), choose(GraphHerding(handover=3.01), view, 5)
    handed = choose(GraphHerding(handover=3), view, 5)
    bait = choose(BaitBinary(), view, 5)
    np.testing.assert_array_equal(handed.indices, bait.indices)
    np.testing.assert_array_equal(handed.scores, bait.scores)
    assert handed.stats == {"handed_over": 1}
    np.testing.assert_array_equal(later.indices, herded.indices)
    assert set(herded.indices) != set(bait.indices)
    frozen = replace(view, model=replace(view.model, learns_embedding=False))
    np.testing.assert_array_equal(choose(GraphHerding(handover=3), frozen, 5).indices, herded.indices)
    unlabelled = make_view(n_labelled=0)
    assert "handed_over" not in choose(GraphHerding(handover=1e-9), unlabelled, 5).stats
    fifty = replace(make_view(n_labelled=55), n_classes=50)  # 1.1 for each; as floats, 1.1 times 50 is more than 55
    assert choose(GraphHerding(handover=1.1), fifty, 5).stats == {"handed_over": 1}


def test_a_part_of_the_pool_is_enough():
    view = make_view(n_labelled=9)
    found = choose(GraphHerding(candidates=30), view, 5)
    assert len(set(found.indices)) == 5
    assert not set(found.indices) & set(view.labelled)


def test_threads_do_not_change_the_picks():
    view = make_view(n_labelled=9)
    more = replace(view, compute=replace(view.compute, n_threads=3))
    one, three = choose(GraphHerding(), view, 5), choose(GraphHerding(), more, 5)
    np.testing.assert_array_equal(one.indices, three.indices)
    np.testing.assert_array_equal(one.scores, three.scores)


@pytest.mark.parametrize("wrong", [{"candidates": 1}, {"neighbours": 0}, {"stay": 0.9999}, {"stay": 0}])
def test_hyperparameters_are_validated(wrong):
    with pytest.raises(ValidationError):
        GraphHerding(**wrong)
