"""The 0-1 risk of a look-ahead, counted exactly.

Definition, all operations in float32 and rounded one by one: candidate i with target class p turns the
predictions f of point u into

    v[c] = f[u, c] + g * d[c],   g = S[i, u] * (1 / (max(S[i, i], 0) + r)),   d = onehot(p) - f[i],

and u is wrong when the arg max of v, ties to the lowest class, is not y[u]. The risk of i is the number
of wrong points.

Few points need all classes. Rounding is monotone, so with m = max and min of g * d[c] over c != p,
`f[u, c] + g * d[c]` lies between `f[u, c] + min m` and `f[u, c] + max m` *after* rounding as well, without
any slack: u is wrong for certain if p beats y[u], or if the strongest rival of y[u] beats it even with the
smallest change; u is right for certain if v[y[u]] exceeds the rival with the largest change. Only what is
left goes through the classes. Points are sorted by y, so that d[y] is constant over a run and the loops
vectorise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from strategies.base import FloatArray, IndexArray

_RUN = 512
"""Points classified at once; a run without an undecided point is not looked at again."""


@njit(nogil=True, cache=True, error_model="numpy")
def find_rivals(by_class: Any, labels: Any, first: int, last: int, own: Any, rival: Any, rival_class: Any) -> None:
    """For the points first..last: the value of class y, and the largest value of another and its class.

    Args:
        by_class: predictions, `n_classes x n_points` float32.
        labels: y, `n_points`.
        first: first point.
        last: one past the last point.
        own: written, `n_points`.
        rival: written, `n_points`; -inf where there is one class.
        rival_class: written, `n_points`; the lowest of equals, -1 where there is one class.
    """
    for u in range(first, last):
        own[u] = by_class[labels[u], u]
        rival[u] = -np.inf
        rival_class[u] = -1
    for c in range(by_class.shape[0]):
        for u in range(first, last):
            value = by_class[c, u]
            better = (value > rival[u]) & (labels[u] != c)
            rival[u] = value if better else rival[u]
            rival_class[u] = c if better else rival_class[u]


@njit(nogil=True, cache=True, error_model="numpy")
def count_wrong(
    residual: Any,
    first: int,
    last: int,
    positions: Any,
    targets: Any,
    alive: Any,
    ridge: Any,
    by_point: Any,
    by_class: Any,
    starts: Any,
    own: Any,
    rival: Any,
    rival_class: Any,
    counts: Any,
    undecided: Any,
) -> None:
    """Write the risk of the candidates first..last into `counts`.

    Args:
        residual: S, `n_candidates x n_points` float32, a candidate a row.
        first: first candidate.
        last: one past the last candidate.
        positions: where each candidate is among the points.
        targets: class p of each candidate.
        alive: candidates that are still to be had; the others are left alone.
        ridge: r, float32.
        by_point: f, `n_points x n_classes` float32.
        by_class: the same, `n_classes x n_points`.
        starts: where each class of y starts among the points, `n_classes + 1`.
        own: from `find_rivals`.
        rival: from `find_rivals`.
        rival_class: from `find_rivals`.
        counts: written, `n_candidates`.
        undecided: written, `n_candidates`: pairs that went through all classes.
    """
    n_classes = by_class.shape[0]
    change = np.empty(n_classes, dtype=np.float32)
    words = np.empty(_RUN // 8, dtype=np.uint64)
    is_open = words.view(np.uint8)
    for i in range(first, last):
        if not alive[i]:
            continue
        row = residual[i]
        inverse = np.float32(1) / (max(row[positions[i]], np.float32(0)) + ridge)
        p = targets[i]
        largest = np.float32(-np.inf)
        smallest = np.float32(np.inf)
        for c in range(n_classes):
            change[c] = np.float32(c == p) - by_point[positions[i], c]
            if c != p:
                largest = max(largest, change[c])
                smallest = min(smallest, change[c])
        of_p = by_class[p]
        wrong = 0
        hard = 0
        for y in range(n_classes):
            for run in range(starts[y], starts[y + 1], _RUN):
                end = min(run + _RUN, starts[y + 1])
                if y == p:
                    lost, n_open = _classify_own(
                        row[run:end], inverse, change[p], largest, smallest, own[run:end], rival[run:end], is_open
                    )
                else:
                    lost, n_open = _classify_other(
                        row[run:end], inverse, change[y], change[p], largest, smallest, own[run:end],
                        rival[run:end], rival_class[run:end], of_p[run:end], p, p < y, is_open,
                    )  # fmt: skip
                wrong += lost
                if n_open > 0:
                    hard += n_open
                    wrong += _settle(row, run, end, inverse, change, own, y, by_point, is_open, words)
        counts[i] = wrong
        undecided[i] = hard


@njit(nogil=True, cache=True, error_model="numpy")
def _classify_own(
    row: Any, inverse: Any, change_p: Any, largest: Any, smallest: Any, own: Any, rival: Any, is_open: Any
) -> Any:
    """How many points of the target's own class are wrong for certain, and how many are undecided."""
    lost = np.int32(0)
    n_open = np.int32(0)
    for u in range(row.shape[0]):
        g = row[u] * inverse
        value = own[u] + g * change_p
        high = g * largest
        low = g * smallest
        is_lost = rival[u] + (low if high > low else high) > value
        is_safe = value > rival[u] + (high if high > low else low)
        left = (not is_lost) & (not is_safe)
        is_open[u] = left
        lost += np.int32(is_lost)
        n_open += np.int32(left)
    return lost, n_open


