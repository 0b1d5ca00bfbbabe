"""Objective, window, caps that never bind, records: without Ray."""

import numpy as np
import pytest

from analysis.metrics import area_under_curve
from harness.exceptions import SpecError
from harness.trajectory import run_trajectory
from strategies.exceptions import InvalidParameterError
from studies.register import of_sweep
from studies.sweeps.space import Categorical, Space, make_space
from studies.sweeps.trials import Sweep, best_first, make_record, pareto_front, reports, score, values_of

LABELS = (10, 20, 40)
FAST = {"learner": {"epochs": "3", "hidden": "16"}}


def curve(*accuracies, labels=LABELS, seconds=1.0):
    return [
        {"n_labels": n, "accuracy": value, "select_seconds": seconds, "train_seconds": 0.5, "stats": "{}"}
        for n, value in zip(labels, accuracies, strict=False)
    ]


def sweep(clusters="3,6", schedules="5x4;10x2", **options):
    return Sweep("ntkcpl_al", make_space(clusters, schedules, None), (0, 1), FAST, {}, **options)


class TestObjective:
    def test_is_the_area_over_the_common_window(self):
        found = score(curve(0.2, 0.4, 0.8), "area", (20, 40))
        assert found == pytest.approx(0.6)
        assert score(curve(0.2, 0.4, 0.8), "log_area", (10, 40)) == pytest.approx(
            area_under_curve(LABELS, (0.2, 0.4, 0.8), log=True)
        )

    def test_final_is_the_accuracy_at_the_end(self):
        assert score(curve(0.2, 0.4, 0.8), "final", (20, 40)) == 0.8

    def test_schedules_of_one_curve_have_one_objective(self):
        """What rule 7 is for: a straight curve, read at other label counts."""
        coarse, fine = curve(0.5, 1.0, labels=(50, 100)), curve(*np.arange(1, 11) / 10, labels=range(10, 101, 10))
        assert score(coarse, "area", (50, 100)) == pytest.approx(score(fine, "area", (50, 100)))

    def test_is_reported_as_far_as_all_seeds_have_come(self):
        behind, ahead = curve(0.2, 0.4), curve(0.4, 0.6, 0.8)
        assert reports([behind, ahead], "area", (10, 40)) == [(10, pytest.approx(0.3)), (20, pytest.approx(0.4))]
        assert reports([[], ahead], "area", (10, 40)) == []

    def test_is_reported_within_the_window_and_at_the_rungs(self):
        found = reports([curve(0.2, 0.4, 0.8)], "area", (20, 40), rungs=(30, 40))
        assert [labels for labels, _ in found] == [20, 30, 40]
        assert found[1][1] == pytest.approx(0.5)


class TestMetric:
    @pytest.fixture
    def curves(self):
        return [[{**row, "macro_f1": row["accuracy"] / 2} for row in curve(0.2, 0.4, 0.8)]]

    def test_takes_the_place_of_accuracy(self, curves):
        assert score(curves[0], "final", (20, 40), metric="macro_f1") == 0.4
        assert reports(curves, "area", (20, 40), metric="macro_f1")[-1] == (40, pytest.approx(0.3))

    def test_is_part_of_the_study_and_of_no_trajectory(self, pool):
        plain, other = sweep(), sweep(metric="macro_f1")
        assert plain.study(pool) != other.study(pool)
        values = {"max_clusters": 3, "schedule": "5x4"}
        assert plain.specs(values, pool) == other.specs(values, pool)

    def test_rounds_from_before_it_was_kept_are_refused(self, curves):
        rows = [{**row, "macro_f1": None} for row in curves[0]]
        for row in rows:
            row["trajectory_id"] = "abc"
        with pytest.raises(SpecError, match="Expected macro_f1 in every round, but trajectory abc"):
            score(rows, "area", (20, 40), metric="macro_f1")


class TestCap:
    def test_lowered_it_gives_the_same_picks(self, pool, make_spec):
        spec = sweep("50").specs({"max_clusters": 50, "schedule": "5x4"}, pool)[0]
        assert spec.params["max_clusters"] == 10
        asked = spec.model_copy(update={"params": {**spec.params, "max_clusters": 50}})
        for own, other in zip(run_trajectory(spec, pool), run_trajectory(asked, pool), strict=True):
            np.testing.assert_array_equal(own.picks, other.picks)
            assert own.accuracy == other.accuracy

    def test_makes_one_trial_the_cache_hit_of_another(self, pool):
        asked = sweep("20,50")
        ids = [[spec.trajectory_id for spec in asked.specs(values, pool)] for values in asked.space.grid()]
        assert ids[0] == ids[2]
        assert ids[1] == ids[3]
        assert ids[0] != ids[1]


