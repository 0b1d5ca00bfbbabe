"""Cluster pseudo-labels (CPL): Algorithm 2 of NTKCPL (arXiv 2306.04099)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from strategies.exceptions import InvalidParameterError
from strategies.functional.arrays import FloatArray, IndexArray
from strategies.functional.clustering import kmeans
from strategies.functional.distances import squared_distances

Constraint = Literal["relaxed", "strict"]
ClusterRule = Literal["half_total", "half_labelled", "half_query"]
"""A later round has half as many clusters as labels after it, as labels before it, or as labels that it buys."""

_MAX_ITERATIONS = 100


def n_pseudo_classes(
    n_labelled: int, n_query: int, max_clusters: int, *, cap_first_round: bool, rule: ClusterRule = "half_total"
) -> int:
    """How many clusters a round uses: the query size at first, then half of what the rule says.

    The half is rounded down, at most `max_clusters` and at least 1: min((|L| + b) // 2, cap) for `half_total`.
    """
    if n_labelled == 0:
        return min(n_query, max_clusters) if cap_first_round else n_query
    whole = {"half_total": n_labelled + n_query, "half_labelled": n_labelled, "half_query": n_query}[rule]
    return max(1, min(whole // 2, max_clusters))


def constrained_kmeans(
    points: FloatArray,
    n_clusters: int,
    labelled: IndexArray,
    labels: IndexArray,
    *,
    constraint: Constraint,
    rng: np.random.Generator,
) -> IndexArray:
    """K-means in which labelled points know where they belong.

    Centre k starts at the mean of the labelled points of the k-th class, the others at random unlabelled
    points. `relaxed`: a labelled point pulls the centre of its own class only, and in the end every point
    goes to its nearest centre. `strict` is COP-KMeans (Wagstaff et al. 2001): labelled points of a class
    share a cluster and those of two classes never do; since these constraints are complete among the
    labelled points, a class takes the nearest centre that no other class has.

    Args:
        points: `n x dim`.
        n_clusters: number of centres, at least 1.
        labelled: positions of labelled points.
        labels: their classes.
        constraint: how the constraints act.
        rng: draws the starting points.

    Returns:
        A cluster for each point, `n`, in [0, n_clusters); some clusters may be empty.

    Raises:
        InvalidParameterError: `strict` with more classes seen than clusters.
    """
    classes, class_of = np.unique(labels, return_inverse=True)
    if constraint == "strict" and len(classes) > n_clusters:
        raise InvalidParameterError(
            f"Expected at least {len(classes)} clusters for strict constraints (one per class seen), "
            f"but got {n_clusters}; raise max_clusters or the query size, or set constraint=relaxed."
        )
    frequent = np.argsort(-np.bincount(class_of, minlength=len(classes)), kind="stable")[:n_clusters]
    anchors = [labelled[class_of == k] for k in np.sort(frequent)]
    centres = _starting_centres(points, n_clusters, anchors, labelled, rng)
    assigned = np.full(len(points), -1)
    for _ in range(_MAX_ITERATIONS):
        distances = squared_distances(points, centres)
        nearest = distances.argmin(axis=1)
        anchored = nearest.copy()
        for k, members in enumerate(anchors if constraint == "relaxed" else []):
            anchored[members] = k
        if constraint == "strict":
            _give_classes_centres(anchored, distances, anchors)
        if np.array_equal(anchored, assigned):
            break
        assigned = anchored
        sizes = np.bincount(assigned, minlength=n_clusters)
        membership = np.zeros((n_clusters, len(points)), dtype=points.dtype)
        membership[assigned, np.arange(len(points))] = 1
        # An empty cluster keeps its centre.
        filled = sizes > 0
        centres[filled] = (membership @ points)[filled] / sizes[filled, None]
    return (nearest if constraint == "relaxed" else assigned).astype(np.int64)


def _starting_centres(
    points: FloatArray, n_clusters: int, anchors: list[IndexArray], labelled: IndexArray, rng: np.random.Generator
) -> FloatArray:
    free = np.setdiff1d(np.arange(len(points)), labelled)
    wanted = n_clusters - len(anchors)
    others = rng.choice(free if len(free) >= wanted else len(points), size=wanted, replace=False)
    means = [points[members].mean(axis=0) for members in anchors]
    return np.stack([*means, *points[others]]) if wanted else np.stack(means)


def _give_classes_centres(assigned: IndexArray, distances: FloatArray, anchors: list[IndexArray]) -> None:
    taken = np.zeros(distances.shape[1], dtype=bool)
    for members in sorted(anchors, key=lambda group: int(group[0])):
        centre = int(np.where(taken, np.inf, distances[members[0]]).argmin())
        taken[centre] = True
        assigned[members] = centre


def split_by_confusion(
    points: FloatArray, clusters: IndexArray, predicted: IndexArray, n_clusters: int, *, rng: np.random.Generator
) -> IndexArray:
    """Split clusters in two until there are `n_clusters`.

    The next to be split is the cluster with most confusing samples, points whose predicted class differs
    from the dominant predicted class of their cluster; when no cluster has one, the largest. Splitting
    stops early when no cluster can be split.

    Args:
        points: `n x dim`.
        clusters: cluster of each point, `n`.
        predicted: class that the classifier predicts for each point, `n`.
        n_clusters: how many there should be.
        rng: seeds the 2-means.

    Returns:
        Cluster of each point, `n`, numbered from 0 without gaps; a half keeps its parent's number.
    """
    clusters = np.unique(clusters, return_inverse=True)[1].astype(np.int64)
    n_found = int(clusters.max()) + 1
    members = [np.flatnonzero(clusters == k) for k in range(n_found)]
    urgency = [_urgency(predicted[group]) for group in members]
    while n_found < n_clusters:
        k = max(range(n_found), key=lambda cluster: (urgency[cluster], -cluster))
        if urgency[k] == _SETTLED:
            break
        halves = kmeans(points[members[k]], 2, seed=int(rng.integers(2**32)))
        if len(halves.centres) < 2:
            urgency[k] = _SETTLED
            continue
        members.append(members[k][halves.labels == 1])
        members[k] = members[k][halves.labels == 0]
        clusters[members[n_found]] = n_found
        urgency[k], n_found = _urgency(predicted[members[k]]), n_found + 1
        urgency.append(_urgency(predicted[members[-1]]))
    return clusters


_SETTLED = (-1, 0)


def _urgency(predicted: IndexArray) -> tuple[int, int]:
    """Confusing samples, then size; a single point cannot be split."""
    if len(predicted) < 2:
        return _SETTLED
    return len(predicted) - int(np.bincount(predicted).max()), len(predicted)
