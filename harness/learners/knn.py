"""Nearest neighbours: the labelled points that are most alike vote, the nearer ones with more weight."""

from __future__ import annotations

from dataclasses import dataclass as plain
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from harness.learners.base import Learner
from strategies.base import FloatArray, IndexArray
from strategies.functional.distances import normalise_rows

_TIE = np.float32(1e-6)
"""Cosines of float32 that differ by less are equal: those of two copies of a point differ by their places."""


@dataclass(frozen=True)
class KNN(Learner):
    """Votes of the `neighbours` largest cosines, each with the weight exp(cosine / `temperature`).

    All labelled points vote where there are fewer of them, and so do ties with the last one. A class's probability is
    its share of the votes.
    """

    name: ClassVar[str] = "knn"
    version: ClassVar[int] = 2
    source: ClassVar[str] = "Wu et al. 2018, Unsupervised Feature Learning via Non-Parametric Instance Discrimination"

    neighbours: Annotated[int, Field(ge=1)] = 20
    """How many vote."""
    temperature: Annotated[float, Field(ge=1e-4, allow_inf_nan=False)] = 0.07
    """The smaller, the more the nearest one decides."""

    def fit(
        self, features: FloatArray, labels: IndexArray, n_classes: int, *, rng: np.random.Generator
    ) -> NeighbourPredictor:
        """Keep the labelled points; nothing is drawn."""
        votes = np.eye(n_classes, dtype=np.float32)[labels]
        return NeighbourPredictor(
            normalise_rows(features), votes, min(self.neighbours, len(labels)), np.float32(self.temperature)
        )


@plain(frozen=True, eq=False)
class NeighbourPredictor:
    """The labelled points, and how they vote.

    Attributes:
        bank: rows of norm 1, `n_labelled x dim` float32.
        votes: 1 for the class of each, `n_labelled x n_classes` float32.
        k: how many vote.
        temperature: divides the cosines.
    """

    bank: FloatArray
    votes: FloatArray
    k: int
    temperature: np.float32

    def predict_proba(self, features: FloatArray) -> FloatArray:
        """Shares of the votes, `n x n_classes` float32."""
        cosine = normalise_rows(features) @ self.bank.T
        last = np.partition(cosine, -self.k, axis=1)[:, -self.k, None]
        nearest = cosine.max(axis=1, keepdims=True)
        weights = np.where(cosine >= last - _TIE, np.exp((cosine - nearest) / self.temperature), 0)
        shares: FloatArray = weights @ self.votes
        shares /= shares.sum(axis=1, keepdims=True)
        return shares
