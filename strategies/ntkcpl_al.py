"""NTKCPL(al): pseudo-labels from the active-learning feature."""

from __future__ import annotations

from typing import ClassVar

from pydantic.dataclasses import dataclass

from strategies.base import FloatArray, IndexArray, PoolView, Question
from strategies.ntkcpl import NTKCPL


@dataclass(frozen=True)
class NTKCPLAL(NTKCPL):
    """Clusters the penultimate activations of the last round's classifier."""

    name: ClassVar[str] = "ntkcpl_al"
    asks: ClassVar[frozenset[Question]] = frozenset({"embedding"})

    def _clustering_features(self, view: PoolView, points: IndexArray) -> FloatArray:
        assert view.model is not None
        features: FloatArray = view.model.embedding[points]
        return features
