"""Every test of the contract can fail: strategies that are broken on purpose, each in one way."""

import inspect
import multiprocessing
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic.dataclasses import dataclass as pydantic_dataclass

from strategies import Compute, LookAheadDiagnostics, Selection, Strategy, testing
from strategies.base import draw_uniformly
from strategies.testing import StrategyContract


@dataclass(frozen=True)
class Works(Strategy):
    """The first of the pool; what is broken below inherits all that is not."""

    name: ClassVar[str] = "works"
    source: ClassVar[str] = "tests"
    chooses_first_round: ClassVar[bool] = True

    def _select(self, view, n, *, rng):
        return Selection(view.unlabelled[:n])


class TestWorks(StrategyContract):
    @pytest.fixture
    def strategy(self):
        return Works()


@dataclass(frozen=True, slots=True)
class HasSlots(Works):
    """The pool in its order but turned, in a class whose instances have slots."""

    step: int = 1
    """How far the order of the pool is turned."""

    def _select(self, view, n, *, rng):
        return Selection(np.roll(view.unlabelled, self.step)[:n])


class TestHasSlots(StrategyContract):
    @pytest.fixture
    def strategy(self):
        return HasSlots()


class Repeats(Works):
    def _select(self, view, n, *, rng):
        return Selection(np.repeat(view.unlabelled[:1], n))


class PicksLabelled(Works):
    def _select(self, view, n, *, rng):
        return Selection(np.arange(n))


class AnswersInt32(Works):
    def _select(self, view, n, *, rng):
        return Selection(view.unlabelled[:n].astype(np.int32))


class AnswersLists(Works):
    def _select(self, view, n, *, rng):
        return Selection(view.unlabelled[:n].tolist())


class ScoresNothing(Works):
    def _select(self, view, n, *, rng):
        return Selection(view.unlabelled[:n], np.full(n, np.nan))


class ScoresWords(Works):
    def _select(self, view, n, *, rng):
        return Selection(view.unlabelled[:n], np.full(n, "high"))


class CountsInfinities(Works):
    def _select(self, view, n, *, rng):
        return Selection(view.unlabelled[:n], stats={"radius": np.inf})


class CountsArrays(Works):
    def _select(self, view, n, *, rng):
        return Selection(view.unlabelled[:n], stats={"sizes": np.ones(2)})


class CountsByNumber(Works):
    def _select(self, view, n, *, rng):
        return Selection(view.unlabelled[:n], stats={"n_clusters": 2, 3: 4})


class CountsClusters(Works):
    def __init__(self, n_clusters):
        object.__setattr__(self, "n_clusters", n_clusters)

    def _select(self, view, n, *, rng):
        return Selection(view.unlabelled[:n], stats={"n_clusters": self.n_clusters})


class CountsNothing(Works):
    def _select(self, view, n, *, rng):
        return Selection(view.unlabelled[:n], stats=None)


class PicksFloats(Works):
    def _select(self, view, n, *, rng):
        return Selection(view.unlabelled[:n].astype(float))


class PicksNothing(Works):
    def _select(self, view, n, *, rng):
        pass


class ScoresThePool(Works):
    def _select(self, view, n, *, rng):
        return Selection(view.unlabelled[:n], np.ones(len(view.unlabelled)))


