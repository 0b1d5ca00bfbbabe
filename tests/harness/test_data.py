import io
import os
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from harness import data
from harness.data import BUILTIN, Dataset, Fields, describe_builtin, load_dataset
from harness.exceptions import DataError, SpecError
from harness.unlabelled import load_pool

N_TRAIN, N_TEST, DIM = 12, 7, 3
TRAIN_LABELS = np.arange(N_TRAIN) % 3
TEST_LABELS = np.arange(N_TEST) % 3


def arrays(**changed):
    rng = np.random.default_rng(0)
    fields = {
        "x_train": rng.normal(size=(N_TRAIN, DIM)).astype(np.float16),
        "y_train": TRAIN_LABELS,
        "x_test": rng.normal(size=(N_TEST, DIM)).astype(np.float16),
        "y_test": TEST_LABELS,
    }
    return fields | changed


def with_value(value, row, column=0, dtype=np.float32, shape=(N_TRAIN, DIM)):
    x = np.ones(shape, dtype=dtype)
    x[row, column] = value
    return x


def write_npz(path, fields):
    np.savez(path, **fields)
    return str(path)


def write_folder(path, fields):
    path.mkdir()
    for name, array in fields.items():
        np.save(path / f"{name}.npy", array)
    return str(path)


def columns(fields):
    x = np.concatenate([fields["x_train"], fields["x_test"]])
    return {
        "feature": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1]),
        "label": pa.array(np.concatenate([fields["y_train"], fields["y_test"]])),
        "split": pa.array(["train"] * len(fields["x_train"]) + ["test"] * len(fields["x_test"])),
    }


def write_parquet(path, fields, **changed):
    pq.write_table(pa.table(columns(fields) | changed), path, row_group_size=5)
    return str(path)


WRITERS = {"npz": write_npz, "parquet": write_parquet, "folder": write_folder}


def assert_refused(source, *parts):
    with pytest.raises(DataError) as caught:
        load_dataset(source)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.startswith("Expected ")
    assert ", but got " in message
    for part in parts:
        assert part in message
    return message


class TestLoading:
    def test_digits(self):
        digits = load_dataset("digits")
        assert (digits.name, digits.n_classes, digits.class_names) == ("digits", 10, tuple("0123456789"))
        assert digits.x_train.shape == (1437, 64)
        assert digits.x_test.shape == (360, 64)
        assert digits.x_train.max() == 16
        assert np.bincount(digits.y_test).min() >= 35
        assert digits.content_hash == load_dataset("digits").content_hash

    def test_digits_are_scikit_learns(self):
        """They are read from its file, without importing it, by rows that lie beside the module."""
        x, y = load_digits(return_X_y=True)
        x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
        split = Fields(x_train, y_train, x_test, y_test)
        assert load_dataset("digits").content_hash == Dataset.from_arrays("digits", split).content_hash

    def test_builtin_names_have_a_line_each(self):
        descriptions = describe_builtin()
        assert list(descriptions) == list(BUILTIN) == ["digits"]
        assert all(line and len(line.splitlines()) == 1 for line in descriptions.values())

    @pytest.mark.parametrize("kind", WRITERS)
    def test_each_format_gives_the_arrays(self, tmp_path, kind):
        fields = arrays()
        loaded = load_dataset(WRITERS[kind](tmp_path / ("points" if kind == "folder" else f"points.{kind}"), fields))
        assert (loaded.name, loaded.class_names) == ("points", ("0", "1", "2"))
        for name, expected in fields.items():
            array = getattr(loaded, name)
            np.testing.assert_array_equal(array, expected)
            assert array.dtype == (np.float32 if name[0] == "x" else np.int64)
            assert array.flags.c_contiguous
            assert not array.flags.writeable

    def test_formats_types_and_names_share_one_hash(self, tmp_path):
        fields = arrays()
        wide = fields | {
            "x_train": np.asfortranarray(fields["x_train"].astype(">f8")),
            "y_test": TEST_LABELS.astype("u1"),
        }
        lists = pa.array(np.concatenate([fields["x_train"], fields["x_test"]]).astype(np.float64).tolist())
        sources = [
            write_npz(tmp_path / "a.npz", fields),
            write_npz(tmp_path / "b.npz", wide),
            write_folder(tmp_path / "c", fields),
            write_parquet(tmp_path / "d.parquet", fields),
            write_parquet(tmp_path / "e.parquet", fields, feature=lists),
        ]
        assert len({load_dataset(source).content_hash for source in sources}) == 1

    @pytest.mark.parametrize(
        "changed",
        [
            {"x_train": with_value(2, 3)},
            {"x_test": with_value(2, 3, shape=(N_TEST, DIM))},
            {"y_train": TRAIN_LABELS[::-1]},
            {"y_test": TEST_LABELS[::-1]},
            {"y_train": TRAIN_LABELS + 1, "y_test": TEST_LABELS + 1},
        ],
    )
    def test_other_content_has_another_hash(self, changed):
        plain, other = (Dataset.from_arrays("a", Fields(**arrays(**change))) for change in ({}, changed))
        assert plain.content_hash != other.content_hash

    def test_uint8_features_are_widened(self, tmp_path):
        x = np.full((N_TRAIN, DIM), 255, dtype=np.uint8)
        assert load_dataset(write_npz(tmp_path / "a.npz", arrays(x_train=x))).x_train.max() == 255

    def test_callers_arrays_stay_writeable(self):
        fields = arrays(x_train=np.ones((N_TRAIN, DIM), np.float32))
        Dataset.from_arrays("a", Fields(**fields))
        assert all(array.flags.writeable for array in fields.values())

    def test_parquet_rows_may_be_mixed(self, tmp_path):
        fields = arrays()
        order = np.random.default_rng(1).permutation(N_TRAIN + N_TEST)
        pq.write_table(pa.table(columns(fields)).take(pa.array(order)), tmp_path / "a.parquet", row_group_size=4)
        loaded = load_dataset(str(tmp_path / "a.parquet"))
        np.testing.assert_array_equal(loaded.x_train, fields["x_train"][order[order < N_TRAIN]])
        np.testing.assert_array_equal(loaded.y_test, fields["y_test"][order[order >= N_TRAIN] - N_TRAIN])


