"""`check_store` finds what is wrong, and nothing where nothing is."""

import json

import pyarrow as pa
import pytest

from harness.exceptions import StoreError
from harness.store import schema
from harness.store.check import check_store
from harness.store.location import write
from harness.store.reading import read_file
from harness.store.writing import Store


@pytest.fixture(scope="module")
def built(run_serially, make_spec, tmp_path_factory):
    """Two finished trajectories and one that was interrupted after a round."""
    store = Store(tmp_path_factory.mktemp("built"))
    run_serially([make_spec(seed=seed) for seed in range(2)], store)
    run_serially([make_spec(seed=2)], store, n_rounds=1)
    return store


@pytest.fixture
def store(built, place):
    """The same, somewhere else and to change."""
    for table in schema.TABLES:
        (place / table).mkdir(parents=True)
        for path in built.files(table):
            (place / table / path.name).write_bytes(path.read_bytes())
    return Store(place)


def change(store, table, column, value, row=0, file=0):
    path = store.files(table)[file]
    rows = read_file(path).to_pylist()
    rows[row][column] = value(rows[row][column]) if callable(value) else value
    write(path, pa.Table.from_pylist(rows, schema=schema.TABLES[table]))


def drop(store, table, row):
    path = finished(store, table)
    content = read_file(path).to_pylist()
    del content[row]
    write(path, pa.Table.from_pylist(content, schema=schema.TABLES[table]))


def finished(store, table):
    (first, *_) = sorted(store.trajectories())
    return store.root / table / f"{first}.parquet"


def test_nothing_is_wrong_with_a_store_that_is_not_finished(store):
    checked = check_store(store.root)
    assert checked.problems == []
    assert checked.states == {"ok": 2, "unfinished": 1}
    assert +checked.files == {"trajectories": 2, "rounds": 3, "queries": 3}
    assert set(checked.files) == set(schema.ALL_TABLES)
    assert checked.rows["rounds"] == 2 * 4 + 1
    assert checked.rows["queries"] == 5 * checked.rows["rounds"]


def test_queries_of_a_round_that_was_killed_are_no_problem(store, make_spec):
    (store.root / "rounds" / f"{make_spec(seed=2).trajectory_id}.parquet").unlink()
    assert check_store(store.root).problems == []


def test_an_earlier_name_of_the_data_is_no_problem(store):
    for row in range(4):
        change(store, "rounds", "data", "earlier", row)
    assert check_store(store.root).problems == []


def learner_changed(text):
    return json.dumps({**json.loads(text), "learner": {"epochs": 7}})


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda s: finished(s, "rounds").write_bytes(b"PAR1"), "cannot read"),
        (lambda s: finished(s, "rounds").unlink(), "is ok, but has 0 of 4 rounds"),
        (lambda s: finished(s, "queries").unlink(), "has 0 rows of queries"),
        (lambda s: drop(s, "rounds", 3), "is ok, but has 3 of 4 rounds"),
        (lambda s: drop(s, "rounds", 1), "has the rounds 0, 2, 3"),
        (lambda s: drop(s, "queries", 0), "has 4 rows of queries"),
        (lambda s: change(s, "rounds", "accuracy", 1.5), "Expected an `accuracy` from 0 to 1"),
        (lambda s: change(s, "rounds", "accuracy", None), "Expected a `accuracy` in every row"),
        (lambda s: change(s, "rounds", "n_labels", 6), "label counts 6, 10"),
        (lambda s: change(s, "rounds", "round", None), "nulls"),
        (lambda s: change(s, "queries", "position", 7), "do not count from 0"),
        (lambda s: change(s, "queries", "pool_index", -1), "bought a label twice, or for a point that does not exist"),
        (lambda s: change(s, "trajectories", "spec", learner_changed), "has the `spec` of another one"),
        (lambda s: change(s, "trajectories", "spec", "{}"), "`spec` that cannot be read"),
        (lambda s: change(s, "rounds", "stats", "{"), "Expected a JSON object of numbers and texts in `stats`"),
        (lambda s: [change(s, "rounds", "seed", 9, file=k) for k in range(3)], "but 9 in a row of rounds"),
        (lambda s: change(s, "trajectories", "seed", 9), "has `seed` 9, but"),
        (lambda s: change(s, "trajectories", "status", "fine"), "has the status fine"),
        (lambda s: change(s, "queries", "trajectory_id", "other"), "rows of another trajectory, other"),
        (lambda s: (s.root / "rounds" / ".x.parquet").write_bytes(b""), "left by an interrupted write"),
        (lambda s: (s.root / "rounds" / "notes.txt").write_bytes(b""), "is no table"),
        (lambda s: (s.root / "rounds" / ".DS_Store").write_bytes(b""), "is no table"),
        (lambda s: write(s.root / "rounds" / "compact-x.parquet", read_file(finished(s, "rounds"))), "twice"),
    ],
)
def test_damage_is_found(store, damage, word):
    damage(store)
    problems = check_store(store.root).problems
    assert any(word in problem.what for problem in problems), problems
    assert all(problem.remedy for problem in problems)


@pytest.mark.parametrize("metadata", [{schema.VERSION_KEY: b"99"}, None])
def test_another_version_is_found(store, metadata):
    path = finished(store, "rounds")
    write(path, read_file(path).replace_schema_metadata(metadata))
    assert any("schema version 3" in problem.what for problem in check_store(store.root).problems)


def test_a_missing_column_is_found(store):
    path = finished(store, "rounds")
    write(path, read_file(path).drop_columns(["stats"]))
    assert any("a column `stats`" in problem.what for problem in check_store(store.root).problems)


def test_a_complete_trial_needs_its_trajectories(store, make_spec):
    row = dict.fromkeys(schema.TRIALS.names)
    row |= {"study": "s", "trial": 0, "params": "{}", "schedule": "5x4", "status": "complete"}
    row |= {"trajectory_ids": [make_spec(seed=2).trajectory_id]}
    write(store.root / "trials" / "s.parquet", pa.Table.from_pylist([row], schema=schema.TRIALS))
    (problem,) = check_store(store.root).problems
    assert problem.where == "trial 0 of s"


def test_what_a_writer_has_in_hand_is_no_problem(store):
    with store.writing():
        (store.root / "rounds" / ".x.parquet").write_bytes(b"")
        assert check_store(store.root).problems == []


def test_a_folder_without_tables_is_no_store(place):
    place.mkdir()
    with pytest.raises(StoreError, match="Expected a store"):
        check_store(place)
