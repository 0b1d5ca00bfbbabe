"""Neural tangent kernel of a network with one hidden ReLU layer, at finite width or in its limit.

The network is `f(x) = a w.relu(s W x + beta b) + beta b2` on features of `dim` numbers:

| parameterisation | s        | a           | weights and biases              |
|------------------|----------|-------------|---------------------------------|
| `ntk`            | 1/√dim   | √(2/width)  | N(0, 1)                         |
| `standard`       | 1        | 1           | N(0, 1/(3 fan_in)), torch's own variance |

One matrix serves all outputs (the single-logit approximation, eq. 2 of arXiv 2306.04099): the Jacobian of
one output is never formed, its Gram matrix is a few products per pair of blocks.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from strategies.functional.arrays import FloatArray, IndexArray

KernelKind = Literal["empirical", "analytic"]
Parameterisation = Literal["ntk", "standard"]


@dataclass(frozen=True, eq=False)
class Network:
    """A randomly initialised network, its parameters as drawn.

    Attributes:
        hidden: first-layer weights, `width x dim`.
        hidden_bias: `width`.
        output: second-layer weights, `n_outputs x width`.
        output_bias: `n_outputs`.
        input_scale: s of the module's table.
        output_scale: a of the module's table.
        bias_scale: beta, 1 with biases and 0 without.
        parameterisation: row of the module's table.
    """

    hidden: FloatArray
    hidden_bias: FloatArray
    output: FloatArray
    output_bias: FloatArray
    input_scale: float
    output_scale: float
    bias_scale: float
    parameterisation: Parameterisation

    def activations(self, features: FloatArray) -> FloatArray:
        """Hidden layer after ReLU, `n x dim` -> `n x width`, in the dtype of `features`."""
        dtype = features.dtype
        weights = (self.input_scale * self.hidden).astype(dtype)
        shift = (self.bias_scale * self.hidden_bias).astype(dtype)
        hidden: FloatArray = np.maximum(features @ weights.T + shift, 0)
        return hidden

    def outputs(self, features: FloatArray, n_outputs: int) -> FloatArray:
        """The first `n_outputs` outputs, `n x dim` -> `n x n_outputs` float64."""
        hidden = self.activations(features.astype(np.float64))
        weights, shift = self.output[:n_outputs], self.output_bias[:n_outputs]
        values: FloatArray = self.output_scale * (hidden @ weights.T) + self.bias_scale * shift
        return values


def draw_network(
    dim: int,
    width: int,
    n_outputs: int,
    *,
    parameterisation: Parameterisation,
    bias: bool,
    rng: np.random.Generator,
) -> Network:
    """Draw a network of the given parameterisation (module docstring)."""
    ntk = parameterisation == "ntk"
    hidden_std = 1.0 if ntk else math.sqrt(1 / (3 * dim))
    output_std = 1.0 if ntk else math.sqrt(1 / (3 * width))
    return Network(
        hidden=hidden_std * rng.standard_normal((width, dim)),
        hidden_bias=hidden_std * rng.standard_normal(width),
        output=output_std * rng.standard_normal((n_outputs, width)),
        output_bias=output_std * rng.standard_normal(n_outputs),
        input_scale=1 / math.sqrt(dim) if ntk else 1.0,
        output_scale=math.sqrt(2 / width) if ntk else 1.0,
        bias_scale=1.0 if bias else 0.0,
        parameterisation=parameterisation,
    )


class EmpiricalKernel:
    """Gram matrix of the network's own Jacobian: K = J J^T for output 0.

    Args:
        network: the network at its initialisation.
        features: `n x dim`; the dtype of all results.
    """

    def __init__(self, network: Network, features: FloatArray) -> None:
        dtype = features.dtype
        hidden = network.activations(features)
        active = (hidden > 0).astype(dtype)
        gain = (network.output_scale * network.output[0]).astype(dtype)
        # Gradients by output weights (a h) and by hidden biases and weights (a w 1[active]) times (beta, s x).
        self._hidden = hidden * dtype.type(network.output_scale)
        self._active = active * gain
        self._features = features * dtype.type(network.input_scale)
        self._bias = dtype.type(network.bias_scale**2)

    def __call__(self, rows: slice | IndexArray, columns: slice | IndexArray) -> FloatArray:
        """Kernel between two sets of points, `len(rows) x len(columns)`."""
        block: FloatArray = self._features[rows] @ self._features[columns].T
        block += self._bias
        block *= self._active[rows] @ self._active[columns].T
        block += self._hidden[rows] @ self._hidden[columns].T
        block += self._bias
        return block

    def moved(self, move: Callable[[FloatArray], Any]) -> Callable[[Any, Any], Any]:
        """The same kernel with its arrays elsewhere, such as tensors on a GPU; its blocks are there too."""
        there: Any = copy.copy(self)
        there._hidden, there._active, there._features = (move(part) for part in self._parts())
        there._bias = float(self._bias)
        moved: Callable[[Any, Any], Any] = there
        return moved

    def diagonal(self) -> FloatArray:
        """k(x, x) of every point, `n` float64."""
        squared = [np.einsum("ij,ij->i", part, part, dtype=np.float64) for part in self._parts()]
        values: FloatArray = squared[0] + float(self._bias) + squared[1] * (squared[2] + float(self._bias))
        return values

    @property
    def nbytes(self) -> int:
        """Size of the arrays."""
        return sum(part.nbytes for part in self._parts())

    def _parts(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        return self._hidden, self._active, self._features


class AnalyticKernel:
    """Expectation of the empirical kernel over initialisations: the arc-cosine recursion.

    For `ntk` it is the limit of infinite width; for `standard` the mean at the given width, since
    there the kernel grows with the width.

    Source: Cho and Saul 2009 (arc-cosine kernels); Jacot et al. 2018.
    """

    def __init__(self, network: Network, features: FloatArray) -> None:
        dtype = features.dtype
        width, dim = network.hidden.shape
        ntk = network.parameterisation == "ntk"
        variance = 1.0 if ntk else 1 / (3 * dim)
        beta = network.bias_scale**2
        self._features = features * dtype.type(network.input_scale * math.sqrt(variance))
        self._bias = dtype.type(beta * variance)
        # E[h h'] and E[w^2 1 1'] enter with these weights; the latter is undone by the scale of the features.
        self._hidden_gain = dtype.type(2.0 if ntk else width)
        self._active_gain = dtype.type(2.0 if ntk else (1 / 3) / variance)
        self._output_bias = dtype.type(beta)
        self._norms = np.einsum("ij,ij->i", self._features, self._features, dtype=np.float64) + float(self._bias)
        self._roots = np.sqrt(self._norms).astype(dtype)

    def __call__(self, rows: slice | IndexArray, columns: slice | IndexArray) -> FloatArray:
        """Kernel between two sets of points, `len(rows) x len(columns)`."""
        block: FloatArray = self._features[rows] @ self._features[columns].T
        scales = (self._bias, self._hidden_gain, self._active_gain, self._output_bias)
        if not isinstance(block, np.ndarray):
            return _arc_cosine_tensor(block, self._roots[rows], self._roots[columns], *map(float, scales))
        from strategies.functional.arc_cosine import arc_cosine

        arc_cosine(block, self._roots[rows], self._roots[columns], *scales)
        return block

    def moved(self, move: Callable[[FloatArray], Any]) -> Callable[[Any, Any], Any]:
        """The same kernel with its arrays elsewhere, such as tensors on a GPU; its blocks are there too."""
        there: Any = copy.copy(self)
        there._features, there._roots = move(self._features), move(self._roots)
        moved: Callable[[Any, Any], Any] = there
        return moved

    def diagonal(self) -> FloatArray:
        """k(x, x) of every point, `n` float64."""
        gains = 0.5 * (float(self._hidden_gain) + float(self._active_gain))
        values: FloatArray = gains * self._norms + float(self._output_bias)
        return values

    @property
    def nbytes(self) -> int:
        """Size of the arrays."""
        return int(self._features.nbytes + self._norms.nbytes)


Kernel = EmpiricalKernel | AnalyticKernel


def make_kernel(kind: KernelKind, network: Network, features: FloatArray) -> Kernel:
    """The kernel of that kind on `features`, `n x dim`."""
    return EmpiricalKernel(network, features) if kind == "empirical" else AnalyticKernel(network, features)


def _arc_cosine_tensor(
    block: Any,
    row_norms: Any,
    column_norms: Any,
    bias: float,
    hidden_gain: float,
    active_gain: float,
    output_bias: float,
) -> Any:
    """`arc_cosine` of a torch tensor; returns the kernel."""
    inner = block + bias
    scale = row_norms[:, None] * column_norms
    cosine = (inner / scale).clamp(-1, 1)
    share = (math.pi - cosine.acos()) / (2 * math.pi)
    sine = (1 - cosine * cosine).clamp(min=0).sqrt()
    hidden = scale * (sine / (2 * math.pi) + share * cosine)
    return (hidden_gain * hidden + active_gain * share * inner + output_bias).where(scale != 0, output_bias)
