import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis import load
from analysis.exceptions import MixedSettingsError, NoBaselineError, SelectionError
from analysis.figures import curve_data, draw_curves
from analysis.statistics import paired_difference
from analysis.tables import (
    accuracy_table,
    common_window,
    metrics_table,
    missing_cells,
    paired_table,
    ranks,
    spending_table,
    summary_table,
    trajectory_table,
    wide,
)


@pytest.fixture
def results(tmp_path, trajectory, write_store):
    """Random and BADGE with three seeds; TypiClust whose seed 1 failed and seed 2 is absent."""
    rows = [
        *(trajectory("random", s, (0.40, 0.60 + s / 100, 0.80)) for s in range(3)),
        *(trajectory("badge", s, (0.30, 0.65 + s / 50, 0.85)) for s in range(3)),
        trajectory("typiclust", 0, (0.5, 0.7, 0.75)),
        trajectory("typiclust", 1, status="failed"),
    ]
    return load(write_store(tmp_path, rows))


def row_of(table, configuration):
    return table.set_index("configuration").loc[configuration]


def test_spending_adds_up_from_round_to_round(tmp_path, trajectory, write_store):
    slow = [{"select_seconds": seconds, "train_seconds": 1.0} for seconds in (1.0, 2.0, 3.0)]
    rows = [trajectory("badge", 0, rounds=slow), trajectory("badge", 1, (0.6, 0.8, 1.0)), trajectory("random", 0)]
    table = spending_table(load(write_store(tmp_path, rows)))
    badge = table[table["configuration"] == "badge"]
    assert badge["select_seconds"].tolist() == pytest.approx([(1 + 0.25) / 2, (3 + 0.5) / 2, (6 + 0.75) / 2])
    assert badge["train_seconds"].tolist() == pytest.approx([0.75, 1.5, 2.25])
    assert badge["mean"].tolist() == pytest.approx([0.5, 0.7, 0.9])
    assert table.groupby("configuration")["n_seeds"].max().to_dict() == {"badge": 2, "random": 1}


def test_accuracy_table(results):
    table = accuracy_table(results)
    assert list(table) == ["configuration", "strategy", "params", "n_labels", "mean", "std", "n_seeds", "complete"]
    cell = table.set_index(["configuration", "n_labels"]).loc[("badge", 20)]
    assert (cell["mean"], cell["std"], cell["n_seeds"]) == pytest.approx((0.67, 0.02, 3))
    single = table[table["configuration"] == "typiclust"]
    assert single["std"].isna().all()
    assert not single["complete"].any()
    assert table.loc[table["configuration"] != "typiclust", "complete"].all()


def test_wide_and_ranks(results):
    table = accuracy_table(results)
    shown = wide(table)
    assert list(shown.columns) == ["badge", "random", "typiclust"]
    assert shown.loc[40].tolist() == pytest.approx([0.85, 0.80, 0.75])
    assert wide(table, "n_seeds").loc[10].tolist() == [3, 3, 1]
    order = ranks(table)
    assert order[["badge", "random"]].to_numpy().tolist() == [[2, 1], [1, 2], [1, 2]]
    assert order["typiclust"].isna().all()


def test_ranks_share_ties(tmp_path, trajectory, write_store):
    rows = [trajectory("random"), trajectory("badge"), trajectory("entropy", accuracy=(0.3, 0.6, 0.9))]
    order = ranks(accuracy_table(load(write_store(tmp_path, rows))))
    assert order.loc[10].to_dict() == {"badge": 1, "entropy": 3, "random": 1}


def test_rounding_ranks_no_equal_means(tmp_path, trajectory, write_store):
    """The same five numbers, added up in two orders."""
    accuracies = {"random": (0.1, 0.6, 0.6, 0.6, 0.3), "badge": (0.6, 0.1, 0.6, 0.3, 0.6)}
    rows = [trajectory(name, seed, [each] * 3) for name, own in accuracies.items() for seed, each in enumerate(own)]
    results = load(write_store(tmp_path, rows))
    means = wide(accuracy_table(results)).loc[10]
    assert means["random"] != means["badge"]
    assert (ranks(accuracy_table(results)) == 1).all(axis=None)


def test_missing_cells(results):
    assert missing_cells(results).to_numpy().tolist() == [
        ["typiclust", 1, "out of memory"],
        ["typiclust", 2, "not run, or not finished"],
    ]


