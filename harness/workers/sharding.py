"""A look-ahead spread over actors: each holds the rows of S of some candidates, all make the same picks.

Per pick and shard one small message goes each way (the accepted candidate; a count and an index), then the
winner's column. A shard that dies is built again from the round's problem, the picks so far are replayed in
order, and, since corrections are elementwise, its bits are those of the lost one.
"""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from threadpoolctl import threadpool_limits

from strategies.base import Compute, FloatArray, IndexArray
from strategies.functional import libraries  # noqa: F401  loaded before the limit on threads
from strategies.functional.engine.local import make_block
from strategies.functional.engine.problem import Pick, Problem, Score
from strategies.functional.tiles import TILE_ROWS

if TYPE_CHECKING:
    from strategies.functional.engine.cpu import Block
    from strategies.functional.engine.gpu import DeviceBlock

_ATTEMPTS = 5


@ray.remote
class ShardActor:
    """Owns one block of a look-ahead."""

    _block: Block | DeviceBlock

    def __init__(self) -> None:
        threadpool_limits(1)

    def process(self) -> int:
        """Id of the actor's process."""
        return os.getpid()

    def build(self, problem: Problem, rows: slice, score: Score, compute: Compute) -> None:
        """Hold the block of a new round in place of the last one's."""
        with suppress(AttributeError):
            del self._block  # there may be no room for both
        self._block = make_block(problem, rows, score, compute)

    def best(self, accepted: int | None, column: FloatArray | None) -> Pick | None:
        """Accept the last pick, if there was one, and find the block's best candidate."""
        if accepted is not None and column is not None:
            self._block.accept(accepted, column)
        return self._block.best()

    def accept(self, accepted: int, column: FloatArray) -> None:
        """Accept a pick."""
        self._block.accept(accepted, column)

    def column(self, pool_index: int) -> FloatArray:
        """S[:, i] of one of the block's candidates."""
        return self._block.column(pool_index)

    def scores(self) -> FloatArray | IndexArray:
        """Score of each of the block's candidates."""
        return self._block.scores()

    def pairs(self) -> tuple[int, int]:
        """Pairs that went through all classes, and pairs scored."""
        return self._block.undecided_pairs, self._block.scored_pairs


class Shards:
    """The long-lived shard actors of one trajectory actor; makes the engine of each round.

    Args:
        n_shards: blocks, the trajectory actor's own included.
        group: placement group with a bundle for each; the first is the trajectory actor's.
    """

    def __init__(self, n_shards: int, group: PlacementGroup) -> None:
        self._group = group
        self._actors = [self._start(k) for k in range(1, n_shards)]

    def __len__(self) -> int:
        return len(self._actors) + 1

    def __call__(self, problem: Problem, score: Score, compute: Compute) -> ShardedEngine:
        """The engine of a round (`engine.problem.EngineFactory`)."""
        return ShardedEngine(self, problem, score, compute)

    def call(self, shard: int, method: str, *arguments: Any) -> Any:
        """Start a method of shard 1, 2, ...; returns the reference of its result."""
        return getattr(self._actors[shard - 1], method).remote(*arguments)

    def replace(self, shard: int) -> None:
        """Start another actor in the place of a dead one."""
        self._actors[shard - 1] = self._start(shard)

    def _start(self, shard: int) -> Any:
        bundle = self._group.bundle_specs[shard]
        strategy = PlacementGroupSchedulingStrategy(self._group, placement_group_bundle_index=shard)
        return ShardActor.options(  # type: ignore[attr-defined]
            num_cpus=bundle.get("CPU", 0), num_gpus=bundle.get("GPU", 0), scheduling_strategy=strategy
        ).remote()


class ShardedEngine:
    """One round's look-ahead with a block here and one in each shard actor (`engine.problem.Engine`)."""

    def __init__(self, shards: Shards, problem: Problem, score: Score, compute: Compute) -> None:
        self._shards = shards
        self._blocks = shard_rows(len(problem.candidates), len(shards))
        self._compute = replace(
            compute,
            engine=None,
            memory_limit=None if compute.memory_limit is None else compute.memory_limit // len(shards),
        )
        self._score: Score = score
        self._problem = ray.put(problem)
        self._accepted: list[tuple[int, Any]] = []
        built = [self._start(k, "build", self._problem, self._blocks[k], score, self._compute) for k in self._remote]
        self._local = make_block(problem, self._blocks[0], score, self._compute)
        for shard, reference in zip(self._remote, built, strict=True):
            self._finish(shard, reference)

    @property
    def _remote(self) -> range:
        return range(1, len(self._shards))

    def pick(self) -> Pick:
        """Find the best candidate over all blocks and accept it."""
        last = self._accepted[-1] if self._accepted else (None, None)
        asked = {shard: self._start(shard, "best", *last) for shard in self._remote}
        found = {0: self._local.best()}
        found |= {shard: self._finish(shard, reference, "best", None, None) for shard, reference in asked.items()}
        picks = {shard: pick for shard, pick in found.items() if pick is not None}
        winner = min(picks, key=lambda shard: picks[shard])
        best = picks[winner]
        if winner == 0:
            column = self._local.column(best.pool_index)
        else:
            asked_column = self._start(winner, "column", best.pool_index)
            column = self._finish(winner, asked_column, "column", best.pool_index)
        self._local.accept(best.pool_index, column)
        self._accepted.append((best.pool_index, ray.put(column)))
        return best

    def scores(self) -> FloatArray | IndexArray:
        """Score after adding each candidate, in the order of `problem.candidates`."""
        asked = {shard: self._start(shard, "scores") for shard in self._remote}
        parts = [self._local.scores()]
        parts += [self._finish(shard, reference, "scores") for shard, reference in asked.items()]
        scores: FloatArray = np.concatenate(parts)
        return scores

    @property
    def predictions(self) -> FloatArray:
        """Outputs f at the N points after all accepted picks."""
        return self._local.predictions

    @property
    def undecided_share(self) -> float:
        """Share of the (candidate, point) pairs that went through all classes."""
        counts = [(self._local.undecided_pairs, self._local.scored_pairs)]
        counts += [self._finish(shard, self._start(shard, "pairs"), "pairs") for shard in self._remote]
        return sum(left for left, _ in counts) / max(sum(scored for _, scored in counts), 1)

    @property
    def stored_share(self) -> float:
        """Share of the rows of S that this process holds of its own block."""
        return self._local.stored_share

    def _start(self, shard: int, method: str, *arguments: Any) -> Any:
        return self._shards.call(shard, method, *arguments)

    def _finish(self, shard: int, reference: Any, method: str | None = None, *arguments: Any) -> Any:
        """The result of a call; where the shard died, of `method` on a rebuilt one."""
        for _ in range(_ATTEMPTS):
            try:
                return ray.get(reference)
            except (RayActorError, OutOfMemoryError):  # Ray's memory monitor kills, too, and says so otherwise
                self._shards.replace(shard)
                reference = self._start(shard, "build", self._problem, self._blocks[shard], self._score, self._compute)
                for accepted, column in self._accepted:
                    reference = self._start(shard, "accept", accepted, column)
                if method is not None:
                    reference = self._start(shard, method, *arguments)
        return ray.get(reference)


def shard_rows(n_candidates: int, n_shards: int) -> list[slice]:
    """Candidates of each shard: whole tiles, as evenly as they go; with few tiles the last shards are empty."""
    n_tiles = -(-n_candidates // TILE_ROWS)
    ends = [min(n_candidates, round(n_tiles * k / n_shards) * TILE_ROWS) for k in range(n_shards + 1)]
    return [slice(first, last) for first, last in itertools.pairwise(ends)]