class TestLabels:
    @pytest.mark.parametrize(
        ("values", "names"),
        [
            (np.array([30, -2, 7]), ("-2", "7", "30")),
            (np.array([2**64 - 1, 2**63, 2**64 - 2], dtype=np.uint64), tuple(str(2**64 - n) for n in (2**63, 2, 1))),
            (np.array(["dog", "Ångström", "cat"]), ("cat", "dog", "Ångström")),
            (np.array([text.encode() for text in ("dog", "é", "cat")]), ("cat", "dog", "é")),
        ],
    )
    def test_are_mapped_in_sorted_order(self, tmp_path, values, names):
        fields = arrays(y_train=values[TRAIN_LABELS], y_test=values[TEST_LABELS])
        loaded = load_dataset(write_npz(tmp_path / "a.npz", fields))
        assert loaded.class_names == names
        given = [text.decode() if isinstance(text, bytes) else str(text) for text in fields["y_test"].tolist()]
        assert [names[code] for code in loaded.y_test] == given

    def test_signed_and_unsigned_meet_exactly(self):
        signed = np.array([2**53, 2**53 + 1, 0])
        fields = arrays(y_train=signed[TRAIN_LABELS], y_test=signed[TEST_LABELS].astype(np.uint64))
        np.testing.assert_array_equal(
            Dataset.from_arrays("a", Fields(**fields)).y_test, np.array([1, 2, 0])[TEST_LABELS]
        )

    def test_booleans_are_integers(self):
        named = [Dataset.from_arrays("a", Fields(**arrays(y_train=TRAIN_LABELS > 0, y_test=TEST_LABELS > 0)))]
        fields = arrays(y_train=(TRAIN_LABELS > 0).astype(int), y_test=(TEST_LABELS > 0).astype(int))
        named.append(Dataset.from_arrays("a", Fields(**fields)))
        assert named[0].class_names == ("0", "1")
        assert named[0].content_hash == named[1].content_hash

    @pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
    def test_parquet_strings_equal_npz_strings(self, tmp_path, kind):
        names = np.array(["cat", "dog", "eel"])
        fields = arrays(y_train=names[TRAIN_LABELS], y_test=names[TEST_LABELS])
        label = pa.array([*fields["y_train"].tolist(), *fields["y_test"].tolist()]).cast(kind)
        split = pa.array(["train"] * N_TRAIN + ["test"] * N_TEST).dictionary_encode()
        loaded = load_dataset(write_parquet(tmp_path / "a.parquet", fields, label=label, split=split))
        assert loaded.class_names == ("cat", "dog", "eel")
        assert loaded.content_hash == load_dataset(write_npz(tmp_path / "a.npz", fields)).content_hash

    def test_a_class_may_be_absent_from_test(self):
        loaded = Dataset.from_arrays("a", Fields(**arrays(y_test=np.full(N_TEST, 2))))
        assert loaded.n_classes == 3
        assert set(loaded.y_test) == {2}


