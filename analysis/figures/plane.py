"""Coverage in two dimensions (Fig. 1): what strategies believe to have covered, beside what the classifier gets right.

The figure's data are the rows of the table `coverage` of one picture (`Results.coverage`).
"""

from __future__ import annotations

import math
from typing import Any, Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.patches import Circle, Polygon
from scipy.spatial import ConvexHull, QhullError

from analysis.diagnostics import share_table
from analysis.figures.axes import INK

Which = Literal["estimated", "true"]

_COVERED, _OPEN, _UNKNOWN = "#0072B2", "#D55E00", "#999999"
_MARKERS = "os^DvPX<>h"
_MOST_NUMBERS = 25
_WIDTH, _TITLE = 7.1, 0.3
"""Inches: of all panels; above each panel."""
_MOST_COLUMNS = 3
"""Panels beside one another whose titles do not touch."""
_SIDE, _GAP = 0.03, 0.02
"""Shares of the width: left of the panels, between two of them."""


def draw_plane(panel: pd.DataFrame, ax: Axes, which: Which) -> Axes:
    """Draw one strategy's labels and which points they cover.

    Covered points are filled, others hollow; the shape is the class. Balls and clusters are outlined where the
    strategy has them and its estimate is shown. Up to 25 picks are numbered in their order.

    Args:
        panel: rows of one strategy of a picture.
        ax: axis to draw into.
        which: the strategy's estimate, or what the classifier gets right.
    """
    covered = panel[f"covered_{which}"]
    known = panel[covered.notna()]
    covered = covered[covered.notna()].astype(bool)
    if which == "estimated":
        _outline(panel, ax)
    for name, marker in zip(sorted(panel["class"].unique()), _MARKERS * len(panel), strict=False):
        of_class = known["class"] == name
        for part, face, edge in (
            (known[of_class & covered], _COVERED, _COVERED),
            (known[of_class & ~covered], "white", _OPEN),
            (panel[(panel["class"] == name) & ~panel.index.isin(known.index)], "none", _UNKNOWN),
        ):
            ax.scatter(part["x"], part["y"], s=7, marker=marker, facecolors=face, edgecolors=edge, linewidths=0.6)
    picks = panel[panel["pick"].notna()].sort_values("pick")
    numbered = len(picks) <= _MOST_NUMBERS
    ax.scatter(
        picks["x"], picks["y"], s=58 if numbered else 20, facecolors="white", edgecolors="black", linewidths=1, zorder=4
    )
    if numbered:
        for pick in picks.to_dict("records"):
            where: dict[str, Any] = {"ha": "center", "va": "center_baseline", "zorder": 5}
            ax.text(pick["x"], pick["y"], f"{pick['pick'] + 1:.0f}", fontsize=6, weight="bold", **where)
    ax.set_aspect("equal", adjustable="box")
    for axis, low, high in (("x", *_range(panel["x"])), ("y", *_range(panel["y"]))):
        ax.set(**{f"{axis}lim": (low, high), f"{axis}ticks": []})
    ax.spines[:].set_color("#BBBBBB")
    return ax


def draw_picture(picture: pd.DataFrame, ax: Axes) -> Axes:
    """Draw estimated coverage above true coverage, a column for each strategy, and a few columns beside one another.

    Args:
        picture: rows of one picture.
        ax: axis whose room the panels share.
    """
    ax.spines[:].set_visible(False)
    ax.set(xticks=[], yticks=[])
    panels = list(picture.groupby("strategy", sort=False))
    n_columns, n_bands = _columns(picture)
    _, height, width = _measures(picture)
    slot = 0.5 / n_bands
    for number, (share, (_, panel)) in enumerate(zip(share_table(picture).to_dict("records"), panels, strict=True)):
        band, column = divmod(number, n_columns)
        estimate = "no estimate" if pd.isna(share["estimated"]) else f"estimated {_percent(share['estimated'])}"
        rows: list[tuple[Which, str, str]] = [
            ("true", f"network: true {_percent(share['true'])}", "true coverage"),
            ("estimated", f"{share['strategy']}: {estimate}", "estimated coverage"),
        ]
        for row, (which, title, side) in enumerate(rows):
            bottom = 1 - (2 * band + 2 - row) * slot
            place = (_SIDE + column * (width + _GAP), bottom, width, slot - _TITLE / height)
            inset = draw_plane(panel, ax.inset_axes(place), which)
            inset.set_title(title, fontsize=8.5, color=INK, pad=4)
            if column == 0:
                inset.set_ylabel(side, fontsize=8.5, color=INK)
    return ax


def picture_height(picture: pd.DataFrame) -> float:
    """Inches for `figures.framed` that `draw_picture` needs so that its panels fill the width."""
    return _measures(picture)[1] + 0.75


def _measures(picture: pd.DataFrame) -> tuple[float, float, float]:
    """Width and height of all panels in inches, and the share of the width that a panel takes."""
    (left, right), (low, high) = _range(picture["x"]), _range(picture["y"])
    n_columns, n_bands = _columns(picture)
    panel = (1 - _SIDE - _GAP * (n_columns - 1)) / n_columns
    return _WIDTH, 2 * n_bands * (panel * _WIDTH * (high - low) / (right - left) + _TITLE), panel


def _columns(picture: pd.DataFrame) -> tuple[int, int]:
    """Strategies beside one another, and how often there are so many below one another."""
    n = picture["strategy"].nunique()
    n_bands = math.ceil(n / _MOST_COLUMNS)
    return math.ceil(n / n_bands), n_bands


def _outline(panel: pd.DataFrame, ax: Axes) -> None:
    balls = panel[panel["ball_radius"].notna()]
    shapes: list[Circle | Polygon] = [
        Circle((ball["ball_x"], ball["ball_y"]), ball["ball_radius"]) for ball in balls.to_dict("records")
    ]
    for _, cluster in panel[panel["pseudo_label"].notna()].groupby("pseudo_label"):
        points = cluster[["x", "y"]].to_numpy()
        try:
            shapes.append(Polygon(points[ConvexHull(points).vertices]))
        except (QhullError, ValueError):  # too few points, or all on a line
            continue
    ax.add_collection(PatchCollection(shapes, facecolor="#EFEFEF", edgecolor="none", zorder=0.5))
    ax.add_collection(PatchCollection(shapes, facecolor="none", edgecolor="#555555", linewidth=0.7, zorder=3))


def _range(values: pd.Series[float]) -> tuple[float, float]:
    margin = 0.06 * (values.max() - values.min()) or 1.0
    return float(values.min() - margin), float(values.max() + margin)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
