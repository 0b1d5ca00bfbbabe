"""The risk's definition in numbers that are exact or nearly tied, where a careless comparison shows."""

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from strategies.base import Compute
from strategies.functional.engine.counting import count_wrong_dense
from strategies.functional.engine.cpu import Block
from strategies.functional.engine.problem import Problem


@dataclass(frozen=True, eq=False)
class Matrix:
    """A kernel that is given as a matrix."""

    values: np.ndarray

    def __call__(self, rows, columns):
        return self.values[rows][:, columns].copy()


def both_counts(matrix, predictions, labels, targets, ridge):
    """Counts of a block, and those of the definition, when nothing is labelled and S is `matrix`."""
    n = len(labels)
    everything = np.arange(n)
    problem = Problem(
        Matrix(matrix), ridge, np.zeros((0, n), np.float32), predictions, targets, labels, everything, everything
    )
    dense = [count_wrong_dense(matrix[:, i], i, int(targets[i]), ridge, predictions, labels) for i in range(n)]
    return Block(problem, slice(None), "zero_one", Compute()).scores(), dense


def draw_labels(data, n, n_classes):
    labels = data.draw(arrays(np.int64, n, elements=st.integers(0, n_classes - 1)), "labels")
    targets = data.draw(arrays(np.int64, n, elements=st.integers(0, n_classes - 1)), "targets")
    return np.sort(labels), targets


quarters = st.integers(-4, 4).map(lambda k: k / 4) | st.just(-0.0)


@settings(deadline=None, max_examples=300)
@given(st.data(), st.integers(1, 10), st.integers(1, 7))
def test_multiples_of_a_quarter_are_counted_without_error(data, n, n_classes):
    half = data.draw(arrays(np.float32, (n, n), elements=quarters), "half")
    matrix = np.triu(half) + np.triu(half, 1).T
    # With a ridge of 1/4 the denominators are powers of two; a negative variance counts as none.
    np.fill_diagonal(matrix, data.draw(arrays(np.float32, n, elements=st.sampled_from([-0.25, 0, 0.75, 1.75]))))
    predictions = data.draw(arrays(np.float32, (n, n_classes), elements=quarters), "predictions")
    labels, targets = draw_labels(data, n, n_classes)
    expected = []
    for i in range(n):
        gain = matrix[i].astype(np.float64) / (max(matrix[i, i], 0) + 0.25)
        after = predictions + np.outer(gain, np.eye(n_classes)[targets[i]] - predictions[i])
        expected.append(sum(int(row.argmax()) != y for row, y in zip(after, labels, strict=True)))
    counts, dense = both_counts(matrix, predictions, labels, targets, 0.25)
    assert dense == expected
    np.testing.assert_array_equal(counts, expected)


@settings(deadline=None, max_examples=300)
@given(st.data(), st.integers(1, 10), st.integers(1, 7), st.sampled_from([1.0, 0.3, 3e-5]))
def test_values_a_rounding_apart_are_counted_as_rounded(data, n, n_classes, ridge):
    ulps = st.integers(-4, 4)
    near_one = ulps.map(lambda k: 1 + k * 2.0**-23)
    tiny = ulps.map(lambda k: k * 2.0**-25)
    matrix = data.draw(arrays(np.float32, (n, n), elements=tiny | st.sampled_from([0.5, -1.0])), "matrix")
    matrix = np.triu(matrix) + np.triu(matrix, 1).T
    predictions = data.draw(arrays(np.float32, (n, n_classes), elements=near_one | tiny), "predictions")
    labels, targets = draw_labels(data, n, n_classes)
    expected = []
    for i in range(n):
        inverse = np.float32(1) / (max(matrix[i, i], np.float32(0)) + np.float32(ridge))
        change = np.eye(n_classes, dtype=np.float32)[targets[i]] - predictions[i]
        after = predictions + (matrix[i] * inverse)[:, None] * change
        assert after.dtype == np.float32
        expected.append(np.count_nonzero(after.argmax(axis=1) != labels))
    counts, dense = both_counts(matrix, predictions, labels, targets, ridge)
    assert dense == expected
    np.testing.assert_array_equal(counts, expected)