CLEAN, WRITTEN = "caf\u00e9", "cafe\u0301"


class TestSpellings:
    """One class has one spelling, and what was read otherwise than written is said."""

    @pytest.mark.parametrize("write", WRITERS)
    def test_blanks_and_unicode_forms_are_one_class_and_said(self, tmp_path, write):
        y = np.array(["cat", "cat ", CLEAN, WRITTEN] * 3)
        path = tmp_path / ("a" if write == "folder" else f"a.{write}")
        loaded = load_dataset(WRITERS[write](path, arrays(y_train=y, y_test=y[:N_TEST])))
        assert loaded.class_names == (CLEAN, "cat")
        (note,) = loaded.notes
        assert note.endswith(
            r"are read without blanks at their ends and in Unicode's composed form: 'cafe\u0301' as 'caf\xe9', "
            "'cat ' as 'cat'."
        )

    def test_labels_in_one_spelling_need_no_word(self, tmp_path):
        y = np.array([CLEAN, "cat", "a b"] * 4)
        plain = load_dataset(write_npz(tmp_path / "a.npz", arrays(y_train=y, y_test=y[:N_TEST])))
        spelt = np.char.add(y, " ")
        other = load_dataset(write_npz(tmp_path / "b.npz", arrays(y_train=spelt, y_test=y[:N_TEST])))
        assert (plain.notes, len(other.notes)) == ((), 1)
        assert plain.content_hash == other.content_hash

    @pytest.mark.parametrize(
        ("names", "alike"),
        [
            (
                ["Cat", "cat", "tabby  cat", "tabby cat", "tabby-cat", "Straße"],
                "'Cat' and 'cat', 'tabby  cat' and 'tabby cat'",
            ),
            (["01", "1", "-1", "1,50", "0e2", "1.5"], "'01' and '1', '1,50' and '1.5'"),
        ],
    )
    def test_classes_that_differ_in_case_blanks_or_as_numbers_are_written_are_kept_apart_and_said(self, names, alike):
        data = Dataset.from_arrays(
            "a", Fields(**arrays(y_train=np.array(names * 2), y_test=np.array((names * 2)[:N_TEST])))
        )
        assert data.n_classes == 6
        (note,) = data.notes
        assert note == (
            f"Labels of a that differ only in case, blanks or how a number is written are different classes: {alike}."
        )

    def test_nothing_but_blanks_is_missing(self, tmp_path):
        y = np.array(["cat", "dog", " \t"] * 4)
        assert_refused(write_npz(tmp_path / "a.npz", arrays(y_train=y)), "y_train", "4 empty strings", "row 2")

    def test_many_spellings_are_one_line(self):
        y = np.array([f"class {i}" + " " * (i % 2) for i in range(N_TRAIN)])
        data = Dataset.from_arrays("a", Fields(**arrays(y_train=y, y_test=y[:N_TEST])))
        assert len(data.notes) == 1
        assert data.notes[0].endswith("'class 7 ' as 'class 7' and 1 more.")

    def test_numpys_strings_of_any_length(self):
        kind = np.dtypes.StringDType(na_object=None)
        y = np.array(["cat", "a longer name", "dog "] * 4, dtype=kind)
        data = Dataset.from_arrays("a", Fields(**arrays(y_train=y, y_test=y[:N_TEST])))
        assert data.class_names == ("a longer name", "cat", "dog")
        absent = arrays(y_train=np.array(["cat", "dog", "ox", None] * 3, dtype=kind))
        with pytest.raises(DataError, match="3 missing, the first in row 3"):
            Dataset.from_arrays("a", Fields(**absent))

    @pytest.mark.parametrize("where", ["npz", "folder"])
    def test_numpys_strings_cannot_be_saved_without_pickling(self, tmp_path, where):
        y = np.array(["cat", "dog", "ox"] * 4, dtype=np.dtypes.StringDType())
        path = tmp_path / ("a" if where == "folder" else "a.npz")
        with pytest.warns(UserWarning, match="pickle"):
            source = WRITERS[where](path, arrays(y_train=y, y_test=TEST_LABELS))
        assert_refused(source, "y_train", "pickled objects", "np.array(y.tolist())")
        remedy = arrays(y_train=np.array(y.tolist()), y_test=np.array(y[:N_TEST].tolist()))
        path = tmp_path / ("b" if where == "folder" else "b.npz")
        assert load_dataset(WRITERS[where](path, remedy)).class_names == ("cat", "dog", "ox")


