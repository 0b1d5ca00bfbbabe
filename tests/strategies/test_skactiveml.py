import dataclasses
import importlib.metadata
import inspect
import re
import subprocess
import sys
import warnings
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits, make_blobs

from strategies.coreset_self import CoresetSelf
from strategies.exceptions import InvalidParameterError, UnknownStrategyError
from strategies.functional.balls import all_near, members
from strategies.functional.distances import normalise_rows
from strategies.maxherding import MaxHerding
from strategies.probcover import purity_radius
from strategies.registry import make_strategy, parameter_names, strategy_class
from strategies.testing import FakeModel, LeastSquaresModel, StrategyContract, choose, fresh, make_view, view_of
from strategies.typiclust import TypiClust

pool = pytest.importorskip("skactiveml.pool", reason="the extra `skactiveml` is not installed")
skactiveml = pytest.importorskip("strategies.skactiveml")

SUPPORTED, REFUSED = skactiveml.SUPPORTED, skactiveml.REFUSED
THERE = {
    name
    for name, found in vars(pool).items()
    if inspect.isclass(found) and name in pool.__all__ and hasattr(found, "query")
}
ADDED = {"normalise", "embedding", "members", "delta", "n_neighbors"}
PAGE = Path(__file__).parents[2] / "docs/reference/skactiveml.md"

QUICK = ("CoreSet", "UncertaintySampling", "QueryByCommittee")
"""One for each way of asking, with `Badge` below; the contract of the others is among the slow tests."""
STRATEGIES = [
    *(pytest.param(name, {}, marks=[pytest.mark.slow] * (name not in QUICK), id=name) for name in SUPPORTED),
    pytest.param("Badge", {"embedding": True}, id="Badge embedding"),
    *(
        pytest.param(name, parameters, marks=pytest.mark.slow, id=f"{name} {' '.join(parameters)}")
        for name, parameters in [
            ("CoreSet", {"metric": "cosine"}),
            ("ProbCover", {"delta": 0.5, "normalise": True}),
            ("MaxHerding", {"gamma": 1.0}),
            ("UncertaintySampling", {"method": "expected_average_precision"}),
            ("BatchBALD", {"n_MC_samples": 50, "members": 3}),
            *((name, {"embedding": True}) for name in ("ContrastiveAL", "Clue", "DropQuery")),
        ]
    ),
]


def adapted(name, **parameters):
    return make_strategy(f"skactiveml:{name}", parameters)


@pytest.mark.parametrize(("name", "parameters"), STRATEGIES, scope="class")
class TestContract(StrategyContract):
    @pytest.fixture
    def strategy(self, name, parameters):
        return adapted(name, **parameters)


@pytest.mark.parametrize("name", sorted(THERE))
def test_each_strategy_there_runs_or_is_refused_with_a_reason(name):
    if name in SUPPORTED:
        assert name not in REFUSED
        strategy, view = adapted(name), make_view(n_pool=40)
        picks = choose(strategy, view, 5).indices
        np.testing.assert_array_equal(choose(strategy, view, 5).indices, picks)
    else:
        with pytest.raises(UnknownStrategyError, match=re.escape(REFUSED[name])):
            strategy_class(f"skactiveml:{name}")


def test_no_other_strategy_is_named():
    assert {*SUPPORTED, *REFUSED} == THERE


@pytest.mark.parametrize("name", ["Quire", "Corset", "", "k_greedy_center", "multiannotator"])
def test_other_names_are_refused_in_one_line(name):
    with pytest.raises(UnknownStrategyError) as caught:
        strategy_class(f"skactiveml:{name}")
    message = str(caught.value)
    assert f"`skactiveml:{name}`" in message
    assert "\n" not in message
    assert ("Did you mean `CoreSet`?" in message) == (name == "Corset")


def test_unknown_arguments_are_refused_with_the_known_ones():
    with pytest.raises(InvalidParameterError, match="among normalise, alpha, delta, but got `deltas`"):
        adapted("ProbCover", deltas="0.3")


