"""ProbCover: the points whose balls of radius delta cover most of what no label covers yet."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import scipy
from pydantic import Field
from pydantic.dataclasses import dataclass

from strategies.base import FloatArray, IndexArray, PoolView, Selection, Strategy
from strategies.functional.clustering import kmeans
from strategies.functional.distances import normalise_rows, squared_distances, squared_norms
from strategies.functional.tiles import TILE_ROWS, map_tiles

if TYPE_CHECKING:
    from scipy.sparse import csr_array

PURITY_SAMPLE = 10_000
FIXED_SEED = 0
"""Of the sample and the pseudo-labels behind delta: `PoolView.cached` allows no random stream."""


@dataclass(frozen=True)
class ProbCover(Strategy):
    """Greedy maximum coverage by balls around L2-normalised features.

    Labelled points cover first; then each pick is the unlabelled point with the most uncovered points
    nearer than delta, ties to the smallest index. Once no candidate can cover anything new, coverage goes
    on fold by fold: the points that count as uncovered are those covered at most k times, with the smallest
    k for which a candidate reaches one. No point is picked twice and the whole pool takes part. Scores are
    the numbers of uncovered points reached. Graph and delta are computed once a trajectory; the graph
    takes 8 bytes an edge, so a large delta on a large pool is costly.
    """

    name: ClassVar[str] = "probcover"
    source: ClassVar[str] = "Yehuda et al. 2022, Active Learning Through a Covering Lens, NeurIPS"
    chooses_first_round: ClassVar[bool] = True

    delta: Annotated[float, Field(gt=0)] | None = None
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
        graph = view.cached(
            f"probcover/graph/{delta!r}",
            lambda features: ball_graph(normalise_rows(features), delta, n_threads=n_threads),
        )
        picks, scores = greedy_cover(graph, view.labelled, n)
        covered = np.unique(graph[np.concatenate([view.labelled, picks])].indices)
        # Unit vectors are at most 2 apart; JSON has no word for the infinite radius of a single pseudo-class.
        stats: dict[str, float | int | str] = {"delta": min(delta, 2.0), "covered": len(covered) / len(view.features)}
        return Selection(picks, scores, stats)


def purity_radius(points: FloatArray, n_classes: int, purity: float, *, n_threads: int = 1) -> float:
    """Largest radius at which the balls of a share `purity` of the points stay within their pseudo-class.

    A ball is pure while its radius is at most the distance to the nearest point of another pseudo-class,
    so the answer is an order statistic of these distances. Pseudo-labels are those of K-means with a fixed
    seed; distances are measured from at most 10,000 points, a fixed sample, to all points.

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


def ball_graph(
    points: FloatArray, delta: float, *, tile_rows: int = TILE_ROWS, n_threads: int = 1
) -> csr_array[np.int32]:
    """Symmetric adjacency of points nearer than `delta`, each point adjacent to itself.

    Args:
        points: `n x dim`.
        delta: radius; an edge needs a Euclidean distance strictly below it.
        tile_rows: points handled at once; memory is O(tile_rows x n) and the edges.
        n_threads: tiles handled at once.

    Returns:
        `n x n`, ones.
    """
    norms = squared_norms(points)

    def upper_edges(tile: slice) -> tuple[IndexArray, IndexArray]:
        block = squared_distances(points[tile], points[tile.start :], norms[tile.start :])
        rows, columns = np.nonzero(np.triu(block < delta**2, 1))
        return np.bincount(rows, minlength=len(block)), (columns + tile.start).astype(np.int32)

    counts, columns = zip(*map_tiles(upper_edges, len(points), tile_rows=tile_rows, n_threads=n_threads), strict=True)
    indices = np.concatenate(columns)
    ends = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    sparse = scipy.sparse
    upper = sparse.csr_array((np.ones(len(indices), dtype=np.int32), indices, ends), shape=(len(points), len(points)))
    return sparse.csr_array(upper + upper.T + sparse.eye_array(len(points), dtype=np.int32, format="csr"))


def greedy_cover(graph: csr_array[np.int32], labelled: IndexArray, n: int) -> tuple[IndexArray, FloatArray]:
    """Greedy maximum coverage, continued fold by fold when all is covered; see `ProbCover`.

    O(edges) for every fold of coverage.

    Args:
        graph: symmetric adjacency with self-loops, `n_points x n_points`.
        labelled: points that cover already and cannot be picked.
        n: picks, at most the number of points that are not labelled.

    Returns:
        Distinct picks in order and the number of uncovered points that each reached.
    """
    n_points = graph.shape[0]
    times_covered = np.bincount(graph[labelled].indices, minlength=n_points)
    is_candidate = np.ones(n_points, dtype=np.int32)
    is_candidate[labelled] = 0
    fold = 0
    gains = graph @ (times_covered <= fold).astype(np.int32)
    picks, scores = np.empty(n, dtype=np.int64), np.empty(n)
    for step in range(n):
        if not (gains * is_candidate).any():
            has_candidate = np.asarray(graph @ is_candidate) > 0
            fold = times_covered[has_candidate].min()
            gains = graph @ (times_covered <= fold).astype(np.int32)
        pick = picks[step] = np.argmax(np.where(is_candidate, gains, -1))
        scores[step] = gains[pick]
        is_candidate[pick] = 0
        reached = graph[[pick]].indices
        times_covered[reached] += 1
        saturated = reached[times_covered[reached] == fold + 1]
        gains = gains - np.bincount(graph[saturated].indices, minlength=n_points)
    return picks, scores