class TestParquetColumns:
    """Columns are read as what they say, whatever wrote them."""

    @pytest.mark.parametrize("kind", ["string", "large_string", "string_view", "dictionary", "binary"])
    def test_labels_of_every_string_type(self, tmp_path, kind):
        names = [f"class {i % 3}" for i in range(N_TRAIN + N_TEST)]
        column = pa.array(names)
        column = column.dictionary_encode() if kind == "dictionary" else column.cast(getattr(pa, kind)())
        source = write_parquet(tmp_path / "a.parquet", arrays(), label=column)
        if kind == "binary":
            assert_refused(source, "label", "integers or")
        else:
            assert load_dataset(source).class_names == ("class 0", "class 1", "class 2")

    def test_boolean_labels(self, tmp_path):
        column = pa.array([i % 3 == 0 for i in range(N_TRAIN + N_TEST)])
        loaded = load_dataset(write_parquet(tmp_path / "a.parquet", arrays(), label=column))
        assert loaded.class_names == ("0", "1")
        np.testing.assert_array_equal(loaded.y_train, np.arange(N_TRAIN) % 3 == 0)

    @pytest.mark.parametrize("kind", ["list", "large_list", "list_view", "large_list_view", "fixed"])
    def test_features_of_every_list_type(self, tmp_path, kind):
        fields = arrays()
        x = np.concatenate([fields["x_train"], fields["x_test"]]).astype(np.float32)
        made = {
            "list": pa.list_(pa.float32()),
            "large_list": pa.large_list(pa.float32()),
            "list_view": pa.list_view(pa.float32()),
            "large_list_view": pa.large_list_view(pa.float32()),
            "fixed": pa.list_(pa.float32(), DIM),
        }[kind]
        source = write_parquet(tmp_path / "a.parquet", fields, feature=pa.array(x.tolist(), type=made))
        np.testing.assert_array_equal(load_dataset(source).x_train, fields["x_train"].astype(np.float32))

    def test_features_may_be_called_features(self, tmp_path):
        table = columns(arrays())
        table["features"] = table.pop("feature")
        pq.write_table(pa.table(table), tmp_path / "a.parquet")
        np.testing.assert_array_equal(load_dataset(str(tmp_path / "a.parquet")).x_train, arrays()["x_train"])
        table["feature"] = table["features"]
        pq.write_table(pa.table(table), tmp_path / "b.parquet")
        assert_refused(str(tmp_path / "b.parquet"), "`feature`", "not both")

    @pytest.mark.parametrize("name", ["feature", "label", "split"])
    def test_a_column_twice_is_refused(self, tmp_path, name):
        table = pa.table(columns(arrays()))
        path = tmp_path / "a.parquet"
        pq.write_table(table.append_column(name, table.column(name)), path)
        assert_refused(str(path), f"the column `{name}` once in {path}, but got it twice")

    @pytest.mark.parametrize("read", [lambda path: load_dataset(str(path)), load_pool], ids=["data", "pool"])
    def test_reading_takes_less_than_twice_the_features(self, tmp_path, read):
        n = 20_000
        x = np.random.default_rng(0).normal(size=(n, 100)).astype(np.float32)
        split = np.where(np.arange(n) % 5, "train", "test")
        path = tmp_path / "a.parquet"
        pq.write_table(pa.table({"feature": list(x), "label": np.arange(n) % 7, "split": split}), path)
        before, counting = pa.default_memory_pool(), pa.proxy_memory_pool(pa.system_memory_pool())
        pa.set_memory_pool(counting)
        try:
            read(path)
        finally:
            pa.set_memory_pool(before)
        assert x.nbytes < counting.max_memory() < 1.9 * x.nbytes

    @pytest.mark.parametrize("words", [("train ", " Test"), ("TRAIN", "test\n"), ("Train", "TEST")])
    def test_split_words_are_trimmed_and_folded(self, tmp_path, words):
        split = pa.array([words[0]] * N_TRAIN + [words[1]] * N_TEST)
        loaded = load_dataset(write_parquet(tmp_path / "a.parquet", arrays(), split=split))
        assert (len(loaded.x_train), len(loaded.x_test)) == (N_TRAIN, N_TEST)

    @pytest.mark.parametrize("word", ["unlabeled", "val", "training", "", "tést"])
    def test_other_split_words_are_refused(self, tmp_path, word):
        split = pa.array(["train"] * (N_TRAIN - 1) + [word] + ["test"] * N_TEST)
        assert_refused(write_parquet(tmp_path / "a.parquet", arrays(), split=split), "split", repr(word))


