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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np
import scipy

from strategies.base import Compute, FloatArray, IndexArray
from strategies.functional.ntk import Kernel
from strategies.functional.tiles import TILE_ROWS, map_tiles, slices

if TYPE_CHECKING:
    from strategies.functional.device import DeviceBlock

Score = Literal["zero_one", "squared", "change"]
Visitor = Callable[[slice, FloatArray], None]

SMALLEST_RIDGE = 1e-4
"""Ridge below which float32 residuals are noise, relative to the mean of the kernel's diagonal."""


_CACHED_ROWS = 16
"""Rows of S that are corrected and then scored while they are in the cache; divides the tile."""


class Pick(NamedTuple):
    """A candidate with its score, ordered as `min` should: by score, then by pool index."""

    score: float
    pool_index: int


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
    def nbytes(self) -> int:
        """Size of the arrays."""
        return self.kernel.nbytes + self.whitened.nbytes + self.predictions.nbytes

    @property
    def n_points(self) -> int:
        """N."""
        return len(self.labels)


def one_hot(labels: IndexArray, n_classes: int) -> FloatArray:
    """0/1 targets, `n x n_classes` float64."""
    targets: FloatArray = np.eye(n_classes)[labels]
    return targets


def absolute_ridge(kernel: Kernel, ridge: float) -> float:
    """The ridge, given relative to the mean of the kernel's diagonal (1 for a kernel that is 0), in its unit."""
    return ridge * (float(kernel.diagonal().mean()) or 1.0)


def condition(
    kernel64: Kernel,
    labelled: IndexArray,
    labelled_targets: FloatArray,
    initial: FloatArray,
    ridge: float,
    compute: Compute,
) -> tuple[FloatArray, FloatArray]:
    """Kernel regression on the labelled points.

    Args:
        kernel64: NTK on the N points in float64.
        labelled: positions of the labelled points.
        labelled_targets: Y_L, `n_labelled x n_classes`.
        initial: f0, `N x n_classes`.
        ridge: r, absolute, above 0.
        compute: where, and on how many threads.

    Returns:
        `whitened` and `predictions` of `Problem`, float32.
    """
    n, n_classes = initial.shape
    if len(labelled) == 0:
        return np.zeros((0, n), dtype=np.float32), initial.astype(np.float32)
    if compute.device != "cpu":
        from strategies.functional import device

        return device.condition(kernel64, labelled, labelled_targets, initial, ridge, compute.device)
    gram = kernel64(labelled, labelled)
    factor = scipy.linalg.cholesky(gram + ridge * np.eye(len(labelled)), lower=True)
    residual = scipy.linalg.solve_triangular(factor, labelled_targets - initial[labelled], lower=True)
    whitened = np.empty((len(labelled), n), dtype=np.float32)
    predictions = np.empty((n, n_classes), dtype=np.float32)

    def solve(points: slice) -> None:
        half = scipy.linalg.solve_triangular(factor, kernel64(labelled, points), lower=True)
        whitened[:, points] = half
        predictions[points] = initial[points] + half.T @ residual

    map_tiles(solve, n, n_threads=compute.n_threads)
    return whitened, predictions


