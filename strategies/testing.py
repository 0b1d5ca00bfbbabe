"""The conformance suite of strategies: inherit `StrategyContract`, give it one fixture, run pytest.

    class TestMine(StrategyContract):
        @pytest.fixture
        def strategy(self):
            return Mine()

What the suite asks is what a harness relies on. Needs pytest, which nothing else in this package imports.
"""

from __future__ import annotations

import ast
import copy
import functools
import inspect
import itertools
import json
import multiprocessing
import pickle
import random
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import FrozenInstanceError, dataclass, replace
from functools import cached_property
from typing import Any

try:
    import pytest
except ImportError as error:
    raise ImportError(
        "Expected pytest for `strategies.testing`, but it is not installed: pip install 'ntkcpl[testing]'."
    ) from error
import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import softmax

from strategies.base import (
    Compute,
    FloatArray,
    IndexArray,
    Model,
    PoolView,
    Selection,
    Strategy,
    check_classes,
    check_features,
    check_positions,
)
from strategies.exceptions import InvalidParameterError, InvalidQuestionError, PoolExhaustedError
from strategies.random import Random
from strategies.registry import ENTRY_POINT_GROUP, installed, make_strategy, parameter_names, resolved_parameters

__all__ = ["StrategyContract", "choose", "make_view"]

N_POOL, DIM, HIDDEN, N_CLASSES, N_LABELLED = 60, 8, 6, 3, 9


@dataclass(frozen=True, eq=False)
class FakeModel:
    """A classifier that gives the same answers whatever it is asked."""

    probabilities: FloatArray
    embedding: FloatArray
    learns_embedding: bool = True

    def predict_proba(self, features: FloatArray) -> FloatArray:
        """The pool's probabilities in turn, as many as there are rows."""
        found = check_features(features, features.shape[-1])
        return self.probabilities[np.arange(len(found)) % len(self.probabilities)]

    def gradient(self, features: FloatArray, classes: IndexArray) -> FloatArray:
        """Zeros: no feature changes an answer."""
        check_classes(classes, len(features), self.probabilities.shape[1])
        return np.zeros_like(check_features(features, features.shape[-1]))

    def refit(self, positions: IndexArray) -> FakeModel:
        """The same answers."""
        check_positions(positions, len(self.probabilities))
        return self


@dataclass(frozen=True, eq=False)
class LeastSquaresModel:
    """A classifier that learns: least squares on random activations, then a softmax.

    Attributes:
        features: of the pool.
        labelled: pool indices in the order of purchase.
        labels: their classes.
    """

    features: FloatArray
    labelled: IndexArray
    labels: IndexArray
    learns_embedding: bool = True

    @cached_property
    def embedding(self) -> FloatArray:
        """Activations of the pool."""
        return self._activations(self.features).astype(np.float32)

    @cached_property
    def probabilities(self) -> FloatArray:
        """Predictions on the pool."""
        return self._predict(self.features)

    def predict_proba(self, features: FloatArray) -> FloatArray:
        """Predictions on any features."""
        return self._predict(check_features(features, self.features.shape[1]))

    def gradient(self, features: FloatArray, classes: IndexArray) -> FloatArray:
        """Of the cross entropy, through the softmax and the activations."""
        features = check_features(features, self.features.shape[1])
        wrong = self._predict(features) - np.eye(N_CLASSES)[check_classes(classes, len(features), N_CLASSES)]
        back = (4 * wrong @ self._weights.T) * (features @ self._directions > 0)
        gradient: FloatArray = (back @ self._directions.T).astype(np.float32)
        return gradient

    def refit(self, positions: IndexArray) -> LeastSquaresModel:
        """The same on some of the labels."""
        kept = check_positions(positions, len(self.labelled))
        return LeastSquaresModel(self.features, self.labelled[kept], self.labels[kept])

    @cached_property
    def _directions(self) -> FloatArray:
        return np.random.default_rng(0).normal(size=(DIM, HIDDEN))

    @cached_property
    def _weights(self) -> FloatArray:
        known = self._activations(self.features)[self.labelled]
        weights: FloatArray = np.linalg.lstsq(known, np.eye(N_CLASSES)[self.labels], rcond=None)[0]
        return weights

    def _activations(self, features: FloatArray) -> FloatArray:
        return np.maximum(features @ self._directions, 0)

    def _predict(self, features: FloatArray) -> FloatArray:
        predicted: FloatArray = softmax(4 * self._activations(features) @ self._weights, axis=1).astype(np.float32)
        return predicted