class TestHalves:
    def test_are_disjoint_exhaustive_and_fixed(self):
        digits = load_dataset("digits")
        tune, confirm = digits.test_half("tune"), digits.test_half("confirm")
        np.testing.assert_array_equal(np.sort(np.concatenate([tune, confirm])), digits.test_half("all"))
        assert abs(len(tune) - len(confirm)) <= 1
        assert tune.dtype == confirm.dtype == digits.test_half("all").dtype == np.int64
        np.testing.assert_array_equal(tune, load_dataset("digits").test_half("tune"))

    def test_depend_on_the_content(self):
        halves = []
        for value in (2, 3):
            fields = arrays(x_test=with_value(value, 0, shape=(50, DIM)), y_test=np.ones(50, int))
            halves.append(Dataset.from_arrays("a", Fields(**fields)).test_half("tune"))
        assert not np.array_equal(*halves)

    def test_one_row_cannot_be_split(self):
        loaded = Dataset.from_arrays("one", Fields(**arrays(x_test=np.ones((1, DIM)), y_test=np.zeros(1, int))))
        assert loaded.test_half("all").tolist() == [0]
        with pytest.raises(DataError, match=r"at least 2 rows .* of one, but got 1"):
            loaded.test_half("tune")

    def test_unknown_word(self):
        with pytest.raises(SpecError, match="all, tune or confirm, but got 'test'"):
            load_dataset("digits").test_half("test")


