"""Margin: the points whose two most likely classes are the closest."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic.dataclasses import dataclass

from strategies.base import PoolView, Selection, Strategy, top_k
from strategies.functional.uncertainty import margin


@dataclass(frozen=True)
class Margin(Strategy):
    """Smallest gap between the two largest probabilities; scores are negated gaps, ties go to the smallest index."""

    name: ClassVar[str] = "margin"
    source: ClassVar[str] = "Scheffer et al. 2001, Active Hidden Markov Models for Information Extraction"

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        assert view.model is not None
        return top_k(-margin(view.model.probabilities[view.unlabelled]), view.unlabelled, n)
