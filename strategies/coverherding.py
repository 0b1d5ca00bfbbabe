"""CoverHerding: a first query that covers the pool as finely as it can afford, then UHerding."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from strategies.base import PoolView, Selection, Strategy
from strategies.functional.clustering import MAX_FULL_KMEANS, kmeans
from strategies.functional.distances import normalise_rows
from strategies.functional.herding import SMALLEST_SIGMA, exchange, herd
from strategies.subpool import draw_candidates
from strategies.uherding import UHerding


@dataclass(frozen=True)
class CoverHerding(Strategy):
    """First MaxHerding with a radius from the data and exchanges, then UHerding.

    The radius is the distance that so many labels can keep to the pool: the root mean square distance of the points, on
    the unit sphere, to the nearest of as many K-means centres as there are points to buy. The greedy picks at that
    radius are then exchanged one by one until no exchange raises the coverage, since the first greedy pick lies in the
    middle of everything. From the second query on the picks are those of `uherding`.

    Scores are gains in coverage. What was tried on the way to it, and where it loses: docs/explanation/coverherding.md.
    """

    name: ClassVar[str] = "coverherding"
    version: ClassVar[int] = 2
    source: ClassVar[str] = "this project, after Bae et al. 2024, arXiv 2407.12212, and 2025, arXiv 2412.20644"
    chooses_first_round: ClassVar[bool] = True

    candidates: Annotated[int, Field(ge=2)] | Literal["all"] = 10_000
    """Unlabelled and labelled points, which are averaged over; redrawn each round.

    Half of this number at least is unlabelled. So with more labels than the other half there are more points than it
    says, and time and memory grow with the labels.
    """

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        if view.model is not None:
            return UHerding(candidates=self.candidates).select(view, n, rng=rng)
        candidates = draw_candidates(view, self.candidates, n, rng)
        points = normalise_rows(view.features[candidates])
        none = points[:0]
        clusters = kmeans(points, n, seed=int(rng.integers(2**32)), minibatch=n > MAX_FULL_KMEANS)
        squared = np.square(points - clusters.centres[clusters.labels]).sum(axis=1)
        sigma = max(float(np.sqrt(squared.mean(dtype=np.float64))), SMALLEST_SIGMA)
        picks, _ = herd(points, none, n, sigma=sigma, n_threads=view.compute.n_threads)
        picks, gains = exchange(points, none, picks, sigma=sigma, n_threads=view.compute.n_threads)
        return Selection(candidates[picks], gains, {"sigma": sigma})
