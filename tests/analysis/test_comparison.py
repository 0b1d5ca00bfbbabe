import numpy as np
import pandas as pd
import pytest

from analysis import load
from analysis.comparison import (
    effective_budget,
    gain_table,
    labels_saved,
    pairwise_penalties,
    phase_transition,
    win_tie_loss,
)
from analysis.exceptions import NoBaselineError, UnpairedError
from analysis.statistics import holm
from analysis.tables import paired_table

RNG_SEED = 5


@pytest.fixture
def store(tmp_path, trajectory, write_store):
    """Make a store of `name -> accuracies per seed (seeds x label counts)`."""

    def make(n_labels=(10, 20, 40), **curves):
        rows = [
            trajectory(name, seed, list(accuracy), n_labels=list(n_labels))
            for name, seeds in curves.items()
            for seed, accuracy in enumerate(seeds)
        ]
        return load(write_store(tmp_path / "store", rows))

    return make


def noise(seeds, rounds=3, scale=0.01, seed=0):
    drawn = np.random.default_rng(seed).normal(0, scale, (seeds, rounds))
    return drawn - drawn.mean(axis=0)


def by_label(table):
    return table.set_index("configuration")


def test_effective_budget_of_the_published_table(published):
    table = by_label(effective_budget(load(published)))
    assert table["effective_points"].to_dict() == {
        "badge": 4,
        "coreset_self": 2,
        "entropy": 0,
        "lookahead": 4,
        "ntkcpl_al": 11,
        "ntkcpl_self": 9,
        "typiclust": 8,
    }
    assert (table["total_points"] == 12).all()
    assert table["effective_ratio"]["ntkcpl_al"] == pytest.approx(11 / 12)
    assert table["effective_at"]["coreset_self"] == "400 1000"
    assert (table["paired_points"] <= 12).all()


def test_transition_of_the_published_table(published):
    table = by_label(phase_transition(load(published), rng=np.random.default_rng(RNG_SEED)))
    typiclust = table.loc["typiclust"]
    assert typiclust["answer"] == "crossing"
    # 500 labels +0.40, 1,000 labels -0.19: linear in between
    assert typiclust["crossing"] == pytest.approx(500 + 500 * 0.40 / 0.59, abs=1)
    assert 500 < typiclust["crossing"] < 1000
    assert typiclust["final_sign"] == -1
    assert typiclust["low"] <= typiclust["crossing"] <= typiclust["high"]


def test_span_share_is_where_the_line_lies_above(store):
    # threshold: 0.5 + std at every count; the gain crosses it halfway between 10 and 20
    std = np.std([-0.01, 0.01], ddof=1)
    low, high = 0.5 + std - 0.1, 0.5 + std + 0.1
    results = store(random=[[0.49] * 3, [0.51] * 3], badge=[[low, high, high]] * 2)
    row = by_label(effective_budget(results)).loc["badge"]
    assert (row["effective_points"], row["effective_at"]) == (2, "20 40")
    assert row["effective_span_ratio"] == pytest.approx(25 / 30)


def test_paired_rule_asks_for_evidence(store):
    shared = noise(8, scale=0.05)
    results = store(random=0.6 + shared, badge=0.61 + shared + noise(8, scale=0.001, seed=1))
    row = by_label(effective_budget(results)).loc["badge"]
    assert (row["effective_points"], row["paired_points"]) == (0, 3)


def test_one_seed_is_never_effective(store):
    row = by_label(effective_budget(store(random=[[0.1] * 3], badge=[[0.9] * 3]))).loc["badge"]
    assert (row["effective_points"], row["paired_points"], row["effective_span_ratio"]) == (0, 0, 0)


def test_gain_table(store):
    random, badge = 0.6 + noise(6), 0.7 + noise(6, seed=1)
    table = gain_table(store(random=random, badge=badge))
    assert list(table["n_labels"]) == [10, 20, 40]
    assert table["gain"].to_numpy() == pytest.approx((badge - random).mean(axis=0))
    assert table["p_holm"].to_numpy() == pytest.approx(holm(table["p"]))
    assert (table["low"] < table["gain"]).all()


@pytest.mark.parametrize(
    ("gain", "answer", "sign"),
    [
        ((0.2, 0.1, -0.1), "crossing", -1),
        ((-0.2, 0.1, 0.1), "crossing", 1),
        ((0.2, 0.2, 0.2), "none", 1),
        ((-0.2, -0.2, -0.2), "none", -1),
        ((0.2, 0.1, 0.001), "censored", 1),
        ((0.002, 0.1, 0.2), "censored", 1),
        ((0.0, 0.0, 0.0), "none", 0),
    ],
)
def test_answers_of_the_transition(store, gain, answer, sign):
    scale = 0 if sign == 0 else 0.01
    results = store(random=np.full((6, 3), 0.5), badge=0.5 + np.array(gain) + noise(6, scale=scale))
    row = by_label(phase_transition(results, rng=np.random.default_rng(RNG_SEED))).loc["badge"]
    assert (row["answer"], row["final_sign"]) == (answer, sign)
    assert np.isnan(row["crossing"]) == (answer != "crossing")


