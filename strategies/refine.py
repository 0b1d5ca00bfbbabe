"""Refine: strategies propose batches, again and again from what they proposed; UHerding picks from the rest."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from strategies.alfamix import AlfaMix
from strategies.badge import Badge
from strategies.bait_binary import BaitBinary
from strategies.base import Model, PoolView, Question, Selection, Strategy
from strategies.coreset_self import CoresetSelf
from strategies.dropquery import DropQuery
from strategies.margin import Margin
from strategies.maxherding import MaxHerding
from strategies.subpool import propose, subpool
from strategies.typiclust import TypiClust
from strategies.uherding import UHerding

ENSEMBLE: tuple[Strategy, ...] = (
    Margin(),
    CoresetSelf(),
    Badge(),
    BaitBinary(),
    TypiClust(),
    AlfaMix(),
    DropQuery(),
    MaxHerding(),
    UHerding(),
)
"""Who proposes, in turn, each with its defaults."""
FIRST_SUBSET = 5_000
"""Points of the pool that a batch is proposed from at first."""
SHARE = 0.4
"""Share of the surviving points that a batch is proposed from later."""
MOST_SURVIVORS = 10_000


@dataclass(frozen=True)
class Refine(Strategy):
    """In each of `n_filters` turns `n_batches` batches are proposed, each from a random part of what is left.

    The parts have 5,000 points of the pool at first, then 40 % of the points left. Margin, Coreset, BADGE,
    BAIT-Binary, TypiClust, ALFA-Mix, DropQuery, MaxHerding and UHerding propose in turn batches as large as the query.
    What any batch holds is left for the next turn, at most 10,000 points, and UHerding picks from the rest. This costs
    `n_filters` x `n_batches` selections from a part: minutes where TypiClust or UHerding take a second.
    """

    name: ClassVar[str] = "refine"
    version: ClassVar[int] = 4
    source: ClassVar[str] = (
        "Huseljic et al. 2025, Cleaning the Pool: Progressive Filtering of Unlabeled Pools in Deep Active Learning, "
        "arXiv 2511.22344"
    )
    asks: ClassVar[frozenset[Question]] = frozenset({"embedding", "gradient"})

    n_batches: Annotated[int, Field(ge=1)] = 99
    """Batches proposed in each turn; nine propose equally many where it is a multiple of nine."""
    n_filters: Annotated[int, Field(ge=1)] = 5
    """Turns of proposing."""

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        refits: dict[bytes, Model] = {}
        left, size = view.unlabelled, FIRST_SUBSET
        for _ in range(self.n_filters):
            proposers = itertools.islice(itertools.cycle(ENSEMBLE), self.n_batches)
            batches = [propose(each, view, left, size, n, refits, rng) for each in proposers]
            left = np.unique(np.concatenate(batches))
            if len(left) > MOST_SURVIVORS:
                left = np.sort(rng.choice(left, size=max(MOST_SURVIVORS, n), replace=False))
            size = math.ceil(SHARE * len(left))
        chosen = UHerding(candidates="all").select(subpool(view, left, refits), n, rng=rng)
        indices = left[chosen.indices - len(view.labelled)]
        return Selection(indices, chosen.scores, stats={"n_left": len(left), **chosen.stats})
