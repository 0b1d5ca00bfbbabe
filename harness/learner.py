"""The learner: by default a small network on frozen features, trained anew in every round.

Linear - BatchNorm - ReLU - Linear, SGD with Nesterov momentum, learning rate lr cos(7 pi/16 step/total),
cross entropy, the weights after the last step (the recipe of arXiv 2306.04099 and its first author's code). The others
are in `harness.learners`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from harness.exceptions import SpecError
from harness.spec import AnyLearner, LearnerSpec
from harness.streams import Purpose
from strategies.base import FloatArray, IndexArray, Model, check_classes, check_features, check_positions
from strategies.functional import libraries
from strategies.functional.scaling import Scaler, Scaling, fit_scaling

_ROWS = 4096
"""Rows of a forward pass; part of the arithmetic."""


@contextmanager
def one_thread() -> Iterator[None]:
    """One CPU thread for torch, BLAS and OpenMP, deterministic algorithms, no TF32; put back at the end."""
    n_threads = torch.get_num_threads()
    mode = torch.get_deterministic_debug_mode()
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.set_num_threads(1)
    torch.set_deterministic_debug_mode("error")  # `use_deterministic_algorithms` would import torch's compiler as well
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        with libraries.one_thread():
            yield
    finally:
        torch.set_num_threads(n_threads)
        torch.set_deterministic_debug_mode(mode)
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32


@dataclass(frozen=True, eq=False)
class Inputs:
    """The pool as the learner sees it.

    Attributes:
        pool: scaled features on the learner's device, `n_pool x dim` float32.
        scaler: what scales them, fitted to the pool.
    """

    pool: Tensor
    scaler: Scaler

    @classmethod
    def of(cls, features: FloatArray, scaling: Scaling, device: str) -> Inputs:
        """Fit the scaling to the pool and move it to the device."""
        scaler = fit_scaling(features, scaling)
        return cls(torch.from_numpy(scaler(features)).to(device), scaler)

    def scaled(self, features: FloatArray) -> Tensor:
        """Other features, `n x dim` float32, scaled like the pool and on its device."""
        return torch.from_numpy(self.scaler(features)).to(self.pool.device)


class Classifier(Model, Protocol):
    """A trained classifier; what strategies ask of it (`strategies.Model`) is computed when it is asked.

    It holds no test data and no label but those it was trained on, so that none can be reached through it.
    """

    def refit(self, positions: IndexArray) -> Classifier:
        """The same learner trained on the labels at some positions in the order of purchase; see `strategies.Model`."""

    def predict_pool(self, points: IndexArray) -> IndexArray:
        """Classes predicted for some pool points."""

    def predict(self, inputs: Tensor) -> IndexArray:
        """Classes predicted for inputs from `Inputs.scaled`."""


class TrainedNetwork:
    """The network as a `Classifier`."""

    learns_embedding = True

    def __init__(self, network: nn.Sequential, inputs: Inputs, retrain: Callable[[IndexArray], Classifier]) -> None:
        self._network = network
        self._inputs = inputs
        self._retrain = retrain
        self._n_classes = int(network[-1].out_features)  # type: ignore[arg-type]

    @cached_property
    def embedding(self) -> FloatArray:
        """Penultimate activations of the pool, `n_pool x hidden` float32."""
        return _forward(self._network[:3], self._inputs.pool).numpy()

    @cached_property
    def probabilities(self) -> FloatArray:
        """Softmax over the classes for each pool point, `n_pool x n_classes` float32."""
        return _forward(self._network, self._inputs.pool).softmax(dim=1).numpy()

    def predict_proba(self, features: FloatArray) -> FloatArray:
        """Softmax over the classes for any features, `n x dim` -> `n x n_classes` float32; see `strategies.Model`."""
        inputs = self._inputs.scaled(check_features(features, self._inputs.pool.shape[1]))
        return _forward(self._network, inputs).softmax(dim=1).numpy()

    def gradient(self, features: FloatArray, classes: IndexArray) -> FloatArray:
        """Gradient of the cross entropy of `classes` by `features`, `n x dim` float32; see `strategies.Model`."""
        features = check_features(features, self._inputs.pool.shape[1])
        classes = check_classes(classes, len(features), self._n_classes)
        inputs, targets = self._inputs.scaled(features), torch.from_numpy(classes).to(self._inputs.pool.device)
        parts = []
        for rows, wanted in zip(torch.split(inputs, _ROWS), torch.split(targets, _ROWS), strict=True):
            leaf = rows.detach().requires_grad_()
            loss = nn.functional.cross_entropy(self._network(leaf), wanted, reduction="sum")
            parts.append(torch.autograd.grad(loss, leaf)[0].cpu())
        return self._inputs.scaler.pull_back(features, torch.cat(parts).numpy())

    def refit(self, positions: IndexArray) -> Classifier:
        """The same network trained on the labels at some positions in the order of purchase; see `strategies.Model`."""
        return self._retrain(positions)

    def predict_pool(self, points: IndexArray) -> IndexArray:
        """Classes predicted for some pool points."""
        return self.predict(self._inputs.pool[torch.tensor(points)])

    def predict(self, inputs: Tensor) -> IndexArray:
        """Classes predicted for inputs from `Inputs.scaled`."""
        return _forward(self._network, inputs).argmax(dim=1).numpy()


def train(
    inputs: Inputs,
    labelled: IndexArray,
    labels: IndexArray,
    n_classes: int,
    spec: AnyLearner,
    draw: Callable[[Purpose], np.random.Generator],
) -> Classifier:
    """Train a new classifier on the labelled points.

    Args:
        inputs: the pool.
        labelled: pool indices.
        labels: their classes.
        n_classes: width of the output.
        spec: settings of the network, or another learner.
        draw: the round's random streams by purpose: `training`, for the network's initialisation and the order of its
            batches; `refit`, for the same in every `Classifier.refit`.

    Raises:
        SpecError: the weights are no longer finite, as with a learning rate that is too large; or a learner of another
            package breaks its contract.
    """

    def retrain(positions: IndexArray) -> Classifier:
        kept = check_positions(positions, len(labelled))
        return train(inputs, labelled[kept], labels[kept], n_classes, spec, lambda _: draw("refit"))

    if isinstance(spec, LearnerSpec):
        network = _train_network(inputs, labelled, labels, n_classes, spec, draw("training"))
        return TrainedNetwork(network, inputs, retrain)
    from harness.learners.fitted import fit

    return fit(inputs, labelled, labels, n_classes, spec, draw("training"), retrain)


def _train_network(
    inputs: Inputs,
    labelled: IndexArray,
    labels: IndexArray,
    n_classes: int,
    spec: LearnerSpec,
    rng: np.random.Generator,
) -> nn.Sequential:
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    points = inputs.pool[torch.tensor(labelled)]
    targets = torch.from_numpy(labels).to(points.device)
    network = _initialise(points.shape[1], n_classes, spec, generator).to(points.device)
    weights: list[Tensor] = list(network.parameters())
    momenta: list[Tensor | None] = [None] * len(weights)
    batches_per_epoch = len(_batches(torch.arange(len(labels)), spec.batch_size))
    total = spec.epochs * batches_per_epoch
    # A single point has no batch statistics; it is trained with the initial ones.
    network.train(len(labels) > 1)
    step = 0
    for _ in range(spec.epochs):
        order = torch.randperm(len(labels), generator=generator).to(points.device)
        for batch in _batches(order, spec.batch_size):
            network.zero_grad()
            nn.functional.cross_entropy(network(points[batch]), targets[batch]).backward()  # type: ignore[no-untyped-call]
            _descend(weights, momenta, spec, spec.lr * math.cos(7 * math.pi / 16 * step / total))
            step += 1
    network.eval()
    if not all(torch.isfinite(parameter).all() for parameter in network.parameters()):
        raise SpecError(f"Expected finite weights after training, but they diverged; lower learner.lr ({spec.lr}).")
    return network


@torch.no_grad()
def _descend(weights: list[Tensor], momenta: list[Tensor | None], spec: LearnerSpec, lr: float) -> None:
    """A step of `torch.optim.SGD`, whose class would import torch's compiler: more modules than all else."""
    sgd(
        weights,
        [weight.grad for weight in weights if weight.grad is not None],
        momenta,
        weight_decay=spec.weight_decay,
        momentum=spec.momentum,
        lr=lr,
        dampening=0.0,
        nesterov=True,
        maximize=False,
    )


class _Linear(nn.Linear):
    def reset_parameters(self) -> None:
        """Nothing: the weights are drawn by `_initialise`, from a stream of its own."""


def _initialise(dim: int, n_classes: int, spec: LearnerSpec, generator: torch.Generator) -> nn.Sequential:
    """Torch's own initialisation of linear layers, drawn from `generator` instead of the global one."""
    single = torch.float32  # what plug-ins set as torch's default must not reach the network
    first, last = _Linear(dim, spec.hidden, dtype=single), _Linear(spec.hidden, n_classes, dtype=single)
    for layer in (first, last):
        bound = 1 / math.sqrt(layer.in_features)
        nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
        nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return nn.Sequential(first, nn.BatchNorm1d(spec.hidden, dtype=single), nn.ReLU(), last)


def _batches(order: Tensor, size: int) -> list[Tensor]:
    """Consecutive batches; a last batch of one joins the one before, since BatchNorm needs two."""
    batches = list(torch.split(order, size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


@torch.no_grad()
def _forward(network: nn.Module, inputs: Tensor) -> Tensor:
    return torch.cat([network(rows) for rows in torch.split(inputs, _ROWS)]).cpu()