def test_crossing_with_an_open_end(store):
    results = store(random=np.full((6, 3), 0.5), badge=0.5 + np.array([0.2, 0.1, -0.002]) + noise(6))
    row = by_label(phase_transition(results, rng=np.random.default_rng(RNG_SEED))).loc["badge"]
    assert row["answer"] == "censored"
    assert 20 < row["crossing"] < 40
    assert row["high_open"]
    assert np.isnan(row["high"])
    assert 20 < row["low"] < 40


def test_below_five_seeds_there_is_no_interval(store):
    results = store(random=np.full((4, 3), 0.5), badge=0.5 + np.array([0.2, 0.1, -0.1]) + noise(4))
    row = by_label(phase_transition(results, rng=np.random.default_rng(RNG_SEED))).loc["badge"]
    assert row["answer"] == "censored"
    assert 20 < row["crossing"] < 40
    assert np.isnan([row["low"], row["high"]]).all()


def test_a_gain_that_stays_above_zero_seldom_crosses(store):
    rng = np.random.default_rng(0)
    curves = {f"s{i:02d}": 0.5 + np.array([0.05, 0.01, 0.002]) + rng.normal(0, 0.01, (5, 3)) for i in range(40)}
    table = phase_transition(store(random=np.full((5, 3), 0.5), **curves), rng=np.random.default_rng(RNG_SEED))
    assert (table["answer"] == "crossing").sum() <= 4
    assert table["crossing"].notna().sum() >= 8  # of so many, the mean gain ends below zero


def test_rounding_takes_no_side(store):
    """The seeds of a label count have the same accuracies in another order, so that their mean gain is 0."""
    same = np.random.default_rng(0).integers(200, 300, (6, 30)) / 397
    random = np.column_stack([np.full(6, 0.5), same])
    badge = np.column_stack([np.full(6, 0.6), np.roll(same, 1, axis=0)])
    results = store(random=random, badge=badge, n_labels=range(10, 41))
    row = by_label(phase_transition(results, rng=np.random.default_rng(RNG_SEED))).loc["badge"]
    assert np.isnan(row["crossing"])
    assert row["final_sign"] == 1
    counts = by_label(win_tie_loss(results, band=0.0)).loc["badge"]
    assert counts[["points_won", "points_tied", "points_lost"]].to_list() == [1, 30, 0]


