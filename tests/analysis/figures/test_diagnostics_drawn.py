from matplotlib.figure import Figure

from analysis import load
from analysis.figures.axes import line_styles
from analysis.figures.diagnostics import draw_spending
from analysis.tables import spending_table


def test_spending_is_drawn_over_the_seconds_so_far(tmp_path, trajectory, write_store):
    rows = [trajectory("random"), trajectory("badge", rounds=[{"select_seconds": s} for s in (1.0, 2.0, 3.0)])]
    data = spending_table(load(write_store(tmp_path, rows)))
    ax = Figure().add_subplot()
    assert draw_spending(data, ax, styles=line_styles(["badge", "random"]), name="Macro-F1") is ax
    drawn = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert drawn["badge"] == [[1, 0.4], [3, 0.6], [6, 0.8]]
    assert (ax.get_xscale(), ax.get_ylabel()) == ("log", "Macro-F1 (%)")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["badge", "random"]


def test_seconds_are_written_as_plain_numbers(tmp_path, trajectory, write_store):
    data = spending_table(load(write_store(tmp_path, [trajectory("random")])))
    ax = Figure().add_subplot()
    draw_spending(data, ax, styles=line_styles(["random"]))
    marked = [text.get_text() for text in ax.get_xticklabels(which="both")]
    assert {"0.3", "0.4", "0.6"} <= set(marked)
    assert not [text for text in marked if "e" in text]
