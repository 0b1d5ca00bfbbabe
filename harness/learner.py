"""The learner: a small network on frozen features, trained anew in every round.

Linear - BatchNorm - ReLU - Linear, SGD with Nesterov momentum, learning rate lr cos(7 pi/16 step/total),
cross entropy, the weights after the last step (the recipe of arXiv 2306.04099 and its first author's code).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Annotated

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from harness.exceptions import SpecError
from strategies.base import FloatArray, IndexArray
from strategies.functional.scaling import Scaling, fit_scaling

_ROWS = 4096
"""Rows of a forward pass; part of the arithmetic."""


class LearnerSpec(BaseModel):
    """Settings of the learner; they belong to the study, not to a strategy."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    hidden: Annotated[int, Field(ge=1)] = 512
    epochs: Annotated[int, Field(ge=1)] = 100
    batch_size: Annotated[int, Field(ge=2)] = 128
    lr: Annotated[float, Field(gt=0)] = 0.3
    momentum: Annotated[float, Field(gt=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 3e-4
    scaling: Scaling = "rms"


@contextmanager
def one_thread() -> Iterator[None]:
    """One CPU thread for torch, BLAS and OpenMP, deterministic algorithms, no TF32; put back at the end."""
    n_threads = torch.get_num_threads()
    algorithms = torch.are_deterministic_algorithms_enabled()
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(n_threads)
        torch.use_deterministic_algorithms(algorithms)
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32


def to_inputs(pool: FloatArray, test: FloatArray, spec: LearnerSpec, device: str) -> tuple[Tensor, Tensor]:
    """Pool and test set on the learner's device, both scaled by the pool."""
    scaler = fit_scaling(pool, spec.scaling)
    return torch.from_numpy(scaler(pool)).to(device), torch.from_numpy(scaler(test)).to(device)


class Learner:
    """A trained classifier on the pool; what strategies ask of it is computed when first read.

    It holds no label and no test data, so that none can be reached through it.
    """

    def __init__(self, network: nn.Sequential, pool: Tensor) -> None:
        self._network = network
        self._pool = pool

    @cached_property
    def embedding(self) -> FloatArray:
        """Penultimate activations of the pool, `n_pool x hidden` float32."""
        return _forward(self._network[:3], self._pool).numpy()

    @cached_property
    def probabilities(self) -> FloatArray:
        """Softmax over the classes for each pool point, `n_pool x n_classes` float32."""
        return _forward(self._network, self._pool).softmax(dim=1).numpy()

    def predict_pool(self, points: IndexArray) -> IndexArray:
        """Classes predicted for some pool points."""
        return self.predict(self._pool[torch.tensor(points)])

    def predict(self, inputs: Tensor) -> IndexArray:
        """Classes predicted for inputs from `to_inputs`."""
        return _forward(self._network, inputs).argmax(dim=1).numpy()


def train(
    pool: Tensor,
    labelled: IndexArray,
    labels: IndexArray,
    n_classes: int,
    spec: LearnerSpec,
    rng: np.random.Generator,
) -> Learner:
    """Train a new classifier on the labelled points.

    Args:
        pool: the pool, from `to_inputs`.
        labelled: pool indices.
        labels: their classes.
        n_classes: width of the output.
        spec: settings.
        rng: initialisation and order of the batches.

    Raises:
        SpecError: the weights are no longer finite, as with a learning rate that is too large.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    inputs = pool[torch.tensor(labelled)]
    targets = torch.from_numpy(labels).to(inputs.device)
    network = _initialise(inputs.shape[1], n_classes, spec, generator).to(inputs.device)
    optimiser = torch.optim.SGD(
        network.parameters(), lr=spec.lr, momentum=spec.momentum, weight_decay=spec.weight_decay, nesterov=True
    )
    batches_per_epoch = len(_batches(torch.arange(len(labels)), spec.batch_size))
    total = spec.epochs * batches_per_epoch
    # A single point has no batch statistics; it is trained with the initial ones.
    network.train(len(labels) > 1)
    step = 0
    for _ in range(spec.epochs):
        for batch in _batches(torch.randperm(len(labels), generator=generator), spec.batch_size):
            for group in optimiser.param_groups:
                group["lr"] = spec.lr * math.cos(7 * math.pi / 16 * step / total)
            batch = batch.to(inputs.device)
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(inputs[batch]), targets[batch]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            step += 1
    network.eval()
    if not all(torch.isfinite(parameter).all() for parameter in network.parameters()):
        raise SpecError(f"Expected finite weights after training, but they diverged; lower learner.lr ({spec.lr}).")
    return Learner(network, pool)


def _initialise(dim: int, n_classes: int, spec: LearnerSpec, generator: torch.Generator) -> nn.Sequential:
    """Torch's own initialisation of linear layers, drawn from `generator` instead of the global one."""
    first, last = (
        nn.utils.skip_init(nn.Linear, *shape)  # type: ignore[no-untyped-call]
        for shape in ((dim, spec.hidden), (spec.hidden, n_classes))
    )
    for layer in (first, last):
        bound = 1 / math.sqrt(layer.in_features)
        nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
        nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return nn.Sequential(first, nn.BatchNorm1d(spec.hidden), nn.ReLU(), last)


def _batches(order: Tensor, size: int) -> list[Tensor]:
    """Consecutive batches; a last batch of one joins the one before, since BatchNorm needs two."""
    batches = list(torch.split(order, size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


@torch.no_grad()
def _forward(network: nn.Module, inputs: Tensor) -> Tensor:
    return torch.cat([network(rows) for rows in torch.split(inputs, _ROWS)]).cpu()
