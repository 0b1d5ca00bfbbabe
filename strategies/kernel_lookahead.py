"""What LookAhead and NTKCPL share: a candidate subset, a kernel, a ridge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from strategies.base import FloatArray, IndexArray, PoolView, Strategy
from strategies.functional.engine.problem import SMALLEST_RIDGE, Problem, absolute_ridge, condition, one_hot
from strategies.functional.ntk import KernelKind, Network, Parameterisation, draw_network, make_kernel
from strategies.functional.scaling import Scaling, fit_scaling


@dataclass(frozen=True)
class KernelLookAhead(Strategy):
    """Kernel regression on a subset of the pool; the options of arXiv 2306.04099."""

    candidates: Annotated[int, Field(ge=2)] | Literal["all"] = 10_000
    """Points, labelled ones included, that are training rows and risk set at once; redrawn each round.

    Labels count under `candidates_from=pool`: once labels and query together reach this number, a round draws no more
    unlabelled points than it buys, so it buys at random, as Random does.
    """
    candidates_from: Literal["pool", "unlabelled"] = "pool"
    """Whether `candidates` counts the labelled points as well, or so many unlabelled ones join them."""
    kernel: KernelKind = "analytic"
    """NTK of a random network (`empirical`) or its expectation (`analytic`)."""
    width: Annotated[int, Field(ge=1)] = 512
    """Hidden units of the network."""
    parameterisation: Parameterisation = "ntk"
    """How the network's weights are scaled."""
    bias: bool = True
    """Whether the network has biases."""
    initial: Literal["zero", "network"] = "zero"
    """f0: nothing, or the random network's output."""
    ridge: Annotated[float, Field(ge=SMALLEST_RIDGE, allow_inf_nan=False)] = 1e-2
    """r, relative to the mean of the kernel's diagonal; at least 1e-4, below which float32 residuals are noise.

    Between copies of a point, the analytic kernel itself errs by up to 2e-4 of that mean in float32, the rounding of an
    arc cosine near 1. So with copies in the pool, a ridge of 1e-4 is within the noise; NTKCPL refuses a round in which
    the noise grows beyond bounds.
    """
    targets: Literal["onehot", "centred"] = "onehot"
    """0/1 targets, or the same less 1/classes."""
    scaling: Scaling = "rms"
    """How the kernel's inputs are scaled."""

    def canonical(self, queries: Sequence[int]) -> Self:
        """The strategy with `candidates_from` as it is by default where no labelled point or no limit is there."""
        no_matter = self.candidates == "all" or len(queries) < 2
        return replace(self, candidates_from="pool") if no_matter else self

    def _draw_risk_set(self, view: PoolView, n: int, rng: np.random.Generator) -> IndexArray:
        """The labelled points and a random sample of the others, ascending; at least `n` candidates."""
        size = len(view.features) if self.candidates == "all" else self.candidates
        counted = len(view.labelled) if self.candidates_from == "pool" else 0
        n_unlabelled = min(max(size - counted, n), len(view.unlabelled))
        drawn = rng.choice(view.unlabelled, size=n_unlabelled, replace=False)
        return np.sort(np.concatenate([view.labelled, drawn]))

    def _draw_network(self, view: PoolView, n_outputs: int, rng: np.random.Generator) -> Network:
        return draw_network(
            view.features.shape[1],
            self.width,
            n_outputs,
            parameterisation=self.parameterisation,
            bias=self.bias,
            rng=rng,
        )

    def _scaled(self, view: PoolView, points: IndexArray) -> FloatArray:
        scaler = view.cached(f"scaling-{self.scaling}", lambda pool: fit_scaling(pool, self.scaling))
        return scaler(view.features[points])

    def _regress(
        self,
        view: PoolView,
        points: IndexArray,
        labelled: IndexArray,
        classes: IndexArray,
        n_classes: int,
        network: Network,
    ) -> tuple[FloatArray, FloatArray]:
        """`whitened` and `predictions` at `points` after training on pool points with given classes."""
        scaled = self._scaled(view, points).astype(np.float64)
        kernel = make_kernel(self.kernel, network, scaled)
        order = np.argsort(points)
        positions = order[np.searchsorted(points, labelled, sorter=order)]
        outputs = (
            network.outputs(scaled, n_classes) if self.initial == "network" else np.zeros((len(points), n_classes))
        )
        if self.targets == "centred":
            # Both sides moved by 1/n_classes: the errors of centred targets, and the arg max, with 0/1 targets.
            outputs = outputs + 1 / n_classes
        targets = one_hot(classes, n_classes)
        return condition(kernel, positions, targets, outputs, absolute_ridge(kernel, self.ridge), view.compute)

    def _problem(
        self,
        view: PoolView,
        points: IndexArray,
        targets: IndexArray,
        labels: IndexArray,
        regression: tuple[FloatArray, FloatArray],
        network: Network,
    ) -> Problem:
        """The round's look-ahead; `points` must be sorted by `labels`."""
        kernel = make_kernel(self.kernel, network, self._scaled(view, points))
        whitened, predictions = regression
        return Problem(
            kernel=kernel,
            ridge=absolute_ridge(kernel, self.ridge),
            whitened=whitened,
            predictions=predictions,
            targets=targets,
            labels=labels,
            candidates=np.flatnonzero(~np.isin(points, view.labelled)),
            pool_indices=points,
        )
