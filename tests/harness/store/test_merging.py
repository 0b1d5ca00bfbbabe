"""Merging files loses nothing and doubles nothing, wherever it is stopped and whoever reads."""

import contextlib
import os
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import load
from harness.exceptions import StoreError
from harness.plan import make_plan
from harness.store import merging, schema, writing
from harness.store.check import check_store
from harness.store.location import Address, write
from harness.store.reading import read_file
from harness.store.writing import Store

KEYS = {"trajectories": ["trajectory_id"], "rounds": ["trajectory_id", "round"]}
KEYS["queries"] = [*KEYS["rounds"], "position"]


MANY_REQUESTS = pytest.mark.parametrize(
    "place", ["local", "memory", pytest.param("s3", marks=pytest.mark.slow)], indirect=True
)


class Killed(BaseException):
    """In place of kill -9: nothing catches it."""


def rows(root, table):
    """What a foreign reader has, copies dropped."""
    if not any((root / table).glob("*.parquet")):
        return []
    frame = pd.read_parquet(str(root / table)).drop_duplicates(KEYS[table]).sort_values(KEYS[table])
    return frame.to_json(orient="records", double_precision=15, date_format="iso")


@pytest.fixture(scope="module")
def finished(make_spec, run_serially, tmp_path_factory):
    """A store of six finished trajectories in files of their own."""
    store = Store(tmp_path_factory.mktemp("finished"))
    specs = [make_spec("random", seed=seed, schedule="5x2") for seed in range(6)]
    run_serially(specs, store)
    store.write_study("s", "ntkcpl compare", [spec.trajectory_id for spec in specs])
    return store.root, specs


@pytest.fixture
def copied(finished, place):
    """The same store, somewhere else and to change."""
    root, specs = finished
    copy_trajectories(root, place, specs)
    return place, specs


def copy_trajectories(source, root, specs):
    for table in schema.TABLES:
        (root / table).mkdir(parents=True, exist_ok=True)
    for table in KEYS:
        for spec in specs:
            path = root / table / f"{spec.trajectory_id}.parquet"
            path.write_bytes((source / table / path.name).read_bytes())
    for path in (source / "studies").glob("*.parquet"):
        (root / "studies" / path.name).write_bytes(path.read_bytes())


def merge(root):
    store = Store(root)
    with store.writing():
        return merging.merge(store)


def contents(root):
    return {path: path.read_bytes() for table in schema.TABLES for path in (root / table).glob("*")}


def forget_the_lock(root):
    """As if so much time had gone by that the lock of an address is stale."""
    if isinstance(root, Address):
        (root / ".lock").unlink(missing_ok=True)


def make_version_1(root, table, name):
    """Write a file as it was before `rounds` had metrics."""
    path = root / table / f"{name}.parquet"
    content = read_file(path)
    kept = [column for column in content.column_names if column not in schema.ADDED["1"].get(table, ())]
    write(path, content.select(kept).replace_schema_metadata({schema.VERSION_KEY: b"1"}))


@pytest.mark.parametrize("place", ["local"], indirect=True)
class TestVersion1:
    """A store that was begun before `rounds` had metrics, and went on after."""

    @pytest.fixture
    def mixed(self, copied):
        root, specs = copied
        for spec in specs[:4]:
            for table in KEYS:
                make_version_1(root, table, spec.trajectory_id)
        return root, specs

    def test_is_read_checked_and_reported(self, mixed):
        root, specs = mixed
        assert check_store(root).problems == []
        assert make_plan(specs, Store(root)).jobs == []
        rounds = load(root).rounds.set_index("trajectory_id")
        for spec in specs:
            assert rounds.loc[spec.trajectory_id, "nll"].isna().all() == (spec in specs[:4])

    def test_is_merged(self, mixed):
        root, specs = mixed
        merge(root)
        assert check_store(root).problems == []
        found = pd.read_parquet(str(root / "rounds")).set_index("trajectory_id")
        assert found.loc[specs[0].trajectory_id, ["nll", "recall"]].isna().all(axis=None)
        assert (found.loc[specs[5].trajectory_id, "recall"].map(len) == 3).all()

    def test_is_continued(self, mixed, make_spec, run_serially):
        store = Store(mixed[0])
        longer = make_spec("random", seed=0, schedule="5x3")
        (job,) = run_serially([longer], store).jobs
        assert job.origin == "continued"
        assert [row["nll"] is None for row in store.rounds(longer.trajectory_id)[0]] == [True, True, False]


