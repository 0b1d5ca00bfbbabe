"""ProbCover: the points whose balls of radius delta cover most of what no label covers yet."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from strategies.base import FloatArray, IndexArray, PoolView, Selection, Strategy
from strategies.functional.balls import all_near, members, number_near
from strategies.functional.clustering import kmeans
from strategies.functional.distances import normalise_rows, squared_distances, squared_norms
from strategies.functional.tiles import map_tiles

PURITY_SAMPLE = 5_000
FIXED_SEED = 0
"""Seed of the sample and the pseudo-labels behind delta: `PoolView.cached` allows no random stream."""


@dataclass(frozen=True)
class ProbCover(Strategy):
    """Greedy maximum coverage by balls around L2-normalised features.

    Labelled points cover first; then each pick is the unlabelled point with the most uncovered points
    nearer than delta, ties to the smallest index. Once no candidate can cover anything new, coverage goes
    on fold by fold: the points that count as uncovered are those covered at most k times, with the smallest
    k for which a candidate reaches one. No point is picked twice and the whole pool takes part. Scores are
    the numbers of uncovered points reached. Graph and delta are computed once a trajectory; the graph of N points
    takes N^2 / 8 bytes, whatever delta is.
    """

    name: ClassVar[str] = "probcover"
    version: ClassVar[int] = 2
    source: ClassVar[str] = "Yehuda et al. 2022, Active Learning Through a Covering Lens, NeurIPS"
    chooses_first_round: ClassVar[bool] = True

    delta: Annotated[float, Field(ge=1e-3, le=10)] | None = None
    """Radius of a ball, a distance between unit vectors; None takes the largest radius that `purity` allows."""
    purity: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Share of points whose ball must lie within their K-means pseudo-class; unused where delta is given."""

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        n_threads = view.compute.n_threads
        delta = self.delta
        if delta is None:
            delta = view.cached(
                f"probcover/delta/{view.n_classes}/{self.purity!r}",
                lambda features: purity_radius(
                    normalise_rows(features), view.n_classes, self.purity, n_threads=n_threads
                ),
            )
        is_near = view.cached(
            f"probcover/graph/{delta!r}",
            lambda features: all_near(normalise_rows(features), delta, n_threads=n_threads),
        )
        picks, scores = greedy_cover(is_near, view.labelled, n)
        reached = np.bitwise_or.reduce(is_near[np.concatenate([view.labelled, picks])])
        # Unit vectors are at most 2 apart; JSON has no word for the infinite radius of a single pseudo-class.
        covered = float(members(reached, len(view.features)).mean())
        stats: dict[str, float | int | str] = {"delta": min(delta, 2.0), "covered": covered}
        return Selection(picks, scores, stats)


def purity_radius(points: FloatArray, n_classes: int, purity: float, *, n_threads: int = 1) -> float:
    """Largest radius at which the balls of a share `purity` of the points stay within their pseudo-class.

    A ball is pure while its radius is at most the distance to the nearest point of another pseudo-class,
    so the answer is an order statistic of these distances. Pseudo-labels are those of K-means with a fixed
    seed; distances are measured from at most 5,000 points, a fixed sample, to all points.

    Args:
        points: `n x dim`.
        n_classes: pseudo-classes.
        purity: share in (0, 1].
        n_threads: tiles handled at once.

    Returns:
        The radius; infinite where there is but one pseudo-class.
    """
    labels = kmeans(points, n_classes, seed=FIXED_SEED).labels
    n_sample = min(PURITY_SAMPLE, len(points))
    sample = np.sort(np.random.default_rng(FIXED_SEED).choice(len(points), size=n_sample, replace=False))
    norms = squared_norms(points)

    def nearest_enemy(tile: slice) -> FloatArray:
        block = squared_distances(points[sample[tile]], points, norms)
        block[labels[sample[tile], None] == labels] = np.inf
        minima: FloatArray = block.min(axis=1)
        return minima

    squared = np.sort(np.concatenate(map_tiles(nearest_enemy, n_sample, n_threads=n_threads)))
    n_pure = max(1, math.ceil(round(purity * n_sample, 6)))
    return math.sqrt(squared[n_sample - n_pure])


def greedy_cover(is_near: NDArray[np.uint64], labelled: IndexArray, n: int) -> tuple[IndexArray, FloatArray]:
    """Greedy maximum coverage, continued fold by fold when all is covered; see `ProbCover`.

    Args:
        is_near: bits of `all_near`.
        labelled: points that cover already and cannot be picked.
        n: picks, at most the number of points that are not labelled.

    Returns:
        Distinct picks in order and the number of uncovered points that each reached.
    """
    n_points = len(is_near)
    times_covered = np.zeros(n_points, dtype=np.int64)
    for label in labelled:
        times_covered += members(is_near[label], n_points)
    is_candidate = np.ones(n_points, dtype=bool)
    is_candidate[labelled] = False
    fold = 0
    gains = number_near(is_near, times_covered <= fold)
    picks, scores = np.empty(n, dtype=np.int64), np.empty(n)
    for step in range(n):
        if not gains[is_candidate].any():
            fold = times_covered[number_near(is_near, is_candidate) > 0].min()
            gains = number_near(is_near, times_covered <= fold)
        pick = picks[step] = np.argmax(np.where(is_candidate, gains, -1))
        scores[step] = gains[pick]
        is_candidate[pick] = False
        reached = members(is_near[pick], n_points)
        times_covered += reached
        gains -= number_near(is_near, reached & (times_covered == fold + 1))
    return picks, scores
