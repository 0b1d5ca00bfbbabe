import numpy as np
import pytest

from strategies.boss import PROPOSERS, Boss
from strategies.exceptions import InvalidSelectionError
from strategies.refine import ENSEMBLE, Refine
from strategies.registry import BUILT_IN, ORACLES, strategy_class, strategy_names
from strategies.testing import make_view


@pytest.mark.parametrize("n_labelled", [0, 9])
def test_proposes_batches_in_turn(n_labelled):
    view = make_view(n_labelled=n_labelled)
    batches = list(Boss(n_batches=21).propose(view, 4, rng=np.random.default_rng(0)))
    assert len(batches) == 21
    able = [each.name for each in PROPOSERS if n_labelled or each.chooses_first_round or each.name == "random"]
    assert [name for name, _ in batches] == (able * 21)[:21]
    for _, picks in batches:
        assert len(np.unique(picks)) == 4
        assert np.isin(picks, view.unlabelled).all()
    assert len({tuple(picks.tolist()) for _, picks in batches}) > len(able)  # from parts that differ


def test_the_last_points_can_be_proposed():
    view = make_view(n_labelled=57)
    for _, picks in Boss(n_batches=10).propose(view, 3, rng=np.random.default_rng(0)):
        np.testing.assert_array_equal(np.sort(picks), view.unlabelled)


def test_is_no_strategy():
    with pytest.raises(InvalidSelectionError, match="judge the batches of `boss`"):
        Boss().select(make_view(), 3, rng=np.random.default_rng(0))
    assert strategy_class("boss") is Boss is ORACLES["boss"]
    assert "boss" not in strategy_names()
    assert not set(ORACLES) & set(BUILT_IN)


def test_versions_follow_those_of_the_proposers():
    # Whoever proposes other picks changes the batches: raise Refine's and BoSS's version with that of a proposer.
    proposers = {each.name: each.version for each in ENSEMBLE if each.version > 1}
    assert proposers == {
        "coreset_self": 2,
        "bait_binary": 2,
        "typiclust": 3,
        "dropquery": 2,
        "maxherding": 2,
        "uherding": 2,
    }
    assert (Refine.version, Boss.version) == (4, 3)
