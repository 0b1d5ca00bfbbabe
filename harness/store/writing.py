"""The Parquet store of a study directory. One process writes; anybody may read at any moment.

`rounds/ID.parquet` and `queries/ID.parquet` hold what a trajectory has so far and are replaced after each
round, queries first; `trajectories/ID.parquet` appears at its end. A file comes into its place in one step
(`harness.store.location`), so that a reader sees whole files only. Finished trajectories may lie in
merged files instead of files of their own (`harness.store.compaction`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.exceptions import StoreError, StoreWriteError, reason
from harness.store import lock, schema
from harness.store.location import UNREACHABLE, Location, first_look, list_files, locate, parsed, unreadable, write
from strategies.base import IndexArray

Row = dict[str, Any]

_ATTEMPTS = 5
"""At reading a table that somebody merges meanwhile."""


def require_store(root: Location) -> None:
    """Raise StoreError where there is no store."""
    with first_look(root):
        if not root.exists():
            raise StoreError(f"Expected a store in `{root}`, but there is no such folder; check the path.")
        is_store = any((root / table).is_dir() for table in schema.TABLES)
    if not is_store:
        raise StoreError(f"Expected a store, a folder with {', '.join(schema.TABLES)}, but got `{root}`.")


class Store:
    """Tables below a folder (columns: `harness.store.schema`).

    Args:
        root: the folder or address; it may not exist yet.

    Raises:
        StoreError: it holds tables of another schema version, or cannot be read, or lies in a table of another store.
    """

    def __init__(self, root: Location | str) -> None:
        self.root = root = locate(root) if isinstance(root, str) else root
        self._members: dict[Location, frozenset[str]] = {}
        self._lock: lock.Lock | None = None
        with first_look(root):
            if root.exists() and not root.is_dir():
                raise StoreError(f"Expected `{root}` to be a folder, but it is a file; choose another --out.")
            if other := _enclosing_store(root):
                raise StoreError(
                    f"Expected the folder of a store, but `{root}` lies among the tables of the store `{other}`; "
                    "choose another --out."
                )
            for table in schema.ALL_TABLES:
                for path in self.files(table)[:1]:
                    with suppress(FileNotFoundError):  # just merged into another file
                        _check_file(path)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Create the folders and hold the store's lock (`harness.store.lock`).

        Raises:
            StoreError: another process writes to this store, or the folder cannot be written.
            StoreWriteError: the lock cannot be removed at the end.
        """
        try:
            for table in schema.TABLES:
                (self.root / table).mkdir(parents=True, exist_ok=True)
            held = self._lock = lock.take(self.root)
        except UNREACHABLE as error:
            raise StoreError(f"Expected to write to `{self.root}`, but got: {reason(error)}.") from error
        try:
            self._sweep()
            yield
        except BaseException:
            with suppress(StoreWriteError):  # what went wrong first is told
                held.release()
            raise
        else:
            held.release()
        finally:
            self._lock = None

    def trajectories(self) -> dict[str, Row]:
        """Rows of `trajectories` by id, failed ones too."""
        for _ in range(_ATTEMPTS):
            merged = self.merged_files("trajectories")
            with suppress(FileNotFoundError):
                rows = [row for path in self.files("trajectories") for row in self._read(path)]
                if self.merged_files("trajectories") == merged:
                    return {row["trajectory_id"]: row for row in rows}
        raise self._restless("trajectories")

    def trajectory(self, trajectory_id: str) -> Row:
        """The row of one trajectory that has ended."""
        (row,) = self._rows("trajectories", trajectory_id)
        return row

    def studies(self) -> dict[str, list[Row]]:
        """Rows of `studies` by study."""
        studies: dict[str, list[Row]] = {}
        for path in self.files("studies"):
            for row in self._read(path):
                studies.setdefault(row["study"], []).append(row)
        return studies

    def rounds(self, trajectory_id: str) -> tuple[list[Row], list[IndexArray], list[list[Row]]]:
        """What a trajectory has finished.

        Returns:
            Rows of `rounds` in order, the picks of each round, and its rows of `queries`; up to the last
            round of which both tables are complete.
        """
        rounds = sorted(self._rows("rounds", trajectory_id), key=lambda row: int(row["round"]))
        bought: dict[int, list[Row]] = {}
        queries_rows = self._rows("queries", trajectory_id) if rounds else []
        for row in sorted(queries_rows, key=lambda row: (row["round"], row["position"])):
            bought.setdefault(row["round"], []).append(row)
        n_whole = 0
        while (
            n_whole < len(rounds)
            and rounds[n_whole]["round"] == n_whole
            and len(bought.get(n_whole, [])) == rounds[n_whole]["n_query"]
        ):
            n_whole += 1
        queries = [bought[k] for k in range(n_whole)]
        picks = [np.array([row["pool_index"] for row in rows], dtype=np.int64) for rows in queries]
        return rounds[:n_whole], picks, queries

    def write_rounds(self, trajectory_id: str, rounds: Sequence[Row], queries: Sequence[Sequence[Row]]) -> None:
        """Replace all that the store has of a trajectory's rounds."""
        self._write("queries", trajectory_id, [row for rows in queries for row in rows])
        self._write("rounds", trajectory_id, rounds)

    def forget_rounds(self, trajectory_id: str) -> None:
        """Remove a trajectory's rounds before others take their place; without rounds its queries count for nothing."""
        for table in ("rounds", "queries"):
            self.remove(self._path(table, trajectory_id))

    def write_trajectory(self, row: Row) -> None:
        """Record the end of a trajectory, good or bad."""
        self._write("trajectories", row["trajectory_id"], [row])

    def write_study(self, study: str, command: str, trajectory_ids: Sequence[str]) -> None:
        """Record which trajectories a study is made of."""
        rows = [{"study": study, "trajectory_id": name, "command": command} for name in trajectory_ids]
        self._write("studies", study, rows)

    def write_coverage(self, picture: str, rows: Sequence[Row]) -> None:
        """Replace a picture of coverage in two dimensions."""
        self._write("coverage", picture, rows)

    def trials(self, study: str) -> list[Row]:
        """Rows of `trials` of a sweep, by number; none where it has not finished one."""
        path = self._path("trials", study)
        return sorted(self._read(path), key=lambda row: int(row["trial"])) if path.exists() else []

    def write_trials(self, study: str, rows: Sequence[Row]) -> None:
        """Replace all trials of a sweep."""
        self._write("trials", study, rows)

    def confirmations(self, study: str) -> list[Row]:
        """Rows of `confirmations` of a sweep, those of earlier looks first."""
        path = self._path("confirmations", study)
        return self._read(path) if path.exists() else []

    def write_confirmations(self, study: str, rows: Sequence[Row]) -> None:
        """Replace all confirmations of a sweep, its earlier looks among them."""
        self._write("confirmations", study, rows)

    def registrations(self) -> list[Row]:
        """Rows of `registrations`, the earliest first."""
        rows = [row for path in self.files("registrations") for row in self._read(path)]
        return sorted(rows, key=lambda row: (row["registered_at"], row["study"]))

    def write_registration(self, row: Row) -> None:
        """Add a registration; none is ever replaced."""
        self._write("registrations", f"{row['study']}-{row['registered_at']:%Y%m%dT%H%M%S%f}", [row])

    def files(self, table: str) -> list[Location]:
        """The files of a table, sorted, merged ones among them."""
        return table_files(self.root, table)

    def merged_files(self, table: str) -> list[Location]:
        """The files of a table that `harness.store.compaction` made."""
        return [path for path in self.files(table) if path.name.startswith(schema.MERGED)]

    def members(self, path: Location) -> frozenset[str]:
        """Trajectories in a merged file, which never changes under its name.

        Raises:
            StoreError: it cannot be read.
            FileNotFoundError: it has been merged into another.
        """
        if path not in self._members:
            column = read_file(path, columns=["trajectory_id"]).column(0)
            self._members[path] = frozenset(column.unique().to_pylist())
        return self._members[path]

    def write(self, table: str, name: str, content: pa.Table) -> Location:
        """Put a file in its place in one step.

        Raises:
            StoreWriteError: it cannot be written (any more), or another process has taken the lock over.
        """
        path = self._path(table, name)
        self._check_lock(path)
        write(path, content)
        return path

    def remove(self, path: Location) -> None:
        """Remove a file, if it is there.

        Raises:
            StoreWriteError: another process has taken the lock over.
        """
        self._check_lock(path)
        path.unlink(missing_ok=True)

    def _check_lock(self, path: Location) -> None:
        try:
            if self._lock is not None:
                self._lock.check()
        except UNREACHABLE as error:
            raise StoreWriteError(path, error) from error

    def _path(self, table: str, name: str) -> Location:
        return self.root / table / f"{name}.parquet"

    def _rows(self, table: str, trajectory_id: str) -> list[Row]:
        """Rows of a trajectory, from its own file or else from a merged one."""
        for _ in range(_ATTEMPTS):
            with suppress(FileNotFoundError):
                return _listed(read_file(self._path(table, trajectory_id)), self._path(table, trajectory_id))
            merged = self.merged_files(table)
            with suppress(FileNotFoundError):
                for path in merged:
                    if trajectory_id in self.members(path):
                        return _listed(read_file(path, trajectory_id=trajectory_id), path)
                if self.merged_files(table) == merged:
                    return []
        raise self._restless(table)

    def _restless(self, table: str) -> StoreError:
        return StoreError(f"Expected files that stay, but `{self.root / table}` changes all along; try again.")

    def _sweep(self) -> None:
        """Remove what an interrupted write or merge left behind."""
        for table in schema.ALL_TABLES:
            for stray in list_files(self.root / table, ".*.parquet"):
                self.remove(stray)
            for leftover in self.leftovers(table):
                self.remove(leftover)

    def leftovers(self, table: str) -> list[Location]:
        """Files all of whose trajectories are in a merged file, too: a merge did not come to its end."""
        merged = self.merged_files(table)
        found = []
        for path in self.files(table) if merged else []:
            own = self.members(path) if path in merged else {path.stem}
            if any(own <= self.members(other) for other in merged if other != path):
                found.append(path)
        return found

    def _write(self, table: str, name: str, rows: Sequence[Row]) -> None:
        self.write(table, name, pa.Table.from_pylist(list(rows), schema=schema.ALL_TABLES[table]))

    def _read(self, path: Location) -> list[Row]:
        return _listed(read_file(path), path)


