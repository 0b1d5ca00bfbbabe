"""TCM: TypiClust while there are few labels, Margin from then on."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from strategies.base import PoolView, Selection, Strategy
from strategies.margin import Margin
from strategies.typiclust import TypiClust


@dataclass(frozen=True)
class TCM(Strategy):
    """Rounds that begin with fewer than `typiclust_labels` labels a class are TypiClust's, later ones Margin's.

    The paper leaves the moment of the change to a rule of thumb; the default here is a choice of this project. A round
    is never divided. Scores are those of the strategy that chose.
    """

    name: ClassVar[str] = "tcm"
    version: ClassVar[int] = 3
    source: ClassVar[str] = (
        "Doucet et al. 2024, Bridging Diversity and Uncertainty in Active Learning, arXiv 2403.03728"
    )
    chooses_first_round: ClassVar[bool] = True

    typiclust_labels: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 4.0
    """Labels a class, on average, from which Margin chooses; the first round is TypiClust's in any case."""

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        is_early = view.model is None or len(view.labelled) / view.n_classes < self.typiclust_labels
        chosen = TypiClust() if is_early else Margin()
        return chosen.select(view, n, rng=rng)
