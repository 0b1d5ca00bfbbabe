"""NTKCPL(self): pseudo-labels from the self-supervised features."""

from __future__ import annotations

from typing import ClassVar

from pydantic.dataclasses import dataclass

from strategies.base import FloatArray, IndexArray, PoolView
from strategies.ntkcpl import NTKCPL


@dataclass(frozen=True)
class NTKCPLSelf(NTKCPL):
    """Clusters the frozen features in every round; the better form while labels are very few."""

    name: ClassVar[str] = "ntkcpl_self"

    def _clustering_features(self, view: PoolView, points: IndexArray) -> FloatArray:
        features: FloatArray = view.features[points]
        return features
