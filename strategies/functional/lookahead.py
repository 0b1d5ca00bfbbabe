"""The look-ahead engine: kernel regression one label ahead, for every candidate at once.

Write S for the residual kernel after the labelled points L, and f for the predictions (method of the block
update, Mohamadi et al. 2022, eq. 12):

    S = K_UU - K_UL (K_LL + r I)^-1 K_LU,      f = f0 + K_UL (K_LL + r I)^-1 (Y_L - f0_L).

Adding candidate i with target y_i changes f by g (y_i - f[i]) with g = S[:, i] / (S[i, i] + r); once it is
accepted, S loses S[:, i] S[i, :] / (S[i, i] + r). So a round factorises once, and a pick is a pass over S.

A `Block` holds the rows of S of some candidates (S is symmetric: a row is a column). The greedy loop talks to
one block or to several and finds the same picks, because every tile is computed alike wherever it is and
the corrections are elementwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from strategies.base import FloatArray, IndexArray
from strategies.functional.counting import correct, count_wrong, move_predictions
from strategies.functional.ntk import Kernel
from strategies.functional.tiles import map_tiles, slices

Risk = Literal["zero_one", "squared"]

SMALLEST_RIDGE = 1e-5
"""Ridge below which float32 residuals are noise, relative to the mean of the kernel's diagonal."""


_CACHED_ROWS = 16
"""Rows of S that are corrected and then counted while they are in the cache."""


class Pick(NamedTuple):
    """The best candidate of a block, ordered as `min` should: by score, then by pool index."""

    score: float
    pool_index: int
    row: int


@dataclass(frozen=True, eq=False)
class Problem:
    """One round of look-ahead on N points, of which some are labelled and some are candidates.

    Attributes:
        kernel: NTK on the N points.
        ridge: r, absolute.
        whitened: (chol(K_LL + r I))^-1 K_LU, `n_labelled x N` float32; S = K - whitened^T whitened.
        predictions: f, `N x n_classes` float32.
        targets: class that a candidate is added with, one for each of the N points.
        labels: class that each point should be predicted as, `N`; the points are sorted by it.
        candidates: positions of the candidates among the N points.
        pool_indices: pool index of each of the N points; breaks ties.
    """

    kernel: Kernel
    ridge: float
    whitened: FloatArray
    predictions: FloatArray
    targets: IndexArray
    labels: IndexArray
    candidates: IndexArray
    pool_indices: IndexArray

    @property
    def n_points(self) -> int:
        """N."""
        return len(self.labels)


def one_hot(labels: IndexArray, n_classes: int, *, centred: bool) -> FloatArray:
    """0/1 targets, or the same less 1/n_classes, `n x n_classes` float64."""
    targets: FloatArray = np.eye(n_classes)[labels]
    return targets - 1 / n_classes if centred else targets


def absolute_ridge(kernel: Kernel, ridge: float) -> float:
    """The ridge, given relative to the mean of the kernel's diagonal, in the kernel's unit."""
    return max(ridge, SMALLEST_RIDGE) * float(kernel.diagonal().mean())


def condition(
    kernel64: Kernel,
    labelled: IndexArray,
    labelled_targets: FloatArray,
    initial: FloatArray,
    ridge: float,
    n_threads: int,
) -> tuple[FloatArray, FloatArray]:
    """Kernel regression on the labelled points.

    Args:
        kernel64: NTK on the N points in float64.
        labelled: positions of the labelled points.
        labelled_targets: Y_L, `n_labelled x n_classes`.
        initial: f0, `N x n_classes`.
        ridge: r, absolute, above 0.
        n_threads: tiles worked on at once.

    Returns:
        `whitened` and `predictions` of `Problem`, float32.
    """
    n, n_classes = initial.shape
    if len(labelled) == 0:
        return np.zeros((0, n), dtype=np.float32), initial.astype(np.float32)
    gram = kernel64(labelled, labelled)
    factor = cholesky(gram + ridge * np.eye(len(labelled)), lower=True)
    residual = solve_triangular(factor, labelled_targets - initial[labelled], lower=True)
    whitened = np.empty((len(labelled), n), dtype=np.float32)
    predictions = np.empty((n, n_classes), dtype=np.float32)

    def solve(points: slice) -> None:
        half = solve_triangular(factor, kernel64(labelled, points), lower=True)
        whitened[:, points] = half
        predictions[points] = initial[points] + half.T @ residual

    map_tiles(solve, n, n_threads=n_threads)
    return whitened, predictions