BAD_ARRAYS = {
    "one dimension": ({"x_train": np.ones(N_TRAIN)}, ["x_train", "2 dimensions", "(12,)"]),
    "three dimensions": ({"x_test": np.ones((N_TEST, 2, 2))}, ["x_test", "2 dimensions", "(7, 2, 2)"]),
    "no columns": ({"x_train": np.ones((N_TRAIN, 0))}, ["x_train", "at least 1", "(12, 0)"]),
    "empty train": ({"x_train": np.ones((0, DIM)), "y_train": np.ones(0, int)}, ["x_train", "(0, 3)"]),
    "empty test": ({"x_test": np.ones((0, DIM)), "y_test": np.ones(0, int)}, ["x_test", "(0, 3)"]),
    "other columns": ({"x_test": np.ones((N_TEST, 5))}, ["x_test", "3 columns", "got 5"]),
    "short labels": ({"y_train": TRAIN_LABELS[:-1]}, ["y_train", "(12,)", "x_train", "(11,)"]),
    "long labels": ({"y_test": np.zeros(9, int)}, ["y_test", "(7,)", "x_test", "(9,)"]),
    "label matrix": ({"y_train": TRAIN_LABELS[:, None]}, ["y_train", "(12,)", "(12, 1)"]),
    "label scalar": ({"y_test": np.array(3)}, ["y_test", "(7,)", "()"]),
    "NaN": ({"x_train": with_value(np.nan, [4, 9])}, ["x_train", "2 NaN, 0 infinite", "row 4"]),
    "infinite": ({"x_test": with_value(-np.inf, 6, 2, shape=(N_TEST, DIM))}, ["x_test", "0 NaN, 1 infinite", "row 6"]),
    "float16 overflow": (
        {"x_train": with_value(np.inf, 5, dtype=np.float16)},
        ["x_train", "row 5", "65504", "float32"],
    ),
    "float32 overflow": ({"x_train": with_value(1e39, 7, dtype=np.float64)}, ["x_train", "1 beyond float32", "row 7"]),
    "below float32": (
        {"x_train": np.full((N_TRAIN, DIM), 1e-40)},
        ["x_train", "at least 1.2e-38", "got 1e-40", "Multiply train and test"],
    ),
    "lost in float32": ({"x_test": np.full((N_TEST, DIM), -1e-60)}, ["x_test", "at least 1.2e-38", "got 1e-60"]),
    "text features": ({"x_train": np.full((N_TRAIN, DIM), "1.0")}, ["x_train", "real numbers", "<U3"]),
    "complex features": ({"x_test": np.ones((N_TEST, DIM), complex)}, ["x_test", "real numbers", "complex128"]),
    "date features": ({"x_test": np.ones((N_TEST, DIM), "M8[D]")}, ["x_test", "real numbers", "datetime64[D]"]),
    "float labels": ({"y_train": TRAIN_LABELS * 1.0}, ["y_train", "integers or fixed-width strings", "float64"]),
    "NaN labels": ({"y_test": np.where(TEST_LABELS == 1, np.nan, 0)}, ["y_test", "2 missing (NaN)", "row 1"]),
    "empty labels": ({"y_train": np.where(TRAIN_LABELS == 2, "", "a")}, ["y_train", "4 empty strings", "row 2"]),
    "complex labels": ({"y_train": TRAIN_LABELS * 1j}, ["y_train", "complex128"]),
    "bytes not UTF-8": ({"y_train": np.full(N_TRAIN, b"\xff\xfe")}, ["y_train", "UTF-8", "0xff"]),
    "unknown class": ({"y_test": TEST_LABELS + 1}, ["y_test", "1 that y_train lacks: 3", "0, 1, 2"]),
    "unknown classes": (
        {"y_test": np.arange(7) + 50},
        ["y_test", "7 that y_train lacks", "50, 51, 52, 53, 54 and 2 more"],
    ),
    "kinds of labels": ({"y_test": TEST_LABELS.astype(str)}, ["y_test", "3 that y_train lacks: '0', '1', '2'"]),
    "line break in a class": ({"y_test": np.full(N_TEST, "a\nb")}, ["y_test", r"'a\nb'"]),
    "one class": ({"y_train": np.full(N_TRAIN, 4)}, ["y_train", "at least 2 classes", "got 4 alone"]),
}


