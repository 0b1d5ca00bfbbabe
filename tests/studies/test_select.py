"""Labelling one's own pool: the picks of a study in the same state, and one line for every mistake."""

import base64
import csv
import io
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.data import NO_CLASS, load_dataset
from harness.exceptions import DataError
from harness.query import select
from harness.spec import LearnerSpec
from harness.store.location import write
from harness.trajectory import run_trajectory
from harness.unlabelled import Bought, Pool, load_pool, read_labels
from strategies.base import Compute, Oracle
from strategies.registry import BUILT_IN, make_strategy
from studies.select import _so_far, cross_validate
from studies.sheet import contact_sheet, find_pictures

LEARNER = LearnerSpec(hidden=16, epochs=3)
PARAMETERS = {"refine": {"n_batches": 9, "n_filters": 1}}


@pytest.mark.parametrize("outside", [0, 3])
@pytest.mark.parametrize("name", [name for name, each in BUILT_IN.items() if not issubclass(each, Oracle)])
def test_picks_are_those_of_a_study_in_the_same_state(pool, make_spec, name, outside):
    """For every strategy, with queries of unequal size and labels of which some are wrong or of no class."""
    rows = np.arange(len(pool.y_train))
    truth = np.where(rows % 7 < outside, NO_CLASS, pool.y_train)
    pool = replace(pool, y_train=truth, given=np.where((rows % 5 == 0) & (truth != NO_CLASS), 0, truth))
    parameters = PARAMETERS.get(name)
    spec, labelled = make_spec(name, parameters, schedule="5,4,6", seed=3), np.empty(0, dtype=np.int64)
    for round_, record in enumerate(run_trajectory(spec, pool)):
        found, _ = select(
            make_strategy(name, parameters),
            len(record.picks),
            pool.x_train,
            pool.n_classes,
            labelled,
            pool.labels[labelled],
            [5, 4, 6][:round_],
            seed=3,
            learner=LEARNER,
            compute=Compute(n_threads=2),
        )
        np.testing.assert_array_equal(found.indices, record.picks)
        np.testing.assert_array_equal(found.scores, record.scores)
        labelled = np.concatenate([labelled, record.picks])


def test_cross_validation_is_of_classifiers_that_have_not_seen_the_point(pool):
    labelled = np.arange(40)
    _, model = select(
        make_strategy("random"),
        1,
        pool.x_train,
        pool.n_classes,
        labelled,
        pool.y_train[labelled],
        [40],
        learner=LEARNER,
    )
    found = cross_validate(model, labelled, pool.y_train[labelled])
    assert (found.n, found.n_folds) == (40, 5)
    assert 0 <= found.n_right <= 40
    assert "It is biased" in str(found)
    # Labels that follow nothing cannot be predicted by who has not seen them.
    noise = np.random.default_rng(0).integers(2, size=40)
    _, of_noise = select(make_strategy("random"), 1, pool.x_train, 2, labelled, noise, [40], learner=LearnerSpec())
    assert (of_noise.predict_pool(labelled) == noise).mean() > 0.9
    assert cross_validate(of_noise, labelled, noise).n_right < 32
    assert "it takes at least 10 labels" in cross_validate(of_noise, labelled[:5], noise[:5])


def test_cross_validation_says_nothing_where_most_labels_are_the_only_ones_of_their_class(pool):
    firsts = np.array([np.flatnonzero(pool.y_train == label)[0] for label in range(pool.n_classes)])
    labelled = np.union1d(firsts, np.flatnonzero(pool.y_train == 0)[: max(3, 11 - pool.n_classes)])
    classes = np.arange(len(labelled)) * (np.arange(len(labelled)) > 3)
    labels = np.where(np.arange(len(labelled)) < 4, 0, classes)
    said = cross_validate(None, labelled, labels)
    n_alone = len(labelled) - 4
    assert f"{n_alone} of {len(labelled)} labels are the only ones of their class" in said


def test_what_is_said_of_many_classes_is_short():
    names = tuple(f"c{k:03d}" for k in range(200))
    bought = Bought(np.arange(12), np.arange(12), names, (12,), 1)
    said = _so_far(bought)
    assert said.startswith("12 labels so far, in 1 round: c000 1, c001 1, ")
    assert said.endswith("c011 1; none of c012, c013, c014, c015 and 184 more.")


def test_classes_without_a_name_and_rounds_without_a_label_are_counted():
    bought = Bought(np.arange(3), np.array([0, 1, 1]), ("7", "9", "class 2"), (1, 2), 3, n_unnamed=1)
    assert _so_far(bought) == (
        "3 labels so far, in 2 rounds (1 earlier round without a label; pass every file that has labels): 7 1, 9 2; 1"
        " of the 3 classes has no label yet."
    )


FEATURES = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
NAMES = tuple(f"p{row}.png" for row in range(30))
NAMED = Pool(FEATURES, NAMES)


def save(folder, kind, **changes):
    path = folder / f"pool.{kind}"
    if kind == "npy":
        np.save(path, FEATURES)
    elif kind == "folder":
        path.mkdir()
        np.save(path / "features.npy", FEATURES)
        np.save(path / "names.npy", NAMES)
    elif kind == "npz":
        np.savez(path, **({"features": FEATURES, "names": np.array(NAMES)} | changes))
    else:
        pd.DataFrame({"feature": list(FEATURES), "name": NAMES} | changes).to_parquet(path)
    return path


