"""Fits of learners other than the network, in whatever thread they are asked for."""

import threading
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from harness.exceptions import SpecError
from harness.learner import Inputs, one_thread
from harness.learners import Learner
from harness.learners.knn import KNN
from harness.learners.testing import FEATURES, OTHERS, fitted
from strategies.functional.tiles import map_each

MEETING = threading.Barrier(2)
PARTS = [np.arange(start, 12 + start) for start in range(4)]
SEEN = []


class Even:
    def __init__(self, n_classes):
        self.n_classes = n_classes

    def predict_proba(self, features):
        return np.full((len(features), self.n_classes), 1 / self.n_classes)


@dataclass(frozen=True)
class Meets(Learner):
    """Says whether another fit came while it waited."""

    name: ClassVar[str] = "meets"
    source: ClassVar[str] = "tests"

    def fit(self, features, labels, n_classes, *, rng):
        SEEN.append(self.meets())
        return Even(n_classes)

    def meets(self):
        try:
            MEETING.wait(0.05)
        except threading.BrokenBarrierError:
            MEETING.reset()
            return False
        return True


class CountsThreads(Meets):
    def meets(self):
        return [pool["num_threads"] for pool in threadpool_info()]


class AsksAnother(Meets):
    def meets(self):
        return fitted(KNN()).predict_proba(np.zeros((1, 8), dtype=np.float32)).shape


def refit_at_once(learner):
    SEEN.clear()
    with one_thread():
        map_each(fitted(learner).refit, PARTS, n_threads=4)
    return SEEN


def test_learners_fit_one_at_a_time():
    assert refit_at_once(Meets()) == [False] * 5


def test_learners_fit_with_one_thread():
    assert all(set(numbers) == {1} for numbers in refit_at_once(CountsThreads()))


def test_a_learner_may_train_another():
    asking = threading.Thread(target=refit_at_once, args=(AsksAnother(),), daemon=True)
    asking.start()
    asking.join(60)
    assert not asking.is_alive()
    assert len(SEEN) == 5


class Normalising:
    """Writes on what it is asked about."""

    def predict_proba(self, features):
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        return np.eye(3)[(3 * features[:, :3]).argmax(axis=1)]


@dataclass(frozen=True)
class Normalises(Learner):
    name: ClassVar[str] = "normalises"
    source: ClassVar[str] = "tests"

    def fit(self, features, labels, n_classes, *, rng):
        return Normalising()


def test_a_predictor_that_writes_on_features_changes_neither_pool_nor_test_data():
    classifier, test = fitted(Normalises()), Inputs.of(FEATURES, "rms", "cpu").scaled(OTHERS)
    embedding, inputs = classifier.embedding.copy(), test.clone()
    assert classifier.probabilities.any()
    classifier.predict(test)
    np.testing.assert_array_equal(classifier.embedding, embedding)
    np.testing.assert_array_equal(test, inputs)


SLOPES = {"row": np.zeros((1, 8)), "columns": np.zeros((60, 3)), "nan": np.full((60, 8), np.nan)}


class Slopes(Even):
    def __init__(self, found):
        super().__init__(3)
        self.found = found

    def gradient(self, features, classes):
        return self.found


@dataclass(frozen=True)
class HasSlopes(Learner):
    name: ClassVar[str] = "has_slopes"
    source: ClassVar[str] = "tests"
    has_gradient: ClassVar[bool] = True

    found: str = "row"

    def fit(self, features, labels, n_classes, *, rng):
        return Slopes(SLOPES[self.found])


@pytest.mark.parametrize(("found", "said"), [("row", "got .1, 8."), ("columns", "got .60, 3."), ("nan", "got NaN")])
def test_a_gradient_of_another_shape_or_without_numbers_is_refused(found, said):
    with pytest.raises(SpecError, match=f"^Expected a .*gradient .*{said}"):
        fitted(HasSlopes(found=found)).gradient(FEATURES, np.zeros(60, dtype=np.int64))
