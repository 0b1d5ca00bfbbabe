import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial.distance import cdist

from strategies.base import PoolView
from strategies.coverherding import CoverHerding
from strategies.functional.distances import normalise_rows
from strategies.testing import choose, make_view
from strategies.uherding import UHerding


def coverage(points, picks, sigma):
    return np.exp(-cdist(points[picks], points, "sqeuclidean") / sigma**2).max(axis=0).mean()


def test_the_first_query_covers_the_pool_at_the_radius_that_it_can_afford():
    view = make_view(n_labelled=0)
    found = choose(CoverHerding(), view, 6)
    points = normalise_rows(view.features).astype(np.float64)
    sigma = found.stats["sigma"]
    least = np.sqrt(np.square(cdist(points, points)).min(axis=1).mean())
    assert least < sigma < np.sqrt(np.square(points - points.mean(axis=0)).sum(axis=1).mean())
    best = coverage(points, found.indices, sigma)
    for place in range(6):
        others = np.delete(found.indices, place)
        assert all(coverage(points, [*others, other], sigma) <= best + 2e-6 for other in range(len(points)))


def test_more_labels_cover_more_finely():
    view = make_view(n_labelled=0)
    sigmas = [choose(CoverHerding(), view, n).stats["sigma"] for n in (2, 6, 20)]
    assert sigmas == sorted(sigmas, reverse=True)


def test_from_the_second_query_on_it_is_uherding():
    view = make_view(n_labelled=9)
    found, same = choose(CoverHerding(candidates=30), view), choose(UHerding(candidates=30), view)
    np.testing.assert_array_equal(found.indices, same.indices)
    np.testing.assert_array_equal(found.scores, same.scores)


def test_copies_of_one_point_have_no_radius():
    view = make_view(n_labelled=0)
    same = view.features.copy()
    same[:] = same[0]
    found = choose(CoverHerding(), PoolView(same, view.labelled, view.labels, view.n_classes), 4)
    assert len(set(found.indices)) == 4
    assert found.stats["sigma"] == 0.1


@pytest.mark.parametrize("wrong", [{"candidates": 1}, {"candidates": "some"}])
def test_hyperparameters_are_validated(wrong):
    with pytest.raises(ValidationError):
        CoverHerding(**wrong)