@pytest.mark.parametrize("write", [write_npz, write_folder])
@pytest.mark.parametrize(("changed", "parts"), BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_bad_arrays_are_refused(tmp_path, write, changed, parts):
    name = "bad.npz" if write is write_npz else "bad"
    assert_refused(write(tmp_path / name, arrays(**changed)), name, *parts)


BAD_COLUMNS = {
    "null label": ({"label": pa.array([0, 1, None] * 6 + [0])}, ["label", "6 missing", "row 2"]),
    "null string label": ({"label": pa.array(["a", None] * 9 + ["b"])}, ["label", "9 missing", "row 1"]),
    "null split": ({"split": pa.array(["train"] * 18 + [None])}, ["split", "1 missing", "row 18"]),
    "other split": (
        {"split": pa.array(["train", "test", "validation"] * 6 + ["test"])},
        ["split", "only `train` and `test`", "'validation'"],
    ),
    "number split": ({"split": pa.array([0, 1] * 9 + [1])}, ["split", "0, 1"]),
    "list split": ({"split": pa.array([["train"]] * 19)}, ["bad.parquet"]),
    "no test": ({"split": pa.array(["train"] * 19)}, ["feature", "x_test", "split test", "(0, 3)"]),
    "no train": ({"split": pa.array(["test"] * 19)}, ["feature", "x_train", "split train", "(0, 3)"]),
    "null feature": ({"feature": pa.array([[1.0, 2.0], None] * 9 + [[1.0, 2.0]])}, ["feature", "9 missing", "row 1"]),
    "null in feature": (
        {"feature": pa.array([[1.0, 2.0]] * 18 + [[1.0, None]])},
        ["feature", "1 rows with missing values", "row 18"],
    ),
    "ragged feature": (
        {"feature": pa.array([[1.0, 2.0]] * 18 + [[1.0]])},
        ["feature", "2 numbers in row 0", "1 in row 18"],
    ),
    "empty feature": ({"feature": pa.array([[]] * 19, pa.list_(pa.float32()))}, ["feature", "(12, 0)"]),
    "scalar feature": ({"feature": pa.array(np.ones(19))}, ["feature", "lists of numbers", "double"]),
    "text feature": ({"feature": pa.array([["a"]] * 19)}, ["feature", "lists of numbers", "string"]),
    "nested feature": ({"feature": pa.array([[[1.0]]] * 19)}, ["feature", "lists of numbers", "list<"]),
    "NaN feature": ({"feature": pa.array([[1.0]] * 13 + [[np.nan]] * 6)}, ["feature", "x_test", "6 NaN", "row 1"]),
    "float label": ({"label": pa.array(np.arange(19) * 1.0)}, ["label", "y_train", "float64"]),
    "list label": ({"label": pa.array([[1]] * 19)}, ["label", "y_train", "integers or fixed-width strings", "object"]),
    "unknown class": ({"label": pa.array([0, 1] * 6 + [2] * 7)}, ["label", "y_test", "1 that y_train lacks: 2"]),
}


@pytest.mark.parametrize(("changed", "parts"), BAD_COLUMNS.values(), ids=BAD_COLUMNS)
def test_bad_columns_are_refused(tmp_path, changed, parts):
    assert_refused(write_parquet(tmp_path / "bad.parquet", arrays(), **changed), "bad.parquet", *parts)


class TestBadFiles:
    def test_a_name_that_no_table_can_hold(self, tmp_path):
        source = write_npz(tmp_path / os.fsdecode(b"caf\xe9.npz"), arrays())
        assert_refused(source, r"a name in UTF-8 for a data set, but got 'caf\udce9.npz'; rename it")

    @pytest.mark.parametrize("name", ["nowhere.npz", "nowhere.parquet", "nowhere", "no/where.npz", "line\nbreak.npz"])
    def test_missing(self, tmp_path, name):
        assert_refused(str(tmp_path / name), " ".join(name.split()), "does not exist", "digits")

    @pytest.mark.parametrize("name", ["digit", "mnist", "bad\0name", "x" * 5000])
    def test_unknown_builtin(self, name):
        assert_refused(name, name)

    @pytest.mark.parametrize("name", ["data.csv", "data", "data.npy"])
    def test_unknown_suffix(self, tmp_path, name):
        (tmp_path / name).write_bytes(b"1,2")
        words = ["`ntkcpl features import`"] if name == "data.npy" else []
        assert_refused(str(tmp_path / name), name, "suffix", ".npz", ".parquet", "folder", *words)

    @pytest.mark.parametrize("name", Fields._fields)
    def test_missing_field(self, tmp_path, name):
        fields = arrays()
        del fields[name]
        for source in (write_npz(tmp_path / "a.npz", fields), write_folder(tmp_path / "a", fields)):
            others = (repr(other) for other in fields)
            assert_refused(source, source, f"missing: {name}", *others, "`ntkcpl features import`", "--x-test")

    @pytest.mark.parametrize("name", ["feature", "label", "split"])
    def test_missing_column(self, tmp_path, name):
        table = pa.table(columns(arrays()))
        pq.write_table(table.drop_columns([name]), tmp_path / "a.parquet")
        others = (repr(other) for other in table.column_names if other != name)
        assert_refused(str(tmp_path / "a.parquet"), "a.parquet", f"missing: {name}", *others)

    def test_column_twice(self, tmp_path):
        table = pa.table(columns(arrays()))
        pq.write_table(table.append_column("label", table["label"]), tmp_path / "a.parquet")
        assert_refused(str(tmp_path / "a.parquet"), "a.parquet")

    def test_no_rows(self, tmp_path):
        pq.write_table(pa.table(columns(arrays())).slice(0, 0), tmp_path / "a.parquet")
        assert_refused(str(tmp_path / "a.parquet"), "a.parquet", "split", "no rows")

    def test_empty_folder(self, tmp_path):
        assert_refused(str(tmp_path), tmp_path.name, "x_train", "none")

    @pytest.mark.parametrize("write", [write_npz, write_folder])
    def test_pickled_objects(self, tmp_path, write):
        labels = np.array(["a", None] * 6, dtype=object)
        name = "a.npz" if write is write_npz else "a"
        source = write(tmp_path / name, arrays(y_train=labels))
        assert_refused(source, name, "`y_train`", "pickled objects", "np.array(y.tolist())")

    def test_plain_pickle_is_not_run(self, tmp_path):
        source = write_folder(tmp_path / "a", arrays())
        (tmp_path / "a" / "x_test.npy").write_bytes(pickle.dumps([1, 2]))
        assert_refused(source, "`x_test`")

    @pytest.mark.parametrize("shape", ["(10000000000000,)", "(-1, 3)", "(9223372036854775807, 9)", "()", "'a'"])
    @pytest.mark.parametrize("write", [write_npz, write_folder])
    def test_absurd_headers(self, tmp_path, shape, write):
        header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
        source = write(tmp_path / ("a.npz" if write is write_npz else "a"), arrays())
        if write is write_folder:
            (tmp_path / "a" / "x_train.npy").write_bytes(content)
        else:
            with zipfile.ZipFile(source, "w") as archive:
                for name in Fields._fields:
                    archive.writestr(f"{name}.npy", content)
        assert_refused(source, "`x_train`")

    def test_flipped_byte_in_npz(self, tmp_path):
        path = tmp_path / "a.npz"
        content = bytearray(Path(write_npz(path, arrays())).read_bytes())
        content[200] ^= 1
        path.write_bytes(content)
        assert_refused(str(path), "a.npz", "`x_train`", "damaged")

    @pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), MemoryError("8 TiB"), KeyError("x")])
    def test_any_error_of_a_reader(self, tmp_path, monkeypatch, error):
        def fail(path):
            raise error

        monkeypatch.setitem(data.READERS, ".npz", fail)
        source = write_npz(tmp_path / "a.npz", arrays())
        assert_refused(source, "a.npz", type(error).__name__, str(error))

    def test_code_points_that_are_none(self, tmp_path):
        for number in (0xD800, 0x110000):
            labels = np.full(N_TRAIN, number, np.uint32).view("<U1")
            labels[0] = "a"
            assert_refused(write_npz(tmp_path / "a.npz", arrays(y_train=labels)), "a.npz")


