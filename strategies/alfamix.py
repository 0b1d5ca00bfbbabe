"""ALFA-Mix: diverse points among those that change class when their features are mixed a little with labelled ones."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from strategies.base import FloatArray, Model, PoolView, Question, Selection, Strategy, fill_up
from strategies.functional.clustering import central_points
from strategies.functional.distances import normalise_rows
from strategies.functional.tiles import slices

ROWS = 4096
"""Points that are mixed at once; part of the arithmetic."""


@dataclass(frozen=True)
class AlfaMix(Strategy):
    """K-means among the points whose predicted class changes at alpha z* + (1 - alpha) z for the mean z* of a class.

    z are frozen features, the means those of the labelled points, g the gradient of the cross entropy of the predicted
    class at z, alpha = `epsilon` / sqrt(dim) |z* - z| g / (|g| (z* - z)) feature by feature (the paper's closed form
    for the largest loss): a step along the gradient as long as a share of the distance. Features in which a point
    equals the mean are not mixed, nor points without a gradient. Candidates are clustered on L2-normalised features
    into as many clusters as picks, the point nearest to each centre is taken, the largest cluster first, and missing
    picks are drawn at random. The authors take the mean of all labels for a class that has none; here it is left out.
    O(n_pool n_classes) predictions.
    """

    name: ClassVar[str] = "alfamix"
    source: ClassVar[str] = "Parvaneh et al. 2022, Active Learning by Feature Mixing, CVPR"
    asks: ClassVar[frozenset[Question]] = frozenset({"gradient"})

    epsilon: Annotated[float, Field(gt=0, le=10)] = 0.2
    """Largest root mean square of alpha, times sqrt(dim)."""

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        assert view.model is not None
        seen = np.unique(view.labels)
        anchors = np.stack([view.features[view.labelled[view.labels == c]].mean(axis=0) for c in seen])
        predicted = view.model.probabilities[view.unlabelled].argmax(axis=1)
        changes = [
            self._change(view.model, view.features[view.unlabelled[rows]], predicted[rows], anchors)
            for rows in slices(0, len(view.unlabelled), ROWS)
        ]
        candidates = view.unlabelled[np.concatenate(changes)]
        picks = central_points(normalise_rows(view.features[candidates]), n, seed=int(rng.integers(2**31)))
        selection = fill_up(view, candidates[picks], n, rng)
        return replace(selection, stats={"n_candidates": len(candidates), **selection.stats})

    def _change(
        self, model: Model, points: FloatArray, predicted: NDArray[np.int64], anchors: FloatArray
    ) -> NDArray[np.bool_]:
        """Whether the class of each of `points`, `n x dim`, changes when it is mixed with any of the anchors."""
        size = np.float32(self.epsilon / math.sqrt(points.shape[1]))
        steps = size * normalise_rows(model.gradient(points, predicted))
        changes = np.zeros(len(points), dtype=bool)
        for anchor in anchors:
            rest = np.flatnonzero(~changes & steps.any(axis=1))
            towards = anchor - points[rest]
            lengths = np.linalg.norm(towards.astype(np.float64), axis=1, keepdims=True)  # squares may not fit float32
            mixed = points[rest] + np.where(towards == 0, 0, lengths * steps[rest])
            changes[rest] = model.predict_proba(mixed).argmax(axis=1) != predicted[rest]
        return changes
