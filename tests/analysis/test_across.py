import numpy as np
import pytest

from analysis import load
from analysis.across import iqm_table, rank_table, rank_warning, unlike
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
    table = rank_table(results).set_index("label")
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
    table = iqm_table(results, rng=np.random.default_rng(0)).set_index("label")
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
    assert said == "probcover has not the same delta on all data sets; it is taken for one here."
