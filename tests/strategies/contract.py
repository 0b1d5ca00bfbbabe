"""What every strategy must keep to; subclass `StrategyContract` and override the `strategy` fixture."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from strategies.base import Compute, FloatArray, PoolView, Selection, Strategy
from strategies.random import Random

N_POOL, DIM, HIDDEN, N_CLASSES, N_LABELLED = 60, 8, 6, 3, 9


@dataclass(frozen=True, eq=False)
class FakeModel:
    """A classifier that has answered already."""

    probabilities: FloatArray
    embedding: FloatArray


def freeze(view: PoolView) -> PoolView:
    """The same view with every array read-only."""
    arrays = [view.features, view.labelled, view.labels]
    if view.model is not None:
        arrays += [view.model.probabilities, view.model.embedding]
    for array in arrays:
        array.flags.writeable = False
    return view


def make_view(seed: int = 0, *, n_labelled: int = N_LABELLED, scale: float = 1.0) -> PoolView:
    """A read-only pool of three overlapping classes; `n_labelled` 0 leaves the model out."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(N_CLASSES, size=N_POOL)
    features = rng.normal(size=(N_POOL, DIM)) + 2 * np.eye(N_CLASSES, DIM)[classes]
    embedding = np.maximum(features @ rng.normal(size=(DIM, HIDDEN)), 0)
    logits = embedding @ rng.normal(size=(HIDDEN, N_CLASSES))
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    model = FakeModel(
        (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32), (scale * embedding).astype(np.float32)
    )
    labelled = rng.choice(N_POOL, size=n_labelled, replace=False)
    return freeze(
        PoolView(
            (scale * features).astype(np.float32),
            labelled,
            classes[labelled],
            N_CLASSES,
            model if n_labelled else None,
        )
    )


def choose(strategy: Strategy, view: PoolView, n: int = 7, seed: int = 1) -> Selection:
    """One selection, its indices and scores checked."""
    selection = strategy.select(view, n, rng=np.random.default_rng(seed))
    assert isinstance(selection.indices, np.ndarray)
    assert selection.indices.dtype == np.int64
    assert len(set(selection.indices.tolist())) == n
    assert set(selection.indices.tolist()) <= set(view.unlabelled.tolist())
    assert selection.scores is None or not np.isnan(selection.scores).any()
    return selection


def fresh(view: PoolView, **changes: object) -> PoolView:
    """`view` with other fields and an empty memo."""
    return freeze(replace(view, **{"_memo": {}, **changes}))


class StrategyContract:
    @pytest.fixture
    def strategy(self) -> Strategy:
        raise NotImplementedError("Override the `strategy` fixture.")

    @pytest.mark.parametrize("n", [1, 7, 20])
    def test_picks_are_distinct_and_unlabelled(self, strategy, n):
        choose(strategy, make_view(), n)

    def test_same_seed_same_picks(self, strategy):
        first, second = choose(strategy, make_view()), choose(strategy, make_view())
        np.testing.assert_array_equal(first.indices, second.indices)

    def test_keeps_no_state_between_calls(self, strategy):
        expected = choose(strategy, make_view())
        choose(strategy, make_view(5), seed=9)
        view = make_view()
        for _ in range(2):
            np.testing.assert_array_equal(choose(strategy, view).indices, expected.indices)

    def test_same_picks_after_pickling(self, strategy):
        copy = pickle.loads(pickle.dumps(strategy))  # noqa: S301
        assert copy == strategy
        assert hash(copy) == hash(strategy)
        np.testing.assert_array_equal(choose(copy, make_view()).indices, choose(strategy, make_view()).indices)

    def test_thread_count_changes_nothing(self, strategy):
        expected = choose(strategy, make_view())
        parallel = choose(strategy, fresh(make_view(), compute=Compute(n_threads=3)))
        np.testing.assert_array_equal(parallel.indices, expected.indices)

    def test_global_random_state_is_untouched(self, strategy):
        def state():
            kind, keys, *rest = np.random.get_state()  # noqa: NPY002
            return kind, keys.tobytes(), *rest, torch.get_rng_state().numpy().tobytes()

        before = state()
        choose(strategy, make_view())
        assert state() == before

    def test_inputs_are_unmodified(self, strategy):
        view, untouched = make_view(), make_view()
        choose(strategy, view)
        assert view.model is not None
        assert untouched.model is not None
        for given, expected in [
            (view.features, untouched.features),
            (view.labelled, untouched.labelled),
            (view.labels, untouched.labels),
            (view.model.probabilities, untouched.model.probabilities),
            (view.model.embedding, untouched.model.embedding),
        ]:
            np.testing.assert_array_equal(given, expected)

    def test_whole_pool(self, strategy):
        view = make_view()
        selection = choose(strategy, view, len(view.unlabelled))
        np.testing.assert_array_equal(np.sort(selection.indices), view.unlabelled)

    def test_last_point(self, strategy):
        assert choose(strategy, make_view(n_labelled=N_POOL - 1), 1).indices.shape == (1,)

    @pytest.mark.parametrize("n", [1, 7, N_POOL])
    def test_nothing_labelled_yet(self, strategy, n):
        view = make_view(n_labelled=0)
        selection = choose(strategy, view, n)
        if not strategy.chooses_first_round:
            np.testing.assert_array_equal(selection.indices, choose(Random(), view, n).indices)

    @pytest.mark.parametrize("n_distinct", [1, 2, 5])
    @pytest.mark.parametrize("n", [7, N_POOL - N_LABELLED])
    def test_duplicated_points(self, strategy, n_distinct, n):
        view = make_view()
        rows = np.arange(N_POOL) % n_distinct
        model = FakeModel(view.model.probabilities[rows], view.model.embedding[rows])
        choose(strategy, fresh(view, features=view.features[rows], model=model), n)

    def test_zero_features(self, strategy):
        view = make_view()
        model = FakeModel(view.model.probabilities, np.zeros_like(view.model.embedding))
        choose(strategy, fresh(view, features=np.zeros_like(view.features), model=model))

    def test_single_class_seen(self, strategy):
        view = make_view()
        choose(strategy, fresh(view, labels=np.zeros_like(view.labels)))

    def test_saturated_softmax(self, strategy):
        view = make_view()
        certain = np.eye(N_CLASSES, dtype=np.float32)[view.model.probabilities.argmax(axis=1)]
        choose(strategy, fresh(view, model=FakeModel(certain, view.model.embedding)))

    def test_large_features(self, strategy):
        choose(strategy, make_view(scale=1e3), 20)