@pytest.mark.parametrize("name", SUPPORTED)
def test_names_and_defaults_are_those_of_the_library(name):
    there = inspect.signature(getattr(pool, name)).parameters
    for field in dataclasses.fields(SUPPORTED[name]):
        if field.name in there:
            assert there[field.name].default == field.default
        else:
            assert field.name in ADDED or (name, field.name) == ("MaxHerding", "gamma")


def test_the_page_names_them_all():
    def summary(name):
        parameters = [f"`{key}={getattr(adapted(name), key)}`" for key in parameter_names(SUPPORTED[name])]
        return f"| `skactiveml:{name}` | {', '.join(parameters) or '-'} | {SUPPORTED[name].__doc__} |"

    rows = [summary(name) for name in SUPPORTED] + [f"| `{name}` | {reason} |" for name, reason in REFUSED.items()]
    text = PAGE.read_text()
    tables = text[text.index("<!-- supported -->") : text.index("<!-- end of refused -->")]
    assert [line for line in tables.splitlines() if line.startswith("| `")] == rows


def test_the_library_is_imported_when_it_is_asked():
    script = "import sys; from strategies.registry import make_strategy; make_strategy('skactiveml:CoreSet')"
    done = subprocess.run([sys.executable, "-c", f"{script}; sys.exit('skactiveml' in sys.modules)"], check=False)
    assert done.returncode == 0


class TestVersion:
    @pytest.mark.parametrize(
        ("release", "number"), [("1.0.1", 1010001), ("1.12.3rc1", 1011203), ("2.0", 1020000), ("1.1.dev0", 1010100)]
    )
    def test_is_a_number_for_the_release(self, release, number):
        assert skactiveml.algorithm_version(release) == number

    def test_is_that_of_the_installed_library(self):
        installed = skactiveml.algorithm_version(importlib.metadata.version("scikit-activeml"))
        assert adapted("CoreSet").version == installed


class TestPicks:
    def test_points_that_come_twice_count_once(self, monkeypatch):
        view = make_view()
        first, second, *_ = view.unlabelled.tolist()
        monkeypatch.setattr(pool.CoreSet, "query", lambda *_, **__: [second, first, second, first, second])
        selection = choose(adapted("CoreSet"), view, 5)
        assert selection.indices[:2].tolist() == [second, first]
        assert selection.stats == {"n_random": 3}

    def test_a_labelled_point_is_an_error(self, monkeypatch):
        view = make_view()
        monkeypatch.setattr(pool.CoreSet, "query", lambda *_, **__: view.labelled[:1])
        with pytest.raises(Exception, match="distinct unlabelled"):
            adapted("CoreSet").select(view, 1, rng=np.random.default_rng(0))

    @pytest.mark.parametrize("name", SUPPORTED)
    def test_none_is_drawn_on_an_ordinary_pool(self, name):
        if name != "CostEmbeddingAL":
            assert choose(adapted(name), make_view(n_labelled=12), 12).stats == {"n_random": 0}

    def test_warnings_stay_inside(self, monkeypatch, recwarn):
        def query(*_, **__):
            np.log(np.zeros(1))
            warnings.warn("noise", stacklevel=1)
            return [np.random.randint(1)]  # noqa: NPY002

        monkeypatch.setattr(pool.CoreSet, "query", query)
        view = make_view(n_labelled=0)
        assert choose(adapted("CoreSet"), view, 1).indices.tolist() == [0]
        assert not recwarn.list

    def test_committee_picks_are_those_that_the_library_went_on_from(self, monkeypatch):
        view = make_view()
        utilities = np.full((3, len(view.features)), np.nan)
        utilities[:, view.unlabelled] = 1.0
        inside = view.unlabelled[[4, 2, 0]]
        utilities[1:, inside[0]] = utilities[2:, inside[1]] = np.nan
        monkeypatch.setattr(pool.BatchBALD, "query", lambda *_, **__: (view.unlabelled[[7, 7, 7]], utilities))
        assert choose(adapted("BatchBALD"), view, 3).indices.tolist() == inside.tolist()

    def test_lost_utilities_are_drawn_at_random(self, monkeypatch):
        view = make_view()
        utilities = np.full((3, len(view.features)), np.nan)
        utilities[0, view.unlabelled] = 1.0
        monkeypatch.setattr(pool.BatchBALD, "query", lambda *_, **__: (None, utilities))
        assert choose(adapted("BatchBALD"), view, 3).stats == {"n_random": 3}


