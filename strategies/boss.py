"""BoSS: the best of many batches by true labels and test data, a bound for figures."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from strategies.base import IndexArray, Model, Oracle, PoolView, Question, Strategy
from strategies.random import Random
from strategies.refine import ENSEMBLE
from strategies.subpool import propose

PROPOSERS: tuple[Strategy, ...] = (Random(), *ENSEMBLE)


@dataclass(frozen=True)
class Boss(Oracle):
    """`n_batches` batches, proposed in turn by Random and the strategies of `Refine`, each from a random part.

    A part has `part` unlabelled points, but no more than half of them, so that batches differ in a small pool. Without
    labels only those propose that can choose the first round. The batch is bought after which the classifier, trained
    with the true labels as it will be in the round, is the most accurate on the test data; of equal ones the first.
    The authors have two more proposers, which choose with the true class of every pool point; they are left out here.
    A round costs `n_batches` selections and as many trainings.
    """

    name: ClassVar[str] = "boss"
    version: ClassVar[int] = 3
    source: ClassVar[str] = "Huseljic et al. 2026, BoSS: A Best-of-Strategies Selector, arXiv 2603.13109"
    chooses_first_round: ClassVar[bool] = True
    asks: ClassVar[frozenset[Question]] = frozenset({"embedding", "gradient"})

    n_batches: Annotated[int, Field(ge=1)] = 100
    """Batches that are judged in a round."""
    part: Annotated[int, Field(ge=1)] = 2_500
    """Unlabelled points that a batch is proposed from."""

    def propose(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Iterator[tuple[str, IndexArray]]:
        """The batches, one after the other."""
        proposers = [each for each in PROPOSERS if view.model is not None or each.chooses_first_round]
        size = min(self.part, len(view.unlabelled) // 2)
        refits: dict[bytes, Model] = {}
        for each in itertools.islice(itertools.cycle(proposers), self.n_batches):
            yield each.name, propose(each, view, view.unlabelled, size, n, refits, rng)
