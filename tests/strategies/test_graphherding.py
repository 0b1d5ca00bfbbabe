from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from strategies.base import PoolView
from strategies.functional.calibration import tempered
from strategies.functional.diffusion import diffusion_kernel
from strategies.functional.distances import normalise_rows
from strategies.functional.uncertainty import margin
from strategies.graphherding import GraphHerding
from strategies.testing import choose, make_view


def kernel_of(view):
    return diffusion_kernel(normalise_rows(view.features)).astype(np.float64)


def test_no_exchange_in_the_first_query_covers_more():
    view = make_view(n_labelled=0)
    kernel = kernel_of(view)
    picks = choose(GraphHerding(), view, 6).indices
    best = kernel[picks].max(axis=0).mean()
    for place in range(6):
        others = np.delete(picks, place)
        assert all(kernel[[*others, other]].max(axis=0).mean() <= best + 2e-6 for other in range(len(kernel)))


def test_later_picks_are_greedy_by_what_is_uncertain():
    view = make_view(n_labelled=9)
    found = choose(GraphHerding(), view, 5)
    kernel = kernel_of(view)
    uncertainty = 1 - margin(tempered(view.model.probabilities, found.stats["temperature"]))
    uncertainty[view.labelled] = 0
    nearest = kernel[view.labelled].max(axis=0)
    for pick, score in zip(found.indices, found.scores, strict=True):
        gains = np.maximum(kernel - nearest, 0) @ uncertainty / len(kernel)
        assert gains[pick] >= gains.max() - 2e-6
        assert score == pytest.approx(gains[pick], abs=2e-6)
        nearest = np.maximum(nearest, kernel[pick])


def test_a_path_of_near_points_counts_and_the_distance_does_not():
    # Two rings, one in the other: MaxHerding's two points would lie anywhere.
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    features = np.concatenate([0.15 * ring[::3], ring]).astype(np.float32)
    features = np.concatenate([features, np.ones((80, 1), dtype=np.float32)], axis=1)
    view = PoolView(features, np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), 2)
    picks = choose(GraphHerding(neighbours=3), view, 2).indices
    assert sorted(picks < 20) == [False, True]


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


@pytest.mark.parametrize("wrong", [{"candidates": 1}, {"neighbours": 0}, {"stay": 1}, {"stay": 0}])
def test_hyperparameters_are_validated(wrong):
    with pytest.raises(ValidationError):
        GraphHerding(**wrong)
