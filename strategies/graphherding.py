"""GraphHerding: coverage of what is uncertain, by random walks on the graph of nearest neighbours."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from strategies.bait_binary import BaitBinary
from strategies.base import FloatArray, IndexArray, PoolView, Selection, Strategy
from strategies.functional.calibration import tempered
from strategies.functional.diffusion import diffusion_kernel
from strategies.functional.distances import normalise_rows
from strategies.functional.herding import exchange_in, herd_in
from strategies.functional.tiles import map_each
from strategies.functional.uncertainty import margin
from strategies.subpool import draw_candidates
from strategies.uherding import earlier_labels, temperature_of

N_PARTS, KEPT = 3, 0.8
"""Parts of the labels that classifiers are trained on beside the whole, and what share of the labels each has."""


@dataclass(frozen=True)
class GraphHerding(Strategy):
    """Maximum of the mean of u_x max_l a_xl k(x, l) over points x, l a label, k from walks on the neighbour graph.

    k(x, l) is the geometric mean of the probabilities that a walk from x reaches l and that one from l reaches x
    (`strategies.functional.diffusion`): two points are similar if a path of near neighbours joins them, by unit
    features. Picks are greedy, and are then exchanged one by one until no exchange raises the mean.

    While nothing is labelled, u and a are 1. Then, with p the mean probabilities of the classifier and of three that
    are trained on random four fifths of its labels, at the temperature of `uherding`: u_x is one minus the margin of
    p_x, 0 on labelled points, and a_xl = p_x(class of l) / max_c p_x(c), 1 for the picks, whose labels are unknown.

    Once each class has `handover` labels in the mean, the regions are covered, and what is left are the borders between
    classes. A classifier that learns an embedding knows more of these than the features do: from there on, the query is
    that of `bait_binary`, if the classifier does.

    The mean runs over the labelled points and the candidates. A score is what the mean loses without that pick. The
    derivation, what was measured and where it fails: docs/explanation/graphherding.md.
    """

    name: ClassVar[str] = "graphherding"
    source: ClassVar[str] = "this project, after Bae et al. 2024, arXiv 2407.12212, and 2025, arXiv 2412.20644"
    version: ClassVar[int] = 4
    chooses_first_round: ClassVar[bool] = True

    candidates: Annotated[int, Field(ge=2, le=30_000)] = 10_000
    """Unlabelled and labelled points, which are averaged over; redrawn each round.

    Half of this number at least is unlabelled. So with more labels than the other half there are more points than it
    says, and time and memory grow with the labels.

    Time grows with the cube of the points.
    """
    neighbours: Annotated[int, Field(ge=1)] = 10
    """Nearest points that each point is joined to in the graph."""
    stay: Annotated[float, Field(gt=0, le=0.999)] = 0.95
    """Probability that a walk goes on before each step. Nearer to 1, float32 does not resolve the kernel."""
    handover: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 40.0
    """Labels for each class from which on `bait_binary` chooses, if the classifier learns an embedding."""

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        if (
            view.model is not None
            and view.model.learns_embedding
            and len(view.labels) / view.n_classes >= self.handover
        ):
            return replace(BaitBinary()._select(view, n, rng=rng), stats={"handed_over": 1})
        n_threads = view.compute.n_threads
        candidates = draw_candidates(view, self.candidates, n, rng)
        points = np.concatenate([candidates, view.labelled])
        kernel = diffusion_kernel(
            normalise_rows(view.features[points]), n_near=self.neighbours, stay=self.stay, n_threads=n_threads
        )
        between, to_labels = kernel[: len(candidates), : len(candidates)], kernel[len(candidates) :, : len(candidates)]
        covered = to_labels.max(axis=0, initial=0)
        weights, mean, stats = None, 1.0, dict[str, float | int | str]()
        if view.model is not None:
            probabilities, temperature = self._probabilities(view, candidates, rng)
            covered = agreed(to_labels, view.labels, probabilities)
            uncertainty = 1 - margin(probabilities)
            mean = float(uncertainty.mean()) or 1.0
            weights, stats = uncertainty / mean, {"temperature": temperature}
        picks, _ = herd_in(between, covered, n, weights=weights, n_threads=n_threads)
        picks, gains = exchange_in(between, covered, picks, weights=weights, n_threads=n_threads)
        return Selection(candidates[picks], gains * mean * len(candidates) / len(points), stats)

    def _probabilities(
        self, view: PoolView, candidates: IndexArray, rng: np.random.Generator
    ) -> tuple[FloatArray, float]:
        """Mean over the classifier and those that know a part of its labels, `len(candidates) x C`; the temperature."""
        assert view.model is not None
        n_labels = len(view.labels)
        n_kept = max(int(KEPT * n_labels), 1)
        parts = [np.sort(rng.choice(n_labels, n_kept, replace=False)) for _ in range(N_PARTS)]
        known = [earlier_labels(view), *parts]
        earlier, *others = map_each(view.model.refit, known, n_threads=view.compute.n_threads)
        temperature = temperature_of(earlier, view)
        each = [tempered(model.probabilities[candidates], temperature) for model in (view.model, *others)]
        mean: FloatArray = np.mean(each, axis=0)
        return mean, temperature


def agreed(similarities: FloatArray, labels: IndexArray, probabilities: FloatArray) -> FloatArray:
    """How far each point is covered by the labels on which the classifier agrees with them.

    Args:
        similarities: of each label to each point, `n_labels x n`.
        labels: class of each label.
        probabilities: of each class at each point, `n x C`.

    Returns:
        The largest over the labels of similarity times p(class of the label) / max_c p(c), `n` float32.
    """
    agreement = (probabilities / probabilities.max(axis=1, keepdims=True)).astype(np.float32)
    covered = np.zeros(similarities.shape[1], dtype=np.float32)
    for label in np.unique(labels):
        np.maximum(covered, similarities[labels == label].max(axis=0) * agreement[:, label], out=covered)
    return covered