@dataclass(eq=False)
class Block:
    """The residual kernel of some candidates, and everything that scores and accepts them.

    Args:
        problem: the round.
        rows: which of `problem.candidates` this block holds; starts at a multiple of the tile.
        risk: `zero_one` counts wrong points; `squared` is the change of the summed squared error, for which
            targets and labels must be the same.
        n_threads: tiles worked on at once.
    """

    problem: Problem
    rows: slice
    risk: Risk
    n_threads: int
    undecided_pairs: int = field(default=0, init=False)
    scored_pairs: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        problem = self.problem
        self._positions = problem.candidates[self.rows]
        self._ids = problem.pool_indices[self._positions]
        self._targets = problem.targets[self._positions]
        n, n_rows, n_classes = problem.n_points, len(self._positions), problem.predictions.shape[1]
        self._ridge = np.float32(problem.ridge)
        self._by_point = np.array(problem.predictions, dtype=np.float32, order="C")
        self._by_class = np.array(problem.predictions.T, dtype=np.float32, order="C")
        self._starts = np.searchsorted(problem.labels, np.arange(n_classes + 1))
        self._own = np.empty(n, dtype=np.float32)
        self._rival = np.empty(n, dtype=np.float32)
        self._rival_class = np.empty(n, dtype=np.int32)
        self._move(np.zeros(n, dtype=np.float32), np.zeros(n_classes, dtype=np.float32))
        self._alive = np.ones(n_rows, dtype=bool)
        self._counts = np.empty(n_rows, dtype=np.int64)
        self._undecided = np.empty(n_rows, dtype=np.int64)
        self._pending: tuple[FloatArray, FloatArray] | None = None
        self._residual = np.empty((n_rows, n), dtype=np.float32)
        map_tiles(self._build, n_rows, n_threads=self.n_threads)
        if self.risk == "squared":
            self._start_squared()

    def _build(self, tile: slice) -> None:
        positions = self._positions[tile]
        block = self.problem.kernel(positions, slice(None))
        block -= self.problem.whitened[:, positions].T @ self.problem.whitened
        self._residual[tile] = block

    def best(self) -> Pick | None:
        """The candidate with the smallest risk, ties to the smallest pool index; None when all are taken."""
        alive = np.flatnonzero(self._alive)
        if len(alive) == 0:
            return None
        scores = self.scores()[alive]
        ties = alive[scores == scores.min()]
        row = int(ties[self._ids[ties].argmin()])
        return Pick(float(scores.min()), int(self._ids[row]), row)

    def scores(self) -> FloatArray | IndexArray:
        """Risk after adding each candidate; meaningless for those already accepted."""
        return self._squared_change() if self.risk == "squared" else self._count()

    def column(self, row: int) -> FloatArray:
        """S[:, i] of one of this block's candidates, `N` float32; to be read after `scores`."""
        column: FloatArray = self._residual[row].copy()
        return column

    def accept(self, pick: Pick, column: FloatArray, *, mine: bool) -> None:
        """Add a candidate, of this block or another, with its target.

        Args:
            pick: the candidate.
            column: its S[:, i].
            mine: whether `pick.row` is a row of this block.
        """
        position = int(np.flatnonzero(self.problem.pool_indices == pick.pool_index)[0])
        target = int(self.problem.targets[position])
        inverse = np.float32(1) / (max(column[position], np.float32(0)) + self._ridge)
        gain = column * inverse
        change = -self._by_point[position]
        change[target] = np.float32(1) - self._by_point[position, target]
        if mine:
            self._alive[pick.row] = False
        if self.risk == "squared":
            self._move_squared(column, gain, change, inverse)
        else:
            # S is corrected in the pass that counts next, so that it is read and written once a pick.
            self._pending = gain, column
        self._move(gain, change)

    @property
    def predictions(self) -> FloatArray:
        """Outputs f at the N points after all accepted picks, `N x n_classes` float32."""
        return self._by_point

    def _move(self, gain: FloatArray, change: FloatArray) -> None:
        def move(points: slice) -> None:
            move_predictions(
                self._by_point, self._by_class, gain, change, self.problem.labels, points.start, points.stop,
                self._own, self._rival, self._rival_class,
            )  # fmt: skip

        map_tiles(move, self.problem.n_points, n_threads=self.n_threads)

    def _correct(self, tile: slice, gain: FloatArray, column: FloatArray) -> None:
        correct(self._residual, tile.start, tile.stop, self._positions, self._alive, gain, column)

    def _count(self) -> IndexArray:
        pending = self._pending

        def count(tile: slice) -> None:
            for rows in slices(tile.start, tile.stop, _CACHED_ROWS):
                if pending:
                    self._correct(rows, *pending)
                count_wrong(
                    self._residual, rows.start, rows.stop, self._positions, self._targets, self._alive, self._ridge,
                    self._by_point, self._by_class, self.problem.labels, self._starts,
                    self._own, self._rival, self._rival_class, self._counts, self._undecided,
                )  # fmt: skip

        map_tiles(count, len(self._positions), n_threads=self.n_threads)
        self._pending = None
        self.undecided_pairs += int(self._undecided[self._alive].sum())
        self.scored_pairs += int(self._alive.sum()) * self.problem.n_points
        return self._counts

    # Squared risk. With D = Y - f and s = 1/(S_ii + r), adding i changes the sum of squares by
    # s^2 |S_i|^2 |D_i|^2 - 2 s (S D)_i . D_i; |S_i|^2 and S D follow a pick through w = S S[:, j] alone.

    def _start_squared(self) -> None:
        errors = self._errors()
        self._norms = np.empty(len(self._positions), dtype=np.float64)
        self._products = np.empty((len(self._positions), errors.shape[1]), dtype=np.float64)

        def start(tile: slice) -> None:
            block = self._residual[tile].astype(np.float64)
            self._norms[tile] = np.einsum("ij,ij->i", block, block)
            self._products[tile] = block @ errors

        map_tiles(start, len(self._positions), n_threads=self.n_threads)

    def _errors(self) -> FloatArray:
        return np.eye(self._by_point.shape[1])[self.problem.labels] - self._by_point

    def _squared_change(self) -> FloatArray:
        inverse = 1 / (np.maximum(self._diagonal(), 0) + float(self._ridge))
        errors = self._errors()[self._positions]
        size = np.einsum("ij,ij->i", errors, errors)
        alignment = np.einsum("ij,ij->i", self._products, errors)
        change: FloatArray = inverse**2 * self._norms * size - 2 * inverse * alignment
        return change

    def _diagonal(self) -> FloatArray:
        diagonal: FloatArray = self._residual[np.arange(len(self._positions)), self._positions].astype(np.float64)
        return diagonal

    def _move_squared(self, column: FloatArray, gain: FloatArray, change: FloatArray, inverse: np.float32) -> None:
        errors = self._errors()
        change64, gain64 = change.astype(np.float64), gain[self._positions].astype(np.float64)
        column64 = column.astype(np.float64)
        crossed = np.empty(len(self._positions), dtype=np.float64)

        def cross(tile: slice) -> None:
            crossed[tile] = self._residual[tile] @ column
            self._correct(tile, gain, column)

        map_tiles(cross, len(self._positions), n_threads=self.n_threads)
        scaled = column64 * float(inverse)
        own_norm = float(column64 @ column64)
        # (S - q p^T)(D - t d^T) row by row, with q = gain, p = column, t = scaled, d = change.
        self._products -= (crossed * float(inverse))[:, None] * change64
        self._products -= gain64[:, None] * (column64 @ errors - float(scaled @ column64) * change64)
        self._norms += gain64**2 * own_norm - 2 * gain64 * crossed


