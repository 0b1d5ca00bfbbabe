import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.axes import framed
from analysis.figures.sweeps import draw_importances, draw_interaction
from analysis.sweeps import interaction_data


def test_a_line_per_schedule(swept_results):
    ax = draw_interaction(interaction_data(swept_results.trials), "max_clusters", Figure().add_subplot())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["10x4", "20x2"]


def test_numbers_are_on_an_axis_of_numbers():
    cells = pd.DataFrame(
        {"schedule": ["20x5", "20x5", "50x2"], "cap": [10, 100, 50], "objective": 0.5, "low": 0.4, "high": 0.6}
    )
    for step, scale in ((0, "log"), (1000, "linear")):
        ax = draw_interaction(cells.assign(cap=cells["cap"] + step), "cap", Figure().add_subplot())
        assert ax.get_xscale() == scale
        assert [list(each.lines[0].get_xdata()) for each in ax.containers] == [[10 + step, 100 + step], [50 + step]]


@pytest.mark.parametrize(
    "values",
    [
        [0.00020917, 0.00200284, 0.00374927, 0.0107429, 0.0228242, 0.0601266],
        [10, 11, 12, 13, 14, 100],
        list(np.geomspace(1e-4, 1e-1, 40) * 1.2345),
        [1, 4],
        ["half_total", "as_many_as_labels", "classes_and_a_half", "twice_as_many", "one_per_label", "silhouette"],
    ],
)
def test_names_of_values_do_not_lie_on_one_another(values):
    cells = pd.DataFrame({"schedule": "10x4", "value": values, "objective": 0.5, "low": 0.4, "high": 0.6})
    figure = framed("Title", "note", lambda ax: draw_interaction(cells, "value", ax))
    figure.draw_without_rendering()
    (ax,) = figure.axes
    assert isinstance(ax, Axes)
    ticks = ax.get_xticklabels()
    if ticks[0].get_rotation() == 0:
        boxes = [tick.get_window_extent() for tick in ticks]
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    if isinstance(values[0], str):
        assert [tick.get_text() for tick in ticks] == values
    else:
        ends = {round(place, 8) for place in ax.get_xticks()}
        assert {round(min(values), 8), round(max(values), 8)} <= ends


def test_words_have_a_place_each():
    cells = pd.DataFrame({"schedule": "10x4", "kind": ["b", "a"], "objective": [0.5, 0.6], "low": 0.4, "high": 0.7})
    ax = draw_interaction(cells, "kind", Figure().add_subplot())
    assert [text.get_text() for text in ax.get_xticklabels()] == ["b", "a"]
    assert ax.get_xlabel() == "kind"


LONG = [f"{number}{'_long' * 40}" for number in range(3)]


@pytest.mark.parametrize(
    ("schedules", "values"),
    [
        (LONG, [10, 100, 1000]),
        (["10x4", "20x2", "40x1"], LONG),
        (["10x4", "20x2", "40x1"], ["euclidean" * 3, "b", "c"]),
    ],
    ids=["schedules", "values", "a value"],
)
def test_long_names_leave_room_for_the_axis_and_one_another(schedules, values):
    rows = [{"schedule": schedule, LONG[0]: value} for schedule in schedules for value in values]
    cells = pd.DataFrame(rows).assign(objective=0.5, low=0.4, high=0.6)
    figure = framed("Title" + LONG[0], "note", lambda ax: draw_interaction(cells, LONG[0], ax))
    figure.draw_without_rendering()  # warns where no room is left
    (ax,) = figure.axes
    ticks = [tick.get_window_extent() for tick in ax.get_xticklabels()]
    assert not any(ax.get_legend().get_window_extent().overlaps(tick) for tick in ticks)
    inside = figure.bbox.padded(1)
    for text in (ax.xaxis.label, *ax.get_legend().get_texts(), *ax.texts):
        box = text.get_window_extent()
        assert inside.x0 <= box.x0 <= box.x1 <= inside.x1


def test_long_names_of_settings_leave_room_for_their_bars():
    found = pd.DataFrame({"setting": LONG, "importance": [0.5, 0.3, 0.2]})
    figure = framed("Title", "note", lambda ax: draw_importances(found, ax), height=5)
    figure.draw_without_rendering()
    boxes = [tick.get_window_extent() for tick in figure.axes[0].get_yticklabels()]
    assert all(upper.y0 > lower.y1 for upper, lower in itertools.pairwise(boxes))
