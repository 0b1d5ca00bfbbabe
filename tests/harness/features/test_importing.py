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
        (
            {"features": X, "names": np.array([f"{row}.jpg" for row in range(50)])},
            {},
            r"one array for the labels of features, but got none .*; `ntkcpl select` takes .* called `features`",
        ),
        ({"x": X, "names": np.arange(50)}, {}, r"none among x .*, names \(50,\)\. .* --y NAME; `ntkcpl select`"),
        ({"x": X, "y": Y[:-1]}, {"y": "y"}, "Expected a label for each of the 50 rows of x, but got 49"),
        ({"x": X, "y": Y}, {"x": "z"}, "Expected an array among x .50, 6., y .50,. for --x, but got `z`"),
        ({"x": X, "y": Y}, {"x": "y", "y": "x"}, "Expected features as rows of numbers in y"),
        ({"x": X, "y": Y}, {"x": "x", "x_test": "x", "y_test": "y"}, "other test features .*, but got `x` for both"),
        ({"x": X, "y": np.linspace(0, 1, 50)}, {"y": "y"}, "Expected a whole number or a string per row in y"),
        ({"x": X, "y": Y, "y_test": Y_TEST}, {"y_test": "y_test"}, "Expected test features for the test labels"),
        ({"x": X, "y": np.arange(50)}, {}, "large enough to hold out a fifth .* of 50, `0`, has 1 of 50 rows; name"),
        ({"x": np.where(X[3, 2] == X, np.nan, X), "y": Y}, {}, r"finite numbers in `x` of .*a\.npz.* row 3"),
        ({"x": X[:, 0], "y": Y}, {"x": "x"}, r"Expected features as rows of numbers in x, but got .* \(50,\)"),
        ({"x": X, "y": Y, "at": np.array(3)}, {"x": "at"}, r"features as rows of numbers in at, but got int64 \(\)"),
        ({"x": X, "y": Y.astype(object)}, {}, "Expected `y` of .* got pickled objects.*np.array.y.tolist"),
        ({"x": X.astype(object), "y": Y}, {}, "Expected `x` of .* got pickled objects.*x.astype"),
        ({"x": np.array([{}], dtype=object)}, {}, r"none among x \(1,\) of objects"),
    ],
)
def test_what_cannot_be_told_apart_is_one_line(tmp_path, arrays, chosen, complaint):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=complaint) as caught:
        import_features([tmp_path / "a.npz"], chosen)
    assert "\n" not in str(caught.value)


def test_names_of_points_are_no_labels(tmp_path):
    names, kinds = np.array([f"{row}.jpg" for row in range(50)]), Y.astype(str)
    for other in (names, np.arange(50), np.arange(50.0)):
        np.savez(tmp_path / "a.npz", x=X, names=other, kinds=kinds, x_test=X_TEST, y_test=Y_TEST)
        found = import_features([tmp_path / "a.npz"])
        assert np.array_equal(found.fields.y_train, kinds)


def test_labels_of_test_data_may_all_differ(tmp_path):
    rows = [int(np.flatnonzero(each == Y)[0]) for each in np.unique(Y)]
    np.savez(tmp_path / "a.npz", x=X, kind=Y.astype(str), x_test=X[rows], kind_test=Y[rows].astype(str))
    assert np.array_equal(import_features([tmp_path / "a.npz"]).fields.y_test, Y[rows].astype(str))


def test_objects_that_are_not_needed_are_ignored(tmp_path):
    names = np.array([f"{row}.png" for row in range(50)], dtype=object)
    np.savez(tmp_path / "a.npz", x=X, y=Y, names=names, x_test=X_TEST, y_test=Y_TEST)
    found = import_features([tmp_path / "a.npz"])
    same(found)
    assert ("names", "50", "object", "") in found.found


@pytest.mark.parametrize(("suffix", "other"), [("npy", "npz"), ("npz", "npy")])
def test_a_file_of_numpy_is_what_its_name_says(tmp_path, suffix, other):
    np.savez(tmp_path / "a.npz", x=X) if other == "npz" else np.save(tmp_path / "a.npy", X)
    (tmp_path / f"a.{other}").rename(tmp_path / f"a.{suffix}")
    with pytest.raises(DataError, match=rf"to be a \.{suffix} file, but got a \.{other} file under that name"):
        import_features([tmp_path / f"a.{suffix}"])


