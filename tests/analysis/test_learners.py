import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from analysis import load
from analysis.exceptions import MixedSettingsError, SelectionError
from analysis.learners import agreement_findings, agreement_table, areas_by_learner, rank_table
from analysis.report import make_report, report_files

LINEAR = {"name": "linear", "version": 1, "params": {"penalty": "chosen"}}
KNN = {"name": "knn", "version": 1, "params": {"neighbours": 20}}
HEIGHTS = {
    "mlp": {"random": 0.5, "badge": 0.6, "typiclust": 0.7, "entropy": 0.4},
    "linear": {"random": 0.5, "badge": 0.7, "typiclust": 0.6, "entropy": 0.4},
}


def rows_of(trajectory, learner, heights, n_seeds=6, **changes):
    noise = np.random.default_rng(0).normal(size=(len(heights), n_seeds)) / 100
    return [
        trajectory(name, seed, [height + noise[i, seed]] * 3, learner=learner, **changes)
        for i, (name, height) in enumerate(heights.items())
        for seed in range(n_seeds)
    ]


@pytest.fixture
def store(tmp_path, trajectory, write_store):
    rows = [
        row
        for name, learner in (("mlp", None), ("linear", LINEAR))
        for row in rows_of(trajectory, learner, HEIGHTS[name])
    ]
    return write_store(tmp_path / "store", [*rows, trajectory("only_mlp")])


@pytest.fixture
def results(store):
    return load(store, by_learner=True)


def areas(**means):
    """`seeds x strategies` by learner, without noise."""
    names = [f"s{i}" for i in range(len(next(iter(means.values()))))]
    return {learner: pd.DataFrame([values] * 5, columns=names) for learner, values in means.items()}


def test_learners_are_mixed_on_request_alone(store, results):
    with pytest.raises(MixedSettingsError, match=r"learner=linear.* Compare them with --by-learner\."):
        load(store)
    assert results.data_names == ["digits (linear)", "digits (mlp)"]
    assert results.learners == {"digits (linear)": ("digits", "linear"), "digits (mlp)": ("digits", "mlp")}
    assert set(results.rounds["data"]) == set(results.data_names)


def test_one_learner_is_nothing_to_compare(tmp_path, trajectory, write_store):
    with pytest.raises(SelectionError, match="several learners"):
        load(write_store(tmp_path, [trajectory()]), by_learner=True)


def test_settings_tell_learners_of_one_name_apart(tmp_path, trajectory, write_store):
    other = {**KNN, "params": {"neighbours": 3}}
    rows = [*(trajectory(learner=learner) for learner in (KNN, other, LINEAR)), trajectory(data="svhn", data_hash="h2")]
    found = load(write_store(tmp_path, rows), by_learner=True)
    assert sorted(learner for _, learner in found.learners.values()) == [
        "knn[neighbours=20]",
        "knn[neighbours=3]",
        "linear",
    ]
    assert "svhn" in found.data_names


def test_ranks_of_what_all_learners_have(results):
    table = rank_table(areas_by_learner(results, "digits")).set_index("configuration")
    assert list(table.columns) == ["linear", "mlp", "mean_rank"]
    assert table.loc[["typiclust", "badge", "random", "entropy"]].to_numpy().tolist() == [
        [2, 1, 1.5],
        [1, 2, 1.5],
        [3, 3, 3],
        [4, 4, 4],
    ]


def test_a_turn_beyond_the_noise_is_found(results):
    table = agreement_table(areas_by_learner(results, "digits"))
    (row,) = table.to_dict("records")
    assert (row["n_pairs"], row["n_turned"], row["n_surely_turned"], row["n_seeds"]) == (6, 1, 1, 6)
    assert row["tau"] == pytest.approx(4 / 6)
    (said,) = agreement_findings(table, "digits")
    assert "1 of 6 pairs of strategies change their order, 1 of them beyond the noise" in said
    assert said.endswith("So the order of the strategies depends on the learner.")


def test_tau_is_kendalls():
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=(2, 9))
    found = agreement_table(areas(a=one, b=other))
    assert found["tau"][0] == pytest.approx(kendalltau(one, other).statistic)


def test_noise_is_no_turn():
    rng = np.random.default_rng(2)
    found = agreement_table({name: pd.DataFrame(rng.normal(size=(5, 8))) for name in "ab"})
    assert found["n_turned"][0] > 5
    assert found["n_surely_turned"][0] == 0
    assert "do not show that the order" in agreement_findings(found, "digits")[0]


def test_one_seed_turns_nothing_surely():
    one = {learner: table.iloc[:1] for learner, table in areas(a=[1, 2, 3.0], b=[3, 2, 1.0]).items()}
    found = agreement_table(one)
    assert (found["tau"][0], found["n_turned"][0], found["n_surely_turned"][0]) == (-1, 3, 0)
    assert "tau is -1.00 with 1 seed;" in agreement_findings(found, "digits")[0]


def test_the_page_has_ranks_agreement_and_a_section_for_each_learner(results):
    report = make_report(results)
    assert report.across_title == "Across learners"
    assert [table.name for table in report.across] == ["learners", "learner_agreement"]
    assert [section.name for section in report.sections] == ["digits (linear)", "digits (mlp)"]
    files = dict(report_files(report, ["html", "csv"]))
    assert {"tables/learners.csv", "tables/digits-mlp/verdict.csv"} <= set(files)
    assert b"Across learners" in files["index.html"]


def test_data_sets_are_ranked_over_under_each_learner(tmp_path, trajectory, write_store):
    rows = [
        row
        for data in ("digits", "svhn")
        for name, learner in (("mlp", None), ("linear", LINEAR))
        for row in rows_of(trajectory, learner, HEIGHTS[name], data=data, data_hash=data)
    ]
    rows.append(trajectory(data="alone", data_hash="h3"))
    report = make_report(load(write_store(tmp_path, rows), by_learner=True))
    assert report.across_title == "Across learners, and across data sets under each"
    tables = {table.name: table for table in report.across}
    assert {"learners-digits", "learners-svhn", "ranks-linear", "ranks-mlp", "effective_budgets-mlp"} <= set(tables)
    best = {name: tables[f"ranks-{name}"].frame["configuration"].iloc[0] for name in ("linear", "mlp")}
    assert best == {"linear": "badge", "mlp": "typiclust"}
    assert tables["ranks-mlp"].frame["n_data"].tolist() == [2] * 4
    assert tables["ranks-mlp"].title == "Average ranks over data sets, learner mlp"
    assert report.notes[-1] == ("Left out across data sets, because each has only one learner: alone.")


def test_too_few_strategies_are_said(tmp_path, trajectory, write_store):
    rows = [row for learner in (None, LINEAR) for row in rows_of(trajectory, learner, {"random": 0.5, "badge": 0.6})]
    report = make_report(load(write_store(tmp_path, rows), by_learner=True))
    assert report.across == []
    assert report.notes == [
        "No comparison of learners: Expected 3 strategies finished with every learner on digits, but got 2."
    ]
