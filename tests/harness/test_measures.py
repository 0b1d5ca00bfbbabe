"""Metrics of a round against scikit-learn's."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import balanced_accuracy_score, log_loss

from harness.data import NO_CLASS
from harness.measures import N_BINS, measure, reached


def predictions(seed, n, n_classes, sharpness):
    rng = np.random.default_rng(seed)
    logits = sharpness * rng.normal(size=(n, n_classes))
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = (probabilities / probabilities.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities.argmax(axis=1), probabilities, rng.integers(n_classes, size=n)


@given(seed=st.integers(0, 10**6), n=st.integers(2, 60), n_classes=st.integers(2, 8), sharpness=st.floats(0.1, 30))
@settings(max_examples=60, deadline=None)
def test_like_scikit_learn(seed, n, n_classes, sharpness):
    predicted, probabilities, truth = predictions(seed, n, n_classes, sharpness)
    found = measure(predicted, probabilities, truth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that do not occur
        assert found["balanced_accuracy"] == balanced_accuracy_score(truth, predicted)
        assert found["nll"] == pytest.approx(
            log_loss(truth, probabilities, labels=range(n_classes)), rel=1e-4, abs=1e-6
        )
    # By hand, as stores of before have them: to the last bit.
    n_right = np.bincount(truth[predicted == truth], minlength=n_classes)
    n_true, n_predicted = (np.bincount(classes, minlength=n_classes) for classes in (truth, predicted))
    there = n_true + n_predicted > 0
    assert found["macro_f1"] == (2 * n_right[there] / (n_true + n_predicted)[there]).mean()
    assert found["recall"] == [right / n if n else None for right, n in zip(n_right, n_true, strict=True)]


@given(seed=st.integers(0, 10**6), n=st.integers(20, 200), sharpness=st.floats(0.1, 5))
@settings(max_examples=30, deadline=None)
def test_calibration_error_is_that_of_scikit_learns_curve(seed, n, sharpness):
    predicted, probabilities, truth = predictions(seed, n, 4, sharpness)
    confidence, right = probabilities.max(axis=1).astype(np.float64), predicted == truth
    share, mean = calibration_curve(right, confidence, n_bins=N_BINS)
    size, _ = np.histogram(confidence, N_BINS, (0, 1))
    expected = (np.abs(share - mean) * size[size > 0]).sum() / n
    assert measure(predicted, probabilities, truth)["ece"] == pytest.approx(expected)


def test_sure_and_right_or_wrong():
    truth = np.array([0, 1, 2, 0])
    sure = np.eye(3, dtype=np.float32)[truth]
    found = measure(truth, sure, truth)
    assert found == {"balanced_accuracy": 1, "macro_f1": 1, "nll": 0, "ece": 0, "recall": [1, 1, 1]}
    wrong = measure((truth + 1) % 3, np.roll(sure, 1, axis=1), truth)
    assert (wrong["balanced_accuracy"], wrong["ece"]) == (0, 1)
    assert 15 < wrong["nll"] < 17


def test_a_class_that_does_not_occur_has_no_recall():
    found = measure(np.array([0, 2]), np.full((2, 3), 1 / 3), np.array([0, 0]))
    assert found["recall"] == [0.5, None, None]
    assert found["balanced_accuracy"] == 0.5


@pytest.mark.parametrize(
    ("classes", "n_reached", "balance"),
    [
        ([0, 1, 2, 3], 4, 1),
        ([0, 0, 1, 1], 2, 0.5),
        ([2], 1, 0),
        ([NO_CLASS, 3, 3], 1, 0),
        ([], 0, 0),
        ([NO_CLASS], 0, 0),
    ],
)
def test_classes_reached(classes, n_reached, balance):
    found = reached(np.array(classes, dtype=np.int64), 4)
    assert found == {"classes_reached": n_reached, "class_balance": pytest.approx(balance)}


@pytest.mark.parametrize("n_classes", [5, 12, 13, 100])
def test_equal_shares_are_balanced_and_no_more(n_classes):
    """A store is checked for values beyond 1, and the logarithms of equal shares round to one."""
    balance = reached(np.arange(n_classes), n_classes)["class_balance"]
    assert balance == pytest.approx(1)
    assert balance <= 1
