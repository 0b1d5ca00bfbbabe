import tracemalloc

import numpy as np
import pytest

from harness.data import Dataset, Fields, load_dataset
from harness.exceptions import DataError
from harness.features.files import read_about, write_features
from harness.features.probe import worth
from harness.features.reduction import reduce_features


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def test_all_components_keep_distances_up_to_the_rounding(digits):
    fields, scale = reduce_features(digits, 64)
    assert fields.x_train.dtype == np.int8
    kept = fields.x_train[:50] * scale
    distances = [np.linalg.norm(x[:, None] - x[None], axis=2) for x in (kept, digits.x_train[:50])]
    assert np.abs(distances[0] - distances[1]).max() < np.linalg.norm(scale) + 1e-3


def test_few_components_are_written_small_and_worth_nearly_as_much(digits, tmp_path):
    fields, scale = reduce_features(digits, 32)
    found = write_features(tmp_path / "c.npz", fields, {"dim": 32}, scale)
    assert (tmp_path / "c.npz").stat().st_size < 1797 * (32 + 16)
    again = load_dataset(str(tmp_path / "c.npz"))
    assert found.content_hash == again.content_hash
    assert again.class_names == digits.class_names
    assert read_about(tmp_path / "c.npz") == {"dim": 32}
    before, after = (worth(d.x_train, d.y_train, d.x_test, d.y_test) for d in (digits, again))
    assert after.knn > before.knn - 0.02
    assert after.linear > before.linear - 0.03


def test_needs_less_memory_than_another_copy_of_the_features():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60_000, 64), dtype=np.float32), np.arange(60_000) % 2
    data = Dataset.from_arrays("large", Fields(x, y, x[:2], y[:2]))
    tracemalloc.start()
    try:
        reduce_features(data, 4)
        assert tracemalloc.get_traced_memory()[1] < 0.9 * x.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "names",
    [("cat", "dog"), ("00", "01"), ("01", "1"), ("²", "³"), ("-3", "12"), ("0", "1", "11", "2"), (2**63, 2**63 + 1)],
    ids=str,
)
def test_labels_by_name_survive(tmp_path, names):
    rng = np.random.default_rng(0)
    labels = np.resize(names, 20)
    data = Dataset.from_arrays("pets", Fields(rng.normal(size=(20, 4)), labels, rng.normal(size=(20, 4)), labels))
    fields, scale = reduce_features(data, 2)
    assert write_features(tmp_path / "c.npz", fields, {}, scale).class_names == tuple(map(str, names))


def test_more_components_than_columns_are_refused(digits):
    with pytest.raises(DataError, match="Expected 1 to 64 components of digits, but got 65"):
        reduce_features(digits, 65)


@pytest.mark.parametrize("scale", [np.ones(63, np.float32), np.ones(64, np.int64)])
def test_a_scale_that_does_not_fit_is_refused(digits, tmp_path, scale):
    fields, _ = reduce_features(digits, 64)
    np.savez(tmp_path / "c.npz", **fields._asdict(), x_scale=scale)
    with pytest.raises(DataError, match="a factor for each column"):
        load_dataset(str(tmp_path / "c.npz"))