class TestSweep:
    def test_searches_on_the_tune_half_with_its_seeds(self, pool):
        specs = sweep().specs({"max_clusters": 3, "schedule": "5x4"}, pool)
        assert {(spec.seed, spec.evaluate_on) for spec in specs} == {(0, "tune"), (1, "tune")}

    def test_the_default_is_the_strategys_own_on_the_first_schedule(self, pool):
        (spec, _) = sweep("3,6", "10x2;5x4").default_specs(pool)
        assert (spec.schedule, spec.params["max_clusters"]) == ("10x2", 10)

    def test_its_name_is_that_of_what_it_tries(self, pool):
        name = sweep().study(pool)
        assert name == sweep(n_trials=99, search_seed=5).study(pool)
        others = [sweep("3,7"), sweep(objective="final"), sweep(scheduler="asha"), sweep(search="random")]
        assert len({name, *(other.study(pool) for other in others)}) == 5
        assert sweep(search="tpe").study(pool) == sweep(search="tpe", n_trials=99).study(pool)
        assert sweep(search="tpe").study(pool) != sweep(search="tpe", search_seed=5).study(pool)

    def test_what_matters_on_a_later_schedule_alone_is_part_of_its_name_and_of_its_registration(self, pool):
        def fixed(**values):
            space = Space({"ridge": Categorical(choices=(0.1, 0.2))}, ("20x1", "5x4"))
            return Sweep("ntkcpl_al", space, (0, 1), FAST | {"ntkcpl_al": values}, {})

        def registered(sweep):
            default, circumstances = sweep.default_specs(pool)[0], {"study": "", "n_begun": 0, "command": ""}
            return of_sweep(sweep, default, n_trials=4, confirm_seeds=(), **circumstances)

        one, other = fixed(max_clusters=3), fixed(max_clusters=6)
        assert one.default_specs(pool) == other.default_specs(pool)
        assert one.study(pool) != other.study(pool)
        assert registered(one).differences(registered(other)) == ["configurations"]
        assert fixed(max_clusters=50).unshown == {"max_clusters": 50}
        assert fixed().unshown == sweep("3,6", "20x1;5x4").unshown == {}
        assert fixed(max_clusters=100).study(pool) == fixed().study(pool)  # the strategy's own, in words

    def test_rungs_double_from_the_windows_start(self):
        asked = sweep(schedules="10x10;20x5;50x2")
        assert asked.rungs == [100]
        assert sweep(schedules="10x10;20x5", scheduler="asha").rungs == [20, 40, 80, 100]

    @pytest.mark.parametrize(
        ("build", "error", "words"),
        [
            (lambda: sweep("3..6"), SpecError, "--search grid"),
            (
                lambda: sweep(scheduler="asha", by_seconds=True),
                SpecError,
                "no --second-objective with --scheduler asha",
            ),
            (lambda: Sweep("random", make_space("3", "5x2", None), (0,), {}, {}), SpecError, "among none to search"),
            (
                lambda: Sweep("ntkcpl_al", make_space("3", "5x2", None), (0,), {"ntkcpl_al": {"max_clusters": 3}}, {}),
                SpecError,
                "searched or set",
            ),
        ],
    )
    def test_what_does_not_fit_is_refused(self, build, error, words):
        with pytest.raises(error, match=words):
            build()

    def test_values_that_the_strategy_does_not_allow_are_refused_before_the_start(self, pool, tmp_path):
        path = tmp_path / "space.yaml"
        path.write_text("risk: {type: categorical, choices: [zero_one, none]}")
        asked = Sweep("ntkcpl_al", make_space(None, "5x2", path), (0,), {}, {})
        with pytest.raises(InvalidParameterError, match=r"ntkcpl_al\.risk"):
            asked.check(pool)

    def test_a_budget_beyond_the_pool_is_refused_before_the_start(self, pool):
        with pytest.raises(SpecError, match="at most 120 labels"):
            sweep(schedules="5x40").check(pool)


VALUES = {"max_clusters": 3, "schedule": "5x4"}


class TestRecords:
    def record(self, pool, number=0, status="complete", labels=20, curves=None):
        asked = sweep()
        curves = curves or [curve(0.2, 0.4, 0.6, 0.8, labels=(5, 10, 15, 20)) for _ in range(2)]
        return make_record(asked, number, VALUES, asked.specs(VALUES, pool), curves, status, labels)

    def test_a_complete_trial_has_an_objective(self, pool):
        row = self.record(pool).row("sweep", sweep())
        assert (row["objective"], row["objective_std"], row["final_accuracy"]) == (pytest.approx(0.6), 0, 0.8)
        assert (row["status"], row["labels_reached"], row["n_seeds"], row["metric"]) == ("complete", 20, 2, "accuracy")
        assert row["seconds"] == pytest.approx(2 * 4 * 1.5)
        assert len(row["trajectory_ids"]) == 2
        assert (row["maximised"], row["window_from"], row["window_to"]) == ("area", *sweep().space.window)
        assert values_of(row, sweep().space) == VALUES

    @pytest.mark.parametrize("status", ["stopped", "failed"])
    def test_any_other_trial_has_none(self, pool, status):
        record = self.record(pool, status=status, labels=10)
        row = record.row("sweep", sweep())
        assert (row["objective"], row["objective_std"], row["final_accuracy"]) == (None, None, None)
        assert row["labels_reached"] == 10
        assert [labels for labels, _ in record.told.reports] == ([10] if status == "stopped" else [])

    def test_a_trial_that_was_stopped_early_is_never_the_best(self, pool):
        good = [curve(0.9, 0.9, labels=(5, 10)) for _ in range(2)]
        records = [self.record(pool, 0, "failed"), self.record(pool, 1, "stopped", 10, good), self.record(pool, 2)]
        assert [record.number for record in best_first(records)] == [2, 1, 0]
        assert [record.number for record in pareto_front(records)] == [2]

    def test_the_pareto_front_has_what_no_other_trial_beats_twice(self, pool):
        def trial(number, accuracy, seconds):
            curves = [curve(*[accuracy] * 4, labels=(5, 10, 15, 20), seconds=seconds) for _ in range(2)]
            return self.record(pool, number, curves=curves)

        records = [trial(0, 0.5, 1), trial(1, 0.9, 9), trial(2, 0.8, 3), trial(3, 0.7, 4), trial(4, 0.5, 2)]
        assert [record.number for record in pareto_front(records)] == [1, 2, 0]
