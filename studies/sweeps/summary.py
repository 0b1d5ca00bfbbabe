"""What a sweep says at its end: its trials by objective, and how much of the best one's advantage is confirmed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from analysis import load
from analysis.report.sweeps import picture_files
from analysis.statistics import Interval, mean_interval
from harness.location import Location, write
from studies.sweeps.confirm import Confirmation
from studies.sweeps.space import SCHEDULE
from studies.sweeps.trials import Record, Sweep, best_first, pareto_front

_NAMES = {"area": "area", "log_area": "area (log labels)", "final": "final accuracy"}
_CAPTION = "interval: 95 %, Student's t over seeds, of each trial alone: the best of many is lucky as well as good"
_UNCONFIRMED = (
    "The best trial is unconfirmed: it was chosen as the best on this half of the test data, so its objective is too"
    " high on average; --confirm-seeds N runs it with other seeds on the other half."
)


def show_trials(sweep: Sweep, records: Sequence[Record], console: Console) -> None:
    """Print the trials: complete ones by objective with the interval over seeds, then stopped and failed ones."""
    low, high = sweep.space.window
    where = f"at {high} labels" if sweep.objective == "final" else f"over {low} to {high} labels"
    table = Table(
        title=f"Trials of {sweep.strategy} by {_NAMES[sweep.objective]} {where} in % of the tune half of the test data",
        title_justify="left",
        caption=_CAPTION
        if len(sweep.seeds) > 1
        else "one seed, so no interval; the best of many is lucky as well as good",
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    names = list(sweep.space.dimensions)
    for heading in ("trial", *names, "objective", "interval", "final", "select s", "note"):
        table.add_column(escape(heading), justify="left" if heading in (SCHEDULE, "note") else "right", overflow="fold")
    front = {record.number for record in pareto_front(records)} if sweep.by_seconds else set()
    first_of: dict[tuple[str, ...], int] = {}
    for record in sorted(records, key=lambda each: each.number):
        first_of.setdefault(tuple(spec.trajectory_id for spec in record.specs), record.number)
    for place, record in enumerate(best_first(records)):
        notes = _notes(record, first_of) + (["Pareto front"] if record.number in front else [])
        table.add_row(
            str(record.number),
            *(escape(_shown(record.values[name])) for name in names),
            *_numbers(record),
            escape("; ".join(notes)),
            style="bold" if place == 0 and record.scores else "",
        )
    console.print(table)


def show_confirmation(confirmation: Confirmation | None, console: Console) -> None:
    """Print what is left of the tuned advantage, or that nobody has looked."""
    for line in [_UNCONFIRMED] if confirmation is None else _confirmation(confirmation):
        console.print(escape(line), soft_wrap=True, highlight=False)


def write_figures(out: Location, study: str) -> list[Location]:
    """Draw the figures of a sweep into a folder of its name; returns the paths of the pictures for the screen."""
    paths = []
    for name, content in picture_files(load(str(out), study=study, queries=False)):
        paths.append(out / study / name)
        write(paths[-1], content)
    return [path for path in paths if path.suffix == ".png"]


def _numbers(record: Record) -> list[str]:
    if not record.scores:
        return ["", "", "", ""]
    interval = mean_interval(record.scores)
    spread = "" if interval.n < 2 else f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
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
        notes.append(f"the cap never binds: as {record.cap_lowered_to}")
    first = first_of[tuple(spec.trajectory_id for spec in record.specs)]
    if first != record.number:
        notes.append(f"same trajectories as trial {first}")
    return notes


def _confirmation(found: Confirmation) -> list[str]:
    seeds = f"seeds {found.seeds[0]} to {found.seeds[-1]}" if len(found.seeds) > 1 else f"seed {found.seeds[0]}"
    lines = [
        f"Trial {number} is the default ({found.default}): nothing to confirm." for number in found.trials_at_default
    ]
    for advantage in found.advantages:
        if advantage.searched is None or advantage.confirmed is None:
            lines.append(f"Trial {advantage.trial} is unconfirmed: a trajectory of it or of the default failed.")
            continue
        said = (
            f"Trial {advantage.trial} against the default ({found.default}): {_points(advantage.searched)} in the"
            f" search, {_points(advantage.confirmed)} confirmed with {seeds} on the other half of the test data"
        )
        if advantage.survived is None:
            lines.append(f"{said}; there was no advantage to confirm.")
            continue
        shown = "" if advantage.confirmed.low > 0 else "; the interval does not exclude that there is none"
        lines.append(f"{said}: {_share(advantage.survived)} of the advantage survived{shown}.")
    return lines


def _share(survived: float) -> str:
    """A share in words outside of 0 to 1: of a small advantage it may be any number."""
    return "none" if survived <= 0 else "all" if survived >= 1 else f"{100 * survived:.0f} %"


def _points(interval: Interval) -> str:
    estimate = f"{100 * interval.estimate:+.2f} points"
    return estimate if interval.n < 2 else f"{estimate} [{100 * interval.low:+.2f}, {100 * interval.high:+.2f}]"


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