class TestCompact:
    def test_few_files_and_the_same_rows(self, copied):
        root, _ = copied
        before = {table: rows(root, table) for table in KEYS}
        assert [(merged.n_before, merged.n_after) for merged in merge(root)] == [(6, 1)] * 3
        assert {table: rows(root, table) for table in KEYS} == before
        assert len(pd.read_parquet(str(root / "rounds"))) == 12
        assert check_store(root).problems == []

    def test_our_readers_see_no_difference(self, copied, finished):
        root, specs = copied
        merge(root)
        one, other = Store(root), Store(finished[0])
        assert one.trajectories() == other.trajectories()
        for spec in specs:
            (rounds, picks, queries), expected = one.rounds(spec.trajectory_id), other.rounds(spec.trajectory_id)
            assert (rounds, queries) == (expected[0], expected[2])
            assert [array.tolist() for array in picks] == [array.tolist() for array in expected[1]]
        order = ["trajectory_id", "round"]
        for study in (None, "s"):
            found, wanted = (load(str(path), study=study).rounds.sort_values(order) for path in (root, finished[0]))
            pd.testing.assert_frame_equal(found.reset_index(drop=True), wanted.reset_index(drop=True))

    def test_twice_changes_nothing(self, copied):
        root, _ = copied
        merge(root)
        before = contents(root)
        merge(root)
        assert contents(root) == before

    def test_merged_files_grow_up_to_a_size(self, copied, monkeypatch):
        monkeypatch.setattr(merging, "_MOST_ROWS", 4)
        assert [merged.n_after for merged in merge(copied[0])] == [6, 3, 2]
        assert check_store(copied[0]).problems == []

    def test_unfinished_and_failed_trajectories_keep_their_files(self, copied):
        root, specs = copied
        store = Store(root)
        failed, unfinished = specs[0].trajectory_id, specs[1].trajectory_id
        with store.writing():
            store.write_trajectory(store.trajectories()[failed] | {"status": "failed"})
            (root / "trajectories" / f"{unfinished}.parquet").unlink()
        merge(root)
        for name in (failed, unfinished):
            assert (root / "rounds" / f"{name}.parquet").exists()
        plan = make_plan(specs, store)
        assert {job.spec.trajectory_id: job.origin for job in plan.jobs} == {failed: "retried", unfinished: "resumed"}
        assert all(len(job.rounds) == 2 for job in plan.jobs)

    def test_a_longer_schedule_continues_from_a_merged_donor(self, copied, make_spec, run_serially):
        root, _ = copied
        merge(root)
        long = make_spec("random", seed=2, schedule="5x3")
        (job,) = run_serially([long], Store(root)).jobs
        assert job.origin == "continued"
        assert len(Store(root).rounds(long.trajectory_id)[0]) == 3
        merge(root)
        assert check_store(root).problems == []

    def test_a_file_with_rows_of_others_stays(self, copied):
        root, specs = copied
        names = [spec.trajectory_id for spec in specs]
        (root / "rounds" / f"{names[0]}.parquet").write_bytes((root / "rounds" / f"{names[1]}.parquet").read_bytes())
        with pytest.raises(StoreError, match=f"only rows of {names[0]}"):
            merge(root)
        assert len(list((root / "rounds").glob("*.parquet"))) == 6


class Steps:
    """Counts what changes the disk, calls `after` behind each step, and stops before one of them."""

    def __init__(self, patch, stop_at=None, after=lambda: None):
        self.n, self.stop_at, self.after = 0, stop_at, after
        local = (Path, "unlink"), (Path, "replace"), (os, "fsync")
        for owner, name in (*local, (Address, "unlink"), (Address, "write_bytes")):
            patch.setattr(owner, name, self.counted(getattr(owner, name)))

    def counted(self, function):
        def call(*arguments, **options):
            if self.n == self.stop_at:
                raise Killed
            self.n += 1
            result = function(*arguments, **options)
            self.after()
            return result

        return call


