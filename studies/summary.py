"""What a comparison says at its end: a table in the terminal, a picture, a CSV file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from analysis import Results
from analysis.exceptions import NoBaselineError
from analysis.figures import save_curves
from analysis.tables import accuracy_table, missing_cells, ranks, summary_table, wide

_MARKS = {1: "bold", 2: "underline"}


def write_summary(results: Results, folder: Path) -> tuple[Path, Path]:
    """Write `results.csv` and `curves.png` into `folder`; returns their paths."""
    table, picture = folder / "results.csv", folder / "curves.png"
    hidden = folder / ".results.csv"
    accuracy_table(results).to_csv(hidden, index=False)
    hidden.replace(table)
    hidden = folder / ".curves.png"
    save_curves(results, hidden)
    hidden.replace(picture)
    return table, picture


def show_summary(results: Results, console: Console) -> None:
    """Print mean and std over seeds by label count, then area, gain over Random and seconds."""
    table = accuracy_table(results)
    console.print(_accuracies(table))
    try:
        summary, paired = summary_table(results), True
    except NoBaselineError:
        summary, paired = summary_table(results, baseline=None), False
    console.print(_totals(summary, paired=paired))
    for row in missing_cells(results).itertuples():
        console.print(f"missing: {escape(str(row.label))} seed {row.seed}: {escape(str(row.reason))}", soft_wrap=True)
    for line in _idle_caps(results):
        console.print(escape(line), soft_wrap=True)


def _accuracies(table: pd.DataFrame) -> Table:
    n_seeds = "/".join(str(n) for n in sorted(table["n_seeds"].unique()))
    shown = Table(
        title="Accuracy in %: mean ± std over seeds",
        caption=f"n = {n_seeds} seeds, std with ddof = 1; best bold, second underlined by mean",
        pad_edge=False,
    )
    shown.add_column("labels", justify="right")
    means, stds, places = wide(table), wide(table, "std"), ranks(table)
    for label in means.columns:
        shown.add_column(escape(str(label)), justify="right")
    for n_labels in means.index:
        cells = [
            _estimate(means.at[n_labels, label], stds.at[n_labels, label], places.at[n_labels, label])
            for label in means.columns
        ]
        shown.add_row(str(n_labels), *cells)
    return shown


def _estimate(mean: float, std: float, place: object) -> Text:
    if pd.isna(mean):
        return Text("")
    spread = "" if pd.isna(std) else f" ± {100 * std:.1f}"
    style = _MARKS.get(place, "") if isinstance(place, int) else ""
    return Text(f"{100 * mean:.1f}{spread}", style=style)


def _totals(summary: pd.DataFrame, *, paired: bool) -> Table:
    low, high = summary["area_from"].iloc[0], summary["area_to"].iloc[0]
    shown = Table(
        title=f"Area under the accuracy curve over {low} to {high} labels, in %",
        caption="difference to Random: paired by seed, 95 % Student's t interval; labels won: means above Random's"
        if paired
        else "no Random in this study: gains need it",
        pad_edge=False,
    )
    headings = ["strategy", "seeds", "area", "final"]
    headings += ["difference to Random", "labels won"] if paired else []
    for heading in [*headings, "select s", "train s"]:
        shown.add_column(heading, justify="left" if heading == "strategy" else "right")
    for _, row in summary.iterrows():
        cells = [
            escape(str(row["label"])),
            str(row["n_seeds"]),
            _estimate(row["area_mean"], row["area_std"], None),
            _estimate(row["final_mean"], row["final_std"], None),
        ]
        if paired:
            cells += [_difference(row), "" if pd.isna(row["won"]) else f"{row['won']}/{row['total']}"]
        cells += [f"{row['select_seconds']:.1f}", f"{row['train_seconds']:.1f}"]
        shown.add_row(*cells)
    return shown


def _difference(row: pd.Series) -> str:
    if pd.isna(row["difference"]):
        return ""
    if pd.isna(row["low"]):
        return f"{100 * row['difference']:+.2f}"
    return f"{100 * row['difference']:+.2f} [{100 * row['low']:+.2f}, {100 * row['high']:+.2f}]"


def _idle_caps(results: Results) -> list[str]:
    """Say where the cap on the number of clusters never bound: changing it would change nothing."""
    rounds = results.curves
    bound = rounds["stats"].map(lambda text: '"cap_bound":1' in text)
    capped = rounds["stats"].map(lambda text: '"cap_bound"' in text)
    idle = [label for label, rows in rounds[capped].assign(bound=bound).groupby("label") if not rows["bound"].any()]
    return [f"{label}: max_clusters never bound in this schedule" for label in idle]
