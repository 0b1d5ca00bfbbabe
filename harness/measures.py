"""How good predictions on the test data are, beside accuracy, and which classes the bought labels have reached."""

from __future__ import annotations

import numpy as np

from harness.data import NO_CLASS
from strategies.base import FloatArray, IndexArray

N_BINS = 15
"""Bins of the expected calibration error (Guo et al. 2017, arXiv 1706.04599)."""
_LEAST = float(np.finfo(np.float32).eps)
"""Probability that counts for less, as a log would be infinite; scikit-learn takes the same."""

Metrics = dict[str, float | int | list[float | None]]


def measure(predicted: IndexArray, probabilities: FloatArray, truth: IndexArray) -> Metrics:
    """Metrics of predictions by the name of their column in `rounds`.

    Args:
        predicted: class of each of `n` points.
        probabilities: `n x n_classes`, each row sums to 1.
        truth: true class of each, `n`.

    Returns:
        `balanced_accuracy`, the mean recall of the classes that occur; `macro_f1`, the mean F1 of the classes that
        occur or are predicted; `nll`, the mean negative log-likelihood in nats; `ece`, the expected calibration error
        over `N_BINS` bins of equal width; `recall` of each class, None where it does not occur.
    """
    from sklearn.metrics import f1_score, recall_score  # late: who only reads a store needs none of these

    from strategies.functional.calibration import expected_calibration_error

    recall = recall_score(truth, predicted, labels=range(probabilities.shape[1]), average=None, zero_division=np.nan)
    # Not sklearn.metrics.log_loss: it adds up in the type of the probabilities, float32, and scales their rows first.
    own = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return {
        "balanced_accuracy": float(recall[np.isfinite(recall)].mean()),
        "macro_f1": float(f1_score(truth, predicted, average="macro", zero_division=0)),
        "nll": float(-np.log(np.maximum(own, _LEAST)).mean()),
        "ece": expected_calibration_error(probabilities.max(axis=1).astype(np.float64), predicted == truth, N_BINS),
        "recall": [float(value) if np.isfinite(value) else None for value in recall],
    }


def reached(classes: IndexArray, n_classes: int) -> Metrics:
    """What the bought labels say of the classes, by the name of the column in `rounds`.

    Args:
        classes: true class of each point bought so far; `NO_CLASS` counts for none.
        n_classes: of the data set.

    Returns:
        `classes_reached`, how many classes have a point; `class_balance`, the entropy of their shares over that of
        equal shares: 1 where every class has as many points, 0 where one has all.
    """
    counts = np.bincount(classes[classes != NO_CLASS], minlength=n_classes)
    shares = counts[counts > 0] / max(counts.sum(), 1)
    balance = abs(float((shares * np.log(shares)).sum())) / float(np.log(n_classes))
    return {"classes_reached": len(shares), "class_balance": min(balance, 1.0)}  # rounding may go beyond 1
