"""BAIT-Binary: the batch that leaves least uncertain what the last layer of the classifier still has to learn."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from strategies.base import PoolView, Question, Selection, Strategy
from strategies.functional.fisher import bait, binary_information, weighted_gram

RESOLVED = 1e-7
"""Smallest lambda, as a share of the largest squared norm of an embedding."""


@dataclass(frozen=True)
class BaitBinary(Strategy):
    """BAIT with the Fisher information of "is it the predicted class?", p (1 - p) h h^T with h the embedding.

    F is its mean over the pool. With L labels and a query of n, M is the inverse of lambda I plus L / (L + n) times the
    mean over the labelled points plus n / (L + n) times the sum over the batch. Picks lower tr(F M) most: twice as many
    as asked for are added greedily, half of them removed again. Scores are the decreases when each was added.
    """

    name: ClassVar[str] = "bait_binary"
    version: ClassVar[int] = 2
    source: ClassVar[str] = (
        "Huseljic et al. 2024, Fast Fishing: Approximating BAIT for Efficient and Scalable Deep Active Image "
        "Classification, ECML PKDD (arXiv 2404.08981); Ash et al. 2021, Gone Fishing, NeurIPS"
    )
    asks: ClassVar[frozenset[Question]] = frozenset({"embedding"})

    regulariser: Annotated[float, Field(ge=1e-6, allow_inf_nan=False)] = 1.0
    """lambda; at least 1e-7 of the largest |h|^2, below which float64 does not resolve the traces."""
    oversampling: Annotated[float, Field(ge=1, le=10)] = 2.0
    """Points added before any is removed, as a multiple of the query."""

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        assert view.model is not None
        n_threads = view.compute.n_threads
        embedding, weights = view.model.embedding, binary_information(view.model.probabilities)
        information = weighted_gram(embedding, weights, n_threads=n_threads)
        share = n / (len(view.labelled) + n)
        labelled = weighted_gram(embedding[view.labelled], weights[view.labelled], n_threads=n_threads)
        largest = np.einsum("ij,ij->i", embedding, embedding, dtype=np.float64).max()
        regulariser = max(self.regulariser, RESOLVED * float(largest))
        start = regulariser * np.eye(embedding.shape[1]) + (1 - share) * labelled
        picks, gains = bait(
            embedding[view.unlabelled],
            share * weights[view.unlabelled],
            information,
            start,
            n,
            n_forward=min(int(self.oversampling * n), len(view.unlabelled)),
            n_threads=n_threads,
        )
        return Selection(view.unlabelled[picks], gains)
