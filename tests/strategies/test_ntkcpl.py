from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import strategies.kernel_lookahead
import strategies.ntkcpl
from strategies.base import PoolView
from strategies.exceptions import InvalidParameterError
from strategies.functional.ntk import draw_network, make_kernel
from strategies.functional.pseudo_labels import constrained_kmeans, n_pseudo_classes
from strategies.lookahead import LookAhead
from strategies.ntkcpl import NTKCPL, PAPER
from strategies.ntkcpl_al import NTKCPLAL
from strategies.ntkcpl_self import NTKCPLSelf
from strategies.registry import BUILT_IN, make_strategy
from strategies.testing import N_CLASSES, N_LABELLED, N_POOL, FakeModel, choose, fresh, make_view

BOTH = pytest.mark.parametrize("make", [NTKCPLSelf, NTKCPLAL], ids=lambda make: make.name)


@pytest.fixture
def network(monkeypatch):
    """The network that every selection of the test gets: `network(parameterisation)`."""

    def fix(parameterisation):
        rng = np.random.default_rng(8)
        drawn = draw_network(
            make_view().features.shape[1], 24, 2 * N_POOL, parameterisation=parameterisation, bias=True, rng=rng
        )
        monkeypatch.setattr(strategies.kernel_lookahead, "draw_network", lambda *args, **options: drawn)
        return drawn

    return fix


class Regression:
    """Kernel regression on the risk set of a selection by direct solves in float64."""

    def __init__(self, strategy, network, view, points):
        scale = np.sqrt(np.mean(view.features.astype(np.float64) ** 2)) if strategy.scaling == "rms" else 1
        scaled = view.features[points].astype(np.float64) / scale
        self.matrix = make_kernel(strategy.kernel, network, scaled)(slice(None), slice(None))
        self.ridge = strategy.ridge * self.matrix.diagonal().mean()
        self.strategy, self.network, self.scaled = strategy, network, scaled

    def outputs(self, rows, targets, n_classes):
        """Outputs at all points after training on `rows` with classes `targets`."""
        initial = self.network.outputs(self.scaled, n_classes) if self.strategy.initial == "network" else 0
        initial = np.broadcast_to(initial, (len(self.matrix), n_classes))
        y = np.eye(n_classes)[targets] - (1 / n_classes if self.strategy.targets == "centred" else 0)
        gram = self.matrix[np.ix_(rows, rows)] + self.ridge * np.eye(len(rows))
        return initial + self.matrix[:, rows] @ np.linalg.solve(gram, y - initial[rows])


def positions_of(points, wanted):
    return np.array([np.flatnonzero(points == index)[0] for index in wanted], dtype=np.int64)


def wrong_points(outputs, labels, tolerance=1e-4):
    """Least and largest count of wrong points when near-ties fall either way; equal values go by the class."""
    own = outputs[np.arange(len(labels)), labels][:, None]
    lead = outputs - own
    lower_class = np.arange(outputs.shape[1]) < labels[:, None]
    is_near = (abs(lead) < tolerance) & (lead != 0)
    beaten = ((lead > 0) | ((lead == 0) & lower_class)) & ~is_near
    certain = beaten.any(axis=1)
    return certain.sum(), (certain | is_near.any(axis=1)).sum()


