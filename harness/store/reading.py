"""Reading the Parquet store of a study directory: its files, its tables, their rows. Anybody may, at any moment.

A file comes into its place in one step (`harness.store.location`), so that a reader sees whole files only. A
file may go while its table is read: its writer has replaced it, or merged it (`harness.store.merging`). Then the
table is read again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.exceptions import DamagedFileError, StoreError
from harness.store import schema
from harness.store.location import Location, first_look, list_files, parsed, unreadable

Row = dict[str, Any]

ATTEMPTS = 5
"""At reading a table that somebody merges meanwhile."""
_READERS = 2
_BATCH = 64
"""Files that a thread reads before it asks for more."""


def require_store(root: Location) -> None:
    """Raise StoreError where there is no store."""
    with first_look(root):
        if not root.exists():
            raise StoreError(f"Expected a store in `{root}`, but there is no such folder; check the path.")
        is_store = any((root / table).is_dir() for table in schema.TABLES)
    if not is_store:
        raise StoreError(f"Expected a store, a folder with {', '.join(schema.TABLES)}, but got `{root}`.")


def table_files(root: Location, table: str) -> list[Location]:
    """The files of a table that a reader sees, sorted; merged ones are among them."""
    return [path for path in list_files(root / table, "*.parquet") if not path.name.startswith(".")]


def leftovers(root: Location, table: str) -> list[Location]:
    """What an interrupted write left in a table, and the next writer removes."""
    return [path for path in list_files(root / table, ".*.parquet") if not path.is_dir()]


def merged(paths: Sequence[Location]) -> list[Location]:
    """Those of the files of a table that `harness.store.merging` made."""
    return [path for path in paths if path.name.startswith(schema.MERGED) and path.parent.name in schema.MERGEABLE]


def read_files(root: Location, table: str) -> dict[Location, pa.Table | StoreError]:
    """The files of a table as they were at one moment: the content of each, or why it cannot be read.

    Raises:
        StoreError: files come and go all along.
        OSError: the server does not answer.
    """
    for _ in range(ATTEMPTS):
        paths = table_files(root, table)
        batches = [paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH)]
        with suppress(FileNotFoundError), ThreadPoolExecutor(_READERS) as readers:
            contents = [content for batch in readers.map(_contents, batches) for content in batch]
            # A listing may miss both a file and the one that it was merged into meanwhile.
            if merged(paths) == merged(table_files(root, table)):
                return dict(zip(paths, contents, strict=True))
    raise _restless(root / table)


def read_table(root: Location, table: str, skipped: list[Location] | None = None) -> pa.Table:
    """All rows of a table; those of a merge that was interrupted are there twice.

    Args:
        root: the store.
        table: name of the table.
        skipped: damaged files are left out and named here; None refuses them.

    Raises:
        StoreError: a file cannot be read, or is of another schema; names the file.
        OSError: the server does not answer.
    """
    contents = [schema.ALL_TABLES[table].empty_table()]
    for path, content in read_files(root, table).items():
        if not isinstance(content, StoreError):
            contents.append(content)
        elif skipped is not None and isinstance(content, DamagedFileError):
            skipped.append(path)
        else:
            raise content
    # In one piece: selecting rows from thousands of pieces is slow.
    return pa.concat_tables(contents).combine_chunks()


def read_rows(root: Location, table: str) -> list[Row]:
    """All rows of a table as dictionaries; raises as `read_table` does."""
    rows = []
    for content in read_files(root, table).values():
        if isinstance(content, StoreError):
            raise content
        rows += content.to_pylist()
    return rows


class StoreReader:
    """What the driver and `ntkcpl status` ask a store: rows of a trajectory, of a study.

    Args:
        root: the folder; it may not exist yet.
    """

    def __init__(self, root: Location) -> None:
        self.root = root
        self._members: dict[Location, frozenset[str]] = {}

    def trajectories(self) -> dict[str, Row]:
        """Rows of `trajectories` by id, failed ones too; not those that are ok but whose rounds somebody removed."""
        rows = {row["trajectory_id"]: row for row in read_rows(self.root, "trajectories")}
        there = self._written("rounds") & self._written("queries")
        return {name: row for name, row in rows.items() if row["status"] != "ok" or name in there}

    def trajectory(self, trajectory_id: str) -> Row:
        """The row of one trajectory that has ended."""
        (row,) = self._rows("trajectories", trajectory_id)
        return row

    def studies(self) -> dict[str, list[Row]]:
        """Rows of `studies` by study."""
        studies: dict[str, list[Row]] = {}
        for row in read_rows(self.root, "studies"):
            studies.setdefault(row["study"], []).append(row)
        return studies

    def rounds(self, trajectory_id: str) -> tuple[list[Row], list[NDArray[np.int64]], list[list[Row]]]:
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

    def trials(self, study: str) -> list[Row]:
        """Rows of `trials` of a sweep, by number; none where it has not finished one."""
        path = self._path("trials", study)
        return sorted(read_file(path).to_pylist(), key=lambda row: int(row["trial"])) if path.exists() else []

    def confirmations(self, study: str) -> list[Row]:
        """Rows of `confirmations` of a sweep, those of earlier looks first."""
        path = self._path("confirmations", study)
        return list(read_file(path).to_pylist()) if path.exists() else []

    def registrations(self) -> list[Row]:
        """Rows of `registrations`, the earliest first."""
        return sorted(read_rows(self.root, "registrations"), key=lambda row: (row["registered_at"], row["study"]))

    def files(self, table: str) -> list[Location]:
        """The files of a table, sorted, merged ones among them."""
        return table_files(self.root, table)

    def merged_files(self, table: str) -> list[Location]:
        """The files of a table that `harness.store.merging` made."""
        return merged(self.files(table))

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

    def _written(self, table: str) -> frozenset[str]:
        """The trajectories that have rows in a table, by the names of its files and what is in merged ones."""
        for _ in range(ATTEMPTS):
            paths = self.files(table)
            with suppress(FileNotFoundError):
                names = frozenset(path.stem for path in paths).union(*map(self.members, merged(paths)))
                if merged(paths) == self.merged_files(table):
                    return names
        raise _restless(self.root / table)

    def _path(self, table: str, name: str) -> Location:
        return self.root / table / f"{name}.parquet"

    def _rows(self, table: str, trajectory_id: str) -> list[Row]:
        """Rows of a trajectory, from its own file or else from a merged one."""
        for _ in range(ATTEMPTS):
            with suppress(FileNotFoundError):
                return list(read_file(self._path(table, trajectory_id)).to_pylist())
            merged_files = self.merged_files(table)
            with suppress(FileNotFoundError):
                for path in merged_files:
                    if trajectory_id in self.members(path):
                        return list(read_file(path, trajectory_id=trajectory_id).to_pylist())
                if self.merged_files(table) == merged_files:
                    return []
        raise _restless(self.root / table)


def read_file(path: Location, columns: list[str] | None = None, trajectory_id: str | None = None) -> pa.Table:
    """A file of a table, checked against its page checksums and the schema: columns, nulls, JSON.

    Args:
        path: the file; its folder has the name of the table.
        columns: some of the schema; None reads all of them. Others are never read.
        trajectory_id: read the rows of this trajectory alone.

    Raises:
        DamagedFileError: it is damaged, or has a null, a text or a number that the schema does not want.
        StoreError: it has other columns, or is of another schema version.
        FileNotFoundError: it has gone.
        OSError: the server does not answer.
    """
    table = _unchecked(path, columns, trajectory_id)
    _check_values(table, path)
    return table


def _unchecked(path: Location, columns: list[str] | None = None, trajectory_id: str | None = None) -> pa.Table:
    """A file as `read_file` has it, but for what `_check_values` refuses."""
    expected = schema.ALL_TABLES[path.parent.name]
    names = columns or expected.names

    def parse(content: pa.NativeFile) -> pa.Table:
        with pq.ParquetFile(content, page_checksum_verification=True) as file:
            found = file.schema_arrow
            version = check_version(found, path)
            there = set(found.names)
            known = [name for name in names if name in there]
            if trajectory_id is None:
                # Many small files: threads for each would cost more than they save.
                table = file.read(columns=known, use_threads=False)
            else:
                own = [("trajectory_id", "=", trajectory_id)]
                content.seek(0)
                table = pq.read_table(
                    content, columns=known, filters=own, partitioning=None, page_checksum_verification=True
                )
        return schema.completed(table, path.parent.name, version)

    table = parsed(path, parse, whole=trajectory_id is None and columns is None)
    if not table.schema.equals(expected):  # of many small files, looking at each column takes long
        found = {column.name: column.type for column in table.schema}
        for name in names:
            if table.column_names.count(name) > 1:
                raise StoreError(
                    f"Expected one column `{name}` in `{path}`, but got several; remove the file to go on."
                )
            if found.get(name) != expected.field(name).type:
                raise StoreError(
                    f"Expected a column `{name}` of {expected.field(name).type} in `{path}`, but got none; "
                    "remove the file to go on."
                )
        table = table.select(names).cast(pa.schema([expected.field(name) for name in names], expected.metadata))
    return table


def _check_values(table: pa.Table, path: Location) -> None:
    """Raise DamagedFileError where rows of a file have a null, a text or a number that the schema does not want."""
    try:
        table.validate(full=True)
        for column in table.columns:
            if pa.types.is_timestamp(column.type):
                pc.min_max(column).as_py()  # within the years that Python knows
    except (ValueError, ArithmeticError) as error:
        raise unreadable(path, error) from error
    names = set(table.column_names)
    for name in schema.KEYS[path.parent.name] & names:
        column = table.column(name)
        if column.null_count or (pa.types.is_list(column.type) and pc.list_flatten(column).null_count):
            raise _unusable(path, f"a `{name}`", "nulls")
    for name in schema.FILLED & names:
        if pc.any(pc.equal(pc.list_value_length(table.column(name)), 0)).as_py():
            raise _unusable(path, f"a value in the list `{name}`", "an empty one")
    for name in (schema.JSON | schema.LISTED) & names:
        kind, what = ((dict, list), "object or list") if name in schema.LISTED else (dict, "object")
        what += f" in `{name}`"
        if (numbers := schema.FLAT.get(name)) is not None:
            what = f"object of numbers and texts in `{name}`, with numbers for {', '.join(sorted(numbers))},"
        for text in table.column(name).unique().to_pylist():
            if not _is_json(text, kind, numbers):
                raise _unusable(path, f"a JSON {what}", f"`{text[:60]}`")
    for name in schema.CHOICES.keys() & names:
        if others := set(table.column(name).unique().to_pylist()) - {*schema.CHOICES[name], None}:
            raise _unusable(path, f"a `{name}` among {', '.join(schema.CHOICES[name])}", f"`{min(others)[:60]}`")
    if path.parent.name == "rounds" and "accuracy" in names:
        accuracy = table.column("accuracy")
        outside = accuracy.filter(pc.invert(pc.and_(pc.greater_equal(accuracy, 0), pc.less_equal(accuracy, 1))))
        if len(outside):
            raise _unusable(path, "an `accuracy` from 0 to 1", f"{outside[0]}")


def check_version(found_schema: pa.Schema, path: Location) -> str:
    """The schema version of a file.

    Raises:
        StoreError: it is one that cannot be read.
    """
    metadata: Mapping[bytes, bytes] = found_schema.metadata or {}
    found = metadata.get(schema.VERSION_KEY, b"none").decode(errors="replace")
    if not schema.is_readable(found):
        raise StoreError(
            f"Expected a store of schema version {schema.VERSION}, but `{path}` has {found}; use the version of "
            "ntkcpl that wrote it, or another folder."
        )
    return found


def from_json(text: str | None) -> Row:
    """A JSON column's value; nothing is an empty object."""
    value: Row = json.loads(text) if text else {}
    return value


