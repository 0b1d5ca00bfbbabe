"""Whatever is fed in, the answer is a value or an error of one line, never another exception."""

import io
import json
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from analysis import load
from analysis.exceptions import AnalysisError
from harness.data import Dataset, Fields, load_dataset
from harness.exceptions import HarnessError
from harness.features.importing import import_features
from harness.plan import stored_spec
from harness.schedule import MAX_LABELS, Schedule, parse_seeds
from harness.spec import TrajectorySpec
from harness.store.check import check_store
from harness.store.writing import Store
from strategies.exceptions import StrategyError
from studies.compare import parse_bytes, parse_seconds, parse_settings, parse_strategies

OURS = (HarnessError, StrategyError, AnalysisError)
FUZZ = settings(max_examples=400, deadline=None)
SLOWER = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

near = st.text(alphabet="0123456789xX,;-. \n\t٣²e+\x00", max_size=30)
words = st.one_of(st.text(max_size=40), near)


def attempt(function, *arguments):
    """The value, or None for an error of ours in one line."""
    try:
        return function(*arguments)
    except OURS as error:
        message = str(error)
    assert message.startswith("Expected ")
    return None


@FUZZ
@given(words)
@example("9" * 18 + "x" + "9" * 18)
@example("1x" + "0" * 17 + "1")
def test_schedules(text):
    schedule = attempt(Schedule.parse, text)
    if schedule is not None:
        assert Schedule.parse(str(schedule)) == schedule
        assert 1 <= schedule.budget <= MAX_LABELS


@FUZZ
@given(words)
@example("0-" + "9" * 18)
@example("9" * 18)
def test_seeds(text):
    seeds = attempt(parse_seeds, text)
    assert seeds is None or len(set(seeds)) == len(seeds) >= 1


@FUZZ
@given(st.lists(st.one_of(words, st.text(alphabet="random.=lerm \n", max_size=20)), max_size=4))
def test_settings(texts):
    found = attempt(parse_settings, texts, ("random", "ntkcpl_al"))
    assert found is None or set(found) <= {"random", "ntkcpl_al", "learner"}


@FUZZ
@given(words)
def test_times_and_sizes(text):
    seconds, size = attempt(parse_seconds, text), attempt(parse_bytes, text)
    assert seconds is None or seconds > 0
    assert size is None or size >= 0


@SLOWER
@given(st.one_of(st.text(alphabet="abcrandom_, :.\x00/", max_size=20), words))
def test_names_of_strategies(text):
    attempt(parse_strategies, text)


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
FIELDS = list(TrajectorySpec.model_fields)


@FUZZ
@given(st.one_of(words, values.map(json.dumps), st.dictionaries(st.sampled_from(FIELDS), values).map(json.dumps)))
def test_specifications(text):
    assert attempt(stored_spec, {"trajectory_id": "a", "spec": text}) is None or json.loads(text)


@SLOWER
@given(st.sampled_from(FIELDS), values)
def test_a_specification_with_one_field_changed(make_spec, field, value):
    changed = make_spec().model_dump(mode="json") | {field: value}
    spec = attempt(stored_spec, {"trajectory_id": "a", "spec": json.dumps(changed)})
    assert spec is None or len(spec.trajectory_id) == 20


@st.composite
def mutations(draw):
    """Changes of a file: bytes at relative positions, and where it is cut off."""
    places = draw(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6))
    return places, draw(st.one_of(st.just(1.0), st.floats(0, 1)))


def mutated(content, mutation):
    places, end = mutation
    changed = bytearray(content)
    for place, byte in places:
        changed[min(int(place * len(changed)), len(changed) - 1)] = byte
    return bytes(changed[: int(end * len(changed))])


def as_npz(fields):
    np.savez(stream := io.BytesIO(), **fields._asdict())
    return stream.getvalue()


def as_parquet(fields):
    table = pa.table(
        {
            "feature": pa.array([*fields.x_train.tolist(), *fields.x_test.tolist()]),
            "label": pa.array([*fields.y_train.tolist(), *fields.y_test.tolist()]),
            "split": ["train"] * len(fields.x_train) + ["test"] * len(fields.x_test),
        }
    )
    pq.write_table(table, stream := io.BytesIO())
    return stream.getvalue()


@pytest.mark.parametrize(("suffix", "write"), [("npz", as_npz), ("parquet", as_parquet)])
def test_feature_files(fields, tmp_path, suffix, write):
    content, path = write(fields), tmp_path / f"pool.{suffix}"
    n_refused = 0

    @SLOWER
    @given(mutations())
    def check(mutation):
        nonlocal n_refused
        path.write_bytes(mutated(content, mutation))
        data = attempt(load_dataset, str(path))
        n_refused += data is None
        assert data is None or np.isfinite(data.x_train).all()

    check()
    assert n_refused > 0


@SLOWER
@given(st.sampled_from(["x_train", "y_train", "x_test", "y_test"]), mutations())
def test_folders_of_arrays(fields, tmp_path, name, mutation):
    for field, array in fields._asdict().items():
        np.save(tmp_path / f"{field}.npy", array)
    path = tmp_path / f"{name}.npy"
    path.write_bytes(mutated(path.read_bytes(), mutation))
    attempt(load_dataset, str(tmp_path))


lengths = st.one_of(st.integers(2, 4).map(lambda n: [n] * 12), st.lists(st.integers(0, 4), min_size=12, max_size=12))
list_types = st.sampled_from([pa.list_, pa.large_list, pa.list_view, pa.large_list_view])


