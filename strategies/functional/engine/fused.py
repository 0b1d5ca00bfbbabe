"""The 0-1 risk on a GPU in one pass over S, written in Triton.

`_scan` corrects S by the last pick, decides what the bounds decide and lists the points that are left, candidate
by candidate; `_settle` takes these through all classes. A list holds 1/16 of the points; a candidate with
more of them (in the first picks of a first round) goes through all points instead. Nothing is added
atomically, and no product is fused with a sum, so the bits are those of `gpu.count_wrong`.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from strategies.functional.engine.gpu import Candidates, Correction, Points

_ROWS, _POINTS, _WARPS = 4, 256, 4
_PAIRS = 128
_LISTED_SHARE = 16


@triton.jit
def _scan(
    residual, factors, column, targets, inverse, change, largest, smallest,
    by_class, labels, own, rival, rival_class, lost, n_open, listed,
    n_rows, n_points, n_classes, room,
    CORRECT: tl.constexpr, ROWS: tl.constexpr, POINTS: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    is_row = rows < n_rows
    target = tl.load(targets + rows, mask=is_row, other=0).to(tl.int32)[:, None]
    scale = tl.load(inverse + rows, mask=is_row, other=0.0)[:, None]
    most = tl.load(largest + rows, mask=is_row, other=0.0)[:, None]
    least = tl.load(smallest + rows, mask=is_row, other=0.0)[:, None]
    first = rows.to(tl.int64)[:, None] * n_points
    first_change = change + rows[:, None] * n_classes
    of_target_change = tl.load(first_change + target, mask=is_row[:, None], other=0.0)
    n_lost = tl.zeros([ROWS], dtype=tl.int32)
    n_left = tl.zeros([ROWS], dtype=tl.int32)
    for start in range(0, n_points, POINTS):
        points = start + tl.arange(0, POINTS)
        is_point = points < n_points
        inside = is_row[:, None] & is_point[None, :]
        value_at = residual + first + points[None, :]
        row = tl.load(value_at, mask=inside, other=0.0)
        if CORRECT:
            factor = tl.load(factors + rows, mask=is_row, other=0.0)[:, None]
            row = row - factor * tl.load(column + points, mask=is_point, other=0.0)[None, :]
            tl.store(value_at, row, mask=inside)
        label = tl.load(labels + points, mask=is_point, other=0).to(tl.int32)[None, :]
        strongest = tl.load(rival + points, mask=is_point, other=0.0)[None, :]
        strongest_class = tl.load(rival_class + points, mask=is_point, other=0).to(tl.int32)[None, :]
        gain = row * scale
        value = tl.load(own + points, mask=is_point, other=0.0)[None, :] + gain * tl.load(
            first_change + label, mask=inside, other=0.0
        )
        of_target = tl.load(by_class + target * n_points + points[None, :], mask=inside, other=0.0)
        of_target = of_target + gain * of_target_change
        high = gain * most
        low = gain * least
        is_lost = (of_target > value) | ((of_target == value) & (target < label))
        is_lost = is_lost | ((strongest + tl.minimum(high, low) > value) & (strongest_class != target))
        is_safe = value > strongest + tl.maximum(high, low)
        is_open = inside & (is_lost == 0) & (is_safe == 0)
        opened = is_open.to(tl.int32)
        place = n_left[:, None] + tl.cumsum(opened, axis=1) - 1
        slot = listed + rows.to(tl.int64)[:, None] * room + place
        tl.store(slot, tl.broadcast_to(points[None, :], (ROWS, POINTS)), mask=is_open & (place < room))
        n_left += tl.sum(opened, axis=1)
        n_lost += tl.sum((inside & is_lost).to(tl.int32), axis=1)
    tl.store(lost + rows, n_lost, mask=is_row)
    tl.store(n_open + rows, n_left, mask=is_row)


@triton.jit
def _settle(
    residual, inverse, change, by_class, labels, own, lost, n_open, listed,
    counts, n_points, n_classes, room, PAIRS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    scale = tl.load(inverse + row)
    n_left = tl.load(n_open + row)
    n_listed = tl.where(n_left <= room, n_left, 0)
    n_pairs = tl.where(n_left <= room, n_left, n_points)
    wrong = tl.where(n_left <= room, tl.load(lost + row), 0)
    for start in range(0, n_pairs, PAIRS):
        pairs = start + tl.arange(0, PAIRS)
        is_pair = pairs < n_pairs
        points = tl.load(listed + row * room + pairs, mask=pairs < n_listed, other=0)
        points = tl.where(n_listed > 0, points, pairs)
        label = tl.load(labels + points, mask=is_pair, other=0).to(tl.int32)
        gain = tl.load(residual + row * n_points + points, mask=is_pair, other=0.0) * scale
        value = tl.load(own + points, mask=is_pair, other=0.0) + gain * tl.load(
            change + row * n_classes + label, mask=is_pair, other=0.0
        )
        beaten = is_pair & (points < 0)
        for c in range(0, n_classes):
            after = tl.load(by_class + c * n_points + points, mask=is_pair, other=0.0)
            after = after + gain * tl.load(change + row * n_classes + c)
            beaten = beaten | (after > value) | ((after == value) & (label > c))
        wrong += tl.sum((beaten & is_pair).to(tl.int32), axis=0)
    tl.store(counts + row, wrong)


def count_wrong_fused(
    residual: Tensor, correction: Correction | None, candidates: Candidates, points: Points
) -> tuple[Tensor, Tensor]:
    """The risk of some candidates (`gpu.Count`)."""
    n_rows, n_points = residual.shape
    n_classes = len(points.by_class)
    room = max(1, n_points // _LISTED_SHARE)
    device = residual.device
    lost, n_open, counts = (torch.empty(n_rows, dtype=torch.int32, device=device) for _ in range(3))
    listed = torch.empty((n_rows, room), dtype=torch.int32, device=device)
    factors, column = correction if correction is not None else (candidates.inverse, points.own)
    _scan[(triton.cdiv(n_rows, _ROWS),)](
        residual, factors, column, candidates.targets, candidates.inverse, candidates.change, candidates.largest,
        candidates.smallest, points.by_class, points.labels, points.own, points.rival, points.rival_class, lost,
        n_open, listed, n_rows, n_points, n_classes, room,
        CORRECT=correction is not None, ROWS=_ROWS, POINTS=_POINTS, num_warps=_WARPS, enable_fp_fusion=False,
    )  # fmt: skip
    _settle[(n_rows,)](
        residual, candidates.inverse, candidates.change, points.by_class, points.labels, points.own, lost, n_open,
        listed, counts, n_points, n_classes, room, PAIRS=_PAIRS, num_warps=_WARPS, enable_fp_fusion=False,
    )  # fmt: skip
    return counts.long(), n_open.long()
