from matplotlib.figure import Figure

from analysis.figures.sweeps import draw_interaction
from analysis.sweeps import interaction_data


def test_a_line_per_schedule(swept_results):
    ax = draw_interaction(interaction_data(swept_results.trials), Figure().add_subplot())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["10x4", "20x2"]
