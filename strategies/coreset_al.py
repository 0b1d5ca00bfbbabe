"""Coreset (AL): greedy k-centre on the penultimate layer of the classifier of the last round."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic.dataclasses import dataclass

from strategies.base import PoolView, Question, Selection, Strategy
from strategies.functional.kcenter import k_centre


@dataclass(frozen=True)
class CoresetAL(Strategy):
    """Farthest-first traversal in the embedding; scores are distances to the nearest centre."""

    name: ClassVar[str] = "coreset_al"
    version: ClassVar[int] = 2
    source: ClassVar[str] = "Sener and Savarese 2018, Active Learning for Convolutional Neural Networks, ICLR"
    asks: ClassVar[frozenset[Question]] = frozenset({"embedding"})

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        assert view.model is not None
        return Selection(*k_centre(view.model.embedding, view.labelled, n, n_threads=view.compute.n_threads))