@MANY_REQUESTS
def test_no_reader_sees_a_gap_at_any_step(copied, monkeypatch):
    root, _ = copied
    expected = {table: rows(root, table) for table in KEYS}
    curves = load(str(root)).rounds.sort_values(["trajectory_id", "round"], ignore_index=True).to_json()
    with monkeypatch.context() as patch:

        def look():
            assert {table: rows(root, table) for table in KEYS} == expected
            found = load(str(root)).rounds.sort_values(["trajectory_id", "round"], ignore_index=True)
            assert found.to_json() == curves
            assert len(Store(root).trajectories()) == 6

        steps = Steps(patch, after=look)
        merge(root)
    assert steps.n > 20


@MANY_REQUESTS
def test_killed_at_each_step_nothing_is_lost_and_the_next_start_tidies_up(finished, place, monkeypatch):
    expected, doubled = {table: rows(finished[0], table) for table in KEYS}, 0
    for stop_at in range(100):
        root = place / str(stop_at)
        copy_trajectories(finished[0], root, finished[1])
        with monkeypatch.context() as patch:
            steps = Steps(patch, stop_at=stop_at)
            try:
                merge(root)
            except Killed:
                pass
            else:
                break
        assert steps.n == stop_at
        forget_the_lock(root)
        assert {table: rows(root, table) for table in KEYS} == expected
        doubled += len(pd.read_parquet(str(root / "rounds"))) > 12
        assert len(load(str(root)).rounds) == 12
        with Store(root).writing():
            pass
        assert len(pd.read_parquet(str(root / "rounds"))) == 12
        assert check_store(root).problems == []
        merge(root)
        assert {table: rows(root, table) for table in KEYS} == expected
    else:
        pytest.fail("never came to its end")
    assert stop_at > 20
    assert doubled > 0


@pytest.mark.parametrize("place", ["local"], indirect=True)
class TestCopies:
    """The files of one store were copied into another, or a program that keeps files in step made a second copy."""

    def overlapping(self, finished, place):
        for name, specs in (("a", finished[1][:4]), ("b", finished[1][2:])):
            copy_trajectories(finished[0], place / name, specs)
            merge(place / name)
        shutil.copytree(place / "b", place / "a", dirs_exist_ok=True)
        return place / "a"

    def test_a_merged_file_that_is_there_twice_stays_once(self, copied, finished):
        root, _ = copied
        merge(root)
        for table in KEYS:
            (path,) = (root / table).glob("*.parquet")
            path.with_stem(f"{path.stem} (copy)").write_bytes(path.read_bytes())
        merge(root)
        assert {table: rows(root, table) for table in KEYS} == {table: rows(finished[0], table) for table in KEYS}
        assert len(pd.read_parquet(root / "rounds")) == 12

    def test_trajectories_of_two_merged_files_are_merged_once(self, finished, place):
        root = self.overlapping(finished, place)
        assert "store compact" in check_store(root).problems[0].remedy
        merge(root)
        assert check_store(root).problems == []
        assert {table: rows(root, table) for table in KEYS} == {table: rows(finished[0], table) for table in KEYS}
        assert len(pd.read_parquet(root / "rounds")) == 12

    def test_one_that_becomes_equal_to_a_third_is_not_lost(self, finished, place):
        specs = finished[1]
        for number, own in enumerate((specs[:3], specs[2:4], specs[3:4])):
            root = place / str(number)
            copy_trajectories(finished[0], root, own)
            content = {table: pa.concat_tables(map(read_file, Store(root).files(table))) for table in KEYS}
            with Store(place).writing():
                pass
            store = Store(place)
            for table in KEYS:
                store.write_merged(table, content[table])
        merge(place)
        assert set(Store(place).trajectories()) == {spec.trajectory_id for spec in specs[:4]}
        assert len(pd.read_parquet(place / "rounds")) == 8

    @pytest.mark.parametrize("n_more", [0, 1])
    def test_an_unfinished_copy_takes_no_place(self, finished, place, n_more):
        """Of a compacted store, also where it has a single trajectory."""
        specs = finished[1]
        copy_trajectories(finished[0], place, specs[: 1 + n_more])
        merge(place)
        for table in ("rounds", "queries"):
            path = finished[0] / table / f"{specs[0].trajectory_id}.parquet"
            (place / table / path.name).write_bytes(path.read_bytes())
        store = Store(place)
        rounds, _, queries = store.rounds(specs[0].trajectory_id)
        store.write_rounds(specs[0].trajectory_id, rounds[:1], queries[:1])
        merge(place)
        assert check_store(place).problems == []
        assert len(store.rounds(specs[0].trajectory_id)[0]) == 2

    def test_killed_at_each_step_nothing_is_lost(self, finished, place, monkeypatch):
        expected = {table: rows(finished[0], table) for table in KEYS}
        for stop_at in range(100):
            root = self.overlapping(finished, place / str(stop_at))
            with monkeypatch.context() as patch, contextlib.suppress(Killed):
                Steps(patch, stop_at=stop_at)
                merge(root)
                break
            assert {table: rows(root, table) for table in KEYS} == expected
            merge(root)
            assert check_store(root).problems == []
            assert {table: rows(root, table) for table in KEYS} == expected
        else:
            pytest.fail("never came to its end")
        assert stop_at > 20


