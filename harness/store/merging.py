"""Merging the small files of finished trajectories into few, while others read.

A finished trajectory never changes, so its rows may lie in a file of their own (`ID.parquet`, a *part*), in a
merged file (`compact-HASH.parquet`; HASH is that of its trajectories) or, for a moment, in both. For each table,
queries first and trajectories last, and for each group of files:

1. Write the merged file in one step, flushed (`harness.store.location`).
2. Read it back, with its checksums, and compare it with the sources row by row.
3. Only then remove the sources, and flush the folder.

At every moment each row is in at least one visible file: no reader sees a gap, wherever the process is killed.
Between 1 and 3 a row is in two. Our own readers count it once (`Store` takes a trajectory from one file,
`analysis.load` drops copies by key). A foreign reader that lists a folder and then opens the files may in that time
see rows twice, or meet a file that is gone (FileNotFoundError): read again, or drop copies by
`trajectory_id`, `round` (and `position`). After a kill the copies stay until the next writer opens the store,
which removes what a merged file has as well; `ntkcpl store check` names it. Copies from another store, whose files
somebody has copied into this one, go in the same way. A merged file that is large enough
is left alone from then on; smaller ones are merged again, by the same three steps. If a trajectory in it is run again,
because somebody removed another of its files, a merged file is replaced by one without it (`Store.forget`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from harness.exceptions import DamagedFileError, StoreError
from harness.store import schema
from harness.store.location import Location, flush, parsed
from harness.store.reading import merged, read_file
from harness.store.writing import Store

_MOST_ROWS = 1_000_000
"""Rows at which a merged file is full and the next one begins."""
_ORDER = ("trajectory_id", "round", "position")


@dataclass(frozen=True)
class Merged:
    """What became of a table.

    Attributes:
        table: its name.
        n_before: files before.
        n_after: files after.
    """

    table: str
    n_before: int
    n_after: int


def merge(store: Store) -> list[Merged]:
    """Merge the files of finished trajectories.

    Args:
        store: held for writing (`Store.writing`).

    Raises:
        StoreError: a file cannot be read or written, or does not hold what it should; sources stay then.
    """
    finished = {name for name, row in store.trajectories().items() if row["status"] == "ok"}
    return [_merge_table(store, table, finished) for table in schema.MERGEABLE]


def _merge_table(store: Store, table: str, finished: set[str]) -> Merged:
    n_before = len(store.files(table))
    sources = [path for path in store.files(table) if merged([path]) or path.stem in finished]
    for group in _groups(sources):
        content = pa.concat_tables([_content(store, path) for path in group]).combine_chunks()
        content = content.sort_by([(name, "ascending") for name in _ORDER if name in content.column_names])
        path = store.write_merged(table, content)
        if not _holds(path, content):
            store.remove(path)
            raise StoreError(f"Expected `{path}` to hold what was written, but it does not; is the disk damaged?")
        for merged_in in group:
            store.remove(merged_in)
        flush(store.root / table)
    return Merged(table, n_before, len(store.files(table)))


def _holds(path: Location, content: pa.Table) -> bool:
    try:
        return bool(read_file(path).equals(content))
    except DamagedFileError:
        return False


def _groups(sources: list[Location]) -> Iterator[list[Location]]:
    group: list[Location] = []
    n_rows = 0
    for path in sources:
        n_own = parsed(path, lambda file: pq.read_metadata(file).num_rows)
        if n_own >= _MOST_ROWS:
            continue
        group, n_rows = [*group, path], n_rows + n_own
        if n_rows >= _MOST_ROWS:
            yield group
            group, n_rows = [], 0
    if len(group) > 1 or merged(group) != group:  # a lone part, too: no file of that name may replace it
        yield group


def _content(store: Store, path: Location) -> pa.Table:
    content = read_file(path)
    own = set(content.column("trajectory_id").to_pylist())
    if not merged([path]) and own != {path.stem}:
        raise StoreError(f"Expected only rows of {path.stem} in `{path}`, but got others; see `ntkcpl store check`.")
    return content