def test_one_column_is_taken_where_it_is_named(tmp_path):
    np.savez(tmp_path / "a.npz", x=X[:, :1], y=Y)
    with pytest.raises(DataError, match=r"Expected one array for the features.*Say which with --x"):
        import_features([tmp_path / "a.npz"])
    fields = import_features([tmp_path / "a.npz"], {"x": "x", "y": "y"}).fields
    assert fields.x_train.shape[1] == fields.x_test.shape[1] == 1


class TestColumnsSideBySide:
    """A Parquet file with a column for each feature, as of a pandas table."""

    @pytest.mark.parametrize("names", ["{}", "f{}", "feature_{}", "f{:03d}"])
    @pytest.mark.parametrize("first", [0, 1])
    def test_are_one_array_in_the_order_of_their_numbers(self, tmp_path, names, first):
        wide = np.hstack([X, X + 10])  # f10 follows f9, not f1
        columns = {names.format(first + k): wide[:, k] for k in reversed(range(wide.shape[1]))}
        pq.write_table(pa.table({"id": np.arange(50.0), **columns, "label": Y}), tmp_path / "a.parquet")
        imported = import_features([tmp_path / "a.parquet"])
        rows = np.vstack([imported.fields.x_train, imported.fields.x_test])
        assert sorted(map(tuple, rows)) == sorted(map(tuple, wide))

    @pytest.mark.parametrize(
        ("bad", "found"),
        [
            (pa.array(["a"] * 50), "string from row 0 on"),
            (pa.array([0.5] * 7 + [None] * 43), "43 missing, the first in row 7"),
            (pa.array([True] * 50), "bool from row 0 on"),
        ],
    )
    @pytest.mark.parametrize("name", ["f0", "f2", "f3"])
    def test_none_is_left_out(self, tmp_path, name, bad, found):
        columns = {f"f{k}": pa.array(X[:, k]) for k in range(4)} | {name: bad}
        pq.write_table(pa.table({**columns, "label": Y}), tmp_path / "a.parquet")
        with pytest.raises(DataError, match=f"numbers in the columns f0 to f3 of .*, but {name} has {found}"):
            import_features([tmp_path / "a.parquet"])
        pq.write_table(pa.table({**columns, "label": Y, "feature": list(X)}), tmp_path / "a.parquet")
        with pytest.raises(DataError, match="2 that could be: feature, f"):
            import_features([tmp_path / "a.parquet"])
        assert import_features([tmp_path / "a.parquet"], {"x": "feature", "y": "label"}).held_out

    @pytest.mark.parametrize("change", ["gap", "two", "name", "both"])
    def test_are_left_alone_where_they_are_not_all_there(self, tmp_path, change):
        columns = {f"f{k}": pa.array(X[:, k]) for k in range(4)}
        if change == "gap":
            del columns["f2"]
        elif change == "both":
            columns["f01"] = pa.array(X[:, 5])
        elif change == "two":
            columns = {f"f{k + 2}": column for k, column in enumerate(columns.values())}
        else:
            columns["f"] = pa.array(X[:, 5])
        pq.write_table(pa.table({**columns, "label": Y}), tmp_path / "a.parquet")
        with pytest.raises(DataError, match="Expected one array for the features, but got none among"):
            import_features([tmp_path / "a.parquet"])


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(DataError, match="which does not exist"):
        import_features([tmp_path / "a.npz"])
    with pytest.raises(
        DataError, match=r"\.npy files in the folder .*, but got none; name files in .*\.npz.*, and make"
    ):
        import_features([tmp_path])
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(DataError, match="to be complete and readable"):
        import_features([tmp_path / "a.npz"])