class Counting(LeastSquaresModel):
    """Notes for how many rows it is asked."""

    @cached_property
    def asked(self):
        return []

    def predict_proba(self, features):
        self.asked.append(len(features))
        return super().predict_proba(features)


class TestClassifier:
    @pytest.fixture
    def view(self):
        view = make_view()
        return fresh(view, model=Counting(view.features, view.labelled, view.labels))

    def test_looks_up_rows_of_the_pool(self, view):
        trained = skactiveml.as_classifier(view.model, view)
        for rows in (view.unlabelled, np.sort(view.labelled)):
            found, embedding = trained.predict_proba(view.features[rows], with_embedding=True)
            np.testing.assert_allclose(found, view.model.probabilities[rows], rtol=1e-6)
            np.testing.assert_array_equal(embedding, view.model.embedding[rows])
            np.testing.assert_array_equal(trained.predict(view.features[rows]), found.argmax(axis=1))
            np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-15)
        assert view.model.asked == []

    def test_predicts_other_rows(self, view):
        changed = view.features[view.unlabelled] * np.float32(0.5)
        found = skactiveml.as_classifier(view.model, view).predict_proba(changed)
        np.testing.assert_allclose(found, LeastSquaresModel.predict_proba(view.model, changed), rtol=1e-6)
        assert view.model.asked == [len(changed)]

    def test_dropout_is_predicted(self, view):
        choose(adapted("DropQuery", n_dropout_samples=4), view)
        assert view.model.asked == [len(view.unlabelled)] * 4

    def test_what_is_changed_in_an_answer_changes_no_other(self, view):
        trained = skactiveml.as_classifier(view.model, view)
        rows = view.features[view.unlabelled]
        trained.predict_proba(rows)[:] = 0
        assert trained.predict_proba(rows).min() > 0


def view_of_pool(features, n_labelled=0):
    labelled = np.arange(n_labelled, dtype=np.int64)
    view = view_of(features, labelled[:0], labelled[:0])
    return fresh(view, labelled=labelled, labels=labelled % 2)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("Falcun", {"gamma": 1001}),
        ("ProbabilisticAL", {"prior": 101}),
        ("BatchBALD", {"n_MC_samples": 4}),
        ("BatchBALD", {"n_MC_samples": 6, "members": 7}),
    ],
)
def test_values_that_crash_or_draw_at_random_are_refused(name, parameters):
    with pytest.raises(InvalidParameterError, match=next(iter(parameters))) as error:
        adapted(name, **parameters)
    assert "\n" not in str(error.value)


def assert_equal_up_to_a_tie(view, theirs, ours):
    """Picks of MaxHerding are equal until two points gain the same; from there on they may part."""
    points = normalise_rows(view.features).astype(np.float64)
    kernel = np.exp(-cdist(points, points, "sqeuclidean"))
    parts = np.flatnonzero(theirs != ours)
    if len(parts):
        step = parts[0]
        assert step >= 5
        nearest = kernel[np.concatenate([view.labelled, ours[:step]])].max(axis=0)
        gains = np.maximum(kernel[[theirs[step], ours[step]]] - nearest, 0).mean(axis=1)
        assert gains[0] == pytest.approx(gains[1], rel=1e-6)


