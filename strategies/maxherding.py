"""MaxHerding: the points that raise the mean similarity of the pool to its nearest label most."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from strategies.base import PoolView, Selection, Strategy
from strategies.functional.distances import normalise_rows
from strategies.functional.herding import herd
from strategies.subpool import draw_candidates


@dataclass(frozen=True)
class MaxHerding(Strategy):
    """Greedy maximum of the mean of max_l exp(-(||x - l|| / sigma)^2) over points x, l a label, on unit features.

    The mean runs over the labelled points and the candidates. Scores are its increases, in steps of 2^-22, about 2e-7.
    Points whose gains round to the same step are tied, and ties go to the smallest index: so do most picks once little
    is left to gain, as where all features point nearly the same way. A smaller `sigma` tells them apart.
    """

    name: ClassVar[str] = "maxherding"
    version: ClassVar[int] = 2
    source: ClassVar[str] = "Bae et al. 2024, Generalized Coverage for More Robust Low-Budget Active Learning, ECCV"
    chooses_first_round: ClassVar[bool] = True

    sigma: Annotated[float, Field(ge=0.1, le=10)] = 1.0
    """Width of the kernel, a distance between unit vectors; below 0.1 float32 cannot tell its neighbours apart."""
    candidates: Annotated[int, Field(ge=2)] | Literal["all"] = 35_000
    """Unlabelled and labelled points, which are averaged over; redrawn each round.

    Half of this number at least is unlabelled. So with more labels than the other half there are more points than it
    says, and time and memory grow with the labels.
    """

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        candidates = draw_candidates(view, self.candidates, n, rng)
        rows, gains = herd(
            normalise_rows(view.features[candidates]),
            normalise_rows(view.features[view.labelled]),
            n,
            sigma=self.sigma,
            n_threads=view.compute.n_threads,
        )
        return Selection(candidates[rows], gains)
