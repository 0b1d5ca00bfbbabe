"""Least confidence: the points whose most likely class is the least likely."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic.dataclasses import dataclass

from strategies.base import PoolView, Selection, Strategy, top_k


@dataclass(frozen=True)
class LeastConfidence(Strategy):
    """Smallest largest probability; scores are one minus it, ties go to the smallest index."""

    name: ClassVar[str] = "least_confidence"
    source: ClassVar[str] = "Lewis and Gale 1994, A Sequential Algorithm for Training Text Classifiers, SIGIR"

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        assert view.model is not None
        likeliest = view.model.probabilities[view.unlabelled].max(axis=1).astype(np.float64)
        return top_k(1 - likeliest, view.unlabelled, n)
