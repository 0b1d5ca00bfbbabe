import json
import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.exceptions import StoreError
from harness.store import schema
from harness.store.check import check_store
from harness.store.location import source, write
from harness.store.reading import from_json, read_file
from harness.store.writing import Store

METRICS = {
    "balanced_accuracy": 0.25,
    "macro_f1": 0.2,
    "nll": 1.5,
    "ece": 0.125,
    "recall": [0.5, None, 0.0],
    "classes_reached": 2,
    "class_balance": 0.75,
}


def as_version_1(content):
    """A file as it was written before `rounds` had metrics."""
    kept = [name for name in content.column_names if name not in METRICS]
    return content.select(kept).replace_schema_metadata({schema.VERSION_KEY: b"1"})


def round_row(name="a", round_=0, n_query=2, **changed):
    row = {
        "trajectory_id": name,
        "data": "pool",
        "strategy": "random",
        "params": "{}",
        "seed": 3,
        "round": round_,
        "n_labels": n_query * (round_ + 1),
        "n_query": n_query,
        "accuracy": 0.1 + 0.2 + round_ / 7,
        "select_seconds": 0.5,
        "train_seconds": 0.25,
        "n_clusters": None,
        "coverage_estimated": None,
        "coverage_ntk_true": None,
        "coverage_true": None,
        "stats": '{"peak_bytes":1}',
        **METRICS,
    }
    return row | changed


def query_rows(name="a", round_=0, n_query=2):
    return [
        {"trajectory_id": name, "round": round_, "position": k, "pool_index": 10 * round_ + k, "score": None}
        for k in range(n_query)
    ]


def trajectory_row(name="a", **changed):
    row = dict.fromkeys(schema.TRAJECTORIES.names)
    row |= {
        "trajectory_id": name,
        "data": "pool",
        "data_hash": "h",
        "strategy": "random",
        "params": "{}",
        "status": "ok",
        "seed": 3,
        "schedule": "2x2",
        "evaluate_on": "all",
        "spec": "{}",
        "started_at": datetime(2024, 1, 1, tzinfo=UTC),
    }
    return row | changed


@pytest.fixture
def store(place):
    """A store that holds two rounds of trajectory `a`."""
    store = Store(place)
    with store.writing():
        store.write_rounds("a", [round_row(round_=k) for k in range(2)], [query_rows(round_=k) for k in range(2)])
    return store


class TestRoundTrip:
    def test_rounds(self, store):
        rounds, picks, queries = store.rounds("a")
        assert rounds == [round_row(round_=k) for k in range(2)]
        assert queries == [query_rows(round_=k) for k in range(2)]
        assert [array.tolist() for array in picks] == [[0, 1], [10, 11]]
        assert all(array.dtype == np.int64 for array in picks)

    def test_nothing_is_known_of_another_trajectory(self, store):
        assert store.rounds("b") == ([], [], [])

    def test_trajectories_and_studies(self, store):
        row = trajectory_row(message="two\nlines")
        store.write_trajectory(row)
        store.write_study("s", "ntkcpl compare", ["a", "b"])
        reopened = Store(store.root)
        assert reopened.trajectories() == {"a": row}
        assert reopened.studies() == {
            "s": [{"study": "s", "trajectory_id": name, "command": "ntkcpl compare"} for name in ("a", "b")]
        }

    def test_coverage_is_there_once_a_picture_was_written(self, store):
        assert not (store.root / "coverage").exists()
        row = dict.fromkeys(schema.COVERAGE.names) | {"picture": "p", "point": 0, "x": 1.5, "covered_true": True}
        with store.writing():
            store.write_coverage("p", [row])
        assert read_file(store.root / "coverage" / "p.parquet").to_pylist() == [row]
        (stray := store.root / "coverage" / ".p.parquet").write_bytes(b"PAR1 half")
        with store.writing():
            assert not stray.exists()
        assert store.rounds("a")[0] == [round_row(round_=k) for k in range(2)]

    def test_a_folder_that_does_not_exist_holds_nothing(self, place):
        store = Store(place)
        assert (store.trajectories(), store.studies()) == ({}, {})
        assert not store.root.exists()

    def test_json_column(self):
        assert from_json('{"a":1}') == {"a": 1}
        assert from_json(None) == from_json("") == {}


