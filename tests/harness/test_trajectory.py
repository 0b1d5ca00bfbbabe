"""Rules 1 to 4 and 10 of a trustworthy comparison, on whole trajectories."""

import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from harness.data import NO_CLASS, load_dataset
from harness.learner import Inputs, train
from harness.record import History
from harness.spec import LearnerSpec, TrajectorySpec
from harness.streams import stream
from harness.trajectory import run_trajectory
from strategies.base import Compute, draw_uniformly
from strategies.boss import PROPOSERS, Boss
from strategies.exceptions import InvalidSelectionError
from strategies.registry import BUILT_IN

STRATEGIES = list(BUILT_IN)
PARAMETERS = {"refine": {"n_batches": 9, "n_filters": 1}}  # by default a round is 495 selections
RANDOM_FIRST = [name for name, strategy in BUILT_IN.items() if not strategy.chooses_first_round]


def outcome(records):
    """All of a trajectory that must not depend on how it was run."""
    return [
        {
            "round": record.round,
            "n_labels": record.n_labels,
            "n_query": record.n_query,
            "accuracy": record.accuracy,
            "n_clusters": record.n_clusters,
            "coverage": [record.coverage_estimated, record.coverage_ntk_true, record.coverage_true],
            "picks": record.picks.tolist(),
            "scores": None if record.scores is None else record.scores.tolist(),
            "metrics": record.metrics,
        }
        for record in records
    ]


def picks_of(records):
    return np.concatenate([record.picks for record in records])


def scrambled(labels, points):
    """The labels with those of `points` replaced by another class."""
    changed = labels.copy()
    changed[points] = (changed[points] + 1) % (changed.max() + 1)
    return changed


@pytest.fixture(scope="module")
def trajectories(pool, make_spec):
    """Each built-in strategy once: its spec and records."""
    specs = {name: make_spec(name, PARAMETERS.get(name)) for name in STRATEGIES}
    return {name: (spec, list(run_trajectory(spec, pool))) for name, spec in specs.items()}


def test_a_strategy_is_told_the_queries_so_far(pool, make_spec, monkeypatch):
    seen = []

    def watch(self, view, n, *, rng):
        seen.append((view.queries, view.first_query))
        return draw_uniformly(view, n, rng)

    monkeypatch.setattr(BUILT_IN["random"], "_select", watch)
    spec = make_spec(schedule="5x2,20")
    records = list(run_trajectory(spec, pool))
    assert seen == [((), 0), ((5,), 5), ((5, 5), 5)]
    history = History([record.picks for record in records[:2]], records[1].accuracy)
    assert len(list(run_trajectory(spec, pool, history=history))) == 1
    assert seen[3:] == [((5, 5), 5)]


def test_labels_are_bought_by_the_schedule(pool, make_spec):
    records = list(run_trajectory(make_spec(schedule="5x2,20"), pool))
    assert [(record.round, record.n_query, record.n_labels) for record in records] == [
        (0, 5, 5),
        (1, 5, 10),
        (2, 20, 30),
    ]
    assert [len(record.picks) for record in records] == [5, 5, 20]


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_whole_pool_can_be_bought(pool, make_spec, name):
    records = list(run_trajectory(make_spec(name, PARAMETERS.get(name), schedule="1,59,60"), pool))
    np.testing.assert_array_equal(np.sort(picks_of(records)), np.arange(len(pool.x_train)))


@pytest.mark.parametrize("name", ["ntkcpl_self", "ntkcpl_al"])
def test_the_error_of_the_estimate_is_within_its_bound(trajectories, name):
    _, records = trajectories[name]
    for record in records:
        stats = record.stats
        bound = stats["p_nff"] + stats["p_fnf"] + stats["ntk_error"]
        assert stats["estimated_risk"] == pytest.approx(1 - record.coverage_estimated)
        assert stats["estimate_error"] == pytest.approx(abs(record.coverage_estimated - record.coverage_true))
        assert 0 <= stats["estimate_error"] <= bound + 1e-12
    assert any(record.stats["estimate_error"] > 0 for record in records)


