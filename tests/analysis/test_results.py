import json
import os
import shutil
import subprocess
import sys
from typing import ClassVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import load
from analysis.exceptions import MixedSettingsError, SelectionError
from analysis.figures import save_curves
from analysis.figures.axes import BOUND, line_styles
from analysis.figures.curves import bounds_of, curve_data, with_bounds
from analysis.tables import missing_cells, summary_table
from harness.exceptions import StoreError
from harness.store import schema
from strategies.registry import ORACLES


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
    assert load(write_store(tmp_path, rows)).names == [
        "ntkcpl_al[max_clusters=50]",
        "ntkcpl_al[max_clusters=100]",
        "random",
    ]


class TestPresets:
    PAPER: ClassVar = {"ridge": 1, "kernel": "a"}

    @pytest.fixture
    def labels(self, tmp_path, trajectory, write_store):
        """Names of configurations, each parameters and whether they are the preset."""

        def of(*configurations):
            preset = {"paper": sorted(self.PAPER)}
            rows = [trajectory("own", params=p, preset=preset if known else None) for p, known in configurations]
            return load(write_store(tmp_path, rows)).names

        return of

    def test_a_preset_stands_for_what_it_sets(self, labels):
        assert labels((self.PAPER, True), ({"ridge": 2, "kernel": "b"}, False)) == ["own", "own[preset=paper]"]

    def test_other_differences_are_shown_beside_it(self, labels):
        plain = {"ridge": 2, "kernel": "b", "cap": 5}
        assert labels((self.PAPER | {"cap": 5}, True), (self.PAPER | {"cap": 6}, True), (plain, False)) == [
            "own[cap=5]",
            "own[preset=paper,cap=5]",
            "own[preset=paper,cap=6]",
        ]

    def test_what_is_no_preset_shows_what_differs_among_its_like(self, labels):
        plain = {"ridge": 2, "kernel": "b"}
        assert labels((self.PAPER, True), (plain, False), (plain | {"ridge": 3}, False)) == [
            "own[ridge=2]",
            "own[ridge=3]",
            "own[preset=paper]",
        ]

    def test_a_preset_that_all_have_is_not_shown(self, labels):
        assert labels((self.PAPER, True)) == ["own"]


def test_parameters_are_equal_whatever_their_order(tmp_path, trajectory, write_store):
    rows = [trajectory("badge", 0, params={"a": 1, "b": 2}), trajectory("badge", 1, params={"b": 2, "a": 1})]
    assert load(write_store(tmp_path, rows)).names == ["badge"]


def test_schedules_are_not_mixed(tmp_path, trajectory, write_store):
    rows = [trajectory(), trajectory(schedule="20x2", n_labels=(20, 40), accuracy=(0.5, 0.7))]
    assert load(write_store(tmp_path, rows)).names == ["random[schedule=10x2,20x1]", "random[schedule=20x2]"]


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
    assert load(store, study="new").names == ["badge", "random"]
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


def test_studies_that_can_be_looked_at_alone_are_named(tmp_path, trajectory, write_store):
    write_store(tmp_path, [trajectory(learner={"epochs": 1})], study="old")
    store = write_store(tmp_path, [trajectory(), trajectory("badge")], study="new")
    with pytest.raises(MixedSettingsError, match=r"Look at one study \(--study\): new, old"):
        load(store)


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
    with pytest.raises(StoreError, match=file.name) as caught:
        load(store)
    assert "\n" not in str(caught.value)


def test_other_schemas_are_refused(tmp_path, trajectory, write_store):
    store = write_store(tmp_path, [trajectory()])
    file = next((store / "rounds").iterdir())
    table = pq.read_table(file)
    pq.write_table(table.drop_columns("accuracy"), file)
    with pytest.raises(StoreError, match=f"column `accuracy` of double in .*{file.name}"):
        load(store)
    pq.write_table(table.replace_schema_metadata({schema.VERSION_KEY: b"99"}), file)
    with pytest.raises(StoreError, match=rf"version {schema.VERSION}, but .*{file.name}` has 99"):
        load(store)


def test_no_store_is_refused(tmp_path):
    with pytest.raises(StoreError, match="at least one store"):
        load()
    with pytest.raises(StoreError, match="absent"):
        load(tmp_path / "absent")
    with pytest.raises(StoreError, match="a folder with trajectories, rounds"):
        load(tmp_path)


def test_data_must_be_named_where_there_are_several(tmp_path, trajectory, write_store):
    results = load(write_store(tmp_path, [trajectory(), trajectory("badge", data="svhn")]))
    assert results.only("svhn").names == ["badge"]
    assert len(results.only("svhn").rounds) == 3
    with pytest.raises(SelectionError, match=r"\(digits, svhn\), but none was named"):
        results.only()
    with pytest.raises(SelectionError, match="but got `mnist`"):
        results.only("mnist")