def test_seeds_of_confirmation_are_not_missed_in_tuning(tmp_path, trajectory, write_store):
    rows = [trajectory(seed=0, evaluate_on="tune"), trajectory(seed=10, evaluate_on="confirm")]
    assert missing_cells(load(write_store(tmp_path, rows))).empty


def test_summary(results):
    table = summary_table(results)
    badge = row_of(table, "badge")
    # area over 10..40: (10 (a + b) / 2 + 20 (b + c) / 2) / 30
    areas = [(5 * (0.30 + b) + 10 * (b + 0.85)) / 30 for b in (0.65, 0.67, 0.69)]
    random = [(5 * (0.40 + b) + 10 * (b + 0.80)) / 30 for b in (0.60, 0.61, 0.62)]
    assert (badge["area_mean"], badge["area_std"]) == pytest.approx((np.mean(areas), np.std(areas, ddof=1)))
    assert (badge["area_from"], badge["area_to"], badge["n_labels"]) == (10, 40, 40)
    assert badge["final_mean"] == pytest.approx(0.85)
    expected = paired_difference(pd.Series(areas), pd.Series(random))
    assert (badge["difference"], badge["low"], badge["high"]) == pytest.approx(
        (expected.estimate, expected.low, expected.high)
    )
    assert (badge["n_pairs"], badge["won"], badge["total"], badge["method"]) == (3, 2, 3, "paired Student's t, 95 %")
    assert (badge["select_seconds"], badge["train_seconds"]) == (0.75, 1.5)
    assert badge["complete"]


def test_summary_marks_unequal_seeds_and_pairs_the_shared_ones(results):
    typiclust = row_of(summary_table(results), "typiclust")
    assert not typiclust["complete"]
    assert (typiclust["n_seeds"], typiclust["n_pairs"]) == (1, 1)
    random = (5 * (0.40 + 0.60) + 10 * (0.60 + 0.80)) / 30
    assert typiclust["difference"] == pytest.approx((5 * 1.2 + 10 * 1.45) / 30 - random)
    assert np.isnan(typiclust["low"])
    assert typiclust["won"] == 2


def test_summary_keeps_a_configuration_that_never_finished(tmp_path, trajectory, write_store):
    results = load(write_store(tmp_path, [trajectory(), trajectory("badge", status="failed")]))
    table = summary_table(results)
    assert row_of(table, "badge")["n_seeds"] == 0
    assert not row_of(table, "badge")["complete"]
    assert pd.isna(row_of(table, "badge")["area_mean"])


def test_absent_baseline_refuses_the_paired_columns_alone(tmp_path, trajectory, write_store):
    results = load(write_store(tmp_path, [trajectory("badge"), trajectory("entropy")]))
    for refused in (paired_table, summary_table):
        with pytest.raises(NoBaselineError, match=r"one baseline `random` for badge and entropy \(.* but got none"):
            refused(results)
    plain = summary_table(results, baseline=None)
    assert "difference" not in plain
    assert plain["area_mean"].notna().all()
    assert len(accuracy_table(results)) == 6
    assert row_of(paired_table(results, baseline="badge"), "entropy")["difference"] == 0


def test_failed_baseline_is_absent(tmp_path, trajectory, write_store):
    results = load(write_store(tmp_path, [trajectory("badge"), trajectory("random", status="failed")]))
    with pytest.raises(NoBaselineError, match="but got none"):
        paired_table(results)


def test_baseline_must_be_one_configuration(tmp_path, trajectory, write_store):
    rows = [trajectory("badge"), *(trajectory("entropy", params={"t": t}) for t in (1, 2))]
    results = load(write_store(tmp_path, rows))
    with pytest.raises(NoBaselineError, match=r"but got entropy\[t=1\] and entropy\[t=2\]"):
        paired_table(results, baseline="entropy")
    table = paired_table(results, baseline="entropy[t=1]")
    assert list(table["configuration"]) == ["badge", "entropy[t=2]"]


def test_no_shared_seed_gives_no_difference(tmp_path, trajectory, write_store):
    results = load(write_store(tmp_path, [trajectory("random", 0), trajectory("badge", 1)]))
    badge = row_of(summary_table(results), "badge")
    assert badge["n_pairs"] == 0
    assert np.isnan(badge["difference"])
    assert not badge["complete"]


