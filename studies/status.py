"""How far the studies of a store are."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

from rich.markup import escape
from rich.table import Table

from harness.exceptions import StoreError
from harness.plan import stored_spec
from harness.store.location import Location
from harness.store.reading import Row, StoreReader, require_store

_WAITING = "not started"


def study_status(root: Location) -> Iterator[tuple[str, str, Table]]:
    """Name with its data, command and a table by status of each study, with the trials of a sweep that have ended.

    Raises:
        StoreError: there is no store, or it cannot be read.
    """
    require_store(root)
    store = StoreReader(root)
    studies = store.studies()
    if not studies:
        raise StoreError(f"Expected a store with a study in `{root}`, but found none.")
    trajectories = store.trajectories()
    for study, rows in studies.items():
        table = Table("status", "trajectories", box=None, pad_edge=False)
        counts = _counts(store, trajectories, rows)
        for state, count in counts.items():
            table.add_row(state, f"{count}/{len(rows)}")
        for state, count in Counter(row["status"] for row in store.trials(study)).items():
            table.add_row(f"{state} trials", str(count))
        if _is_sweep(rows):
            table.add_row("", "a sweep is counted as far as it has begun")
        for row in rows:
            found = trajectories.get(row["trajectory_id"])
            if found and found["status"] == "failed":
                spec = stored_spec(found)
                table.add_row("", escape(f"{spec.strategy} seed {spec.seed}: {found['message']}"))
        data = _data(store, trajectories, rows) if counts.keys() - {_WAITING} else ""
        yield f"{study} on {data}" if data else study, rows[0]["command"], table


def progress(root: Location) -> list[str]:
    """How many trajectories of each study are finished, and what is still missing, in a line each.

    Raises:
        StoreError: there is no store, or it cannot be read.
    """
    require_store(root)
    store = StoreReader(root)
    trajectories = store.trajectories()
    lines = []
    for study, rows in store.studies().items():
        counts = _counts(store, trajectories, rows)
        finished = counts.pop("ok", 0)
        missing = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        of = "trajectories that have begun" if _is_sweep(rows) else "trajectories"
        lines.append(f"{study}: {finished} of {len(rows)} {of} are finished" + (f"; {missing}" if missing else ""))
    return lines


def _is_sweep(rows: Sequence[Row]) -> bool:
    """Whether a study comes to know its trajectories one after the other."""
    return str(rows[0]["command"]).startswith("ntkcpl sweep")


def _data(store: StoreReader, trajectories: dict[str, Row], rows: Sequence[Row]) -> str:
    """Name of the data of a study, which tells the pools of one command apart; nothing before its first round."""
    names = [row["trajectory_id"] for row in rows]
    ended = (trajectories[name] for name in names if name in trajectories)
    begun = (row for name in names for row in store.rounds(name)[0][:1])
    return next((str(row["data"]) for row in itertools.chain(ended, begun)), "")


def _counts(store: StoreReader, trajectories: dict[str, Row], rows: Sequence[Row]) -> Counter[str]:
    """How many of the trajectories of a study are in each state."""

    def state(row: Row) -> str:
        found = trajectories.get(row["trajectory_id"])
        if found is not None:
            return str(found["status"])
        return "unfinished" if store.rounds(row["trajectory_id"])[0] else _WAITING

    return Counter(map(state, rows))
