import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from harness.features.probe import NEIGHBOURS, TEMPERATURE, WEIGHT_DECAY, knn_accuracy, linear_accuracy, spread


@pytest.fixture(scope="module")
def split():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 900)
    x = rng.normal(size=(900, 12)) * np.linspace(0.1, 10, 12) + 1.2 * np.eye(4, 12)[:, ::-1][y] * np.linspace(
        0.1, 10, 12
    )
    return [torch.tensor(a) for a in (x[:600].astype(np.float32), y[:600], x[600:].astype(np.float32), y[600:])]


def test_knn_is_that_of_scikit_learn(split):
    unit = [torch.nn.functional.normalize(x, dim=1).numpy() for x in (split[0], split[2])]
    reference = KNeighborsClassifier(
        NEIGHBOURS, metric="cosine", weights=lambda distance: np.exp((1 - distance) / TEMPERATURE), algorithm="brute"
    ).fit(unit[0], split[1])
    assert knn_accuracy(*split) == pytest.approx(reference.score(unit[1], split[3]), abs=1 / 300)


def test_linear_is_that_of_scikit_learn(split):
    train, y, test, y_test = (array.numpy() for array in split)
    mean, scale = train.mean(axis=0), train.std(axis=0, ddof=1) * np.sqrt(12)
    reference = LogisticRegression(C=1 / (600 * WEIGHT_DECAY), max_iter=2000).fit((train - mean) / scale, y)
    assert linear_accuracy(*split) == pytest.approx(reference.score((test - mean) / scale, y_test), abs=1 / 300)


@pytest.mark.parametrize("value", [0.0, 3.0, 1e6 / 3])
def test_a_constant_column_does_no_harm(split, value):
    train, y, test, y_test = split
    constant = [torch.cat([x, torch.full((len(x), 1), value)], dim=1) for x in (train, test)]
    found = linear_accuracy(constant[0], y, constant[1], y_test)
    assert found == pytest.approx(linear_accuracy(*split), abs=0.02)


def test_a_large_column_does_not_hide_the_others(split):
    train, y, test, y_test = split
    large = [torch.cat([x, torch.linspace(-1e9, 1e9, len(x))[:, None]], dim=1) for x in (train, test)]
    found = linear_accuracy(large[0], y, large[1], y_test)
    assert found == pytest.approx(linear_accuracy(*split), abs=0.02)


def test_spread_is_one_for_all_directions_and_zero_for_one():
    features = torch.randn(4000, 64, generator=torch.Generator().manual_seed(0))
    assert spread(features) == pytest.approx(1, abs=0.02)
    assert spread(1 + 1e-4 * features) < 0.01
