import numpy as np
import pytest

from strategies.functional.scaling import fit_scaling

POOL = (np.random.default_rng(0).normal(size=(50, 4)) * [1, 20, 0.3, 5] + [3, 0, -7, 100]).astype(np.float32)


def test_rms_is_one():
    scaled = fit_scaling(POOL, "rms")(POOL)
    assert np.mean(scaled**2) == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(scaled / POOL, scaled[0, 0] / POOL[0, 0], rtol=1e-5)


def test_centred_has_mean_0_and_variance_1():
    scaled = fit_scaling(POOL, "centred")(POOL)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    assert np.mean(scaled**2) == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0) / POOL.std(axis=0), 1 / np.sqrt(POOL.var(axis=0).mean()), rtol=1e-4)


@pytest.mark.parametrize("offset", [10, 1234.567, 123456.7])
def test_centred_has_variance_1_beside_a_large_constant(offset):
    pool = (np.random.default_rng(0).normal(size=(2000, 8)) / 1000).astype(np.float32)
    pool[:, 0] = offset
    assert np.mean(fit_scaling(pool, "centred")(pool).astype(np.float64) ** 2) == pytest.approx(1, rel=1e-5)


def test_unit_gives_every_row_the_same_norm_and_leaves_zero_alone():
    pool = POOL.copy()
    pool[7] = 0
    norms = np.linalg.norm(fit_scaling(pool, "unit")(pool), axis=1)
    np.testing.assert_allclose(np.delete(norms, 7), 2, rtol=1e-6)
    assert norms[7] == 0


def test_none_changes_nothing():
    np.testing.assert_array_equal(fit_scaling(POOL, "none")(POOL), POOL)


@pytest.mark.parametrize("how", ["rms", "centred", "unit", "none"])
def test_the_fit_is_of_the_pool_alone(how):
    scaler = fit_scaling(POOL, how)
    untouched = POOL.copy()
    assert scaler(POOL[3:5]).dtype == np.float32
    np.testing.assert_allclose(scaler(POOL[3:5]), scaler(POOL)[3:5], rtol=1e-6)
    np.testing.assert_array_equal(POOL, untouched)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e4])
@pytest.mark.parametrize(("how", "expected"), [("centred", 0), ("rms", 1), ("unit", 1)])
def test_constant_features(how, expected, value):
    pool = np.full((30, 3), value, dtype=np.float32)
    np.testing.assert_allclose(fit_scaling(pool, how)(pool), expected if value else 0, rtol=1e-6)


@pytest.mark.parametrize("unit", [1e-15, 1e15])
@pytest.mark.parametrize("how", ["rms", "centred", "unit"])
def test_the_unit_of_the_features_does_not_matter(how, unit):
    pool = POOL * np.float32(unit)
    np.testing.assert_allclose(fit_scaling(pool, how)(pool), fit_scaling(POOL, how)(POOL), rtol=1e-4, atol=1e-4)
