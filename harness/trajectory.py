"""The active-learning loop: a pure generator, without Ray and without files."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.data import Dataset
from harness.learner import Features, Learner, deterministic_torch, train
from harness.memory import peak_bytes, reset_peak
from harness.spec import TrajectorySpec
from harness.streams import stream
from strategies.base import Compute, FloatArray, IndexArray, LookAheadDiagnostics, PoolView
from strategies.registry import make_strategy


@dataclass(frozen=True, eq=False)
class RoundRecord:
    """What a round leaves behind; the columns of `rounds` and `queries` (harness.schema)."""

    round: int
    n_labels: int
    n_query: int
    accuracy: float
    select_seconds: float
    train_seconds: float
    n_clusters: int | None
    coverage_estimated: float | None
    coverage_ntk_true: float | None
    coverage_true: float | None
    stats: dict[str, Any]
    picks: IndexArray
    scores: FloatArray | None


@dataclass(frozen=True, eq=False)
class History:
    """Finished rounds of a trajectory: the picks of each, and the accuracy after the last."""

    picks: Sequence[IndexArray]
    accuracy: float


def run_trajectory(
    spec: TrajectorySpec, data: Dataset, *, compute: Compute | None = None, history: History | None = None
) -> Iterator[RoundRecord]:
    """Buy labels, train, measure; round after round.

    Args:
        spec: what to run.
        data: the data set that `spec.data_hash` names.
        compute: the share of the machine; it changes no result.
        history: rounds to go on from. Their last learner is trained again; if its accuracy is not the
            recorded one to the last bit, the trajectory starts again at round 0.

    Yields:
        A record for each round that was run, from the first after `history`.
    """
    with deterministic_torch():
        trajectory = _Trajectory(spec, data, compute or Compute())
        first = 0
        if history is not None and len(history.picks) > 0:
            last = len(history.picks) - 1
            trajectory.buy(np.concatenate(list(history.picks)))
            trajectory.train(last)
            if trajectory.accuracy() == history.accuracy:
                first = last + 1
            else:
                trajectory = _Trajectory(spec, data, compute or Compute())
        for round_, n_query in enumerate(spec.queries):
            if round_ >= first:
                yield trajectory.run_round(round_, n_query)


class _Trajectory:
    def __init__(self, spec: TrajectorySpec, data: Dataset, compute: Compute) -> None:
        self._spec = spec
        self._data = data
        self._compute = compute
        self._strategy = make_strategy(spec.strategy, spec.params)
        self._features = Features(data.x_train, data.x_test, spec.learner, compute.device)
        self._test = data.test_half(spec.evaluate_on)
        self._labelled: IndexArray = np.empty(0, dtype=np.int64)
        self._learner: Learner | None = None
        self._memo: dict[str, Any] = {}

    def run_round(self, round_: int, n_query: int) -> RoundRecord:
        reset_peak()
        started = time.perf_counter()
        rng = stream(self._spec.seed, "selection" if round_ else "initial", round_)
        selection = self._strategy.select(self._view(), n_query, rng=rng)
        selected = time.perf_counter()
        self.buy(selection.indices)
        self.train(round_)
        trained = time.perf_counter()
        accuracy = self.accuracy()
        stats = dict(selection.stats)
        n_clusters = stats.pop("n_clusters", None)
        coverage = _coverage(selection.diagnostics, self._labelled, self._data.y_train, self._learner)
        ended = time.perf_counter()
        return RoundRecord(
            round=round_,
            n_labels=len(self._labelled),
            n_query=n_query,
            accuracy=accuracy,
            select_seconds=selected - started,
            train_seconds=trained - selected,
            n_clusters=None if n_clusters is None else int(n_clusters),
            coverage_estimated=coverage[0],
            coverage_ntk_true=coverage[1],
            coverage_true=coverage[2],
            stats={**stats, "measure_seconds": ended - trained, "peak_bytes": peak_bytes()},
            picks=np.asarray(selection.indices, dtype=np.int64),
            scores=selection.scores,
        )

    def buy(self, picks: IndexArray) -> None:
        self._labelled = np.concatenate([self._labelled, picks])

    def train(self, round_: int) -> None:
        labels = self._data.y_train[self._labelled]
        rng = stream(self._spec.seed, "training", round_)
        self._learner = train(self._features, self._labelled, labels, self._data.n_classes, self._spec.learner, rng)

    def accuracy(self) -> float:
        assert self._learner is not None
        right = self._learner.predict_test()[self._test] == self._data.y_test[self._test]
        return float(right.mean())

    def _view(self) -> PoolView:
        return PoolView(
            features=self._data.x_train,
            labelled=self._labelled,
            labels=self._data.y_train[self._labelled],
            n_classes=self._data.n_classes,
            model=self._learner,
            compute=self._compute,
            _memo=self._memo,
        )


def _coverage(
    diagnostics: LookAheadDiagnostics | None, labelled: IndexArray, truth: IndexArray, learner: Learner | None
) -> tuple[float | None, float | None, float | None]:
    """Estimated, NTK-true and true coverage on the risk set (Fig. 4 of arXiv 2306.04099)."""
    if diagnostics is None or learner is None:
        return None, None, None
    true_labels = truth[diagnostics.risk_set]
    of_kernel = diagnostics.predict(labelled, truth[labelled])
    return (
        float((diagnostics.predictions == diagnostics.pseudo_labels).mean()),
        float((of_kernel == true_labels).mean()),
        float((learner.predict_pool(diagnostics.risk_set) == true_labels).mean()),
    )
