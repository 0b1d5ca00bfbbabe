import numpy as np
import pytest
import torch

from strategies.functional.ntk import draw_network, make_kernel

KINDS = ["empirical", "analytic"]
PARAMETERISATIONS = ["ntk", "standard"]


def draw(features, *, parameterisation="ntk", bias=True, width=32, n_outputs=1, seed=0):
    rng = np.random.default_rng(seed)
    return draw_network(features.shape[1], width, n_outputs, parameterisation=parameterisation, bias=bias, rng=rng)


def points(n, dim, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim))


def whole(kernel):
    return kernel(slice(None), slice(None))


def torch_outputs(network, parameterisation, *, bias):
    """`f(parameters, x)` written out from the definition, and the parameters; biases only where there are any."""
    width, dim = network.hidden.shape
    inner, outer = (dim**-0.5, (2 / width) ** 0.5) if parameterisation == "ntk" else (1.0, 1.0)
    names = ["hidden", "output", *(["hidden_bias", "output_bias"] if bias else [])]
    parameters = {name: torch.tensor(getattr(network, name)) for name in names}

    def outputs(parameters, x):
        hidden = torch.relu(inner * (parameters["hidden"] @ x) + parameters.get("hidden_bias", 0))
        return outer * (parameters["output"] @ hidden) + parameters.get("output_bias", 0)

    return outputs, parameters


def arc_cosine(features, parameterisation, *, bias, width):
    """Cho and Saul's kernels of degree 0 and 1 on vectors to which the bias is appended."""
    n, dim = features.shape
    ntk = parameterisation == "ntk"
    inputs = np.hstack([features / np.sqrt(dim) if ntk else features, np.full((n, 1), float(bias))])
    variance, by_output, by_hidden = (1, 2, 2) if ntk else (1 / (3 * dim), width, 1 / 3)
    inner, norms = inputs @ inputs.T, np.linalg.norm(inputs, axis=1)
    scale = np.outer(norms, norms)
    angle = np.arccos(np.clip(inner / scale, -1, 1))
    degree_0 = (np.pi - angle) / (2 * np.pi)
    degree_1 = scale * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
    return by_output * variance * degree_1 + by_hidden * degree_0 * inner + bias


