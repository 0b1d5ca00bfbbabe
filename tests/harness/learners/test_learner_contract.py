from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from harness.exceptions import SpecError
from harness.learners import Learner
from harness.learners.knn import KNN
from harness.learners.linear import Linear
from harness.learners.ridge import KernelRidge
from harness.learners.testing import LearnerContract, fitted
from harness.spec import LearnerSpec

LEARNERS = [
    LearnerSpec(hidden=16, epochs=40, lr=0.1),
    Linear(),
    Linear(penalty=0.1, scaling="centred"),
    KNN(),
    KNN(neighbours=3, temperature=1.0),
    KernelRidge(),
    KernelRidge(ridge=0.1, bias=False, scaling="unit"),
]


@pytest.mark.parametrize("learner", LEARNERS, ids=str, scope="class")
class TestContract(LearnerContract):
    pass


@dataclass(frozen=True)
class Broken(Learner):
    name: ClassVar[str] = "broken"
    source: ClassVar[str] = "tests"

    width: int = 3
    """Numbers a row."""
    value: float = 0.5
    """Each of them."""

    def fit(self, features, labels, n_classes, *, rng):
        return self

    def predict_proba(self, features):
        return np.full((len(features), self.width), self.value)


@pytest.mark.parametrize(
    ("learner", "said"),
    [
        (Broken(width=2), r"Expected probabilities of shape \(60, 3\) from `.*:Broken`, but got \(60, 2\)"),
        (Broken(), r"add up to 1 from `.*:Broken`, but got \[0\.5, 0\.5, 0\.5\]"),
        (Broken(value=float("nan")), "finite"),
    ],
    ids=["shape", "sum", "nan"],
)
def test_what_is_no_probability_is_refused_in_one_line(learner, said):
    with pytest.raises(SpecError, match=said) as caught:
        _ = fitted(learner).probabilities
    assert len(str(caught.value).splitlines()) == 1


class Exits(Broken):
    def fit(self, features, labels, n_classes, *, rng):
        raise SystemExit


def test_a_learner_that_exits_is_refused_in_one_line():
    with pytest.raises(SpecError, match=r"^Expected a predictor from `.*:Exits`, but it called sys\.exit\.$"):
        fitted(Exits())


class ExitsLater(Broken):
    has_gradient: ClassVar[bool] = True

    def predict_proba(self, features):
        raise SystemExit

    def gradient(self, features, classes):
        raise SystemExit


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (lambda model: model.probabilities, "probabilities"),
        (lambda model: model.gradient(model.embedding[:2], np.arange(2)), "a gradient"),
    ],
)
def test_a_predictor_that_exits_is_refused_in_one_line(ask, what):
    with pytest.raises(SpecError, match=rf"^Expected {what} from `.*:ExitsLater`, but it called sys\.exit\.$"):
        ask(fitted(ExitsLater()))