def _unusable(path: Location, wanted: str, found: str) -> DamagedFileError:
    return DamagedFileError(f"Expected {wanted} in every row of `{path}`, but got {found}; remove it to go on.")


def _is_json(text: str | None, kind: type | tuple[type, ...], numbers: Set[str] | None) -> bool:
    """Whether a JSON column may hold it; if `numbers` is given, it must be flat, with numbers under these names."""
    try:
        value: Any = {} if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return False
    if numbers is not None and isinstance(value, dict):
        for key, each in value.items():
            if isinstance(each, dict | list) or (key in numbers and not isinstance(each, int | float)):
                return False
    return isinstance(value, kind)


def round_seconds(row: Row) -> float:
    """Seconds that a row of `rounds` took, measuring included."""
    measured: float = from_json(row["stats"]).get("measure_seconds", 0.0)
    return float(row["select_seconds"] + row["train_seconds"]) + measured


def _contents(paths: Sequence[Location]) -> list[pa.Table | StoreError]:
    """Each file, or why it cannot be read."""
    contents = [_or_error(_unchecked, path) for path in paths]
    tables = [content for content in contents if isinstance(content, pa.Table)]
    try:
        if tables:  # checked together: of many small files, looking at each takes long
            _check_values(pa.concat_tables(tables), paths[0])
    except StoreError:
        contents = [_or_error(read_file, path) for path in paths]
    return contents


def _or_error(read: Callable[[Location], pa.Table], path: Location) -> pa.Table | StoreError:
    try:
        return read(path)
    except StoreError as error:
        return error


def _restless(folder: Location) -> StoreError:
    return StoreError(
        f"Expected files that do not change while they are read, but `{folder}` keeps changing; try again."
    )
