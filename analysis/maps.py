"""Figures that are no learning curves: phase transitions, pairwise penalties, cost, number of clusters.

Each draws a table of `comparison` or `diagnostics` into an axis and returns it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogFormatter, MaxNLocator
from matplotlib.transforms import offset_copy

from analysis.figures import INK, LineStyle, label_axis, line, line_styles, name_ends, percent_axis

_MOST_NUMBERS = 14
_SIGNS = {
    "ahead": ("^", "#0072B2", "#0072B2"),
    "behind": ("v", "#D55E00", "#D55E00"),
    "open": ("o", "white", "#888888"),
}


def sign_data(gains: pd.DataFrame) -> pd.DataFrame:
    """Say of each row of `gain_table` whether its interval is "ahead" of 0, "behind" it, or "open"."""
    sign = np.select([gains["low"] > 0, gains["high"] < 0], ["ahead", "behind"], "open")
    return gains[["label", "n_labels"]].assign(sign=sign)


def draw_transitions(gains: pd.DataFrame, transitions: pd.DataFrame, ax: Axes, *, log: bool) -> Axes:
    """Draw where each configuration is ahead of the baseline or behind, and where the sign turns for good.

    Args:
        gains: rows of `gain_table`.
        transitions: rows of `phase_transition`.
        ax: axis to draw into.
        log: logarithmic label axis.
    """
    signs = sign_data(gains)
    labels = list(transitions["label"])
    row = {label: position for position, label in enumerate(labels)}
    for sign, (marker, face, edge) in _SIGNS.items():
        cells = signs[signs["sign"] == sign]
        ax.scatter(
            cells["n_labels"],
            cells["label"].map(row),
            marker=marker,
            c=face,
            edgecolors=edge,
            s=42,
            label=sign,
            zorder=3,
        )
    first, last = gains["n_labels"].min(), gains["n_labels"].max()
    for found in transitions[transitions["answer"] == "crossing"].to_dict("records"):
        y = row[found["label"]]
        low = first if found["low_open"] else found["low"]
        high = last if found["high_open"] else found["high"]
        ax.plot([low, high], [y + 0.3] * 2, color=INK, linewidth=1.4, solid_capstyle="butt")
        ax.plot(found["crossing"], y + 0.3, marker="|", markersize=11, markeredgewidth=2.2, color=INK)
    label_axis(ax, log=log)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", color="#EEEEEE")
    legend_below(ax, 3)
    return ax


def draw_penalties(penalties: pd.DataFrame, ax: Axes, *, value: str = "plain") -> Axes:
    """Draw the pairwise penalty matrix: the row beats the column at this share of the label counts.

    Args:
        penalties: rows of `pairwise_penalties`.
        ax: axis to draw into.
        value: column to show, "plain" or "holm".
    """
    labels = list(penalties["label"].unique())
    matrix = penalties.pivot(index="label", columns="opponent", values=value).reindex(index=labels, columns=labels)
    ax.imshow(matrix.to_numpy(dtype=np.float64), cmap="Greys", vmin=0, vmax=1.25)
    if len(labels) <= _MOST_NUMBERS:
        for y, x in np.argwhere(matrix.notna().to_numpy()):
            share = matrix.iloc[y, x]
            ax.text(
                x, y, f"{100 * share:.0f}", ha="center", va="center", fontsize=8.5, color="w" if share > 0.6 else "k"
            )
    ax.set_xticks(range(len(labels)), labels, rotation=40, ha="right", rotation_mode="anchor", fontsize=8.5)
    ax.set_yticks(range(len(labels)), labels, fontsize=8.5)
    ax.set_xlabel("is beaten")
    ax.set_ylabel("beats")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return ax


def draw_cost(costs: pd.DataFrame, areas: pd.DataFrame, ax: Axes, *, styles: dict[str, LineStyle]) -> Axes:
    """Draw the area under the curve against the seconds of selection of a trajectory.

    Args:
        costs: rows of `cost_table`.
        areas: label and area_mean of each configuration.
        ax: axis to draw into, of its final size.
        styles: style of each label.
    """
    points = costs.merge(areas[["label", "area_mean"]], on="label")
    for point in points.to_dict("records"):
        style = styles[point["label"]]
        ax.plot(
            point["select_seconds"],
            point["area_mean"],
            color=style.colour,
            marker=style.marker,
            markersize=8,
            linestyle="",
        )
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.5)))
    ax.set_xlabel("Seconds of selection per trajectory (log scale)")
    percent_axis(ax, "Area under the curve (%)")
    if len(points) <= _MOST_NUMBERS:
        ends = points.set_index("label").rename(columns={"select_seconds": "n_labels", "area_mean": "mean"})
        name_ends(ax, ends, [styles[str(label)]._replace(dash="none") for label in ends.index])
    return ax


def draw_clusters(clusters: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the area under the curve against the cap on the number of clusters (`cluster_table`, Fig. 5)."""
    styles = line_styles(list(clusters["curve"].unique()))
    for name, curve in clusters.groupby("curve", sort=False):
        style = styles[str(name)]
        errors = [curve["area_mean"] - curve["low"], curve["high"] - curve["area_mean"]]
        ax.errorbar(curve["max_clusters"], curve["area_mean"], errors, capsize=3, label=name, **line(style))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("Most clusters")
    percent_axis(ax, "Area under the curve (%)")
    legend_below(ax, 2)
    return ax


def legend_below(ax: Axes, n_columns: int) -> None:
    """Put the legend under the axis and its label."""
    below = offset_copy(ax.transAxes, ax.get_figure(root=True), y=-36, units="points")
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": below}
    ax.legend(ncols=n_columns, frameon=False, fontsize=8.5, **place)