@dataclass(frozen=True, eq=False)
class _WithoutGradient:
    """A classifier that has everything but a gradient."""

    whole: Model

    @property
    def probabilities(self) -> FloatArray:
        return self.whole.probabilities

    @property
    def embedding(self) -> FloatArray:
        return self.whole.embedding

    @property
    def learns_embedding(self) -> bool:
        return self.whole.learns_embedding

    def predict_proba(self, features: FloatArray) -> FloatArray:
        return self.whole.predict_proba(features)

    def gradient(self, features: FloatArray, classes: IndexArray) -> FloatArray:
        raise InvalidQuestionError('Expected asks = frozenset({"gradient"}), but the strategy does not declare it.')

    def refit(self, positions: IndexArray) -> Model:
        return _WithoutGradient(self.whole.refit(positions))


def freeze(view: PoolView) -> PoolView:
    """The same view with every array read-only, as Ray's object store hands them out."""
    for array in _arrays(view).values():
        array.flags.writeable = False
    return view


def fresh(view: PoolView, **changes: Any) -> PoolView:
    """`view` with other fields and an empty memo."""
    return freeze(replace(view, **{"_memo": {}, **changes}))


def make_pool(seed: int = 0, *, n_pool: int = N_POOL, scale: float = 1.0) -> tuple[FloatArray, IndexArray]:
    """Features (`n_pool x 8` float32) and classes of three overlapping clouds."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(N_CLASSES, size=n_pool)
    features = rng.normal(size=(n_pool, DIM)) + 2 * np.eye(N_CLASSES, DIM)[classes]
    return (scale * features).astype(np.float32), classes


def view_of(
    features: FloatArray,
    labelled: IndexArray,
    labels: IndexArray,
    memo: dict[str, Any] | None = None,
    queries: Sequence[int] = (),
) -> PoolView:
    """What a strategy sees once `labelled` are bought, with a classifier that was trained on them."""
    model = LeastSquaresModel(features, labelled, labels) if len(labelled) else None
    memo = {} if memo is None else memo
    return freeze(PoolView(features, labelled, labels, N_CLASSES, model, queries=tuple(queries), _memo=memo))


def make_view(seed: int = 0, *, n_pool: int = N_POOL, n_labelled: int = N_LABELLED, scale: float = 1.0) -> PoolView:
    """A small pool of which `n_labelled` random points are labelled; without any there is no model.

    All arrays are read-only and of the types that the harness gives.
    """
    features, classes = make_pool(seed, n_pool=n_pool, scale=scale)
    labelled = np.random.default_rng([seed, 1]).choice(n_pool, size=n_labelled, replace=False)
    return view_of(features, labelled, classes[labelled])


def choose(strategy: Strategy, view: PoolView, n: int = 7, seed: int | Sequence[int] = 1) -> Selection:
    """One selection that keeps the contract of `Strategy.select`, without an invalid operation in NumPy on the way."""
    try:
        with np.errstate(divide="raise", over="raise", invalid="raise"):
            selection = strategy.select(view, n, rng=np.random.default_rng(seed))
    except FloatingPointError as error:
        pytest.fail(
            f"Expected arithmetic that is defined, but got: {error}. What comes of it would rank or be dropped unseen;"
            " treat the case, or say with np.errstate that it is meant."
        )
    picks = selection.indices
    assert isinstance(picks, np.ndarray), f"Expected indices to be an array, but got {type(picks).__name__}."
    assert picks.dtype == np.int64, f"Expected indices to be int64, but got {picks.dtype}."
    assert picks.shape == (n,), f"Expected {n} indices, but got shape {picks.shape}."
    assert len(np.unique(picks)) == n, f"Expected distinct indices, but got {picks.tolist()}."
    assert np.isin(picks, view.unlabelled).all(), f"Expected unlabelled points, but got {picks.tolist()}."
    if selection.scores is not None:
        scores = np.asarray(selection.scores)
        assert scores.shape == (n,), f"Expected one score per pick ({n}), but got shape {scores.shape}."
        assert not np.isnan(scores).any(), f"Expected scores without NaN, but got {scores.tolist()}."
    for key, value in selection.stats.items():
        try:
            json.dumps({key: value}, allow_nan=False)
        except (TypeError, ValueError):
            pytest.fail(f"Expected stats to be finite numbers or text, but `{key}` is {value!r}.")
    return selection


def buy(strategy: Strategy, features: FloatArray, truth: IndexArray, queries: Sequence[int]) -> list[IndexArray]:
    """Picks of each round when the labels of the picks are bought from `truth`, as a harness does."""
    bought: list[IndexArray] = []
    memo: dict[str, Any] = {}
    for round_, n in enumerate(queries):
        labelled = np.concatenate([np.empty(0, dtype=np.int64), *bought])
        view = view_of(features, labelled, truth[labelled], memo, queries[:round_])
        bought.append(choose(strategy, view, n, [1, round_]).indices)
    return bought


class StrategyContract:
    """What every strategy must keep to, each test with the reason; override the `strategy` fixture.

    The fixture may be parametrised, so that one class runs on several settings of a strategy.
    """

    @pytest.fixture
    def strategy(self) -> Strategy:
        """The strategy under test."""
        pytest.fail("Expected a `strategy` fixture that returns a strategy, but the class overrides none.")

    # What is picked.

    @pytest.mark.parametrize("seed", [1, 2])
    @pytest.mark.parametrize("n", [1, 7, 20])
    def test_picks_are_distinct_and_unlabelled(self, strategy: Strategy, n: int, seed: int) -> None:
        """The harness buys what it is told, in this order, and pays once for each."""
        choose(strategy, make_view(), n, seed)

    def test_whole_pool_can_be_bought(self, strategy: Strategy) -> None:
        """A schedule may end with the pool: whoever ranks a subset must still find all."""
        view = make_view()
        picks = choose(strategy, view, len(view.unlabelled)).indices
        same(np.sort(picks), view.unlabelled, "the whole pool")

    def test_last_point(self, strategy: Strategy) -> None:
        """The last round may have one candidate, where a nearest neighbour or a spread does not exist."""
        choose(strategy, make_view(n_labelled=N_POOL - 1), 1)

    @pytest.mark.parametrize("n", [0, N_POOL - N_LABELLED + 1])
    def test_refuses_more_than_there_is(self, strategy: Strategy, n: int) -> None:
        """A schedule that outgrows the pool must be an error with a name, never a short or an empty round."""
        with pytest.raises(PoolExhaustedError):
            strategy.select(make_view(), n, rng=np.random.default_rng(1))

    def test_select_is_inherited(self, strategy: Strategy) -> None:
        """`Strategy.select` checks the picks and keeps to one BLAS thread; a strategy writes `_select` alone."""
        assert type(strategy).select is Strategy.select, "Expected `_select` to be written, but `select` is overridden."

    # Without labels.

    @pytest.mark.parametrize("n", [1, 7, N_POOL])
    def test_first_round(self, strategy: Strategy, n: int) -> None:
        """Without labels there is no model. Who needs one starts like Random, so that comparisons are paired."""
        view = make_view(n_labelled=0)
        picks = choose(strategy, view, n).indices
        if not strategy.chooses_first_round:
            same(picks, choose(Random(), view, n).indices, "the picks of Random in the first round")

    # The same picks, whoever asks and whenever.

    def test_same_stream_same_picks(self, strategy: Strategy) -> None:
        """An interrupted round is selected again, and its repetition must be the same round."""
        same(choose(strategy, make_view()).indices, choose(strategy, make_view()).indices, "the same picks again")

    def test_same_picks_in_another_process(self, strategy: Strategy) -> None:
        """Trajectories move between workers: no hash of a string, no order of a set may reach the picks."""
        try:
            elsewhere = other_process().submit(_picks, strategy, make_view()).result()
        except BrokenProcessPool:
            other_process.cache_clear()  # the next test gets a new one
            pytest.fail("Expected picks from another process, but it died.")
        same(elsewhere, _picks(strategy, make_view()), "the picks of this process")

    def test_order_of_calls_changes_nothing(self, strategy: Strategy) -> None:
        """A worker runs many trajectories, so nothing may be kept from one call to the next."""
        calls: list[Callable[[], Selection]] = [
            lambda: choose(strategy, make_view(), seed=1),
            lambda: choose(strategy, make_view(5), 3, seed=9),
            lambda: choose(strategy, make_view(n_labelled=0)),
        ]
        forwards = [call().indices for call in calls]
        backwards = [call().indices for call in reversed(calls)]
        for first, second in zip(forwards, reversed(backwards), strict=True):
            same(second, first, "the picks of the same call at another time")

    @pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))], ids=["deepcopy", "pickle"])  # noqa: S301, E501  # fmt: skip
    def test_copies_are_equal(self, strategy: Strategy, duplicate: Callable[[Strategy], Strategy]) -> None:
        """A strategy is its hyperparameters: a copy that a worker receives is the strategy."""
        other = duplicate(strategy)
        assert other == strategy, "Expected a copy to be equal, but it is not: is it a dataclass?"
        assert hash(other) == hash(strategy), "Expected a copy to have the same hash, but it has another."
        same(choose(other, make_view()).indices, choose(strategy, make_view()).indices, "the picks of the original")

    def test_resumed_trajectory_goes_on(self, strategy: Strategy) -> None:
        """After an interruption only picks and labels are left; what `view.cached` keeps must not matter."""
        features, truth = make_pool()
        *before, last = buy(strategy, features, truth, [5, 4, 6])
        labelled = np.concatenate(before)
        view = view_of(features, labelled, truth[labelled], queries=[5, 4])
        resumed = choose(copy.deepcopy(strategy), view, 6, [1, 2])
        same(resumed.indices, last, "the picks without an interruption")

    @pytest.mark.parametrize("share", [Compute(n_threads=2), Compute(n_threads=3), Compute(memory_limit=0)], ids=["2 threads", "3 threads", "no memory"])  # noqa: E501  # fmt: skip
    def test_share_of_the_machine_changes_nothing(self, strategy: Strategy, share: Compute) -> None:
        """A study gives the same results on a laptop and on a large node."""
        view = make_view(n_pool=600)  # of several tiles: what is in one is worked on by one thread
        expected = choose(strategy, view).indices
        same(choose(strategy, fresh(view, compute=share)).indices, expected, "the picks with one thread")

    # What a strategy may not touch.

    def test_global_random_state_is_untouched(self, strategy: Strategy) -> None:
        """The learner and other code draw after the strategy: its draws must not shift theirs."""
        before = global_random_state()
        choose(strategy, make_view())
        assert global_random_state() == before, "Expected draws from `rng` alone, but a global random state has moved."

    def test_global_random_state_changes_nothing(self, strategy: Strategy) -> None:
        """Seeds are paired through `rng`; whatever else ran in the process must not reach the picks."""
        picks = []
        for seed in (1, 2):
            with globally_seeded(seed):
                picks.append(choose(strategy, make_view()).indices)
        same(picks[1], picks[0], "the same picks for any global random state")

    def test_arrays_are_unchanged(self, strategy: Strategy) -> None:
        """All strategies on a machine share one copy of the pool."""
        view, untouched = make_view(), make_view()
        for array in _arrays(view).values():
            array.flags.writeable = True
        choose(strategy, view)
        for name, array in _arrays(view).items():
            same(array, _arrays(untouched)[name], f"`{name}` as it was given")

    def test_labels_that_were_not_bought_change_nothing(self, strategy: Strategy) -> None:
        """Labels of unbought points do not exist for a strategy, which could only find them where they are kept."""
        features, truth = make_pool()
        picks = buy(strategy, features, truth, [5, 4, 6])
        unbought = np.setdiff1d(np.arange(N_POOL), np.concatenate(picks))
        scrambled = truth.copy()
        scrambled[unbought] = (truth[unbought] + 1) % N_CLASSES
        for found, expected in zip(buy(strategy, features, scrambled, [5, 4, 6]), picks, strict=True):
            same(found, expected, "the same picks whatever the labels of unbought points")

    # Pools that are not nice.

    @pytest.mark.parametrize("n_labelled", [0, 1])
    @pytest.mark.parametrize("n_unlabelled", [1, 2, 4])
    def test_tiny_pool(self, strategy: Strategy, n_labelled: int, n_unlabelled: int) -> None:
        """A pool may be smaller than a number of neighbours, clusters or classes."""
        view = make_view(n_pool=n_labelled + n_unlabelled, n_labelled=n_labelled)
        for n in {1, n_unlabelled}:
            choose(strategy, fresh(view), n)

    @pytest.mark.parametrize("n_distinct", [1, 2, 5])
    @pytest.mark.parametrize("n", [7, N_POOL - N_LABELLED])
    def test_duplicated_points(self, strategy: Strategy, n_distinct: int, n: int) -> None:
        """Pools hold duplicates: distances of 0, clusters that stay empty, ties everywhere."""
        view = make_view()
        assert view.model is not None
        rows = np.arange(N_POOL) % n_distinct
        model = FakeModel(view.model.probabilities[rows], view.model.embedding[rows])
        choose(strategy, fresh(view, features=view.features[rows], model=model), n)

    def test_constant_features(self, strategy: Strategy) -> None:
        """Encoders have dead columns, networks dead layers: variances and norms may be 0."""
        view = make_view()
        assert view.model is not None
        model = FakeModel(view.model.probabilities, np.zeros_like(view.model.embedding))
        choose(strategy, fresh(view, features=np.zeros_like(view.features), model=model))
        features = np.where(np.arange(DIM) == 0, view.features, np.float32(3))
        choose(strategy, fresh(view, features=features))

    def test_large_features(self, strategy: Strategy) -> None:
        """Features come as the encoder left them, in float32, and their squares still have to fit."""
        choose(strategy, make_view(scale=1e3), 20)

    def test_single_class_seen(self, strategy: Strategy) -> None:
        """The first labels may all be of one class."""
        view = make_view()
        choose(strategy, fresh(view, labels=np.zeros_like(view.labels)))

    def test_saturated_softmax(self, strategy: Strategy) -> None:
        """A classifier may be certain of everything: probabilities of exactly 0 and 1, logarithms of 0."""
        view = make_view()
        assert view.model is not None
        certain = np.eye(N_CLASSES, dtype=np.float32)[view.model.probabilities.argmax(axis=1)]
        choose(strategy, fresh(view, model=FakeModel(certain, view.model.embedding)))

    def test_says_that_it_asks_for_a_gradient(self, strategy: Strategy) -> None:
        """Not every learner has one; whoever declares it in `asks` is refused beside such a learner, before it runs."""
        if "gradient" not in type(strategy).asks:
            view = make_view()
            assert view.model is not None
            picks = choose(strategy, fresh(view, model=_WithoutGradient(view.model))).indices
            same(picks, choose(strategy, make_view()).indices, "the same picks without a gradient")

    # What a strategy says about itself.

    def test_canonical_form_picks_the_same(self, strategy: Strategy) -> None:
        """Configurations with one canonical form are run once, and one goes on where another ended."""
        features, truth = make_pool()
        for queries in ([5, 4, 6], [5], [20, 9]):
            canonical = strategy.canonical(queries)
            assert type(canonical) is type(strategy), "Expected a strategy of the same class as the canonical one."
            assert canonical.canonical(queries) == canonical, "Expected the canonical form of a canonical form itself."
            if canonical != strategy:
                pairs = zip(*(buy(each, features, truth, queries) for each in (canonical, strategy)), strict=True)
                for found, expected in pairs:
                    same(found, expected, f"the canonical form for {queries} to pick the same")

    def test_says_what_it_is(self, strategy: Strategy) -> None:
        """The store knows a strategy by name and version; the command line splits at commas, dots and colons."""
        cls = type(strategy)
        name, version, source = (getattr(cls, key, None) for key in ("name", "version", "source"))
        assert isinstance(name, str), f"Expected `name` to be text, but got {name!r}."
        assert re.fullmatch(r"[\w-]+", name), f"Expected a `name` of letters, digits, _ and -, but got {name!r}."
        assert type(version) is int, f"Expected `version` to be an integer, but got {version!r}."
        assert version >= 1, f"Expected `version` to be at least 1, but got {version}."
        assert isinstance(source, str), f"Expected `source` to be text, but got {source!r}."
        assert source.strip(), "Expected `source` to name a publication, but it is empty."
        for point in installed(ENTRY_POINT_GROUP):
            if point.value == address(strategy):
                assert point.name == name, f"Expected the entry point to be called `{name}`, but got `{point.name}`."

    def test_is_frozen(self, strategy: Strategy) -> None:
        """A trajectory's identity is its hyperparameters, so they cannot change on the way."""
        # A TypeError is what Python raises where a frozen dataclass also has slots.
        with pytest.raises((FrozenInstanceError, TypeError)):
            strategy.anything = 1  # type: ignore[attr-defined]

    def test_name_and_parameters_make_the_same_strategy(self, strategy: Strategy) -> None:
        """A worker gets `module:Class` and JSON, and the store is asked with a hash of them."""
        try:
            parameters = json.loads(json.dumps(resolved_parameters(strategy), allow_nan=False))
        except (TypeError, ValueError) as error:
            pytest.fail(f"Expected hyperparameters that JSON can hold, but got: {error}.")
        assert make_strategy(address(strategy), parameters) == strategy, (
            f"Expected the same strategy from {parameters}, but got another: is every setting a field?"
        )

    def test_presets_are_hyperparameters(self, strategy: Strategy) -> None:
        """A preset is written out when a strategy is made; what it sets must be there and allowed."""
        for preset, values in type(strategy).presets.items():
            try:
                made = make_strategy(address(strategy), {"preset": preset})
            except InvalidParameterError as error:
                pytest.fail(f"Expected a preset `{preset}` that the strategy allows, but got: {error}")
            found = {key: resolved_parameters(made)[key] for key in values}
            assert found == values, f"Expected preset `{preset}` to give {values}, but got {found}."

    def test_parameters_are_documented(self, strategy: Strategy) -> None:
        """A hyperparameter that nobody explains cannot be set: a line under the field, or under `Attributes:`."""
        missing = set(parameter_names(type(strategy))) - documented(type(strategy), Strategy)
        assert not missing, f"Expected a line of documentation for each hyperparameter, but not for {sorted(missing)}."

    def test_parameters_refuse_nonsense(self, strategy: Strategy) -> None:
        """Settings come from a command line, and what does not fit must end there, in one line."""
        for name in parameter_names(type(strategy)):
            with pytest.raises(InvalidParameterError, match="Expected a valid"):
                make_strategy(address(strategy), {**resolved_parameters(strategy), name: object()})

    def test_diagnostics_fit_together(self, strategy: Strategy) -> None:
        """Coverage is measured from what a look-ahead hands back; most strategies hand back nothing."""
        view = make_view()
        found = choose(strategy, view).diagnostics
        if found is not None:
            n_points = len(found.risk_set)
            assert len(np.unique(found.risk_set)) == n_points, "Expected distinct points in the risk set."
            assert np.isin(found.risk_set, np.arange(N_POOL)).all(), "Expected pool indices in the risk set."
            assert found.pseudo_labels.shape == (n_points,), "Expected a pseudo-label for each point of the risk set."
            assert found.outputs.shape[0] == n_points, "Expected outputs for each point of the risk set."
            assert np.isin(found.pseudo_labels, np.arange(found.outputs.shape[1])).all(), (
                "Expected pseudo-labels to be columns of the outputs."
            )
            predicted = found.predict(view.labelled, view.labels)
            assert predicted.shape == (n_points,), "Expected a predicted class for each point of the risk set."
            assert np.isin(predicted, np.arange(N_CLASSES)).all(), "Expected predictions to be classes."


