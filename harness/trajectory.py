"""The active-learning loop: a pure generator, without Ray and without files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from harness.data import NO_CLASS, Dataset
from harness.learner import Classifier, Inputs, one_thread, train
from harness.measures import Metrics, measure, reached
from harness.record import History, RoundRecord
from harness.spec import LearnerSpec, TrajectorySpec
from harness.store import schema
from harness.streams import stream
from strategies.base import Compute, IndexArray, LookAheadDiagnostics, Oracle, PoolView, Selection
from strategies.exceptions import InvalidSelectionError
from strategies.registry import make_strategy
from strategies.subpool import in_whole, remaining


def run_trajectory(
    spec: TrajectorySpec,
    data: Dataset,
    *,
    compute: Compute | None = None,
    history: History | None = None,
    until: int | None = None,
) -> Iterator[RoundRecord]:
    """Buy labels, train a classifier and measure it, round after round.

    Args:
        spec: what to run.
        data: the data set that `spec.data_hash` names.
        compute: the share of the machine; it changes no result.
        history: rounds from which to continue. The last classifier is trained again; if its accuracy is not the
            recorded one to the last bit, the trajectory starts again at round 0.
        until: the round to stop before; None runs them all.

    Yields:
        A record for each round that was run, beginning with the first one after `history`.
    """
    trajectory = _Trajectory(spec, data, compute or Compute())
    first = 0
    if history is not None and len(history.picks) > 0:
        if trajectory.repeats(history):
            first = len(history.picks)
        else:
            trajectory = _Trajectory(spec, data, compute or Compute())
    for round_, n_query in enumerate(spec.queries[:until]):
        if round_ >= first:
            with one_thread():
                record = trajectory.run_round(round_, n_query)
            yield record


class _Trajectory:
    def __init__(self, spec: TrajectorySpec, data: Dataset, compute: Compute) -> None:
        self._spec = spec
        self._data = data
        self._compute = compute
        self._strategy = make_strategy(spec.strategy, spec.params)
        device = compute.device if isinstance(spec.learner, LearnerSpec) else "cpu"
        self._inputs = Inputs.of(data.x_train, spec.learner.scaling, device)
        self._test_inputs = self._inputs.scaled(data.x_test)
        self._test = data.test_half(spec.evaluate_on)
        self._labelled: IndexArray = np.empty(0, dtype=np.int64)
        self._remaining: IndexArray = np.arange(len(data.x_train))
        self._queries: tuple[int, ...] = ()
        self._learner: Classifier | None = None
        self._memo: dict[str, Any] = {}

    def run_round(self, round_: int, n_query: int) -> RoundRecord:
        started = time.perf_counter()
        rng = stream(self._spec.seed, "selection" if round_ else "initial", round_)
        if isinstance(self._strategy, Oracle):
            selection = self._best_batch(self._strategy, round_, n_query, rng)
        else:
            selection = in_whole(self._strategy.select(self._view(), n_query, rng=rng), self._remaining)
        selected = time.perf_counter()
        self.buy(selection.indices)
        self.train(round_)
        trained = time.perf_counter()
        accuracy, metrics = self.accuracy(), self._metrics()
        stats = dict(selection.stats)
        if texts := [key for key in sorted(schema.FLAT["stats"] & stats.keys()) if isinstance(stats[key], str)]:
            raise InvalidSelectionError(
                f"Expected a number as `{texts[0]}` in the stats of `{self._strategy.name}`, as reports compute with "
                f"it, but got {stats[texts[0]]!r}; give it another name."
            )
        n_clusters = stats.pop("n_clusters", None)
        if (n_lost := sum(self._queries) - len(self._labelled)) > 0:
            stats["n_no_class"] = n_lost
        coverage: dict[str, float] = {}
        if selection.diagnostics is not None and self._learner is not None:
            coverage, errors = _measure(selection.diagnostics, self._labelled, self._data, self._learner)
            stats |= errors
        ended = time.perf_counter()
        return RoundRecord(
            round=round_,
            n_labels=sum(self._queries),
            n_query=n_query,
            accuracy=accuracy,
            select_seconds=selected - started,
            train_seconds=trained - selected,
            n_clusters=None if n_clusters is None else int(n_clusters),
            coverage_estimated=coverage.get("coverage_estimated"),
            coverage_ntk_true=coverage.get("coverage_ntk_true"),
            coverage_true=coverage.get("coverage_true"),
            stats={**stats, "measure_seconds": ended - trained},
            picks=np.asarray(selection.indices, dtype=np.int64),
            scores=selection.scores,
            metrics=metrics,
        )

    def repeats(self, history: History) -> bool:
        """Train the last learner of a history again; whether it comes out the same."""
        with one_thread():
            for picks in history.picks:
                self.buy(picks)
            self.train(len(history.picks) - 1)
            return self.accuracy() == history.accuracy

    def buy(self, picks: IndexArray) -> None:
        """Spend a label on each pick; one of no class leaves the pool and teaches nothing."""
        has_class = self._data.labels[picks] != NO_CLASS
        self._labelled = np.concatenate([self._labelled, picks[has_class]])
        self._labelled.flags.writeable = False
        self._queries += (len(picks),)
        if not has_class.all():
            self._remaining = np.setdiff1d(self._remaining, picks[~has_class])
            self._memo = {}  # what a strategy computed of the features of a larger pool

    def train(self, round_: int) -> None:
        self._learner = self._trained_on(self._labelled, round_)

    def accuracy(self) -> float:
        return self._accuracy_of(self._learner)

    def _trained_on(self, bought: IndexArray, round_: int) -> Classifier | None:
        """A classifier of this round; None where no bought point has a class."""
        labelled = bought[self._data.labels[bought] != NO_CLASS]
        if not len(labelled):
            return None
        labels = self._data.labels[labelled]
        draw = partial(stream, self._spec.seed, round_=round_)
        return train(self._inputs, labelled, labels, self._data.n_classes, self._spec.learner, draw)

    def _predicted(self, learner: Classifier | None) -> IndexArray:
        """Classes of the test points; without a classifier all are taken for the first class."""
        if learner is None:
            return np.zeros(len(self._test), dtype=np.int64)
        return learner.predict(self._test_inputs)[self._test]

    def _accuracy_of(self, learner: Classifier | None) -> float:
        return float((self._predicted(learner) == self._data.y_test[self._test]).mean())

    def _metrics(self) -> Metrics:
        data, learner = self._data, self._learner
        uniform = np.full((len(self._test), data.n_classes), 1 / data.n_classes)
        probabilities = uniform if learner is None else learner.predict_proba(data.x_test[self._test])
        return {
            **measure(self._predicted(learner), probabilities, data.y_test[self._test]),
            **reached(data.y_train[self._labelled], data.n_classes),
        }

    def _best_batch(self, oracle: Oracle, round_: int, n_query: int, rng: np.random.Generator) -> Selection:
        """The batch of an oracle after which this round's classifier will be the most accurate on the test data."""
        judged: dict[tuple[int, ...], tuple[float, str]] = {}
        for proposer, proposed in oracle.propose(self._view(), n_query, rng=rng):
            picks = self._remaining[proposed]
            key = tuple(picks.tolist())
            if key not in judged:
                learner = self._trained_on(np.concatenate([self._labelled, picks]), round_)
                judged[key] = self._accuracy_of(learner), proposer
        best = max(judged, key=lambda key: judged[key][0])
        stats: dict[str, float | int | str] = {"proposer": judged[best][1], "n_judged": len(judged)}
        stats["mean_judged"] = float(np.mean([accuracy for accuracy, _ in judged.values()]))
        return Selection(np.array(best, dtype=np.int64), stats=stats)

    def _view(self) -> PoolView:
        """What a strategy sees: bought points of no class are no longer in the pool."""
        view = PoolView(
            features=self._data.x_train,
            labelled=self._labelled,
            labels=self._data.labels[self._labelled],
            n_classes=self._data.n_classes,
            model=self._learner,
            compute=self._compute,
            queries=self._queries,
            _memo=self._memo,
        )
        return remaining(view, self._remaining)


