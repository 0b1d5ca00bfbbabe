"""The 0-1 risk of a look-ahead, counted exactly.

Definition, all operations in float32 and rounded one by one: candidate i with target class p turns the
predictions f of point u into

    v[c] = f[u, c] + g * d[c],   g = S[i, u] * (1 / (max(S[i, i], 0) + r)),   d = onehot(p) - f[i],

and u is wrong when the arg max of v, ties to the lowest class, is not y[u]. The risk of i is the number
of wrong points.

Few points need all classes, because a candidate leaves most of them as they are. Write `own` for f[u, y[u]] and
`rival` for the largest f[u, c] of another class.

1. Two values of f[u] approach each other by at most |g| (max d - min d). While that is less than |own - rival|, a
   point that is right stays right and one that is wrong stays wrong. For classes other than p the extremes of d are
   taken without d[p], which is the largest by far, and p is compared on its own. So two products and two comparisons
   a pair, with some slack for the roundings (`_room`), tell which points stay as they are (`_mark_open`).
2. For the others v[y], v[p] and v of the rival are computed (`_decide`). Rounding is monotone: if all g d[c] with c
   other than p are at most m, the remaining classes end at `second + m` or below, *after* rounding as well, where
   `second` is the largest f[u, c] that is neither own nor rival.
3. What is still open, one pair in a thousand to ten thousand, goes through all classes (`_is_beaten`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from strategies.functional.arrays import FloatArray, IndexArray
from strategies.functional.compiled import compiled

# Bounds are wider by these than the roundings they have to cover (2^-23 of each operand, a few times).
_MORE = np.float32(1 + 2.0**-18)
_SLACK = np.float32(2.0**-20)
_TINY = np.float32(1e-36)


@compiled
def move_predictions(
    by_point: Any, by_class: Any, first: Any, gain: Any, change: Any, labels: Any, own: Any, rival: Any, second: Any,
    lowest: Any, rival_class: Any, room: Any,
) -> None:  # fmt: skip
    """Add `gain x change` to the predictions of n points, and find their strongest rivals.

    Args:
        by_point: f of these points, `n x n_classes` float32, changed.
        by_class: f of all points, `n_classes x n_points`, changed for these.
        first: the first of these points in `by_class`.
        gain: g of the accepted candidate, `n` float32.
        change: d of the accepted candidate, `n_classes` float32.
        labels: y, `n`.
        own: written, `n`: the value of class y.
        rival: written, `n`: the largest value of another class, -inf where there is one class.
        second: written, `n`: the largest value of the classes but those two, -inf where there are none.
        lowest: written, `n`: the smallest value of all.
        rival_class: written, `n`: class of `rival`, the lowest of equals; 0 where there is one class.
        room: written, `n`: how much `own - rival` may change for certain before the order does.
    """
    n, n_classes = by_point.shape
    for u in range(n):
        for c in range(n_classes):
            by_point[u, c] += gain[u] * change[c]
        rival[u] = -np.inf
        second[u] = -np.inf
        lowest[u] = np.inf
        rival_class[u] = 0
    for c in range(n_classes):
        # From 0 to n: a loop whose indices might be negative is not vectorised.
        values = by_class[c][first : first + n]
        for u in range(n):
            value = values[u] + gain[u] * change[c]
            values[u] = value
            lowest[u] = value if value < lowest[u] else lowest[u]
            value = value if labels[u] != c else np.float32(-np.inf)
            better = value > rival[u]
            next_best = rival[u] if better else value
            second[u] = next_best if next_best > second[u] else second[u]
            rival[u] = value if better else rival[u]
            rival_class[u] = np.uint32(c) if better else rival_class[u]
    for u in range(n):
        own[u] = by_class[labels[u], first + u]
        room[u] = _room(own[u], rival[u])


@compiled
def correct(residual: Any, factors: Any, columns: Any) -> None:
    """Take accepted candidates out of rows of S, one after the other: `S[i] -= g[i] * S[:, j]`, each operation rounded.

    Args:
        residual: rows of S, `n x n_points` float32, changed.
        factors: g of the accepted candidates at these rows, `n_accepted x n` float32.
        columns: their S[:, j], `n_accepted x n_points` float32.
    """
    for i in range(residual.shape[0]):
        row = residual[i]
        for k in range(columns.shape[0]):
            factor = factors[k, i]
            column = columns[k]
            for u in range(row.shape[0]):
                row[u] -= factor * column[u]


@compiled
def count_wrong(
    residual: Any, factors: Any, columns: Any, positions: Any, targets: Any, alive: Any, ridge: Any, by_point: Any,
    by_class: Any, labels: Any, starts: Any, own: Any, rival: Any, second: Any, lowest: Any, rival_class: Any,
    room: Any, n_wrong: Any, counts: Any, undecided: Any,
) -> None:  # fmt: skip
    """Correct rows of S as `correct` does, and write the risk of each while it is in the cache into `counts`.

    Args:
        residual: the rows, `n x n_points` float32, changed.
        factors: see `correct`.
        columns: see `correct`.
        positions: where each is among the points, `n`.
        targets: class p of each, `n`.
        alive: which are still to be had, `n`; the others are left alone.
        ridge: r, float32.
        by_point: f, `n_points x n_classes` float32.
        by_class: the same, `n_classes x n_points`.
        labels: y, `n_points`, ascending.
        starts: where each class of y starts among the points, `n_classes + 1`.
        own: from `move_predictions`, as are those up to `room`.
        rival: see there.
        second: see there.
        lowest: see there.
        rival_class: see there.
        room: see there.
        n_wrong: how many points have a rival above their own class.
        counts: written, `n`.
        undecided: written, `n`: pairs that went through all classes.
    """
    n_classes, n_points = by_class.shape
    change = np.empty(n_classes, dtype=np.float32)
    target_room = np.empty(n_points, dtype=np.float32)
    # Unsigned, here and below: no time is lost on indices that might be negative.
    listed = np.empty(n_points + 8, dtype=np.uint64)
    listed_words = np.empty((n_points + 7) // 8, dtype=np.uint64)
    words = np.zeros((n_points + 7) // 8, dtype=np.uint64)
    is_open = words.view(np.uint8)
    room_of = -1
    for i in range(residual.shape[0]):
        correct(residual[i : i + 1], factors[:, i : i + 1], columns)
        if not alive[i]:
            continue
        row = residual[i]
        inverse = np.float32(1) / (max(row[positions[i]], np.float32(0)) + ridge)
        p = targets[i]
        if p != room_of:
            _find_target_room(target_room, by_class[p], own, rival, rival_class, room, np.int32(p))
            target_room[starts[p] : starts[p + 1]] = room[starts[p] : starts[p + 1]]
            room_of = p
        at = positions[i]
        for c in range(n_classes):
            change[c] = -by_point[at, c]
        change[p] = np.float32(1) - by_point[at, p]
        largest = -lowest[at]
        smallest = -(rival[at] if labels[at] == p else max(own[at], rival[at]))
        slack = _SLACK * max(abs(change[p]), abs(largest), abs(smallest))
        scale = inverse * (_MORE * (largest - smallest) + slack)
        target_scale = inverse * (_MORE * (max(largest, change[p]) - min(smallest, change[p])) + slack)
        _mark_open(row, scale, target_scale, room, target_room, is_open)
        n_listed = _list_open(words, is_open, listed_words, listed)
        more, n_left = _decide(
            row, inverse, change, np.uint64(p), largest, smallest, own, rival, second, rival_class, labels, by_class[p],
            listed[:n_listed],
        )  # fmt: skip
        counts[i] = n_wrong + more
        undecided[i] = n_left
        for k in range(n_left):
            u = listed[k]
            counts[i] += _is_beaten(by_point[u], row[u] * inverse, change, labels[u])


@compiled
def _room(above: Any, below: Any) -> Any:
    """How much the difference of two values may change for certain before it may change its sign."""
    return (np.float32(1) - _SLACK) * abs(above - below) - _SLACK * (abs(above) + abs(below)) - _TINY


@compiled
def _find_target_room(
    target_room: Any, of_target: Any, own: Any, rival: Any, rival_class: Any, room: Any, target: Any
) -> None:
    """The room of the points of another class than the target's, where the target's value moves as well."""
    for u in range(target_room.shape[0]):
        left = _room(own[u], of_target[u])
        left = np.float32(np.inf) if rival[u] > own[u] else left
        target_room[u] = room[u] if rival_class[u] == target else left


@compiled
def _mark_open(row: Any, scale: Any, target_scale: Any, room: Any, target_room: Any, is_open: Any) -> None:
    """Mark the points that might become right or wrong; a NaN is one."""
    for u in range(row.shape[0]):
        size = abs(row[u])
        is_open[u] = not ((size * scale < room[u]) & (size * target_scale < target_room[u]))


@compiled
def _list_open(words: Any, is_open: Any, listed_words: Any, listed: Any) -> Any:
    """Write the marked points into `listed`; returns how many. Without a branch that could be guessed wrong."""
    n_words, n_listed = np.uint64(0), np.uint64(0)
    for word in range(words.shape[0]):
        listed_words[n_words] = word
        n_words += np.uint64(words[word] != 0)
    for k in range(n_words):
        first = np.uint64(8) * listed_words[k]
        for bit in range(8):
            u = first + np.uint64(bit)
            listed[n_listed] = u
            n_listed += np.uint64(is_open[u])
    return n_listed


@compiled
def _decide(
    row: Any, inverse: Any, change: Any, p: Any, largest: Any, smallest: Any, own: Any, rival: Any, second: Any,
    rival_class: Any, labels: Any, of_target: Any, listed: Any,
) -> Any:  # fmt: skip
    """How many of the listed points become wrong, less those that are; the undecided ones move to the list's head."""
    more, n_left = np.int64(0), np.uint64(0)
    change_p = change[p]
    for k in range(listed.shape[0]):
        u = listed[k]
        y = np.uint64(labels[u])
        c = np.uint64(rival_class[u])
        g = row[u] * inverse
        value = own[u] + g * change[y]
        target_value = of_target[u] + g * change_p
        rival_value = rival[u] + g * change[c]
        is_lost = (target_value > value) | ((target_value == value) & (p < y))
        is_lost |= (rival_value > value) | ((rival_value == value) & (c < y))
        high, low = g * largest, g * smallest
        is_safe = value > second[u] + (high if high > low else low)
        more += np.int64(is_lost) - np.int64(rival[u] > own[u])
        listed[n_left] = u
        n_left += np.uint64(not (is_lost | is_safe))
    return more, n_left


@compiled
def _is_beaten(values: Any, gain: Any, change: Any, y: Any) -> bool:
    """Whether another class is at the top after the change: the definition, with ties to the lowest class."""
    value = values[y] + gain * change[y]
    beaten = False
    for c in range(values.shape[0]):
        after = values[c] + gain * change[c]
        beaten |= (after > value) | ((after == value) & (c < y))
    return beaten


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
