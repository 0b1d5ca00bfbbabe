import weakref
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from strategies.base import Compute
from strategies.functional.engine.counting import count_wrong_dense
from strategies.functional.engine.cpu import Block
from strategies.functional.engine.local import LocalEngine
from strategies.functional.engine.problem import SMALLEST_RIDGE, Problem, absolute_ridge, condition, one_hot
from strategies.functional.ntk import draw_network, make_kernel
from strategies.functional.tiles import TILE_ROWS

SCORES = ["zero_one", "squared", "change"]


@dataclass(frozen=True, eq=False)
class Matrix:
    """A kernel that is given as a matrix."""

    values: np.ndarray

    def __call__(self, rows, columns):
        block = self.values[rows][:, columns]
        return block.copy() if isinstance(block, np.ndarray) else block.clone()

    def moved(self, move):
        return Matrix(move(self.values))

    @property
    def nbytes(self):
        return self.values.nbytes

    def diagonal(self):
        return self.values.diagonal().astype(np.float64)


@dataclass(frozen=True, eq=False)
class Case:
    """A problem, and what it was made of, in float64."""

    problem: Problem
    matrix: np.ndarray
    initial: np.ndarray
    labelled: np.ndarray
    one_hot: np.ndarray

    def refit(self, added=()):
        """Predictions after training on the labelled points and on those added, by a direct solve."""
        rows = np.array([*self.labelled, *added], dtype=np.int64)
        gram = self.matrix[np.ix_(rows, rows)] + self.problem.ridge * np.eye(len(rows))
        change = self.one_hot[rows] - self.initial[rows]
        return self.initial + self.matrix[:, rows] @ np.linalg.solve(gram, change)

    def posterior(self, added=()):
        rows = np.array([*self.labelled, *added], dtype=np.int64)
        gram = self.matrix[np.ix_(rows, rows)] + self.problem.ridge * np.eye(len(rows))
        return self.matrix - self.matrix[:, rows] @ np.linalg.solve(gram, self.matrix[rows])