def same(found: ArrayLike, expected: ArrayLike, what: str) -> None:
    """Fail with `Expected WHAT.` where two arrays differ."""
    np.testing.assert_array_equal(found, expected, err_msg=f"Expected {what}.")


def _arrays(view: PoolView) -> dict[str, np.ndarray[Any, Any]]:
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "features": view.features,
        "labelled": view.labelled,
        "labels": view.labels,
    }
    if view.model is not None:
        arrays |= {"probabilities": view.model.probabilities, "embedding": view.model.embedding}
    return arrays


def address(it: object) -> str:
    """`module:Class`."""
    return f"{type(it).__module__}:{type(it).__qualname__}"


def _picks(strategy: Strategy, view: PoolView) -> IndexArray:
    return choose(strategy, view).indices


@functools.cache
def other_process() -> ProcessPoolExecutor:
    """One spawned process for all tests, as it must import all that a strategy needs."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def global_random_state() -> tuple[object, ...]:
    """Of NumPy, torch and Python."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return kind, np.asarray(keys).tobytes(), *rest, torch.get_rng_state().numpy().tobytes(), random.getstate()


@contextmanager
def globally_seeded(seed: int) -> Iterator[None]:
    """Other global random states, put back at the end."""
    of_numpy, of_torch, of_python = np.random.get_state(), torch.get_rng_state(), random.getstate()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(of_numpy)  # noqa: NPY002
        torch.set_rng_state(of_torch)
        random.setstate(of_python)


def documented(cls: type[Any], root: type[Any]) -> set[str]:
    """Fields of a class and its bases below `root` that a string follows, or that a docstring lists with a colon."""
    found: set[str] = set()
    for base in cls.__mro__[: cls.__mro__.index(root)]:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(tree, ast.ClassDef)
        found |= set(re.findall(r"^ +(\w+): \S", ast.get_docstring(tree) or "", flags=re.MULTILINE))
        for field, text in itertools.pairwise(tree.body):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(field.target, ast.Name):
                found.add(field.target.id)
    return found
