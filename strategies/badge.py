"""BADGE: a batch that is uncertain and diverse, by k-means++ draws among hallucinated gradients."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic.dataclasses import dataclass

from strategies.base import IndexArray, Model, PoolView, Question, Selection, Strategy
from strategies.functional.badge import prediction_error, sample_centres


@dataclass(frozen=True)
class Badge(Strategy):
    """k-means++ draws on last-layer gradients at the predicted label, from the largest gradient on.

    Scores are squared distances to the nearest earlier pick (of the first pick: the squared norm).
    """

    name: ClassVar[str] = "badge"
    source: ClassVar[str] = (
        "Ash et al. 2020, Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds, ICLR"
    )
    asks: ClassVar[frozenset[Question]] = frozenset({"embedding"})

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        assert view.model is not None
        return draw_gradients(view.model, view.unlabelled, n, rng)


def draw_gradients(model: Model, candidates: IndexArray, n: int, rng: np.random.Generator) -> Selection:
    """`n` of the `candidates` (pool indices) by BADGE's rule."""
    error = prediction_error(model.probabilities[candidates])
    rows, scores = sample_centres(error, model.embedding[candidates], n, rng=rng)
    return Selection(candidates[rows], scores)
