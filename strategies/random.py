"""Random: the baseline that every gain is measured against."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic.dataclasses import dataclass

from strategies.base import PoolView, Selection, Strategy, draw_uniformly


@dataclass(frozen=True)
class Random(Strategy):
    """Uniform draws without replacement from the unlabelled pool."""

    name: ClassVar[str] = "random"
    source: ClassVar[str] = "uniform sampling"
    chooses_first_round: ClassVar[bool] = True

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        return draw_uniformly(view, n, rng)