def test_store_without_a_finished_trajectory(tmp_path):
    (tmp_path / "rounds").mkdir()
    results = load(tmp_path)
    assert results.names == []
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


def test_without_its_rounds_a_trajectory_is_not_finished(tmp_path, trajectory, write_store):
    """Somebody has removed the damaged file of its rounds, as the message says."""
    store = write_store(tmp_path, [trajectory(seed=0), trajectory(seed=1)])
    whole = write_store(tmp_path / "whole", [trajectory(seed=0)])
    file = min((store / "rounds").iterdir())
    file.unlink()
    results = load(store)
    assert results.trajectories["seed"].tolist() == [1]
    assert any("1 of 2 trajectories" in note for note in results.notes)
    both = load(store, whole)
    assert sorted(both.trajectories["seed"]) == [0, 1]
    assert len(both.rounds) == 6


def test_with_fewer_rounds_than_its_schedule_a_trajectory_has_failed(tmp_path, trajectory, write_store):
    """An unfinished one of another store was copied over its rounds."""
    store = write_store(tmp_path, [trajectory(name, seed) for name in ("random", "badge") for seed in (0, 1)])
    file = min((store / "rounds").iterdir())
    rounds = pq.read_table(file)
    pq.write_table(rounds.slice(0, 2), file)
    results = load(store)
    assert len(results.trajectories) == 3
    assert len(results.rounds) == 9
    assert len(results.failures) == 1
    assert "lacks rounds; `ntkcpl store check` says" in missing_cells(results)["reason"].item()


def test_rounds_with_the_seed_of_another_trajectory_are_refused(tmp_path, trajectory, write_store):
    store = write_store(tmp_path, [trajectory(seed=0), trajectory(seed=1)])
    path = sorted((store / "rounds").iterdir())[0]
    rows = pq.read_table(path).to_pylist()
    wrong = [row | {"seed": 1 - row["seed"]} for row in rows]
    pq.write_table(pa.Table.from_pylist(wrong, schema=schema.ROUNDS), path)
    row = wrong[0]
    said = rf"^Expected rounds of trajectory {row['trajectory_id']} with its own seed, but got {row['seed']}; `ntkcpl"
    with pytest.raises(StoreError, match=said):
        load(store)


def test_rounds_go_by_the_last_name_of_their_data(tmp_path, trajectory, write_store):
    """It was interrupted after its last round, and went on with its file of features under another name."""
    store = write_store(tmp_path, [trajectory(seed=0), trajectory(seed=1)])
    path = min((store / "rounds").iterdir())
    rows = pq.read_table(path).to_pylist()
    earlier = [row | {"data": "earlier"} for row in rows]
    pq.write_table(pa.Table.from_pylist(earlier, schema=schema.ROUNDS), path)
    results = load(store)
    assert set(results.rounds["data"]) == {rows[0]["data"]} == set(results.data_names)


def test_with_a_label_count_twice_a_trajectory_has_failed(tmp_path, trajectory, write_store):
    rows = [trajectory("badge", n_labels=(10, 20, 20)), trajectory()]
    results = load(write_store(tmp_path, rows))
    assert list(results.failures["strategy"]) == ["badge"]
    assert list(results.seed_curves) == ["random"]


@pytest.mark.parametrize("wrong", [{"round": 0}, {"n_labels": -1}, {"n_labels": 2**62}], ids=str)
def test_with_a_round_or_a_label_count_of_its_own_a_trajectory_has_failed(tmp_path, trajectory, write_store, wrong):
    store = write_store(tmp_path, [trajectory(seed=seed) for seed in (0, 1)])
    path = min((store / "rounds").iterdir())
    *rows, last = pq.read_table(path).to_pylist()
    pq.write_table(pa.Table.from_pylist([*rows, last | wrong], schema=schema.ROUNDS), path)
    results = load(store)
    assert "lacks rounds; `ntkcpl store check` says" in results.failures["message"].item()
    assert results.seed_curves["random"].notna().all(axis=None)


def test_skipping_takes_no_other_schema(tmp_path, trajectory, write_store):
    store = write_store(tmp_path, [trajectory()])
    file = next((store / "rounds").iterdir())
    pq.write_table(pq.read_table(file).drop_columns("accuracy"), file)
    with pytest.raises(StoreError, match="column `accuracy`"):
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
    assert results.names == ["badge", "entropy", "random"]
    assert list(results.failures["strategy"]) == ["entropy"]


