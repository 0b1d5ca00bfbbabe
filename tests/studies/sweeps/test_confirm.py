"""Confirmation: other seeds, the other half, paired with the default; without Ray."""

import pytest
from rich.console import Console

from analysis.statistics import Interval
from harness.store import Store
from studies.sweeps.confirm import Advantage, Confirmation, confirm_plan, confirmed
from studies.sweeps.space import make_space
from studies.sweeps.summary import show_confirmation
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
    found = confirmed(sweep, pool, [best], 2, store)
    assert (found.advantages, found.trials_at_default) == ((), (1,))


def test_what_is_not_finished_confirms_nothing(sweep, pool, run_serially, tmp_path):
    store = Store(tmp_path)
    run_serially(sweep.specs({"max_clusters": 3, "schedule": "5x3"}, pool), store)
    (advantage,) = confirmed(sweep, pool, [record(sweep, pool, store, 0, 3)], 2, store).advantages
    assert (advantage.searched, advantage.confirmed, advantage.survived) == (None, None, None)


def test_what_survived_is_a_share_of_what_was_found():
    def interval(estimate):
        return Interval(estimate, -1, 1, 3, "t")

    assert Advantage(0, interval(0.04), interval(0.01)).survived == pytest.approx(0.25)
    assert Advantage(0, interval(-0.04), interval(0.01)).survived is None


@pytest.mark.parametrize(
    ("confirmed", "words"),
    [(0.01, ": 25 % of the advantage survived"), (-3.0, ": none of the advantage"), (0.05, ": all of the advantage")],
)
def test_a_share_beyond_all_or_below_nothing_is_said_in_words(confirmed, words):
    searched, found = (Interval(estimate, -1, 1, 3, "t") for estimate in (0.04, confirmed))
    confirmation = Confirmation((3, 4), "ridge=0.01", (Advantage(0, searched, found),), ())
    console = Console(record=True, width=400)
    show_confirmation(confirmation, console)
    assert words in console.export_text()
