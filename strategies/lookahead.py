"""LookAhead: the candidates that would change the model's output most."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
from pydantic.dataclasses import dataclass

from strategies.base import PoolView, Selection, top_k
from strategies.functional.engine.local import make_engine
from strategies.kernel_lookahead import KernelLookAhead


@dataclass(frozen=True)
class LookAhead(KernelLookAhead):
    """Most likely model output change under the kernel regression; the top of one ranking, no update."""

    name: ClassVar[str] = "lookahead"
    source: ClassVar[str] = "Mohamadi, Bae and Sutherland 2022, arXiv 2206.12569"

    score: Literal["change", "flips"] = "change"
    """Summed L2 change of the outputs, or the number of points whose arg max changes."""
    guess: Literal["kernel", "classifier"] = "kernel"
    """Whose arg max stands in for a candidate's unknown label."""

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        assert view.model is not None
        points = self._draw_risk_set(view, n, rng)
        network = self._draw_network(view, view.n_classes, rng)
        whitened, predictions = self._regress(view, points, view.labelled, view.labels, view.n_classes, network)
        labels = predictions.argmax(axis=1)
        targets = labels if self.guess == "kernel" else view.model.probabilities[points].argmax(axis=1)
        order = np.argsort(labels, kind="stable")
        points = points[order]
        regression = whitened[:, order], predictions[order]
        problem = self._problem(view, points, targets[order], labels[order], regression, network)
        # One pass scores them all, so no row of S is worth keeping.
        compute = replace(view.compute, memory_limit=0)
        scores = make_engine(problem, "change" if self.score == "change" else "zero_one", compute).scores()
        return top_k(scores.astype(np.float64), points[problem.candidates], n)
