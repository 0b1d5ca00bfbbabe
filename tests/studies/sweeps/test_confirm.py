"""Confirmation: other seeds, the other half, paired with the default; without Ray."""

from datetime import UTC, datetime
from math import isnan, nan

import pandas as pd
import pytest

from analysis.statistics import Interval
from harness.store.check import check_store
from harness.store.location import locate
from harness.store.writing import Store
from studies.sweeps.confirm import Advantage, Confirmation, confirm_plan, confirmed
from studies.sweeps.space import make_space
from studies.sweeps.trials import Sweep, make_record, score


@pytest.fixture
def sweep():
    fast = {"learner": {"epochs": "3", "hidden": "16"}}
    return Sweep("ntkcpl_al", make_space("3,10", "5x3", None), (0, 1), fast, {})


def record(sweep, pool, store, number, cap):
    values = {"max_clusters": cap, "schedule": "5x3"}
    specs = sweep.specs(values, pool)
    curves = [store.rounds(spec.trajectory_id)[0] for spec in specs]
    return make_record(sweep, number, values, specs, curves, "complete" if all(curves) else "failed", 15)


def test_the_best_is_paired_with_the_default_on_what_the_search_never_saw(sweep, pool, run_serially, tmp_path):
    store = Store(tmp_path)
    run_serially(sweep.specs({"max_clusters": 3, "schedule": "5x3"}, pool), store)
    best = record(sweep, pool, store, 0, 3)
    plan = confirm_plan(sweep, pool, [best], 3)
    confirming = [spec for spec in plan if spec.evaluate_on == "confirm"]
    assert {spec.seed for spec in confirming} == {2, 3, 4}
    assert {spec.seed for spec in plan if spec.evaluate_on == "tune"} == {0, 1}
    run_serially(plan, store)

    found = confirmed(sweep, pool, [best], 3, store)
    (advantage,) = found.advantages
    assert (found.seeds, found.default, advantage.trial) == ((2, 3, 4), "max_clusters=100, 5x3", 0)
    assert (advantage.searched.n, advantage.confirmed.n) == (2, 3)
    scores = {
        (spec.params["max_clusters"], spec.seed): score(store.rounds(spec.trajectory_id)[0], "area", (5, 15))
        for spec in confirming
    }
    differences = [scores[3, seed] - scores[7, seed] for seed in (2, 3, 4)]
    assert advantage.confirmed.estimate == pytest.approx(sum(differences) / 3)


def test_a_trial_that_is_the_default_needs_no_confirmation(sweep, pool, run_serially, tmp_path):
    store = Store(tmp_path)
    run_serially(sweep.default_specs(pool), store)
    best = record(sweep, pool, store, 1, 10)
    assert confirm_plan(sweep, pool, [best], 2) == []
    found = confirmed(sweep, pool, [best], 2, store)
    (advantage,) = found.advantages
    assert (advantage.trial, advantage.is_default, advantage.status) == (1, True, "default")


def test_what_is_not_finished_confirms_nothing(sweep, pool, run_serially, tmp_path):
    store = Store(tmp_path)
    run_serially(sweep.specs({"max_clusters": 3, "schedule": "5x3"}, pool), store)
    found = confirmed(sweep, pool, [record(sweep, pool, store, 0, 3)], 2, store)
    (advantage,) = found.advantages
    assert (advantage.searched, advantage.confirmed, advantage.status) == (None, None, "failed")
    (row,) = found.rows("sweep-x", datetime(2026, 11, 28, tzinfo=UTC))
    assert (row["seeds"], row["searched"], row["confirmed_low"]) == ([2, 3], None, None)


def test_a_confirmation_is_kept_in_the_store(tmp_path):
    found = Confirmation(
        (3,), "ridge=0.01", (Advantage(4, False, Interval(0.04, 0.01, 0.07, 3, "t"), Interval(0.01, nan, nan, 1, "t")),)
    )
    store = Store(tmp_path)
    with store.writing():
        store.write_confirmations("sweep-x", found.rows("sweep-x", datetime(2026, 11, 28, tzinfo=UTC)))
    (row,) = pd.read_parquet(tmp_path / "confirmations").to_dict("records")
    assert (row["trial"], row["status"], row["seeds"].tolist()) == (4, "compared", [3])
    assert (row["searched"], row["searched_low"], row["confirmed"]) == (0.04, 0.01, 0.01)
    assert isnan(row["confirmed_low"])
    checked = check_store(locate(str(tmp_path)))
    assert (checked.rows["confirmations"], checked.problems) == (1, [])
