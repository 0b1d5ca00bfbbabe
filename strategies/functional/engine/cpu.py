"""The look-ahead on a CPU: S in tiles, its loops compiled, on any number of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from strategies.functional.arrays import FloatArray, IndexArray
from strategies.functional.engine.problem import Compute, Pick, Problem, Score, one_hot
from strategies.functional.engine.squared import SquaredRisk
from strategies.functional.tiles import TILE_ROWS, map_tiles, slices

Correction = tuple[FloatArray, FloatArray]
"""g of an accepted candidate and its S[:, j], `N` float32 both."""

_CACHED_ROWS = 16
"""Rows of S that are corrected and then read while they are in the cache; divides the tile."""

Parts = Iterator[tuple[slice, FloatArray]]
"""The rows of a tile, a few at a time: which candidates, and their rows of S."""


class ResidualRows:
    """The rows of S of some candidates, corrected by all picks in the pass that reads them.

    Rows that do not fit into memory are computed again whenever they are needed, with the same operations in the
    same order, so that every number is the same.

    Args:
        problem: the round.
        positions: where the candidates are among the N points.
        n_stored: rows that are kept, whole tiles from the first on.
        n_threads: tiles that are worked on at once.
    """

    def __init__(self, problem: Problem, positions: IndexArray, n_stored: int, n_threads: int) -> None:
        self.stored = np.empty((n_stored, problem.n_points), dtype=np.float32)
        self._problem = problem
        self._positions = positions
        self._n_threads = n_threads
        self._accepted: list[Correction] = []
        self._n_corrected = 0
        map_tiles(self._store, n_stored, n_threads=n_threads)

    def accept(self, gain: FloatArray, column: FloatArray) -> None:
        """Take a candidate out of S. The rows are corrected by the pass that needs them: one read, one write a pick."""
        if len(self.stored) == len(self._positions):
            # Only rows that are computed again need a correction twice.
            del self._accepted[: self._n_corrected]
            self._n_corrected = 0
        self._accepted.append((gain, column))

    def row(self, row: int) -> FloatArray:
        """A row of S, `N`."""
        if row < len(self.stored):
            residual = self.stored[row : row + 1].copy()
            self._correct(slice(row, row + 1), residual, self._accepted[self._n_corrected :])
        else:
            tile = slice(row - row % TILE_ROWS, min(row - row % TILE_ROWS + TILE_ROWS, len(self._positions)))
            # A view would keep the whole tile.
            residual = self._rebuild(tile)[row - tile.start, None].copy()
        found: FloatArray = residual[0]
        return found

    def visit(self, visit: Callable[[slice, Parts], None]) -> None:
        """Have `visit(tile, parts)` go through all tiles; each part is corrected when it is reached."""
        due = self._accepted[self._n_corrected :]
        self._map(lambda tile, residual, is_stored: visit(tile, self._parts(tile, residual, due if is_stored else [])))

    def count(self, count: Callable[[slice, FloatArray, FloatArray, FloatArray], None]) -> None:
        """Have all tiles corrected and counted by `count(rows, residual, factors, columns)`: see `counting`."""
        due = self._accepted[self._n_corrected :]
        n_candidates, n_points = len(self._positions), self._problem.n_points
        factors = np.array([gain[self._positions] for gain, _ in due], np.float32).reshape(len(due), n_candidates)
        columns = np.array([column for _, column in due], np.float32).reshape(len(due), n_points)

        def count_tile(tile: slice, residual: FloatArray, is_stored: bool) -> None:
            n_due = len(due) if is_stored else 0
            count(tile, residual, factors[:n_due, tile], columns[:n_due])

        self._map(count_tile)

    def _map(self, work: Callable[[slice, FloatArray, bool], None]) -> None:
        """`work(tile, residual, is_stored)` on all tiles; it corrects those that are stored."""

        def run(tile: slice) -> None:
            is_stored = tile.stop <= len(self.stored)
            work(tile, self.stored[tile] if is_stored else self._rebuild(tile), is_stored)

        map_tiles(run, len(self._positions), n_threads=self._n_threads)
        self._n_corrected = len(self._accepted)

    def _store(self, tile: slice) -> None:
        self._build(tile, self.stored[tile])

    def _build(self, tile: slice, out: FloatArray) -> None:
        """Rows of S before any pick, written into `out`."""
        positions = self._positions[tile]
        np.matmul(self._problem.whitened[:, positions].T, self._problem.whitened, out=out)
        np.subtract(self._problem.kernel(positions, slice(None)), out, out=out)

    def _rebuild(self, tile: slice) -> FloatArray:
        """Rows of S that are not stored, corrected by all picks so far."""
        block = np.empty((tile.stop - tile.start, self._problem.n_points), dtype=np.float32)
        self._build(tile, block)
        self._correct(tile, block, self._accepted)
        return block

    def _correct(self, tile: slice, residual: FloatArray, due: Sequence[Correction]) -> None:
        for _ in self._parts(tile, residual, due):
            pass

    def _parts(self, tile: slice, residual: FloatArray, due: Sequence[Correction]) -> Parts:
        from strategies.functional.engine.counting import correct

        corrections = [(gain[self._positions[tile]], column[None]) for gain, column in due]
        for rows in slices(0, len(residual), _CACHED_ROWS):
            part = residual[rows]
            for factors, column in corrections:
                correct(part, factors[None, rows], column)
            yield slice(tile.start + rows.start, tile.start + rows.stop), part


class Block:
    """Some candidates of a round, and everything that scores and accepts them.

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

        self._by_point = np.array(problem.predictions, dtype=np.float32, order="C")
        if score == "zero_one":
            self._start_count()
        n_stored = len(self._positions)
        if compute.memory_limit is not None:
            spare = max(0, compute.memory_limit - self._working_bytes())
            n_stored = min(n_stored, spare // (4 * TILE_ROWS * problem.n_points) * TILE_ROWS)
        self._residual = ResidualRows(problem, self._positions, n_stored, self._n_threads)
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
        return self._residual.row(int(np.flatnonzero(self._ids == pool_index)[0]))

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
        self._residual.accept(gain, column)
        self._move(gain, change)

    @property
    def predictions(self) -> FloatArray:
        """Outputs f at the N points after all accepted picks, `N x n_classes` float32."""
        return self._by_point

    @property
    def stored_share(self) -> float:
        """Share of the rows of S that are held; the others are computed again for each pick."""
        return len(self._residual.stored) / max(len(self._positions), 1)

    def _move(self, gain: FloatArray, change: FloatArray) -> None:
        """Add `gain x change` to the predictions, and follow it with what the score needs of them."""

        def move(points: slice) -> None:
            self._by_point[points] += gain[points, None] * change
            if self._score == "squared":
                self._find_errors(points)

        work = move if self._score != "zero_one" else partial(self._move_and_find_rivals, gain, change)
        map_tiles(work, self._problem.n_points, n_threads=self._n_threads)

    def _working_bytes(self) -> int:
        """What is held beside S: the problem, the predictions, and in each thread a tile and two to make it of."""
        n_points, n_classes = self._by_point.shape
        per_class = {"zero_one": 4 * n_points, "squared": 8 * (n_points + len(self._positions)), "change": 0}
        tiles = 3 * 4 * TILE_ROWS * n_points * self._n_threads
        held: int = self._problem.nbytes + self._by_point.nbytes + n_classes * per_class[self._score] + tiles
        return held

    def _start_count(self) -> None:
        n_points, n_classes = self._by_point.shape
        self._by_class = np.array(self._by_point.T, order="C")
        self._labels = self._problem.labels.astype(np.uint32)
        self._starts = np.searchsorted(self._problem.labels, np.arange(n_classes + 1))
        self._own, self._rival, self._second, self._lowest, self._room = np.empty((5, n_points), np.float32)
        self._rival_class = np.empty(n_points, dtype=np.uint32)
        self._move(np.zeros(n_points, dtype=np.float32), np.zeros(n_classes, dtype=np.float32))

    def _move_and_find_rivals(self, gain: FloatArray, change: FloatArray, points: slice) -> None:
        from strategies.functional.engine.counting import move_predictions

        move_predictions(
            self._by_point[points], self._by_class, points.start, gain[points], change, self._labels[points],
            self._own[points], self._rival[points], self._second[points], self._lowest[points],
            self._rival_class[points], self._room[points],
        )  # fmt: skip

    def _count(self) -> IndexArray:
        from strategies.functional.engine.counting import count_wrong

        counts = np.zeros(len(self._positions), dtype=np.int64)
        undecided = np.zeros(len(self._positions), dtype=np.int64)
        n_wrong = int(np.count_nonzero(self._rival > self._own))

        def count(rows: slice, residual: FloatArray, factors: FloatArray, columns: FloatArray) -> None:
            count_wrong(
                residual, factors, columns, self._positions[rows], self._targets[rows], self._alive[rows], self._ridge,
                self._by_point, self._by_class, self._labels, self._starts, self._own, self._rival, self._second,
                self._lowest, self._rival_class, self._room, n_wrong, counts[rows], undecided[rows],
            )  # fmt: skip

        self._residual.count(count)
        self.undecided_pairs += int(undecided.sum())
        self.scored_pairs += int(self._alive.sum()) * self._problem.n_points
        return counts

    def _output_change(self) -> FloatArray:
        scores = np.empty(len(self._positions), dtype=np.float64)
        outputs = self._by_point[self._positions]
        sizes = np.linalg.norm(one_hot(self._targets, outputs.shape[1]) - outputs, axis=1)

        def score(tile: slice, parts: Parts) -> None:
            for rows, residual in parts:
                variances = residual[np.arange(len(residual)), self._positions[rows]].astype(np.float64)
                total = np.abs(residual).sum(axis=1, dtype=np.float64)
                scores[rows] = total / (np.maximum(variances, 0) + float(self._ridge)) * sizes[rows]

        self._residual.visit(score)
        return scores

    def _start_squared(self) -> None:
        n_rows, n_classes = len(self._positions), self._by_point.shape[1]
        self._variances = np.empty(n_rows, dtype=np.float32)
        self._errors = np.empty(self._by_point.shape)
        self._find_errors(slice(0, len(self._errors)))
        self._squared = SquaredRisk(np.empty(n_rows), np.empty((n_rows, n_classes)), np.einsum)

        def start(tile: slice, parts: Parts) -> None:
            for rows, residual in parts:
                self._variances[rows] = residual[np.arange(len(residual)), self._positions[rows]]
                self._squared.start(rows, residual.astype(np.float64), self._errors)

        self._residual.visit(start)

    def _find_errors(self, points: slice) -> None:
        """D of some points, 0/1 outputs less the predictions, in float64."""
        errors = self._errors[points]
        np.subtract(0, self._by_point[points], out=errors)
        errors[np.arange(len(errors)), self._problem.labels[points]] += 1

    def _squared_change(self) -> FloatArray:
        inverse = 1 / (np.maximum(self._variances, 0).astype(np.float64) + float(self._ridge))
        scores = np.empty(len(inverse))

        def score(rows: slice) -> None:
            scores[rows] = self._squared.scores(rows, inverse[rows], self._errors[self._positions[rows]])

        map_tiles(score, len(scores), n_threads=self._n_threads)
        return scores

    def _move_squared(self, column: FloatArray, gain: FloatArray, change: FloatArray, inverse: np.float32) -> None:
        follow = self._squared.accept(
            column.astype(np.float64), self._errors, float(inverse), change.astype(np.float64)
        )

        def cross(tile: slice, parts: Parts) -> None:
            crossed = np.concatenate([residual @ column for _, residual in parts], dtype=np.float64)
            follow(tile, crossed, gain[self._positions[tile]].astype(np.float64))

        self._residual.visit(cross)
        self._variances -= gain[self._positions] * column[self._positions]