class TestRule1PairedSeeds:
    def test_strategies_that_need_labels(self):
        assert {"entropy", "badge", "lookahead", "coreset_al", "margin"} <= set(RANDOM_FIRST)

    @pytest.mark.parametrize("name", RANDOM_FIRST)
    def test_first_rounds_are_randoms(self, trajectories, name):
        (_, (first, *_)), (_, (of_random, *_)) = trajectories[name], trajectories["random"]
        np.testing.assert_array_equal(first.picks, of_random.picks)
        assert first.accuracy == of_random.accuracy

    def test_seeds_differ(self, pool, make_spec):
        first = [next(run_trajectory(make_spec(seed=seed), pool)).picks.tolist() for seed in range(5)]
        assert len({tuple(picks) for picks in first}) == 5

    def test_order_of_execution_changes_nothing(self, pool, trajectories):
        names = ("random", "badge", "ntkcpl_self")
        running = [run_trajectory(trajectories[name][0], pool) for name in names]
        turns = list(zip(*running, strict=True))
        for name, records in zip(names, zip(*turns, strict=True), strict=True):
            assert outcome(records) == outcome(trajectories[name][1])

    @pytest.mark.parametrize("name", STRATEGIES)
    def test_global_random_states_are_untouched(self, pool, make_spec, name):
        def states():
            kind, keys, *rest = np.random.get_state()  # noqa: NPY002
            return random.getstate(), kind, keys.tobytes(), *rest, torch.get_rng_state().numpy().tobytes()

        before = states()
        list(run_trajectory(make_spec(name, PARAMETERS.get(name), schedule="5x2"), pool))
        assert states() == before


class TestRule2OracleBarrier:
    @pytest.mark.parametrize("name", STRATEGIES)
    def test_labels_that_are_never_bought_change_no_pick_and_no_score(self, pool, trajectories, name):
        spec, records = trajectories[name]
        never = np.setdiff1d(np.arange(len(pool.x_train)), picks_of(records))
        other = replace(pool, y_train=scrambled(pool.y_train, never))
        assert (other.y_train[never] != pool.y_train[never]).all()
        for record, expected in zip(run_trajectory(spec, other), records, strict=True):
            np.testing.assert_array_equal(record.picks, expected.picks)
            np.testing.assert_array_equal(record.scores, expected.scores)
            assert record.accuracy == expected.accuracy

    @pytest.mark.parametrize("name", ["entropy", "ntkcpl_al"])
    def test_labels_that_are_bought_do_change_picks(self, pool, trajectories, name):
        spec, records = trajectories[name]
        other = replace(pool, y_train=scrambled(pool.y_train, records[0].picks[:2]))
        rerun = list(run_trajectory(spec, other))
        np.testing.assert_array_equal(rerun[0].picks, records[0].picks)
        assert picks_of(rerun).tolist() != picks_of(records).tolist()

    @pytest.mark.parametrize("name", STRATEGIES)
    def test_test_data_change_no_pick_and_no_score(self, pool, trajectories, name):
        spec, records = trajectories[name]
        other = replace(pool, x_test=-pool.x_test, y_test=scrambled(pool.y_test, np.arange(len(pool.y_test))))
        for record, expected in zip(run_trajectory(spec, other), records, strict=True):
            np.testing.assert_array_equal(record.picks, expected.picks)
            np.testing.assert_array_equal(record.scores, expected.scores)

    def test_an_oracle_buys_what_is_best_for_the_test_data(self, pool, make_spec):
        """With other test data it buys other points; what it records is the best that it judged."""
        spec = make_spec("boss", {"n_batches": 12})
        records = list(run_trajectory(spec, pool))
        assert all(record.accuracy >= record.stats["mean_judged"] for record in records)
        assert {record.stats["proposer"] for record in records} <= {each.name for each in PROPOSERS}
        other = replace(pool, y_test=scrambled(pool.y_test, np.arange(len(pool.y_test))))
        assert picks_of(run_trajectory(spec, other)).tolist() != picks_of(records).tolist()

    def test_the_best_batch_of_an_oracle_is_bought(self, pool, make_spec, monkeypatch):
        batches = [np.arange(5 * i, 5 * i + 5) for i in range(6)]
        monkeypatch.setattr(Boss, "propose", lambda self, view, n, rng: (("someone", batch) for batch in batches))
        (record,) = run_trajectory(make_spec("boss", schedule="5x1"), pool)
        accuracies = []
        for batch in batches:
            monkeypatch.setattr(Boss, "propose", lambda self, view, n, rng, batch=batch: [("someone", batch)])
            accuracies += [each.accuracy for each in run_trajectory(make_spec("boss", schedule="5x1"), pool)]
        assert record.accuracy == max(accuracies)
        assert record.stats["mean_judged"] == pytest.approx(np.mean(accuracies))
        np.testing.assert_array_equal(record.picks, batches[int(np.argmax(accuracies))])

    def test_an_oracle_goes_on_where_it_was(self, pool, make_spec):
        spec = make_spec("boss", {"n_batches": 8})
        records = list(run_trajectory(spec, pool))
        history = History([record.picks for record in records[:2]], records[1].accuracy)
        np.testing.assert_array_equal(picks_of(run_trajectory(spec, pool, history=history)), picks_of(records[2:]))


