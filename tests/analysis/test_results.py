import json
import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from analysis import load
from analysis.exceptions import MixedSettingsError, SelectionError, StoreReadError
from harness import schema


def test_columns_are_those_of_the_schema(tmp_path, trajectory, write_store):
    results = load(write_store(tmp_path, [trajectory(), trajectory(seed=1, status="failed")]))
    assert list(results.trajectories) == list(results.failures) == schema.TRAJECTORIES.names
    assert list(results.rounds) == schema.ROUNDS.names
    assert list(results.queries) == schema.QUERIES.names
    assert (len(results.trajectories), len(results.failures)) == (1, 1)
    assert (len(results.rounds), len(results.queries)) == (3, 40)


def test_labels_name_the_settings_that_differ(tmp_path, trajectory, write_store):
    ntkcpl = [{"max_clusters": n, "ridge": 0.001} for n in (100, 50)]
    rows = [trajectory("random", params={"ridge": 1}), *(trajectory("ntkcpl_al", params=p) for p in ntkcpl)]
    assert load(write_store(tmp_path, rows)).labels == [
        "ntkcpl_al[max_clusters=50]",
        "ntkcpl_al[max_clusters=100]",
        "random",
    ]


def test_parameters_are_equal_whatever_their_order(tmp_path, trajectory, write_store):
    rows = [trajectory("badge", 0, params={"a": 1, "b": 2}), trajectory("badge", 1, params={"b": 2, "a": 1})]
    assert load(write_store(tmp_path, rows)).labels == ["badge"]


def test_schedules_are_not_mixed(tmp_path, trajectory, write_store):
    rows = [trajectory(), trajectory(schedule="20x2", n_labels=(20, 40), accuracy=(0.5, 0.7))]
    assert load(write_store(tmp_path, rows)).labels == ["random[schedule=10x2,20x1]", "random[schedule=20x2]"]


def test_merged_stores_drop_duplicates(tmp_path, trajectory, write_store):
    first = write_store(tmp_path / "a", [trajectory(seed=0), trajectory(seed=1, status="failed")])
    second = write_store(tmp_path / "b", [trajectory(seed=0, accuracy=(0.1, 0.1, 0.1)), trajectory(seed=1)])
    results = load(first, second)
    assert sorted(results.trajectories["seed"]) == [0, 1]
    assert results.failures.empty
    assert results.rounds.groupby("seed")["accuracy"].apply(list).to_dict() == {0: [0.4, 0.6, 0.8], 1: [0.4, 0.6, 0.8]}
    assert len(results.queries) == 80


def test_unfinished_trajectories_are_left_out(tmp_path, trajectory, write_store):
    store = write_store(tmp_path, [trajectory(seed=0), trajectory(seed=1)])
    sorted((store / "trajectories").iterdir())[1].unlink()
    results = load(store)
    assert set(results.rounds["trajectory_id"]) == set(results.trajectories["trajectory_id"])
    assert len(results.rounds) == 3


def test_files_being_written_are_not_read(tmp_path, trajectory, write_store):
    store = write_store(tmp_path, [trajectory()])
    (store / "rounds" / ".new.parquet").write_bytes(b"PAR1")
    assert len(load(store).rounds) == 3


def test_store_by_address(tmp_path, trajectory, write_store):
    assert len(load(write_store(tmp_path, [trajectory()]).as_uri()).rounds) == 3


def test_study_restricts_the_trajectories(tmp_path, trajectory, write_store):
    write_store(tmp_path, [trajectory(learner={"epochs": 1})], study="old")
    store = write_store(tmp_path, [trajectory(), trajectory("badge")], study="new")
    assert load(store, study="new").labels == ["badge", "random"]
    with pytest.raises(SelectionError, match=r"in the store \(new, old\), but got `none`"):
        load(store, study="none")


def test_mixed_learners_are_refused(tmp_path, trajectory, write_store):
    rows = [trajectory(), trajectory("badge", learner={"width": 64, "epochs": 200})]
    with pytest.raises(
        MixedSettingsError, match="one learner for all of data `digits`, but got epochs=100 and epochs=200"
    ):
        load(write_store(tmp_path, rows))


def test_learners_of_different_data_may_differ(tmp_path, trajectory, write_store):
    rows = [trajectory(), trajectory(data="svhn", learner={"epochs": 200})]
    assert load(write_store(tmp_path, rows)).data_names == ["digits", "svhn"]


def test_mixed_data_is_refused(tmp_path, trajectory, write_store):
    with pytest.raises(MixedSettingsError, match="named `digits`, but got the hashes h1, h2"):
        load(write_store(tmp_path, [trajectory(), trajectory("badge", data_hash="h2")]))


def test_mixed_algorithm_versions_are_refused(tmp_path, trajectory, write_store):
    with pytest.raises(MixedSettingsError, match="one trajectory of random on `digits` with seed 0"):
        load(write_store(tmp_path, [trajectory(), trajectory(algorithm="2")]))


@pytest.mark.parametrize("name", ["trajectories", "rounds", "queries"])
def test_truncated_file_is_named(tmp_path, trajectory, write_store, name):
    store = write_store(tmp_path, [trajectory()])
    file = next((store / name).iterdir())
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(StoreReadError, match=file.name) as caught:
        load(store)
    assert "\n" not in str(caught.value)


