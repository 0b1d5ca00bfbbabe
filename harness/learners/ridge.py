"""Kernel ridge with the NTK: least squares in closed form, its settings chosen by leaving one label out."""

from __future__ import annotations

from dataclasses import dataclass as plain
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from harness.learners.base import Learner
from strategies.base import FloatArray, IndexArray
from strategies.functional.engine.problem import SMALLEST_RIDGE
from strategies.functional.ntk import AnalyticKernel, Network, draw_network

RIDGES = (1.0, 0.1, 1e-2, 1e-3, SMALLEST_RIDGE)
"""What is tried, relative to the mean of the kernel's diagonal; of equally good ones the largest wins."""
SHARPNESS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Factors of the outputs before the softmax that are tried; of equally good ones the smallest wins."""


@dataclass(frozen=True)
class KernelRidge(Learner):
    """Ridge regression of 0/1 targets, less 1/classes, with the NTK of an infinitely wide network (eq. 2 and 3).

    Probabilities are the softmax of the outputs times a factor. Ridge and factor are those with the least cross
    entropy when each label is predicted from the others, which the closed form gives without another fit. A class
    without labels has the probability 0.
    """

    name: ClassVar[str] = "ridge"
    source: ClassVar[str] = "Jacot et al. 2018, Neural Tangent Kernel, NeurIPS; Wen et al. 2023, arXiv 2306.04099"

    ridge: Annotated[float, Field(ge=SMALLEST_RIDGE, allow_inf_nan=False)] | Literal["chosen"] = "chosen"
    """Relative to the mean of the kernel's diagonal; or `chosen` anew in every round."""
    bias: bool = True
    """Whether the network has biases."""

    def fit(
        self, features: FloatArray, labels: IndexArray, n_classes: int, *, rng: np.random.Generator
    ) -> KernelPredictor:
        """Choose ridge and factor, then fit all labels with them."""
        # The kernel is that of all networks: of this one only the shape and the scales matter.
        network = draw_network(features.shape[1], 1, 1, parameterisation="ntk", bias=self.bias, rng=rng)
        seen, targets = np.unique(labels, return_inverse=True)
        rows = slice(0, len(labels))
        kernel = AnalyticKernel(network, features.astype(np.float64))(rows, rows)
        wanted = np.eye(len(seen))[targets] - 1 / len(seen)
        ridges = RIDGES if self.ridge == "chosen" else (self.ridge,)
        coefficients, sharpness = choose_ridge(kernel, wanted, targets, ridges)
        all_coefficients = np.zeros((len(labels), n_classes), dtype=np.float32)
        all_coefficients[:, seen] = sharpness * coefficients
        shift = np.full(n_classes, -np.inf, dtype=np.float32)
        shift[seen] = 0
        return KernelPredictor(network, features, all_coefficients, shift)


@plain(frozen=True, eq=False)
class KernelPredictor:
    """Softmax of `kernel(x, features) @ coefficients + shift`.

    Attributes:
        network: shape and scales of the network.
        features: scaled, of the labelled points, `n_labelled x dim` float32.
        coefficients: `n_labelled x n_classes` float32.
        shift: `n_classes` float32; minus infinity for a class without labels, else 0.
    """

    network: Network
    features: FloatArray
    coefficients: FloatArray
    shift: FloatArray

    def predict_proba(self, features: FloatArray) -> FloatArray:
        """Probabilities, `n x n_classes` float32."""
        from scipy.special import softmax

        n = len(features)
        kernel = AnalyticKernel(self.network, np.concatenate([features, self.features]))
        outputs = kernel(slice(0, n), slice(n, n + len(self.features))) @ self.coefficients
        probabilities: FloatArray = softmax(outputs + self.shift, axis=1)
        return probabilities


def choose_ridge(
    kernel: FloatArray, wanted: FloatArray, targets: IndexArray, ridges: tuple[float, ...]
) -> tuple[FloatArray, float]:
    """Coefficients and factor with the least cross entropy when one label is left out.

    The output at a point that is left out is its target less coefficient / diagonal of the inverse of K + r I.

    Args:
        kernel: of the labelled points, `n x n` float64.
        wanted: targets of the regression, `n x classes`.
        targets: classes, `n`.
        ridges: relative to the mean of the diagonal.

    Returns:
        `n x classes` float64, and the factor of the outputs.
    """
    import scipy.linalg
    from scipy.special import log_softmax

    values, vectors = scipy.linalg.eigh(kernel)
    seen = vectors.T @ wanted
    scale = float(np.trace(kernel)) / len(kernel) or 1.0
    best, found = np.inf, (np.zeros_like(wanted), 1.0)
    for ridge in ridges:
        inverse = 1 / (values.clip(min=0) + ridge * scale)
        coefficients = vectors @ (inverse[:, None] * seen)
        without = wanted - coefficients / ((vectors * vectors) @ inverse)[:, None]
        for sharpness in SHARPNESS:
            loss = -log_softmax(sharpness * without, axis=1)[np.arange(len(targets)), targets].mean()
            if loss < best:
                best, found = loss, (coefficients, sharpness)
    return found