@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
@pytest.mark.parametrize("bias", [True, False])
class TestNetwork:
    @pytest.mark.parametrize("dim", [1, 5])
    def test_empirical_kernel_is_the_gram_matrix_of_the_jacobian(self, parameterisation, bias, dim):
        features = np.vstack([points(7, dim), np.zeros((1, dim))])
        network = draw(features, parameterisation=parameterisation, bias=bias, n_outputs=3)
        outputs, parameters = torch_outputs(network, parameterisation, bias=bias)
        jacobians = torch.func.vmap(torch.func.jacrev(outputs), (None, 0))(parameters, torch.tensor(features))
        jacobian = torch.cat([part[:, 0].flatten(1) for part in jacobians.values()], dim=1).numpy()
        kernel = make_kernel("empirical", network, features)
        np.testing.assert_allclose(whole(kernel), jacobian @ jacobian.T, rtol=1e-10, atol=1e-12)

    def test_outputs(self, parameterisation, bias):
        features = points(7, 5)
        network = draw(features, parameterisation=parameterisation, bias=bias, n_outputs=4)
        outputs, parameters = torch_outputs(network, parameterisation, bias=bias)
        expected = torch.func.vmap(outputs, (None, 0))(parameters, torch.tensor(features)).numpy()
        np.testing.assert_allclose(network.outputs(features, 4), expected, rtol=1e-12)
        np.testing.assert_allclose(network.outputs(features, 2), expected[:, :2], rtol=1e-12)
        np.testing.assert_allclose(network.outputs(features.astype(np.float32), 4), expected, rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("dim", [1, 3])
    @pytest.mark.parametrize("width", [2, 64])
    def test_analytic_kernel_is_the_arc_cosine_formula(self, parameterisation, bias, dim, width):
        features = points(9, dim)
        network = draw(features, parameterisation=parameterisation, bias=bias, width=width)
        kernel = make_kernel("analytic", network, features)
        expected = arc_cosine(features, parameterisation, bias=bias, width=width)
        np.testing.assert_allclose(whole(kernel), expected, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(kernel.diagonal(), expected.diagonal(), rtol=1e-7)

    def test_analytic_kernel_is_the_mean_of_the_empirical_one(self, parameterisation, bias):
        features = np.vstack([points(5, 3), np.zeros((1, 3)), [[50, 0, 0], [-50, 0, 0]]])
        options = {"parameterisation": parameterisation, "bias": bias, "width": 16}
        networks = [draw(features, **options, seed=seed) for seed in range(2000)]
        samples = np.stack([whole(make_kernel("empirical", network, features)) for network in networks])
        error = samples.std(axis=0) / np.sqrt(len(samples))
        expected = whole(make_kernel("analytic", networks[0], features))
        assert (abs(samples.mean(axis=0) - expected) <= 4.5 * error + 1e-9).all()
        assert error.max() < 0.05 * abs(expected).max()

    @pytest.mark.parametrize("kind", KINDS)
    def test_symmetric_and_positive_semi_definite(self, parameterisation, bias, kind):
        features = np.repeat(points(12, 4), 2, axis=0)
        features[3:6] = 0
        kernel = make_kernel(kind, draw(features, parameterisation=parameterisation, bias=bias), features)
        matrix = whole(kernel)
        np.testing.assert_allclose(matrix, matrix.T, rtol=1e-12, atol=1e-14)
        # The angle between equal vectors is known to the root of the precision only.
        assert np.linalg.eigvalsh(matrix).min() > -1e-6 * matrix.max()
        np.testing.assert_allclose(kernel.diagonal(), matrix.diagonal(), rtol=1e-7)
        assert kernel.diagonal().dtype == np.float64


@pytest.mark.parametrize("kind", KINDS)
class TestBlocks:
    def test_rows_and_columns_in_any_form(self, kind):
        features = points(40, 6).astype(np.float32)
        kernel = make_kernel(kind, draw(features), features)
        matrix = whole(kernel)
        assert matrix.dtype == np.float32
        rows, columns = np.array([31, 4, 4, 17]), np.array([2, 39, 0])
        for block, expected in [
            (kernel(slice(3, 20), slice(None)), matrix[3:20]),
            (kernel(rows, slice(5, 9)), matrix[rows, 5:9]),
            (kernel(rows, columns), matrix[np.ix_(rows, columns)]),
            (kernel(slice(0, 0), columns), np.empty((0, 3))),
        ]:
            np.testing.assert_allclose(block, expected, rtol=1e-4)
        np.testing.assert_array_equal(kernel(np.arange(3, 20), slice(None)), kernel(slice(3, 20), slice(None)))

    def test_single_precision(self, kind):
        features = points(50, 6)
        exact = whole(make_kernel(kind, draw(features), features))
        single = make_kernel(kind, draw(features), features.astype(np.float32))
        np.testing.assert_allclose(whole(single), exact, atol=2e-4 * exact.max())
        off_diagonal = ~np.eye(50, dtype=bool)
        np.testing.assert_allclose(whole(single)[off_diagonal], exact[off_diagonal], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(single.diagonal(), exact.diagonal(), rtol=1e-6)

    def test_zero_point_without_bias_has_no_kernel(self, kind):
        features = points(5, 3)
        features[2] = 0
        matrix = whole(make_kernel(kind, draw(features, bias=False), features))
        np.testing.assert_array_equal(matrix[2], 0)
        np.testing.assert_array_equal(matrix[:, 2], 0)

    def test_equal_points_have_equal_rows(self, kind):
        features = points(6, 3)[[0, 1, 2, 0, 4, 1]].astype(np.float32)
        matrix = whole(make_kernel(kind, draw(features), features))
        np.testing.assert_allclose(matrix[[3, 5]], matrix[[0, 1]], rtol=2e-4)


def test_error_of_the_empirical_kernel_falls_with_the_root_of_the_width():
    features = points(10, 4)
    limit = whole(make_kernel("analytic", draw(features), features))
    widths = 2 ** np.arange(4, 12)

    def error(width):
        kernels = [whole(make_kernel("empirical", draw(features, width=width, seed=s), features)) for s in range(12)]
        return np.sqrt(np.mean((np.stack(kernels) - limit) ** 2))

    slope, _ = np.polyfit(np.log(widths), np.log([error(width) for width in widths]), 1)
    assert -0.7 < slope < -0.3
