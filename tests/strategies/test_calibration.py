import numpy as np
import pytest
from scipy.special import softmax

from strategies.functional.calibration import TEMPERATURES, best_temperature, expected_calibration_error, tempered


def draw(n=400, n_classes=5, sharpness=1.0, seed=0):
    """Labels drawn from a softmax, and the softmax of logits so many times as large."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, n_classes)) * 2
    labels = np.array([rng.choice(n_classes, p=row) for row in softmax(logits, axis=1)])
    return softmax(sharpness * logits, axis=1).astype(np.float32), labels


def test_temperature_divides_the_logits():
    logits = np.random.default_rng(0).normal(size=(9, 4))
    np.testing.assert_allclose(tempered(softmax(logits, axis=1), 3.0), softmax(logits / 3, axis=1), rtol=1e-9)
    certain = tempered(np.eye(3, dtype=np.float32), 19.9)
    assert np.isfinite(certain).all()
    np.testing.assert_array_equal(certain.argmax(axis=1), [0, 1, 2])


def test_calibration_error_by_hand():
    # Two bins: (0, 0.5] has confidences 0.4 and 0.5, one right; (0.5, 1] has 0.6, 0.8, 1.0, two right.
    confidence, is_right = np.array([0.4, 0.5, 0.6, 0.8, 1.0]), np.array([True, False, True, False, True])
    expected = (abs(1 - 0.9) + abs(2 - 2.4)) / 5
    assert expected_calibration_error(confidence, is_right, 2) == pytest.approx(expected)


def test_an_overconfident_classifier_gets_its_temperature():
    for sharpness in (1, 2, 5):
        found = best_temperature(*draw(4000, sharpness=sharpness), n_bins=15)
        assert found == pytest.approx(sharpness, rel=0.25)


def test_ties_go_to_the_smallest_temperature():
    flat = np.full((6, 2), 0.5, dtype=np.float32)
    assert best_temperature(flat, np.array([0, 1] * 3), 2) == 1.0
    assert (TEMPERATURES[0], TEMPERATURES[-1], len(TEMPERATURES)) == (1.0, 19.9, 190)
