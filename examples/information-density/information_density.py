"""Information density: uncertain points first, those that resemble the pool before outliers."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass
from scipy.special import entr

from strategies import FloatArray, PoolView, Selection, Strategy


@dataclass(frozen=True)
class InformationDensity(Strategy):
    """Entropy times a power of the mean similarity to the pool; ties go to the smallest index."""

    name: ClassVar[str] = "information_density"
    source: ClassVar[str] = "Settles and Craven 2008, Active Learning for Sequence Labeling Tasks, EMNLP"

    beta: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the density; 0 is entropy alone."""

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        assert view.model is not None
        entropy = entr(view.model.probabilities[view.unlabelled].astype(np.float64)).sum(axis=1)
        density = view.cached("information_density", mean_similarity)[view.unlabelled]
        scores = entropy * density**self.beta
        order = np.argsort(-scores, kind="stable")[:n]
        return Selection(view.unlabelled[order], scores[order])


def mean_similarity(features: FloatArray) -> FloatArray:
    """Mean cosine similarity of each point to all points, moved to [0, 1].

    The mean over pairs is a product with the mean direction, so it is linear in the size of the pool.

    Args:
        features: `n x dim`.

    Returns:
        `n`; a point at 0 resembles nothing and gets 1/2.
    """
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    directions = features / np.where(norms > 0, norms, 1)
    similarity: FloatArray = (1 + directions @ directions.mean(axis=0)) / 2
    return similarity
