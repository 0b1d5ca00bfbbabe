"""The Parquet store of a study directory. One process writes; anybody may read at any moment.

`rounds/ID.parquet` and `queries/ID.parquet` hold what a trajectory has so far and are replaced after each
round, queries first; `trajectories/ID.parquet` appears at its end. A file is written under a name that
begins with a dot, flushed and renamed, so that a reader sees whole files only.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness import schema
from harness.exceptions import StoreError
from strategies.base import IndexArray

Row = dict[str, Any]


class Store:
    """Tables below a directory (columns: `harness.schema`).

    Args:
        root: the directory; it may not exist yet.

    Raises:
        StoreError: it holds tables of another schema version, or cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        if root.exists() and not root.is_dir():
            raise StoreError(f"Expected `{root}` to be a folder, but it is a file; choose another --out.")
        for table in schema.ALL_TABLES:
            for path in self._files(table)[:1]:
                self._check_version(path)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Create the folders and hold the store's lock; the lock ends with the process.

        Raises:
            StoreError: another process writes to this store, or the folder cannot be written.
        """
        try:
            for table in schema.TABLES:
                (self.root / table).mkdir(parents=True, exist_ok=True)
            lock = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(f"Expected to write to `{self.root}`, but got: {error.strerror}.") from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                holder = os.pread(lock, 200, 0).decode(errors="replace").strip()
                raise StoreError(f"Expected to be the only writer of `{self.root}`, but {holder} is.") from error
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
            self._sweep()
            yield
        finally:
            os.close(lock)

    def trajectories(self) -> dict[str, Row]:
        """Rows of `trajectories` by id, failed ones too."""
        rows = [row for path in self._files("trajectories") for row in self._read(path)]
        return {row["trajectory_id"]: row for row in rows}

    def trajectory(self, trajectory_id: str) -> Row:
        """The row of one trajectory that has ended."""
        (row,) = self._read(self._path("trajectories", trajectory_id))
        return row

    def studies(self) -> dict[str, list[Row]]:
        """Rows of `studies` by study."""
        studies: dict[str, list[Row]] = {}
        for path in self._files("studies"):
            for row in self._read(path):
                studies.setdefault(row["study"], []).append(row)
        return studies

    def rounds(self, trajectory_id: str) -> tuple[list[Row], list[IndexArray], list[list[Row]]]:
        """What a trajectory has finished.

        Returns:
            Rows of `rounds` in order, the picks of each round, and its rows of `queries`; up to the last
            round of which both tables are complete.
        """
        rounds_file, queries_file = (self._path(table, trajectory_id) for table in ("rounds", "queries"))
        if not (rounds_file.exists() and queries_file.exists()):
            return [], [], []
        rounds = sorted(self._read(rounds_file), key=lambda row: int(row["round"]))
        bought: dict[int, list[Row]] = {}
        for row in sorted(self._read(queries_file), key=lambda row: (row["round"], row["position"])):
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
            self._path(table, trajectory_id).unlink(missing_ok=True)

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

    def _path(self, table: str, name: str) -> Path:
        return self.root / table / f"{name}.parquet"

    def _files(self, table: str) -> list[Path]:
        folder = self.root / table
        return sorted(path for path in folder.glob("*.parquet") if not path.name.startswith("."))

    def _sweep(self) -> None:
        """Remove what an interrupted write left behind."""
        for table in schema.ALL_TABLES:
            for stray in (self.root / table).glob(".*.parquet"):
                stray.unlink()

    def _write(self, table: str, name: str, rows: Sequence[Row]) -> None:
        path = self._path(table, name)
        hidden = path.with_name(f".{path.name}")
        try:
            path.parent.mkdir(exist_ok=True)
            with hidden.open("wb") as file:
                content = pa.Table.from_pylist(list(rows), schema=schema.ALL_TABLES[table])
                pq.write_table(content, file, write_page_checksum=True)
                file.flush()
                os.fsync(file.fileno())
            hidden.replace(path)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise StoreError(f"Expected to write `{path}`, but got: {error.strerror or error}.") from error

    def _read(self, path: Path) -> list[Row]:
        self._check_version(path)
        try:
            rows: list[Row] = pq.read_table(path, page_checksum_verification=True).to_pylist()
        except (OSError, ValueError, pa.ArrowException) as error:
            raise _unreadable(path) from error
        return rows

    def _check_version(self, path: Path) -> None:
        try:
            metadata: Mapping[bytes, bytes] = pq.read_schema(path).metadata or {}
        except (OSError, ValueError, pa.ArrowException) as error:
            raise _unreadable(path) from error
        found = metadata.get(schema.VERSION_KEY)
        if found != schema.VERSION.encode():
            named = "none" if found is None else found.decode(errors="replace")
            raise StoreError(
                f"Expected a store of schema version {schema.VERSION}, but `{path}` has {named}; choose another --out."
            )


def _unreadable(path: Path) -> StoreError:
    return StoreError(f"Expected a Parquet file, but cannot read `{path}`; remove it to go on.")


def from_json(text: str | None) -> Row:
    """A JSON column's value; nothing is an empty object."""
    value: Row = json.loads(text) if text else {}
    return value