def test_all_differing_settings_are_in_every_label(tmp_path, trajectory, write_store):
    usual = {"ridge": 0.01, "width": 512, "bias": True, "same": 1}
    params = [usual, {**usual, "ridge": 0.1}, {**usual, "width": 64}, {**usual, "bias": False, "new": 1}]
    rows = [trajectory("ntkcpl_al", params=each) for each in params]
    assert sorted(load(write_store(tmp_path, rows)).names) == [
        "ntkcpl_al[bias=false,new=1,ridge=0.01,width=512]",
        "ntkcpl_al[bias=true,ridge=0.01,width=512]",
        "ntkcpl_al[bias=true,ridge=0.01,width=64]",
        "ntkcpl_al[bias=true,ridge=0.1,width=512]",
    ]


def test_numbers_in_labels_are_short_unless_that_hides_a_difference(tmp_path, trajectory, write_store):
    rows = [trajectory("own", params={"a": a, "b": b}) for a, b in ((0.123456, 1.00001), (0.234567, 1.00002))]
    assert load(write_store(tmp_path, rows)).names == ["own[a=0.1235,b=1.00001]", "own[a=0.2346,b=1.00002]"]


def test_a_part_keeps_the_labels_of_the_whole(tmp_path, trajectory, write_store):
    rows = [trajectory("badge", seed, params={"a": a}) for a in (1, 2) for seed in (0, 1)]
    part = load(write_store(tmp_path, [*rows, trajectory()])).of(["badge[a=1]", "random"])
    assert part.names == ["badge[a=1]", "random"]
    assert (len(part.trajectories), len(part.rounds)) == (3, 9)
    assert part.only().names == part.names
    assert part.shared_seeds().names == ["badge", "random"]


def test_halves_of_the_test_data_can_be_looked_at_alone(tmp_path, trajectory, write_store):
    rows = [trajectory(evaluate_on=half) for half in ("all", "tune")]
    results = load(write_store(tmp_path, rows))
    assert results.names == ["random[evaluate_on=all]", "random[evaluate_on=tune]"]
    assert results.only("digits", "tune").names == results.only(evaluate_on="tune").names == ["random"]


def test_seeds_left_out_are_named(tmp_path, trajectory, write_store):
    rows = [trajectory("random", seed) for seed in range(4)] + [trajectory("badge", seed) for seed in (1, 2)]
    results = load(write_store(tmp_path, rows))
    assert results.notes == ()
    (note,) = results.shared_seeds().notes
    assert note == "Left out of random on digits, because not all configurations have them: seeds 0, 3."


def test_studies_that_are_not_through_are_named(tmp_path, trajectory, write_store):
    store = write_store(tmp_path, [trajectory(seed=seed) for seed in range(3)], study="nightly")
    next((store / "trajectories").iterdir()).unlink()
    (note,) = load(store).notes
    assert note == "Not finished, or still running: 1 of 3 trajectories of nightly."


def test_trials_stopped_early_are_not_unfinished(swept, trajectory, write_store):
    whole = load(swept)
    assert whole.notes == ()
    trials = pq.read_table(swept / "trials").to_pandas()
    stopped = trials[trials["status"] == "stopped"]["trajectory_ids"].explode().tolist()
    for path in (swept / "trajectories").iterdir():
        if any(name in path.name for name in stopped):
            path.unlink()
    assert load(swept).notes == ()


def test_confirmations_belong_to_their_sweep(swept):
    row = {"trial": 3, "status": "compared", "seeds": [3], "confirmed": 0.01}
    rows = [row | {"study": study} for study in ("sweep-x", "gone")]
    (swept / "confirmations").mkdir()
    table = pa.Table.from_pylist(rows, schema=schema.CONFIRMATIONS)
    pq.write_table(table, swept / "confirmations" / "both.parquet")
    assert list(load(swept, study="sweep-x").confirmations["study"]) == ["sweep-x"]
    assert list(load(swept).only().of(["random"]).confirmations["study"]) == []


