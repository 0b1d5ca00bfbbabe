import numpy as np
import pytest

from analysis import load
from analysis.across import (
    areas_by_data,
    budgets_by_data,
    iqm_table,
    on_some,
    rank_table,
    rank_warning,
    seeds_left_out,
    unlike,
)
from analysis.comparison import effective_budget
from analysis.exceptions import NoBaselineError, SelectionError


@pytest.fixture
def results(tmp_path, trajectory, write_store):
    heights = {"random": 0.5, "badge": 0.6, "typiclust": 0.7}
    rows = [
        trajectory(name, seed, [height + seed / 100] * 3, data=data, data_hash=data)
        for data in ("a", "b", "c")
        for name, height in heights.items()
        for seed in range(5)
    ]
    return load(write_store(tmp_path, [*rows, trajectory("only_a", data="a", data_hash="a")]))


def test_ranks(results):
    table = rank_table(results).set_index("configuration")
    assert list(table.index) == ["typiclust", "badge", "random"]
    assert table["mean_rank"].to_list() == [1, 2, 3]
    assert np.isnan(table.loc["random", "p"])
    assert table.loc["badge", ["p", "p_holm", "n_data"]].to_list() == [0.25, 0.5, 3]


def test_too_few_data_sets_are_named():
    assert "5 data sets are too few for a test" in rank_warning(5, 2)
    assert "0.0625" in rank_warning(5, 2)
    assert rank_warning(6, 2) is None
    assert "From 9 data sets on" in rank_warning(6, 8)


def test_interquartile_mean_over_data(results):
    table = iqm_table(results, rng=np.random.default_rng(0)).set_index("configuration")
    # mean area of random 0.52; badge 0.60 to 0.64 on each data set
    assert table.loc["badge", "iqm"] == pytest.approx((0.62 - 0.52) / 0.48)
    assert table.loc["random", "iqm"] == pytest.approx(0)
    assert (table["low"] < table["iqm"]).all()
    assert (table["n"] == 15).all()


def test_refusals(tmp_path, trajectory, write_store):
    with pytest.raises(SelectionError, match="two data sets or more, but got 1"):
        rank_table(load(write_store(tmp_path / "a", [trajectory()])))
    rows = [trajectory("badge", data=data) for data in ("a", "b")]
    with pytest.raises(NoBaselineError, match="baseline `random` on all data sets, but got badge"):
        rank_table(load(write_store(tmp_path / "b", rows)))


def test_one_label_that_stands_for_two_settings_is_said(tmp_path, trajectory, write_store):
    rows = [trajectory("probcover", params={"delta": d, "k": 1}, data=name) for name, d in (("a", 0.1), ("b", 0.2))]
    rows += [trajectory("random", data=name) for name in ("a", "b")]
    (said,) = unlike(load(write_store(tmp_path, rows)))
    assert said == "probcover does not have the same delta on all data sets; it counts as one here."


def test_what_is_on_all_data_sets_is_found_beside_what_is_not(tmp_path, trajectory, write_store):
    rows = [
        trajectory(name, seed, [height + seed / 100] * 3, data=data)
        for data in ("a", "b")
        for name, height in {"random": 0.5, "badge": 0.6}.items()
        for seed in range(2)
    ]
    short = {"n_labels": (20, 40), "accuracy": (0.5, 0.6), "schedule": "20x2"}
    rows += [trajectory(name, data="a", **short) for name in ("random", "badge")]
    rows += [trajectory("random", data="a", evaluate_on="tune")]
    results = load(write_store(tmp_path, rows))
    names = ["badge[evaluate_on=all,schedule=10x2,20x1]", "random[evaluate_on=all,schedule=10x2,20x1]"]
    names[0] = names[0].replace("evaluate_on=all,", "")
    assert {data: list(areas) for data, areas in areas_by_data(results).items()} == {"a": names, "b": names}
    ranks = rank_table(results)
    assert list(ranks["configuration"]) == names
    assert iqm_table(results, rng=np.random.default_rng(0)).set_index("configuration")["n"].to_dict() == dict.fromkeys(
        names, 4
    )
    (said,) = on_some(results)
    assert said.startswith(
        "Left out here, because they are not finished on all data sets: badge[schedule=20x2] and random["
    )


