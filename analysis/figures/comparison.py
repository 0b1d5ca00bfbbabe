"""What `analysis.comparison` computes: phase transitions and pairwise penalties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.axes import INK, label_axis, legend_below, wrapped

_MOST_NUMBERS = 14
_SIGNS = {
    "ahead": ("^", "#0072B2", "#0072B2"),
    "behind": ("v", "#D55E00", "#D55E00"),
    "open": ("o", "white", "#888888"),
}


def sign_data(gains: pd.DataFrame) -> pd.DataFrame:
    """Say of each row of `gain_table` whether its interval is "ahead" of 0, "behind" it, or "open"."""
    sign = np.select([gains["low"] > 0, gains["high"] < 0], ["ahead", "behind"], "open")
    return gains[["configuration", "n_labels"]].assign(sign=sign)


def draw_transitions(gains: pd.DataFrame, transitions: pd.DataFrame, ax: Axes, *, log: bool) -> Axes:
    """Draw where each configuration is ahead of the baseline or behind, and where the sign turns for good.

    Args:
        gains: rows of `gain_table`.
        transitions: rows of `phase_transition`.
        ax: axis to draw into.
        log: logarithmic label axis.
    """
    signs = sign_data(gains)
    names = list(transitions["configuration"])
    row = {name: position for position, name in enumerate(names)}
    for sign, (marker, face, edge) in _SIGNS.items():
        cells = signs[signs["sign"] == sign]
        ax.scatter(
            cells["n_labels"],
            cells["configuration"].map(row),
            marker=marker,
            c=face,
            edgecolors=edge,
            s=42,
            label=sign,
            zorder=3,
        )
    spans = gains.groupby("configuration")["n_labels"].agg(["min", "max"])
    for found in transitions[transitions["crossing"].notna()].to_dict("records"):
        y = row[found["configuration"]]
        first, last = spans.loc[found["configuration"]]
        low = first if found["low_open"] else found["low"]
        high = last if found["high_open"] else found["high"]
        ax.plot([low, high], [y + 0.3] * 2, color=INK, linewidth=1.4, solid_capstyle="butt")
        ax.plot(found["crossing"], y + 0.3, marker="|", markersize=11, markeredgewidth=2.2, color=INK)
    label_axis(ax, gains["n_labels"], log=log)
    ax.set_yticks(range(len(names)), list(map(wrapped, names)))
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", color="#EEEEEE")
    legend_below(ax, 3)
    return ax


def draw_penalties(penalties: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the plain pairwise penalty matrix: the row beats the column at this share of the label counts.

    Args:
        penalties: rows of `pairwise_penalties`.
        ax: axis to draw into.
    """
    names = list(penalties["configuration"].unique())
    matrix = penalties.pivot(index="configuration", columns="opponent", values="plain").reindex(
        index=names, columns=names
    )
    ax.imshow(matrix.to_numpy(dtype=np.float64), cmap="Greys", vmin=0, vmax=1.25)
    if len(names) <= _MOST_NUMBERS:
        for y, x in np.argwhere(matrix.notna().to_numpy()):
            share = matrix.iloc[y, x]
            ax.text(
                x, y, f"{100 * share:.0f}", ha="center", va="center", fontsize=8.5, color="w" if share > 0.6 else "k"
            )
    shown = list(map(wrapped, names))
    slanted: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    if any("\n" in name for name in shown):  # slanted, such names would lie on one another
        numbers = [str(number) for number in range(1, len(names) + 1)]
        ax.set_xticks(range(len(names)), numbers, fontsize=8.5)
        shown = [f"{name}  {number}" for name, number in zip(shown, numbers, strict=True)]
        ax.set_aspect("auto")
    else:
        ax.set_xticks(range(len(names)), shown, fontsize=8.5, **slanted)
    ax.set_yticks(range(len(names)), shown, fontsize=8.5)
    ax.set_xlabel("is beaten")
    ax.set_ylabel("beats")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return ax
