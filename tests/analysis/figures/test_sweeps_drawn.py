import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.sweeps import draw_interaction
from analysis.sweeps import interaction_data


def test_a_line_per_schedule(swept_results):
    ax = draw_interaction(interaction_data(swept_results.trials), "max_clusters", Figure().add_subplot())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["10x4", "20x2"]


def test_words_have_a_place_each():
    cells = pd.DataFrame({"schedule": "10x4", "kind": ["b", "a"], "objective": [0.5, 0.6], "low": 0.4, "high": 0.7})
    ax = draw_interaction(cells, "kind", Figure().add_subplot())
    assert [text.get_text() for text in ax.get_xticklabels()] == ["b", "a"]
    assert ax.get_xlabel() == "kind"