class Block:
    """The residual kernel of some candidates, and everything that scores and accepts them.

    Rows of S that do not fit into memory are computed again whenever they are needed, with the same
    operations in the same order, so that every number is the same.

    Args:
        problem: the round.
        rows: which of `problem.candidates` this block holds; starts at a multiple of `TILE_ROWS`.
        score: what `scores` are. `zero_one`: wrong points after adding the candidate. `squared`: change of the
            summed squared error, for which targets and labels must be the same. `change`: summed L2 change of
            the outputs, sum_u |S[u, i]| / (S_ii + r) |y_i - f_i| (Mohamadi et al. 2022, in closed form).
        compute: threads and memory; rows of S that exceed the limit are not stored.
    """

    def __init__(self, problem: Problem, rows: slice, score: Score, compute: Compute) -> None:
        self.undecided_pairs = 0
        self.scored_pairs = 0
        self._problem = problem
        self._score = score
        self._n_threads = compute.n_threads
        self._positions = problem.candidates[rows]
        self._ids = problem.pool_indices[self._positions]
        self._targets = problem.targets[self._positions]
        self._ridge = np.float32(problem.ridge)
        self._alive = np.ones(len(self._positions), dtype=bool)
        self._accepted: list[tuple[FloatArray, FloatArray]] = []
        self._n_corrected = 0

        n_classes = problem.predictions.shape[1]
        self._by_point = np.array(problem.predictions, dtype=np.float32, order="C")
        self._by_class = np.array(problem.predictions.T, dtype=np.float32, order="C")
        self._starts = np.searchsorted(problem.labels, np.arange(n_classes + 1))
        self._own, self._rival, self._second, self._lowest, self._room = np.empty(
            (5, problem.n_points), dtype=np.float32
        )
        self._labels = problem.labels.astype(np.uint32)
        self._rival_class = np.empty(problem.n_points, dtype=np.uint32)
        self._move(np.zeros(problem.n_points, dtype=np.float32), np.zeros(n_classes, dtype=np.float32))

        self._tiles = slices(0, len(self._positions), TILE_ROWS)
        n_stored = len(self._positions)
        if compute.memory_limit is not None:
            spare = max(0, compute.memory_limit - self._working_bytes())
            n_stored = min(n_stored, spare // (4 * TILE_ROWS * problem.n_points) * TILE_ROWS)
        self._stored = np.empty((n_stored, problem.n_points), dtype=np.float32)
        map_tiles(self._store, n_stored, n_threads=self._n_threads)
        if score == "squared":
            self._start_squared()

    def best(self) -> Pick | None:
        """The candidate with the smallest score, ties to the smallest pool index; None when all are taken."""
        alive = np.flatnonzero(self._alive)
        if len(alive) == 0:
            return None
        scores = self.scores()[alive]
        ties = alive[scores == scores.min()]
        return Pick(float(scores.min()), int(self._ids[ties].min()))

    def scores(self) -> FloatArray | IndexArray:
        """Score of each candidate; meaningless for those already accepted."""
        if self._score == "zero_one":
            return self._count()
        return self._squared_change() if self._score == "squared" else self._output_change()

    def column(self, pool_index: int) -> FloatArray:
        """S[:, i] of one of this block's candidates, `N` float32."""
        row = int(np.flatnonzero(self._ids == pool_index)[0])
        if row < len(self._stored):
            residual = self._stored[row : row + 1].copy()
            self._correct(residual, slice(row, row + 1), self._accepted[self._n_corrected :])
            return residual[0]
        tile = self._tiles[row // TILE_ROWS]
        return self._rebuild(tile)[row - tile.start]

    def accept(self, pool_index: int, column: FloatArray | None = None) -> None:
        """Add a candidate, of this block or another, with its target.

        Args:
            pool_index: the candidate.
            column: its S[:, i]; None takes it from this block.
        """
        if column is None:
            column = self.column(pool_index)
        position = int(np.flatnonzero(self._problem.pool_indices == pool_index)[0])
        target = int(self._problem.targets[position])
        inverse = np.float32(1) / (max(column[position], np.float32(0)) + self._ridge)
        gain = column * inverse
        change = -self._by_point[position]
        change[target] = np.float32(1) - self._by_point[position, target]
        self._alive[self._ids == pool_index] = False
        if self._score == "squared":
            self._move_squared(column, gain, change, inverse)
        # S itself is corrected in the pass that needs it next: it is read and written once a pick.
        self._accepted.append((gain, column))
        self._move(gain, change)

    @property
    def predictions(self) -> FloatArray:
        """Outputs f at the N points after all accepted picks, `N x n_classes` float32."""
        return self._by_point

    @property
    def stored_share(self) -> float:
        """Share of the rows of S that are held; the others are computed again for each pick."""
        return len(self._stored) / max(len(self._positions), 1)

    def _move(self, gain: FloatArray, change: FloatArray) -> None:
        from strategies.functional.counting import move_predictions

        def move(points: slice) -> None:
            move_predictions(
                self._by_point, self._by_class, gain, change, self._labels, points.start, points.stop,
                self._own, self._rival, self._second, self._lowest, self._rival_class, self._room,
            )  # fmt: skip

        map_tiles(move, self._problem.n_points, n_threads=self._n_threads)

    def _build(self, tile: slice) -> FloatArray:
        """Rows of S before any pick."""
        positions = self._positions[tile]
        block: FloatArray = self._problem.kernel(positions, slice(None))
        block -= self._problem.whitened[:, positions].T @ self._problem.whitened
        return block

    def _working_bytes(self) -> int:
        """What is held beside S: the problem, the predictions, and two tiles a thread while they are made."""
        tiles = 2 * 4 * TILE_ROWS * self._problem.n_points * self._n_threads
        return self._problem.nbytes + self._by_point.nbytes + self._by_class.nbytes + tiles

    def _store(self, tile: slice) -> None:
        self._stored[tile] = self._build(tile)

    def _rebuild(self, tile: slice) -> FloatArray:
        """Rows of S that are not stored, corrected by all picks so far."""
        block = self._build(tile)
        for rows in slices(tile.start, tile.stop, _CACHED_ROWS):
            self._correct(block[rows.start - tile.start : rows.stop - tile.start], rows, self._accepted)
        return block

    def _correct(self, residual: FloatArray, rows: slice, accepted: Sequence[tuple[FloatArray, FloatArray]]) -> None:
        from strategies.functional.counting import correct

        for gain, column in accepted:
            correct(residual, gain[None, self._positions[rows]], column[None])

    def _visit(self, visit: Visitor) -> None:
        """Show all rows of S, corrected by all picks so far, to `visit(rows, residual)`."""
        due = self._accepted[self._n_corrected :]

        def visit_tile(tile: slice) -> None:
            is_stored = tile.stop <= len(self._stored)
            block = self._stored[tile] if is_stored else self._rebuild(tile)
            for rows in slices(tile.start, tile.stop, _CACHED_ROWS):
                residual = block[rows.start - tile.start : rows.stop - tile.start]
                if is_stored:
                    self._correct(residual, rows, due)
                visit(rows, residual)

        map_tiles(visit_tile, len(self._positions), n_threads=self._n_threads)
        self._n_corrected = len(self._accepted)

    def _count(self) -> IndexArray:
        from strategies.functional.counting import count_wrong

        counts = np.zeros(len(self._positions), dtype=np.int64)
        undecided = np.zeros(len(self._positions), dtype=np.int64)
        n_wrong = int(np.count_nonzero(self._rival > self._own))
        due = self._accepted[self._n_corrected :]
        factors = np.array([gain[self._positions] for gain, _ in due], dtype=np.float32).reshape(len(due), len(counts))
        columns = np.array([column for _, column in due], dtype=np.float32).reshape(len(due), self._problem.n_points)

        def count(tile: slice) -> None:
            is_stored = tile.stop <= len(self._stored)
            residual = self._stored[tile] if is_stored else self._rebuild(tile)
            n_due = len(due) if is_stored else 0
            count_wrong(
                residual, factors[:n_due, tile], columns[:n_due], self._positions[tile], self._targets[tile],
                self._alive[tile], self._ridge, self._by_point, self._by_class, self._labels, self._starts, self._own,
                self._rival, self._second, self._lowest, self._rival_class, self._room, n_wrong, counts[tile],
                undecided[tile],
            )  # fmt: skip

        map_tiles(count, len(self._positions), n_threads=self._n_threads)
        self._n_corrected = len(self._accepted)
        self.undecided_pairs += int(undecided.sum())
        self.scored_pairs += int(self._alive.sum()) * self._problem.n_points
        return counts

    def _output_change(self) -> FloatArray:
        scores = np.empty(len(self._positions), dtype=np.float64)
        sizes = np.linalg.norm(self._errors(self._problem.targets)[self._positions], axis=1)

        def score(rows: slice, residual: FloatArray) -> None:
            variances = residual[np.arange(len(residual)), self._positions[rows]].astype(np.float64)
            total = np.abs(residual).sum(axis=1, dtype=np.float64)
            scores[rows] = total / (np.maximum(variances, 0) + float(self._ridge)) * sizes[rows]

        self._visit(score)
        return scores

    # Squared risk. With D = Y - f and s = 1/(S_ii + r), adding i changes the sum of squares by
    # s^2 |S_i|^2 |D_i|^2 - 2 s (S D)_i . D_i; |S_i|^2 and S D follow a pick through w = S S[:, j] alone.

    def _start_squared(self) -> None:
        errors = self._errors(self._problem.labels)
        n_rows = len(self._positions)
        self._variances = np.empty(n_rows, dtype=np.float32)
        self._norms = np.empty(n_rows, dtype=np.float64)
        self._products = np.empty((n_rows, errors.shape[1]), dtype=np.float64)

        def start(rows: slice, residual: FloatArray) -> None:
            block = residual.astype(np.float64)
            self._variances[rows] = residual[np.arange(len(residual)), self._positions[rows]]
            self._norms[rows] = np.einsum("ij,ij->i", block, block)
            self._products[rows] = block @ errors

        self._visit(start)

    def _errors(self, classes: IndexArray) -> FloatArray:
        """0/1 outputs of the given classes less the predictions, `N x n_classes` float64."""
        return np.eye(self._by_point.shape[1])[classes] - self._by_point

    def _squared_change(self) -> FloatArray:
        inverse = 1 / (np.maximum(self._variances, 0).astype(np.float64) + float(self._ridge))
        errors = self._errors(self._problem.labels)[self._positions]
        size = np.einsum("ij,ij->i", errors, errors)
        alignment = np.einsum("ij,ij->i", self._products, errors)
        change: FloatArray = inverse**2 * self._norms * size - 2 * inverse * alignment
        return change

    def _move_squared(self, column: FloatArray, gain: FloatArray, change: FloatArray, inverse: np.float32) -> None:
        crossed = np.empty(len(self._positions), dtype=np.float64)

        def cross(rows: slice, residual: FloatArray) -> None:
            crossed[rows] = residual @ column

        self._visit(cross)
        errors, change64, column64 = (
            self._errors(self._problem.labels),
            change.astype(np.float64),
            column.astype(np.float64),
        )
        own_gain = gain[self._positions].astype(np.float64)
        own_norm = float(column64 @ column64)
        # (S - g p^T)(D - t d^T) row by row, with g = gain, p = column, t = p / (S_jj + r), d = change.
        self._products -= (crossed * float(inverse))[:, None] * change64
        self._products -= own_gain[:, None] * (column64 @ errors - own_norm * float(inverse) * change64)
        self._norms += own_gain**2 * own_norm - 2 * own_gain * crossed
        self._variances -= gain[self._positions] * column[self._positions]


class Engine(Protocol):
    """One round's look-ahead, wherever its blocks are."""

    def pick(self) -> Pick:
        """Find the best candidate and accept it."""

    def scores(self) -> FloatArray | IndexArray:
        """Score of each candidate, in the order of `problem.candidates`."""

    @property
    def predictions(self) -> FloatArray:
        """Outputs f at the N points after all accepted picks."""

    @property
    def undecided_share(self) -> float:
        """Share of the (candidate, point) pairs that the bounds of the 0-1 count left open."""

    @property
    def stored_share(self) -> float:
        """Share of the rows of S that are held (`Block.stored_share`)."""


class LocalEngine:
    """All candidates in one block."""

    def __init__(self, problem: Problem, score: Score, compute: Compute) -> None:
        self._block = make_block(problem, slice(0, len(problem.candidates)), score, compute)

    def pick(self) -> Pick:
        """Find the best candidate and accept it."""
        best = self._block.best()
        assert best is not None, "the caller never asks for more picks than there are candidates"
        self._block.accept(best.pool_index)
        return best

    def scores(self) -> FloatArray | IndexArray:
        """Score of each candidate, in the order of `problem.candidates`."""
        return self._block.scores()

    @property
    def predictions(self) -> FloatArray:
        """Outputs f at the N points after all accepted picks."""
        return self._block.predictions

    @property
    def undecided_share(self) -> float:
        """Share of the (candidate, point) pairs that the bounds of the 0-1 count left open."""
        return self._block.undecided_pairs / max(self._block.scored_pairs, 1)

    @property
    def stored_share(self) -> float:
        """Share of the rows of S that are held (`Block.stored_share`)."""
        return self._block.stored_share


def make_block(problem: Problem, rows: slice, score: Score, compute: Compute) -> Block | DeviceBlock:
    """The rows of S of some candidates, on the device of the compute share."""
    if compute.device == "cpu":
        return Block(problem, rows, score, compute)
    from strategies.functional import device

    return device.make_block(problem, rows, score, compute)


def make_engine(problem: Problem, score: Score, compute: Compute) -> Engine:
    """The engine that the compute share comes with, or else one block here."""
    return (compute.engine or LocalEngine)(problem, score, compute)
