import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.sweeps import draw_interaction
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


def test_words_have_a_place_each():
    cells = pd.DataFrame({"schedule": "10x4", "kind": ["b", "a"], "objective": [0.5, 0.6], "low": 0.4, "high": 0.7})
    ax = draw_interaction(cells, "kind", Figure().add_subplot())
    assert [text.get_text() for text in ax.get_xticklabels()] == ["b", "a"]
    assert ax.get_xlabel() == "kind"
