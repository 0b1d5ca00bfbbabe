"""The look-ahead on a GPU: the same block, its arrays on a torch device.

A pick reads and writes S once: the correction of the pick before, the bounds of the 0-1 count and the count
itself are one Triton kernel (`strategies.functional.engine.fused`), or a few torch operations where Triton is absent.
Corrections and counts are rounded operation by operation, so both give the same bits; every reduction of
floating-point numbers runs in tiles of `TILE_ROWS` rows, without atomic additions.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from strategies.functional.arrays import FloatArray, IndexArray
from strategies.functional.engine.problem import Compute, Pick, Problem, Score
from strategies.functional.engine.squared import SquaredRisk
from strategies.functional.ntk import Kernel
from strategies.functional.tiles import TILE_ROWS, slices

_FREE_SHARE = 0.8
_BUILDING, _CHANGING = 12, 9
_PAIRS = 2**18
"""Undecided pairs that go through all classes at once without Triton."""
_ROWS = 64
"""Candidates that are counted at once without Triton."""


@dataclass(frozen=True, eq=False)
class Points:
    """What the count needs to know of each point.

    Attributes:
        by_class: f, `n_classes x N`.
        labels: y, `N` int64.
        own: value of class y, `N`.
        rival: largest value of another class, `N`; -inf where there is one class.
        rival_class: that class, `N` int64.
    """

    by_class: Tensor
    labels: Tensor
    own: Tensor
    rival: Tensor
    rival_class: Tensor


@dataclass(frozen=True, eq=False)
class Candidates:
    """What the count needs to know of each candidate.

    Attributes:
        targets: class p, `n` int64.
        inverse: 1 / (S_ii + r), `n`.
        change: d = onehot(p) - f[i], `n x n_classes`.
        largest: largest d of a class other than p, `n`; 0 where there is one class.
        smallest: smallest d of a class other than p, `n`; 0 where there is one class.
    """

    targets: Tensor
    inverse: Tensor
    change: Tensor
    largest: Tensor
    smallest: Tensor

    def __getitem__(self, rows: slice) -> Candidates:
        return Candidates(
            self.targets[rows], self.inverse[rows], self.change[rows], self.largest[rows], self.smallest[rows]
        )


Correction = tuple[Tensor, Tensor]
"""g of an accepted candidate at some rows of S, and its S[:, j]."""
Count = Callable[[Tensor, Correction | None, Candidates, Points], tuple[Tensor, Tensor]]
"""Corrects rows of S in place; returns the risk of each and its undecided points, `n` int64 both."""


class DeviceBlock:
    """`strategies.functional.engine.cpu.Block` on a torch device; the same arguments and methods.

    Args:
        problem: the round.
        rows: which of `problem.candidates` this block holds; starts at a multiple of `TILE_ROWS`.
        score: see `Block`.
        compute: device and memory; rows of S that exceed the limit, or the device's memory, are not stored.
        count: counts the 0-1 risk; None takes Triton's kernel where it is installed.
    """

    def __init__(
        self, problem: Problem, rows: slice, score: Score, compute: Compute, count: Count | None = None
    ) -> None:
        self.scored_pairs = 0
        self._problem = problem
        self._score = score
        self._device = torch.device(compute.device)
        self._undecided = torch.zeros((), dtype=torch.int64, device=self._device)
        self._count_wrong = count or default_count(self._device)
        self._kernel = problem.kernel.moved(self._moved)
        self._whitened = self._moved(problem.whitened)
        self._ridge = float(np.float32(problem.ridge))
        positions = problem.candidates[rows]
        self._ids = problem.pool_indices[positions]
        self._rows = {int(pool_index): row for row, pool_index in enumerate(self._ids)}
        self._places = {int(pool_index): place for place, pool_index in enumerate(problem.pool_indices)}
        self._positions = self._moved(positions)
        self._targets = self._moved(problem.targets)
        self._labels = self._moved(problem.labels)
        self._device_ids = self._moved(self._ids)
        self._alive = torch.ones(len(positions), dtype=torch.bool, device=self._device)
        self._n_alive = len(positions)
        self._accepted: list[Correction] = []
        self._by_point = self._moved(problem.predictions).clone()
        self._tiles = slices(0, len(positions), TILE_ROWS)
        n_stored = min(len(positions), self._rows_that_fit(compute.memory_limit))
        self._stored = torch.empty((n_stored, problem.n_points), dtype=torch.float32, device=self._device)
        self._n_corrected = 0
        self._variances = torch.empty(len(positions), dtype=torch.float32, device=self._device)
        for tile in self._tiles:
            residual = self._build(tile)
            own = self._positions[tile]
            self._variances[tile] = residual[torch.arange(len(own), device=self._device), own]
            if tile.stop <= n_stored:
                self._stored[tile] = residual
        self._find_rivals()
        if score == "squared":
            self._start_squared()

    def best(self) -> Pick | None:
        """The candidate with the smallest score, ties to the smallest pool index; None when all are taken."""
        if self._n_alive == 0:
            return None
        scores = self._scores().masked_fill(~self._alive, torch.inf if self._score != "zero_one" else _NEVER)
        smallest = scores.min()
        pool_index = self._device_ids.masked_fill((scores != smallest) | ~self._alive, _NEVER).min()
        # One copy from the device a pick; float64 holds counts and indices exactly.
        score, found = torch.stack((smallest.double(), pool_index.double())).cpu().tolist()
        return Pick(score, int(found))

    def scores(self) -> FloatArray | IndexArray:
        """Score of each candidate; meaningless for those already accepted."""
        scores: FloatArray = self._scores().cpu().numpy()
        return scores

    def column(self, pool_index: int) -> FloatArray:
        """S[:, i] of one of this block's candidates, `N` float32."""
        column: FloatArray = self._column(pool_index).cpu().numpy()
        return column

    def accept(self, pool_index: int, column: FloatArray | None = None) -> None:
        """Add a candidate, of this block or another, with its target.

        Args:
            pool_index: the candidate.
            column: its S[:, i]; None takes it from this block.
        """
        residual = self._column(pool_index) if column is None else self._moved(column)
        place = self._places[pool_index]
        target = self._targets[place]
        inverse = 1 / (residual[place].clamp(min=0) + self._ridge)
        gain = residual * inverse
        change = _changes(self._by_point[place][None], target[None])[0]
        if pool_index in self._rows:
            self._alive[self._rows[pool_index]] = False
            self._n_alive -= 1
        if self._score == "squared":
            self._move_squared(residual, gain, change, inverse)
        if len(self._stored) == len(self._positions):
            # Only rows that are built again need a correction twice.
            del self._accepted[: self._n_corrected]
            self._n_corrected = 0
        self._accepted.append((gain, residual))
        self._variances -= gain[self._positions] * residual[self._positions]
        self._by_point += gain[:, None] * change
        self._find_rivals()

    @property
    def predictions(self) -> FloatArray:
        """Outputs f at the N points after all accepted picks, `N x n_classes` float32."""
        outputs: FloatArray = self._by_point.cpu().numpy()
        return outputs

    @property
    def undecided_pairs(self) -> int:
        """The (candidate, point) pairs so far that went through all classes."""
        return int(self._undecided)

    @property
    def stored_share(self) -> float:
        """Share of the rows of S that are held; the others are computed again for each pick."""
        return len(self._stored) / max(len(self._positions), 1)

    def _moved(self, array: Any) -> Tensor:
        return torch.as_tensor(array).to(self._device)

    def _rows_that_fit(self, limit: int | None) -> int:
        """Rows of S that may be stored: whole tiles, beside the problem and room to work in.

        Building a tile of the kernel takes up to `_BUILDING` tiles; errors and changes of outputs in float64 take up to
        `_CHANGING` arrays as large as the outputs. Triton's kernel lists a sixteenth of the points of each row. Not in
        it are the open pairs of a count without Triton and, where rows are built again, the corrections, 8 bytes a
        point and pick.
        """
        if self._device.type == "cuda":
            free = int(_FREE_SHARE * free_bytes(self._device))
            limit = free if limit is None else min(limit, free)
        if limit is None:
            return len(self._positions)
        tile, outputs = 4 * TILE_ROWS * self._problem.n_points, self._by_point.nbytes
        working = max(_BUILDING * tile + outputs, _BUILDING // 2 * tile + _CHANGING * outputs)
        spare = max(0, limit - self._problem.nbytes - working)
        return spare * 16 // (17 * tile) * TILE_ROWS

    def _find_rivals(self) -> None:
        """What follows from the predictions, after each change of theirs."""
        own = self._by_point.gather(1, self._labels[:, None])
        others = self._by_point.scatter(1, self._labels[:, None], -torch.inf)
        rival, rival_class = others.max(dim=1)
        by_class = self._by_point.T.contiguous()
        self._points = Points(by_class, self._labels, own[:, 0], rival, rival_class)

    def _build(self, tile: slice) -> Tensor:
        """Rows of S before any pick."""
        positions = self._positions[tile]
        block: Tensor = self._kernel(positions, slice(None))
        block -= self._whitened[:, positions].T @ self._whitened
        return block

    def _rebuilt(self) -> Iterator[tuple[slice, Tensor]]:
        """Rows of S that are not stored, corrected by all picks, tile by tile."""
        for tile in self._tiles:
            if tile.stop > len(self._stored):
                residual = self._build(tile)
                for correction in self._accepted:
                    _correct(residual, self._at(tile, correction))
                yield tile, residual

    def _residuals(self) -> Iterator[tuple[slice, Tensor]]:
        """All rows of S, corrected by all picks, tile by tile."""
        self._correct_stored(len(self._accepted))
        for tile in self._tiles:
            if tile.stop <= len(self._stored):
                yield tile, self._stored[tile]
        yield from self._rebuilt()

    def _correct_stored(self, n_picks: int) -> None:
        stored = slice(0, len(self._stored))
        for correction in self._accepted[self._n_corrected : n_picks]:
            for tile in slices(0, len(self._stored), TILE_ROWS):
                _correct(self._stored[tile], self._at(tile, correction))
        self._n_corrected = max(self._n_corrected, n_picks if stored.stop else 0)

    def _at(self, rows: slice, correction: Correction) -> Correction:
        gain, column = correction
        return gain[self._positions[rows]], column

    def _column(self, pool_index: int) -> Tensor:
        row = self._rows[pool_index]
        if row < len(self._stored):
            residual = self._stored[row : row + 1].clone()
            due = self._accepted[self._n_corrected :]
        else:
            tile = self._tiles[row // TILE_ROWS]
            # A view would keep the whole tile, and begin where products are rounded in another order.
            residual = self._build(tile)[row - tile.start, None].clone()
            due = self._accepted
        for correction in due:
            _correct(residual, self._at(slice(row, row + 1), correction))
        return residual[0]

    def _scores(self) -> Tensor:
        if self._score == "zero_one":
            return self._count()
        return self._squared_change() if self._score == "squared" else self._output_change()

    def _count(self) -> Tensor:
        change = _changes(self._by_point[self._positions], self._targets[self._positions])
        targets = self._targets[self._positions]
        candidates = Candidates(
            targets=targets,
            inverse=1 / (self._variances.clamp(min=0) + self._ridge),
            change=change,
            largest=change.scatter(1, targets[:, None], -torch.inf).amax(dim=1).nan_to_num(neginf=0),
            smallest=change.scatter(1, targets[:, None], torch.inf).amin(dim=1).nan_to_num(posinf=0),
        )
        counts = torch.zeros(len(targets), dtype=torch.int64, device=self._device)
        undecided = torch.zeros_like(counts)
        stored = slice(0, len(self._stored))
        if stored.stop:
            # All picks but the last one; that one is corrected in the pass that counts.
            self._correct_stored(len(self._accepted) - 1)
            due = self._accepted[self._n_corrected :]
            correction = self._at(stored, due[0]) if due else None
            counts[stored], undecided[stored] = self._count_wrong(
                self._stored, correction, candidates[stored], self._points
            )
            self._n_corrected = len(self._accepted)
        for tile, residual in self._rebuilt():
            counts[tile], undecided[tile] = self._count_wrong(residual, None, candidates[tile], self._points)
        self._undecided += undecided.masked_fill(~self._alive, 0).sum()
        self.scored_pairs += self._n_alive * self._problem.n_points
        return counts

    def _output_change(self) -> Tensor:
        scores = torch.empty(len(self._positions), dtype=torch.float64, device=self._device)
        sizes = torch.linalg.norm(self._errors(self._targets)[self._positions], dim=1)
        inverse = 1 / (self._variances.clamp(min=0).double() + self._ridge)
        for tile, residual in self._residuals():
            scores[tile] = residual.abs().sum(dim=1, dtype=torch.float64)
        return scores.mul_(inverse).mul_(sizes)

    def _start_squared(self) -> None:
        errors = self._errors(self._labels)
        products = torch.empty((len(self._positions), errors.shape[1]), dtype=torch.float64, device=self._device)
        self._squared = SquaredRisk(torch.empty_like(products[:, 0]), products, torch.einsum)
        for tile, residual in self._residuals():
            self._squared.start(tile, residual.double(), errors)

    def _errors(self, classes: Tensor) -> Tensor:
        """0/1 outputs of the given classes less the predictions, `N x n_classes` float64."""
        errors: Tensor = torch.nn.functional.one_hot(classes, self._by_point.shape[1]) - self._by_point.double()
        return errors

    def _squared_change(self) -> Tensor:
        inverse = 1 / (self._variances.clamp(min=0).double() + self._ridge)
        scores: Tensor = self._squared.scores(slice(None), inverse, self._errors(self._labels)[self._positions])
        return scores

    def _move_squared(self, column: Tensor, gain: Tensor, change: Tensor, inverse: Tensor) -> None:
        crossed = torch.empty(len(self._positions), dtype=torch.float64, device=self._device)
        for tile, residual in self._residuals():
            crossed[tile] = (residual @ column).double()
        follow = self._squared.accept(column.double(), self._errors(self._labels), inverse.double(), change.double())
        follow(slice(None), crossed, gain[self._positions].double())


_NEVER = 2**62


def free_bytes(device: torch.device) -> int:
    """Memory of a GPU that new tensors can have: what nobody holds, and what torch keeps of tensors that are gone."""
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + kept


def make_block(problem: Problem, rows: slice, score: Score, compute: Compute) -> DeviceBlock:
    """A block; where the device's memory runs out while it is made, one that stores no row of S."""
    try:
        return DeviceBlock(problem, rows, score, compute)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
    return DeviceBlock(problem, rows, score, replace(compute, memory_limit=0))


def _changes(predictions: Tensor, targets: Tensor) -> Tensor:
    """Change of each output, onehot(p) - f[i], of some candidates, `n x n_classes`."""
    change = -predictions
    return change.scatter(1, targets[:, None], 1 - predictions.gather(1, targets[:, None]))


def _correct(residual: Tensor, correction: Correction) -> None:
    """Take an accepted candidate out of rows of S, in place; a product, then a difference, each rounded."""
    factors, column = correction
    residual -= factors[:, None] * column


def default_count(device: torch.device) -> Count:
    """Triton's kernel on a GPU that has it, else `count_wrong`."""
    if device.type == "cpu" or importlib.util.find_spec("triton") is None:
        return count_wrong
    from strategies.functional.engine.fused import count_wrong_fused

    return count_wrong_fused


def count_wrong(
    residual: Tensor, correction: Correction | None, candidates: Candidates, points: Points
) -> tuple[Tensor, Tensor]:
    """The risk of some candidates (`Count`), by the rules of `strategies.functional.engine.counting`."""
    counts = torch.empty(len(residual), dtype=torch.int64, device=residual.device)
    undecided = torch.empty_like(counts)
    for rows in slices(0, len(residual), _ROWS):
        if correction is not None:
            _correct(residual[rows], (correction[0][rows], correction[1]))
        counts[rows], undecided[rows] = _count_rows(residual[rows], candidates[rows], points)
    return counts, undecided


def _count_rows(residual: Tensor, candidates: Candidates, points: Points) -> tuple[Tensor, Tensor]:
    targets = candidates.targets[:, None]
    gain = residual * candidates.inverse[:, None]
    value = points.own + gain * candidates.change[:, points.labels]
    of_target = points.by_class[candidates.targets] + gain * candidates.change.gather(1, targets)
    high, low = gain * candidates.largest[:, None], gain * candidates.smallest[:, None]
    is_lost = of_target > value
    is_lost |= (of_target == value) & (targets < points.labels)
    is_lost |= (points.rival + torch.minimum(high, low) > value) & (points.rival_class != targets)
    is_safe = value > points.rival + torch.maximum(high, low)
    is_open = ~(is_lost | is_safe)
    counts = is_lost.sum(dim=1)
    classes = torch.arange(len(points.by_class), device=residual.device)
    for row, point in zip(*(torch.split(part, _PAIRS) for part in is_open.nonzero(as_tuple=True)), strict=True):
        after = points.by_class[:, point].T + gain[row, point][:, None] * candidates.change[row]
        reached = value[row, point][:, None]
        beaten = (after > reached) | ((after == reached) & (classes < points.labels[point][:, None]))
        counts += torch.bincount(row[beaten.any(dim=1)], minlength=len(residual))
    return counts, is_open.sum(dim=1)


def condition(
    kernel64: Kernel,
    labelled: IndexArray,
    labelled_targets: FloatArray,
    initial: FloatArray,
    ridge: float,
    device: str,
) -> tuple[FloatArray, FloatArray]:
    """`strategies.functional.engine.problem.condition` on a torch device, tile by tile."""

    def moved(array: Any) -> Tensor:
        return torch.as_tensor(array).to(device)

    kernel, rows, start = kernel64.moved(moved), moved(labelled), moved(initial)
    gram = kernel(rows, rows)
    factor = torch.linalg.cholesky(gram + ridge * torch.eye(len(rows), dtype=torch.float64, device=device))
    residual = torch.linalg.solve_triangular(factor, moved(labelled_targets) - start[rows], upper=False)
    whitened = torch.empty((len(rows), len(start)), dtype=torch.float32, device=device)
    predictions = torch.empty(start.shape, dtype=torch.float32, device=device)
    for points in slices(0, len(start), TILE_ROWS):
        half = torch.linalg.solve_triangular(factor, kernel(rows, points), upper=False)
        whitened[:, points] = half
        predictions[points] = start[points] + half.T @ residual
    return whitened.cpu().numpy(), predictions.cpu().numpy()
