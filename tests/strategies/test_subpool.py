import numpy as np
import pytest

from strategies.exceptions import InvalidQuestionError
from strategies.registry import make_strategy
from strategies.subpool import draw_candidates, in_whole, remaining, subpool
from strategies.testing import make_view


def test_a_part_is_the_pool_with_fewer_points():
    view = make_view()
    candidates = view.unlabelled[3:20]
    part = subpool(view, candidates)
    rows = np.concatenate([view.labelled, candidates])
    np.testing.assert_array_equal(part.features, view.features[rows])
    np.testing.assert_array_equal(part.features[part.labelled], view.features[view.labelled])
    np.testing.assert_array_equal(part.labels, view.labels)
    np.testing.assert_array_equal(part.model.probabilities, view.model.probabilities[rows])
    np.testing.assert_array_equal(part.model.embedding, view.model.embedding[rows])
    noisy = view.features + 1
    np.testing.assert_array_equal(part.model.predict_proba(noisy), view.model.predict_proba(noisy))
    classes = np.zeros(len(noisy), dtype=int)
    np.testing.assert_array_equal(part.model.gradient(noisy, classes), view.model.gradient(noisy, classes))


def test_a_refit_is_that_of_the_pool_and_is_shared():
    view, refits = make_view(), {}
    positions = np.arange(5)
    parts = [subpool(view, view.unlabelled[:n], refits) for n in (4, 8)]
    for part in parts:
        whole = view.model.refit(positions).probabilities
        expected = whole[np.concatenate([view.labelled, view.unlabelled[: len(part.features) - len(view.labelled)]])]
        np.testing.assert_array_equal(part.model.refit(positions).probabilities, expected)
    assert len(refits) == 1


def test_refits_of_the_same_bytes_are_told_apart():
    view = make_view()
    part = subpool(view, view.unlabelled[:5])
    for positions in (np.array([1, 0], dtype=np.int32), np.array([1])):
        np.testing.assert_array_equal(part.model.refit(positions).whole.labelled, view.labelled[positions])
    with pytest.raises(InvalidQuestionError):
        part.model.refit(np.array([[1]]))


class TestRemaining:
    @pytest.fixture
    def rows(self):
        return np.setdiff1d(np.arange(60), make_view().unlabelled[[0, 7, 30]])

    def test_is_the_pool_as_if_the_others_had_never_been_there(self, rows):
        view = make_view()
        part = remaining(view, rows)
        assert (len(part.features), len(part.unlabelled)) == (57, 48)
        np.testing.assert_array_equal(part.features[part.labelled], view.features[view.labelled])
        np.testing.assert_array_equal(part.labels, view.labels)
        np.testing.assert_array_equal(part.model.probabilities, view.model.probabilities[rows])
        np.testing.assert_array_equal(
            part.model.refit(np.arange(5)).embedding, view.model.refit(np.arange(5)).embedding[rows]
        )
        assert remaining(view, np.arange(60)) is view

    @pytest.mark.parametrize("name", ["ntkcpl_al", "coreset_self"])
    def test_a_selection_is_told_in_indices_of_the_pool(self, rows, name):
        view = make_view()
        part = remaining(view, rows)
        own = make_strategy(name).select(part, 5, rng=np.random.default_rng(0))
        whole = in_whole(own, rows)
        np.testing.assert_array_equal(view.features[whole.indices], part.features[own.indices])
        assert np.isin(whole.indices, view.unlabelled).all()
        if own.diagnostics is not None:
            np.testing.assert_array_equal(whole.diagnostics.risk_set, rows[own.diagnostics.risk_set])
            np.testing.assert_array_equal(
                whole.diagnostics.predict(view.labelled, view.labels),
                own.diagnostics.predict(part.labelled, part.labels),
            )


def test_without_labels_there_is_no_model():
    view = make_view(n_labelled=0)
    assert subpool(view, view.unlabelled).model is None


@pytest.mark.parametrize(("size", "n", "expected"), [("all", 1, 51), (60, 1, 51), (30, 1, 21), (12, 1, 6), (5, 7, 7)])
def test_candidates(size, n, expected):
    view = make_view()
    found = draw_candidates(view, size, n, np.random.default_rng(0))
    assert len(found) == expected
    assert np.isin(found, view.unlabelled).all()
    np.testing.assert_array_equal(found, np.unique(found))
