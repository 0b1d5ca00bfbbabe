"""Verifying a store: every file of every table, and what the tables say about one another."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa

from harness.exceptions import StoreError
from harness.plan import stored_spec
from harness.spec import TrajectorySpec
from harness.store import schema
from harness.store.location import Location, list_files
from harness.store.lock import is_held
from harness.store.reading import Row, leftovers, merged, read_files, require_store

_MOST_SHOWN = 6
_OF_IT = ", ".join(reversed(schema.MERGEABLE))
_KEYS = {
    "trajectories": ["trajectory_id"],
    "rounds": ["trajectory_id", "round"],
    "queries": ["trajectory_id", "round", "position"],
}
_REMEDY = "remove it and run the study again"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a store.

    Attributes:
        where: a path below the store, or the id of a trajectory.
        what: what was found.
        remedy: what to do.
    """

    where: str
    what: str
    remedy: str


@dataclass
class Checked:
    """What a check has seen.

    Attributes:
        files: number of files by table.
        rows: number of rows by table.
        states: number of trajectories by state: ok, failed, unfinished.
        problems: what is wrong.
    """

    files: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)


def check_store(root: Location) -> Checked:
    """Read everything in a store, also while a study writes to it; unfinished trajectories are no problem.

    Raises:
        StoreError: there is no store.
    """
    require_store(root)
    checked = Checked()
    # Trajectories first: a row says `ok` after all its rounds are written.
    frames = {table: _read_table(root, table, checked) for table in schema.ALL_TABLES}
    rows: dict[str, Any] = {row["trajectory_id"]: row for row in frames["trajectories"].to_dict("records")}
    rounds, queries = (_by_trajectory(frames[name]) for name in ("rounds", "queries"))
    for name in dict.fromkeys([*rows, *rounds]):
        row = rows.get(name)
        checked.states[row["status"] if row else "unfinished"] += 1
        own = rounds.get(name, frames["rounds"].iloc[:0]), queries.get(name, frames["queries"].iloc[:0])
        checked.problems += [
            Problem(f"trajectory {name}", what, f"remove its files or rows from {_OF_IT}; run the study again")
            for what in _faults(row, *own)
        ]
    finished = {name for name, row in rows.items() if row["status"] == "ok"}
    for trial in frames["trials"].to_dict("records"):
        missing = set(trial["trajectory_ids"]) - finished if trial["status"] == "complete" else set()
        if missing:
            where, what = f"trial {trial['trial']} of {trial['study']}", f"has no finished trajectory {min(missing)}"
            checked.problems.append(Problem(where, what, "run the command of the sweep again"))
    checked.problems += _strays(root)
    return checked


def _read_table(root: Location, table: str, checked: Checked) -> pd.DataFrame:
    """The rows of a table, each once."""
    problems, readable = [], []
    contents = read_files(root, table)
    for path, content in contents.items():
        if isinstance(content, StoreError):
            problems.append(Problem(_below(path), str(content).rpartition(";")[0], _REMEDY))
        else:
            problems += _misnamed(path, content)
            readable.append(content)
    frame: pd.DataFrame = pa.concat_tables([schema.ALL_TABLES[table].empty_table(), *readable]).to_pandas()
    checked.files[table], checked.problems = len(contents), checked.problems + problems
    keys = [name for name in _KEYS.get(table, []) if name in frame]
    if keys and frame.duplicated(keys).any():
        twice = frame.loc[frame.duplicated(keys), "trajectory_id"].unique()
        what = f"has rows twice, such as those of trajectory {twice[0]} ({len(twice)} in all)"
        checked.problems.append(Problem(table, what, "an interrupted merge: run `ntkcpl store compact` again"))
        frame = frame.drop_duplicates(keys)
    checked.rows[table] = len(frame)
    return frame


def _by_trajectory(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(name): own for name, own in frame.groupby("trajectory_id")}