def contents():
    fields = arrays(y_train=np.array(["a", "b", "c"])[TRAIN_LABELS], y_test=np.array(["a", "b", "c"])[TEST_LABELS])
    npz, parquet, npy = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez_compressed(npz, **fields)
    pq.write_table(pa.table(columns(fields)), parquet)
    np.save(npy, fields["x_train"])
    return {"a.npz": npz.getvalue(), "a.parquet": parquet.getvalue(), "a/x_train.npy": npy.getvalue()}


CONTENTS = contents()


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzzed")
    write_folder(folder / "a", arrays())

    def load(name, content):
        (folder / name).write_bytes(content)
        try:
            return load_dataset(str(folder / name.split("/")[0]))
        except DataError as error:
            lines = str(error).splitlines()
        assert len(lines) == 1
        return None

    return load


@pytest.mark.parametrize("name", CONTENTS)
@settings(max_examples=40, deadline=None)
@given(content=st.binary(max_size=300))
def test_random_bytes_are_refused(fuzzed, name, content):
    assert fuzzed(name, content) is None
    magic = {"a.npz": b"PK\x03\x04", "a.parquet": b"PAR1", "a/x_train.npy": b"\x93NUMPY\x01\x00"}[name]
    assert fuzzed(name, magic + content) is None


@pytest.mark.parametrize("name", CONTENTS)
@settings(max_examples=60, deadline=None)
@given(draw=st.data())
def test_truncated_files_are_refused(fuzzed, name, draw):
    content = CONTENTS[name]
    assert fuzzed(name, content[: draw.draw(st.integers(0, len(content) - 1))]) is None


# Not Parquet: pyarrow does not promise to survive a file that was forged rather than cut off.
@pytest.mark.parametrize("name", ["a.npz", "a/x_train.npy"])
@settings(max_examples=60, deadline=None)
@given(draw=st.data())
def test_overwritten_files_load_or_are_refused(fuzzed, name, draw):
    content = bytearray(CONTENTS[name])
    start = draw.draw(st.integers(0, len(content) - 1))
    patch = draw.draw(st.binary(min_size=1, max_size=8))
    content[start : start + len(patch)] = patch
    fuzzed(name, bytes(content))


def test_hash_is_a_sha256_and_independent_of_the_name():
    first, second = (Dataset.from_arrays(name, Fields(**arrays())) for name in ("a", "b"))
    assert first.content_hash == second.content_hash
    assert re.fullmatch("[0-9a-f]{64}", first.content_hash)
