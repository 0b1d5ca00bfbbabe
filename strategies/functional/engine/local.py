"""The engine in one process, and who makes the engine of a look-ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strategies.functional.arrays import FloatArray, IndexArray
from strategies.functional.engine.cpu import Block
from strategies.functional.engine.problem import Compute, Engine, Pick, Problem, Score

if TYPE_CHECKING:
    from strategies.functional.engine.gpu import DeviceBlock


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
        """Share of the (candidate, point) pairs that went through all classes."""
        return self._block.undecided_pairs / max(self._block.scored_pairs, 1)

    @property
    def stored_share(self) -> float:
        """Share of the rows of S that are held (`Block.stored_share`)."""
        return self._block.stored_share


def make_block(problem: Problem, rows: slice, score: Score, compute: Compute) -> Block | DeviceBlock:
    """The rows of S of some candidates, on the device of the compute share."""
    if compute.device == "cpu":
        return Block(problem, rows, score, compute)
    from strategies.functional.engine import gpu

    return gpu.make_block(problem, rows, score, compute)


def make_engine(problem: Problem, score: Score, compute: Compute) -> Engine:
    """The engine that the compute share comes with, or else one block here."""
    return (compute.engine or LocalEngine)(problem, score, compute)
