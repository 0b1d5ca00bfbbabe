import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from harness.exceptions import DataError
from harness.features.importing import import_features

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(50, 6)).astype(np.float32), np.arange(50) % 5
X_TEST, Y_TEST = RNG.normal(size=(20, 6)).astype(np.float32), np.arange(20) % 5


def same(found, x_test=X_TEST):
    assert np.array_equal(found.fields.x_train, X)
    assert np.array_equal(found.fields.y_train, Y)
    assert np.array_equal(found.fields.x_test, x_test)
    assert np.array_equal(found.fields.y_test, Y_TEST)


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("embeddings", "targets", "val_embeddings", "val_targets"),
        ("trainFeatures", "trainLabels", "testFeatures", "testLabels"),
    ],
)
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_usual_names_are_guessed(tmp_path, names, suffix):
    arrays = dict(zip(names, (X, Y, X_TEST, Y_TEST), strict=True)) | {"epoch": np.array([3])}
    path = tmp_path / f"a{suffix}"
    np.savez(path, **arrays) if suffix == ".npz" else save_file(arrays, path)
    found = import_features([path])
    same(found)
    assert ("epoch", "1", "int64", "") in found.found


def test_one_file_per_array_and_one_per_split(tmp_path):
    for name, array in (("feat", X), ("label", Y), ("feat_test", X_TEST), ("label_test", Y_TEST)):
        np.save(tmp_path / f"{name}.npy", array)
    same(import_features(sorted(tmp_path.glob("*.npy"))))
    same(import_features([tmp_path]))
    np.savez(tmp_path / "train.npz", a=X, b=Y)
    np.savez(tmp_path / "test.npz", a=X_TEST, b=Y_TEST)
    same(import_features(sorted(tmp_path.glob("*.npz"))))


def test_parquet_with_a_split_column(tmp_path):
    table = {
        "embedding": pa.array([*X, *X_TEST]),
        "class": pa.array([*Y, *Y_TEST]),
        "split": ["train"] * 50 + ["Validation"] * 20,
        "file": [f"{i}.jpg" for i in range(70)],
    }
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    same(import_features([tmp_path / "a.parquet"]))
    table["embedding"] = pa.array([[1.0, 2.0, 3.0], *[[1.0, 2.0]] * 69])
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"Expected lists of one length in column embedding of .*a\.parquet, but"):
        import_features([tmp_path / "a.parquet"])


def test_names_that_are_given_win(tmp_path):
    np.savez(tmp_path / "a.npz", one=X, two=X + 1, three=X, label=Y, other_label=Y[::-1])
    with pytest.raises(DataError, match=r"3 that could be: one, two, three\. Say which with --x NAME"):
        import_features([tmp_path / "a.npz"])
    found = import_features([tmp_path / "a.npz"], {"x": "one", "y": "label"})
    assert found.held_out
    assert len(found.fields.x_train) == 40
    assert sorted([*found.fields.x_train[:, 0], *found.fields.x_test[:, 0]]) == sorted(X[:, 0])


def test_pooled_maps_and_labels_in_columns(tmp_path):
    np.savez(
        tmp_path / "a.npz", feats=X[:, :, None, None], y=Y[:, None].astype(float), feats_test=X_TEST, y_test=Y_TEST
    )
    same(import_features([tmp_path / "a.npz"]))


@pytest.mark.parametrize(
    ("arrays", "chosen", "complaint"),
    [
        ({"x": X}, {}, "Expected one array for the labels of x, but got none among x"),
        ({"x": X, "y": Y[:-1]}, {"y": "y"}, "Expected a label for each of the 50 rows of x, but got 49"),
        ({"x": X, "y": Y}, {"x": "z"}, "Expected an array among x .50, 6., y .50,. for --x, but got `z`"),
        ({"x": X, "y": Y}, {"x": "y", "y": "x"}, "Expected features as rows of numbers in y"),
        ({"x": X, "y": np.linspace(0, 1, 50)}, {"y": "y"}, "Expected a whole number or a string per row in y"),
        ({"x": X, "y": Y, "y_test": Y_TEST}, {"y_test": "y_test"}, "Expected test features for the test labels"),
        ({"x": X, "y": np.arange(50)}, {}, "large enough to hold out a fifth"),
        (
            {"x": np.array([{}], dtype=object)},
            {},
            "Expected .*a.npz to be complete and readable.* got pickled objects.*y.astype.str",
        ),
    ],
)
def test_what_cannot_be_told_apart_is_one_line(tmp_path, arrays, chosen, complaint):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=complaint) as caught:
        import_features([tmp_path / "a.npz"], chosen)
    assert "\n" not in str(caught.value)


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(DataError, match="which does not exist"):
        import_features([tmp_path / "a.npz"])
    with pytest.raises(DataError, match=r"\.npy files in the folder .*, but got none; name files in .*\.npz"):
        import_features([tmp_path])
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(DataError, match="to be complete and readable"):
        import_features([tmp_path / "a.npz"])


def test_factors_of_columns_are_not_dropped(tmp_path):
    path = tmp_path / "compact.npz"
    np.savez(path, x_train=np.ones((6, 2), np.uint8), y_train=np.arange(6) % 2, x_scale=np.ones(2, np.float32))
    with pytest.raises(DataError, match=r"but got `x_scale`, the factors of a feature file; --data takes it as it is"):
        import_features([path])
