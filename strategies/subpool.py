"""A part of the pool as a pool of its own, for strategies that look at a random part of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from strategies.base import FloatArray, IndexArray, Model, PoolView, Selection, Strategy


def draw_candidates(view: PoolView, size: int | Literal["all"], n: int, rng: np.random.Generator) -> IndexArray:
    """Unlabelled points that make `size` points with the labelled ones, drawn anew, ascending.

    Half of `size` at least, so that there is a choice with many labels, and `n`. All unlabelled points where the pool
    has no more than `size` points; then nothing is drawn.
    """
    if size == "all" or size >= len(view.features):
        return view.unlabelled
    wanted = min(max(size - len(view.labelled), size // 2, n), len(view.unlabelled))
    return np.sort(rng.choice(view.unlabelled, size=wanted, replace=False))


def subpool(view: PoolView, candidates: IndexArray, refits: dict[bytes, Model] | None = None) -> PoolView:
    """The labelled points, in the order of purchase, and after them some of the others.

    Args:
        view: the pool.
        candidates: unlabelled pool indices; the i-th has index `len(view.labelled) + i` in the part.
        refits: keeps what `Model.refit` gave, for parts of one round to share.
    """
    rows = np.concatenate([view.labelled, candidates])
    model = None if view.model is None else _PartModel(view.model, rows, {} if refits is None else refits)
    return PoolView(
        view.features[rows], np.arange(len(view.labelled)), view.labels, view.n_classes, model, view.compute
    )


def remaining(view: PoolView, rows: IndexArray) -> PoolView:
    """A pool that some unlabelled points have left, as if they had never been there; the view itself if none has.

    Args:
        view: the pool.
        rows: pool indices of what remains, ascending; all labelled points are among them.
    """
    if len(rows) == len(view.features):
        return view
    model = None if view.model is None else _PartModel(view.model, rows, {})
    labelled = np.searchsorted(rows, view.labelled)
    return replace(view, features=view.features[rows], labelled=labelled, model=model)


def in_whole(found: Selection, rows: IndexArray) -> Selection:
    """A selection from `remaining`, in indices of the whole pool."""
    diagnostics = found.diagnostics
    if diagnostics is not None:
        predict = diagnostics.predict
        diagnostics = replace(
            diagnostics,
            risk_set=rows[diagnostics.risk_set],
            predict=lambda points, labels: predict(np.searchsorted(rows, points), labels),
        )
    return replace(found, indices=rows[found.indices], diagnostics=diagnostics)


def propose(
    strategy: Strategy,
    view: PoolView,
    left: IndexArray,
    size: int,
    n: int,
    refits: dict[bytes, Model],
    rng: np.random.Generator,
) -> IndexArray:
    """The `n` picks of a strategy from a random part of some unlabelled points.

    Args:
        strategy: who proposes.
        view: the pool.
        left: unlabelled pool indices, `n` at least.
        size: points of the part; raised to `n`, lowered to what is left.
        n: picks.
        refits: as in `subpool`.
        rng: the only source of randomness.
    """
    size = min(max(size, n), len(left))
    part = left if size == len(left) else np.sort(rng.choice(left, size=size, replace=False))
    chosen = strategy.select(subpool(view, part, refits), n, rng=rng)
    return part[chosen.indices - len(view.labelled)]


@dataclass(frozen=True, eq=False)
class _PartModel:
    """The classifier of the whole pool, asked about some of its rows."""

    whole: Model
    rows: IndexArray
    refits: dict[bytes, Model] = field(repr=False)

    @property
    def probabilities(self) -> FloatArray:
        return self.whole.probabilities[self.rows]

    @property
    def embedding(self) -> FloatArray:
        return self.whole.embedding[self.rows]

    @property
    def learns_embedding(self) -> bool:
        return self.whole.learns_embedding

    def predict_proba(self, features: FloatArray) -> FloatArray:
        return self.whole.predict_proba(features)

    def gradient(self, features: FloatArray, classes: IndexArray) -> FloatArray:
        return self.whole.gradient(features, classes)

    def refit(self, positions: IndexArray) -> Model:
        asked = np.asarray(positions)
        key = f"{asked.dtype} {asked.shape} ".encode() + asked.tobytes()
        if key not in self.refits:
            self.refits[key] = self.whole.refit(positions)
        return _PartModel(self.refits[key], self.rows, {})