class TestBesideOurs:
    """Where definitions agree, two implementations that do not know each other pick the same."""

    @pytest.mark.parametrize("n_labelled", [0, 9])
    @pytest.mark.parametrize("seed", range(5))
    def test_maxherding(self, seed, n_labelled):
        view = make_view(seed, n_labelled=n_labelled)
        ours = choose(MaxHerding(candidates="all"), view, 12).indices
        assert_equal_up_to_a_tie(view, choose(adapted("MaxHerding", gamma=1.0), view, 12).indices, ours)

    @pytest.mark.parametrize("n_labelled", [0, 20])
    def test_maxherding_on_digits(self, n_labelled):
        view = view_of_pool(load_digits().data.astype(np.float32), n_labelled)
        ours = choose(MaxHerding(candidates="all"), view, 40).indices
        assert_equal_up_to_a_tie(view, choose(adapted("MaxHerding", gamma=1.0), view, 40).indices, ours)

    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("name", ["CoreSet", "GreedySamplingX"])
    def test_coreset(self, name, seed):
        view = make_view(seed)
        ours = choose(CoresetSelf(), view, 12).indices
        np.testing.assert_array_equal(choose(adapted(name), view, 12).indices, ours)

    @pytest.mark.parametrize("n_labelled", [0, 9])
    @pytest.mark.parametrize("delta", [0.3, 0.6])
    def test_probcover(self, delta, n_labelled):
        view = make_view(n_pool=150, n_labelled=n_labelled)
        picks = choose(adapted("ProbCover", delta=delta, normalise=True), view, 10).indices
        graph = members(all_near(normalise_rows(view.features), delta), 150)
        for step, pick in enumerate(picks):
            earlier = np.concatenate([view.labelled, picks[:step]])
            gains = (graph & ~graph[earlier].any(axis=0)).sum(axis=1)
            gains[earlier] = -1
            assert gains[pick] == gains.max()

    @pytest.mark.parametrize("seed", range(4))
    def test_radius_of_probcover(self, seed):
        points = normalise_rows(make_blobs(200, 6, centers=4, random_state=seed)[0].astype(np.float32))
        theirs = pool.ProbCover(n_classes=4, alpha=0.8, cluster_algo_dict={"random_state": 0})
        theirs.query(points, np.full(200, np.nan))
        largest = purity_radius(points, 4, 0.8)
        assert theirs.delta_max_ == pytest.approx(np.floor(largest / 0.2) * 0.2)

    @pytest.mark.parametrize("n_labelled", [0, 3])
    def test_typiclust(self, n_labelled):
        clouds = make_blobs([40, 46, 52, 58, 64, 70], 5, cluster_std=0.3, random_state=2)[0].astype(np.float32)
        view = view_of_pool(clouds, n_labelled=n_labelled)
        n = 6 - n_labelled
        ours = choose(TypiClust(n_neighbours=5, min_cluster_size=0), view, n).indices
        np.testing.assert_array_equal(choose(adapted("TypiClust", normalise=True), view, n).indices, ours)

    @pytest.mark.parametrize(
        ("ours", "method"),
        [("least_confidence", "least_confident"), ("margin", "margin_sampling"), ("entropy", "entropy")],
    )
    def test_uncertainty(self, ours, method):
        view = make_view()
        probabilities = np.random.default_rng(0).dirichlet(np.ones(3), size=len(view.features)).astype(np.float32)
        view = fresh(view, model=FakeModel(probabilities, view.model.embedding))
        theirs = choose(adapted("UncertaintySampling", method=method), view, 12).indices
        np.testing.assert_array_equal(theirs, choose(make_strategy(ours), view, 12).indices)

    def test_first_pick_of_badge(self):
        view = make_view()
        ours = choose(make_strategy("badge"), view, 1).indices
        np.testing.assert_array_equal(choose(adapted("Badge", embedding=True), view, 1).indices, ours)

    def test_mean_divergence_from_the_mean_is_mutual_information(self):
        view = make_view(n_labelled=20)
        by_divergence = choose(adapted("QueryByCommittee"), view, 5).indices
        np.testing.assert_array_equal(choose(adapted("GreedyBALD"), view, 5).indices, by_divergence)