class TestPlainReader:
    """What somebody sees who knows pandas and nothing of this program."""

    def test_rounds(self, store):
        store.write_rounds("b", [round_row("b", n_clusters=7, coverage_true=0.5)], [query_rows("b")])
        frame = pd.read_parquet(str(store.root / "rounds")).sort_values(["trajectory_id", "round"])
        assert list(frame.columns) == schema.ROUNDS.names
        assert frame["trajectory_id"].tolist() == ["a", "a", "b"]
        assert frame["accuracy"].tolist() == [0.1 + 0.2, 0.1 + 0.2 + 1 / 7, 0.1 + 0.2]
        assert frame["n_clusters"].isna().tolist() == [True, True, False]

    def test_a_file_that_is_being_written_is_not_seen(self, store):
        (store.root / "rounds" / ".b.parquet").write_bytes(b"PAR1 half")
        assert len(pd.read_parquet(str(store.root / "rounds"))) == 2

    @pytest.mark.parametrize("table", ["rounds", "queries", "trajectories", "studies"])
    def test_types_and_schema_version(self, store, table):
        store.write_trajectory(trajectory_row())
        store.write_study("s", "ntkcpl compare", ["a"])
        (path,) = (store.root / table).glob("*")
        with source(path) as file:
            found = pq.read_schema(file)
        assert found.equals(schema.TABLES[table])
        assert found.metadata == {b"ntkcpl.schema_version": b"3"}


class TestVersion1:
    @pytest.fixture
    def old(self, store):
        store.write_trajectory(trajectory_row())
        for table in ("rounds", "queries", "trajectories"):
            (path,) = (store.root / table).glob("*.parquet")
            write(path, as_version_1(read_file(path)))
        return Store(store.root)

    def test_what_it_lacks_is_null(self, old):
        assert old.rounds("a")[0] == [round_row(round_=k, **dict.fromkeys(METRICS)) for k in range(2)]
        assert old.trajectories() == {"a": trajectory_row()}

    def test_it_is_continued_in_this_version(self, old):
        rounds, _, queries = old.rounds("a")
        old.write_rounds("a", [*rounds, round_row(round_=2)], [*queries, query_rows(round_=2)])
        found = Store(old.root).rounds("a")[0]
        assert [row["balanced_accuracy"] for row in found] == [None, None, 0.25]
        assert [row["recall"] for row in found] == [None, None, [0.5, None, 0.0]]

    def test_other_columns_are_needed_all_the_same(self, old):
        (path,) = (old.root / "rounds").glob("*.parquet")
        write(path, read_file(path).drop_columns(["accuracy"]).replace_schema_metadata({schema.VERSION_KEY: b"1"}))
        with pytest.raises(StoreError, match="Expected a column `accuracy` of double"):
            old.rounds("a")

    def test_a_file_of_this_version_must_have_them(self, store):
        (path,) = (store.root / "rounds").glob("*.parquet")
        write(path, read_file(path).drop_columns(["nll"]))
        with pytest.raises(StoreError, match="Expected a column `nll` of double"):
            store.rounds("a")


def test_trials_of_version_2_have_no_metric_and_are_continued(store):
    row = {**dict.fromkeys(schema.TRIALS.names), "study": "s", "trial": 0, "params": "{}", "schedule": "10x2"}
    row |= {"status": "complete", "trajectory_ids": []}
    store.write_trials("s", [row | {"metric": "macro_f1"}])
    (path,) = (store.root / "trials").glob("*.parquet")
    write(
        path,
        read_file(path)
        .drop_columns(sorted(schema.ADDED["2"]["trials"]))
        .replace_schema_metadata({schema.VERSION_KEY: b"2"}),
    )
    before = Store(store.root).trials("s")
    assert before == [row]
    store.write_trials("s", [*before, row | {"trial": 1, "metric": "macro_f1"}])
    assert [each["metric"] for each in Store(store.root).trials("s")] == [None, "macro_f1"]
    assert check_store(store.root).problems == []


class TestCompleteRounds:
    @pytest.mark.parametrize(
        ("rounds", "queries", "n_whole"),
        [
            ([0, 1], [0, 1, 2], 2),
            ([0, 1, 2], [0, 1], 2),
            ([0, 1, 2], [0, 2], 1),
            ([1, 2], [0, 1, 2], 0),
            ([0, 2], [0, 1, 2], 1),
            ([], [0], 0),
        ],
    )
    def test_end_where_the_tables_disagree(self, store, rounds, queries, n_whole):
        store.write_rounds("a", [round_row(round_=k) for k in rounds], [query_rows(round_=k) for k in queries])
        found, picks, bought = store.rounds("a")
        assert [row["round"] for row in found] == list(range(n_whole))
        assert len(picks) == len(bought) == n_whole

    def test_end_where_a_pick_is_missing(self, store):
        store.write_rounds("a", [round_row(), round_row(round_=1)], [query_rows(), query_rows(round_=1)[:1]])
        assert len(store.rounds("a")[0]) == 1

    @pytest.mark.parametrize("table", ["rounds", "queries"])
    def test_none_without_one_of_the_files(self, store, table):
        (store.root / table / "a.parquet").unlink()
        assert store.rounds("a") == ([], [], [])


