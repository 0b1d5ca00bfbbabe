"""Entropy: the points whose predicted class distribution is the least certain."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic.dataclasses import dataclass

from strategies.base import PoolView, Selection, Strategy, top_k
from strategies.functional.uncertainty import entropy


@dataclass(frozen=True)
class Entropy(Strategy):
    """Largest entropy of the softmax; ties go to the smallest pool index."""

    name: ClassVar[str] = "entropy"
    source: ClassVar[str] = "Settles 2009, Active Learning Literature Survey, section 3.1"

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        assert view.model is not None
        return top_k(entropy(view.model.probabilities[view.unlabelled]), view.unlabelled, n)
