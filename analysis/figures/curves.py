"""Curves over the label counts: accuracy, and gain over a baseline."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes

from analysis.comparison import gain_table
from analysis.figures.axes import (
    BOUND,
    INK,
    PLAIN_TEXT,
    LineStyle,
    framed,
    height_for,
    label_axis,
    legend_beside,
    line,
    line_styles,
    name_ends,
    percent_axis,
)
from analysis.results import Results
from analysis.tables import accuracy_table

LOG_RATIO = 30
_MAX_DIRECT_LABELS = 8
_CURVE = ["curve", "n_labels", "mean", "low", "high", "n_seeds"]


def curve_data(results: Results, data: str | None = None) -> pd.DataFrame:
    """Compute the learning curves of a figure.

    Args:
        results: finished trajectories.
        data: name of the data set; None where the results hold just one.

    Returns:
        One row per configuration and label count, in display order: curve (the configuration), n_labels,
        mean (accuracy in [0, 1]), low, high (mean -/+ one standard deviation with ddof = 1; NaN for one seed), n_seeds.

    Raises:
        SelectionError: `data` does not name one data set of the results.
    """
    return curves_of(accuracy_table(results, data))


def curves_of(table: pd.DataFrame) -> pd.DataFrame:
    """`curve_data` from rows of `accuracy_table`."""
    table = table.rename(columns={"configuration": "curve"}).assign(
        low=table["mean"] - table["std"], high=table["mean"] + table["std"]
    )
    return table[_CURVE]


def bounds_of(results: Results) -> pd.DataFrame:
    """Rows of `curve_data` for the oracles of one data set, without a band: bounds, to be drawn behind the curves."""
    bounds = results.bounds.astype({"accuracy": float})
    several = bounds.groupby("strategy")[["params", "schedule"]].nunique() > 1
    names = [
        " ".join([f"{row['strategy']} (oracle)", *(str(row[key]) for key in ("params", "schedule") if told[key])])
        for row, told in zip(bounds.to_dict("records"), several.loc[bounds["strategy"]].to_dict("records"), strict=True)
    ]
    groups = bounds.assign(curve=names).groupby(["curve", "n_labels"])["accuracy"]
    found = groups.agg(mean="mean", n_seeds="size").reset_index()
    return found.assign(low=float("nan"), high=float("nan"))[_CURVE]


def bound_note(results: Results) -> str:
    """What a caption adds where oracles are drawn."""
    return "" if results.bounds.empty else "; grey dots: a bound"


def with_bounds(
    curves: pd.DataFrame, styles: dict[str, LineStyle], results: Results
) -> tuple[pd.DataFrame, dict[str, LineStyle]]:
    """Curves and styles with those of the oracles after them."""
    bounds = bounds_of(results)
    if bounds.empty:
        return curves, styles
    return pd.concat([curves, bounds], ignore_index=True), {**styles, **dict.fromkeys(bounds["curve"], BOUND)}


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
    data: pd.DataFrame,
    ax: Axes,
    *,
    log: bool | None = None,
    styles: dict[str, LineStyle] | None = None,
    name: str = "Accuracy",
) -> Axes:
    """Draw mean and band of every curve over the true label counts, and name the curves.

    Up to 8 curves are named at their right ends, more in a legend beside the axis; a curve of fewer seeds than
    the others says so in its name.

    Args:
        data: rows of `curve_data`.
        ax: axis to draw into, of its final size.
        log: logarithmic label axis; None decides by `needs_log`.
        styles: style of each curve by its name; None takes `line_styles` of the names in `data`.
        name: of what is drawn.

    Returns:
        `ax`.
    """
    names = list(data["curve"].unique())
    styles = line_styles(names) if styles is None else styles
    n_seeds = data.groupby("curve")["n_seeds"].min()
    shown = {each: each if n == n_seeds.max() else f"{each} (n = {n})" for each, n in n_seeds.items()}
    for each in names:
        curve, style = data[data["curve"] == each], styles[each]
        ax.fill_between(curve["n_labels"], curve["low"], curve["high"], color=style.colour, alpha=0.13, linewidth=0)
        every = max(1, len(curve) // 12)
        ax.plot(curve["n_labels"], curve["mean"], markevery=every, label=shown[each], **line(style))
    label_axis(ax, data["n_labels"], log=needs_log(data) if log is None else log)
    percent_axis(ax, f"{name} (%)")
    if len(names) > _MAX_DIRECT_LABELS:
        legend_beside(ax)
    elif names:
        ends = data.groupby("curve", sort=False).last()
        name_ends(ax, ends.rename(index=shown), [styles[each] for each in ends.index])
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
    drawn, styles = with_bounds(curves, line_styles(list(curves["curve"].unique())), results)
    heading = results.data_names[0] if title is None else title
    note = caption(curves) + bound_note(results)
    with rc_context(PLAIN_TEXT):
        height = height_for(drawn["curve"].unique())
        framed(heading, note, lambda ax: draw_curves(drawn, ax, log=log, styles=styles), height=height).savefig(path)


def gain_data(results: Results, data: str | None = None, *, baseline: str = "random") -> pd.DataFrame:
    """Compute the gains of a figure: the columns of `curve_data`; the band is the paired 95 % t interval.

    Raises:
        NoBaselineError, UnpairedError, SelectionError: as `analysis.comparison.pairs`.
    """
    return gains_of(gain_table(results, data, baseline=baseline))


def gains_of(table: pd.DataFrame) -> pd.DataFrame:
    """`gain_data` from rows of `gain_table`."""
    return table.rename(columns={"configuration": "curve", "gain": "mean", "n_pairs": "n_seeds"})[_CURVE]


def draw_gain(data: pd.DataFrame, ax: Axes, *, styles: dict[str, LineStyle] | None = None) -> Axes:
    """Draw `gain_data` like curves, with the baseline as the line at 0."""
    ax.axhline(0, color=INK, linewidth=0.8)
    draw_curves(data, ax, styles=styles)
    ax.set_ylabel("Gain (percentage points)")
    return ax
