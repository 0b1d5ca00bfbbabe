"""UHerding: MaxHerding in which uncertain points count more, with a radius and a temperature from the labels."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
import scipy
from pydantic import Field
from pydantic.dataclasses import dataclass

from strategies.base import IndexArray, Model, PoolView, Selection, Strategy
from strategies.functional.calibration import best_temperature, tempered
from strategies.functional.distances import normalise_rows
from strategies.functional.herding import SMALLEST_SIGMA, herd
from strategies.functional.uncertainty import margin
from strategies.subpool import draw_candidates

HELD_OUT = 0.3
"""Share of the labels, the last ones bought, on which the temperature is chosen."""


@dataclass(frozen=True)
class UHerding(Strategy):
    """Greedy maximum of the mean of u max_l exp(-(||x - l|| / sigma)^2), u one minus the margin of a point.

    Without labels u and sigma are 1: MaxHerding's picks. Then sigma is the smallest distance between labelled points
    that are not copies of each other (`quantile` takes another of their distances, since near-duplicates make the
    smallest tiny; it never falls below 0.1), and u comes from probabilities at the temperature that minimises the
    calibration error of a classifier trained on all but the last 30 % of the labels in the order of purchase. The mean
    runs over the labelled points, which have no uncertainty, and the candidates. Scores are its increases.
    The distances between labels take 8 bytes a pair, twice.

    The authors' ports differ in what is held out (random or stratified shares, 15 bins); here it is the paper's.
    """

    name: ClassVar[str] = "uherding"
    version: ClassVar[int] = 2
    source: ClassVar[str] = (
        "Bae et al. 2025, Uncertainty Herding: One Active Learning Method for All Label Budgets, ICLR"
    )
    chooses_first_round: ClassVar[bool] = True

    candidates: Annotated[int, Field(ge=2)] | Literal["all"] = 35_000
    """Unlabelled and labelled points, which are averaged over; redrawn each round.

    Half of this number at least is unlabelled. So with more labels than the other half there are more points than it
    says, and time and memory grow with the labels.
    """
    quantile: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Which of the distances between labelled points sigma is; 0 the smallest."""

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        candidates = draw_candidates(view, self.candidates, n, rng)
        points, labelled = normalise_rows(view.features[candidates]), normalise_rows(view.features[view.labelled])
        sigma, temperature, mean, weights = 1.0, 1.0, 1.0, None
        if view.model is not None:
            distances = scipy.spatial.distance.pdist(labelled.astype(np.float64))
            distances = distances[distances > 0]
            sigma = float(np.quantile(distances, self.quantile)) if len(distances) else sigma
            sigma = max(sigma, SMALLEST_SIGMA)
            kept = earlier_labels(view)
            earlier = view.model.refit(kept) if len(kept) < len(view.labelled) else view.model
            temperature = temperature_of(earlier, view)
            uncertainty = 1 - margin(tempered(view.model.probabilities[candidates], temperature))
            mean = float(uncertainty.mean()) or 1.0
            weights = uncertainty / mean
        rows, gains = herd(points, labelled, n, sigma=sigma, weights=weights, n_threads=view.compute.n_threads)
        return Selection(candidates[rows], gains * mean, stats={"sigma": sigma, "temperature": temperature})


def earlier_labels(view: PoolView) -> IndexArray:
    """Positions of the labels bought first: all but the last 30 %, on which the temperature is chosen."""
    return np.arange(len(view.labelled) - int(HELD_OUT * len(view.labelled)))


def temperature_of(earlier: Model, view: PoolView) -> float:
    """The temperature of the classifier, from one that was trained on `earlier_labels`; 1 for up to three labels."""
    n_kept = len(earlier_labels(view))
    if n_kept == len(view.labelled):
        return 1.0
    held_out = earlier.probabilities[view.labelled[n_kept:]]
    return best_temperature(held_out, view.labels[n_kept:], view.n_classes)