@pytest.mark.parametrize("n_labelled", [0, 6])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"targets": "centred"},
        {"kernel": "empirical"},
        {"initial": "network"},
        {"kernel": "empirical", "initial": "network", "targets": "centred"},
        {"parameterisation": "standard"},
        {"candidates": 35},
        {**PAPER, "candidates": 35},
    ],
    ids=str,
)
class TestGreedy:
    """Every pick against a regression that is solved anew for every candidate."""

    N = 8

    def select(self, options, n_labelled, network, **more):
        view = make_view(n_labelled=n_labelled)
        strategy = NTKCPLSelf(**{**options, **more})
        regression_of = network(strategy.parameterisation)
        selection = choose(strategy, view, self.N)
        points, labels = selection.diagnostics.risk_set, selection.diagnostics.pseudo_labels
        regression = Regression(strategy, regression_of, view, points)
        return view, selection, labels, regression

    def test_zero_one(self, options, n_labelled, network):
        view, selection, labels, regression = self.select(options, n_labelled, network)
        points, n_clusters = selection.diagnostics.risk_set, labels.max() + 1
        rows, n_exact = positions_of(points, view.labelled), 0
        for pick, score in zip(positions_of(points, selection.indices), selection.scores, strict=True):
            counts = {}
            for i in np.setdiff1d(np.arange(len(points)), rows):
                added = np.append(rows, i)
                counts[i] = wrong_points(regression.outputs(added, labels[added], n_clusters), labels)
            least, most = counts[pick]
            assert least <= score <= most
            assert score <= min(most for _, most in counts.values())
            if all(least == most for least, most in counts.values()):
                n_exact += 1
                ties = [points[i] for i, (count, _) in counts.items() if count == score]
                assert points[pick] == min(ties)
            rows = np.append(rows, pick)
        assert n_exact >= 2
        outputs = regression.outputs(rows, labels[rows], n_clusters)
        shift = np.mean(selection.diagnostics.outputs - outputs)
        np.testing.assert_allclose(selection.diagnostics.outputs - shift, outputs, atol=1e-3)

    def test_squared(self, options, n_labelled, network):
        view, selection, labels, regression = self.select(options, n_labelled, network, risk="squared")
        points, n_clusters = selection.diagnostics.risk_set, labels.max() + 1
        y = np.eye(n_clusters)[labels] - (1 / n_clusters if regression.strategy.targets == "centred" else 0)

        def risk(rows):
            return ((y - regression.outputs(rows, labels[rows], n_clusters)) ** 2).sum()

        rows = positions_of(points, view.labelled)
        for pick, score in zip(positions_of(points, selection.indices), selection.scores, strict=True):
            changes = [risk(np.append(rows, i)) - risk(rows) for i in np.setdiff1d(np.arange(len(points)), rows)]
            rows, before = np.append(rows, pick), risk(rows)
            assert score == pytest.approx(risk(rows) - before, abs=1e-3 * before)
            assert score == pytest.approx(min(changes), abs=1e-3 * before)

    def test_predict_is_the_regression_on_true_labels(self, options, n_labelled, network):
        view, selection, _, regression = self.select(options, n_labelled, network)
        diagnostics, rng = selection.diagnostics, np.random.default_rng(0)
        bought = np.concatenate([view.labelled, selection.indices])
        labels = rng.integers(N_CLASSES, size=len(bought))
        expected = regression.outputs(positions_of(diagnostics.risk_set, bought), labels, N_CLASSES)
        top = np.sort(expected, axis=1)
        clear = top[:, -1] - top[:, -2] > 1e-4
        assert clear.mean() > 0.9
        np.testing.assert_array_equal(diagnostics.predict(bought, labels)[clear], expected.argmax(axis=1)[clear])


class TestRiskSet:
    @BOTH
    @pytest.mark.parametrize(
        ("candidates", "expected"), [(30, 30), (N_POOL, N_POOL), (10_000, N_POOL), ("all", N_POOL)]
    )
    def test_size_and_members(self, make, candidates, expected):
        view = make_view()
        selection = choose(make(candidates=candidates), view)
        risk_set = selection.diagnostics.risk_set
        assert len(set(risk_set.tolist())) == len(risk_set) == expected
        assert set(risk_set) >= {*view.labelled, *selection.indices}

    @BOTH
    @pytest.mark.parametrize("candidates", [2, N_LABELLED + 1])
    def test_there_are_always_as_many_candidates_as_are_to_be_bought(self, make, candidates):
        view = make_view()
        selection = choose(make(candidates=candidates), view, 12)
        np.testing.assert_array_equal(
            np.sort(selection.diagnostics.risk_set), np.sort(np.concatenate([view.labelled, selection.indices]))
        )

    @BOTH
    @pytest.mark.parametrize(("candidates", "expected"), [(30, 30 + N_LABELLED), (2, 7 + N_LABELLED), (N_POOL, N_POOL)])
    def test_of_unlabelled_candidates_all_are_unlabelled(self, make, candidates, expected):
        view = make_view()
        risk_set = choose(make(candidates=candidates, candidates_from="unlabelled"), view).diagnostics.risk_set
        assert len(risk_set) == expected
        assert set(risk_set) >= set(view.labelled)

    def test_redrawn_with_the_seed(self):
        first, second = (choose(NTKCPLSelf(candidates=30), make_view(), seed=s).diagnostics.risk_set for s in (1, 2))
        assert set(first) != set(second)