class TestRule3FinalCheckpoint:
    def test_accuracy_is_that_of_the_weights_after_the_last_step(self, pool, make_spec):
        spec = make_spec("badge", learner=LearnerSpec(hidden=16, epochs=20), seed=2)
        labelled = np.empty(0, dtype=np.int64)
        inputs = Inputs.of(pool.x_train, spec.learner.scaling, "cpu")
        test = inputs.scaled(pool.x_test)
        for record in run_trajectory(spec, pool):
            labelled = np.concatenate([labelled, record.picks])
            draw = partial(stream, spec.seed, round_=record.round)
            learner = train(inputs, labelled, pool.y_train[labelled], pool.n_classes, spec.learner, draw)
            assert record.accuracy == (learner.predict(test) == pool.y_test).mean()

    def test_test_labels_change_nothing_but_what_is_measured_on_them(self, pool, trajectories):
        spec, records = trajectories["ntkcpl_al"]
        flipped = replace(pool, y_test=scrambled(pool.y_test, np.arange(0, len(pool.y_test), 2)))
        rerun = list(run_trajectory(spec, flipped))
        assert [r.accuracy for r in rerun] != [r.accuracy for r in records]
        for record, other in zip(outcome(records), outcome(rerun), strict=True):
            assert {**other, "accuracy": record["accuracy"], "metrics": record["metrics"]} == record


class TestRule4TuneAndConfirm:
    def test_halves_are_measured_apart(self, pool, make_spec):
        accuracies = {}
        for part in ("all", "tune", "confirm"):
            spec = make_spec(evaluate_on=part)
            accuracies[part] = np.array([record.accuracy for record in run_trajectory(spec, pool)])
        assert (accuracies["tune"] != accuracies["confirm"]).any()
        np.testing.assert_allclose((accuracies["tune"] + accuracies["confirm"]) / 2, accuracies["all"])

    @pytest.mark.parametrize(("part", "other"), [("tune", "confirm"), ("confirm", "tune")])
    def test_labels_of_the_other_half_change_nothing(self, pool, make_spec, part, other):
        spec = make_spec("entropy", evaluate_on=part)
        changed = replace(pool, y_test=scrambled(pool.y_test, pool.test_half(other)))
        assert outcome(run_trajectory(spec, changed)) == outcome(run_trajectory(spec, pool))

    def test_halves_depend_on_the_hash_of_the_data_alone(self, pool):
        renamed = replace(pool, name="another", y_train=scrambled(pool.y_train, np.arange(9)))
        np.testing.assert_array_equal(renamed.test_half("tune"), pool.test_half("tune"))
        rehashed = replace(pool, content_hash="0" * 64)
        assert rehashed.test_half("tune").tolist() != pool.test_half("tune").tolist()