class RanksHalf(Works):
    def _select(self, view, n, *, rng):
        return Selection(view.unlabelled[: (len(view.unlabelled) + 1) // 2][:n])


class NeedsTwo(Works):
    def _select(self, view, n, *, rng):
        np.sort(view.features[view.unlabelled, 0])[1]
        return super()._select(view, n, rng=rng)


class FollowsTheSlope(Works):
    def _select(self, view, n, *, rng):
        if view.model is not None:
            view.model.gradient(view.features[:1], np.zeros(1, dtype=np.int64))
        return super()._select(view, n, rng=rng)


class Clips(Works):
    def select(self, view, n, *, rng):
        return self._select(view, min(n, len(view.unlabelled)), rng=rng)


class NeedsModel(Works):
    def _select(self, view, n, *, rng):
        return Selection(np.argsort(view.model.probabilities[:, 0])[:n])


class StartsItsOwnWay(Works):
    chooses_first_round = False

    def select(self, view, n, *, rng):
        return self._select(view, n, rng=rng)


class Unseeded(Works):
    def _select(self, view, n, *, rng):
        return draw_uniformly(view, n, np.random.default_rng())


class KnowsItsProcess(Works):
    def _select(self, view, n, *, rng):
        return draw_uniformly(view, n, np.random.default_rng(os.getpid()))


class DiesElsewhere(Works):
    def _select(self, view, n, *, rng):
        if multiprocessing.parent_process() is not None:
            os._exit(1)
        return super()._select(view, n, rng=rng)


class Remembers(Works):
    calls: ClassVar[list[int]] = []

    def _select(self, view, n, *, rng):
        self.calls.append(n)
        return draw_uniformly(view, n, np.random.default_rng(len(self.calls)))


class Plain(Strategy):
    name, source, chooses_first_round = "plain", "tests", True
    _select = Works._select


class ForgetsOnTheWay(Works):
    def __init__(self, first=True):
        object.__setattr__(self, "first", first)

    def __eq__(self, other):
        return isinstance(other, ForgetsOnTheWay)

    def __hash__(self):
        return 1

    def __reduce__(self):
        return ForgetsOnTheWay, (False,)

    def _select(self, view, n, *, rng):
        return Selection(view.unlabelled[:n] if self.first else view.unlabelled[-n:])


class CachesLabels(Works):
    def _select(self, view, n, *, rng):
        n_seen = view.cached("classes", lambda features: len(view.labels))
        return Selection(np.roll(view.unlabelled, n_seen)[:n])


class CountsThreads(Works):
    def _select(self, view, n, *, rng):
        return Selection(np.roll(view.unlabelled, view.compute.n_threads)[:n])


class CountsBytes(Works):
    def _select(self, view, n, *, rng):
        return Selection(np.roll(view.unlabelled, view.compute.memory_limit is None)[:n])


class DrawsGlobally(Works):
    def _select(self, view, n, *, rng):
        return Selection(np.random.permutation(view.unlabelled)[:n])  # noqa: NPY002


class Normalises(Works):
    def _select(self, view, n, *, rng):
        view.features /= np.linalg.norm(view.features, axis=1, keepdims=True)
        return super()._select(view, n, rng=rng)


class NormalisesInPlace(Works):
    def _select(self, view, n, *, rng):
        features = view.features
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        return super()._select(view, n, rng=rng)


class Peeks(Works):
    def _select(self, view, n, *, rng):
        frame = inspect.currentframe()
        while "truth" not in frame.f_locals:
            frame = frame.f_back
        return Selection(view.unlabelled[np.argsort(frame.f_locals["truth"][view.unlabelled], kind="stable")[:n]])


class NeedsNeighbours(Works):
    def _select(self, view, n, *, rng):
        np.partition(view.features, 5, axis=0)
        return super()._select(view, n, rng=rng)


class DropsDuplicates(Works):
    def _select(self, view, n, *, rng):
        return Selection(view.unlabelled[np.unique(view.features[view.unlabelled], axis=0, return_index=True)[1]][:n])


class Scores(Works):
    def _select(self, view, n, *, rng):
        with np.errstate(all="ignore"):
            return Selection(view.unlabelled[:n], self.score(view)[view.unlabelled[:n]])


class Standardises(Scores):
    def score(self, view):
        return (view.features / view.features.std(axis=0)).sum(axis=1)


class HalfPrecision(Scores):
    def score(self, view):
        norms = (view.features.astype(np.float16) ** 2).sum(axis=1)
        return norms - norms.max()


class TakesLogarithms(Scores):
    def score(self, view):
        probabilities = view.model.probabilities
        return -(probabilities * np.log(probabilities)).sum(axis=1)


class HidesNaN(Works):
    def _select(self, view, n, *, rng):
        own = view.features[view.unlabelled]
        return Selection(view.unlabelled[np.argsort((own / own.std(axis=0)).sum(axis=1))[:n]])


class NeedsTwoClasses(Works):
    def _select(self, view, n, *, rng):
        np.unique(view.labels)[1]
        return super()._select(view, n, rng=rng)


class TwoNames(Works):
    name = "two,names"


class Unversioned(Works):
    version = 0


class VersionedByText(Works):
    version = "1.0"


class Unnamed(Strategy):
    source = "tests"
    _select = Works._select


class OfUnknownSource(Works):
    source = " "


class Thaws(Works):
    """Inherits a frozen dataclass without being one."""


@dataclass(frozen=True)
class HoldsPath(Works):
    path: Path = Path("weights")


@dataclass(frozen=True)
class HidesSetting(Works):
    factor: int = 2

    def __eq__(self, other):
        return self is other

    __hash__ = Works.__hash__


@dataclass(frozen=True)
class Explains(Works):
    """Documents one hyperparameter here and one below.

    Attributes:
        first: in the docstring.
    """

    first: int = 1
    second: int = 2
    """Under the field."""


@dataclass(frozen=True)
class ExplainsNothing(Works):
    first: int = 1
    second: int = 2


@dataclass(frozen=True)
class TakesAnything(Works):
    factor: Any = 2


class RefitsOnPoolIndices(Works):
    def _select(self, view, n, *, rng):
        if view.model is not None:
            view.model.refit(view.labelled)
        return Selection(view.unlabelled[:n])


class RefitsOnHalf(Works):
    def _select(self, view, n, *, rng):
        if view.model is not None:
            view.model.refit(np.arange(len(view.labelled) // 2))
        return Selection(view.unlabelled[:n])


class AsksForOnePoint(Works):
    def _select(self, view, n, *, rng):
        if view.model is not None:
            view.model.predict_proba(view.features[0])
        return Selection(view.unlabelled[:n])


class AsksForEmptyFeatures(Works):
    def _select(self, view, n, *, rng):
        if view.model is not None:
            with np.errstate(invalid="ignore"):
                view.model.predict_proba(view.features / view.features.max(axis=0))
        return Selection(view.unlabelled[:n])


class PeeksByRefitting(Works):
    """Trains on what it finds in the memo of an earlier round."""

    def _select(self, view, n, *, rng):
        model = view.cached("model", lambda features: view.model)
        scores = view.model.refit(np.arange(len(view.labelled))).probabilities if model is not None else view.features
        return Selection(view.unlabelled[np.argsort(scores[view.unlabelled, 0], kind="stable")[:n]])


@dataclass(frozen=True)
class AsksAll(Works):
    """Where the classifier, and one trained without the label bought last, disagree most on noisy features."""

    def _select(self, view, n, *, rng):
        if view.model is None:
            return draw_uniformly(view, n, rng)
        earlier = view.model.refit(np.arange(max(1, len(view.labelled) - 1)))
        noisy = view.features[view.unlabelled] + rng.normal(size=(len(view.unlabelled), view.features.shape[1]))
        gap = np.abs(view.model.predict_proba(noisy) - earlier.predict_proba(noisy)).sum(axis=1)
        return Selection(view.unlabelled[np.argsort(-gap, kind="stable")[:n]])


class TestAsksTheModel(StrategyContract):
    """A strategy that uses all of the contract keeps to it."""

    @pytest.fixture
    def strategy(self):
        return AsksAll()


@pydantic_dataclass(frozen=True)
class CapsDifferently(Works):
    """Says that its cap never matters, which is not true."""

    cap: int = 20

    def canonical(self, queries):
        return replace(self, cap=1)

    def _select(self, view, n, *, rng):
        return Selection(np.roll(view.unlabelled, self.cap)[:n])


class ForgetsItsClass(Works):
    def canonical(self, queries):
        return Works()


@pydantic_dataclass(frozen=True)
class NeverArrives(Works):
    cap: int = 20

    def canonical(self, queries):
        return replace(self, cap=self.cap - 1)


class PresetsWhatIsNotThere(Works):
    presets: ClassVar = {"old": {"cap": 1}}


@pydantic_dataclass(frozen=True)
class PresetsText(Works):
    presets: ClassVar = {"old": {"cap": "1"}}

    cap: int = 20


@dataclass(frozen=True)
class LooksAhead(Works):
    """Diagnostics of which one part may be wrong."""

    wrong: str = "none"

    def _select(self, view, n, *, rng):
        points = np.arange(10)
        parts = {
            "risk_set": points if self.wrong != "risk_set" else points // 2,
            "pseudo_labels": points % 3 if self.wrong != "pseudo_labels" else points,
            "outputs": np.zeros((10 if self.wrong != "outputs" else 9, 3)),
            "predict": lambda labelled, labels: points % 3 if self.wrong != "predict" else points,
        }
        return Selection(view.unlabelled[:n], diagnostics=LookAheadDiagnostics(**parts))


TESTS = [name for name in dir(StrategyContract) if name.startswith("test_")]

BROKEN = [
    ("picks_are_distinct_and_unlabelled", Repeats(), {"n": 7, "seed": 1}, "distinct unlabelled"),
    (
        "picks_are_distinct_and_unlabelled",
        PicksFloats(),
        {"n": 7, "seed": 1},
        "Expected integers as indices .* float64",
    ),
    ("picks_are_distinct_and_unlabelled", PicksNothing(), {"n": 7, "seed": 1}, "a Selection .* but got NoneType"),
    ("picks_are_distinct_and_unlabelled", PicksLabelled(), {"n": 20, "seed": 1}, "distinct unlabelled"),
    ("picks_are_distinct_and_unlabelled", AnswersInt32(), {"n": 7, "seed": 1}, "int64, but got int32"),
    ("picks_are_distinct_and_unlabelled", AnswersLists(), {"n": 7, "seed": 1}, "an array, but got list"),
    ("picks_are_distinct_and_unlabelled", ScoresNothing(), {"n": 7, "seed": 1}, "without NaN"),
    ("picks_are_distinct_and_unlabelled", ScoresWords(), {"n": 7, "seed": 1}, "a number, .* but got <U4"),
    ("picks_are_distinct_and_unlabelled", CountsInfinities(), {"n": 7, "seed": 1}, "`radius` is inf"),
    ("picks_are_distinct_and_unlabelled", CountsArrays(), {"n": 7, "seed": 1}, "`sizes` is ndarray"),
    ("picks_are_distinct_and_unlabelled", CountsByNumber(), {"n": 7, "seed": 1}, "text as keys of the stats .* got 3"),
    *(
        ("picks_are_distinct_and_unlabelled", CountsClusters(count), {"n": 7, "seed": 1}, "whole number .* `n_cl")
        for count in ("many", 2.5, np.nan, -1, 2**63, 10**400)
    ),
    ("picks_are_distinct_and_unlabelled", CountsNothing(), {"n": 7, "seed": 1}, "a dict as stats .* NoneType"),
    ("picks_are_distinct_and_unlabelled", ScoresThePool(), {"n": 7, "seed": 1}, "one score per pick"),
    ("whole_pool_can_be_bought", RanksHalf(), {}, "distinct unlabelled"),
    ("last_point", NeedsTwo(), {}, "out of bounds"),
    ("refuses_more_than_there_is", Clips(), {"n": 52}, "DID NOT RAISE"),
    ("select_is_inherited", Clips(), {}, "`select` is overridden"),
    ("first_round", NeedsModel(), {"n": 7}, "has no attribute 'probabilities'"),
    ("first_round", StartsItsOwnWay(), {"n": 7}, "the picks of Random"),
    ("same_stream_same_picks", Unseeded(), {}, "the same picks again"),
    ("same_picks_in_another_process", KnowsItsProcess(), {}, "the picks of this process"),
    ("order_of_calls_changes_nothing", Remembers(), {}, "at another time"),
    ("copies_are_equal", Plain(), {"duplicate": lambda it: pickle.loads(pickle.dumps(it))}, "is it a dataclass"),  # noqa: S301
    ("copies_are_equal", ForgetsOnTheWay(), {"duplicate": lambda it: pickle.loads(pickle.dumps(it))}, "the original"),  # noqa: S301
    ("resumed_trajectory_goes_on", CachesLabels(), {}, "without an interruption"),
    ("share_of_the_machine_changes_nothing", CountsThreads(), {"share": Compute(n_threads=2)}, "with one thread"),
    ("share_of_the_machine_changes_nothing", CountsBytes(), {"share": Compute(memory_limit=0)}, "with one thread"),
    ("global_random_state_is_untouched", DrawsGlobally(), {}, "has moved"),
    ("global_random_state_changes_nothing", DrawsGlobally(), {}, "any global random state"),
    ("arrays_are_unchanged", Normalises(), {}, "cannot assign to field"),
    ("arrays_are_unchanged", NormalisesInPlace(), {}, "`features` as it was given"),
    ("same_stream_same_picks", NormalisesInPlace(), {}, "read-only"),
    ("labels_that_were_not_bought_change_nothing", Peeks(), {}, "labels of unbought points"),
    ("tiny_pool", NeedsNeighbours(), {"n_labelled": 0, "n_unlabelled": 2}, "out of bounds"),
    ("duplicated_points", DropsDuplicates(), {"n_distinct": 2, "n": 7}, "distinct unlabelled"),
    ("constant_features", Standardises(), {}, "without NaN"),
    ("constant_features", HidesNaN(), {}, "arithmetic that is defined, but got: invalid value"),
    ("large_features", HalfPrecision(), {}, "without NaN"),
    ("single_class_seen", NeedsTwoClasses(), {}, "out of bounds"),
    ("saturated_softmax", TakesLogarithms(), {}, "without NaN"),
    ("picks_are_distinct_and_unlabelled", RefitsOnPoolIndices(), {"n": 7, "seed": 1}, "positions from 0 to 8"),
    ("tiny_pool", RefitsOnHalf(), {"n_labelled": 1, "n_unlabelled": 2}, "one or more positions"),
    ("last_point", AsksForOnePoint(), {}, "shape n x 8 to predict"),
    ("constant_features", AsksForEmptyFeatures(), {}, "finite features to predict"),
    ("resumed_trajectory_goes_on", PeeksByRefitting(), {}, "without an interruption"),
    ("canonical_form_picks_the_same", CapsDifferently(), {}, "to pick the same"),
    ("canonical_form_picks_the_same", ForgetsItsClass(), {}, "of the same class"),
    ("canonical_form_picks_the_same", NeverArrives(), {}, "canonical form itself"),
    ("says_that_it_asks_for_a_gradient", FollowsTheSlope(), {}, "the strategy does not declare it"),
    ("says_what_it_is", TwoNames(), {}, "letters, digits"),
    ("says_what_it_is", Unnamed(), {}, "`name` to be text"),
    ("says_what_it_is", Unversioned(), {}, "at least 1"),
    ("says_what_it_is", VersionedByText(), {}, "to be an integer"),
    ("says_what_it_is", OfUnknownSource(), {}, "to name a publication"),
    ("is_frozen", Thaws(), {}, "DID NOT RAISE"),
    ("name_and_parameters_make_the_same_strategy", HoldsPath(), {}, "that JSON can hold"),
    ("name_and_parameters_make_the_same_strategy", HidesSetting(), {}, "is every setting a field"),
    ("presets_are_hyperparameters", PresetsWhatIsNotThere(), {}, "that the strategy allows, but got"),
    ("presets_are_hyperparameters", PresetsText(), {}, "to give"),
    ("parameters_are_documented", ExplainsNothing(), {}, "not for .*first.*second"),
    ("parameters_refuse_nonsense", TakesAnything(), {}, "Expected a valid"),
    *(
        ("diagnostics_fit_together", LooksAhead(part), {}, complaint)
        for part, complaint in [
            ("risk_set", "distinct points"),
            ("pseudo_labels", "columns of the outputs"),
            ("outputs", "outputs for each point"),
            ("predict", "predictions to be classes"),
        ]
    ),
]


@pytest.mark.parametrize(
    ("test", "strategy", "arguments", "complaint"),
    BROKEN,
    ids=[f"{test}-{type(strategy).__name__}-{n}" for n, (test, strategy, *_) in enumerate(BROKEN)],
)
def test_what_is_broken_is_found(test, strategy, arguments, complaint):
    with pytest.raises((Exception, pytest.fail.Exception), match=complaint):
        getattr(StrategyContract(), f"test_{test}")(strategy, **arguments)


def test_each_test_of_the_contract_has_been_seen_to_fail():
    assert {f"test_{test}" for test, *_ in BROKEN} == {
        name for name in dir(StrategyContract) if name.startswith("test_")
    }


@pytest.mark.parametrize("name", TESTS)
def test_each_test_of_the_contract_says_why(name):
    assert len(getattr(StrategyContract, name).__doc__.split()) > 8


@pytest.mark.parametrize("strategy", [Explains(), LooksAhead()], ids=str)
def test_what_is_fine_passes(strategy):
    contract = StrategyContract()
    contract.test_parameters_are_documented(Explains())
    contract.test_diagnostics_fit_together(strategy)


def test_a_process_that_died_is_told_and_replaced():
    contract = StrategyContract()
    with pytest.raises(pytest.fail.Exception, match="picks from another process, but it died"):
        contract.test_same_picks_in_another_process(DiesElsewhere())
    contract.test_same_picks_in_another_process(Works())


def test_an_entry_point_of_another_name_is_found(monkeypatch):
    points = EntryPoints([EntryPoint("other", f"{__name__}:Works", testing.ENTRY_POINT_GROUP)])
    monkeypatch.setattr(testing, "installed", lambda group: points.select(group=group))
    with pytest.raises(AssertionError, match="called `works`, but got `other`"):
        StrategyContract().test_says_what_it_is(Works())


def run_python(*words, **options):
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, **options)


def test_a_class_without_the_fixture_is_told_so(tmp_path):
    (tmp_path / "test_mine.py").write_text(
        "from strategies.testing import StrategyContract\nclass TestMine(StrategyContract): pass\n"
    )
    result = run_python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "last_point", cwd=tmp_path)
    assert result.returncode == 1
    assert "Expected a `strategy` fixture that returns a strategy, but the class overrides none." in result.stdout


def test_without_pytest_it_says_what_is_missing():
    result = run_python("-c", "import sys; sys.modules['pytest'] = None; import strategies.testing")
    assert result.stderr.splitlines()[-1] == (
        "ImportError: Expected pytest for `strategies.testing`, but it is not installed: pip install 'ntkcpl[testing]'."
    )
