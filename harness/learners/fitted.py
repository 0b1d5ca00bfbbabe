"""What any learner has found, as a classifier that strategies and the harness can ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.exceptions import SpecError
from harness.learners.base import Predictor
from harness.learners.registry import make_learner
from harness.spec import NamedLearner
from strategies.base import FloatArray, IndexArray, check_classes, check_features
from strategies.exceptions import InvalidQuestionError, no_exit
from strategies.functional.libraries import one_thread
from strategies.functional.tiles import slices

if TYPE_CHECKING:
    from torch import Tensor

    from harness.learner import Classifier, Inputs

_ROWS = 4096
"""Rows of a prediction; part of the arithmetic."""
_SUM_TOLERANCE = 1e-3
_TURN = RLock()
"""Learners fit one at a time, since a fit may change settings of the whole process, such as the filters of warnings."""


def fit(
    inputs: Inputs,
    labelled: IndexArray,
    labels: IndexArray,
    n_classes: int,
    spec: NamedLearner,
    rng: np.random.Generator,
    retrain: Callable[[IndexArray], Classifier],
) -> FittedLearner:
    """Fit a learner on the labelled points; see `harness.learner.train`.

    Where all labels are of one class, that class is certain, whatever the learner.
    """
    learner = make_learner(spec.name, spec.params)
    if len(np.unique(labels)) == 1:
        predictor: Predictor = _OneClass(int(labels[0]), n_classes)
    else:
        points = inputs.pool.numpy()[labelled]
        exits = no_exit(SpecError, f"a predictor from `{spec.name}`")
        with _TURN, one_thread(), exits:  # The caller's limit on OpenMP does not reach another thread.
            predictor = learner.fit(points, labels, n_classes, rng=rng)
    return FittedLearner(spec.name, predictor, inputs, n_classes, retrain, has_gradient=learner.has_gradient)


class FittedLearner:
    """A `harness.learner.Classifier` from a predictor. Its embedding is the scaled features themselves."""

    learns_embedding = False

    def __init__(
        self,
        name: str,
        predictor: Predictor,
        inputs: Inputs,
        n_classes: int,
        retrain: Callable[[IndexArray], Classifier],
        *,
        has_gradient: bool,
    ) -> None:
        self._name = name
        self._predictor: Any = predictor
        self._inputs = inputs
        self._n_classes = n_classes
        self._retrain = retrain
        self._has_gradient = has_gradient

    @property
    def embedding(self) -> FloatArray:
        """Scaled features of the pool, `n_pool x dim` float32, read-only: there is no layer before the last."""
        features: FloatArray = self._inputs.pool.numpy()
        features.flags.writeable = False
        return features

    @cached_property
    def probabilities(self) -> FloatArray:
        """Probabilities of the classes of each pool point, `n_pool x n_classes` float32."""
        return self._predict_proba(self._inputs.pool)

    def predict_proba(self, features: FloatArray) -> FloatArray:
        """Probabilities for any features, `n x dim` -> `n x n_classes` float32; see `strategies.Model`."""
        return self._predict_proba(self._inputs.scaled(check_features(features, self._inputs.pool.shape[1])))

    def gradient(self, features: FloatArray, classes: IndexArray) -> FloatArray:
        """Gradient of the cross entropy of `classes` by `features`, `n x dim` float32; see `strategies.Model`.

        Raises:
            InvalidQuestionError: the learner has none, beside what `strategies.Model` says.
            SpecError: the predictor breaks its contract.
        """
        if not self._has_gradient:
            raise InvalidQuestionError(f"Expected a learner with a gradient, but `{self._name}` has none.")
        features = check_features(features, self._inputs.pool.shape[1])
        classes = check_classes(classes, len(features), self._n_classes)
        scaled = self._inputs.scaled(features).numpy()
        slopes = np.empty_like(scaled)
        for rows in _tiles(len(scaled)):
            with no_exit(SpecError, f"a gradient from `{self._name}`"):
                found = np.asarray(self._predictor.gradient(scaled[rows], classes[rows]))
            wanted = slopes[rows].shape
            if found.shape != wanted:
                raise SpecError(f"Expected a gradient of shape {wanted} from `{self._name}`, but got {found.shape}.")
            if not np.isfinite(found).all():
                raise SpecError(f"Expected a finite gradient from `{self._name}`, but got NaN or infinite numbers.")
            slopes[rows] = found
        return self._inputs.scaler.pull_back(features, slopes)

    def refit(self, positions: IndexArray) -> Classifier:
        """The same learner fitted on the labels at some positions in the order of purchase; see `strategies.Model`."""
        return self._retrain(positions)

    def predict_pool(self, points: IndexArray) -> IndexArray:
        """Classes predicted for some pool points."""
        classes: IndexArray = self.probabilities[points].argmax(axis=1)
        return classes

    def predict(self, inputs: Tensor) -> IndexArray:
        """Classes predicted for inputs from `Inputs.scaled`."""
        classes: IndexArray = self._predict_proba(inputs).argmax(axis=1)
        return classes

    def _predict_proba(self, inputs: Tensor) -> FloatArray:
        scaled = inputs.numpy()
        probabilities = np.empty((len(scaled), self._n_classes), dtype=np.float32)
        for rows in _tiles(len(scaled)):
            # A copy: a predictor that writes on what it gets would change the pool, or the test data, for good.
            with no_exit(SpecError, f"probabilities from `{self._name}`"):
                found = np.asarray(self._predictor.predict_proba(scaled[rows].copy()))
            wanted = probabilities[rows].shape
            if found.shape != wanted:
                raise SpecError(f"Expected probabilities of shape {wanted} from `{self._name}`, but got {found.shape}.")
            probabilities[rows] = found
        is_right = (probabilities >= 0).all(axis=1) & (abs(probabilities.sum(axis=1) - 1) < _SUM_TOLERANCE)
        if not is_right.all():
            row = probabilities[int(np.flatnonzero(~is_right)[0])].tolist()[:20]
            raise SpecError(f"Expected probabilities from 0 to 1 that add up to 1 from `{self._name}`, but got {row}.")
        return probabilities


@dataclass(frozen=True)
class _OneClass:
    """The predictor where all labels are of one class."""

    label: int
    n_classes: int

    def predict_proba(self, features: FloatArray) -> FloatArray:
        certain: FloatArray = np.zeros((len(features), self.n_classes), dtype=np.float32)
        certain[:, self.label] = 1
        return certain

    def gradient(self, features: FloatArray, classes: IndexArray) -> FloatArray:
        return np.zeros_like(features)


def _tiles(n: int) -> list[slice]:
    return list(slices(0, n, _ROWS))
