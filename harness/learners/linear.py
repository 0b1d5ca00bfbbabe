"""Linear probe: multinomial logistic regression on the features, its penalty chosen within the labelled points."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass as plain
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from harness.learners.base import Learner
from strategies.base import FloatArray, IndexArray

PENALTIES = (10.0, 1.0, 0.1, 1e-2, 1e-3, 1e-4)
"""What is tried; of equally good ones the strongest wins."""
WITHOUT_A_CHOICE = 1.0
"""The penalty where no class has two labels, so that nothing can be held out."""
MOST_FOLDS = 5

_STEPS = 1000
_ROUGH, _EXACT = 1e-3, 1e-8
"""Tolerances of L-BFGS: while penalties are compared, and for the classifier itself."""


@dataclass(frozen=True)
class Linear(Learner):
    """The sum of the cross entropies plus `penalty`/2 times the squared weights is as small as it gets (L-BFGS).

    Features are divided by sqrt(dim), so that their mean squared norm is 1 with the scaling `rms`, and centred at the
    mean of the labelled points. The penalty is the one of `PENALTIES` with the least cross entropy on held-out labels:
    folds are stratified and drawn from the stream of the training, as many as the largest class has labels, five at
    most. The label of a class that has one only is never held out. A class without labels has the probability 0.

    A class has no intercept unless asked for. One without a penalty learns how often each class was bought, which a
    strategy decides; where most classes have a label or two, it decides the prediction (`benchmarks/linear.py`).
    """

    name: ClassVar[str] = "linear"
    version: ClassVar[int] = 3
    source: ClassVar[str] = "logistic regression, the linear head on frozen features; scikit-learn's solver"
    has_gradient: ClassVar[bool] = True

    penalty: Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["chosen"] = "chosen"
    """Strength of the penalty; or `chosen` anew in every round."""
    intercept: bool = False
    """Whether each class has an intercept, without a penalty."""

    def fit(
        self, features: FloatArray, labels: IndexArray, n_classes: int, *, rng: np.random.Generator
    ) -> LinearPredictor:
        """Choose the penalty, then fit all labels with it."""
        seen, targets = np.unique(labels, return_inverse=True)
        mean, directions, points = _reduced(features.astype(np.float64) / math.sqrt(features.shape[1]))
        penalty = self.penalty
        if penalty == "chosen":
            penalty = choose_penalty(points, targets, rng, intercept=self.intercept)
        model = _regression(_EXACT, self.intercept, _c(penalty, targets))
        with _quiet():
            model.fit(points, targets)
        weights, shift = model.coef_ @ directions, model.intercept_
        if len(seen) == 2:  # one logit stands for two
            weights, shift = np.vstack([-weights, weights]) / 2, np.concatenate([-shift, shift]) / 2
        all_weights, all_shifts = np.zeros((n_classes, features.shape[1])), np.full(n_classes, -np.inf)
        all_weights[seen], all_shifts[seen] = weights, shift - weights @ mean
        return LinearPredictor(all_weights / math.sqrt(features.shape[1]), all_shifts)


@plain(frozen=True, eq=False)
class LinearPredictor:
    """Softmax of `weights @ x + shift`.

    Attributes:
        weights: `n_classes x dim` float64, for scaled features; zeros for a class without labels.
        shift: `n_classes` float64; minus infinity for a class without labels.
    """

    weights: FloatArray
    shift: FloatArray

    def predict_proba(self, features: FloatArray) -> FloatArray:
        """Probabilities, `n x n_classes` float64."""
        from scipy.special import softmax

        probabilities: FloatArray = softmax(features @ self.weights.T + self.shift, axis=1)
        return probabilities

    def gradient(self, features: FloatArray, classes: IndexArray) -> FloatArray:
        """Weights by what probability is too much, `n x dim` float64."""
        error = self.predict_proba(features)
        error[np.arange(len(error)), classes] -= 1
        gradient: FloatArray = error @ self.weights
        return gradient


def choose_penalty(
    points: FloatArray, targets: IndexArray, rng: np.random.Generator, *, intercept: bool = False
) -> float:
    """The penalty with the least cross entropy on held-out points.

    Args:
        points: `n x dim` float64, centred.
        targets: classes 0 to C-1, each there.
        rng: source of the folds.
        intercept: whether each class has one.
    """
    losses = np.zeros(len(PENALTIES))
    for left in held_out(targets, rng):
        model = _regression(_ROUGH, intercept)
        for position, penalty in enumerate(PENALTIES):  # each starts from the one before
            model.set_params(C=_c(penalty, targets))
            with _quiet():
                model.fit(points[~left], targets[~left])
            likelihood = model.predict_proba(points[left])[np.arange(left.sum()), targets[left]]
            losses[position] -= np.log(np.maximum(likelihood, np.finfo(np.float64).tiny)).sum()
    return PENALTIES[int(losses.argmin())] if losses.any() else WITHOUT_A_CHOICE


def held_out(targets: IndexArray, rng: np.random.Generator) -> Iterator[np.ndarray[Any, np.dtype[np.bool_]]]:
    """Masks of the folds, stratified; a class is never left out as a whole, so one with one label never at all."""
    counts = np.bincount(targets)
    n_folds = min(MOST_FOLDS, int(counts.max()))
    order = rng.permutation(len(targets))
    order = order[np.argsort(targets[order], kind="stable")]
    order = order[counts[targets[order]] > 1]
    fold_of = np.full(len(targets), -1)
    fold_of[order] = np.arange(len(order)) % n_folds
    return (fold_of == fold for fold in range(n_folds if n_folds > 1 else 0))


def _reduced(points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean, orthonormal directions and coordinates of points: `dim`, `r x dim`, `n x r`, with r at most n.

    Neither the loss nor the penalty knows the difference, since the weights lie in the span of the centred points.
    """
    import scipy.linalg

    mean = points.mean(axis=0)
    left, sizes, directions = scipy.linalg.svd(points - mean, full_matrices=False)
    return mean, directions, left * sizes


def _c(penalty: float, targets: IndexArray) -> float:
    """`C` of scikit-learn, which has one weight for two classes: the difference of both, with twice their squares."""
    return (2 if targets.max() == 1 else 1) / penalty


def _regression(tolerance: float, intercept: bool, c: float = 1.0) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=c, tol=tolerance, max_iter=_STEPS, warm_start=True, fit_intercept=intercept)


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing is said of a solver that stops at its last bits, nor of classes with a label or two."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%", UserWarning)
        yield
