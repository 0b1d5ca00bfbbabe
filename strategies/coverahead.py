"""CoverAhead: covers the pool with the first query, as finely as it can afford, and looks ahead from then on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from strategies.base import PoolView, Selection, Strategy
from strategies.functional.clustering import MAX_FULL_KMEANS, kmeans
from strategies.functional.distances import normalise_rows
from strategies.functional.herding import SMALLEST_SIGMA, exchange, herd
from strategies.ntkcpl_self import NTKCPLSelf
from strategies.subpool import draw_candidates


@dataclass(frozen=True)
class CoverAhead(Strategy):
    """First MaxHerding with a radius from the data and exchanges, then NTKCPL(self) with squared risk.

    Without labels a look-ahead has nothing but clusters to go by, and coverage alone decides how good a query is. Its
    radius is the distance that so many labels can keep to the pool: the root mean square distance of the points, on
    the unit sphere, to the nearest of as many K-means centres as there are points to buy. The greedy picks at that
    radius are then exchanged one by one until no exchange raises the coverage, since the first greedy pick lies in the
    middle of everything. From the second query on the picks are those of `ntkcpl_self` with `risk=squared`.

    Scores are gains in coverage, then estimated risks. What was tried on the way to it, and where it loses:
    docs/explanation/coverahead.md.
    """

    name: ClassVar[str] = "coverahead"
    source: ClassVar[str] = (
        "this project; its parts: Bae et al. 2024, arXiv 2407.12212; Wen et al. 2023, arXiv 2306.04099"
    )
    chooses_first_round: ClassVar[bool] = True

    candidates: Annotated[int, Field(ge=2)] | Literal["all"] = 10_000
    """Points, labelled ones included, that are covered or looked ahead over; redrawn each round."""
    max_clusters: Annotated[int, Field(ge=1)] = 100
    """Most clusters of a later round."""

    def canonical(self, queries: Sequence[int]) -> Self:
        """The strategy with `max_clusters` at most what the later rounds ask for."""
        return replace(self, max_clusters=self._look_ahead().canonical(queries).max_clusters)

    def _look_ahead(self) -> NTKCPLSelf:
        return NTKCPLSelf(candidates=self.candidates, max_clusters=self.max_clusters, risk="squared")

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        if view.model is not None:
            return self._look_ahead().select(view, n, rng=rng)
        candidates = draw_candidates(view, self.candidates, n, rng)
        points, none = (
            normalise_rows(view.features[candidates]),
            np.empty((0, view.features.shape[1]), dtype=np.float32),
        )
        centres = kmeans(points, n, seed=int(rng.integers(2**32)), minibatch=n > MAX_FULL_KMEANS)
        squared = np.square(points - centres.centres[centres.labels]).sum(axis=1)
        sigma = max(float(np.sqrt(squared.mean(dtype=np.float64))), SMALLEST_SIGMA)
        picks, _ = herd(points, none, n, sigma=sigma, n_threads=view.compute.n_threads)
        picks, gains = exchange(points, none, picks, sigma=sigma, n_threads=view.compute.n_threads)
        return Selection(candidates[picks], gains, {"sigma": sigma})