def test_resampling_repeats_with_its_generator(published):
    results = load(published)
    first, again = (phase_transition(results, rng=np.random.default_rng(1)) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    few, other = (phase_transition(results, rng=np.random.default_rng(seed), n_resamples=20) for seed in (1, 2))
    assert not few["low"].equals(other["low"])


def test_labels_saved(store):
    random = np.array([0.4, 0.6, 0.8]) + np.zeros((6, 1))
    badge = np.array([0.6, 0.8, 0.9]) + noise(6, rounds=1, scale=0.005)
    table = labels_saved(store(random=random, badge=badge), rng=np.random.default_rng(RNG_SEED), shares=(0.75, 1.0))
    assert table["target"].tolist() == pytest.approx([0.6, 0.8])
    assert table["baseline_labels"].tolist() == pytest.approx([20, 40])
    assert table["labels"].tolist() == pytest.approx([10, 20], abs=0.5)
    assert table["saved"].tolist() == pytest.approx([10, 20], abs=0.5)
    assert (table["low"] <= table["saved"]).all()


def test_labels_saved_have_an_interval_although_resamples_miss_the_target(store):
    """At 99 % of a curve that is flat at its end, the mean of few seeds gets there, and that of others does not."""
    random = np.array([0.4, 0.7, 0.8]) + np.zeros((6, 1))
    results = store(random=random, badge=random - [0, 0, 0.006] + noise(6, rounds=3, scale=0.01))
    table = labels_saved(results, rng=np.random.default_rng(RNG_SEED), shares=(0.75, 0.99))
    assert np.isfinite(table.loc[0, ["low", "high"]].astype(float)).all()
    assert table.loc[1, "low"] == -np.inf
    assert table.loc[1, "high"] > -np.inf


def test_seconds_are_those_of_the_rounds_up_to_the_target(tmp_path, trajectory, write_store):
    rows = []
    for seed, factor in enumerate((1, 3)):
        slow = [{"select_seconds": factor * seconds} for seconds in (4.0, 2.0, 1.0)]
        rows += [trajectory("random", seed, (0.4, 0.6, 0.8)), trajectory("badge", seed, (0.5, 0.8, 0.9), rounds=slow)]
    table = labels_saved(load(write_store(tmp_path, rows)), rng=np.random.default_rng(RNG_SEED), shares=(0.75, 1.0))
    # badge is at 0.6 within its second round, at 0.8 after it; random, with 0.25 s a round, after two rounds and three
    assert table["labels"].tolist() == pytest.approx([10 + 10 / 3, 20])
    assert table["extra_seconds"].tolist() == pytest.approx([2 * 6.0 - 0.5, 2 * 6.0 - 0.75])


def test_target_that_is_never_reached_is_null(store):
    results = store(random=np.full((5, 3), 0.8), badge=np.full((5, 3), 0.5))
    table = labels_saved(results, rng=np.random.default_rng(RNG_SEED))
    assert table[["labels", "saved", "low", "high", "extra_seconds"]].isna().all(axis=None)
    assert (table["baseline_labels"] == 10).all()


def test_win_tie_loss(store):
    results = store(random=[[0.5] * 3] * 3, badge=[[0.6] * 3, [0.501] * 3, [0.4] * 3])
    row = by_label(win_tie_loss(results)).loc["badge"]
    assert row.to_list() == [1, 1, 1, 0, 3, 0, 0.002]


def test_penalties_are_won_by_the_row(store):
    random = 0.5 + noise(6)
    badge = random + np.array([0.1, 0.1, 0.0]) + noise(6, scale=0.001, seed=1)
    table = pairwise_penalties(store(random=random, badge=badge)).set_index(["configuration", "opponent"])
    assert table.loc[("badge", "random"), "plain"] == pytest.approx(2 / 3)
    assert table.loc[("random", "badge"), "plain"] == 0
    assert (table["holm"] <= table["plain"]).all()
    assert (table["total_points"] == 3).all()


def test_other_schedules_have_no_penalty(tmp_path, trajectory, write_store):
    rows = [trajectory("random", s) for s in range(2)]
    rows += [trajectory("badge", s, (0.5, 0.7), n_labels=(20, 40), schedule="20x2") for s in range(2)]
    assert pairwise_penalties(load(write_store(tmp_path, rows))).empty


@pytest.mark.parametrize("table", [effective_budget, gain_table, win_tie_loss, phase_transition, labels_saved])
def test_comparisons_refuse(tmp_path, trajectory, write_store, table):
    options = {"rng": np.random.default_rng(0)} if table in (phase_transition, labels_saved) else {}
    without = load(write_store(tmp_path / "a", [trajectory("badge"), trajectory("entropy")]))
    with pytest.raises(NoBaselineError, match="one baseline `random` for badge"):
        table(without, **options)
    rows = [trajectory("random", 0), trajectory("random", 1), trajectory("badge", 0)]
    unequal = load(write_store(tmp_path / "b", rows))
    with pytest.raises(UnpairedError, match=r"equal seeds of badge and random, but not both have \[1\]"):
        table(unequal, **options)
    assert len(table(unequal.shared_seeds(), **options))


def test_penalties_refuse_unequal_seeds(tmp_path, trajectory, write_store):
    rows = [trajectory("random", 0), trajectory("random", 1), trajectory("badge", 0)]
    with pytest.raises(UnpairedError, match="equal seeds"):
        pairwise_penalties(load(write_store(tmp_path, rows)))


def test_differences_without_a_spread_are_no_evidence(tmp_path, trajectory, write_store):
    """Of a few seeds on a small test set, equal differences happen by chance."""
    rows = [
        trajectory(name, seed, [0.4 + gain + seed / 100, 0.6 + gain + seed / 50, 0.8 + seed * gain])
        for seed in range(3)
        for name, gain in (("random", 0.0), ("badge", 0.05))
    ]
    results = load(write_store(tmp_path, rows))
    gains = gain_table(results).set_index("n_labels")
    assert gains["gain"].iloc[:2].to_numpy() == pytest.approx([0.05, 0.05])
    assert gains[["low", "high", "p", "p_holm"]].iloc[:2].isna().all(axis=None)
    assert gains["p"].notna().iloc[2]
    assert effective_budget(results)["paired_points"].item() == 0
    penalties = pairwise_penalties(results)
    assert (penalties[["plain", "holm"]] == 0).all(axis=None)
    (row,) = paired_table(results, window=(10, 20)).to_dict("records")
    assert row["verdict"] == "open"
    assert row["difference"] == pytest.approx(0.05)
    assert np.isnan([row[key] for key in ("low", "high", "p", "p_holm", "detectable")]).all()
