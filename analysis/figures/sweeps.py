"""What `analysis.sweeps` computes: objectives by setting and by trial, importances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from analysis.figures.axes import INK, cut, legend_below, legend_beside, line, line_styles, percent_axis, wrapped
from analysis.sweeps import SCHEDULE, setting_texts

_CHARACTERS = 70
"""Of names below an axis, so many fit beside one another."""


def draw_interaction(data: pd.DataFrame, parameter: str, ax: Axes) -> Axes:
    """Draw `interaction_data`: a line per schedule over the values of a hyperparameter, with intervals."""
    styles = line_styles(list(data[SCHEDULE].unique()))
    values = list(data[parameter].unique())
    is_number = all(isinstance(value, Real) and not isinstance(value, bool | np.bool_) for value in values)
    place = {value: value if is_number else position for position, value in enumerate(values)}
    for name, cells in data.groupby(SCHEDULE, sort=False):
        errors = cells[["low", "high"]].sub(cells["objective"], axis=0).abs().to_numpy().T
        x, style = cells[parameter].map(place), line(styles[str(name)])
        ax.errorbar(x, cells["objective"], errors, capsize=3, label=name, **style)
    texts = setting_texts(values)
    width = (max(map(len, texts)) + 2) / _CHARACTERS
    is_slanted = not is_number and width * len(values) > 1
    if not is_number:
        slanted: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
        ax.set_xticks(range(len(values)), list(map(wrapped, texts)), **(slanted if is_slanted else {}))
    elif min(values) > 0 and max(values) > 3 * min(values):
        ax.set_xscale("log")
        ax.xaxis.set_minor_locator(NullLocator())
        ticks = _with_room(sorted(values), width)
        ax.set_xticks(ticks, [texts[values.index(value)] for value in ticks])
    ax.set_xlabel(cut(parameter))
    percent_axis(ax, "Objective (%)")
    if is_slanted:  # names of any length lie where the legend would
        legend_beside(ax)
    else:
        legend_below(ax, 3)
    return ax


def _with_room(values: Sequence[float], width: float) -> list[float]:
    """The ends of a logarithmic axis, and of the values between them those whose names do not touch others.

    Args:
        values: in increasing order, at least two.
        width: of a name, as a share of the axis.
    """
    first, *between, last = values
    kept = [first]
    for value in between:
        if math.log(min(value / kept[-1], last / value)) >= width * math.log(last / first):
            kept.append(value)
    return [*kept, last]


def draw_history(data: pd.DataFrame, ax: Axes) -> Axes:
    """Draw `history_data`: a point per trial, a step line for the best so far."""
    ax.step(data["trial"], data["best"], where="post", color="#0072B2", linewidth=1.5, label="best so far")
    ax.plot(data["trial"], data["objective"], linestyle="", marker="o", markersize=5, color=INK, label="trial")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("Trial")
    percent_axis(ax, "Objective (%)")
    legend_below(ax, 2)
    return ax


def draw_importances(data: pd.DataFrame, ax: Axes) -> Axes:
    """Draw `importance_data`: a bar per setting."""
    rows = range(len(data))
    ax.barh(rows, data["importance"], color="#0072B2", height=0.6)
    for row, value in zip(rows, data["importance"], strict=True):
        ax.text(value, row, f" {100 * value:.0f} %", va="center", fontsize=8.5)
    ax.set_yticks(rows, list(map(wrapped, data["setting"])))
    ax.invert_yaxis()
    ax.set_xlim(0, 1.08)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
    ax.set_xlabel("Importance (% of the spread)")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax
