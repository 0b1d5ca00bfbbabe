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
left goes through the classes. Points are sorted by y, so that d[y] needs no look-up and the loop
vectorises.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from strategies.base import FloatArray, IndexArray
from strategies.functional.compiled import compiled


@compiled
def move_predictions(
    by_point: Any, by_class: Any, gain: Any, change: Any, labels: Any, first: int, last: int,
    own: Any, rival: Any, rival_class: Any,
) -> None:  # fmt: skip
    """Add `gain x change` to the predictions of the points first..last, and find their strongest rivals.

    Args:
        by_point: f, `n_points x n_classes` float32, changed.
        by_class: the same, `n_classes x n_points`, changed.
        gain: g of the accepted candidate, `n_points` float32.
        change: d of the accepted candidate, `n_classes` float32.
        labels: y, `n_points`.
        first: first point.
        last: one past the last point.
        own: written, `n_points`: the value of class y.
        rival: written, `n_points`: the largest value of another class, -inf where there is one class.
        rival_class: written, `n_points`: that class, the lowest of equals; -1 where there is one class.
    """
    n_classes = by_class.shape[0]
    for u in range(first, last):
        for c in range(n_classes):
            by_point[u, c] += gain[u] * change[c]
        rival[u] = -np.inf
        rival_class[u] = -1
    for c in range(n_classes):
        values = by_class[c]
        for u in range(first, last):
            values[u] += gain[u] * change[c]
            better = (values[u] > rival[u]) & (labels[u] != c)
            rival[u] = values[u] if better else rival[u]
            rival_class[u] = c if better else rival_class[u]
    for u in range(first, last):
        own[u] = by_class[labels[u], u]


@compiled
def correct(residual: Any, factors: Any, column: Any) -> None:
    """Take an accepted candidate out of rows of S: `S[i] -= g[i] * S[:, j]`, each operation rounded.

    Args:
        residual: rows of S, `n x n_points` float32, changed.
        factors: g of the accepted candidate at these rows, `n` float32.
        column: its S[:, j], `n_points` float32.
    """
    for i in range(residual.shape[0]):
        row = residual[i]
        factor = factors[i]
        for u in range(row.shape[0]):
            row[u] -= factor * column[u]


@compiled
def count_wrong(
    residual: Any, positions: Any, targets: Any, alive: Any, ridge: Any, by_point: Any, by_class: Any, labels: Any,
    starts: Any, own: Any, rival: Any, rival_class: Any, counts: Any, undecided: Any,
) -> None:  # fmt: skip
    """Write the risk of some candidates into `counts`.

    Args:
        residual: their rows of S, `n x n_points` float32.
        positions: where each is among the points, `n`.
        targets: class p of each, `n`.
        alive: which are still to be had, `n`; the others are left alone.
        ridge: r, float32.
        by_point: f, `n_points x n_classes` float32.
        by_class: the same, `n_classes x n_points`.
        labels: y, `n_points`, ascending.
        starts: where each class of y starts among the points, `n_classes + 1`.
        own: from `move_predictions`.
        rival: from `move_predictions`.
        rival_class: from `move_predictions`.
        counts: written, `n`.
        undecided: written, `n`: pairs that the bounds left open.
    """
    n_classes, n_points = by_class.shape
    change = np.empty(n_classes, dtype=np.float32)
    own_change = np.empty(n_points, dtype=np.float32)
    words = np.zeros((n_points + 7) // 8, dtype=np.uint64)
    is_open = words.view(np.uint8)
    for i in range(residual.shape[0]):
        if not alive[i]:
            continue
        row = residual[i]
        inverse = np.float32(1) / (max(row[positions[i]], np.float32(0)) + ridge)
        p = targets[i]
        largest = np.float32(-np.inf)
        smallest = np.float32(np.inf)
        for c in range(n_classes):
            change[c] = np.float32(c == p) - by_point[positions[i], c]
            own_change[starts[c] : starts[c + 1]] = change[c]
            if c != p:
                largest = max(largest, change[c])
                smallest = min(smallest, change[c])
        # Where p is a lower class than y it wins a tie; the points are sorted by y.
        lost, n_open = 0, 0
        for part in range(2):
            a, b = (0, starts[p + 1]) if part == 0 else (starts[p + 1], n_points)
            part_lost, part_open = _classify(
                row[a:b], inverse, own_change[a:b], change[p], largest, smallest, own[a:b], rival[a:b],
                rival_class[a:b], by_class[p, a:b], np.int32(p), part == 1, is_open[a:b],
            )  # fmt: skip
            lost += part_lost
            n_open += part_open
        counts[i] = lost
        undecided[i] = n_open
        if n_open > 0:
            counts[i] += _settle(row, inverse, change, own, rival, rival_class, labels, by_point, is_open, words)


@compiled
def _classify(
    row: Any, inverse: Any, own_change: Any, change_p: Any, largest: Any, smallest: Any, own: Any, rival: Any,
    rival_class: Any, of_p: Any, p: Any, p_wins_ties: Any, is_open: Any,
) -> Any:  # fmt: skip
    """How many points are wrong for certain, and how many are undecided (these are marked)."""
    lost = np.int32(0)
    n_open = np.int32(0)
    for u in range(row.shape[0]):
        g = row[u] * inverse
        value = own[u] + g * own_change[u]
        of_target = of_p[u] + g * change_p
        high = g * largest
        low = g * smallest
        is_lost = (
            (of_target > value)
            | ((of_target == value) & p_wins_ties)
            | ((rival[u] + (low if high > low else high) > value) & (rival_class[u] != p))
        )
        is_safe = value > rival[u] + (high if high > low else low)
        left = (not is_lost) & (not is_safe)
        is_open[u] = left
        lost += np.int32(is_lost)
        n_open += np.int32(left)
    return lost, n_open


@compiled
def _settle(
    row: Any, inverse: Any, change: Any, own: Any, rival: Any, rival_class: Any, labels: Any, by_point: Any,
    is_open: Any, words: Any,
) -> int:  # fmt: skip
    """How many of the undecided points are wrong: by their rival, or else through all classes."""
    wrong = 0
    for word in range(words.shape[0]):
        if words[word] == 0:
            continue
        for u in range(8 * word, min(8 * word + 8, row.shape[0])):
            if not is_open[u]:
                continue
            y = labels[u]
            g = row[u] * inverse
            value = own[u] + g * change[y]
            if rival_class[u] >= 0 and rival[u] + g * change[rival_class[u]] > value:
                wrong += 1
                continue
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
