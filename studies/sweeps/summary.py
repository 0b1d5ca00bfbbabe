"""What a sweep says at its end: its trials by objective, and how much of the best one's advantage is confirmed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from analysis import Results
from analysis.report.sweeps import confirmation_lines, figure_files
from analysis.statistics import mean_interval
from analysis.sweeps import setting_text
from harness.store.location import Location, write
from harness.store.schema import METRICS
from studies.sweeps.space import SCHEDULE
from studies.sweeps.trials import Record, Sweep, best_first, pareto_front
from studies.terminal import Column, say, show_table

_NAMES = {"area": "area", "log_area": "area (log labels)", "final": "final accuracy"}
_CAPTION = "interval: 95 %, Student's t over seeds, for each trial alone; the best of many owes something to luck"
_OFTEN_EMPTY = ("interval", "note")
"""Columns that are left out where they say nothing."""
_ONE_SEED = "one seed, so there is no interval; the best of many owes something to luck"


def show_trials(sweep: Sweep, records: Sequence[Record], console: Console) -> None:
    """Print the trials: complete ones by objective with the interval over seeds, then stopped and failed ones."""
    low, high = sweep.space.window
    where = f"at {high} labels" if sweep.objective == "final" else f"over {low} to {high} labels"
    headings = ["trial", *sweep.space.dimensions, "objective", "interval", "final", "select s", "note"]
    front = {record.number for record in pareto_front(records)} if sweep.by_seconds else set()
    first_of: dict[tuple[str, ...], int] = {}
    for record in sorted(records, key=lambda each: each.number):
        first_of.setdefault(tuple(spec.trajectory_id for spec in record.specs), record.number)
    rows = []
    for place, record in enumerate(best_first(records)):
        values = [setting_text(record.values[name]) for name in sweep.space.dimensions]
        notes = _notes(record, first_of) + (["Pareto front"] if record.number in front else [])
        style = "bold" if place == 0 and record.scores else ""
        row = [str(record.number), *values, *_numbers(record), "; ".join(notes)]
        rows.append([Text(cell, style) for cell in row])
    columns = [
        Column(heading, [row[place] for row in rows], is_text=heading in (SCHEDULE, "note"))
        for place, heading in enumerate(headings)
        if heading not in _OFTEN_EMPTY or any(row[place].plain for row in rows)
    ]
    what = _NAMES[sweep.objective].replace("accuracy", METRICS[sweep.metric])
    if sweep.metric != "accuracy" and sweep.objective != "final":
        what += f" of {METRICS[sweep.metric]}"
    title = f"Trials of {sweep.strategy}: {what} {where}, in % on the tune half of the test data"
    show_table(console, title, columns[0], columns[1:], _CAPTION if len(sweep.seeds) > 1 else _ONE_SEED)


def show_confirmation(results: Results, console: Console) -> None:
    """Print what is left of the tuned advantages of the one sweep in these results, or that nobody has looked."""
    for line in confirmation_lines(results.trials, results.confirmations):
        say(console, line)


def write_figures(results: Results, folder: Location) -> list[Location]:
    """Draw the figures of the one sweep in these results into a folder; returns those for the screen."""
    paths = []
    for name, content in figure_files(results):
        paths.append(folder / name)
        write(paths[-1], content)
    return [path for path in paths if path.suffix == ".png"]


def _numbers(record: Record) -> list[str]:
    if not record.scores:
        return ["", "", "", ""]
    interval = mean_interval(record.scores)
    spread = "" if math.isnan(interval.low) else f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
    final = sum(record.finals) / len(record.finals)
    selection = sum(record.selection) / len(record.selection)
    return [f"{100 * interval.estimate:.2f}", spread, f"{100 * final:.1f}", f"{selection:.1f}"]


def _notes(record: Record, first_of: dict[tuple[str, ...], int]) -> list[str]:
    notes = []
    if record.status == "stopped":
        notes.append(f"stopped at {record.labels} labels")
    if record.status == "failed":
        notes.append(f"failed at {record.labels} labels; the same command tries it again")
    if record.cap_lowered_to is not None:
        notes.append(f"runs as {record.cap_lowered_to}, as no round asks for more clusters")
    first = first_of[tuple(spec.trajectory_id for spec in record.specs)]
    if first != record.number:
        notes.append(f"same trajectories as trial {first}")
    return notes