@pytest.fixture(scope="module")
def hard(pool):
    """A third of the labels wrong, and 40 of 160 points without a class, far from all others."""
    rng = np.random.default_rng(5)
    given = scrambled(pool.y_train, np.arange(0, 120, 3))
    nothing = np.full(40, NO_CLASS)
    order = rng.permutation(160)
    outside = (rng.normal(size=(40, pool.x_train.shape[1])) - 4).astype(np.float32)
    return replace(
        pool,
        x_train=np.concatenate([pool.x_train, outside])[order],
        y_train=np.concatenate([pool.y_train, nothing])[order],
        given=np.concatenate([given, nothing])[order],
    )


class TestHardPools:
    @pytest.mark.parametrize("name", STRATEGIES)
    def test_a_strategy_sees_the_labels_that_it_bought_and_no_others(self, hard, make_spec, name):
        """Neither true classes, nor labels that are never bought, nor which of those points have a class."""
        spec = make_spec(name, PARAMETERS.get(name), schedule="6x4")
        records = list(run_trajectory(spec, hard))
        bought = picks_of(records)
        assert len(np.unique(bought)) == 24
        never = np.setdiff1d(np.arange(160), bought)
        truth = hard.y_train.copy()
        truth[truth != NO_CLASS] = (truth[truth != NO_CLASS] + 1) % 3
        given = hard.given.copy()
        given[never] = np.where(given[never] == NO_CLASS, 0, NO_CLASS)
        for record, expected in zip(
            run_trajectory(spec, replace(hard, y_train=truth, given=given)), records, strict=True
        ):
            np.testing.assert_array_equal(record.picks, expected.picks)
            np.testing.assert_array_equal(record.scores, expected.scores)
            assert record.accuracy == expected.accuracy

    @pytest.mark.parametrize("name", ["random", "coreset_self", "typiclust", "ntkcpl_al"])
    def test_a_label_of_no_class_is_spent_and_teaches_nothing(self, hard, make_spec, monkeypatch, name):
        seen = []
        select = BUILT_IN[name]._select

        def watch(self, view, n, *, rng):
            seen.append(view)
            return select(self, view, n, rng=rng)

        monkeypatch.setattr(BUILT_IN[name], "_select", watch)
        records = list(run_trajectory(make_spec(name, schedule="10x4"), hard))
        assert [record.n_labels for record in records] == [10, 20, 30, 40]
        n_lost = np.cumsum([(hard.labels[record.picks] == NO_CLASS).sum() for record in records])
        assert n_lost[-2] > 0
        assert [record.stats.get("n_no_class", 0) for record in records] == n_lost.tolist()
        views = seen[-3:]  # of rounds 1 to 3; without a classifier some are not asked
        for round_, view in enumerate(views, start=1):
            lost = int(n_lost[round_ - 1])
            assert (len(view.labelled), len(view.features)) == (10 * round_ - lost, 160 - lost)
            assert len(view.unlabelled) == 160 - 10 * round_
            bought = np.concatenate([record.picks for record in records[:round_]])
            kept = bought[hard.labels[bought] != NO_CLASS]
            np.testing.assert_array_equal(view.features[view.labelled], hard.x_train[kept])
            np.testing.assert_array_equal(view.labels, hard.labels[kept])
            assert view.model.probabilities.shape == (160 - lost, 3)
            assert len(view.model.embedding) == 160 - lost
            assert view.queries == (10,) * round_

    @pytest.mark.parametrize("name", ["typiclust", "ntkcpl_al", "uherding"])
    def test_after_resumption(self, hard, make_spec, name):
        spec = make_spec(name, schedule="10x4")
        records = list(run_trajectory(spec, hard))
        history = History([record.picks for record in records[:2]], records[1].accuracy)
        assert outcome(run_trajectory(spec, hard, history=history)) == outcome(records[2:])

    def test_a_first_round_without_a_class(self, hard, make_spec):
        only_outside = replace(hard, given=np.full(160, NO_CLASS))
        for name in ("random", "entropy", "ntkcpl_al", "typiclust"):
            records = list(run_trajectory(make_spec(name, schedule="5x2"), only_outside))
            assert [record.accuracy for record in records] == [(hard.y_test == 0).mean()] * 2
            assert len(np.unique(picks_of(records))) == 10

    def test_an_oracle_judges_what_it_would_get(self, hard, make_spec):
        records = list(run_trajectory(make_spec("boss", {"n_batches": 6}, schedule="10x3"), hard))
        assert len(np.unique(picks_of(records))) == 30
        assert all(record.accuracy >= record.stats["mean_judged"] for record in records)

    def test_coverage_is_that_of_true_classes(self, hard, make_spec):
        spec = make_spec("ntkcpl_al", schedule="20x2", learner=LearnerSpec(hidden=16, epochs=30))
        (_, record) = run_trajectory(spec, hard)
        truth = np.where(hard.y_train == NO_CLASS, NO_CLASS, (hard.y_train + 1) % 3)
        (_, other) = run_trajectory(spec, replace(hard, y_train=truth))
        assert other.coverage_estimated == record.coverage_estimated
        assert other.coverage_true != record.coverage_true
        assert other.coverage_ntk_true != record.coverage_ntk_true


