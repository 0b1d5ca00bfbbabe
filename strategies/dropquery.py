"""DropQuery: diverse points among those whose prediction changes when parts of their features are dropped."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from strategies.base import IndexArray, Model, PoolView, Selection, Strategy, fill_up
from strategies.functional.clustering import central_points
from strategies.functional.distances import normalise_rows
from strategies.functional.tiles import slices

ROWS = 4096
"""Rows whose features are dropped at once; part of the arithmetic, as the mask is drawn in this order."""
ENOUGH = 25
"""Candidates for each point to pick, below which fewer disagreements suffice."""


@dataclass(frozen=True)
class DropQuery(Strategy):
    """K-means among the points whose predicted class differs from the clean one in most passes with dropout.

    In each of `n_passes` every feature of every unlabelled point is dropped with probability `dropout`, the others
    divided by one minus it. Candidates disagree in more than half of the passes; while they are fewer than 25 for each
    pick, one disagreement less is asked for, but one at least. They are clustered on L2-normalised features into as
    many clusters as picks, and the point nearest to each centre is taken, the largest cluster first; missing picks
    are drawn at random. Without labels the whole pool is clustered.
    """

    name: ClassVar[str] = "dropquery"
    version: ClassVar[int] = 2
    source: ClassVar[str] = (
        "Gupte et al. 2024, Revisiting Active Learning in the Era of Vision Foundation Models, TMLR (arXiv 2401.14555)"
    )
    chooses_first_round: ClassVar[bool] = True

    n_passes: Annotated[int, Field(ge=1, le=100)] = 3
    """Predictions with dropout."""
    dropout: Annotated[float, Field(gt=0, lt=1)] = 0.75
    """Probability that a feature is dropped."""

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        candidates = view.unlabelled
        if view.model is not None:
            counts = self._disagreements(view.model, view, rng)
            threshold = self.n_passes // 2
            while threshold > 0 and np.sum(counts > threshold) < ENOUGH * n:
                threshold -= 1
            candidates = candidates[counts > threshold]
        rows = central_points(normalise_rows(view.features[candidates]), n, seed=int(rng.integers(2**31)))
        selection = fill_up(view, candidates[rows], n, rng)
        return replace(selection, stats={"n_candidates": len(candidates), **selection.stats})

    def _disagreements(self, model: Model, view: PoolView, rng: np.random.Generator) -> IndexArray:
        clean = model.probabilities[view.unlabelled].argmax(axis=1)
        counts = np.zeros(len(clean), dtype=np.int64)
        for _ in range(self.n_passes):
            for rows in slices(0, len(clean), ROWS):
                features = view.features[view.unlabelled[rows]]
                is_kept: NDArray[np.bool_] = rng.random(features.shape, dtype=np.float32) >= self.dropout
                dropped = features * is_kept / np.float32(1 - self.dropout)
                counts[rows] += model.predict_proba(dropped).argmax(axis=1) != clean[rows]
        return counts