class TestPool:
    @pytest.mark.parametrize("kind", ["npy", "npz", "parquet", "folder"])
    def test_each_format_gives_the_points(self, tmp_path, kind):
        pool = load_pool(save(tmp_path, kind))
        np.testing.assert_array_equal(pool.features, FEATURES)
        assert pool.names == (None if kind == "npy" else NAMES)
        assert pool.called(4) == ("4" if kind == "npy" else "p4.png")

    def test_names_are_called_names_or_name_in_every_format(self, tmp_path):
        np.savez(tmp_path / "one.npz", features=FEATURES, name=np.array(NAMES))
        pd.DataFrame({"features": list(FEATURES), "names": NAMES}).to_parquet(tmp_path / "one.parquet")
        for path in tmp_path.iterdir():
            assert load_pool(path).names == NAMES
        for path in (save(tmp_path, "npz", name=np.array(NAMES)), save(tmp_path, "parquet", names=NAMES)):
            with pytest.raises(DataError, match=r"Expected `names` or `name` in .*, but got both; drop one"):
                load_pool(path)

    def test_a_single_name_is_that_of_the_file(self, tmp_path):
        np.savez(tmp_path / "one.npz", features=FEATURES, name=np.array("cifar10"))
        assert load_pool(tmp_path / "one.npz").names is None

    def test_names_may_be_bytes(self, tmp_path):
        assert load_pool(save(tmp_path, "npz", names=np.array([name.encode() for name in NAMES]))).names == NAMES

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"features": FEATURES[0]}, "2 dimensions"),
            ({"features": np.where(FEATURES > 2, np.nan, FEATURES)}, "finite numbers"),
            ({"feature": FEATURES}, "Expected `features` or `feature` in .*, but got both; drop one"),
            ({"names": np.array([b"\xff"] * 30)}, "names in UTF-8"),
            (
                {"names": np.array([*NAMES[1:], os.fsdecode(b"\xe9.png")])},
                r"names in UTF-8 in .*\.npz`, but got '.udce9",
            ),
            ({"names": np.array(NAMES, dtype=object)}, "Save labels and names as"),
            ({"names": np.array(NAMES[:3])}, "a name for each of 30 points"),
            ({"names": np.array(["a"] * 30)}, "but got `a` 30 times"),
            ({"features": np.array([{}], dtype=object)}, "pickled objects"),
        ],
    )
    def test_what_is_no_pool_is_refused(self, tmp_path, changes, said):
        with pytest.raises(DataError, match=said):
            load_pool(save(tmp_path, "npz", **changes))

    def test_features_that_are_kept_as_integers_are_multiplied(self, tmp_path):
        small, scale = (FEATURES * 20).astype(np.int8), np.array([0.5, 2, 1, 0.1], dtype=np.float32)
        found = load_pool(save(tmp_path, "npz", features=small, x_scale=scale))
        np.testing.assert_array_equal(found.features, small * scale)
        with pytest.raises(DataError, match=r"a factor for each column of features in `x_scale`"):
            load_pool(save(tmp_path, "npz", features=small, x_scale=scale[:2]))

    def test_of_a_split_only_the_training_rows_are_offered(self, tmp_path):
        split = np.where(np.arange(30) % 3, "train", "test")
        pool = load_pool(save(tmp_path, "parquet", split=split))
        np.testing.assert_array_equal(pool.features, FEATURES[split == "train"])
        assert pool.names == tuple(np.array(NAMES)[split == "train"])
        with pytest.raises(DataError, match="only `train` and `test` in `split`"):
            load_pool(save(tmp_path, "parquet", split=["train"] * 29 + ["pool"]))
        with pytest.raises(DataError, match="but got no row of `train` in `split`"):
            load_pool(save(tmp_path, "parquet", split=["test"] * 30))

    @pytest.mark.parametrize("names", [[None, *NAMES[1:]], [None, *range(29)]])
    def test_a_missing_name_is_refused(self, tmp_path, names):
        with pytest.raises(
            DataError, match=r"a name in every row of `name` of .*, but got 1 missing, the first in row 0"
        ):
            load_pool(save(tmp_path, "parquet", name=pd.array(names, dtype="Int64" if names[1] == 0 else "string")))

    def test_a_table_without_rows_is_refused(self, tmp_path):
        table = pa.table({"feature": pa.array([], pa.list_(pa.float32()))})
        pq.write_table(table, tmp_path / "pool.parquet")
        with pytest.raises(DataError, match=r"Expected points to choose from in .*, but got no rows at all"):
            load_pool(tmp_path / "pool.parquet")

    @pytest.mark.parametrize(("suffix", "other"), [("npy", "npz"), ("npz", "npy")])
    def test_a_file_of_numpy_is_what_its_name_says(self, tmp_path, suffix, other):
        save(tmp_path, other).rename(tmp_path / f"pool.{suffix}")
        with pytest.raises(DataError, match=rf"to be a \.{suffix} file, but got a \.{other} file under that name"):
            load_pool(tmp_path / f"pool.{suffix}")

    @pytest.mark.parametrize("kind", ["npz", "parquet"])
    def test_a_pool_with_text_labels_sorts_classes_as_text(self, tmp_path, kind):
        labels = write_csv(tmp_path / "1.csv", (0, "9"), (1, "10"), columns=("index", "label"))
        for given, classes in ((["9", "10"] * 15, ("10", "9")), ([9, 10] * 15, ("9", "10"))):
            pool = load_pool(save(tmp_path, kind, label=np.array(given)))
            assert read_labels([labels], pool, None).classes == classes
            assert read_labels([], pool, "9,10").classes == classes

    @pytest.mark.parametrize("name", ["nothere.npz", "pool.txt"])
    def test_other_files_are_refused(self, tmp_path, name):
        (tmp_path / "pool.txt").touch()
        with pytest.raises(DataError, match=r"Expected a pool in a \.npy, \.npz, \.safetensors or \.parquet file or a"):
            load_pool(tmp_path / name)

    def test_a_folder_of_something_else_is_refused(self, tmp_path):
        (tmp_path / "p0.png").touch()
        with pytest.raises(DataError, match=r"but got `.*`: a folder without \.npy files; .* --unlabelled` makes"):
            load_pool(tmp_path)
        np.save(tmp_path / "vectors.npy", FEATURES)
        with pytest.raises(DataError, match=r"Expected features called x_train, .*, but got only `vectors`"):
            load_pool(tmp_path)

    @pytest.mark.parametrize("labels", [np.arange(30) % 2, np.array(["9", "10"] * 15)])
    @pytest.mark.parametrize("kind", ["folder", "npz", "NPZ", "safetensors"])
    def test_of_a_feature_file_of_a_study_the_pool_is_read(self, tmp_path, kind, labels):
        arrays = {"x_train": (FEATURES * 20).astype(np.int8), "y_train": labels, "x_scale": np.float32([1, 2, 3, 4])}
        arrays |= {"x_test": arrays["x_train"][:5], "y_test": labels[:5]}
        arrays |= {"features": np.concatenate([arrays["x_test"], arrays["x_train"]])}  # which no study reads
        path = tmp_path / f"study.{kind}"
        if kind == "folder":
            path.mkdir()
            for name, array in arrays.items():
                np.save(path / name, array)
        elif kind == "safetensors":
            if labels.dtype.kind == "U":
                pytest.skip("it holds no text")
            pytest.importorskip("safetensors.numpy").save_file(arrays, path)
        else:
            with path.open("wb") as file:
                np.savez(file, **arrays)
        pool, data = load_pool(path), load_dataset(str(path))
        np.testing.assert_array_equal(pool.features, data.x_train)
        assert (pool.names, pool.has_text_labels) == (None, labels.dtype.kind == "U")

    def test_the_pool_of_a_built_in_data_set_is_read(self):
        np.testing.assert_array_equal(load_pool(Path("digits")).features, load_dataset("digits").x_train)