def test_a_column_twice_is_refused_as_that(tmp_path):
    table = pa.Table.from_arrays([pa.array([*X]), pa.array(Y), pa.array(Y)], ["f", "label", "label"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(
        DataError, match=r"the column `label` once in .*a\.parquet, but got it twice; drop or rename one"
    ):
        import_features([tmp_path / "a.parquet"])


def test_suffixes_may_be_capitals(tmp_path):
    for name, array in (("feat", X), ("label", Y), ("feat_test", X_TEST), ("label_test", Y_TEST)):
        with (tmp_path / f"{name}.NPY").open("wb") as file:
            np.save(file, array)
    same(import_features(sorted(tmp_path.glob("*.NPY"))))


def test_factors_of_columns_are_not_dropped(tmp_path):
    path = tmp_path / "compact.npz"
    np.savez(path, x_train=np.ones((6, 2), np.uint8), y_train=np.arange(6) % 2, x_scale=np.ones(2, np.float32))
    with pytest.raises(DataError, match=r"but got `x_scale`, the factors of a feature file; --data takes it as it is"):
        import_features([path])


def write_parquet(path, **changes):
    """A file of 70 rows with an embedding, a class and a split; None leaves a column out."""
    table = {
        "embedding": pa.array([*X.tolist(), *X_TEST.tolist()], pa.list_(pa.float32())),
        "class": pa.array([*Y, *Y_TEST]),
        "split": pa.array(["train"] * 50 + ["test"] * 20),
    }
    table = {name: column for name, column in (table | changes).items() if column is not None}
    pq.write_table(pa.table(table), path, row_group_size=16)
    return [path]


class TestRows:
    """Numbers stay in their rows."""

    @pytest.mark.parametrize("pattern", [(2, 4, 3), (6, 5, 7), (6, 6, 0)])
    @pytest.mark.parametrize("kind", [pa.list_, pa.large_list, pa.list_view])
    def test_ragged_lists_are_refused_by_their_first_odd_row(self, tmp_path, pattern, kind):
        lengths = [pattern[i % 3] for i in range(70)]
        lengths[-1] += 70 * 3 * round(sum(pattern) / 3 / 3) - sum(lengths) if sum(lengths) % 70 else 0
        ragged = pa.array([[float(i)] * max(n, 0) for i, n in enumerate(lengths)], kind(pa.float32()))
        odd = next(row for row, n in enumerate(lengths) if n != lengths[0])
        complaint = f"column embedding of .*, but got {lengths[0]} numbers in row 0 and {lengths[odd]} in row {odd}"
        with pytest.raises(DataError, match=complaint):
            import_features(write_parquet(tmp_path / "a.parquet", embedding=ragged))

    @pytest.mark.parametrize(
        ("changed", "complaint"),
        [
            (None, "Expected a list in every row of column embedding of .* 1 missing, the first in row 3"),
            ([1.0, None, 1.0, 1.0, 1.0, 1.0], "Expected numbers only in .* 1 rows with missing values, .* row 3"),
        ],
    )
    def test_missing_rows_and_numbers_are_refused(self, tmp_path, changed, complaint):
        rows = [*X.tolist(), *X_TEST.tolist()]
        rows[3] = changed
        for kind in (pa.list_(pa.float32()), pa.list_(pa.float32(), 6)):
            with pytest.raises(DataError, match=complaint):
                import_features(write_parquet(tmp_path / "a.parquet", embedding=pa.array(rows, kind)))

    def test_lists_of_other_kinds_give_the_same(self, tmp_path):
        rows = [*X.tolist(), *X_TEST.tolist()]
        for kind in (pa.list_(pa.float32(), 6), pa.large_list(pa.float32()), pa.list_view(pa.float32())):
            same(import_features(write_parquet(tmp_path / "a.parquet", embedding=pa.array(rows, kind))))


class TestLabels:
    """A label is the class that the file says."""

    @pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e30, 2.0**60, 0.5])
    @pytest.mark.parametrize("suffix", [".npz", ".parquet"])
    def test_floats_that_are_no_whole_numbers_are_refused(self, tmp_path, value, suffix):
        y = np.array([*Y, *Y_TEST], dtype=float)
        y[7] = value
        path = tmp_path / f"a{suffix}"
        if suffix == ".npz":
            np.savez(path, embedding=np.concatenate([X, X_TEST]), label=y)
        else:
            write_parquet(path, **{"class": pa.array(y)})
        with pytest.raises(DataError, match=r"a whole number or a string per row in .* in row 7"):
            import_features([path])

    def test_whole_floats_are_whole_numbers(self, tmp_path):
        y = pa.array([*Y.astype(np.float32), *Y_TEST.astype(np.float32)])
        same(import_features(write_parquet(tmp_path / "a.parquet", **{"class": y})))

    @pytest.mark.parametrize("kind", [pa.int64(), pa.string(), pa.bool_()])
    def test_missing_labels_are_refused_and_no_other_column_stands_in(self, tmp_path, kind):
        values = pa.array([*Y, *Y_TEST]).cast(pa.bool_() if kind == pa.bool_() else kind).to_pylist()
        values[5] = None
        files = write_parquet(tmp_path / "a.parquet", **{"class": pa.array(values, kind), "id": pa.array(range(70))})
        with pytest.raises(DataError, match="a label in every row of class, but got 1 missing, the first in row 5"):
            import_features(files)

    @pytest.mark.parametrize("kind", ["string", "large_string", "string_view", "dictionary", "bool_"])
    def test_every_type_of_label(self, tmp_path, kind):
        names = [f"class {i}" for i in [*Y, *Y_TEST]] if kind != "bool_" else [bool(i % 2) for i in [*Y, *Y_TEST]]
        column = pa.array(names)
        column = column.dictionary_encode() if kind == "dictionary" else column.cast(getattr(pa, kind)())
        found = import_features(write_parquet(tmp_path / "a.parquet", **{"class": column}))
        assert found.fields.y_train.tolist() == names[:50]
        assert found.fields.y_test.tolist() == names[50:]


