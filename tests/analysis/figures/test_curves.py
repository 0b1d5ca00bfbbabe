import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from analysis import load
from analysis.figures.axes import framed, height_for, line_styles, spread
from analysis.figures.curves import caption, curve_data, draw_curves, needs_log, save_curves


@pytest.fixture
def results(tmp_path, trajectory, write_store):
    rows = [trajectory(name, s, (0.4, 0.6, 0.8 + s / 10)) for name in ("random", "badge") for s in range(2)]
    return load(write_store(tmp_path / "store", [*rows, trajectory("typiclust")]))


def test_curve_data(results):
    data = curve_data(results)
    assert list(data) == ["curve", "n_labels", "mean", "low", "high", "n_seeds"]
    end = data.set_index(["curve", "n_labels"]).loc[("badge", 40)]
    assert (end["mean"], end["high"] - end["mean"], end["n_seeds"]) == pytest.approx((0.85, 0.1 / np.sqrt(2), 2))
    assert data.loc[data["curve"] == "typiclust", ["low", "high"]].isna().all(axis=None)


def test_drawing_takes_data_and_gives_the_axis_back(results):
    ax = Figure().add_subplot()
    data = curve_data(results)
    assert draw_curves(data, ax) is ax
    drawn = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    expected = data.loc[data["curve"] == "badge", ["n_labels", "mean"]].to_numpy().tolist()
    assert drawn["badge"] == expected
    assert [text.get_text() for text in ax.texts] == ["badge", "random", "typiclust (n = 1)"]
    assert (ax.get_xscale(), ax.get_ylabel()) == ("linear", "Accuracy (%)")
    assert ax.yaxis.get_major_formatter()(0.85, 0) == "85"


def test_more_than_eight_curves_get_a_legend(results):
    data = curve_data(results.only())
    one = data[data["curve"] == "badge"]
    many = [one.assign(curve=f"s{i}") for i in range(9)]
    ax = draw_curves(type(one)(np.concatenate(many), columns=one.columns).astype(one.dtypes), Figure().add_subplot())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"s{i}" for i in range(9)]


def test_styles_differ_without_colour():
    styles = line_styles([f"s{i}" for i in range(16)]).values()
    assert len({(style.colour, style.marker) for style in styles}) == 16
    assert len({(style.dash, style.marker) for style in styles}) == 16
    assert len({style.colour for style in list(styles)[:8]}) == 8


def test_scale_follows_the_label_counts(results):
    data = curve_data(results)
    assert not needs_log(data)
    wide = data.assign(n_labels=data["n_labels"].replace(40, 2000))
    assert needs_log(wide)
    assert draw_curves(wide, Figure().add_subplot()).get_xscale() == "log"
    assert draw_curves(wide, Figure().add_subplot(), log=False).get_xscale() == "linear"


def test_caption_tells_seeds_and_band(results):
    data = curve_data(results)
    assert caption(data) == "Mean of 1 to 2 seeds; band: ± 1 standard deviation over seeds (ddof = 1)"
    assert caption(data[data["n_seeds"] == 2]).startswith("Mean of 2 seeds")
    assert caption(data[data["n_seeds"] == 1]) == "One seed, no band"


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_save(results, tmp_path, suffix, magic):
    save_curves(results, tmp_path / f"curves.{suffix}")
    assert (tmp_path / f"curves.{suffix}").read_bytes().startswith(magic)


def test_a_name_with_dollar_signs_is_no_formula(tmp_path, trajectory, write_store):
    results = load(write_store(tmp_path, [trajectory("$\\nothing$", data="$\\frac$")]))
    save_curves(results, tmp_path / "curves.svg")
    assert (tmp_path / "curves.svg").exists()


def test_figure_without_a_finished_trajectory(tmp_path, trajectory, write_store):
    save_curves(load(write_store(tmp_path, [trajectory(status="failed")])), tmp_path / "empty.png")
    assert (tmp_path / "empty.png").exists()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0, 0.3))
def test_spread(positions, gap):
    moved = np.array(spread(positions, gap))
    gap = min(gap, 1 / max(len(positions) - 1, 1))
    order = np.argsort(positions, kind="stable")
    assert (np.diff(moved[order]) >= gap - 1e-9).all()
    assert ((moved >= -1e-9) & (moved <= 1 + 1e-9)).all()
    if (np.diff(np.array(positions)[order]) >= gap).all():
        assert moved == pytest.approx(positions)


@pytest.mark.parametrize("height", [1.6, 2.6, 4.4])
def test_heading_keeps_clear_of_the_edge(results, height):
    figure = framed("Heading", "Note", lambda ax: draw_curves(curve_data(results), ax), height=height)
    figure.draw_without_rendering()
    heading = next(text for text in figure.axes[0].texts if text.get_text() == "Heading")
    top = heading.get_window_extent().y1 / figure.dpi
    assert 0.06 < height - top < 0.2


LONG = ",".join(f"parameter_number_{k}={k}.12345" for k in range(5))


@pytest.mark.parametrize(
    "names",
    [[f"strategy_{k}[{LONG}]" for k in range(n)] for n in (1, 8, 12)] + [["W" * 90, "random"], [*"abcdefgh" * 3]],
)
def test_names_are_whole_and_apart(names):
    """However long, and however many."""
    names = [f"{name}{k}" for k, name in enumerate(names)]
    ends = {"low": 0.4, "high": 0.8, "n_seeds": 3}
    rows = [{"curve": name, "n_labels": n, "mean": n / 50, **ends} for name in names for n in (10, 40)]
    figure = framed("t", "n", lambda ax: draw_curves(pd.DataFrame(rows), ax), height=height_for(names))
    figure.draw_without_rendering()
    (ax,) = figure.axes
    texts = (
        ax.get_legend().get_texts() if ax.get_legend() else [text for text in ax.texts if text.get_text() not in "tn"]
    )
    assert len(texts) == len(names)
    boxes = sorted((text.get_window_extent() for text in texts), key=lambda box: box.y0)
    assert boxes[0].y0 >= 0
    assert boxes[-1].y1 <= figure.bbox.y1
    assert max(box.x1 for box in boxes) <= figure.bbox.x1
    assert all(below.y1 <= above.y0 + 2 for below, above in itertools.pairwise(boxes))
    assert ax.get_position().height > 0.7
