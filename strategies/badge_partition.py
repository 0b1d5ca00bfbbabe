"""BADGE partition: BADGE within random parts of the pool, for pools and batches too large for BADGE."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from strategies.badge import draw_gradients
from strategies.base import PoolView, Question, Selection, Strategy


@dataclass(frozen=True)
class BadgePartition(Strategy):
    """BADGE in each of several random parts with an equal share of the query; picks come part by part.

    Parts differ by at most one point and shares by at most one pick. A query smaller than the number of
    parts makes as many parts as picks, so that every unlabelled point can be picked.
    """

    name: ClassVar[str] = "badge_partition"
    source: ClassVar[str] = "Citovsky et al. 2021, Batch Active Learning at Scale, NeurIPS; Emam et al. 2021"
    asks: ClassVar[frozenset[Question]] = frozenset({"embedding"})

    n_partitions: Annotated[int, Field(ge=1)] = 10
    """Random parts that the unlabelled pool is split into."""

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        assert view.model is not None
        n_parts = min(self.n_partitions, n)
        parts = np.array_split(rng.permutation(view.unlabelled), n_parts)
        shares = [n // n_parts + (part < n % n_parts) for part in range(n_parts)]
        picks = [
            draw_gradients(view.model, np.sort(part), share, rng) for part, share in zip(parts, shares, strict=True)
        ]
        scores = [pick.scores for pick in picks if pick.scores is not None]
        return Selection(np.concatenate([pick.indices for pick in picks]), np.concatenate(scores))
