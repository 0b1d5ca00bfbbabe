"""What features are worth: the accuracy of nearest neighbours and of a linear classifier."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

NEIGHBOURS = 20
TEMPERATURE = 0.07
WEIGHT_DECAY = 1e-4

_ROWS = 1024
_STEPS = 100


class Worth(NamedTuple):
    """Test accuracies in [0, 1], with all training labels.

    Attributes:
        knn: of `NEIGHBOURS` neighbours by cosine, weighted by exp(cosine / `TEMPERATURE`).
        linear: of a logistic regression on standardised features divided by the root of their number, L2 penalty
            `WEIGHT_DECAY`.
    """

    knn: float
    linear: float


def worth(x_train: NDArray[Any], y_train: NDArray[np.int64], x_test: NDArray[Any], y_test: NDArray[np.int64]) -> Worth:
    """Both figures; labels are 0..C-1."""
    arrays = [torch.tensor(np.asarray(x, np.float32)) for x in (x_train, x_test)]
    labels = [torch.tensor(y) for y in (y_train, y_test)]
    return Worth(
        knn_accuracy(arrays[0], labels[0], arrays[1], labels[1]),
        linear_accuracy(arrays[0], labels[0], arrays[1], labels[1]),
    )


@torch.no_grad()
def knn_accuracy(bank: Tensor, bank_labels: Tensor, queries: Tensor, query_labels: Tensor) -> float:
    """Share of queries whose weighted nearest neighbours in the bank vote for their class (Wu et al. 2018)."""
    bank, queries = (nn.functional.normalize(features.float(), dim=1) for features in (bank, queries))
    n_classes = int(max(bank_labels.max(), query_labels.max())) + 1
    k = min(NEIGHBOURS, len(bank))
    n_right = 0
    for start in range(0, len(queries), _ROWS):
        cosine, nearest = (queries[start : start + _ROWS] @ bank.T).topk(k, dim=1)
        votes = torch.zeros(len(cosine), n_classes, device=bank.device)
        votes.scatter_add_(1, bank_labels[nearest], (cosine / TEMPERATURE).exp())
        n_right += int((votes.argmax(dim=1) == query_labels[start : start + _ROWS]).sum())
    return n_right / len(queries)


def linear_accuracy(x_train: Tensor, y_train: Tensor, x_test: Tensor, y_test: Tensor) -> float:
    """Test accuracy of a logistic regression, fitted on all rows at once (L-BFGS from zero: nothing is drawn).

    Columns are standardised and divided by the root of their number d, so that a row has a length of about 1; a column
    that is constant but for rounding counts for nothing.
    """
    mean, std = x_train.mean(dim=0), x_train.std(dim=0)
    scale = torch.where(std > 1e-6 * x_train.abs().amax(dim=0), 1 / std, 0.0) / math.sqrt(x_train.shape[1])
    x_train, x_test = (x_train - mean) * scale, (x_test - mean) * scale
    n_classes = int(y_train.max()) + 1
    weight = torch.zeros(x_train.shape[1], n_classes, device=x_train.device, requires_grad=True)
    bias = torch.zeros(n_classes, device=x_train.device, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = nn.functional.cross_entropy(x_train @ weight + bias, y_train) + WEIGHT_DECAY * weight.square().sum() / 2
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        return float(((x_test @ weight + bias).argmax(dim=1) == y_test).float().mean())


def spread(features: Tensor) -> Tensor:
    """Standard deviation over a batch of the L2-normalised features, times sqrt(dim).

    1 where directions are uniform, 0 where all inputs have one feature: the collapse of Chen and He 2021, Fig. 2.
    """
    unit = nn.functional.normalize(features.detach().float(), dim=1)
    return unit.std(dim=0).mean() * math.sqrt(features.shape[1])