class TestSplits:
    """No row becomes training data without saying so."""

    def test_other_rows_are_refused_where_the_test_data_are_in_another_file(self, tmp_path):
        train, test = {"embedding": list(X), "class": Y}, {"embedding": list(X_TEST), "class": Y_TEST}
        paths = [tmp_path / "train.parquet", tmp_path / "test.parquet"]
        for words in (["train"] * 50, ["test"] * 20), (["train"] * 30 + ["val"] * 20, ["test"] * 20):
            for path, table, split in zip(paths, (train, test), words, strict=True):
                pq.write_table(pa.table({**table, "split": split}), path)
            if "val" in words[0]:
                with pytest.raises(DataError, match=r"training data only in train:split, .* but got 'val' in row 30"):
                    import_features(paths)
            else:
                same(import_features(paths))
        pq.write_table(pa.table({**train, "split": ["train"] * 50}), paths[0])
        pq.write_table(pa.table({**test, "split": ["train"] * 20}), paths[1])
        with pytest.raises(DataError, match=r"test data only in test:split, .* but got 'train' in row 0"):
            import_features(paths)

    @pytest.mark.parametrize(
        ("train", "test"), [("train ", "Test"), ("TRAINING", " val\t"), ("Train", "Validation"), ("train", "eval")]
    )
    @pytest.mark.parametrize("name", ["split", "Split"])
    def test_words_are_trimmed_and_folded(self, tmp_path, train, test, name):
        split = pa.array([train] * 50 + [test] * 20)
        same(import_features(write_parquet(tmp_path / "a.parquet", **{"split": None, name: split})))

    @pytest.mark.parametrize(
        ("values", "shown"),
        [
            (["train"] * 49 + ["unlabeled"] + ["test"] * 20, "'train', 'unlabeled', 'test'"),
            (["train"] * 40 + ["val"] * 10 + ["test"] * 20, "'train', 'val', 'test'"),
            ([0] * 50 + [1] * 20, "0, 1"),
            ([False] * 50 + [True] * 20, "False, True"),
            (["train"] * 49 + [None] + ["test"] * 20, "'train', None, 'test'"),
            (["train"] * 49 + [""] + ["test"] * 20, "'train', '', 'test'"),
            (["train"] * 70, "'train'"),
            (["test"] * 70, "'test'"),
        ],
    )
    def test_other_values_are_refused_with_what_was_found(self, tmp_path, values, shown):
        with pytest.raises(DataError, match=f"in split, but got {shown}; leave other rows out"):
            import_features(write_parquet(tmp_path / "a.parquet", split=pa.array(values)))

    def test_a_split_of_another_length_is_refused(self, tmp_path):
        np.savez(tmp_path / "a.npz", x=X, y=Y, split=np.array(["train", "test"]))
        with pytest.raises(DataError, match=r"a word in split for each of the 50 rows, but got shape \(2,\)"):
            import_features([tmp_path / "a.npz"])

    def test_a_split_in_one_of_several_files_is_followed(self, tmp_path):
        write_parquet(tmp_path / "a.parquet")
        np.save(tmp_path / "other.npy", np.zeros(3))
        same(import_features([tmp_path / "a.parquet", tmp_path / "other.npy"]))


def test_folds_are_no_splits(tmp_path):
    x, y = np.arange(20.0).reshape(10, 2), np.arange(10) % 2
    np.savez(tmp_path / "kf.npz", x=x, y=y, split=np.arange(10) % 5, x_test=x, y_test=y)
    assert len(import_features([tmp_path / "kf.npz"]).fields.x_train) == 10


def test_no_rows_are_refused(tmp_path):
    np.savez(tmp_path / "none.npz", x=np.zeros((0, 4)), y=np.zeros(0, int))
    with pytest.raises(DataError, match="has no rows"):
        import_features([tmp_path / "none.npz"])
