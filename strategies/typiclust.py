"""TypiClust: the most typical point of each of the clusters that have the fewest labels."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from strategies.base import IndexArray, PoolView, Selection, Strategy
from strategies.functional.clustering import MAX_FULL_KMEANS, kmeans
from strategies.functional.distances import normalise_rows
from strategies.functional.typicality import typicality


@dataclass(frozen=True)
class TypiClust(Strategy):
    """K-means on L2-normalised features, then the largest typicality among the unlabelled members of a cluster.

    Clusters of more than `min_cluster_size` points are visited with the fewest labels first, then the
    largest, again and again until the query is full; the smaller ones follow only when the others have no
    point left. Typicality is that of the paper (distances, where the authors' code squares them), with
    neighbours among the members that are still unlabelled. Scores are typicalities.
    """

    name: ClassVar[str] = "typiclust"
    version: ClassVar[int] = 3
    source: ClassVar[str] = "Hacohen, Dekel and Weinshall 2022, Active Learning on a Budget, ICML"
    chooses_first_round: ClassVar[bool] = True

    cluster_limit: Annotated[int, Field(ge=1)] = 500
    """Largest number of clusters; below it there are as many as labels after the query."""
    min_cluster_size: Annotated[int, Field(ge=0)] = 5
    """Clusters of no more points than this are avoided."""
    n_neighbours: Annotated[int, Field(ge=1)] = 20
    """Nearest neighbours in the typicality; at most half of the members."""

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        points = normalise_rows(view.features)
        n_clusters = min(len(view.labelled) + n, self.cluster_limit)
        seed = int(rng.integers(2**31))
        clusters = kmeans(points, n_clusters, seed=seed, minibatch=n_clusters > MAX_FULL_KMEANS).labels
        is_free = np.ones(len(points), dtype=bool)
        is_free[view.labelled] = False
        picks, scores = np.empty(n, dtype=np.int64), np.empty(n)
        for step, cluster in enumerate(visits(clusters, is_free, self.min_cluster_size)[:n]):
            members = np.flatnonzero(is_free & (clusters == cluster))
            typical = typicality(points[members], self.n_neighbours, n_threads=view.compute.n_threads)
            best = np.argmax(typical)
            picks[step], scores[step] = members[best], typical[best]
            is_free[picks[step]] = False
        return Selection(picks, scores, stats={"n_clusters": int(clusters.max()) + 1})


def visits(clusters: IndexArray, is_free: NDArray[np.bool_], min_size: int) -> IndexArray:
    """The order in which clusters are visited, each once for every unlabelled member.

    Args:
        clusters: cluster of each pool point.
        is_free: whether the point is unlabelled.
        min_size: clusters of no more points come after all others.

    Returns:
        Clusters, one for each unlabelled point: whole turns over the clusters that have points left,
        within a turn by fewest labelled, then largest, then smallest cluster index.
    """
    sizes = np.bincount(clusters)
    n_free = np.bincount(clusters[is_free], minlength=len(sizes))
    order = np.lexsort((-sizes, sizes - n_free))
    sequence = np.repeat(order, n_free[order])
    turns = np.concatenate([np.arange(count) for count in n_free[order]])
    visited: IndexArray = sequence[np.lexsort((turns, sizes[sequence] <= min_size))]
    return visited
