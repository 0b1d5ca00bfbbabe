import numpy as np
import pytest
from pydantic import ValidationError

from strategies import dropquery
from strategies.dropquery import DropQuery
from strategies.testing import FakeModel, choose, fresh, make_view


class Doubts(FakeModel):
    """Changes its mind about some points of the pool in some passes: `changes` is `n_pool x n_passes`."""

    def __init__(self, view, changes):
        probabilities = np.tile(np.float32([1, 0, 0]), (len(view.features), 1))
        super().__init__(probabilities, view.model.embedding)
        object.__setattr__(self, "unlabelled", view.unlabelled)
        object.__setattr__(self, "passes", iter(changes.T))

    def predict_proba(self, features):
        changed = next(self.passes)[self.unlabelled]
        return np.where(changed[:, None], np.float32([0, 1, 0]), np.float32([1, 0, 0]))


def doubting(changed_in):
    """A view in which point i changes in `changed_in[i]` of three passes."""
    view = make_view()
    changes = np.arange(3) < np.asarray(changed_in)[:, None]
    return fresh(view, model=Doubts(view, changes))


def test_candidates_disagree_in_most_passes(monkeypatch):
    monkeypatch.setattr(dropquery, "ENOUGH", 1)
    changed_in = np.arange(60) % 4
    selection = choose(DropQuery(), doubting(changed_in), 5)
    view = make_view()
    assert selection.stats["n_candidates"] == (changed_in[view.unlabelled] > 1).sum()
    assert (changed_in[selection.indices] > 1).all()


def test_one_disagreement_does_where_candidates_are_few():
    changed_in = np.arange(60) % 4
    selection = choose(DropQuery(), doubting(changed_in), 5)  # 25 x 5 are never reached
    assert selection.stats["n_candidates"] == (changed_in[make_view().unlabelled] > 0).sum()
    assert (changed_in[selection.indices] > 0).all()


@pytest.mark.parametrize("n_doubted", [0, 1, 3])
def test_missing_picks_are_drawn(n_doubted):
    view = make_view()
    changed_in = np.zeros(60, dtype=int)
    changed_in[view.unlabelled[:n_doubted]] = 3
    selection = choose(DropQuery(), doubting(changed_in), 7)
    np.testing.assert_array_equal(selection.indices[:n_doubted], view.unlabelled[:n_doubted])
    assert selection.stats["n_random"] == 7 - n_doubted


def test_features_are_dropped_and_the_others_scaled():
    seen = []

    class Listens(FakeModel):
        def predict_proba(self, features):
            seen.append(features)
            return super().predict_proba(features)

    view = make_view()
    choose(DropQuery(dropout=0.75), fresh(view, model=Listens(view.model.probabilities, view.model.embedding)))
    assert len(seen) == 3
    original = view.features[view.unlabelled]
    for features in seen:
        kept = features != 0
        np.testing.assert_array_equal(features[kept], (original * 4)[kept])
        assert kept.mean() == pytest.approx(0.25, abs=0.07)
    assert (seen[0] != seen[1]).any()


def test_without_labels_the_whole_pool_is_clustered():
    selection = choose(DropQuery(), make_view(n_labelled=0), 4)
    assert selection.stats == {"n_candidates": 60, "n_random": 0}


@pytest.mark.parametrize("wrong", [{"n_passes": 0}, {"dropout": 0}, {"dropout": 1}])
def test_hyperparameters_are_validated(wrong):
    with pytest.raises(ValidationError):
        DropQuery(**wrong)
