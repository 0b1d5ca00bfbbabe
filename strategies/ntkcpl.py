"""NTKCPL, Algorithm 1: look ahead with kernel regression on cluster pseudo-labels.

`ntkcpl_self` clusters the self-supervised features, `ntkcpl_al` the classifier's penultimate activations;
each has a file of its own. The first round, without a classifier, is the same for both.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from strategies.base import FloatArray, IndexArray, LookAheadDiagnostics, PoolView, Selection
from strategies.functional.clustering import kmeans
from strategies.functional.distances import normalise_rows
from strategies.functional.lookahead import make_engine
from strategies.functional.pseudo_labels import Constraint, constrained_kmeans, n_pseudo_classes, split_by_confusion
from strategies.kernel_lookahead import KernelLookAhead

NO_CAP = 2**62
"""More clusters than any round asks for."""


@dataclass(frozen=True)
class NTKCPL(KernelLookAhead):
    """Adds, again and again, the candidate after which the estimated risk over the risk set is smallest.

    Labelled points carry their cluster as target, like all others; true labels enter through the
    clustering alone.
    """

    source: ClassVar[str] = "Wen, Pizarro and Williams 2023, NTKCPL, arXiv 2306.04099"
    chooses_first_round: ClassVar[bool] = True

    max_clusters: Annotated[int, Field(ge=1)] = 100
    """Most clusters that a round may use."""
    cap_first_round: bool = False
    """Whether `max_clusters` holds for the first round, which has as many clusters as labels to buy."""
    risk: Literal["zero_one", "squared", "mixed"] = "zero_one"
    """What is estimated: wrong points (eq. 4), squared error, or wrong points at first and then squared error."""
    constraint: Constraint = "relaxed"
    """How labelled points act on the clustering: pull their centre, or COP-KMeans."""
    initial_clusters: Literal["classes", "query"] = "classes"
    """Clusters before splitting: the number of classes, or the size of the query."""
    cluster_on: Literal["candidates", "pool"] = "candidates"
    """What is clustered: the risk set, or the whole pool."""
    first_round_restarts: Annotated[int, Field(ge=1)] = 1
    """Restarts of the first round's K-means."""

    def canonical(self, queries: Sequence[int]) -> Self:
        """The strategy with `max_clusters` lowered to the most that the rounds ask for: any larger cap never binds."""
        counts = [1]
        n_labelled = 0
        for n_query in queries:
            if n_labelled or self.cap_first_round:
                counts.append(n_pseudo_classes(n_labelled, n_query, NO_CAP, cap_first_round=self.cap_first_round))
            n_labelled += n_query
        return replace(self, max_clusters=min(self.max_clusters, max(counts)))

    @abc.abstractmethod
    def _clustering_features(self, view: PoolView, points: IndexArray) -> FloatArray:
        """What the clusters of a later round are made of, `len(points) x dim`."""

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        clock = _Clock()
        risk_set = self._draw_risk_set(view, n, rng)
        wanted = n_pseudo_classes(len(view.labelled), n, self.max_clusters, cap_first_round=self.cap_first_round)
        pseudo_labels = self._pseudo_labels(view, n, wanted, risk_set, rng)
        order = np.argsort(pseudo_labels, kind="stable")
        points, targets = risk_set[order], pseudo_labels[order]
        n_clusters = int(targets[-1]) + 1
        network = self._draw_network(view, max(n_clusters, view.n_classes), rng)
        clock.lap("clustering_seconds")
        labelled_targets = pseudo_labels[np.searchsorted(risk_set, view.labelled)]
        regression = self._regress(view, points, view.labelled, labelled_targets, n_clusters, network)
        clock.lap("posterior_seconds")
        smooth = self.risk == "squared" or (self.risk == "mixed" and len(view.labelled) > 0)
        problem = self._problem(view, points, targets, targets, regression, network)
        engine = make_engine(problem, "squared" if smooth else "zero_one", view.compute)
        clock.lap("kernel_seconds")
        picks = [engine.pick() for _ in range(n)]
        clock.lap("picks_seconds")

        def predict(labelled: IndexArray, labels: IndexArray) -> IndexArray:
            predictions = self._regress(view, points, labelled, labels, view.n_classes, network)[1]
            classes: IndexArray = predictions.argmax(axis=1)
            return classes

        return Selection(
            indices=np.array([pick.pool_index for pick in picks], dtype=np.int64),
            scores=np.array([pick.score for pick in picks]),
            stats={
                "n_clusters": n_clusters,
                "cap_bound": int(wanted < n_pseudo_classes(len(view.labelled), n, NO_CAP, cap_first_round=True)),
                "undecided_share": engine.undecided_share,
                "stored_share": engine.stored_share,
                **clock.laps,
            },
            diagnostics=LookAheadDiagnostics(points, targets, engine.predictions, predict),
        )

    def _pseudo_labels(
        self, view: PoolView, n: int, wanted: int, risk_set: IndexArray, rng: np.random.Generator
    ) -> IndexArray:
        """Cluster of each point of the risk set, numbered from 0 without gaps."""
        points = np.arange(len(view.features)) if self.cluster_on == "pool" else risk_set
        if view.model is None:
            unit = normalise_rows(view.features[points])
            clusters = kmeans(unit, wanted, seed=int(rng.integers(2**32)), n_init=self.first_round_restarts).labels
        else:
            unit = normalise_rows(self._clustering_features(view, points))
            start = view.n_classes if self.initial_clusters == "classes" else n
            coarse = constrained_kmeans(
                unit,
                min(start, wanted, len(points)),
                np.searchsorted(points, view.labelled),
                view.labels,
                constraint=self.constraint,
                rng=rng,
            )
            predicted = view.model.probabilities[points].argmax(axis=1)
            clusters = split_by_confusion(unit, coarse, predicted, wanted, rng=rng)
        of_risk_set = clusters[np.searchsorted(points, risk_set)]
        return np.unique(of_risk_set, return_inverse=True)[1].astype(np.int64)


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now
