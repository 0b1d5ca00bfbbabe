"""K-means, with one seed and one guard against degenerate points."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from strategies.functional.arrays import FloatArray, IndexArray

MINIBATCH_ROWS = 5_000
SEEDING_ROWS = 3
"""Points a cluster among which mini-batches are seeded by k-means++, which takes most of the time."""
MAX_FULL_KMEANS = 50
"""Clusters up to which a strategy makes full passes; above it works on mini-batches, as TypiClust's authors do."""


@dataclass(frozen=True, eq=False)
class KMeansResult:
    """A partition in which every cluster has a member.

    Attributes:
        labels: cluster of each point, `n`, in [0, len(centres)).
        centres: `n_clusters x dim`; fewer rows where there are fewer distinct points.
    """

    labels: IndexArray
    centres: FloatArray


def kmeans(points: FloatArray, n_clusters: int, *, seed: int, n_init: int = 1, minibatch: bool = False) -> KMeansResult:
    """K-means with k-means++ seeding (scikit-learn).

    Args:
        points: `n x dim`.
        n_clusters: how many to look for; empty ones are left out of the result.
        seed: seed of the initialisation, in [0, 2**32).
        n_init: restarts, of which the one with the least inertia is kept.
        minibatch: batches of 5,000 points instead of full passes; for many clusters.
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    settings = {"n_clusters": min(n_clusters, len(points)), "random_state": seed, "n_init": n_init}
    if minibatch:
        init_size = min(SEEDING_ROWS * settings["n_clusters"], len(points))
        model = MiniBatchKMeans(**settings, batch_size=MINIBATCH_ROWS, init_size=init_size)
    else:
        model = KMeans(**settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(points)
    used, labels = np.unique(model.labels_, return_inverse=True)
    return KMeansResult(labels.astype(np.int64), model.cluster_centers_[used])


def central_points(points: FloatArray, n: int, *, seed: int) -> IndexArray:
    """The point nearest to the centre of each of up to `n` K-means clusters, the largest cluster first.

    All points in their order where there are no more than `n`; ties go to the smallest index.

    Args:
        points: `n_points x dim`.
        n: clusters to look for.
        seed: of the clustering.
    """
    if len(points) <= n:
        return np.arange(len(points))
    clusters = kmeans(points, n, seed=seed, minibatch=n > MAX_FULL_KMEANS)
    distances = np.square(points - clusters.centres[clusters.labels]).sum(axis=1)
    order = np.lexsort((np.arange(len(points)), distances, clusters.labels))
    first = order[np.unique(clusters.labels[order], return_index=True)[1]]
    by_size = np.argsort(-np.bincount(clusters.labels), kind="stable")
    central: IndexArray = first[by_size]
    return central
