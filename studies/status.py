"""How far the studies of a store are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from harness.exceptions import StoreError
from harness.plan import stored_spec
from harness.store.location import Location
from harness.store.writing import Store, require_store


def study_status(root: Location) -> Iterator[tuple[str, str, Table]]:
    """Name, command and a table by status of each study in a store, with the trials of a sweep that have ended.

    Raises:
        StoreError: there is no store, or it cannot be read.
    """
    require_store(root)
    store = Store(root)
    studies = store.studies()
    if not studies:
        raise StoreError(f"Expected a store with a study in `{root}`, but found none.")
    trajectories = store.trajectories()
    for study, rows in studies.items():
        table = Table(box=None, pad_edge=False)
        for heading in ("status", "trajectories"):
            table.add_column(heading)
        counts: dict[str, int] = {}
        messages = []
        for row in rows:
            found = trajectories.get(row["trajectory_id"])
            n_rounds = len(store.rounds(row["trajectory_id"])[0]) if found is None else 0
            state = found["status"] if found else ("unfinished" if n_rounds else "not started")
            counts[state] = counts.get(state, 0) + 1
            if found and found["status"] == "failed":
                spec = stored_spec(found)
                messages.append(f"{spec.strategy} seed {spec.seed}: {found['message']}")
        for state, count in counts.items():
            table.add_row(state, f"{count}/{len(rows)}")
        trials = Counter(row["status"] for row in store.trials(study))
        for state, count in trials.items():
            table.add_row(f"{state} trials", f"{count}/{trials.total()}")
        for message in messages:
            table.add_row("", escape(message))
        yield study, rows[0]["command"], table
