"""Writing the Parquet store of a study directory. One process writes; anybody may read at any moment.

`rounds/ID.parquet` and `queries/ID.parquet` hold what a trajectory has so far and are replaced after each
round, queries first; `trajectories/ID.parquet` appears at its end. A file comes into its place in one step
(`harness.store.location`), so that a reader sees whole files only. Finished trajectories may lie in
merged files instead of files of their own (`harness.store.merging`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from harness.exceptions import StoreError, StoreWriteError, reason
from harness.store import lock, schema
from harness.store.location import (
    UNREACHABLE,
    Location,
    first_look,
    locate,
    parsed,
    require_folder,
    write,
)
from harness.store.reading import Row, StoreReader, check_version, leftovers, merged, read_file


class Store(StoreReader):
    """Tables below a folder (columns: `harness.store.schema`).

    Args:
        root: the folder or address; it may not exist yet.

    Raises:
        StoreError: The folder has tables of another schema version, cannot be read, or is inside a table of another
            store.
    """

    def __init__(self, root: Location | str) -> None:
        super().__init__(root := locate(root) if isinstance(root, str) else root)
        self._lock: lock.Lock | None = None
        self._merged: dict[str, list[Location]] = {}
        with first_look(root):
            require_folder(root)
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
            self._merged = {}
        except UNREACHABLE as error:
            raise StoreError(f"Cannot write to `{self.root}`: {reason(error)}.") from error
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

    def write_rounds(self, trajectory_id: str, rounds: Sequence[Row], queries: Sequence[Sequence[Row]]) -> None:
        """Replace all rounds of a trajectory in the store."""
        self._write("queries", trajectory_id, [row for rows in queries for row in rows])
        self._write("rounds", trajectory_id, rounds)

    def forget(self, trajectory_id: str, tables: Sequence[str] = schema.MERGEABLE) -> None:
        """Remove what tables have of a trajectory, also in merged files, before other rows take its place.

        The last table comes first: without a row of `trajectories` a trajectory is unfinished, and without rounds its
        queries do not count.
        """
        for table in reversed(tables):
            self.remove(self._path(table, trajectory_id))
            if table not in self._merged:
                self._merged[table] = self.merged_files(table)
            for path in self._merged[table]:
                if trajectory_id in self.members(path):
                    self._take_out(path, {trajectory_id})

    def write_trajectory(self, row: Row) -> None:
        """Record that a trajectory has finished or failed."""
        self._write("trajectories", row["trajectory_id"], [row])

    def write_study(self, study: str, command: str, trajectory_ids: Sequence[str]) -> None:
        """Record which trajectories belong to a study."""
        rows = [{"study": study, "trajectory_id": name, "command": command} for name in trajectory_ids]
        self._write("studies", study, rows)

    def write_coverage(self, picture: str, rows: Sequence[Row]) -> None:
        """Replace a picture of coverage in two dimensions."""
        self._write("coverage", picture, rows)

    def write_trials(self, study: str, rows: Sequence[Row]) -> None:
        """Replace all trials of a sweep."""
        self._write("trials", study, rows)

    def write_confirmations(self, study: str, rows: Sequence[Row]) -> None:
        """Replace all confirmations of a sweep, including those of earlier looks."""
        self._write("confirmations", study, rows)

    def write_registration(self, row: Row) -> None:
        """Add a registration; none is ever replaced."""
        self._write("registrations", f"{row['study']}-{row['registered_at']:%Y%m%dT%H%M%S%f}", [row])

    def write_merged(self, table: str, content: pa.Table) -> Location:
        """Write the rows of several trajectories into one file, named by them; raises as `write` does."""
        names = sorted(content.column("trajectory_id").unique().to_pylist())
        self._merged.pop(table, None)
        return self.write(table, schema.MERGED + hashlib.sha256(",".join(names).encode()).hexdigest()[:20], content)

    def write(self, table: str, name: str, content: pa.Table) -> Location:
        """Write a file in one step.

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
        if merged([path]):
            self._merged.pop(path.parent.name, None)
        path.unlink(missing_ok=True)

    def _check_lock(self, path: Location) -> None:
        try:
            if self._lock is not None:
                self._lock.check()
        except UNREACHABLE as error:
            raise StoreWriteError(path, error) from error

    def _sweep(self) -> None:
        """Remove what an interrupted write or merge left behind, and copies from a store that was copied into this."""
        for table in schema.ALL_TABLES:
            for stray in leftovers(self.root, table):
                self.remove(stray)
        for table in schema.MERGEABLE:
            while found := self._copy(table):
                self._take_out(*found)
            members = {name: path for path in self.merged_files(table) for name in self.members(path)}
            parts = [path for path in self.files(table) if path.stem in members]
            for path in {members[part.stem] for part in parts}:
                read_file(path)  # is whole, before it stands for others
            for part in parts:
                self.remove(part)

    def _copy(self, table: str) -> tuple[Location, Set[str]] | None:
        """A merged file, with those of its trajectories that another one, no smaller, has as well; None without."""
        seen: dict[str, Location] = {}
        for path in sorted(self.merged_files(table), key=lambda path: -len(self.members(path))):
            if twice := self.members(path) & seen.keys():
                for other in {seen[name] for name in twice}:
                    read_file(other)  # is whole, before it stands for this one
                return path, twice
            seen |= dict.fromkeys(self.members(path), path)
        return None

    def _take_out(self, path: Location, names: Set[str]) -> None:
        """Replace a merged file by one without some of its trajectories."""
        content = read_file(path)
        stay = [name not in names for name in content.column("trajectory_id").to_pylist()]
        if any(stay):
            self.write_merged(path.parent.name, content.filter(pa.array(stay)))
        self.remove(path)

    def _write(self, table: str, name: str, rows: Sequence[Row]) -> None:
        self.write(table, name, pa.Table.from_pylist(list(rows), schema=schema.ALL_TABLES[table]))


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
        check_version(pq.read_schema(content), path)

    parsed(path, check)