def _measure(
    found: LookAheadDiagnostics, labelled: IndexArray, data: Dataset, learner: Classifier
) -> tuple[dict[str, float], dict[str, float]]:
    """Coverage and error decomposition on the points of the risk set that have a class (arXiv 2306.04099).

    Coverage is that of Fig. 4. The decomposition follows eq. 5 to 7: a prediction of the kernel regression on
    pseudo-labels stands for the class with the largest sum of outputs over the clusters it dominates (eq. 6).

    Returns:
        Columns of `rounds`; and `p_nff` (impurity: right cluster, wrong class), `p_fnf` (over-clustering: right
        class, wrong cluster), `ntk_error` (the classifier predicts another class than the kernel regression), whose sum
        is at least `estimate_error`: how far `estimated_risk` is from the classifier's true risk (eq. 5).
    """
    has_class = data.y_train[found.risk_set] != NO_CLASS
    points, pseudo_labels, outputs = (
        values[has_class] for values in (found.risk_set, found.pseudo_labels, found.outputs)
    )
    labels = data.y_train[points]
    of_classifier = learner.predict_pool(points)
    members = np.zeros((outputs.shape[1], data.n_classes))
    np.add.at(members, (pseudo_labels, labels), 1)
    dominates = np.eye(data.n_classes)[members.argmax(axis=1)]
    of_kernel = (outputs @ dominates).argmax(axis=1)
    right_cluster = outputs.argmax(axis=1) == pseudo_labels
    right_class = of_kernel == labels
    coverage = {
        "coverage_estimated": right_cluster.mean(),
        "coverage_ntk_true": (found.predict(labelled, data.labels[labelled])[has_class] == labels).mean(),
        "coverage_true": (of_classifier == labels).mean(),
    }
    errors = {
        "p_nff": (right_cluster & ~right_class).mean(),
        "p_fnf": (right_class & ~right_cluster).mean(),
        "ntk_error": (of_classifier != of_kernel).mean(),
        "estimated_risk": 1 - right_cluster.mean(),
        "estimate_error": abs(right_cluster.mean() - (of_classifier == labels).mean()),
    }
    return _floats(coverage), _floats(errors)


def _floats(values: dict[str, Any]) -> dict[str, float]:
    return {key: float(value) for key, value in values.items()}