class TestClusters:
    def test_first_round_is_the_same_for_both(self):
        view = make_view(n_labelled=0)
        one, other = choose(NTKCPLSelf(), view, 10), choose(NTKCPLAL(), view, 10)
        np.testing.assert_array_equal(one.indices, other.indices)
        np.testing.assert_array_equal(one.diagnostics.pseudo_labels, other.diagnostics.pseudo_labels)

    @BOTH
    @pytest.mark.parametrize("n_labelled", [0, 3, N_LABELLED, 30])
    @pytest.mark.parametrize("n", [1, 4, 20])
    @pytest.mark.parametrize("max_clusters", [1, 6, 100])
    def test_number_is_that_of_the_rule(self, make, n_labelled, n, max_clusters):
        view = make_view(n_labelled=n_labelled)
        selection = choose(make(max_clusters=max_clusters), view, n)
        expected = n_pseudo_classes(n_labelled, n, max_clusters, cap_first_round=False)
        assert selection.stats["n_clusters"] == expected
        assert selection.stats["cap_bound"] == (n_labelled > 0 and (n_labelled + n) // 2 > max_clusters)
        np.testing.assert_array_equal(np.unique(selection.diagnostics.pseudo_labels), np.arange(expected))
        assert selection.diagnostics.outputs.shape == (len(selection.diagnostics.risk_set), expected)

    def test_cap_of_the_first_round(self):
        stats = choose(NTKCPLSelf(max_clusters=6, cap_first_round=True), make_view(n_labelled=0), 20).stats
        assert (stats["n_clusters"], stats["cap_bound"]) == (6, 1)

    def test_each_form_clusters_its_own_features(self):
        view = make_view()
        blob = np.arange(N_POOL) % N_CLASSES
        lumps = (10 * np.eye(N_CLASSES)[blob] + 0.1 * np.random.default_rng(0).normal(size=(N_POOL, 3))).astype("f4")
        labels = blob[view.labelled]
        for make, changed in [
            (NTKCPLSelf, fresh(view, features=lumps, labels=labels)),
            (NTKCPLAL, fresh(view, model=FakeModel(view.model.probabilities, lumps), labels=labels)),
        ]:
            diagnostics = choose(make(max_clusters=N_CLASSES), changed).diagnostics
            assert adjusted_rand_score(blob[diagnostics.risk_set], diagnostics.pseudo_labels) == 1

    @BOTH
    @pytest.mark.parametrize("n_labelled", [0, N_LABELLED])
    def test_clusters_of_the_whole_pool(self, make, n_labelled):
        view = make_view(n_labelled=n_labelled)
        whole = choose(make(cluster_on="pool", candidates="all"), view, 12)
        np.testing.assert_array_equal(whole.indices, choose(make(candidates="all"), view, 12).indices)
        part = choose(make(cluster_on="pool", candidates=30), view, 12).diagnostics
        n_clusters = part.pseudo_labels.max() + 1
        assert n_clusters <= whole.stats["n_clusters"]
        np.testing.assert_array_equal(np.unique(part.pseudo_labels), np.arange(n_clusters))

    @BOTH
    @pytest.mark.parametrize("queries", [(), (N_LABELLED,), (5, N_LABELLED - 5)])
    def test_c0_of_the_first_query(self, make, queries, monkeypatch):
        starts = []

        def watch(points, n_clusters, *args, **options):
            starts.append(n_clusters)
            return constrained_kmeans(points, n_clusters, *args, **options)

        monkeypatch.setattr(strategies.ntkcpl, "constrained_kmeans", watch)
        strategy = make(initial_clusters="initial_query")
        choose(strategy, make_view(n_labelled=0), 9)
        assert starts == []
        choose(strategy, fresh(make_view(), queries=queries), 30)
        assert starts == [queries[0] if queries else N_LABELLED]

    def test_c0_never_exceeds_the_clusters_of_the_round(self):
        strategy = NTKCPLSelf(initial_clusters="initial_query", cluster_rule="half_query")
        selection = choose(strategy, fresh(make_view(), queries=(N_LABELLED,)), 8)
        assert selection.stats["n_clusters"] <= 4

    def test_strict_clusters_keep_classes_together_and_apart(self):
        view = make_view()
        # No splitting: as many clusters as classes.
        diagnostics = choose(NTKCPLSelf(constraint="strict", max_clusters=N_CLASSES), view).diagnostics
        found = diagnostics.pseudo_labels[positions_of(diagnostics.risk_set, view.labelled)]
        np.testing.assert_array_equal(found[:, None] == found, view.labels[:, None] == view.labels)


class TestRisk:
    @pytest.mark.parametrize(("n_labelled", "twin"), [(0, "zero_one"), (N_LABELLED, "squared")])
    def test_mixed_counts_at_first_and_is_smooth_later(self, n_labelled, twin):
        view = make_view(n_labelled=n_labelled)
        mixed, expected = (choose(NTKCPLSelf(risk=risk), view, 10) for risk in ("mixed", twin))
        np.testing.assert_array_equal(mixed.indices, expected.indices)
        np.testing.assert_array_equal(mixed.scores, expected.scores)

    def test_last_count_is_that_of_the_diagnostics(self):
        selection = choose(NTKCPLAL(), make_view(), 12)
        wrong = selection.diagnostics.outputs.argmax(axis=1) != selection.diagnostics.pseudo_labels
        assert selection.scores[-1] == wrong.sum()
        assert 0 <= selection.stats["undecided_share"] <= 1
        assert selection.stats["stored_share"] == 1


@BOTH
@pytest.mark.parametrize(
    "options",
    [
        {"width": 1},
        {"bias": False},
        {"ridge": 1e-4},
        {"scaling": "centred"},
        {"scaling": "unit"},
        {"scaling": "none"},
        {"initial_clusters": "query"},
        {"initial_clusters": "initial_query", "cluster_rule": "half_labelled"},
        {"first_round_restarts": 3},
        {"constraint": "strict", "initial_clusters": "query"},
        {"kernel": "empirical", "parameterisation": "standard", "initial": "network", "risk": "squared"},
    ],
    ids=str,
)
@pytest.mark.parametrize("n_labelled", [0, N_LABELLED])
def test_other_options_run(make, options, n_labelled):
    selection = choose(make(**options), make_view(n_labelled=n_labelled), 9)
    assert np.isfinite(selection.scores).all()
    assert np.isfinite(selection.diagnostics.outputs).all()


@pytest.mark.parametrize("risk", ["zero_one", "squared"])
def test_noise_between_copies_that_overflows_is_refused(risk):
    said = ""
    for seed in range(20):  # which of them overflow depends on how the libraries round; about half do
        pool = np.repeat(np.random.default_rng(seed).normal(size=(3, 64)), 30, axis=0).astype(np.float32)
        view = PoolView(pool, np.empty(0, np.int64), np.empty(0, np.int64), 3)
        outputs = choose(NTKCPLSelf(ridge=1e-3, risk=risk), view, len(pool)).diagnostics.outputs
        assert np.abs(outputs).max() < 2
        try:
            outputs = choose(NTKCPLSelf(ridge=1e-4, risk=risk), view, len(pool)).diagnostics.outputs
        except InvalidParameterError as error:
            said = str(error)
            break
        assert np.isfinite(outputs).all()
    assert "a `ridge` of `ntkcpl_self` above the rounding errors" in said


class TestCanonical:
    @pytest.mark.parametrize(
        ("cap", "queries", "first", "effective"),
        [
            (100, [10] * 10, False, 50),
            (50, [10] * 10, False, 50),
            (49, [10] * 10, False, 49),
            (100, [50, 50], False, 50),
            (100, [20], False, 1),
            (100, [20], True, 20),
            (10, [50, 50], True, 10),
        ],
    )
    def test_the_cap_is_lowered_to_the_most_that_a_schedule_asks_for(self, cap, queries, first, effective):
        strategy = NTKCPLSelf(max_clusters=cap, cap_first_round=first, ridge=0.1)
        expected = NTKCPLSelf(max_clusters=effective, cap_first_round=first, ridge=0.1)
        assert strategy.canonical(queries) == expected

    @pytest.mark.parametrize(
        ("rule", "cap", "queries", "expected"),
        [
            ("half_labelled", 100, [10, 20, 10], "half_labelled"),
            ("half_labelled", 100, [10, 10], "half_total"),
            ("half_query", 100, [10, 20, 10], "half_query"),
            ("half_query", 4, [10, 20, 10], "half_total"),
            ("half_labelled", 2, [10, 20, 10], "half_total"),
            ("half_query", 2, [10], "half_total"),
        ],
    )
    def test_rules_with_equal_numbers_are_one(self, rule, cap, queries, expected):
        strategy = NTKCPLSelf(cluster_rule=rule, max_clusters=cap)
        found = strategy.canonical(queries)
        assert found.cluster_rule == expected
        assert found.canonical(queries) == found

    @pytest.mark.parametrize(
        ("queries", "expected"),
        [([10, 10, 10], "query"), ([10], "query"), ([10, 10, 30], "initial_query"), ([40, 80], "initial_query")],
    )
    def test_c0_of_equal_queries_is_that_of_the_first(self, queries, expected):
        found = NTKCPLSelf(initial_clusters="initial_query").canonical(queries)
        assert found.initial_clusters == expected

    @pytest.mark.parametrize(
        ("candidates", "queries", "expected"),
        [(30, [10, 10], "unlabelled"), ("all", [10, 10], "pool"), (30, [10], "pool")],
    )
    def test_where_candidates_are_drawn_from_may_not_matter(self, candidates, queries, expected):
        for make in (NTKCPLSelf, LookAhead):
            found = make(candidates=candidates, candidates_from="unlabelled").canonical(queries)
            assert found.candidates_from == expected

    def test_c0_above_the_cap_is_the_cap(self):
        found = NTKCPLSelf(initial_clusters="initial_query", max_clusters=30).canonical([40, 80])
        assert found.initial_clusters == "query"

    def test_other_strategies_are_their_own_canonical_form(self):
        for name, cls in BUILT_IN.items():
            if not issubclass(cls, NTKCPL):
                assert make_strategy(name).canonical([10, 10]) == make_strategy(name)


def test_labels_spent_on_points_of_no_class_count_for_the_number_of_clusters():
    view = make_view(n_labelled=9)
    found = choose(NTKCPLSelf(), replace(view, queries=(10, 9)), 5)
    assert found.stats["n_clusters"] == (19 + 5) // 2
