"""DCoM: dense uncovered regions while little is covered, uncertain points once much is."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from strategies.base import FloatArray, IndexArray, PoolView, Selection, Strategy
from strategies.functional.balls import all_near, members, near, number_near, widest_pure_radii
from strategies.functional.distances import normalise_rows
from strategies.functional.uncertainty import margin
from strategies.subpool import draw_candidates, subpool

STEEPNESS, CENTRE = 50, 0.8
"""Parameters of the logistic curve from coverage to competence."""


@dataclass(frozen=True)
class DCoM(Strategy):
    """Largest competence x uncertainty + (1 - competence) x density, both scaled to [0, 1] before each pick.

    Every labelled point covers a ball on L2-normalised features: a binary search in [0, 1.1] to 0.05 looks for the
    widest one of which a share of at least 0.2 coverage + 0.4 is predicted to be of its class. Density is the number
    of uncovered points within the mean radius, and a pick covers as far; uncertainty is one minus the margin; the
    competence p / (1 + exp(-50 (coverage - 0.8))), p = 1 + exp(-10), grows with the covered share of the points.
    Without labels there is density alone, within `first_radius`.

    Once no candidate has density or uncertainty left, coverage goes on fold by fold, as in `ProbCover`.

    The authors determine a radius once, in the round after its point was bought; a strategy keeps nothing here, so all
    are determined anew with the present classifier, coverage in the threshold being that of balls of `first_radius`.
    Their graph leaves out the last rows of the pool; this one does not. O(candidates^2 dim), candidates^2 / 8 bytes.
    """

    name: ClassVar[str] = "dcom"
    version: ClassVar[int] = 3
    source: ClassVar[str] = "Mishal and Weinshall 2024, DCoM: Active Learning for All Learners, arXiv 2407.01804"
    chooses_first_round: ClassVar[bool] = True

    first_radius: Annotated[float, Field(ge=1e-3, le=2)] = 0.6
    """Radius of the balls before labels say more."""
    candidates: Annotated[int, Field(ge=2)] | Literal["all"] = 20_000
    """Unlabelled and labelled points, which are counted; redrawn each round.

    Half of this number at least is unlabelled. So with more labels than the other half there are more points than it
    says, and time and memory grow with the labels.
    """

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        candidates = draw_candidates(view, self.candidates, n, rng)
        part = subpool(view, candidates)
        points, n_labelled = normalise_rows(part.features), len(part.labelled)
        radius, is_covered = self.first_radius, np.zeros(len(points), dtype=bool)
        uncertainty: FloatArray = np.zeros(len(points))
        if part.model is not None:
            predicted = part.model.probabilities.argmax(axis=1)
            within = near(points[:n_labelled], points, self.first_radius, n_threads=view.compute.n_threads)
            threshold = 0.2 * float(members(within, len(points)).any(axis=0).mean()) + 0.4
            radii, is_covered = widest_pure_radii(points, predicted, part.labels, threshold)
            radius = float(radii.mean())
            uncertainty = min_max(-margin(part.model.probabilities))
            uncertainty[:n_labelled] = 0
        coverage = float(is_covered.mean())
        competence = competence_of(coverage)
        is_near = all_near(points, radius, n_threads=view.compute.n_threads)
        rows, scores = greedy(is_near, is_covered, uncertainty, competence, np.arange(n_labelled), n)
        stats: dict[str, float | int | str] = {"radius": radius, "coverage": coverage, "competence": competence}
        return Selection(candidates[rows - n_labelled], scores, stats)


def competence_of(coverage: float) -> float:
    """The logistic curve of the paper, 1 where all is covered."""
    return (1 + math.exp(-STEEPNESS * (1 - CENTRE))) / (1 + math.exp(-STEEPNESS * (coverage - CENTRE)))


def min_max(values: FloatArray) -> FloatArray:
    """`values` scaled to [0, 1]; zeros where all are equal."""
    low, high = values.min(), values.max()
    scaled: FloatArray = (values - low) / (high - low) if high > low else np.zeros(len(values))
    return scaled


def greedy(
    is_near: NDArray[np.uint64],
    is_covered: NDArray[np.bool_],
    uncertainty: FloatArray,
    competence: float,
    labelled: IndexArray,
    n: int,
) -> tuple[IndexArray, FloatArray]:
    """Picks of the largest weighted score; see `DCoM`. Ties go to the smallest index.

    Args:
        is_near: bits of `all_near`.
        is_covered: by labelled points.
        uncertainty: of each point, 0 for labelled ones.
        competence: weight of uncertainty, 0 once neither density nor uncertainty is left and the next fold begins.
        labelled: rows that cannot be picked and have no density.
        n: picks.

    Returns:
        Distinct rows in pick order and their scores.
    """
    uncertainty, times_covered, fold = uncertainty.copy(), is_covered.astype(np.int64), 0
    density = number_near(is_near, times_covered <= fold)
    is_free = np.ones(len(density), dtype=bool)
    is_free[labelled] = False
    picks, scores = np.empty(n, dtype=np.int64), np.empty(n)
    for step in range(n):
        if not density[is_free].any() and not uncertainty.any():
            fold = times_covered[number_near(is_near, is_free) > 0].min()
            density, competence = number_near(is_near, times_covered <= fold), 0.0
        score = competence * min_max(uncertainty) + (1 - competence) * min_max(np.where(is_free, density, 0))
        pick = picks[step] = np.argmax(np.where(is_free, score, -1))
        scores[step] = score[pick]
        is_free[pick], uncertainty[pick] = False, 0
        reached = members(is_near[pick], len(density))
        times_covered += reached
        density -= number_near(is_near, reached & (times_covered == fold + 1))
    return picks, scores
