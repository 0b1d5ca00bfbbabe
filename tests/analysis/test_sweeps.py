import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import load, sweeps
from analysis.statistics import mean_interval
from harness.store import schema

CAPS, SCHEDULES = (5, 20, 50), ("10x4", "20x2")


def test_the_table_has_the_best_first_and_students_interval(swept_results):
    table = sweeps.trial_table(swept_results.trials)
    assert list(table["trial"]) == [3, 5, 2, 4, 1, 0, 6]
    assert list(table.columns[:4]) == ["trial", "max_clusters", "schedule", "objective"]
    interval = mean_interval([0.73, 0.74, 0.75])
    assert (table["low"][0], table["high"][0]) == pytest.approx((interval.low, interval.high))
    assert table["status"].iloc[-1] == "stopped"


def test_a_setting_with_the_name_of_another_column_keeps_apart(swept_results):
    trials = swept_results.trials.assign(
        params=[json.dumps({"metric": trial % 3}) for trial in swept_results.trials["trial"]]
    )
    assert sweeps.searched(trials) == ["metric (setting)"]
    assert len(sweeps.interaction_data(trials, "metric (setting)")) == 6
    assert set(sweeps.importance_data(trials)["setting"]) == {"metric (setting)", "schedule"}


def test_what_was_stopped_is_in_no_figure_of_objectives(swept_results):
    assert 6 not in set(sweeps.history_data(swept_results.trials)["trial"])
    assert set(sweeps.interaction_data(swept_results.trials)["max_clusters"]) == set(CAPS)


def test_ablation_has_a_curve_per_cap_and_one_for_caps_that_never_bind(swept_results):
    curves = sweeps.ablation_data(swept_results, "sweep-x", "10x4")
    assert list(curves["curve"].unique()) == ["5", "20/50"]
    first = curves[curves["curve"] == "5"]
    assert list(first["n_labels"]) == [10, 20, 30, 40]
    np.testing.assert_allclose(first["mean"], [0.42, 0.43, 0.44, 0.45])
    np.testing.assert_allclose(first["high"] - first["mean"], 0.01)
    assert set(first["n_seeds"]) == {3}


def test_interaction_is_the_objective_by_cap_and_schedule(swept_results):
    cells = sweeps.interaction_data(swept_results.trials).set_index(["schedule", "max_clusters"])["objective"]
    assert cells["20x2", 20] == pytest.approx(0.74)
    assert len(cells) == 6


def test_history_keeps_the_best_so_far(swept_results):
    assert sweeps.history_data(swept_results.trials)["best"].is_monotonic_increasing


def test_importances_say_what_the_objective_depends_on(swept_results):
    data = sweeps.importance_data(swept_results.trials).set_index("setting")["importance"]
    assert data.sum() == pytest.approx(1)
    assert data["max_clusters"] > data["schedule"] > 0
    pd.testing.assert_series_equal(
        data, sweeps.importance_data(swept_results.trials).set_index("setting")["importance"]
    )
    assert sweeps.importance_data(swept_results.trials[:3]).empty


def test_ablation_names_what_else_differs(trajectory, write_store, tmp_path):
    trajectories, rows = [], []
    objective = {(1, "good"): 0.4, (1, "bad"): 0.5, (2, "good"): 0.6, (2, "bad"): 0.3}
    for number, ((power, mode), level) in enumerate(objective.items()):
        params = {"mode": mode, "power": power}
        own = trajectory("own", accuracy=[level] * 3, params=params, evaluate_on="tune")
        trajectories.append(own)
        row = {"study": "s", "trial": number, "params": json.dumps(params), "schedule": "10x2,20x1", "n_seeds": 1}
        row |= {"objective": level, "labels_reached": 40, "status": "complete"}
        rows.append(row | {"trajectory_ids": [own["trajectory_id"]]})
    root = write_store(tmp_path, trajectories)
    (root / "trials").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema.TRIALS), root / "trials" / "s.parquet")
    results = load(root)
    assert sweeps.searched(results.trials) == ["mode", "power"]
    curves = sweeps.ablation_data(results, "s", "10x2,20x1", "power")
    assert list(curves["curve"].unique()) == ["1 (mode=bad)", "2 (mode=good)"]
