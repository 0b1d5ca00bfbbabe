"""The contract of learners, on learners that break it."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import pytest

from harness.learners import Learner
from harness.learners.testing import LearnerContract

CALLS = []


class Means:
    """Softmax of minus the squared distances to the means of the classes."""

    def __init__(self, means, factor=1.0):
        self.means, self.factor = means, factor

    def predict_proba(self, features):
        squared = ((features[:, None] - self.means) ** 2).sum(axis=2)
        weights = np.exp(-self.factor * (squared - squared.min(axis=1, keepdims=True)))
        return weights / weights.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Works(Learner):
    name: ClassVar[str] = "works"
    source: ClassVar[str] = "tests"

    kind: Literal["a", "b"] = "a"
    """Without a meaning."""

    def fit(self, features, labels, n_classes, *, rng):
        means = np.full((n_classes, features.shape[1]), np.inf)
        for label in np.unique(labels):
            means[label] = features[labels == label].mean(axis=0)
        return self.predictor(means)

    def predictor(self, means):
        return Means(means)


class LearnsNothing(Works):
    def predictor(self, means):
        return Means(0 * np.nan_to_num(means, posinf=0))


class Centres(Works):
    def predictor(self, means):
        class Centred(Means):
            def predict_proba(self, features):
                return super().predict_proba(features - features.mean(axis=0)) if len(features) else np.empty((0, 3))

        return Centred(means)


class WrongSlope(Works):
    has_gradient = True

    def predictor(self, means):
        class Flat(Means):
            def gradient(self, features, classes):
                return np.ones_like(features)

        return Flat(means)


class Unseeded(Works):
    def predictor(self, means):
        return Means(means, np.random.default_rng().uniform(0.5, 1))


class KnowsItsProcess(Works):
    def predictor(self, means):
        return Means(means, 1 / (1 + os.getpid()))


class Remembers(Works):
    def predictor(self, means):
        CALLS.append(self)
        return Means(means, 1 / len(CALLS))


class DrawsGlobally(Works):
    def predictor(self, means):
        return Means(means, 0.5 + random.random() / 2)


class ChangesLabels(Works):
    def fit(self, features, labels, n_classes, *, rng):
        found = super().fit(features, labels, n_classes, rng=rng)
        labels[:] = 0
        return found


class Counts(Works):
    def predictor(self, means):
        class Counting(Means):
            n = 0

            def predict_proba(self, features):
                self.n += 1
                self.factor = 1 / self.n
                return super().predict_proba(features)

        return Counting(means)


class NeedsFive(Works):
    def fit(self, features, labels, n_classes, *, rng):
        features[4]
        return super().fit(features, labels, n_classes, rng=rng)


class NeedsTwoOfEach(Works):
    def fit(self, features, labels, n_classes, *, rng):
        for label in np.unique(labels):
            np.flatnonzero(labels == label)[1]
        return super().fit(features, labels, n_classes, rng=rng)


class NeedsAllClasses(Works):
    def fit(self, features, labels, n_classes, *, rng):
        return self.predictor(np.stack([features[labels == label].mean(axis=0) for label in np.unique(labels)]))


class DividesByDistance(Works):
    def predictor(self, means):
        class Inverse(Means):
            def predict_proba(self, features):
                weights = 1 / ((features[:, None] - self.means) ** 2).sum(axis=2)
                return weights / weights.sum(axis=1, keepdims=True)

        return Inverse(means)


class Unnamed(Works):
    name = "two words"


@dataclass(frozen=True)
class ExplainsNothing(Works):
    factor: float = 1.0


@dataclass(frozen=True)
class HidesSetting(Works):
    factor: float = field(default=1.0, compare=False)
    """Not compared."""
    hidden: object = field(default=object, compare=False)
    """Not for JSON."""


BROKEN = [
    ("labels_are_learned", LearnsNothing(), {}, "60 % right"),
    ("rows_do_not_depend_on_one_another", Centres(), {}, "Not equal"),
    ("gradient_is_the_slope_of_the_cross_entropy", WrongSlope(), {}, "Expected the slope"),
    ("same_stream_same_answers", Unseeded(), {}, "the same probabilities again"),
    ("same_answers_in_another_process", KnowsItsProcess(), {}, "of this process"),
    ("nothing_is_kept_from_one_call_to_the_next", Remembers(), {}, "whatever was trained before"),
    ("global_random_state_is_left_alone", DrawsGlobally(), {}, "has moved"),
    ("arrays_are_unchanged", ChangesLabels(), {}, "labels as they were given"),
    ("answers_do_not_depend_on_earlier_questions", Counts(), {}, "the same probabilities again"),
    ("refits_do_not_depend_on_one_another", Remembers(), {}, "the same refit in another order"),
    ("refit_knows_these_labels_alone", Remembers(), {}, "the labels that are left out"),
    ("any_number_of_labels", NeedsFive(), {"n_labels": 3}, "out of bounds"),
    ("one_label_a_class", NeedsTwoOfEach(), {}, "out of bounds"),
    ("a_class_without_labels", NeedsAllClasses(), {}, "Expected probabilities of shape"),
    ("constant_features", DividesByDistance(), {}, "add up to 1"),
    ("says_what_it_is", Unnamed(), {}, "letters, digits"),
    ("says_what_it_is", ExplainsNothing(), {}, "not for .*factor"),
    ("is_its_hyperparameters", HidesSetting(), {}, "JSON serializable"),
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("test", "learner", "arguments", "complaint"), BROKEN, ids=lambda it: getattr(it, "name", it))
def test_what_is_broken_is_found(test, learner, arguments, complaint):
    with pytest.raises((Exception, pytest.fail.Exception), match=complaint):
        getattr(LearnerContract(), f"test_{test}")(learner, **arguments)


@pytest.mark.parametrize("test", sorted({test for test, *_ in BROKEN}))
def test_what_works_passes(test):
    arguments = next(arguments for name, _, arguments, _ in BROKEN if name == test)
    getattr(LearnerContract(), f"test_{test}")(Works(), **arguments)


@pytest.mark.parametrize("name", [name for name in dir(LearnerContract) if name.startswith("test_")])
def test_each_test_of_the_contract_says_why(name):
    assert len(getattr(LearnerContract, name).__doc__.split()) > 6