@SLOWER
@given(lengths, list_types, st.sampled_from([load_dataset, lambda path: import_features([Path(path)])]))
def test_lists_of_numbers_keep_their_rows(tmp_path, lengths, kind, read):
    rows = [[float(row)] * n for row, n in enumerate(lengths)]
    table = {
        "feature": pa.array(rows, kind(pa.float32())),
        "label": [row % 2 for row in range(12)],
        "split": ["train"] * 8 + ["test"] * 4,
    }
    pq.write_table(pa.table(table), tmp_path / "a.parquet", row_group_size=5)
    found = attempt(read, str(tmp_path / "a.parquet"))
    assert (found is None) == (len(set(lengths)) > 1 or lengths[0] < (1 if read is load_dataset else 2))
    if found is not None:
        fields = getattr(found, "fields", found)
        np.testing.assert_array_equal(np.concatenate([fields.x_train, fields.x_test]), np.array(rows))


edges = st.one_of(
    st.floats(allow_nan=False),
    st.floats(width=32, allow_nan=False),
    st.sampled_from([3.4028235e38, 3.4028236e38, -1e39, 1.1754944e-38, 1.1754942e-38, 1e-40, 1e-46, 1e300, 65520.0]),
)


@SLOWER
@given(st.sampled_from([np.float16, np.float32, np.float64]), st.lists(edges, min_size=4, max_size=4))
def test_features_at_the_ends_of_float32(fields, kind, extremes):
    with np.errstate(over="ignore"):
        x = np.array(extremes * 5).reshape(10, 2).astype(kind)
    changed = fields._replace(x_train=x, y_train=np.arange(10) % 3, x_test=x, y_test=np.arange(10) % 3)
    data = attempt(Dataset.from_arrays, "edges", changed)
    if data is None:
        with np.errstate(over="ignore"):
            narrow = np.abs(x.astype(np.float32))
        assert not np.isfinite(narrow).all() or narrow.max() < np.finfo(np.float32).smallest_normal
    else:
        np.testing.assert_array_equal(data.x_train, x.astype(np.float32))


spellings = st.sampled_from(
    ["cat", "cat ", " cat", "caf\u00e9", "cafe\u0301", "caf\u00e9\t", "dog", "", " ", "\u212b", "\u00c5"]
)
encodings = st.sampled_from(["U", "T", "S", "parquet", "dictionary", "view", "large"])


@SLOWER
@given(st.lists(spellings, min_size=12, max_size=12), encodings)
def test_spellings_of_labels(tmp_path, names, encoding):
    """A class is what is left of a label in NFC without blanks, however it is encoded, and what is left is said."""
    expected = [unicodedata.normalize("NFC", name).strip() for name in names]
    x = np.arange(24, dtype=np.float32).reshape(12, 2)
    if encoding in "UTS":
        kind = {"U": np.str_, "T": np.dtypes.StringDType(), "S": None}[encoding]
        y = np.array(names, kind) if kind is not None else np.array([name.encode() for name in names])
        data = attempt(Dataset.from_arrays, "a", Fields(x, y, x, y))
    else:
        column = pa.array(names * 2)
        types = {
            "view": pa.string_view(),
            "large": pa.large_string(),
            "dictionary": pa.dictionary(pa.int32(), pa.string()),
        }
        column = column.cast(types.get(encoding, pa.string()))
        table = {
            "feature": pa.array([*x.tolist(), *x.tolist()]),
            "label": column,
            "split": ["train"] * 12 + ["test"] * 12,
        }
        pq.write_table(pa.table(table), tmp_path / "a.parquet")
        data = attempt(load_dataset, str(tmp_path / "a.parquet"))
    assert (data is None) == ("" in expected or len(set(expected)) < 2)
    if data is not None:
        assert [data.class_names[code] for code in data.y_train] == expected
        assert len(data.notes) == (names != expected)


split_words = st.sampled_from(
    ["train", "Train ", "TRAIN", "test", " Test", "val", "Validation", "unlabeled", "", "0", "trian"]
)


@SLOWER
@given(st.lists(split_words, min_size=12, max_size=12), st.booleans())
def test_words_of_a_split(tmp_path, words, is_import):
    """Every row goes where its word says, or the file is refused; none is held out at random."""
    rows = np.arange(24, dtype=np.float64).reshape(12, 2)
    table = {"feature": pa.array(rows.tolist()), "label": [0, 1] * 6, "split": words}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    read = (lambda path: import_features([Path(path)]).fields) if is_import else load_dataset
    found = attempt(read, str(tmp_path / "a.parquet"))
    if found is not None:
        is_train = np.array([word.strip().lower() == "train" for word in words])
        np.testing.assert_array_equal(found.x_train, rows[is_train])
        np.testing.assert_array_equal(found.x_test, rows[~is_train])
        assert len({word.strip().lower() for word in np.array(words)[~is_train]}) <= 1


@pytest.mark.parametrize("n_examples", [25, pytest.param(400, marks=pytest.mark.slow)])
@pytest.mark.parametrize("table", ["trajectories", "rounds", "queries", "studies"])
def test_stores(run_serially, make_spec, tmp_path, table, n_examples):
    spec = make_spec(schedule="5x2")
    root = tmp_path / "out"
    run_serially([spec], Store(root))
    Store(root).write_study("s", "ntkcpl compare", [spec.trajectory_id])
    (path,) = (root / table).glob("*.parquet")
    content = path.read_bytes()
    n_refused = 0

    @settings(SLOWER, max_examples=n_examples)
    @given(mutations())
    def check(mutation):
        nonlocal n_refused
        path.write_bytes(mutated(content, mutation))
        store = attempt(Store, root)
        if store is not None:
            attempt(store.trajectories)
            attempt(store.rounds, spec.trajectory_id)
            attempt(store.studies)
        attempt(load, root)
        n_refused += bool(attempt(check_store, root).problems)

    check()
    assert n_refused > 0