def test_schedules_are_compared_on_their_common_window(tmp_path, trajectory, write_store):
    def line(*n_labels):
        return {"n_labels": n_labels, "accuracy": [n / 100 for n in n_labels]}

    rows = [
        trajectory("random", schedule="10x4", **line(10, 20, 30, 40)),
        trajectory("random", schedule="20x3", **line(20, 40, 60)),
        trajectory("badge", schedule="20x3", **line(20, 40, 60)),
    ]
    results = load(write_store(tmp_path, rows))
    assert common_window(results) == (20, 40)
    assert trajectory_table(results)["area"].tolist() == pytest.approx([0.3, 0.3, 0.3])
    paired = paired_table(results, baseline="random")
    assert paired[["configuration", "baseline"]].to_numpy().tolist() == [["badge", "random[schedule=20x3]"]]
    with pytest.raises(MixedSettingsError, match="one that ends at 9 labels and one that begins at 20"):
        common_window(load(tmp_path, write_store(tmp_path / "b", [trajectory("x", schedule="3x3", **line(3, 6, 9))])))


def test_window_and_log_reach_the_area(results):
    table = trajectory_table(results, window=(10, 20))
    assert table.loc[table["configuration"] == "typiclust", "area"].tolist() == pytest.approx([0.6])
    logarithmic = trajectory_table(results, log=True)
    assert logarithmic.loc[logarithmic["configuration"] == "typiclust", "area"].tolist() == pytest.approx([0.6625])


def test_tables_of_one_data_set_of_several(tmp_path, trajectory, write_store):
    results = load(write_store(tmp_path, [trajectory(), trajectory("badge", data="svhn"), trajectory(data="svhn")]))
    assert list(summary_table(results, "svhn")["configuration"]) == ["badge", "random"]
    assert set(accuracy_table(results, "digits")["configuration"]) == {"random"}


def test_empty_results(tmp_path, trajectory, write_store):
    results = load(write_store(tmp_path, [trajectory(status="failed")]))
    assert accuracy_table(results).empty
    assert missing_cells(results)["configuration"].tolist() == ["random"]
    with pytest.raises(SelectionError, match="finished trajectories, but got none"):
        summary_table(results)


def test_order_of_writing_changes_nothing(tmp_path, trajectory, write_store):
    rows = [trajectory(name, s, (0.3 + s / 7, 0.6, 0.8)) for name in ("random", "badge") for s in range(4)]
    first = summary_table(load(write_store(tmp_path / "a", rows)))
    pd.testing.assert_frame_equal(first, summary_table(load(write_store(tmp_path / "b", rows[::-1]))))


def test_the_published_table_as_a_notebook_reads_it(published):
    results = load(published)
    assert wide(accuracy_table(results)).loc[60, "ntkcpl_self"].round(4) == 0.7509
    assert set(paired_table(results)["verdict"]) <= {"better", "worse", "open"}
    ax = Figure().add_subplot()
    assert draw_curves(curve_data(results), ax) is ax
    assert [text.get_text() for text in ax.texts if text.get_text()]


METRICS = {
    "balanced_accuracy": 0.5,
    "macro_f1": 0.25,
    "nll": 2.0,
    "ece": 0.1,
    "classes_reached": 2,
    "class_balance": 0.9,
}


def measured(recall, **changed):
    return {**METRICS, "recall": recall, **changed}


def test_metrics_table(tmp_path, trajectory, write_store):
    rounds = [
        [measured([0.5, None, 0.25]), measured([1.0, 0.5, 0.75], nll=1.0)],
        [measured([0.5, 0.5, 0.75]), measured([1.0, 0.5, 0.25], nll=2.0)],
    ]
    rows = [trajectory("random", s, (0.4, 0.6), n_labels=(10, 20), schedule="10x2", rounds=rounds[s]) for s in range(2)]
    old = trajectory("badge", 0, (0.4, 0.6), n_labels=(10, 20), schedule="10x2")
    table = metrics_table(load(write_store(tmp_path, [*rows, old])))
    assert table["configuration"].to_list() == ["random"] * 2
    assert table["n_labels"].to_list() == [10, 20]
    assert table["least_recall"].to_list() == [0.375, 0.375]
    assert table["nll"].to_list() == [2.0, 1.5]
    assert table["n_seeds"].to_list() == [2, 2]
    assert table["balanced_accuracy"].to_list() == [0.5, 0.5]


def test_no_metrics_in_an_old_store(results):
    assert metrics_table(results).empty
