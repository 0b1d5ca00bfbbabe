"""Figures: first the data of a figure, then the drawing, which takes an axis and returns it.

Colours are those of Okabe and Ito (2008) without yellow, which is too pale for a line; dashes and markers tell
the curves apart in grey as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from scipy.optimize import isotonic_regression

from analysis.comparison import gain_table
from analysis.diagnostics import diagnoses
from analysis.results import Results
from analysis.tables import accuracy_table

LOG_RATIO = 30
DPI = 200
PLAIN_TEXT: dict[Any, Any] = {"text.parse_math": False}
"""Matplotlib's settings for names from a store, in which a dollar sign starts no formula."""
_MAX_DIRECT_LABELS = 8
_COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
_DASHES = ("solid", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
_MARKERS = "osD^v<>h"
INK = "#333333"
_CURVE = ["label", "n_labels", "mean", "low", "high", "n_seeds"]
COVERAGE_NAMES = {
    "coverage_estimated": "estimated: NTK, pseudo-labels",
    "coverage_ntk_true": "NTK, true labels",
    "coverage_true": "true: classifier",
}
ERROR_NAMES = {"p_nff": "impurity P_nff", "p_fnf": "over-clustering P_fnf", "ntk_error": "NTK error"}
_LABEL_SIZE = 8.5


class LineStyle(NamedTuple):
    """How a curve looks: colour, dash pattern and marker, in matplotlib's terms."""

    colour: str
    dash: str | tuple[float, Sequence[float]]
    marker: str


def line_styles(labels: Sequence[str]) -> dict[str, LineStyle]:
    """Give each label a style by its position; share the mapping between the figures of a report."""
    return {
        label: LineStyle(
            _COLOURS[i % len(_COLOURS)], _DASHES[(i + i // len(_COLOURS)) % len(_DASHES)], _MARKERS[i % len(_MARKERS)]
        )
        for i, label in enumerate(labels)
    }


def curve_data(results: Results, data: str | None = None) -> pd.DataFrame:
    """Compute the learning curves of a figure.

    Args:
        results: finished trajectories.
        data: name of the data set; None where the results hold just one.

    Returns:
        One row per configuration and label count, in display order: label, n_labels, mean (accuracy in
        [0, 1]), low, high (mean -/+ one standard deviation with ddof = 1; NaN for one seed), n_seeds.

    Raises:
        SelectionError: `data` does not name one data set of the results.
    """
    return curves_of(accuracy_table(results, data))


def curves_of(table: pd.DataFrame) -> pd.DataFrame:
    """`curve_data` from rows of `accuracy_table`."""
    table = table.assign(low=table["mean"] - table["std"], high=table["mean"] + table["std"])
    return table[_CURVE]


def needs_log(data: pd.DataFrame) -> bool:
    """Whether the label counts of `curve_data` spread so far (more than 30-fold) that a linear axis hides rounds."""
    return bool(len(data) and data["n_labels"].max() > LOG_RATIO * data["n_labels"].min() > 0)


def caption(data: pd.DataFrame) -> str:
    """Say over how many seeds the curves of `curve_data` are means, and what their band is."""
    seeds = sorted(data["n_seeds"].unique())
    if not seeds:
        return "No finished trajectory"
    if seeds[-1] == 1:
        return "One seed, no band"
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return f"Mean of {count} seeds; band: ± 1 standard deviation over seeds (ddof = 1)"


def draw_curves(
    data: pd.DataFrame, ax: Axes, *, log: bool | None = None, styles: dict[str, LineStyle] | None = None
) -> Axes:
    """Draw mean and band of every curve over the true label counts, and name the curves.

    Up to 8 curves are named at their right ends, more in a legend beside the axis; a curve of fewer seeds than
    the others says so in its name.

    Args:
        data: rows of `curve_data`.
        ax: axis to draw into, of its final size.
        log: logarithmic label axis; None decides by `needs_log`.
        styles: style of each label; None takes `line_styles` of the labels in `data`.

    Returns:
        `ax`.
    """
    labels = list(data["label"].unique())
    styles = line_styles(labels) if styles is None else styles
    n_seeds = data.groupby("label")["n_seeds"].min()
    names = {name: name if n == n_seeds.max() else f"{name} (n = {n})" for name, n in n_seeds.items()}
    for label in labels:
        curve, style = data[data["label"] == label], styles[label]
        ax.fill_between(curve["n_labels"], curve["low"], curve["high"], color=style.colour, alpha=0.13, linewidth=0)
        every = max(1, len(curve) // 12)
        ax.plot(curve["n_labels"], curve["mean"], markevery=every, label=names[label], **line(style))
    label_axis(ax, log=needs_log(data) if log is None else log)
    percent_axis(ax, "Accuracy (%)")
    if len(labels) > _MAX_DIRECT_LABELS:
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=_LABEL_SIZE, handlelength=3.5)
    elif labels:
        ends = data.groupby("label", sort=False).last()
        name_ends(ax, ends.rename(index=names), [styles[label] for label in ends.index])
    return ax


def save_curves(
    results: Results,
    path: str | Path | BinaryIO,
    data: str | None = None,
    *,
    log: bool | None = None,
    title: str | None = None,
) -> None:
    """Save the learning curves of one data set; the suffix of `path` tells the format (png, pdf, svg).

    Args:
        results: finished trajectories.
        path: file to write; an open one gets a png.
        data: name of the data set; None where the results hold just one.
        log: logarithmic label axis; None decides by `needs_log`.
        title: heading; None takes the name of the data set.

    Raises:
        SelectionError: `data` does not name one data set of the results.
    """
    results = results.only(data)
    curves = curve_data(results)
    heading = results.data_names[0] if title is None else title
    with rc_context(PLAIN_TEXT):
        framed(heading, caption(curves), lambda ax: draw_curves(curves, ax, log=log)).savefig(path)


def framed(title: str, note: str, draw: Callable[[Axes], Axes], *, height: float = 4.4) -> Figure:
    """Make a figure of one axis with a heading and, below it, a line that says what is shown.

    Args:
        title: heading.
        note: what is shown: means of what, over how many, which interval.
        draw: drawing into the axis.
        height: in inches; the width is 7.2.
    """
    figure = Figure(figsize=(7.2, height), dpi=DPI, layout="constrained")
    ax = draw(figure.add_subplot())
    ax.set_title(" ", fontsize=11, pad=20)  # the room that heading and note take, whatever their length
    place: dict[str, Any] = {"xycoords": ("figure fraction", "axes fraction"), "textcoords": "offset points"}
    heading = ax.annotate(title, (0.012, 1), xytext=(0, 22), fontsize=11, weight="bold", **place)
    below = ax.annotate(note, (0.012, 1), xytext=(0, 7), fontsize=_LABEL_SIZE, color=INK, **place)
    for words in (heading, below):
        words.set_in_layout(False)
    return figure


def gain_data(results: Results, data: str | None = None, *, baseline: str = "random") -> pd.DataFrame:
    """Compute the gains of a figure: the columns of `curve_data`; the band is the paired 95 % t interval.

    Raises:
        NoBaselineError, UnpairedError, SelectionError: as `analysis.comparison.pairs`.
    """
    return gains_of(gain_table(results, data, baseline=baseline))


def gains_of(table: pd.DataFrame) -> pd.DataFrame:
    """`gain_data` from rows of `gain_table`."""
    return table.rename(columns={"gain": "mean", "n_pairs": "n_seeds"})[_CURVE]


def draw_gain(data: pd.DataFrame, ax: Axes, *, styles: dict[str, LineStyle] | None = None) -> Axes:
    """Draw `gain_data` like curves, with the baseline as the line at 0."""
    ax.axhline(0, color=INK, linewidth=0.8)
    draw_curves(data, ax, styles=styles)
    ax.set_ylabel("Gain (percentage points)")
    return ax


def coverage_data(results: Results, label: str) -> pd.DataFrame:
    """Compute estimated and true coverage of one configuration (Fig. 4): the columns of `curve_data`.

    The label tells the three coverages apart; the band is the standard deviation over seeds (ddof = 1).
    """
    return _measured(results, label, COVERAGE_NAMES, "n_labels")


def error_data(results: Results, label: str) -> pd.DataFrame:
    """Compute the error decomposition of one configuration against its number of clusters (eq. 5 to 7).

    Returns:
        The columns of `curve_data`, with n_clusters in place of n_labels; rounds with equally many clusters are
        averaged within a seed first. Empty where nothing was recorded.
    """
    return _measured(results, label, ERROR_NAMES, "n_clusters")


def draw_coverage(data: pd.DataFrame, ax: Axes) -> Axes:
    """Draw `coverage_data` over the label counts."""
    draw_curves(data, ax)
    ax.set_ylabel("Coverage of the risk set (%)")
    return ax


def draw_errors(data: pd.DataFrame, ax: Axes) -> Axes:
    """Draw `error_data` over the number of clusters."""
    draw_curves(data.rename(columns={"n_clusters": "n_labels"}), ax, log=False)
    ax.set_xlabel("Clusters")
    ax.set_ylabel("Share of the risk set (%)")
    return ax


def _measured(results: Results, label: str, names: dict[str, str], axis: str) -> pd.DataFrame:
    rounds = diagnoses(results)
    rounds = rounds[rounds["label"] == label].dropna(subset=[axis])
    by_seed = rounds.groupby([axis, "seed"])[list(names)].mean().groupby(axis)
    mean, std, size = by_seed.mean(), by_seed.std(ddof=1), by_seed.size()
    frames = [
        pd.DataFrame(
            {"label": name, axis: mean.index, "mean": mean[key], "low": mean[key] - std[key]}
            | {"high": mean[key] + std[key], "n_seeds": size}
        )
        for key, name in names.items()
    ]
    return pd.concat(frames, ignore_index=True).dropna(subset=["mean"])


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Move positions in [0, 1] by the least (in squares) so that neighbours are `gap` apart and none leaves [0, 1].

    Args:
        positions: where each label would like to be, in any order.
        gap: least distance; shrunk where the labels would not fit.

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


def label_axis(ax: Axes, *, log: bool) -> None:
    """Make the x axis one of label counts."""
    if log:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_minor_locator(NullLocator())
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
    heights = spread([y for _, y in points], 1.35 * _LABEL_SIZE / height)
    for name, (x, y), target, style in zip(ends.index, points, heights, styles, strict=True):
        place: dict[str, Any] = {"transform": ax.transAxes, "clip_on": False}
        ax.plot([x + 0.012, 1.03], [y, target], color=style.colour, linewidth=0.6, **place)
        ax.plot([1.03, 1.08, 1.13], [target] * 3, markevery=[1], **line(style), **place)
        ax.text(1.142, target, name, color=INK, fontsize=_LABEL_SIZE, va="center", transform=ax.transAxes)


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