class TestAtomicity:
    @pytest.fixture
    def disk_full(self, monkeypatch):
        def fail(table, file, **options):
            file.write(b"PAR1 half")
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(pq, "write_table", fail)
            yield patch

    def test_a_write_that_fails_leaves_the_old_file(self, store, disk_full):
        before = store.rounds("a")[0]
        with pytest.raises(StoreError, match="No space left on device"):
            store.write_rounds("a", [round_row(accuracy=0.9)], [query_rows()])
        disk_full.undo()
        assert store.rounds("a")[0] == before
        assert not [path for table in schema.TABLES for path in (store.root / table).glob(".*")]

    def test_a_process_that_dies_between_the_files_loses_its_round_only(self, store, monkeypatch):
        write = pq.write_table

        def die_at_rounds(table, file, **options):
            if "accuracy" in table.column_names:
                raise KeyboardInterrupt
            write(table, file, **options)

        monkeypatch.setattr(pq, "write_table", die_at_rounds)
        with pytest.raises(KeyboardInterrupt):
            store.write_rounds("a", [round_row(round_=k) for k in range(3)], [query_rows(round_=k) for k in range(3)])
        assert len(store.rounds("a")[0]) == 2


class TestOneWriter:
    def test_a_second_one_is_refused(self, store):
        holder = f"process {os.getpid()} on {socket.gethostname()}"
        with store.writing():
            with pytest.raises(StoreError, match=holder), Store(store.root).writing():
                pass
            store.write_trajectory(trajectory_row())

    def test_the_next_one_is_welcome(self, store):
        with store.writing():
            pass
        with Store(store.root).writing():
            pass

    def test_the_lock_ends_with_a_killed_process(self, tmp_path):
        store = Store(tmp_path)
        code = (
            "import sys; from pathlib import Path; from harness.store.writing import Store\n"
            "with Store(Path(sys.argv[1])).writing(): print('held', flush=True); sys.stdin.read()"
        )
        command = [sys.executable, "-c", code, str(store.root)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "held\n"
            with pytest.raises(StoreError, match=f"process {process.pid} "), store.writing():
                pass
            process.send_signal(signal.SIGKILL)
        with store.writing():
            assert str(os.getpid()) in (store.root / ".lock").read_text()

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path):
        store = Store(tmp_path / "file" / "out")
        (tmp_path / "file").touch()
        with pytest.raises(StoreError, match="file/out"), store.writing():
            pass


class TestDamage:
    @pytest.mark.parametrize("below", ["", "out", "a/out"])
    def test_a_file_is_no_store(self, tmp_path, below):
        (tmp_path / "file").touch()
        with pytest.raises(StoreError, match="file` to be a folder, but it is a file"):
            Store(tmp_path / "file" / below)

    @pytest.mark.parametrize(("metadata", "found"), [({schema.VERSION_KEY: b"99"}, "99"), (None, "none")])
    def test_another_schema_version_is_refused(self, store, metadata, found):
        path = store.root / "rounds" / "a.parquet"
        write(path, read_file(path).replace_schema_metadata(metadata))
        with pytest.raises(StoreError, match=rf"schema version 3, but .*rounds/a\.parquet` has {found};"):
            Store(store.root)

    @pytest.mark.parametrize("keep", [0, 5, 0.5, 0.99])
    @pytest.mark.parametrize("table", ["rounds", "queries", "trajectories"])
    def test_a_truncated_file_is_named(self, store, table, keep):
        store.write_trajectory(trajectory_row())
        path = store.root / table / "a.parquet"
        content = path.read_bytes()
        path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
        with pytest.raises(StoreError, match=rf"{table}/a\.parquet") as caught:
            read_all(store.root)
        assert len(str(caught.value).splitlines()) == 1

    @pytest.mark.parametrize("place", ["local"], indirect=True)
    def test_damage_in_the_middle_is_named_or_harmless(self, store):
        path = store.root / "queries" / "a.parquet"
        content = path.read_bytes()
        refused = 0
        for position in range(4, len(content) - 8, 7):
            path.write_bytes(content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :])
            try:
                read_all(store.root)
            except StoreError as error:
                refused += "queries/a.parquet" in str(error)
        assert refused > 0


def read_all(root):
    store = Store(root)
    store.trajectories()
    store.rounds("a")


@pytest.mark.parametrize("place", ["local"], indirect=True)
def test_a_folder_with_the_name_of_an_unfinished_write_stops_nobody(store):
    folder = store.root / "rounds" / ".x.parquet"
    folder.mkdir()
    with store.writing():
        store.write_trajectory(trajectory_row())
    assert folder.is_dir()
    problems = check_store(store.root).problems
    assert ("rounds/.x.parquet", "is no table") in [(problem.where, problem.what) for problem in problems]


def test_stats_of_a_round_are_json(store):
    assert json.loads(store.rounds("a")[0][0]["stats"]) == {"peak_bytes": 1}


def test_columns_of_the_design():
    assert schema.QUERIES.field("pool_index").type == pa.int64()
    assert list(schema.TABLES) == ["trajectories", "rounds", "queries", "studies", "trials"]
