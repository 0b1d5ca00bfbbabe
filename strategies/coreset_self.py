"""Coreset (self): greedy k-centre on the frozen self-supervised features."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic.dataclasses import dataclass

from strategies.base import PoolView, Selection, Strategy
from strategies.functional.kcenter import k_centre


@dataclass(frozen=True)
class CoresetSelf(Strategy):
    """Farthest-first traversal in feature space (Euclidean, features as given).

    Without labels it starts from one uniformly drawn point. Scores are distances to the nearest centre;
    that of a drawn starting point is infinite.
    """

    name: ClassVar[str] = "coreset_self"
    version: ClassVar[int] = 2
    source: ClassVar[str] = "Sener and Savarese 2018, Active Learning for Convolutional Neural Networks, ICLR"
    chooses_first_round: ClassVar[bool] = True

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        start = rng.choice(view.unlabelled, size=0 if len(view.labelled) else 1)
        centres = np.concatenate([view.labelled, start])
        picks, distances = k_centre(view.features, centres, n - len(start), n_threads=view.compute.n_threads)
        return Selection(np.concatenate([start, picks]), np.concatenate([np.full(len(start), np.inf), distances]))
