import json

import pytest

from analysis import load
from analysis.diagnostics import cluster_table, cost_table, diagnosis_table
from analysis.figures.diagnostics import coverage_data, error_data


def measured(shift=0.0, clusters=(10, 10, 20)):
    return [
        {
            "n_clusters": n,
            "coverage_estimated": 0.9 - shift,
            "coverage_ntk_true": 0.8,
            "coverage_true": 0.7,
            "stats": json.dumps(
                {"p_nff": 0.1 + shift, "p_fnf": 0.05, "ntk_error": 0.2, "estimate_error": 0.2 - shift, "cap_bound": 0}
            ),
        }
        for n in clusters
    ]


@pytest.fixture
def results(tmp_path, trajectory, write_store):
    rows = [trajectory("ntkcpl_al", seed, rounds=measured(seed / 10)) for seed in range(2)]
    return load(write_store(tmp_path, [*rows, trajectory("random")]))


def test_errors_are_read_from_the_rounds(results):
    table = diagnosis_table(results)
    assert set(table["configuration"]) == {"ntkcpl_al"}
    first = table.iloc[0]
    assert (first["coverage_estimated"], first["p_nff"], first["error_cpl"], first["n_seeds"]) == pytest.approx(
        (0.85, 0.15, 0.2, 2)
    )
    assert (first["error_bound"], first["estimate_error"]) == pytest.approx((0.4, 0.15))


def test_figures_take_label_counts_and_clusters(results):
    coverage = coverage_data(results, "ntkcpl_al")
    assert list(coverage["n_labels"].unique()) == [10, 20, 40]
    assert coverage["curve"].nunique() == 5
    sides = coverage[coverage["n_labels"] == 10].set_index("curve")["mean"]
    assert (sides["error of the estimate"], sides["bound on the error (eq. 5)"]) == pytest.approx((0.15, 0.4))
    errors = error_data(results, "ntkcpl_al")
    assert list(errors["n_clusters"].unique()) == [10, 20]
    impurity = errors[errors["curve"].str.startswith("impurity")]
    assert impurity["mean"].tolist() == pytest.approx([0.15, 0.15])


def test_a_store_from_before_the_error_of_the_estimate_has_its_bound(tmp_path, trajectory, write_store):
    rounds = [row | {"stats": json.dumps({"p_nff": 0.1, "p_fnf": 0.1, "ntk_error": 0.1})} for row in measured()]
    results = load(write_store(tmp_path, [trajectory("ntkcpl_al", rounds=rounds)]))
    first = diagnosis_table(results).iloc[0]
    assert first["error_bound"] == pytest.approx(0.3)
    assert first.isna()["estimate_error"]
    assert "error of the estimate" not in set(coverage_data(results, "ntkcpl_al")["curve"])


def test_strategies_without_coverage_have_no_diagnosis(tmp_path, trajectory, write_store):
    assert diagnosis_table(load(write_store(tmp_path, [trajectory()]))).empty


def test_cost(results):
    row = cost_table(results).set_index("configuration").loc["ntkcpl_al"]
    assert (row["select_seconds"], row["train_seconds"], row["slowest_round"]) == (0.75, 1.5, 0.25)
    assert (row["select_std"], row["peak_bytes"], row["n_seeds"]) == (0, 2**20, 2)


def test_caps_that_differ_alone_make_a_curve(tmp_path, trajectory, write_store):
    rows = [
        trajectory("ntkcpl_al", seed, [cap / 100] * 3, params={"max_clusters": cap, "ridge": ridge})
        for cap in (50, 100)
        for ridge in (0.1, 0.2)
        for seed in range(2)
    ]
    rows += [trajectory("random"), trajectory("ntkcpl_self", params={"max_clusters": 50})]
    table = cluster_table(load(write_store(tmp_path, rows)))
    assert table["max_clusters"].tolist() == [50, 100, 50, 100]
    assert set(table["curve"]) == {"ntkcpl_al (ridge=0.1)", "ntkcpl_al (ridge=0.2)"}
    assert table["area_mean"].tolist() == pytest.approx([0.5, 1, 0.5, 1])
    assert (table["n_seeds"] == 2).all()
