"""What figures share: the style of a line, the frame, the axes, and the names of curves.

Colours are those of Okabe and Ito (2008) without yellow, which is too pale for a line; dashes and markers tell
the curves apart in grey as well.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import BboxTransformTo, ScaledTranslation, blended_transform_factory, offset_copy
from scipy.optimize import isotonic_regression

DPI = 200
PLAIN_TEXT: dict[Any, Any] = {"text.parse_math": False}
"""Matplotlib's settings for names from a store, in which a dollar sign starts no formula."""
INK = "#333333"
LABEL_SIZE = 8.5
_COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
_DASHES = ("solid", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
_MARKERS = "osD^v<>h"
_MOST_TICKS = 10
_LONGEST_LINE = 40
_LONGEST_TITLE = 75
_WIDEST_LEGEND, _SAMPLE_OF_LEGEND = 110, 8
"""Characters beside one another in a legend below the axis; those that the sample of a line takes."""
_HEIGHT = 4.4
_SAMPLE = (0.12, 0.33, 0.54)
"""Inches from the axis to the beginning, marker and end of the sample of a line."""


class LineStyle(NamedTuple):
    """How a curve looks: colour, dash pattern and marker, in matplotlib's terms."""

    colour: str
    dash: str | tuple[float, Sequence[float]]
    marker: str


def line_styles(names: Sequence[str]) -> dict[str, LineStyle]:
    """Give each name a style by its position; share the mapping between the figures of a report."""
    return {
        name: LineStyle(
            _COLOURS[i % len(_COLOURS)],
            _DASHES[(i + 2 * (i // len(_COLOURS))) % len(_DASHES)],
            _MARKERS[(i + i // len(_COLOURS)) % len(_MARKERS)],
        )
        for i, name in enumerate(names)
    }


BOUND = LineStyle("#7F7F7F", (0, (1, 1.6)), "")
"""Style of an oracle: grey dots without markers, as no strategy has."""


def line(style: LineStyle) -> dict[str, Any]:
    """Arguments of `Axes.plot` for a style."""
    return {
        "color": style.colour,
        "linestyle": style.dash,
        "marker": style.marker,
        "markersize": 5,
        "markeredgecolor": "white",
        "markeredgewidth": 0.5,
        "linewidth": 1.5,
    }


def framed(title: str, note: str, draw: Callable[[Axes], Axes], *, height: float = _HEIGHT) -> Figure:
    """Make a figure of one axis with a heading and, below it, a line that says what is shown.

    Args:
        title: heading; of a long one the beginning.
        note: what is shown: means of what, over how many, which interval.
        draw: drawing into the axis.
        height: in inches; the width is 7.2.
    """
    figure = Figure(figsize=(7.2, height), dpi=DPI, layout="constrained")
    ax = draw(figure.add_subplot())
    ax.set_title(" ", fontsize=11, pad=26)  # the room that heading and note take, whatever their length
    place: dict[str, Any] = {"xycoords": ("figure fraction", "axes fraction"), "textcoords": "offset points"}
    heading = ax.annotate(cut(title), (0.012, 1), xytext=(0, 22), fontsize=11, weight="bold", **place)
    below = ax.annotate(note, (0.012, 1), xytext=(0, 7), fontsize=LABEL_SIZE, color=INK, **place)
    for words in (heading, below):
        words.set_in_layout(False)
    return figure


def cut(title: str) -> str:
    """As much of a title as fits into a line."""
    return title if len(title) <= _LONGEST_TITLE else f"{title[: _LONGEST_TITLE - 1]}…"


def wrapped(name: str) -> str:
    """A name in lines that leave room for an axis, broken at spaces and after commas where it can be."""
    return name if len(name) <= _LONGEST_LINE else textwrap.fill(name.replace(",", ", "), _LONGEST_LINE)


def height_for(names: Iterable[str]) -> float:
    """Inches of a figure that names its curves beside the axis."""
    n_lines = [wrapped(name).count("\n") + 1 for name in names]
    name = 1.35 * LABEL_SIZE * max(n_lines, default=0) + 4  # in points, with the space to the next one
    return max(_HEIGHT, 1.2 + len(n_lines) * name / 72)


def label_axis(ax: Axes, n_labels: Iterable[int], *, log: bool) -> None:
    """Make the x axis one of label counts, and mark these where there is room."""
    counts = sorted(set(n_labels))
    if log:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_minor_locator(NullLocator())
    elif counts and min(np.diff(counts), default=1) * _MOST_TICKS >= counts[-1] - counts[0]:
        ax.set_xticks(counts)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xlabel("Labels bought (log scale)" if log else "Labels bought")


def percent_axis(ax: Axes, name: str) -> None:
    """Show the shares of the y axis in percent, with a grid and no box."""
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
    ax.set_ylabel(name)
    ax.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def name_ends(ax: Axes, ends: pd.DataFrame, styles: Sequence[LineStyle]) -> None:
    """Write each name, with a sample of its line, as near to the end of its curve as the others allow.

    Args:
        ax: axis that holds the curves, of its final size.
        ends: `n_labels` and `mean` of each curve's end, indexed by name.
        styles: their styles, in the same order.
    """
    ax.margins(x=0.02)
    ax.autoscale_view()
    to_fraction = ax.transData + ax.transAxes.inverted()
    points = [tuple(to_fraction.transform((x, y))) for x, y in zip(ends["n_labels"], ends["mean"], strict=True)]
    height = 72 * ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted()).height
    n_lines = max((wrapped(name).count("\n") + 1 for name in ends.index), default=1)
    beyond = 0.6 * (n_lines - 1) * LABEL_SIZE / height  # half of what a name has more than one line
    room = 1 - 2 * beyond
    wanted = [(y - beyond) / room for _, y in points]
    heights = [beyond + room * y for y in spread(wanted, 1.35 * n_lines * LABEL_SIZE / height / room)]
    # Inches to the right of the axis: of shares of it, a layout would have to know the width to find the width.
    inches = ax.figure.dpi_scale_trans + ScaledTranslation(1, 0, BboxTransformTo(ax.bbox))
    beside = blended_transform_factory(inches, ax.transAxes)
    for name, (x, y), target, style in zip(ends.index, points, heights, styles, strict=True):
        ends_of_line: dict[str, Any] = {
            "xyA": (x + 0.012, y),
            "coordsA": ax.transAxes,
            "xyB": (_SAMPLE[0], target),
            "coordsB": beside,
        }
        ax.add_artist(ConnectionPatch(**ends_of_line, color=style.colour, linewidth=0.6, clip_on=False))
        ax.plot(_SAMPLE, [target] * 3, markevery=[1], **line(style), transform=beside, clip_on=False)
        place: dict[str, Any] = {"fontsize": LABEL_SIZE, "va": "center", "transform": beside}
        ax.text(_SAMPLE[-1] + 0.05, target, wrapped(name), color=INK, **place)


def legend_beside(ax: Axes) -> None:
    """Put the legend to the right of the axis."""
    legend = ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=LABEL_SIZE, handlelength=3.5)
    for text in legend.get_texts():
        text.set_text(wrapped(text.get_text()))


def legend_below(ax: Axes, n_columns: int) -> None:
    """Put the legend under the axis and its label, in as many columns or, for long names, in fewer."""
    handles, names = ax.get_legend_handles_labels()
    names = list(map(wrapped, names))
    longest = max((len(line) for name in names for line in name.splitlines()), default=0)
    below = offset_copy(ax.transAxes, ax.get_figure(root=True), y=-36, units="points")
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": below}
    n_columns = max(1, min(n_columns, _WIDEST_LEGEND // (longest + _SAMPLE_OF_LEGEND)))
    ax.legend(handles, names, ncols=n_columns, frameon=False, fontsize=8.5, **place)


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Move positions in [0, 1] by the least (in squares) so that neighbours are `gap` apart and none leaves [0, 1].

    Args:
        positions: where each name would like to be, in any order.
        gap: least distance; shrunk where the names would not fit.

    Returns:
        The new positions, aligned with `positions`; equal ones keep their order.
    """
    n = len(positions)
    gap = min(gap, 1 / max(n - 1, 1))
    order = np.argsort(positions, kind="stable")
    steps = gap * np.arange(n)
    packed = isotonic_regression(np.asarray(positions, dtype=np.float64)[order] - steps).x
    moved = np.empty(n)
    moved[order] = np.clip(packed, 0, 1 - gap * (n - 1)) + steps
    return [float(value) for value in moved]
