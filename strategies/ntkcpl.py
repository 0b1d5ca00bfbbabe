"""NTKCPL, Algorithm 1: look ahead with kernel regression on cluster pseudo-labels.

`ntkcpl_self` clusters the self-supervised features, `ntkcpl_al` the classifier's penultimate activations;
each has a file of its own. The first round, without a classifier, is the same for both.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from strategies.base import FloatArray, IndexArray, LookAheadDiagnostics, PoolView, Selection
from strategies.exceptions import InvalidParameterError
from strategies.functional.clustering import kmeans
from strategies.functional.distances import normalise_rows
from strategies.functional.engine.local import make_engine
from strategies.functional.engine.problem import SMALLEST_RIDGE
from strategies.functional.pseudo_labels import (
    ClusterRule,
    Constraint,
    constrained_kmeans,
    n_pseudo_classes,
    split_by_confusion,
)
from strategies.kernel_lookahead import KernelLookAhead

NO_CAP = 2**62
"""More clusters than any round asks for."""
_LARGEST_GROWTH = 1e6
"""Of the outputs in a round, far beyond any of sound regressions."""


PAPER: dict[str, Any] = {
    "kernel": "empirical",
    "initial": "network",
    "ridge": SMALLEST_RIDGE,
    "candidates_from": "unlabelled",
    "risk": "zero_one",
    "constraint": "strict",
    "initial_clusters": "initial_query",
}
"""What the paper says, to the letter, where it says something: eq. 2 to 4, Algorithms 1 and 2. Eq. 3 has no ridge; here
it is the smallest that float32 carries."""


@dataclass(frozen=True)
class NTKCPL(KernelLookAhead):
    """Adds, again and again, the candidate after which the estimated risk over the risk set is smallest.

    Labelled points carry their cluster as target, like all others; true labels enter through the
    clustering alone.
    """

    source: ClassVar[str] = "Wen, Pizarro and Williams 2023, NTKCPL, arXiv 2306.04099"
    chooses_first_round: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": PAPER}

    max_clusters: Annotated[int, Field(ge=1)] = 100
    """Most clusters that a round may use."""
    cap_first_round: bool = False
    """Whether `max_clusters` holds for the first round, which has as many clusters as labels to buy."""
    risk: Literal["zero_one", "squared", "mixed"] = "zero_one"
    """What is estimated: wrong points (eq. 4), squared error, or wrong points at first and then squared error."""
    constraint: Constraint = "relaxed"
    """How labelled points act on the clustering: pull their centre, or COP-KMeans."""
    cluster_rule: ClusterRule = "half_total"
    """Clusters of a later round: half of all labels after it, half of those before it, or half of its query."""
    initial_clusters: Literal["classes", "query", "initial_query"] = "classes"
    """C0, clusters before splitting: the number of classes, the size of the query, or that of the first query."""
    cluster_on: Literal["candidates", "pool"] = "candidates"
    """What is clustered: the risk set, or the whole pool."""
    first_round_restarts: Annotated[int, Field(ge=1)] = 1
    """Restarts of the first round's K-means."""

    def canonical(self, queries: Sequence[int]) -> Self:
        """The strategy with `max_clusters` at most what the rounds ask for, and the first rules with equal numbers.

        Any larger cap never binds. Rules of the number of clusters are equal where they, under the cap, say the same;
        C0 of the query and of the first query where both are equal or more than the clusters of a round.
        """
        rounds = list(zip([0, *accumulate(queries)], queries, strict=False))
        asked = [self._n_clusters(*each, cap=NO_CAP) for each in rounds if each[0] or self.cap_first_round]
        found = replace(super().canonical(queries), max_clusters=min(self.max_clusters, max([1, *asked])))
        later = rounds[1:]
        counts = [found._n_clusters(*each) for each in later]
        rules = (replace(found, cluster_rule=rule) for rule in get_args(ClusterRule))
        found = next(other for other in rules if counts == [other._n_clusters(*each) for each in later])
        same_start = all(min(n, count) == min(queries[0], count) for (_, n), count in zip(later, counts, strict=True))
        if found.initial_clusters == "initial_query" and same_start:
            found = replace(found, initial_clusters="query")
        return found

    def _n_clusters(self, n_labelled: int, n_query: int, cap: int | None = None) -> int:
        cap = self.max_clusters if cap is None else cap
        return n_pseudo_classes(n_labelled, n_query, cap, cap_first_round=self.cap_first_round, rule=self.cluster_rule)

    @abc.abstractmethod
    def _clustering_features(self, view: PoolView, points: IndexArray) -> FloatArray:
        """What the clusters of a later round are made of, `len(points) x dim`."""

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        clock = _Clock()
        risk_set = self._draw_risk_set(view, n, rng)
        n_bought = sum(view.queries) or len(view.labelled)  # points of no class included, as `canonical` counts them
        wanted = self._n_clusters(n_bought, n)
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
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is refused
            picks = [engine.pick() for _ in range(n)]
        clock.lap("picks_seconds")
        self._refuse_overflow(regression[1], engine.predictions)

        def predict(labelled: IndexArray, labels: IndexArray) -> IndexArray:
            predictions = self._regress(view, points, labelled, labels, view.n_classes, network)[1]
            classes: IndexArray = predictions.argmax(axis=1)
            return classes

        return Selection(
            indices=np.array([pick.pool_index for pick in picks], dtype=np.int64),
            scores=np.array([pick.score for pick in picks]),
            stats={
                "n_clusters": n_clusters,
                "cap_bound": int(wanted < self._n_clusters(n_bought, n, cap=NO_CAP)),
                "undecided_share": engine.undecided_share,
                "stored_share": engine.stored_share,
                **clock.laps,
            },
            diagnostics=LookAheadDiagnostics(points, targets, engine.predictions, predict),
        )

    def _refuse_overflow(self, before: FloatArray, after: FloatArray) -> None:
        """Refuse outputs that no regression on 0/1 targets has: noise that was taken for variance at every pick."""
        largest = _LARGEST_GROWTH * max(1.0, float(np.abs(before).max()))
        if not (after.min() >= -largest and after.max() <= largest):
            raise InvalidParameterError(
                f"Expected a `ridge` of `{self.name}` above the rounding errors between copies of a point, but with "
                f"{self.ridge:g} these errors grew beyond bounds; set it to 1e-3 at least, or remove copies."
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
            start = {"classes": view.n_classes, "query": n, "initial_query": view.first_query}[self.initial_clusters]
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
