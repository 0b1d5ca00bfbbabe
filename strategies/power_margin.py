"""PowerMargin: margin sampling with noise, so that a batch is not all of one kind."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from strategies.base import PoolView, Selection, Strategy, top_k
from strategies.functional.uncertainty import margin

CERTAIN = -1e4
"""Stands for the beta log u of a point without uncertainty, below that of every other point whatever the noise."""


@dataclass(frozen=True)
class PowerMargin(Strategy):
    """Draws without replacement, each proportional to u^beta with u one minus the margin.

    Drawn as the `n` largest of beta log u + Gumbel noise, which are the scores (Gumbel's top-k trick). Points
    without any uncertainty come after all others, in random order.
    """

    name: ClassVar[str] = "power_margin"
    version: ClassVar[int] = 2
    source: ClassVar[str] = "Kirsch et al. 2023, Stochastic Batch Acquisition, TMLR (arXiv 2106.12059)"

    beta: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 1.0
    """Inverse temperature: 0 would be Random, infinity Margin."""

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        assert view.model is not None
        uncertainty = 1 - margin(view.model.probabilities[view.unlabelled])
        logarithms = np.log(np.maximum(uncertainty, np.finfo(np.float32).tiny))
        powers = np.where(uncertainty > 0, self.beta * logarithms, CERTAIN)
        return top_k(powers + rng.gumbel(size=len(powers)), view.unlabelled, n)