class LocalEngine:
    """All candidates in one block."""

    def __init__(self, problem: Problem, risk: Risk, n_threads: int) -> None:
        self.block = Block(problem, slice(0, len(problem.candidates)), risk, n_threads)

    def pick(self) -> Pick:
        """Find the best candidate and accept it."""
        best = self.block.best()
        assert best is not None, "the caller never asks for more picks than there are candidates"
        self.block.accept(best, self.block.column(best.row), mine=True)
        return best


def model_change(problem: Problem, n_threads: int) -> FloatArray:
    """Summed L2 change of the predictions when each candidate is added with its target.

    Closed form of the score of Mohamadi et al. 2022: sum_u |S[u, i]| / (S_ii + r) * |y_i - f_i|.

    Returns:
        One value a candidate, float64.
    """
    scores = np.empty(len(problem.candidates), dtype=np.float64)
    errors = np.eye(problem.predictions.shape[1])[problem.targets] - problem.predictions
    sizes = np.linalg.norm(errors, axis=1)

    def score(tile: slice) -> None:
        positions = problem.candidates[tile]
        block = problem.kernel(positions, slice(None)) - problem.whitened[:, positions].T @ problem.whitened
        variance = np.maximum(block[np.arange(len(positions)), positions], 0).astype(np.float64)
        total = np.abs(block).sum(axis=1, dtype=np.float64)
        scores[tile] = total / (variance + problem.ridge) * sizes[positions]

    map_tiles(score, len(problem.candidates), n_threads=n_threads)
    return scores
