import itertools

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from analysis.figures.axes import framed
from analysis.figures.comparison import draw_penalties


@pytest.mark.parametrize("name", ["coreset_{}", "module:LongNameOfAClass[another_parameter={},temperature_of_it=0.5]"])
def test_names_of_penalties_do_not_lie_on_one_another(name):
    names = [name.format(number) for number in range(5)]
    rows = [{"configuration": a, "opponent": b, "plain": 0.5} for a, b in itertools.permutations(names, 2)]
    figure = framed("Penalties", "note", lambda ax: draw_penalties(pd.DataFrame(rows), ax), height=6)
    FigureCanvasAgg(figure).draw()
    (ax,) = figure.axes
    across, down = ([label.get_window_extent() for label in axis.get_ticklabels()] for axis in (ax.xaxis, ax.yaxis))
    assert all(above.y0 >= below.y1 for above, below in itertools.pairwise(down))
    if ax.get_xticklabels()[0].get_rotation():
        assert not any("\n" in label.get_text() for label in ax.get_xticklabels())
    else:
        assert all(left.x1 <= right.x0 for left, right in itertools.pairwise(across))