@pytest.mark.parametrize("place", ["local"], indirect=True)
class TestDamage:
    def damage(self, path):
        """Change a byte of a column that says nothing of which trajectories there are."""
        column = pq.read_metadata(path).row_group(0).column(pq.read_schema(path).names.index("accuracy"))
        content = bytearray(path.read_bytes())
        content[column.data_page_offset + column.total_compressed_size // 2] ^= 0xFF
        path.write_bytes(content)

    def test_a_merged_file_that_arrives_damaged_does_not_stay(self, copied, monkeypatch):
        def damaging(path, content):
            write(path, content)
            if path.name.startswith(schema.MERGED) and path.parent.name == "rounds":
                self.damage(path)

        monkeypatch.setattr(writing, "write", damaging)
        with pytest.raises(StoreError, match="to hold what was written"):
            merge(copied[0])
        assert len(pd.read_parquet(copied[0] / "rounds")) == 12

    def test_a_damaged_merged_file_stands_for_no_other(self, copied, finished):
        root, specs = copied
        merge(root)
        (path,) = (root / "rounds").glob("*.parquet")
        self.damage(path)
        copy_trajectories(finished[0], root, specs)
        with pytest.raises(StoreError, match=rf"cannot read `{path}`"):
            merge(root)
        path.unlink()
        assert len(pd.read_parquet(root / "rounds")) == 12


def test_killed_while_one_of_them_is_forgotten_the_others_stay(finished, tmp_path, monkeypatch):
    specs = finished[1][:3]
    gone, *others = sorted(spec.trajectory_id for spec in specs)
    for stop_at in range(100):
        root = tmp_path / str(stop_at)
        copy_trajectories(finished[0], root, specs)
        merge(root)
        store = Store(root)
        with monkeypatch.context() as patch, contextlib.suppress(Killed), store.writing():
            Steps(patch, stop_at=stop_at)
            store.forget(gone)
            break
        forget_the_lock(root)
        with Store(root).writing():
            pass
        assert check_store(root).problems == []
        assert {name: len(Store(root).rounds(name)[0]) for name in others} == dict.fromkeys(others, 2)
        assert set(Store(root).trajectories()) - {gone} == set(others)
    else:
        pytest.fail("never came to its end")
    assert stop_at > 5
    assert set(Store(root).trajectories()) == set(load(str(root)).trajectories["trajectory_id"]) == set(others)
    assert [len(pd.read_parquet(str(root / table))) for table in KEYS] == [2, 4, 20]


@settings(max_examples=15, deadline=None)
@given(
    actions=st.lists(st.one_of(st.just("write"), st.integers(0, 30)), min_size=2, max_size=10),
)
def test_any_sequence_of_writing_merging_and_crashing_keeps_the_content(finished, tmp_path_factory, actions):
    root = tmp_path_factory.mktemp("any")
    left = list(finished[1])
    copy_trajectories(finished[0], root, [left.pop()])
    for action in actions:
        if action == "write" and left:
            with Store(root).writing():
                copy_trajectories(finished[0], root, [left.pop()])
        elif action != "write":
            with pytest.MonkeyPatch.context() as patch:
                Steps(patch, stop_at=action)
                with contextlib.suppress(Killed):
                    merge(root)
        written = {spec.trajectory_id for spec in finished[1]} - {spec.trajectory_id for spec in left}
        assert set(Store(root).trajectories()) == written
        assert all(len(Store(root).rounds(name)[0]) == 2 for name in written)
    merge(root)
    assert len(pd.read_parquet(root / "rounds")) == 2 * len(written)
    assert check_store(root).problems == []
