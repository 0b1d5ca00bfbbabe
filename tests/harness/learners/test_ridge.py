import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.kernel_ridge import KernelRidge as Reference

from harness.learners.ridge import RIDGES, SHARPNESS, KernelRidge, choose_ridge
from harness.learners.testing import FEATURES, LABELLED, OTHERS, TRUTH, fitted
from strategies.functional.ntk import AnalyticKernel, draw_network
from strategies.functional.scaling import fit_scaling
from strategies.testing import DIM

SCALER = fit_scaling(FEATURES, "rms")
TARGETS = TRUTH[LABELLED]
WANTED = np.eye(3)[TARGETS] - 1 / 3


def kernel_of(rows, columns):
    network = draw_network(DIM, 7, 1, parameterisation="ntk", bias=True, rng=np.random.default_rng(9))
    kernel = AnalyticKernel(network, SCALER(np.concatenate([rows, columns])).astype(np.float64))
    return kernel(slice(0, len(rows)), slice(len(rows), None))


KERNEL = kernel_of(FEATURES[LABELLED], FEATURES[LABELLED])
SCALE = np.trace(KERNEL) / len(KERNEL)


def chosen():
    """Ridge and factor with the least loss, by fitting once for each label that is left out."""
    losses = {}
    for ridge in RIDGES:
        left_out = np.empty_like(WANTED)
        for i in range(len(LABELLED)):
            rest = np.delete(np.arange(len(LABELLED)), i)
            model = Reference(alpha=ridge * SCALE, kernel="precomputed").fit(KERNEL[np.ix_(rest, rest)], WANTED[rest])
            left_out[i] = model.predict(KERNEL[i : i + 1, rest])
        for factor in SHARPNESS:
            losses[ridge, factor] = -log_softmax(factor * left_out, axis=1)[range(len(TARGETS)), TARGETS].mean()
    return min(losses, key=losses.get)


def test_agrees_with_scikit_learn_and_with_leaving_each_label_out():
    ridge, factor = chosen()
    model = Reference(alpha=ridge * SCALE, kernel="precomputed").fit(KERNEL, WANTED)
    coefficients, sharpness = choose_ridge(KERNEL, WANTED, TARGETS, RIDGES)
    np.testing.assert_allclose(coefficients, model.dual_coef_, rtol=1e-6, atol=1e-9)
    assert sharpness == factor
    expected = softmax(factor * model.predict(kernel_of(OTHERS, FEATURES[LABELLED])), axis=1)
    np.testing.assert_allclose(fitted(KernelRidge()).predict_proba(OTHERS), expected, atol=1e-3)


@pytest.mark.parametrize("ridge", [1.0, 1e-3])
def test_a_ridge_that_is_given_is_taken(ridge):
    coefficients, _ = choose_ridge(KERNEL, WANTED, TARGETS, (ridge,))
    np.testing.assert_allclose((KERNEL + ridge * SCALE * np.eye(len(KERNEL))) @ coefficients, WANTED, atol=1e-8)
    assert (fitted(KernelRidge(ridge=ridge)).probabilities != fitted(KernelRidge(ridge=0.05)).probabilities).any()


def test_nothing_is_drawn_that_matters():
    one, other = (fitted(KernelRidge(), seed=seed).probabilities for seed in (0, 1))
    np.testing.assert_array_equal(one, other)