def _misnamed(path: Location, content: pa.Table) -> list[Problem]:
    if path.parent.name not in schema.MERGEABLE or merged([path]):
        return []
    others = set(content.column("trajectory_id").to_pylist()) - {path.stem}
    what = f"holds rows of another trajectory, {min(others)}" if others else ""
    return [Problem(_below(path), what, _REMEDY)] if others else []


def _faults(row: Row | None, rounds: pd.DataFrame, queries: pd.DataFrame) -> Iterator[str]:
    """What is wrong with one trajectory; a row of `trajectories` is there once it has ended."""
    rounds, queries = rounds.sort_values("round"), queries.sort_values(["round", "position"])
    spec: TrajectorySpec | None = None
    if row is not None:
        try:
            spec = stored_spec(row)
        except StoreError:
            yield "has a `spec` that cannot be read"
    if row is not None and spec is not None:
        if spec.trajectory_id != row["trajectory_id"]:
            yield f"has the `spec` of another one, {spec.trajectory_id}"
        for name in ("strategy", "seed", "schedule", "data_hash", "evaluate_on"):
            if getattr(spec, name) != row[name]:
                yield f"has `{name}` {row[name]}, but {getattr(spec, name)} in its `spec`"
    if row is not None and row["status"] not in ("ok", "failed"):
        yield f"has the status {row['status']}"
    for name in ("strategy", "params", "seed"):  # a file of features may get another name between two rounds
        if row is not None and len(others := rounds.loc[rounds[name] != row[name], name]):
            yield f"has `{name}` {row[name]}, but {others.iloc[0]} in a row of rounds"
    n_query = rounds["n_query"].to_list()
    if rounds["round"].to_list() != list(range(len(rounds))):
        yield f"has the rounds {_short(rounds['round'].to_list())}, not 0 to {len(rounds) - 1}"
    if rounds["n_labels"].to_list() != list(itertools.accumulate(n_query)):
        yield f"has the label counts {_short(rounds['n_labels'].to_list())}, not the sums of its queries"
    for name in ("balanced_accuracy", "macro_f1", "ece", "class_balance"):
        if not rounds[name].dropna().between(0, 1).all():
            yield f"has a value of `{name}` outside of 0 to 1"
    if spec is not None:
        wanted = list(spec.queries)
        if row is not None and row["status"] == "ok" and n_query != wanted:
            had = f"{len(n_query)} of {len(wanted)} rounds"
            yield f"is ok, but has {had}, with queries of {_short(n_query) or 'no'} labels instead of {_short(wanted)}"
        elif n_query != wanted[: len(n_query)]:
            yield f"has rounds of {_short(n_query)} labels instead of {_short(wanted)}"
    # A killed study may have written the queries of one round more.
    counts = queries.groupby("round").size().to_dict()
    for round_, n in enumerate(n_query):
        if counts.get(round_, 0) != n:
            yield f"bought {n} labels in round {round_}, but has {counts.get(round_, 0)} rows of queries"
    if row is not None and row["status"] == "ok" and set(counts) - {*range(len(n_query))} and n_query:
        yield f"bought {sum(n_query)} labels, but has {len(queries)} rows of queries"
    if (queries["position"] != queries.groupby("round").cumcount()).any():
        yield "has positions of queries that do not count from 0"
    if queries["pool_index"].duplicated().any() or (queries["pool_index"] < 0).any():
        yield "bought a label twice, or for a point that does not exist"


def _strays(root: Location) -> Iterator[Problem]:
    """What an interrupted write left, unless somebody is writing."""
    if is_held(root):
        return
    for table in schema.ALL_TABLES:
        left = leftovers(root, table)
        for path in list_files(root / table, "*"):
            where = _below(path)
            if path in left:
                yield Problem(where, "was left by an interrupted write", "the next run removes it")
            elif path.suffix != ".parquet" or path.name.startswith("."):
                yield Problem(where, "is no table", "move it elsewhere")


def _below(path: Location) -> str:
    """A file of a table as its path below the store."""
    return f"{path.parent.name}/{path.name}"


def _short(values: list[int]) -> str:
    return ", ".join(str(value) for value in values[:_MOST_SHOWN]) + (", ..." if len(values) > _MOST_SHOWN else "")
