"""Whatever is fed in, the answer is a value or an error of one line, never another exception."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from analysis import load
from analysis.exceptions import AnalysisError
from harness.check import check_store
from harness.data import load_dataset
from harness.exceptions import HarnessError
from harness.plan import stored_spec
from harness.schedule import MAX_LABELS, Schedule, parse_seeds
from harness.spec import TrajectorySpec
from harness.store import Store
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


@FUZZ
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


@pytest.mark.parametrize("table", ["trajectories", "rounds", "queries", "studies"])
def test_stores(run_serially, make_spec, tmp_path, table):
    spec = make_spec(schedule="5x2")
    root = tmp_path / "out"
    run_serially([spec], Store(root))
    Store(root).write_study("s", "ntkcpl compare", [spec.trajectory_id])
    (path,) = (root / table).glob("*.parquet")
    content = path.read_bytes()
    n_refused = 0

    @SLOWER
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
