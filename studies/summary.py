"""What a comparison says at its end: a table in the terminal, a picture, a CSV file."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from io import BytesIO
from typing import Any

import pandas as pd
from rich.console import Console
from rich.text import Text

from analysis import Results
from analysis.exceptions import NoBaselineError
from analysis.figures import save_curves
from analysis.figures.curves import bounds_of
from analysis.formats import slugs
from analysis.report.render import frame_to_csv
from analysis.tables import accuracy_table, missing_cells, ranks, summary_table, wide
from harness.store.location import Location, write
from harness.store.reading import from_json
from studies.terminal import Column, say, show_table

_MARKS = {1: "bold", 2: "underline"}


def write_summary(
    results: Results, folder: Location, earlier: Sequence[Results] | None = None
) -> tuple[Location, Location]:
    """Write `results.csv` and a picture of the curves into `folder`; returns their paths.

    Args:
        results: of one data set.
        folder: of the store.
        earlier: of the data sets that the command has run before this one; the table has them, too, and each has a
            picture of its own. None where there is just one: `curves.png`.
    """
    every = [*(earlier or ()), results]
    names = [each.data_names[0] for each in every]
    table = folder / "results.csv"
    picture = folder / ("curves.png" if earlier is None else f"curves-{slugs(names)[-1]}.png")
    tables = [accuracy_table(each).assign(data=name) for each, name in zip(every, names, strict=True)]
    frame = pd.concat(tables, ignore_index=True)
    frame.insert(0, "data", frame.pop("data"))
    write(table, frame_to_csv(frame).encode())
    drawn = BytesIO()
    save_curves(results, drawn)
    write(picture, drawn.getvalue())
    return table, picture


def show_summary(results: Results, console: Console) -> None:
    """Print mean and std over seeds by label count, then area, gain over Random and seconds."""
    table = accuracy_table(results)
    n_seeds = "/".join(str(n) for n in sorted(table["n_seeds"].unique()))
    over = "of one seed" if n_seeds == "1" else f"mean ± std over {n_seeds} seeds (ddof = 1)"
    title = f"Accuracy in %, {over}; the best {'' if n_seeds == '1' else 'mean '}is bold, the second underlined"
    show_table(console, title, *_accuracies(table))
    try:
        summary, paired = summary_table(results), True
    except NoBaselineError:
        summary, paired = summary_table(results, baseline=None), False
    low, high = summary["area_from"].iloc[0], summary["area_to"].iloc[0]
    title = f"Area under the accuracy curve over {low} to {high} labels and final accuracy, in %; seconds per seed"
    caption = (
        "gain: area minus Random's, paired by seed [95 % interval, Student's t]; won: label counts with a higher mean"
        " than Random's"
        if paired
        else "there is no gain, because Random is not in the study"
    )
    show_table(console, title, *_totals(summary, paired=paired), caption)
    for name, means in bounds_of(results).groupby("curve"):
        pairs = zip(means["n_labels"], means["mean"], strict=True)
        shown = ", ".join(f"{n_labels} {100 * mean:.1f}" for n_labels, mean in pairs)
        say(console, f"{name}, which sees true labels and test data, reaches in % at each label count: {shown}")
    for row in missing_cells(results).itertuples():
        say(console, f"missing: {row.configuration} seed {row.seed}: {row.reason}")
    for line in _remarks(results):
        say(console, line)


def _accuracies(table: pd.DataFrame) -> tuple[Column, list[Column]]:
    """Label counts x configurations."""
    means, stds, places = wide(table), wide(table, "std"), ranks(table)
    columns = []
    for name in means.columns:
        cells = zip(means[name], stds[name], places[name], strict=True)
        columns.append(Column(str(name), [Text(_percent(mean, std), _style(place)) for mean, std, place in cells]))
    return Column("labels", [Text(str(n_labels)) for n_labels in means.index]), columns


def _totals(summary: pd.DataFrame, *, paired: bool) -> tuple[Column, list[Column]]:
    """Configurations x what is said of a whole curve."""
    rows = summary.to_dict("records")
    cells = {key: [_percent(row[f"{key}_mean"], row[f"{key}_std"]) for row in rows] for key in ("area", "final")}
    if paired:
        cells["gain"] = [_gain(row) for row in rows]
        cells["won"] = ["" if pd.isna(row["won"]) else f"{int(row['won'])}/{int(row['total'])}" for row in rows]
    cells |= {key: [_seconds(row[f"{key}_seconds"]) for row in rows] for key in ("select", "train")}
    names = Column("configuration", [Text(str(row["configuration"])) for row in rows], is_text=True)
    return names, [Column(heading, list(map(Text, texts))) for heading, texts in cells.items()]


def _style(place: Any) -> str:
    return "" if pd.isna(place) else _MARKS.get(int(place), "")


def _percent(mean: float, std: float) -> str:
    if pd.isna(mean):
        return ""
    return f"{100 * mean:.1f}" + ("" if pd.isna(std) else f"±{100 * std:.1f}")


def _seconds(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.1f}"


def _gain(row: Mapping[Hashable, Any]) -> str:
    if pd.isna(row["difference"]):
        return ""
    estimate, low, high = (f"{round(100 * row[key], 1) + 0.0:+.1f}" for key in ("difference", "low", "high"))  # no -0
    return estimate if pd.isna(row["low"]) else f"{estimate} [{low}, {high}]"


def _remarks(results: Results) -> list[str]:
    """Caps that never bound, so that changing them changes nothing; look-aheads that memory was too small for."""
    stats = results.curves["stats"].map(from_json)
    rounds = results.curves.assign(
        bound=stats.map(lambda each: each.get("cap_bound")), stored=stats.map(lambda each: each.get("stored_share"))
    )
    lines = []
    for name, own in rounds.groupby("configuration"):
        if own["bound"].notna().any() and not own["bound"].any():
            said = "no round asked for more clusters than max_clusters, so a larger one gives the same picks"
            lines.append(f"{name!s}: {said}")
        if (least := own["stored"].min()) < 1:
            share = math.floor(100 * least)
            lines.append(
                f"{name!s}: memory held {share}% of the residual kernel in the tightest round; the rest was computed"
                " again for each pick. A larger --memory-limit or more --shards would be faster, with the same picks"
            )
    return lines