def write_csv(path, *rows, columns=("name", "label")):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


class TestLabels:
    def test_are_read_in_the_order_of_purchase(self, tmp_path):
        first = write_csv(tmp_path / "1.csv", ("p3.png", "dog"), ("p1.png", " cat "))
        second = write_csv(tmp_path / "2.csv", (7, "cat"), columns=("index", "label"))
        bought = read_labels([first, second], NAMED, None)
        assert bought.rows.tolist() == [3, 1, 7]
        assert bought.classes == ("cat", "dog")
        assert bought.labels.tolist() == [1, 0, 0]
        assert bought.queries == (2, 1)

    def test_a_column_counts_the_rounds(self, tmp_path):
        rows = [(0, 0, 10), (1, 0, 9), (2, 1, 10)]
        bought = read_labels([write_csv(tmp_path / "1.csv", *rows, columns=("index", "round", "label"))], NAMED, None)
        assert bought.queries == (2, 1)
        assert bought.classes == ("9", "10")

    def test_a_round_of_which_nothing_was_labelled_keeps_its_number(self, tmp_path):
        rows = [(0, 0, 10), (1, 0, 9), (2, 3, 10)]
        bought = read_labels([write_csv(tmp_path / "1.csv", *rows, columns=("index", "round", "label"))], NAMED, None)
        assert (bought.queries, bought.next_round) == ((2, 1), 4)

    def test_classes_have_one_order_and_one_name_each(self, tmp_path):
        rows = [(0, "1"), (1, "01"), (2, "class 3")]
        orders = [rows[:2], rows[1::-1]]
        for number, order in enumerate(orders):
            path = write_csv(tmp_path / f"{number}.csv", *order, columns=("index", "label"))
            assert read_labels([path], NAMED, None).classes == ("01", "1")
        path = write_csv(tmp_path / "3.csv", *rows, columns=("index", "label"))
        assert read_labels([path], NAMED, "5").classes == ("01", "1", "class 3", "class 4", "class 5")

    def test_sorted_by_a_person_they_are_read_as_chosen(self, tmp_path):
        rows = [(7, 1, 0, 10), (3, 0, 1, 9), (5, 0, 0, 10)]
        columns = ("index", "round", "position", "label")
        bought = read_labels([write_csv(tmp_path / "1.csv", *rows, columns=columns)], NAMED, None)
        assert (bought.rows.tolist(), bought.queries) == ([5, 3, 7], (2, 1))
        with pytest.raises(DataError, match=r"Expected a position such as 0 in line 2 of .*, but got ``"):
            read_labels([write_csv(tmp_path / "2.csv", (7, 1, "", 10), columns=columns)], NAMED, None)

    def test_a_round_that_was_divided_is_read_as_chosen(self, tmp_path):
        columns = ("index", "round", "position", "label")
        rows = [(5, 0, 0, 10), (3, 0, 1, 9), (8, 0, 2, 9), (7, 1, 0, 10)]
        parts = [write_csv(tmp_path / f"{n}.csv", *rows[n::2], columns=columns) for n in (1, 0)]
        parts.append(write_csv(tmp_path / "nothing.csv", columns=("index", "label")))
        bought = read_labels(parts, NAMED, None)
        assert (bought.rows.tolist(), bought.queries, bought.next_round) == ([5, 3, 8, 7], (3, 1), 2)
        later = write_csv(tmp_path / "later.csv", (9, 10), (1, 9), columns=("index", "label"))
        bought = read_labels([*parts[1:], later], NAMED, None)
        assert (bought.rows.tolist(), bought.queries) == ([5, 8, 9, 1], (2, 2))

    def test_parquet_is_read_like_csv(self, tmp_path):
        pd.DataFrame({"index": [4, 5], "label": [1, 0], "round": [0, 1]}).to_parquet(tmp_path / "1.parquet")
        bought = read_labels([tmp_path / "1.parquet"], NAMED, None)
        assert (bought.rows.tolist(), bought.labels.tolist(), bought.queries) == ([4, 5], [1, 0], (1, 1))

    def test_a_whole_number_is_one_class_with_and_without_decimals(self, tmp_path):
        pd.DataFrame({"index": [4, 5], "label": [1.0, 2.0]}).to_parquet(tmp_path / "1.parquet")
        second = write_csv(tmp_path / "2.csv", (6, "1"), (7, "2.0"), columns=("index", "label"))
        bought = read_labels([tmp_path / "1.parquet", second], NAMED, None)
        assert (bought.classes, bought.labels.tolist()) == (("1", "2"), [0, 1, 0, 1])
        assert read_labels([second], NAMED, "1.0,2.0,3.0").classes == ("1", "2", "3")

    def test_bytes_are_text(self, tmp_path):
        pd.DataFrame({"index": [4, 5], "label": ["é".encode(), b"b"]}).to_parquet(tmp_path / "1.parquet")
        assert read_labels([tmp_path / "1.parquet"], NAMED, None).classes == ("b", "é")
        pd.DataFrame({"index": [4, 5], "label": [b"b", b"\xff"]}).to_parquet(tmp_path / "1.parquet")
        with pytest.raises(DataError, match="a label in UTF-8 in row 1"):
            read_labels([tmp_path / "1.parquet"], NAMED, None)

    def test_the_first_line_tells_what_a_file_lacks(self, tmp_path):
        """Blanks at the ends of a heading, which nobody sees, change nothing; a line above it is no odd row."""
        path = tmp_path / "1.csv"
        path.write_text("index ; label ;round\n7;a;0\n1;b;0\n")
        assert read_labels([path], NAMED, None).rows.tolist() == [7, 1]
        path.write_text("index,label,label \n7,a,b\n1,b,a\n")
        with pytest.raises(DataError, match=r"Expected each column once in .*, but got `label` twice"):
            read_labels([path], NAMED, None)
        path.write_text("index,name,round,position,score,lable\n7,,0,0,0.5,a\n")
        with pytest.raises(DataError, match=r"`name` or `index` in .* but got `index`, .*, `score`, `lable`[.]"):
            read_labels([path], NAMED, None)
        path.write_text("Round 1 of Anna\nindex,label\n7,a\n1,b\n")
        with pytest.raises(DataError, match=r"`name` or `index` in .* but got `Round 1 of Anna`[.]"):
            read_labels([path], NAMED, None)
        with pytest.raises(DataError, match=r"Expected a file of labels, but .* is a folder; name each file in it"):
            read_labels([tmp_path], NAMED, None)

    def test_names_are_not_passed_over_where_the_pool_has_lost_them(self, tmp_path):
        """Its order may have changed with it, and then `index` leads to other points."""
        pool = Pool(FEATURES, None)
        path = write_csv(tmp_path / "1.csv", (4, "p4.png", "a"), (5, "", "b"), columns=("index", "name", "label"))
        with pytest.raises(DataError, match=r"Expected a pool with names, since the point in line 2 of .* `p4\.png`"):
            read_labels([path], pool, None)
        hashes = [(row, f"mine {row}", pool.features_hash(row), "ab"[row % 2]) for row in (4, 5)]
        write_csv(path, *hashes, columns=("index", "name", "features_hash", "label"))  # a name that a person added
        assert read_labels([path], pool, None).rows.tolist() == [4, 5]

    def test_nan_is_a_missing_label(self, tmp_path):
        table = pa.table({"index": [4, 5], "label": pa.array([1.0, np.nan])})
        pq.write_table(table, tmp_path / "1.parquet")
        with pytest.raises(DataError, match=r"a label for p5\.png in row 1 of .*, but got none"):
            read_labels([tmp_path / "1.parquet"], NAMED, None)

    @pytest.mark.parametrize("value", [["a", "b"], {"a": 1}])
    def test_a_label_of_several_values_is_refused(self, tmp_path, value):
        pq.write_table(pa.table({"index": [4, 5], "label": [value, value]}), tmp_path / "1.parquet")
        with pytest.raises(DataError, match=r"text or a number in row 0 of .*, but got a (list|dict); keep one"):
            read_labels([tmp_path / "1.parquet"], NAMED, None)

    def test_columns_are_wanted_where_there_are_no_rows(self, tmp_path):
        (tmp_path / "1.csv").touch()
        write_csv(tmp_path / "2.csv", columns=("index", "class"))
        pq.write_table(pa.table({"index": pa.array([], pa.int64())}), tmp_path / "3.parquet")
        for name in ("1.csv", "2.csv", "3.parquet"):
            with pytest.raises(DataError, match="Expected the columns `label` and `name` or `index`"):
                read_labels([tmp_path / name], NAMED, "2")
        assert len(read_labels([write_csv(tmp_path / "4.csv")], NAMED, "2").rows) == 0

    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    def test_headings_may_have_capitals_and_blanks(self, tmp_path, kind):
        table = pd.DataFrame({"Index ": [3, 4, 5], "ROUND": [0, 1, 1], "Position": [0, 1, 0], " Label": list("aba")})
        table["Note"] = table["note"] = "x"
        path = tmp_path / f"1.{kind}"
        (table.to_csv if kind == "csv" else table.to_parquet)(path, index=False)
        bought = read_labels([path], NAMED, None)
        assert (bought.rows.tolist(), bought.labels.tolist(), bought.queries) == ([3, 5, 4], [0, 0, 1], (1, 2))
        table = table.assign(label=list("ccd"))  # the word itself counts more than one in capitals
        (table.to_csv if kind == "csv" else table.to_parquet)(path, index=False)
        assert read_labels([path], NAMED, None).classes == ("c", "d")
        table = table.drop(columns="label").assign(LABEL="c")
        (table.to_csv if kind == "csv" else table.to_parquet)(path, index=False)
        with pytest.raises(DataError, match=r"Expected each column once in .*, but got `label` twice"):
            read_labels([path], NAMED, None)

    def test_a_column_twice_is_refused(self, tmp_path):
        path = write_csv(tmp_path / "1.csv", (0, "a", "b"), columns=("index", "label", "label"))
        with pytest.raises(DataError, match=r"each column once in .*, but got `label` twice"):
            read_labels([path], NAMED, None)
        table = pa.Table.from_arrays([pa.array([0]), pa.array(["a"]), pa.array(["b"])], ["index", "label", "label"])
        pq.write_table(table, tmp_path / "1.PARQUET")
        with pytest.raises(DataError, match=r"the column `label` once in .*, but got it twice"):
            read_labels([tmp_path / "1.PARQUET"], NAMED, None)

    def test_a_point_may_belong_to_no_class(self, tmp_path):
        rows = [("p3.png", "b"), ("p1.png", " junk"), ("p2.png", "a")]
        path = write_csv(tmp_path / "1.csv", *rows)
        for classes in (None, "a,b", "2"):
            bought = read_labels([path], NAMED, classes, "junk ")
            assert (bought.rows.tolist(), bought.labels.tolist()) == ([3, 1, 2], [1, NO_CLASS, 0])
            assert (bought.classes, bought.queries) == (("a", "b"), (3,))
            assert _so_far(bought) == "3 labels so far, in 1 round: a 1, b 1, no class 1."
        for classes, word in (("a,b,junk", "junk"), ("a,b,junk", "")):
            with pytest.raises(DataError, match=f"a label for --no-class that is no class, but got `{word}`"):
                read_labels([path], NAMED, classes, word)

    def test_classes_that_nobody_named_and_that_differ_in_case_are_said(self, tmp_path):
        path = write_csv(tmp_path / "1.csv", ("p3.png", "Cat"), ("p1.png", "cat "), ("p2.png", "Junk"))
        for classes, no_class, alike in (
            (None, None, "'Cat' and 'cat'"),
            ("5", "junk", "'Cat' and 'cat', 'Junk' and 'junk'"),
            ("Cat,cat,Junk", None, ""),
        ):
            assert read_labels([path], NAMED, classes, no_class).alike == alike

    def test_the_name_of_a_class_may_have_a_comma(self, tmp_path):
        names = ("dog, large", 'a "b"', "cat")
        path = write_csv(
            tmp_path / "1.csv", *((row, name) for row, name in enumerate(names)), columns=("index", "label")
        )
        asked = '"dog, large", "a ""b""",cat'
        for classes in (None, asked, 'cat , "dog, large" , a "b" '):
            assert read_labels([path], NAMED, classes).classes == ('a "b"', "cat", "dog, large")
        assert read_labels([], NAMED, 'a "b",c').classes == ('a "b"', "c")
        assert read_labels([], NAMED, '"a"" ,b",c').classes == ('a" ,b', "c")
        assert read_labels([], NAMED, ' "a""" ,"b,"" ,c" ,d').classes == ('a"', 'b," ,c', "d")

    def test_one_missing_row_is_found_whatever_its_round_and_position(self, tmp_path):
        rows = [(index, 2, position, "ab"[index % 2]) for position, index in enumerate([7, 3, 5])]
        columns = ("index", "round", "position", "label")
        found = [
            read_labels([write_csv(tmp_path / "1.csv", *kept, columns=columns)], NAMED, "a,b")
            for kept in (rows, rows[1:], rows[::2], rows[:2], [(7, 2, 10**9 - 1, "a")])
        ]
        assert [(each.n_missing, each.first_missing) for each in found] == [
            (0, None),
            (1, (2, 0)),
            (1, (2, 1)),
            (0, None),
            (10**9 - 1, (2, 0)),
        ]

    def test_no_labels_need_classes(self, tmp_path):
        assert read_labels([], NAMED, "b,a").classes == ("a", "b")
        assert len(read_labels([], NAMED, "10").classes) == 10
        with pytest.raises(DataError, match="Expected --classes"):
            read_labels([], NAMED, None)

    @pytest.mark.parametrize(
        ("columns", "rows", "classes", "said"),
        [
            (("name", "label"), [("p1.png", "a"), ("p1.png", "a")], None, "labelled twice"),
            (("name", "label"), [("p1.png", "a"), ("p1.png", "b")], None, "`a` and `b`"),
            (("name", "label"), [("q.png", "a")], None, "`q.png`; drop the row if this point has left the pool."),
            (
                ("index", "name", "label"),
                [(1, "q", "a")],
                None,
                "`q`; drop the row if this point has left the pool, or, if a program has changed the name, remove",
            ),
            (("name", "label"), [("p1.png", "")], None, "a label for p1.png in line 2"),
            (("name", "label"), [("", "a")], None, "a name or an index in line 2"),
            (("index", "label"), [(30, "a")], None, "an index from 0 to 29 in line 2"),
            (("index", "label"), [("-1", "a")], None, "an index from 0 to 29"),
            (("index", "label"), [("1.5", "a")], None, "an index from 0 to 29"),
            (("index", "name", "label"), [(2, "p1.png", "a")], None, "`p1.png`; if the order of the pool has changed"),
            (("index", "name", "label"), [(30, "p1.png", "a")], None, "`p1.png`; if the order of the pool has changed"),
            (("index", "round", "label"), [(1, 1, "a"), (2, 0, "b")], None, "rounds that do not go back"),
            (("index", "round", "label"), [(1, "x", "a")], None, "a round such as 0"),
            (("index", "label"), [(1, "a")], "b,c", "labels among `b`, `c`, but got `a`; see line 2 of `"),
            (("index", "label"), [(1, "a"), (2, "b"), (3, "c")], "2", "--classes of 3 at least"),
            (("index", "label"), [(1, "a")], "a", "two or more different names"),
            (("index", "label"), [(1, "a")], "a,a", "two or more different names"),
            (("index", "label"), [(1, "a")], "", "two or more different names"),
            (("index", "label"), [(1, "a")], 'a,"b', "a name that has a comma itself stands in quotation marks"),
            (("index", "label"), [(1, "a")], None, "the labels have 1 of them"),
            (("index", "class"), [(1, "a")], None, "the columns `label` and `name` or `index`"),
            (("index", "label"), [(1, "a", "more")], None, "as many values as columns"),
            (("index", "label"), [(1,)], None, "as many values as columns"),
            (("index", "label"), [(1, "a"), (2, "NaN")], "3", "names of classes, but got `NaN`, which programs write"),
            (("index", "label"), [(1, "a"), (2, "NaN")], "3", "with --classes; see line 3 of `"),
        ],
    )
    def test_mistakes_get_a_line(self, tmp_path, columns, rows, classes, said):
        path = write_csv(tmp_path / "1.csv", *rows, columns=columns)
        with pytest.raises(DataError) as error:
            read_labels([path], NAMED, classes)
        assert said in str(error.value)
        assert len(str(error.value).splitlines()) == 1

    def test_blank_lines_are_skipped(self, tmp_path):
        path = tmp_path / "1.csv"
        path.write_text("index,label\n3,a\n,\n,,,\n\n4,b\n,,\n")
        assert read_labels([path], NAMED, None).rows.tolist() == [3, 4]

    @pytest.mark.parametrize("mark", [";", "\t"])
    def test_what_spreadsheet_programs_write_is_read(self, tmp_path, mark):
        lines = [f"index{mark}score{mark}label", f"3{mark}0,5{mark}a", mark * 2, f'4{mark}0,25{mark}"b"', ""]
        path = tmp_path / "1.csv"
        path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
        bought = read_labels([path], NAMED, None)
        assert (bought.rows.tolist(), bought.classes) == ([3, 4], ("a", "b"))
        path.write_bytes("\r\n".join([*lines[:4], f"99{mark}1{mark}a"]).encode())
        with pytest.raises(DataError, match="an index from 0 to 29 in line 5 of"):
            read_labels([path], NAMED, None)

    @pytest.mark.parametrize("above", ["sep=;\r\n", '"sep=;"\r\n', "sep=;;;\n", "\n \t\r\n", "sep=;\r"])
    def test_lines_above_the_header_are_skipped(self, tmp_path, above):
        path = tmp_path / "1.csv"
        path.write_bytes(b"\xef\xbb\xbf" + f"{above}index;score;label\n3;0,5;a\n4;1;b\n".encode())
        bought = read_labels([path], NAMED, None)
        assert (bought.rows.tolist(), bought.classes) == ([3, 4], ("a", "b"))
        path.write_bytes(f"{above}index;label\n3;a\n99;b\n".encode())
        with pytest.raises(DataError, match=f"an index from 0 to 29 in line {3 + len(above.splitlines())} of"):
            read_labels([path], NAMED, None)

    def test_a_whole_number_may_have_a_decimal_comma(self, tmp_path):
        path = tmp_path / "1.csv"
        path.write_text("index;round;position;label\n4,0;0,0;1,0;2\n3;0;0;1,0\n5;0;2;1\n")
        bought = read_labels([path], NAMED, None)
        assert (bought.rows.tolist(), bought.classes, bought.labels.tolist()) == ([3, 4, 5], ("1", "2"), [0, 1, 0])

    def test_a_header_may_have_the_marks_of_other_files(self, tmp_path):
        path = tmp_path / "1.csv"
        path.write_text('index;"note,\nlong";a, b;label\n3.0;x;y;k\n4.0;"1;2";y;m\n')
        bought = read_labels([path], NAMED, None)
        assert (bought.rows.tolist(), bought.classes) == ([3, 4], ("k", "m"))

    def test_nan_may_be_the_name_of_a_class(self, tmp_path):
        assert read_labels([write_csv(tmp_path / "1.csv", ("p1.png", "na"))], NAMED, "na,k").classes == ("k", "na")

    @pytest.mark.parametrize("content", [b"\xff\xfe\x00", "n\xe4me,label".encode("latin-1"), b'name,label\n"p1.png,a'])
    def test_what_is_no_text_is_refused(self, tmp_path, content):
        (tmp_path / "1.csv").write_bytes(content)
        with pytest.raises(DataError, match=r"Expected a CSV file in UTF-8, but got .*; save it as CSV in UTF-8"):
            read_labels([tmp_path / "1.csv"], NAMED, None)