def test_effective_budgets_have_a_mean_where_no_data_set_is_missing(results):
    frames = {data: effective_budget(results.only(data)) for data in ("b", "c")}
    frames["a"] = frames["b"].assign(effective_ratio=0.4)
    table = budgets_by_data(results, frames | {"c": frames["c"][frames["c"]["configuration"] == "badge"]})
    means = table.groupby("configuration")["mean_ratio"].first()
    assert means.to_dict() == pytest.approx({"badge": 2.4 / 3, "typiclust": np.nan}, nan_ok=True)
    assert table.drop_duplicates("configuration")["configuration"].to_list() == ["badge", "typiclust"]
    row = table.set_index(["configuration", "data"]).loc[("typiclust", "b")]
    assert row[["effective_points", "total_points", "effective_at"]].to_list() == [3, 3, "10 20 40"]


def test_only_seeds_that_all_have_are_compared(tmp_path, trajectory, write_store):
    """The last seed is hard, and badge, two points behind on each other seed, has not finished it."""
    heights = [0.6, 0.6, 0.6, 0.1]
    rows = [
        trajectory(name, seed, [height - behind] * 3, data=data)
        for data in ("a", "b")
        for name, behind, n in (("random", 0, 4), ("badge", 0.02, 3 if data == "a" else 4))
        for seed, height in enumerate(heights[:n])
    ]
    results = load(write_store(tmp_path, rows))
    assert {data: list(areas.index) for data, areas in areas_by_data(results).items()} == {
        "a": [0, 1, 2],
        "b": [0, 1, 2, 3],
    }
    assert rank_table(results).set_index("configuration")["mean_rank"].to_dict() == {"random": 1, "badge": 2}
    assert seeds_left_out(results) == [
        "Left out of ranks and interquartile means on a, because badge lacks them: seed 3."
    ]


def test_one_that_has_just_begun_takes_no_seeds_from_the_others(tmp_path, trajectory, write_store):
    rows = [
        trajectory(name, seed, data=data)
        for data in ("a", "b")
        for name, n in (("random", 4), ("badge", 4), ("margin", 1 if data == "a" else 4))
        for seed in range(n)
    ]
    results = load(write_store(tmp_path, rows))
    assert list(areas_by_data(results)["a"]) == ["badge", "random"]
    assert len(areas_by_data(results)["a"]) == 4
    assert seeds_left_out(results) == [
        "Left out here, because on a data set they have less than half the median number of seeds: margin."
    ]


def test_a_baseline_with_many_more_seeds_leaves_the_others_in(tmp_path, trajectory, write_store):
    rows = [
        trajectory(name, seed, data=data)
        for data in ("a", "b")
        for name, n in (("random", 7), ("badge", 3), ("margin", 2))
        for seed in range(n)
    ]
    results = load(write_store(tmp_path, rows))
    assert list(areas_by_data(results)["a"]) == ["badge", "margin", "random"]
    assert len(areas_by_data(results)["a"]) == 2


def test_areas_are_over_the_windows_that_are_given(tmp_path, trajectory, write_store):
    rows = [trajectory(name, accuracy=[0.1, 0.5, 0.7], data=data) for data in "ab" for name in ("random", "badge")]
    results = load(write_store(tmp_path, rows))
    areas = areas_by_data(results, {"b": (20, 40)})
    assert areas["b"]["badge"].to_list() == pytest.approx([0.6])
    assert areas["a"]["badge"].to_list() == pytest.approx([(3 + 12) / 30])


def test_a_schedule_for_each_data_set_is_no_part_of_a_name(tmp_path, trajectory, write_store):
    short = {"n_labels": (20, 40), "accuracy": (0.5, 0.6), "schedule": "20x2"}
    variants = [("random", {}), *(("probcover", {"delta": delta}) for delta in (0.1, 0.2))]
    rows = [trajectory(name, params=params, data="a") for name, params in variants]
    rows += [trajectory(name, params=params, data="b", **short) for name, params in variants]
    results = load(write_store(tmp_path, rows))
    assert set(rank_table(results)["configuration"]) == {"random", "probcover[delta=0.1]", "probcover[delta=0.2]"}
    assert on_some(results) == []


def test_what_failed_on_a_data_set_is_said_to_be_left_out(tmp_path, trajectory, write_store):
    rows = [trajectory(name, data=data) for data in "ab" for name in ("random", "badge")]
    rows += [trajectory("margin", data="a"), trajectory("margin", data="b", status="failed")]
    assert on_some(load(write_store(tmp_path, rows))) == [
        "Left out here, because they are not finished on all data sets: margin."
    ]


def test_nothing_is_normalised_by_a_perfect_baseline(tmp_path, trajectory, write_store):
    rows = [trajectory("random", seed, [1 - 0.1 * (data == "a")] * 3, data=data) for data in "ab" for seed in (0, 1)]
    with pytest.raises(SelectionError, match=r"Expected random below 100 % to normalise by it, but .* on b throughout"):
        iqm_table(load(write_store(tmp_path, rows)), rng=np.random.default_rng(0))
