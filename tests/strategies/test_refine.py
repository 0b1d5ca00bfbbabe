import numpy as np
import pytest
from pydantic import ValidationError

import strategies.subpool
from strategies import refine
from strategies.refine import ENSEMBLE, Refine
from strategies.subpool import subpool
from strategies.testing import choose, make_view
from strategies.uherding import UHerding


def test_picks_come_from_what_the_batches_hold(monkeypatch):
    """With parts as large as the pool and one turn, the survivors are the union of nine plain selections."""
    view, rng = make_view(), np.random.default_rng(4)
    whole = subpool(view, view.unlabelled)
    batches = [view.unlabelled[each.select(whole, 3, rng=rng).indices - len(view.labelled)] for each in ENSEMBLE]
    left = np.unique(np.concatenate(batches))
    last = UHerding(candidates="all").select(subpool(view, left), 3, rng=rng)
    selection = choose(Refine(n_batches=9, n_filters=1), view, 3, seed=4)
    np.testing.assert_array_equal(selection.indices, left[last.indices - len(view.labelled)])
    assert selection.stats["n_left"] == len(left)


def test_nobody_is_left_out():
    assert [each.name for each in ENSEMBLE] == [
        "margin",
        "coreset_self",
        "badge",
        "bait_binary",
        "typiclust",
        "alfamix",
        "dropquery",
        "maxherding",
        "uherding",
    ]


def test_parts_shrink_and_survivors_are_bounded(monkeypatch):
    sizes = []
    part = refine.subpool

    def listens(view, candidates, refits=None):
        sizes.append(len(candidates))
        return part(view, candidates, refits)

    for module in (refine, strategies.subpool):
        monkeypatch.setattr(module, "subpool", listens)
    monkeypatch.setattr(refine, "FIRST_SUBSET", 20)
    monkeypatch.setattr(refine, "MOST_SURVIVORS", 15)
    selection = choose(Refine(n_batches=9, n_filters=3), make_view(), 2)
    assert sizes[:9] == [20] * 9
    assert max(sizes[9:-1]) <= 6  # 40 % of 15
    assert sizes[-1] == selection.stats["n_left"] <= 15


@pytest.mark.parametrize("wrong", [{"n_batches": 0}, {"n_filters": 0}])
def test_hyperparameters_are_validated(wrong):
    with pytest.raises(ValidationError):
        Refine(**wrong)