def test_other_schemas_are_refused(tmp_path, trajectory, write_store):
    store = write_store(tmp_path, [trajectory()])
    file = next((store / "rounds").iterdir())
    table = pq.read_table(file)
    pq.write_table(table.drop_columns("accuracy"), file)
    with pytest.raises(StoreReadError, match=f"columns accuracy, but got none of that name in .*{file.name}"):
        load(store)
    pq.write_table(table.replace_schema_metadata({schema.VERSION_KEY: b"99"}), file)
    with pytest.raises(StoreReadError, match=f"version 1, but got 99 in .*{file.name}"):
        load(store)


def test_no_store_is_refused(tmp_path):
    with pytest.raises(StoreReadError, match="at least one store"):
        load()
    with pytest.raises(StoreReadError, match="absent"):
        load(tmp_path / "absent")
    with pytest.raises(StoreReadError, match="folders trajectories and rounds"):
        load(tmp_path)


def test_data_must_be_named_where_there_are_several(tmp_path, trajectory, write_store):
    results = load(write_store(tmp_path, [trajectory(), trajectory("badge", data="svhn")]))
    assert results.only("svhn").labels == ["badge"]
    assert len(results.only("svhn").rounds) == 3
    with pytest.raises(SelectionError, match=r"\(digits, svhn\), but none was named"):
        results.only()
    with pytest.raises(SelectionError, match="but got `mnist`"):
        results.only("mnist")


def test_store_without_a_finished_trajectory(tmp_path):
    (tmp_path / "rounds").mkdir()
    results = load(tmp_path)
    assert results.labels == []
    assert results.curves.empty


def test_null_columns_stay_null(tmp_path, trajectory, write_store):
    assert load(write_store(tmp_path, [trajectory()])).rounds["n_clusters"].isna().all()


def test_import_leaves_heavy_libraries_unloaded():
    code = "import sys, json, analysis, analysis.tables; print(json.dumps(sorted(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", code], env=environment))
    assert {"ray", "torch", "matplotlib"}.isdisjoint(loaded)


def test_figures_leave_ray_and_torch_unloaded():
    code = "import sys, json, analysis.figures; print(json.dumps(sorted(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", code], env=environment))
    assert {"ray", "torch", "matplotlib.pyplot"}.isdisjoint(loaded)


def test_file_replaced_while_reading_is_listed_again(tmp_path, trajectory, write_store, monkeypatch):
    store = write_store(tmp_path, [trajectory()])
    read, calls = pq.ParquetFile, []

    def vanishing(path, **options):
        calls.append(path)
        if len(calls) == 1:
            raise FileNotFoundError(path)
        return read(path, **options)

    monkeypatch.setattr(pq, "ParquetFile", vanishing)
    assert len(load(store).rounds) == 3


@pytest.mark.parametrize("name", ["trajectories", "rounds"])
def test_damaged_files_are_skipped_only_on_request(tmp_path, trajectory, write_store, name):
    store = write_store(tmp_path, [trajectory(seed=0), trajectory(seed=1)])
    file = min((store / name).iterdir())
    file.write_bytes(file.read_bytes()[:-20])
    results = load(store, skip_damaged=True)
    assert results.trajectories["seed"].tolist() == [1]
    assert len(results.rounds) == 3
    assert [os.path.basename(path) for path in results.unread] == [file.name]


def test_skipping_takes_no_other_schema(tmp_path, trajectory, write_store):
    store = write_store(tmp_path, [trajectory()])
    file = next((store / "rounds").iterdir())
    pq.write_table(pq.read_table(file).drop_columns("accuracy"), file)
    with pytest.raises(StoreReadError, match="columns accuracy"):
        load(store, skip_damaged=True)


def test_queries_can_be_left_out(tmp_path, trajectory, write_store):
    store = write_store(tmp_path, [trajectory()])
    results = load(store, queries=False)
    assert results.queries.empty
    assert list(results.queries) == schema.QUERIES.names
    assert len(results.rounds) == 3


def test_shared_seeds(tmp_path, trajectory, write_store):
    rows = [trajectory("random", s) for s in range(3)] + [trajectory("badge", s) for s in (1, 2, 5)]
    results = load(write_store(tmp_path, [*rows, trajectory("entropy", status="failed")])).shared_seeds()
    assert sorted(results.trajectories["seed"]) == [1, 1, 2, 2]
    assert len(results.rounds) == 12
    assert results.labels == ["badge", "random"]


def test_many_differing_settings_are_named_by_what_is_unusual(tmp_path, trajectory, write_store):
    usual = {"ridge": 0.01, "width": 512, "bias": True}
    params = [usual, {**usual, "ridge": 0.1}, {**usual, "width": 64}, {**usual, "bias": False, "new": 1}]
    rows = [trajectory("ntkcpl_al", params=each) for each in params]
    assert sorted(load(write_store(tmp_path, rows)).labels) == [
        "ntkcpl_al",
        "ntkcpl_al[bias=false,new=1]",
        "ntkcpl_al[ridge=0.1]",
        "ntkcpl_al[width=64]",
    ]
