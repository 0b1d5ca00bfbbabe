"""What `analysis.diagnostics` computes: coverage, errors by clusters, cost, number of clusters."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogFormatter, MaxNLocator

from analysis.diagnostics import diagnoses
from analysis.figures.axes import LineStyle, legend_below, legend_beside, line, line_styles, name_ends, percent_axis
from analysis.figures.curves import draw_curves
from analysis.results import Results

COVERAGE_NAMES = {
    "coverage_estimated": "estimated: NTK, pseudo-labels",
    "coverage_ntk_true": "NTK, true labels",
    "coverage_true": "true: classifier",
}
BOUND_NAMES = {"estimate_error": "error of the estimate", "error_bound": "bound on the error (eq. 5)"}
ERROR_NAMES = {"p_nff": "impurity P_nff", "p_fnf": "over-clustering P_fnf", "ntk_error": "NTK error"}
_MOST_NUMBERS = 14
_MOST_MARKERS = 12


def coverage_data(results: Results, configuration: str) -> pd.DataFrame:
    """Compute coverage of one configuration (Fig. 4) and both sides of eq. 5: the columns of `curve_data`.

    The curves are the three coverages, the error of the estimate and its bound; the band is the standard
    deviation over seeds (ddof = 1).
    """
    return _measured(results, configuration, {**COVERAGE_NAMES, **BOUND_NAMES}, "n_labels")


def error_data(results: Results, configuration: str) -> pd.DataFrame:
    """Compute the error decomposition of one configuration against its number of clusters (eq. 5 to 7).

    Returns:
        The columns of `curve_data`, with n_clusters in place of n_labels; rounds with equally many clusters are
        averaged within a seed first. Empty where nothing was recorded.
    """
    return _measured(results, configuration, ERROR_NAMES, "n_clusters")


def draw_coverage(data: pd.DataFrame, ax: Axes) -> Axes:
    """Draw `coverage_data` over the label counts."""
    draw_curves(data, ax)
    ax.set_ylabel("Share of the risk set (%)")
    return ax


def draw_errors(data: pd.DataFrame, ax: Axes) -> Axes:
    """Draw `error_data` over the number of clusters."""
    draw_curves(data.rename(columns={"n_clusters": "n_labels"}), ax, log=False)
    ax.set_xlabel("Clusters")
    ax.set_ylabel("Share of the risk set (%)")
    return ax


def draw_cost(costs: pd.DataFrame, areas: pd.DataFrame, ax: Axes, *, styles: dict[str, LineStyle]) -> Axes:
    """Draw the area under the curve against the seconds of selection of a trajectory.

    Args:
        costs: rows of `cost_table`.
        areas: configuration and area_mean of each configuration.
        ax: axis to draw into, of its final size.
        styles: style of each configuration.
    """
    points = costs.merge(areas[["configuration", "area_mean"]], on="configuration")
    for point in points.to_dict("records"):
        style = styles[point["configuration"]]
        ax.plot(
            point["select_seconds"],
            point["area_mean"],
            color=style.colour,
            marker=style.marker,
            markersize=8,
            linestyle="",
        )
    _seconds_axis(ax, "Seconds of selection per trajectory (log scale)")
    percent_axis(ax, "Area under the curve (%)")
    if len(points) <= _MOST_NUMBERS:
        ends = points.set_index("configuration").rename(columns={"select_seconds": "n_labels", "area_mean": "mean"})
        name_ends(ax, ends, [styles[str(name)]._replace(dash="none") for name in ends.index])
    return ax


def draw_spending(spending: pd.DataFrame, ax: Axes, *, styles: dict[str, LineStyle], name: str = "Accuracy") -> Axes:
    """Draw accuracy against the seconds of selection so far, a marker for each label count.

    Args:
        spending: rows of `spending_table`.
        ax: axis to draw into, of its final size.
        styles: style of each configuration.
        name: of what is drawn.
    """
    for configuration, curve in spending.groupby("configuration", sort=False):
        every = max(1, len(curve) // _MOST_MARKERS)
        ax.plot(
            curve["select_seconds"],
            curve["mean"],
            markevery=every,
            label=configuration,
            **line(styles[str(configuration)]),
        )
    _seconds_axis(ax, "Seconds of selection so far (log scale)")
    percent_axis(ax, f"{name} (%)")
    if len(spending):
        legend_beside(ax)
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


def _seconds_axis(ax: Axes, name: str) -> None:
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(_Plain(minor_thresholds=(1, 0.5)))
    ax.set_xlabel(name)


class _Plain(LogFormatter):
    """Marks the ticks that its base class would mark, by `0.3` rather than `3e-01`."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def _measured(results: Results, configuration: str, names: dict[str, str], axis: str) -> pd.DataFrame:
    rounds = diagnoses(results)
    rounds = rounds[rounds["configuration"] == configuration].dropna(subset=[axis])
    by_seed = rounds.groupby([axis, "seed"])[list(names)].mean().groupby(axis)
    mean, std, size = by_seed.mean(), by_seed.std(ddof=1), by_seed.size()
    frames = [
        pd.DataFrame(
            {"curve": name, axis: mean.index, "mean": mean[key], "low": mean[key] - std[key]}
            | {"high": mean[key] + std[key], "n_seeds": size}
        )
        for key, name in names.items()
    ]
    return pd.concat(frames, ignore_index=True).dropna(subset=["mean"])
