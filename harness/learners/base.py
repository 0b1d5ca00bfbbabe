"""The contract between a learner and whoever trains it: labelled features in, a predictor out."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from strategies.base import FloatArray, IndexArray
from strategies.functional.scaling import Scaling


class Predictor(Protocol):
    """What a learner returns. It gets features scaled like those on which the learner was fitted."""

    def predict_proba(self, features: FloatArray) -> FloatArray:
        """Probabilities of the classes: `n x dim` float32 -> `n x n_classes`; each row adds up to 1.

        A row must not depend on the other rows, except for its last bits.
        """


class DifferentiablePredictor(Predictor, Protocol):
    """The predictor of a learner with `has_gradient`."""

    def gradient(self, features: FloatArray, classes: IndexArray) -> FloatArray:
        """Gradient of the cross entropy by the scaled features: `n x dim` and `n` classes -> `n x dim`."""


@dataclass(frozen=True)
class Learner(abc.ABC):
    """A learner: a frozen dataclass of its hyperparameters with one method to write, `fit`.

    Subclasses set `name` (the word on the command line), `version` (raised when what is learned changes) and `source`
    (the publication). `fit` may draw random numbers only from `rng` and must not keep state between calls.

    Attributes:
        scaling: how the features are scaled, fitted to the pool.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    source: ClassVar[str]
    has_gradient: ClassVar[bool] = False
    """Whether the predictors have `gradient`; without it, strategies that ask for the gradient are refused."""

    scaling: Scaling = "rms"

    @abc.abstractmethod
    def fit(self, features: FloatArray, labels: IndexArray, n_classes: int, *, rng: np.random.Generator) -> Predictor:
        """Learn from the labelled points.

        Args:
            features: scaled, `n_labelled x dim` float32, in the order of purchase.
            labels: their classes, in [0, n_classes); at least two different ones, but perhaps not all.
            n_classes: number of classes.
            rng: the only source of randomness.
        """
