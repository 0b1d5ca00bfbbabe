import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure

from analysis import load, sweeps
from analysis.report import make_report, write_report
from analysis.statistics import mean_interval
from harness import schema

CAPS, SCHEDULES = (5, 20, 50), ("10x4", "20x2")
LABELS = {"10x4": (10, 20, 30, 40), "20x2": (20, 40)}


@pytest.fixture
def swept(trajectory, write_store, tmp_path):
    """Three caps x two schedules x three seeds; the last cap is one that never binds, a seventh trial was stopped."""
    trajectories, rows = [], []
    for number, (cap, schedule) in enumerate((cap, schedule) for cap in CAPS for schedule in SCHEDULES):
        used = min(cap, 20)
        level = {5: 0.4, 20: 0.6}[used] + (0.1 if schedule == "20x2" else 0)
        own = [
            trajectory(
                "ntkcpl_al",
                seed,
                [level + 0.01 * seed + 0.001 * n for n in LABELS[schedule]],
                n_labels=LABELS[schedule],
                params={"max_clusters": used},
                schedule=schedule,
                evaluate_on="tune",
            )
            for seed in range(3)
        ]
        trajectories += [] if cap == 50 else own
        areas = [level + 0.01 * seed + 0.03 for seed in range(3)]
        row = {"study": "sweep-x", "trial": number, "params": json.dumps({"max_clusters": cap}), "schedule": schedule}
        row |= {
            "objective": np.mean(areas),
            "objective_std": np.std(areas, ddof=1),
            "final_accuracy": 0.5,
            "n_seeds": 3,
        }
        row |= {"labels_reached": 40, "status": "complete", "seconds": 1.0}
        rows.append(row | {"trajectory_ids": [each["trajectory_id"] for each in own]})
    stopped = {
        "trial": 6,
        "params": '{"max_clusters": 9}',
        "objective": None,
        "status": "stopped",
        "labels_reached": 20,
    }
    rows.append(rows[0] | stopped)
    root = write_store(tmp_path / "store", trajectories, study="sweep-x")
    (root / "trials").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema.TRIALS), root / "trials" / "sweep-x.parquet")
    return root


@pytest.fixture
def results(swept):
    return load(swept)


def test_the_table_has_the_best_first_and_students_interval(results):
    table = sweeps.trial_table(results.trials)
    assert list(table["trial"]) == [3, 5, 2, 4, 1, 0, 6]
    assert list(table.columns[:4]) == ["trial", "max_clusters", "schedule", "objective"]
    interval = mean_interval([0.73, 0.74, 0.75])
    assert (table["low"][0], table["high"][0]) == pytest.approx((interval.low, interval.high))
    assert table["status"].iloc[-1] == "stopped"


def test_what_was_stopped_is_in_no_figure_of_objectives(results):
    assert 6 not in set(sweeps.history_data(results.trials)["trial"])
    assert set(sweeps.interaction_data(results.trials)["max_clusters"]) == set(CAPS)


def test_ablation_has_a_curve_per_cap_and_one_for_caps_that_never_bind(results):
    curves = sweeps.ablation_data(results, "sweep-x", "10x4")
    assert list(curves["label"].unique()) == ["5", "20/50"]
    first = curves[curves["label"] == "5"]
    assert list(first["n_labels"]) == [10, 20, 30, 40]
    np.testing.assert_allclose(first["mean"], [0.42, 0.43, 0.44, 0.45])
    np.testing.assert_allclose(first["high"] - first["mean"], 0.01)
    assert set(first["n_seeds"]) == {3}


def test_interaction_is_the_objective_by_cap_and_schedule(results):
    cells = sweeps.interaction_data(results.trials).set_index(["schedule", "max_clusters"])["objective"]
    assert cells["20x2", 20] == pytest.approx(0.74)
    assert len(cells) == 6


def test_history_keeps_the_best_so_far(results):
    assert sweeps.history_data(results.trials)["best"].is_monotonic_increasing


def test_importances_say_what_the_objective_depends_on(results):
    data = sweeps.importance_data(results.trials).set_index("setting")["importance"]
    assert data.sum() == pytest.approx(1)
    assert data["max_clusters"] > data["schedule"] > 0
    pd.testing.assert_series_equal(data, sweeps.importance_data(results.trials).set_index("setting")["importance"])
    assert sweeps.importance_data(results.trials[:3]).empty


@pytest.mark.parametrize("study", ["sweep-x"])
def test_figures_are_drawn_from_their_data(results, study):
    ax = sweeps.draw_interaction(sweeps.interaction_data(results.trials), Figure().add_subplot())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(SCHEDULES)
    names = [picture.name for picture in sweeps.sweep_pictures(results, study)]
    assert names == ["ablation-10x4", "ablation-20x2", "interaction", "history", "importances"]


def test_pictures_are_files(results):
    files = dict(sweeps.picture_files(results))
    assert len(files) == 10
    assert files["history.png"].startswith(b"\x89PNG")
    assert files["history.svg"].startswith(b"<?xml")


def test_the_report_has_a_section_for_the_sweep(results, tmp_path):
    write_report(make_report(results), tmp_path, ["html", "csv"])
    page = (tmp_path / "index.html").read_text()
    assert "sweep-x: 7 trials: 6 complete, 1 stopped." in page
    assert len(pd.read_csv(tmp_path / "tables" / "trials-sweep-x.csv")) == 7


def test_a_store_without_trials_has_no_section(trajectory, write_store, tmp_path):
    results = load(write_store(tmp_path / "plain", [trajectory(seed=seed) for seed in range(2)]))
    assert results.trials.empty
    assert make_report(results).sweeps == []