def test_a_text_under_a_name_that_reports_compute_with_is_refused(pool, make_spec, monkeypatch):
    def select(self, view, n, *, rng):
        return replace(draw_uniformly(view, n, rng), stats={"mine": "a text", "stored_share": "half"})

    monkeypatch.setattr(BUILT_IN["random"], "_select", select)
    with pytest.raises(InvalidSelectionError, match=r"Expected a number as `stored_share` .* of `random`.*'half'"):
        list(run_trajectory(make_spec("random"), pool))


class TestRule10SamePicksEverywhere:
    @pytest.mark.parametrize("n_threads", [2, 3])
    @pytest.mark.parametrize("name", STRATEGIES)
    def test_for_any_number_of_threads(self, pool, trajectories, name, n_threads):
        spec, records = trajectories[name]
        assert outcome(run_trajectory(spec, pool, compute=Compute(n_threads=n_threads))) == outcome(records)

    @pytest.mark.parametrize("name", ["typiclust", "probcover", "lookahead", "ntkcpl_al"])
    def test_for_any_number_of_threads_on_a_pool_of_several_tiles(self, make_spec, name):
        digits = load_dataset("digits")
        spec = make_spec(name, PARAMETERS.get(name), schedule="10x2", data_hash=digits.content_hash)
        one, three = (outcome(run_trajectory(spec, digits, compute=Compute(n_threads=n))) for n in (1, 3))
        assert one == three

    @pytest.mark.parametrize("n_done", [1, 3, 4])
    @pytest.mark.parametrize("name", STRATEGIES)
    def test_after_resumption(self, pool, trajectories, name, n_done):
        spec, records = trajectories[name]
        history = History([record.picks for record in records[:n_done]], records[n_done - 1].accuracy)
        assert outcome(run_trajectory(spec, pool, history=history)) == outcome(records[n_done:])

    def test_a_history_with_another_accuracy_is_started_again(self, pool, trajectories):
        spec, records = trajectories["ntkcpl_al"]
        altered = np.nextafter(records[1].accuracy, 1)
        history = History([record.picks for record in records[:2]], altered)
        assert outcome(run_trajectory(spec, pool, history=history)) == outcome(records)

    def test_an_empty_history_is_none(self, pool, trajectories):
        spec, records = trajectories["random"]
        assert outcome(run_trajectory(spec, pool, history=History([], 0.5))) == outcome(records)

    def test_in_another_process_with_more_threads(self, pool_file, trajectories):
        names = ("badge", "ntkcpl_al")
        environment = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "3")
        command = [
            sys.executable,
            __file__,
            str(pool_file),
            *(trajectories[name][0].model_dump_json() for name in names),
        ]
        found = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
        assert json.loads(found.stdout) == [outcome(trajectories[name][1]) for name in names]


if __name__ == "__main__":
    data = load_dataset(sys.argv[1])
    specs = [TrajectorySpec.model_validate_json(text) for text in sys.argv[2:]]
    sys.stdout.write(json.dumps([outcome(run_trajectory(spec, data)) for spec in specs]))
