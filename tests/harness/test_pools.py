"""What is made of a pool, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data import NO_CLASS, Dataset, Fields, load_dataset
from harness.exceptions import DataError, HarnessError, SpecError
from harness.pools import PoolSpec

SIZES = (400, 250, 90, 60)


@pytest.fixture(scope="module")
def source():
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(np.arange(4), SIZES))
    x = rng.normal(size=(len(y), 3)) + y[:, None]
    return Dataset.from_arrays("source", Fields(x, y, x[:40], y[:40]))


@pytest.fixture
def other(tmp_path):
    x = np.full((300, 3), 9.0)
    x[:, 0] = np.arange(300)
    np.savez(tmp_path / "other.npz", x_train=x, y_train=np.arange(300) % 2, x_test=x[:4], y_test=np.arange(4) % 2)
    return tmp_path / "other.npz"


def same(one, another):
    return one.content_hash == another.content_hash and all(
        np.array_equal(getattr(one, name), getattr(another, name)) for name in ("x_train", "y_train", "labels", "rows")
    )


class TestAnyPool:
    def test_nothing_asked_is_the_data_itself(self, source):
        for spec in (PoolSpec(), PoolSpec(label_noise="0"), PoolSpec(pool="subset:800")):
            assert spec.apply(source) is source

    @pytest.mark.parametrize(
        "options", [{"pool": "longtail:10"}, {"pool": "subset:100"}, {"label_noise": "0.2"}, {"ood": "digits:0.2"}]
    )
    def test_the_same_again_and_another_with_another_seed(self, source, options, monkeypatch):
        monkeypatch.setattr("harness.pools.load_dataset", lambda name: replace(source, name=name, content_hash="other"))
        one, again = PoolSpec(**options).apply(source), PoolSpec(**options).apply(source)
        assert same(one, again)
        another = PoolSpec(**options, pool_seed=1).apply(source)
        assert not same(one, another)
        assert another.name == one.name.replace("]", ",seed:1]")
        assert one.content_hash not in (source.content_hash, another.content_hash)

    def test_the_hash_depends_on_the_source(self, source):
        other = replace(source, content_hash="0" * 64)
        spec = PoolSpec(pool="subset:100")
        assert spec.apply(other).content_hash != spec.apply(source).content_hash

    def test_test_data_stay(self, source):
        made = PoolSpec(pool="longtail:10", label_noise="0.3").apply(source)
        assert made.x_test is source.x_test
        assert made.y_test is source.y_test
        assert made.class_names == source.class_names

    def test_arrays_are_read_only(self, source):
        made = PoolSpec(pool="subset:100", label_noise="0.3").apply(source)
        for array in (made.x_train, made.y_train, made.labels, made.rows):
            assert not array.flags.writeable
            assert len(array) == 100

    def test_the_note_counts(self, source):
        made = PoolSpec(pool="subset:100", label_noise="0.3").apply(source)
        n_wrong = (made.labels != made.y_train).sum()
        assert made.name == "source[subset:100,noise:0.3]"
        assert made.notes == (
            f"{made.name}: 100 of 800 points of source, {n_wrong} of them with a wrong label, and 0 points of no"
            " class.",
        )

    @pytest.mark.parametrize("spelt", ["longtail:100", "longtail:100.0", "longtail:1e2"])
    def test_one_name_for_one_pool(self, spelt):
        assert PoolSpec(pool=spelt).apply(load_dataset("digits")).name == "digits[longtail:100]"

    def test_numbers_of_a_study_file(self):
        assert PoolSpec.model_validate({"label_noise": 0.1}) == PoolSpec(label_noise="0.1")


class TestSubset:
    def test_rows_come_from_the_source_in_its_order(self, source):
        made = PoolSpec(pool="subset:100").apply(source)
        assert (np.diff(made.rows) > 0).all()
        np.testing.assert_array_equal(made.x_train, source.x_train[made.rows])
        np.testing.assert_array_equal(made.y_train, source.y_train[made.rows])
        np.testing.assert_array_equal(made.labels, made.y_train)


class TestLongTail:
    @given(ratio=st.floats(1, 60))
    @settings(max_examples=25, deadline=None)
    def test_profile(self, source, ratio):
        made = PoolSpec(pool=f"longtail:{ratio}").apply(source)
        sizes = np.bincount(made.y_train, minlength=4)
        assert (np.diff(sizes) <= 0).all()
        assert (sizes <= SIZES).all()
        wanted = sizes[0] * ratio ** (-np.arange(4) / 3)
        np.testing.assert_allclose(sizes, wanted, atol=1.5)

    def test_as_large_as_the_classes_allow(self, source):
        assert np.bincount(PoolSpec(pool="longtail:1").apply(source).y_train).tolist() == [60] * 4
        assert np.bincount(PoolSpec(pool="longtail:27").apply(source).y_train).tolist() == [400, 133, 44, 14]


class TestLabelNoise:
    def test_symmetric(self, source):
        made = PoolSpec(label_noise="0.3").apply(source)
        assert made.x_train is source.x_train
        np.testing.assert_array_equal(made.y_train, source.y_train)
        counts = np.zeros((4, 4))
        np.add.at(counts, (made.y_train, made.labels), 1)
        shares = counts / counts.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(shares, np.full((4, 4), 0.1) + 0.6 * np.eye(4), atol=0.12)
        assert (made.labels != made.y_train).mean() == pytest.approx(0.3, abs=0.04)

    def test_by_a_confusion_matrix(self, source, tmp_path):
        path = tmp_path / "pairs.csv"
        path.write_text("1,0,0,0\n0,0.5,0.5,0\n0,0,1,0\n1,0,0,0\n")
        made = PoolSpec(label_noise=str(path)).apply(source)
        assert made.name == "source[noise:pairs]"
        assert set(made.labels[made.y_train == 0]) == {0}
        assert set(made.labels[made.y_train == 1]) == {1, 2}
        assert set(made.labels[made.y_train == 2]) == {2}
        assert set(made.labels[made.y_train == 3]) == {0}

    def test_a_matrix_of_a_spreadsheet_is_read(self, source, tmp_path):
        (tmp_path / "m.csv").write_text("1,0,0,0\n0,1,0,0\n0,0,1,0\n0,0,0,1\n", encoding="utf-8-sig")
        assert (PoolSpec(label_noise=str(tmp_path / "m.csv")).apply(source).labels == source.y_train).all()

    def test_the_content_of_a_matrix_counts_and_not_its_name(self, source, tmp_path):
        matrix = "0.7,0.1,0.1,0.1\n0.1,0.7,0.1,0.1\n0.1,0.1,0.7,0.1\n0.1,0.1,0.1,0.7\n"
        (tmp_path / "m.csv").write_text(matrix)
        by_file = PoolSpec(label_noise=str(tmp_path / "m.csv")).apply(source)
        assert by_file.content_hash == PoolSpec(label_noise="0.3").apply(source).content_hash


class TestPointsOfNoClass:
    def test_their_share_and_place(self, source, other):
        made = PoolSpec(ood=f"{other}:0.2", label_noise="0.3").apply(source)
        outside = made.y_train == NO_CLASS
        assert outside.sum() == 200
        assert outside.mean() == 0.2
        np.testing.assert_array_equal(made.labels == NO_CLASS, outside)
        np.testing.assert_array_equal(made.x_train[~outside], source.x_train[made.rows[~outside]])
        np.testing.assert_array_equal(made.x_train[outside][:, 0], made.rows[outside])
        # Neither at the end nor at the beginning, where ties would be broken by it.
        assert 0.1 < outside[:500].mean() < 0.3
        assert made.name == "source[noise:0.3,ood:other:0.2]"

    def test_points_with_a_class_are_those_without_ood(self, source, other):
        plain, made = (
            PoolSpec(pool="longtail:9", label_noise="0.2", ood=ood).apply(source) for ood in (None, f"{other}:0.1")
        )
        has_class = made.y_train != NO_CLASS
        order = np.argsort(made.rows[has_class])
        np.testing.assert_array_equal(made.rows[has_class][order], plain.rows)
        np.testing.assert_array_equal(made.labels[has_class][order], plain.labels)

    def test_another_number_of_features_is_refused(self, source):
        with pytest.raises(DataError, match="Expected 3 features in digits, as in source, but got 64"):
            PoolSpec(ood="digits:0.1").apply(source)

    def test_points_of_the_data_itself_are_refused(self):
        with pytest.raises(SpecError, match=r"from other data than digits itself, but got `digits:0\.5`"):
            PoolSpec(ood="digits:0.5").apply(load_dataset("digits"))

    def test_more_than_there_are(self, source, other):
        with pytest.raises(SpecError, match="asks for 533"):
            PoolSpec(ood=f"{other}:0.4").apply(source)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool": "tail:3"}, "Expected a pool such as"),
        ({"pool": "subset:801"}, "Expected a subset of 1 to 800 points"),
        ({"pool": "subset:0"}, "Expected a subset of 1 to 800 points"),
        ({"pool": "subset:2.5"}, "Expected a subset of 1 to 800 points"),
        ({"pool": "subset:2"}, "without one, such as"),
        ({"pool": "subset:"}, "Expected a number after the colon"),
        ({"pool": "subset:inf"}, "Expected a number after the colon"),
        ({"pool": "longtail:0.9"}, "an imbalance of at least 1, but got `longtail:0.9`"),
        ({"pool": "longtail:1e308"}, "leaves 3 of 4 classes of source without one, such as `1`"),
        ({"pool": "longtail:401"}, "leaves 1 of 4 classes of source without one, such as `3`"),
        ({"label_noise": "1"}, r"Expected label noise in \[0, 1\), but got 1"),
        ({"label_noise": "-0.1"}, "Expected label noise in"),
        ({"label_noise": "nan"}, "Expected label noise in"),
        ({"label_noise": "none.csv"}, "no such file"),
        ({"ood": "0.2"}, "a share in"),
        ({"ood": "digits:0"}, "a share in"),
        ({"ood": "digits:1"}, "a share in"),
        ({"ood": "none.npz:0.2"}, "which does not exist"),
        ({"pool_seed": 2}, "to draw with pool seed 2"),
    ],
)
def test_what_cannot_be_is_refused(source, options, message):
    with pytest.raises(HarnessError, match=message) as caught:
        PoolSpec(**options).apply(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expected 4 rows and columns"),
        ("1,0\n0,1\n", r"but got \(2, 2\)"),
        ("a,b\n", "could not convert"),
        ("1,0,0,0\n1,0\n", "Expected a row of numbers"),
        ("1,0,0,0\n0,1,0,0\n0,0,0.9,0\n0,0,0,1\n", r"sum to 1 in every row of .*\[0.0, 0.0, 0.9, 0.0\] in row 2"),
        ("1,0,0,0\n0,2,-1,0\n0,0,1,0\n0,0,0,1\n", "in row 1"),
        ("nan,0,0,0\n0,1,0,0\n0,0,1,0\n0,0,0,1\n", "in row 0"),
    ],
)
def test_what_is_no_confusion_matrix_is_refused(source, tmp_path, text, message):
    path = tmp_path / "matrix.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        PoolSpec(label_noise=str(path)).apply(source)
    assert "\n" not in str(caught.value)