def table_files(root: Location, table: str) -> list[Location]:
    """The files of a table that a reader sees, sorted."""
    return [path for path in list_files(root / table, "*.parquet") if not path.name.startswith(".")]


def read_file(path: Location, columns: list[str] | None = None, trajectory_id: str | None = None) -> pa.Table:
    """A file of a table, checked against its page checksums and the columns of the schema.

    Raises:
        StoreError: it is damaged or has other columns.
        FileNotFoundError: it has gone.
        OSError: the server does not answer.
    """

    def parse(content: pa.NativeFile) -> pa.Table:
        with pq.ParquetFile(content, page_checksum_verification=True) as file:
            version = _check_version(file.schema_arrow, path)
            if trajectory_id is None:
                table = file.read(columns=columns, use_threads=False)
            else:
                own = [("trajectory_id", "=", trajectory_id)]
                content.seek(0)
                table = pq.read_table(content, filters=own, partitioning=None, page_checksum_verification=True)
        table.validate(full=True)
        return table if columns else schema.completed(table, path.parent.name, version)

    table = parsed(path, parse)
    expected = schema.ALL_TABLES[path.parent.name]
    for name in columns or expected.names:
        if name not in table.column_names or table.schema.field(name).type != expected.field(name).type:
            raise StoreError(
                f"Expected a column `{name}` of {expected.field(name).type} in `{path}`, but got none; "
                "remove the file to go on."
            )
    for name in schema.KEYS.intersection(table.column_names if expected is not schema.COVERAGE else ()):
        if table.column(name).null_count:
            raise StoreError(f"Expected a `{name}` in every row of `{path}`, but got nulls; remove it to go on.")
    return table