def draw_points(kind, n, rng):
    """Features for a kernel: all distinct, many of them equal, or a coarse grid of low rank."""
    features = rng.normal(size=(n, 3))
    if kind == "duplicated":
        features = features[rng.integers(max(1, n // 3), size=n)]
    return np.round(features) if kind == "lattice" else features


def make_case(seed, *, n=20, n_classes=3, n_labelled=4, kind="distinct", ridge=1e-2, initial="zero", targets="labels"):
    rng = np.random.default_rng(seed)
    features = draw_points(kind, n, rng)
    # A plain inner product has rank 3, and on the grid it is exact in float32.
    matrix = features @ features.T if kind == "lattice" else whole_kernel(features)
    labels = np.sort(rng.integers(n_classes, size=n))
    added = rng.integers(n_classes, size=n) if targets == "random" else labels
    start = np.zeros((n, n_classes)) if initial == "zero" else rng.normal(size=(n, n_classes))
    labelled = np.sort(rng.choice(n, size=n_labelled, replace=False))
    wide, narrow = Matrix(matrix), Matrix(matrix.astype(np.float32))
    absolute = max(absolute_ridge(wide, ridge), 1e-5)
    y = np.eye(n_classes)[added]
    whitened, predictions = condition(wide, labelled, y[labelled], start, absolute, Compute())
    problem = Problem(
        kernel=narrow,
        ridge=absolute,
        whitened=whitened,
        predictions=predictions,
        targets=added,
        labels=labels,
        candidates=np.setdiff1d(np.arange(n), labelled),
        pool_indices=rng.permutation(10 * n)[:n],
    )
    return Case(problem, matrix, start, labelled, y)


def whole_kernel(features):
    network = draw_network(features.shape[1], 16, 1, parameterisation="ntk", bias=True, rng=np.random.default_rng(0))
    return make_kernel("analytic", network, features)(slice(None), slice(None))


def whole_block(case, score="zero_one"):
    return Block(case.problem, slice(None), score, Compute())


def accept(blocks, pool_index, owner=0):
    """Add a candidate of `blocks[owner]` to all of them."""
    column = blocks[owner].column(pool_index)
    for block in blocks:
        block.accept(pool_index, column)


def pick_from(blocks):
    """One pick of the sharded loop: the best of the blocks' best, accepted everywhere."""
    best, owner = min((block.best(), number) for number, block in enumerate(blocks))
    accept(blocks, best.pool_index, owner)
    return best


def check_what_is_kept(block):
    """Accepted columns live as long as there are rows that they have to correct."""
    accepted = []
    for _ in range(4):
        pick = block.best()
        column = block.column(pick.pool_index)
        accepted.append(weakref.ref(column))
        block.accept(pick.pool_index, column)
        del column
    n_kept = sum(column() is not None for column in accepted)
    assert n_kept <= 2 if block.stored_share == 1 else n_kept == 4


def dense_count(case, block, position):
    """The definition of the risk of one candidate."""
    problem = case.problem
    column = block.column(int(problem.pool_indices[position]))
    target = int(problem.targets[position])
    return count_wrong_dense(column, position, target, problem.ridge, block.predictions, problem.labels)


class TestCondition:
    @pytest.mark.parametrize("kind", ["distinct", "duplicated", "lattice"])
    @pytest.mark.parametrize("ridge", [SMALLEST_RIDGE, 1e-2, 1.0])
    @pytest.mark.parametrize("n_labelled", [0, 1, 7, 20])
    @pytest.mark.parametrize("initial", ["zero", "random"])
    def test_direct_solve(self, kind, ridge, n_labelled, initial):
        case = make_case(3, kind=kind, ridge=ridge, n_labelled=n_labelled, initial=initial)
        problem, unit = case.problem, case.matrix.diagonal().mean()
        assert problem.whitened.shape == (n_labelled, 20)
        assert problem.whitened.dtype == problem.predictions.dtype == np.float32
        residual = case.matrix - problem.whitened.astype(np.float64).T @ problem.whitened
        np.testing.assert_allclose(residual, case.posterior(), atol=1e-5 * unit)
        np.testing.assert_allclose(problem.predictions, case.refit(), atol=1e-5)

    def test_threads_change_nothing(self):
        matrix = whole_kernel(np.random.default_rng(0).normal(size=(2 * TILE_ROWS + 9, 3)))
        labelled, initial = np.arange(0, 500, 50), np.zeros((len(matrix), 2))
        with threadpool_limits(1):
            runs = [
                condition(Matrix(matrix), labelled, np.eye(2)[labelled % 2], initial, 0.1, Compute(n_threads=n))
                for n in (1, 3)
            ]
        for one, three in zip(*runs, strict=True):
            np.testing.assert_array_equal(one, three)


def test_ridge_is_relative_to_the_mean_diagonal():
    kernel = Matrix(np.diag([1.0, 2.0, 6.0]))
    assert absolute_ridge(kernel, 0.5) == pytest.approx(1.5)
    assert absolute_ridge(Matrix(np.zeros((3, 3))), 0.5) == 0.5


def test_one_hot():
    np.testing.assert_array_equal(one_hot(np.array([2, 0]), 4), [[0, 0, 1, 0], [1, 0, 0, 0]])


class TestZeroOne:
    @pytest.mark.parametrize("kind", ["distinct", "duplicated", "lattice"])
    @pytest.mark.parametrize("n_labelled", [0, 5, 19])
    @pytest.mark.parametrize("initial", ["zero", "random"])
    def test_adding_a_candidate_equals_a_refit(self, kind, n_labelled, initial):
        case = make_case(1, kind=kind, n_labelled=n_labelled, initial=initial, targets="random")
        for position in case.problem.candidates:
            block = whole_block(case)
            accept([block], case.problem.pool_indices[position])
            np.testing.assert_allclose(block.predictions, case.refit([position]), atol=2e-4)

    @settings(deadline=None, max_examples=150)
    @given(st.data())
    def test_counts_and_picks_are_those_of_the_definition(self, data):
        n = data.draw(st.integers(1, 24), "n")
        case = make_case(
            data.draw(st.integers(0, 10**6), "seed"),
            n=n,
            n_classes=data.draw(st.sampled_from([1, 2, 3, 10, 40]), "n_classes"),
            n_labelled=data.draw(st.sampled_from([0, n // 3, n - 1]), "n_labelled"),
            kind=data.draw(st.sampled_from(["distinct", "duplicated", "lattice"]), "kind"),
            ridge=data.draw(st.sampled_from([SMALLEST_RIDGE, 1e-2, 1]), "ridge"),
            initial=data.draw(st.sampled_from(["zero", "random"]), "initial"),
            targets=data.draw(st.sampled_from(["labels", "random"]), "targets"),
        )
        block = whole_block(case)
        candidates, ids = case.problem.candidates, case.problem.pool_indices
        is_left = np.ones(len(candidates), dtype=bool)
        while is_left.any():
            expected = np.array([dense_count(case, block, position) for position in candidates[is_left]])
            np.testing.assert_array_equal(block.scores()[is_left], expected)
            best = block.best()
            assert best == min(zip(expected, ids[candidates[is_left]], strict=True))
            accept([block], best.pool_index)
            is_left &= ids[candidates] != best.pool_index
        assert block.best() is None

    def test_share_of_undecided_pairs(self):
        block = whole_block(make_case(0, n=60, n_labelled=10))
        block.scores()
        assert block.scored_pairs == 50 * 60
        assert 0 <= block.undecided_pairs < block.scored_pairs / 2


@pytest.fixture(scope="module")
def large():
    """A problem of three tiles of candidates, the last one short."""
    n, n_classes, labelled = 2 * TILE_ROWS + 200, 12, np.arange(0, 700, 60)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, 8))
    network = draw_network(8, 32, 1, parameterisation="ntk", bias=True, rng=rng)
    wide = make_kernel("analytic", network, features)
    ridge, labels = absolute_ridge(wide, 1e-2), np.sort(rng.integers(n_classes, size=n))
    whitened, predictions = condition(
        wide, labelled, np.eye(n_classes)[labels[labelled]], np.zeros((n, n_classes)), ridge, Compute()
    )
    return Problem(
        kernel=make_kernel("analytic", network, features.astype(np.float32)),
        ridge=ridge,
        whitened=whitened,
        predictions=predictions,
        targets=labels,
        labels=labels,
        candidates=np.setdiff1d(np.arange(n), labelled),
        pool_indices=rng.permutation(n),
    )


@pytest.mark.parametrize("score", SCORES)
class TestShards:
    def run(self, problem, score, n_shards=1, **share):
        tiles = [slice(start, start + TILE_ROWS) for start in range(0, 700, TILE_ROWS)]
        parts = [slice(part[0].start, part[-1].stop) for part in np.array_split(tiles, n_shards)]
        with threadpool_limits(1):
            blocks = [Block(problem, part, score, Compute(**share)) for part in parts]
            picks = [pick_from(blocks) for _ in range(12)]
        return picks, blocks[-1].predictions

    @pytest.mark.parametrize(
        "options",
        [
            {"n_shards": 2},
            {"n_shards": 3, "n_threads": 2},
            {"n_threads": 3},
            {"memory_limit": 0},
            *({"memory_limit": limit} for limit in range(1_500_000, 4_500_000, 500_000)),
            {"n_shards": 2, "n_threads": 2, "memory_limit": 4_500_000},
        ],
        ids=str,
    )
    def test_shards_threads_and_memory_change_nothing(self, large, score, options):
        expected, expected_predictions = self.run(large, score)
        picks, predictions = self.run(large, score, **options)
        assert picks == expected
        np.testing.assert_array_equal(predictions, expected_predictions)

    def test_a_column_keeps_no_tile_alive(self, large, score):
        block = Block(large, slice(None), score, Compute(memory_limit=0))
        column = block.column(int(large.pool_indices[large.candidates[0]]))
        assert column.base.nbytes == column.nbytes

    @pytest.mark.parametrize("limit", [None, 0])
    def test_corrections_are_kept_for_rows_that_are_computed_again(self, large, score, limit):
        check_what_is_kept(Block(large, slice(None), score, Compute(memory_limit=limit)))

    def test_local_engine_is_one_block(self, large, score):
        with threadpool_limits(1):
            engine = LocalEngine(large, score, Compute(n_threads=2))
            before = engine.scores()
            np.testing.assert_array_equal(before, Block(large, slice(None), score, Compute()).scores())
            picks = [engine.pick() for _ in range(12)]
        expected, predictions = self.run(large, score)
        assert picks == expected
        np.testing.assert_array_equal(engine.predictions, predictions)


class TestManyPicks:
    @pytest.mark.parametrize("score", SCORES)
    @pytest.mark.parametrize("kind", ["distinct", "duplicated"])
    def test_nothing_drifts(self, score, kind):
        case = make_case(5, n=120, n_classes=6, n_labelled=10, kind=kind, initial="random")
        block, ids = whole_block(case, score), case.problem.pool_indices
        picks = [pick_from([block]).pool_index for _ in range(80)]
        added = np.flatnonzero(np.isin(ids, picks))
        np.testing.assert_allclose(block.predictions, case.refit(added), atol=2e-3)
        left = np.setdiff1d(case.problem.candidates, added)
        columns = [block.column(pool_index) for pool_index in ids[left]]
        unit = case.matrix.diagonal().mean()
        np.testing.assert_allclose(columns, case.posterior(added)[left], atol=2e-4 * unit)

    @pytest.mark.parametrize("n_added", [500, pytest.param(2_000, marks=pytest.mark.slow)])
    @pytest.mark.parametrize("kind", ["distinct", "duplicated"])
    def test_many_corrections_leave_rounding_errors(self, kind, n_added):
        case = make_case(5, n=n_added + 200, n_classes=10, n_labelled=20, kind=kind)
        block, ids = whole_block(case), case.problem.pool_indices
        added = np.random.default_rng(0).permutation(case.problem.candidates)[:n_added]
        with threadpool_limits(1):
            for position in added:
                block.accept(int(ids[position]))
            left = np.setdiff1d(case.problem.candidates, added)
            columns = [block.column(pool_index) for pool_index in ids[left]]
        # Measured after 2,000: 2e-4 and 6e-7; so a round never needs to factorise again.
        np.testing.assert_allclose(block.predictions, case.refit(added), atol=1e-3)
        unit = case.matrix.diagonal().mean()
        np.testing.assert_allclose(columns, case.posterior(added)[left], atol=3e-6 * unit)

    def test_candidates_may_be_added_in_any_order_without_scoring(self):
        case = make_case(7)
        block, added = whole_block(case), case.problem.candidates[[9, 2, 5]]
        for position in added:
            accept([block], case.problem.pool_indices[position])
        np.testing.assert_allclose(block.predictions, case.refit(added), atol=2e-4)


class TestSquared:
    @settings(deadline=None, max_examples=60)
    @given(
        seed=st.integers(0, 10**6),
        kind=st.sampled_from(["distinct", "duplicated", "lattice"]),
        n_classes=st.sampled_from([1, 2, 5, 30]),
        n_labelled=st.sampled_from([0, 4, 15]),
        initial=st.sampled_from(["zero", "random"]),
    )
    def test_scores_are_the_change_of_the_sum_of_squares(self, seed, kind, n_classes, n_labelled, initial):
        # Equal points make float32 errors grow with 1/ridge^2.
        case = make_case(seed, n=16, kind=kind, n_classes=n_classes, n_labelled=n_labelled, initial=initial, ridge=0.1)
        block, candidates, ids = whole_block(case, "squared"), case.problem.candidates, case.problem.pool_indices

        def risk(added):
            return ((case.one_hot - case.refit(added)) ** 2).sum()

        added = []
        while len(added) < min(5, len(candidates)):
            is_left = ~np.isin(candidates, added)
            expected = np.array([risk([*added, position]) for position in candidates[is_left]]) - risk(added)
            np.testing.assert_allclose(block.scores()[is_left], expected, atol=1e-3 * max(risk([]), 1))
            added.append(np.flatnonzero(ids == pick_from([block]).pool_index)[0])

    def test_ties_go_to_the_smallest_pool_index(self):
        labels, ids = np.array([0, 0, 0, 1, 1, 2]), np.array([9, 4, 7, 3, 8, 5])
        problem = Problem(
            kernel=Matrix(np.eye(6, dtype=np.float32)),
            ridge=1.0,
            whitened=np.zeros((0, 6), np.float32),
            predictions=np.zeros((6, 3), np.float32),
            targets=labels,
            labels=labels,
            candidates=np.arange(6),
            pool_indices=ids,
        )
        block = Block(problem, slice(None), "squared", Compute())
        # A half of the unit target is learnt: the squared error falls from 1 to 1/4.
        assert [pick_from([block]) for _ in range(6)] == [(-0.75, pool_index) for pool_index in sorted(ids)]
        assert block.best() is None


class TestChange:
    @pytest.mark.parametrize("kind", ["distinct", "duplicated", "lattice"])
    @pytest.mark.parametrize("n_labelled", [0, 6, 19])
    def test_scores_are_the_summed_norms_of_the_change(self, kind, n_labelled):
        case = make_case(2, kind=kind, n_labelled=n_labelled, targets="random", initial="random")
        block, candidates, added = whole_block(case, "change"), case.problem.candidates, []
        while len(added) < min(3, len(candidates)):
            is_left = ~np.isin(candidates, added)
            after = [case.refit([*added, position]) for position in candidates[is_left]]
            expected = np.linalg.norm(after - case.refit(added), axis=2).sum(axis=1)
            np.testing.assert_allclose(block.scores()[is_left], expected, rtol=1e-3, atol=1e-3)
            added.append(candidates[is_left][0])
            accept([block], case.problem.pool_indices[added[-1]])