@njit(nogil=True, cache=True, error_model="numpy")
def _classify_other(
    row: Any, inverse: Any, change_y: Any, change_p: Any, largest: Any, smallest: Any, own: Any, rival: Any,
    rival_class: Any, of_p: Any, p: Any, p_wins_ties: Any, is_open: Any,
) -> Any:  # fmt: skip
    """The same for points of another class, which the target's class may overtake as well."""
    lost = np.int32(0)
    n_open = np.int32(0)
    target = np.int32(p)
    for u in range(row.shape[0]):
        g = row[u] * inverse
        value = own[u] + g * change_y
        of_target = of_p[u] + g * change_p
        high = g * largest
        low = g * smallest
        is_lost = (
            (of_target > value)
            | ((of_target == value) & p_wins_ties)
            | ((rival[u] + (low if high > low else high) > value) & (rival_class[u] != target))
        )
        is_safe = value > rival[u] + (high if high > low else low)
        left = (not is_lost) & (not is_safe)
        is_open[u] = left
        lost += np.int32(is_lost)
        n_open += np.int32(left)
    return lost, n_open


@njit(nogil=True, cache=True, error_model="numpy")
def _settle(
    row: Any, run: int, end: int, inverse: Any, change: Any, own: Any, y: int, by_point: Any, is_open: Any, words: Any
) -> int:
    """How many of the undecided points of a run are wrong, through all classes."""
    wrong = 0
    size = end - run
    for word in range((size + 7) // 8):
        if words[word] == 0:
            continue
        for k in range(8 * word, min(8 * word + 8, size)):
            if not is_open[k]:
                continue
            u = run + k
            g = row[u] * inverse
            value = own[u] + g * change[y]
            before = by_point[u, :y]
            after = by_point[u, y + 1 :]
            later = change[y + 1 :]
            beaten = False
            for c in range(before.shape[0]):
                beaten |= before[c] + g * change[c] >= value
            for c in range(after.shape[0]):
                beaten |= after[c] + g * later[c] > value
            wrong += beaten
    return wrong


def count_wrong_dense(
    column: FloatArray, position: int, target: int, ridge: float, predictions: FloatArray, labels: IndexArray
) -> int:
    """The definition, class by class: the reference for `count_wrong`.

    Args:
        column: S[:, i], `n_points` float32.
        position: i among the points.
        target: class p.
        ridge: r.
        predictions: f, `n_points x n_classes` float32.
        labels: y, `n_points`.
    """
    one, zero = np.float32(1), np.float32(0)
    gain = column * (one / (max(column[position], zero) + np.float32(ridge)))
    change = -predictions[position]
    change[target] = one - predictions[position, target]
    after = predictions + gain[:, None] * change
    return int(np.count_nonzero(after.argmax(axis=1) != labels))