def _enclosing_store(root: Location) -> Location | None:
    """The store in one of whose table folders a place lies, if there is one."""
    place = root.resolve() if isinstance(root, Path) else root
    while place.name and place.parent.name:
        if place.name in schema.ALL_TABLES and (place.parent / "trajectories").is_dir():
            return place.parent
        place = place.parent
    return None


def _check_file(path: Location) -> None:
    def check(content: pa.NativeFile) -> None:
        _check_version(pq.read_schema(content), path)

    parsed(path, check)


def _check_version(found_schema: pa.Schema, path: Location) -> str:
    metadata: Mapping[bytes, bytes] = found_schema.metadata or {}
    found = metadata.get(schema.VERSION_KEY, b"none").decode(errors="replace")
    if not schema.is_readable(found):
        raise StoreError(
            f"Expected a store of schema version {schema.VERSION}, but `{path}` has {found}; choose another --out."
        )
    return found


def _listed(table: pa.Table, path: Location) -> list[Row]:
    try:
        rows: list[Row] = table.to_pylist()
    except (ValueError, ArithmeticError) as error:  # such as a date that Python has no type for
        raise unreadable(path) from error
    return rows


def from_json(text: str | None) -> Row:
    """A JSON column's value; nothing is an empty object."""
    value: Row = json.loads(text) if text else {}
    return value


def round_seconds(row: Row) -> float:
    """Seconds that a row of `rounds` took, measuring included."""
    measured: float = from_json(row["stats"]).get("measure_seconds", 0.0)
    return float(row["select_seconds"] + row["train_seconds"]) + measured