class TestSheet:
    @pytest.fixture
    def folder(self, tmp_path):
        image = pytest.importorskip("PIL.Image")
        (tmp_path / "images").mkdir()
        for name in ("a&b.png", "c.png"):
            image.new("RGB", (400, 200), "red").save(tmp_path / "images" / name)
        (tmp_path / "secret.png").write_bytes((tmp_path / "images/c.png").read_bytes())
        (tmp_path / "images/broken.png").write_bytes(b"no picture")
        return tmp_path / "images"

    def test_needs_nothing_else_and_escapes_names(self, folder):
        page = contact_sheet(find_pictures(folder, ["a&b.png", "c.png"]))[0].decode()
        assert page.count("data:image/png;base64,") == 2
        assert "a&amp;b.png" in page
        assert "http" not in page

    def test_pixels_of_16_bits_are_not_white(self, folder):
        image = pytest.importorskip("PIL.Image")
        image.fromarray(np.full((4, 4), 0x8000, np.uint16)).save(folder / "grey.png")
        source = contact_sheet({"": str(folder / "grey.png")})[0].decode().partition("base64,")[2].partition('"')[0]
        with image.open(io.BytesIO(base64.b64decode(source))) as small:
            assert small.getpixel((0, 0)) == (0x80, 0x80, 0x80)

    @pytest.mark.parametrize(("side", "shown"), [(8, 160), (32, 160), (100, 100), (400, 160)])
    def test_small_pictures_are_shown_large(self, folder, side, shown):
        pytest.importorskip("PIL.Image").new("RGB", (side, side // 2)).save(folder / "c.png")
        page = contact_sheet({"c.png": str(folder / "c.png")})[0].decode()
        assert f' width="{shown}" ' in page
        assert "image-rendering: pixelated" in page

    def test_a_picture_may_be_a_link(self, folder, monkeypatch):
        (folder / "link.png").symlink_to("../secret.png")
        assert len(find_pictures(folder, ["link.png", "../images/c.png"])) == 2
        monkeypatch.chdir(folder)
        assert find_pictures(Path("../images"), ["link.png"])

    @pytest.mark.parametrize(
        "name", ["../secret.png", "link/../../secret.png", "nothere.png", "no/c.png", "n\0/c.png", "sub", ""]
    )
    def test_finds_nothing_outside_of_the_folder(self, folder, name):
        (folder / "sub").mkdir()
        with pytest.raises(DataError, match="Expected a picture"):
            find_pictures(folder, [name])

    def test_each_folder_is_listed_once_instead_of_a_look_at_each_file(self, folder, monkeypatch):
        (folder / "sub").mkdir()
        names = [f"{place}{number}.png" for place in ("", "sub/") for number in range(9)]
        for name in names:
            (folder / name).touch()
        seen, scandir = [], os.scandir
        with monkeypatch.context() as patch:
            patch.setattr("os.scandir", lambda path: seen.append(path) or scandir(path))
            patch.setattr("os.path.isfile", lambda path: pytest.fail(f"looked at {path}"))
            assert list(find_pictures(folder, names)) == names
        assert seen == [str(folder), str(folder / "sub")]

    def test_a_picture_may_have_another_name_in_the_list_of_its_folder(self, folder, monkeypatch):
        """As where a filesystem takes small letters for capitals."""
        monkeypatch.setattr("studies.sheet._files", lambda _: {"C.PNG"})
        assert find_pictures(folder, ["c.png"])

    def test_a_picture_that_cannot_be_read_leaves_room(self, folder):
        page, unreadable = contact_sheet({name: str(folder / name) for name in ("c.png", "broken.png", "<gone>")})
        assert [each.partition(" ")[0] for each in unreadable] == ["`broken.png`", "`<gone>`"]
        assert page.decode().count("data:image/png;base64,") == 1
        assert "<p>cannot be read: cannot identify image file" in page.decode()
        assert "<figcaption>2: &lt;gone&gt;</figcaption>" in page.decode()


class TestCommand:
    @pytest.fixture
    def command(self, tmp_path, ntkcpl):
        """`command("picks.csv", "--labels", ...)` on a small pool, in its folder."""
        save(tmp_path, "npz")

        def run(out, *words, n=4, data="pool.npz"):
            classes = [] if "--classes" in words else ["--classes", "a,b"]
            fixed = ["--data", tmp_path / data, "--strategy", "maxherding", "-n", n, *classes]
            return ntkcpl("select", *map(str, [*fixed, "--out", tmp_path / out, *words]))

        return run

    def label(self, path):
        table = pd.read_csv(path)
        table.assign(label=["a", "b"] * (len(table) // 2)).to_csv(path, index=False)

    def test_a_person_labels_three_rounds(self, tmp_path, command):
        files = []
        for round_ in range(3):
            result = command(f"{round_}.csv", *(word for file in files for word in ("--labels", file)))
            assert result.exit_code == 0, result.output
            files.append(tmp_path / f"{round_}.csv")
            table = pd.read_csv(files[-1])
            assert list(table) == ["index", "name", "round", "position", "score", "label"]
            assert (table["round"] == round_).all()
            assert [NAMES[row] for row in table["index"]] == table["name"].tolist()
            self.label(files[-1])
        bought = pd.concat(map(pd.read_csv, files))["index"]
        assert bought.is_unique
        assert "8 labels so far, in 2 rounds: a 4, b 4." in result.stdout

    def test_a_point_of_no_class_is_not_chosen_again(self, tmp_path, command):
        assert command("0.csv", n=14).exit_code == 0
        picks = pd.read_csv(tmp_path / "0.csv")
        picks.assign(label=["a", "b"] * 6 + ["junk"] * 2).to_csv(tmp_path / "0.csv", index=False)
        result = command("1.csv", "--labels", tmp_path / "0.csv", "--no-class", "junk", n=16)
        assert "14 labels so far, in 1 round: a 6, b 6, no class 2." in result.stdout
        assert "Accuracy on the 12 labelled points" in result.stdout
        assert sorted([*picks["index"], *pd.read_csv(tmp_path / "1.csv")["index"]]) == list(range(30))

    def test_picks_without_a_row_are_counted(self, tmp_path, command):
        assert command("0.csv", n=6).exit_code == 0
        self.label(tmp_path / "0.csv")
        whole = command("1.csv", "--labels", tmp_path / "0.csv", n=6)
        assert "no row" not in whole.stdout
        self.label(tmp_path / "1.csv")
        for file, left in (("0.csv", [5, 0, 1]), ("1.csv", [3, 4])):
            pd.read_csv(tmp_path / file).iloc[left].to_csv(tmp_path / file, index=False)
        for files, said in (
            (["0.csv", "1.csv"], "6 earlier picks have no row in the labels, such as position 2 of round 0. A point"),
            (["1.csv"], "3 earlier picks have no row in the labels, such as position 0 of round 1. A point"),
        ):
            out = f"of{len(files)}.csv"
            result = command(out, *(word for file in files for word in ("--labels", tmp_path / file)), n=2)
            assert f"{said} without a label may be chosen again; pass every file that has labels." in result.stdout

    def test_labels_that_differ_in_case_get_a_word(self, tmp_path, command):
        write_csv(tmp_path / "0.csv", ("p3.png", "a"), ("p1.png", "b"), ("p2.png", "B"))
        result = command("1.csv", "--labels", tmp_path / "0.csv", "--classes", "3")
        assert result.exit_code == 0, result.output
        assert "how a number is written are kept apart: 'B' and 'b'. Correct them" in result.stdout

    def test_numbers_that_a_spreadsheet_wrote_otherwise_get_a_word(self, tmp_path, command):
        write_csv(tmp_path / "0.csv", ("p3.png", "01"), ("p1.png", "02"))
        write_csv(tmp_path / "1.csv", ("p4.png", "1"), ("p5.png", "2.0"))
        labels = "--labels", tmp_path / "0.csv", "--labels", tmp_path / "1.csv"
        result = command("2.csv", *labels, "--classes", "4")
        assert "how a number is written are kept apart: '01' and '1', '02' and '2'. Correct them" in result.stdout

    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    def test_a_pool_without_names_that_was_reordered_is_noticed(self, tmp_path, command, kind):
        picks, pool = tmp_path / f"0.{kind}", tmp_path / "pool.npy"
        read, write = (
            (pd.read_csv, pd.DataFrame.to_csv) if kind == "csv" else (pd.read_parquet, pd.DataFrame.to_parquet)
        )
        np.save(pool, FEATURES)
        assert command(picks.name, data=pool.name).exit_code == 0
        table = read(picks).assign(label=list("abab"))
        assert list(table) == ["index", "round", "position", "score", "features_hash", "label"]
        write(table, picks, index=False)
        words = {"data": pool.name, "n": 2}
        for number, features in enumerate((FEATURES, np.vstack([FEATURES, FEATURES[:3] + 1]))):
            np.save(pool, features)  # more points at its end change no index
            assert command(f"1{number}.csv", "--labels", picks, **words).exit_code == 0
        np.save(pool, FEATURES[::-1])
        result = command("2.csv", "--labels", picks, **words)
        assert result.exit_code == 2
        assert f"but index {table['index'][0]} has others; restore the order of the pool" in result.stderr
        write(table.drop(columns="features_hash"), picks, index=False)
        assert command("2.csv", "--labels", picks, **words).exit_code == 0

    def test_a_pool_that_is_all_labelled_is_said_to_be(self, tmp_path, command):
        write_csv(tmp_path / "0.csv", *((name, "ab"[row % 2]) for row, name in enumerate(NAMES)))
        result = command("1.csv", "--labels", tmp_path / "0.csv")
        assert result.exit_code == 2
        assert result.stderr == ("Error: Expected points without a label to choose from, but the pool has none left.\n")

    def test_parquet_goes_around_as_well(self, tmp_path, command):
        assert command("0.parquet").exit_code == 0
        table = pd.read_parquet(tmp_path / "0.parquet")
        table.assign(label=list("abab")).to_parquet(tmp_path / "0.parquet")
        assert command("1.csv", "--labels", tmp_path / "0.parquet").exit_code == 0

    def test_a_page_that_cannot_be_written_leaves_no_picks(self, tmp_path, command):
        image = pytest.importorskip("PIL.Image")
        for name in NAMES:
            image.new("RGB", (4, 4)).save(tmp_path / name)
        words = "--images", tmp_path, "--sheet"
        result = command("0.csv", *words, tmp_path / "pool.npz/page.html")
        assert "Cannot write" in result.stderr
        assert not (tmp_path / "0.csv").exists()
        assert command("0.csv", *words, tmp_path / "page.html").exit_code == 0

    def test_a_look_ahead_has_a_share_of_the_memory_that_is_free(self, tmp_path, command, monkeypatch):
        seen = []
        monkeypatch.setattr("studies.select.available_bytes", lambda: 1000)
        monkeypatch.setattr(
            "studies.select.select", lambda *_, **more: seen.append(more["compute"]) or select(*_, **more)
        )
        assert command("0.csv").exit_code == 0
        assert 0 < seen[0].memory_limit < 1000

    def test_a_file_that_somebody_writes_meanwhile_is_kept(self, tmp_path, command, monkeypatch):
        assert command("0.csv").exit_code == 0
        self.label(tmp_path / "0.csv")
        monkeypatch.setattr("studies.select.cross_validate", lambda *_: (tmp_path / "1.csv").write_text("labels"))
        result = command("1.csv", "--labels", tmp_path / "0.csv")
        assert result.exit_code == 2
        assert "exists and may have labels in it" in result.stderr
        assert (tmp_path / "1.csv").read_text() == "labels"

    def test_pictures_need_names_and_a_folder(self, tmp_path, command):
        save(tmp_path, "npy")
        words = "--sheet", tmp_path / "page.html", "--images"
        result = command("0.csv", *words, tmp_path, data="pool.npy")
        assert "Expected names of pictures in" in result.stderr
        assert "Expected a folder of pictures for --images" in command("0.csv", *words, tmp_path / "no").stderr
        assert not (tmp_path / "0.csv").exists()

    def test_a_missing_picture_is_refused_before_the_choice(self, tmp_path, command, monkeypatch):
        image = pytest.importorskip("PIL.Image")
        for name in NAMES:
            image.new("RGB", (4, 4)).save(tmp_path / name)
        (tmp_path / NAMES[-1]).unlink()
        words = "--images", tmp_path, "--sheet", tmp_path / "page.html"
        with monkeypatch.context() as patch:
            patch.setattr("studies.select.select", lambda *_, **__: pytest.fail("chose before it looked"))
            result = command("0.csv", *words)
        assert result.exit_code == 2
        assert f"a picture in `{tmp_path}` for each point without a label, but there is none" in result.stderr
        assert not (tmp_path / "0.csv").exists()
        (tmp_path / "labels.csv").write_text(f"name,label\n{NAMES[-1]},a\n")
        assert command("0.csv", *words, "--labels", tmp_path / "labels.csv").exit_code == 0

    def test_picks_are_written_although_a_picture_cannot_be_read(self, tmp_path, command):
        pytest.importorskip("PIL.Image")
        for name in NAMES:
            (tmp_path / name).write_bytes(b"no picture")
        result = command("0.csv", "--images", tmp_path, "--sheet", tmp_path / "page.html")
        assert result.exit_code == 0, result.output
        table = pd.read_csv(tmp_path / "0.csv")
        assert f"Not on this page, because they cannot be read: `{table['name'][0]}` (cannot identify" in result.stdout
        assert (tmp_path / "page.html").read_text().count("cannot be read") == len(table) == 4

    def test_of_two_at_the_same_time_the_second_writes_nothing(self, tmp_path, command, monkeypatch):
        image = pytest.importorskip("PIL.Image")
        for name in NAMES:
            image.new("RGB", (4, 4)).save(tmp_path / name)
        words, others = ("--images", tmp_path, "--sheet", tmp_path / "page.html"), []

        def write_beside(path, content):
            if not others:
                others.append(None)
                others[:] = command("0.csv", *words, n=6), command("1.csv", *words, n=6)
            write(path, content)

        monkeypatch.setattr("studies.select.write", write_beside)
        assert command("0.csv", *words).exit_code == 0
        assert [other.exit_code for other in others] == [2, 2]
        assert "to be the only one that makes" in others[0].stderr
        assert len(pd.read_csv(tmp_path / "0.csv")) == (tmp_path / "page.html").read_text().count("<img") == 4
        assert not (tmp_path / "1.csv").exists()

    @pytest.mark.parametrize("last", [1, 2])
    def test_a_signal_while_files_are_written_leaves_none(self, tmp_path, command, monkeypatch, last):
        image = pytest.importorskip("PIL.Image")
        for name in NAMES:
            image.new("RGB", (4, 4)).save(tmp_path / name)
        words, flushed = ("--images", tmp_path, "--sheet", tmp_path / "page.html"), []
        present = set(tmp_path.iterdir())

        def flush(folder):
            flushed.append(folder)
            if len(flushed) == last:
                os.kill(os.getpid(), signal.SIGINT)

        with monkeypatch.context() as patch:
            patch.setattr("harness.store.location.flush", flush)  # after the file has its name
            result = command("0.csv", *words)
        assert (result.exit_code, result.stderr) == (130, "Interrupted: nothing was written.\n")
        assert set(tmp_path.iterdir()) == present
        assert command("0.csv", *words).exit_code == 0

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_leaves_no_picks(self, tmp_path, command, monkeypatch, number):
        assert command("0.csv").exit_code == 0
        self.label(tmp_path / "0.csv")
        words = "1.csv", "--labels", tmp_path / "0.csv"
        with monkeypatch.context() as patch:
            patch.setattr("studies.select.cross_validate", lambda *_: os.kill(os.getpid(), number))
            result = command(*words)
        assert (result.exit_code, result.stderr) == (130, "Interrupted: nothing was written.\n")
        assert not (tmp_path / "1.csv").exists()
        assert command(*words).exit_code == 0

    @pytest.mark.parametrize(
        ("out", "words", "said"),
        [
            ("pool.npz", [], "exists and may have labels in it"),
            ("x.csv", ["--out", "s3://bucket/x.csv"], "a local file, but got the address `s3://bucket/x.csv`"),
            ("x.txt", [], "ends in .csv or .parquet"),
            ("x.csv", ["--sheet", "x.html"], "--images and --sheet together"),
            ("x.csv", ["--sheet", "{tmp}/./x.csv", "--images", "{tmp}"], "two files for --out and --sheet"),
            ("x.csv", ["--strategy", "nobody"], "nobody"),
            ("x.csv", ["--strategy", "random,typiclust"], "one strategy, but got 2 in `random,typiclust`"),
            ("x.csv", ["--strategy", "recommended"], "in `recommended`"),
            ("x.csv", ["--set", "learner.lr=fast"], "learner.lr"),
            ("x.csv", ["--labels", "nothere.csv"], "no such file"),
            ("x.csv", ["-n", "31"], "1 to 30 points, but got 31"),
        ],
    )
    def test_mistakes_write_nothing(self, tmp_path, ntkcpl, out, words, said):
        save(tmp_path, "npz")
        fixed = {
            "--data": tmp_path / "pool.npz",
            "--strategy": "random",
            "-n": 4,
            "--classes": "2",
            "--out": tmp_path / out,
        }
        options = fixed | dict(zip(words[::2], words[1::2], strict=True))
        words = (str(word).format(tmp=tmp_path) for pair in options.items() for word in pair)
        result = ntkcpl("select", *words)
        assert result.exit_code == 2, result.output
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert [path.name for path in tmp_path.iterdir()] == ["pool.npz"]