class TestOracles:
    @pytest.fixture
    def both(self, tmp_path, trajectory, write_store):
        """The same strategies without and with an oracle beside them."""
        own = [trajectory(name, seed) for name in ("random", "badge") for seed in (0, 1)]
        bounds = [trajectory("boss", seed, (0.8, 0.9, 0.95 + seed / 100), schedule="10x3") for seed in (0, 1)]
        bounds += [trajectory("boss", 2, status="failed"), trajectory("boss", 0, data="other", data_hash="h2")]
        bounds += [trajectory("boss", 4, learner={"epochs": 3})]
        stores = {"without": own, "with": [*own, *bounds]}
        return [load(write_store(tmp_path / name, rows)) for name, rows in stores.items()]

    def test_nothing_that_compares_sees_them(self, both):
        without, beside = both
        for name in ("trajectories", "rounds", "queries", "failures", "configurations"):
            pd.testing.assert_frame_equal(getattr(beside, name), getattr(without, name))
        assert beside.data_names == ["digits"]
        pd.testing.assert_frame_equal(summary_table(beside), summary_table(without))
        assert set(schema.ORACLES) == set(ORACLES)

    def test_their_rounds_are_bounds(self, both):
        without, beside = both
        assert without.bounds.empty
        bounds = beside.bounds
        assert len(bounds) == 6  # none of other data, or with another learner
        assert bounds.groupby("n_labels")["accuracy"].mean().round(4).tolist() == [0.8, 0.9, 0.955]
        assert [note.partition(" (")[0] for note in beside.notes] == [
            "Failed: boss",
            "Left out: boss",
            "Left out: boss",
        ]

    def test_settings_of_an_oracle_are_lines_apart(self, tmp_path, trajectory, write_store):
        rows = [trajectory("boss", accuracy=(n / 100,) * 3, params={"n_batches": n}) for n in (20, 90)]
        bounds = bounds_of(load(write_store(tmp_path, [trajectory(), *rows])))
        assert bounds.groupby("curve")["mean"].first().to_dict() == {
            'boss (oracle) {"n_batches": 20}': pytest.approx(0.2),
            'boss (oracle) {"n_batches": 90}': pytest.approx(0.9),
        }

    def test_schedules_of_an_oracle_are_lines_apart(self, tmp_path, trajectory, write_store):
        rows = [trajectory("boss"), trajectory("boss", n_labels=(20, 40), accuracy=(0.7, 0.9), schedule="20x2")]
        bounds = bounds_of(load(write_store(tmp_path, [trajectory(), *rows])))
        assert {name: list(curve["n_labels"]) for name, curve in bounds.groupby("curve")} == {
            "boss (oracle) 10x2,20x1": [10, 20, 40],
            "boss (oracle) 20x2": [20, 40],
        }

    def test_the_figure_of_accuracy_has_them(self, both, tmp_path):
        beside = both[1]
        curves, styles = with_bounds(curve_data(beside), line_styles(beside.names), beside.only("digits"))
        assert list(curves["curve"].unique()) == ["badge", "random", "boss (oracle)"]
        assert styles["boss (oracle)"] == BOUND
        save_curves(beside, tmp_path / "curves.png")
        assert (tmp_path / "curves.png").stat().st_size > 1000


class TestMetric:
    @pytest.fixture
    def store(self, tmp_path, trajectory, write_store):
        rows = [
            trajectory(name, s, rounds=[{"balanced_accuracy": 0.1 * k + 0.01 * s} for k in (1, 2, 3)])
            for name in ("random", "boss")
            for s in range(2)
        ]
        return write_store(tmp_path, rows)

    def test_stands_in_the_place_of_accuracy(self, store):
        results = load(store, metric="balanced_accuracy")
        assert results.metric == "balanced_accuracy"
        assert results.seed_curves["random"].loc[0].to_list() == pytest.approx([0.1, 0.2, 0.3])
        assert results.bounds["accuracy"].max() == pytest.approx(0.31)
        assert results.only("digits").worded("Accuracy and accuracy") == "Balanced accuracy and balanced accuracy"

    def test_by_default_it_is_accuracy(self, store):
        results = load(store)
        assert results.seed_curves["random"].loc[0].to_list() == [0.4, 0.6, 0.8]
        assert results.worded("Accuracy") == "Accuracy"

    def test_that_is_not_in_every_round_is_refused(self, store):
        with pytest.raises(SelectionError, match=r"Expected macro_f1 in every round, but 2 of 2 .* such as random on"):
            load(store, metric="macro_f1")

    @pytest.mark.parametrize(
        ("metric", "why"), [("nll", " Less of it is better, so it is only in the table"), ("ece", " Less"), ("f1", "")]
    )
    def test_that_there_is_not_or_that_must_be_small(self, store, metric, why):
        said = f"among accuracy, balanced_accuracy, macro_f1, but got `{metric}`\\.{why}"
        with pytest.raises(SelectionError, match=said if why else f"{said}$"):
            load(store, metric=metric)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_stores_a_complete_trial_is_preferred(swept, tmp_path, order):
    other = tmp_path / "other"
    shutil.copytree(swept, other)
    (path,) = (other / "trials").glob("*.parquet")
    table = pq.read_table(path)
    failed = pa.array(["failed"] * len(table), table.schema.field("status").type)
    pq.write_table(table.set_column(table.schema.get_field_index("status"), "status", failed), path)
    stores = [swept, other]
    found = load(*(stores[i] for i in order)).trials
    pd.testing.assert_frame_equal(found, load(swept).trials)
