"""A pool without labels, and the labels that a person has given so far: files in, arrays out, or one line."""

from __future__ import annotations

import csv
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.columns import matrix, plain, vector
from harness.data import as_features, unreadable
from harness.exceptions import DataError
from strategies.base import IndexArray

FEATURES = ("features", "feature", "x", "x_train")
"""What the features may be called; the first that is there is read."""
NAME, INDEX, LABEL, ROUND, POSITION = "name", "index", "label", "round", "position"
_MOST_SHOWN = 3


@dataclass(frozen=True, eq=False)
class Pool:
    """Points to choose from.

    Attributes:
        features: `n x dim` float32, finite.
        names: what each point is called, such as its file; None where it goes by its index.
    """

    features: NDArray[np.float32]
    names: tuple[str, ...] | None

    @cached_property
    def row_of(self) -> dict[str, int]:
        """The index of each name."""
        return {name: row for row, name in enumerate(self.names or ())}

    def called(self, row: int) -> str:
        """The name of a point, or its index."""
        return str(row) if self.names is None else self.names[row]


@dataclass(frozen=True, eq=False)
class Bought:
    """What is labelled, in the order of purchase.

    Attributes:
        rows: pool indices.
        labels: class of each, an index into `classes`.
        classes: names of the classes, sorted as integers or strings.
        queries: labels of each round that has some.
        next_round: number of the next round.
    """

    rows: IndexArray
    labels: IndexArray
    classes: tuple[str, ...]
    queries: tuple[int, ...]
    next_round: int


def load_pool(path: Path) -> Pool:
    """Read a pool: a `.npy` of features, a `.npz` with features and, if it likes, `names`, or a Parquet file.

    Features are called `features`, `feature`, `x` or `x_train` (so a feature file of a study will do), names in a
    Parquet file `name`.

    Raises:
        DataError: there is no such file, or it holds no pool.
    """
    if not path.is_file() or path.suffix not in (".npy", ".npz", ".parquet"):
        found = f"a file that ends in `{path.suffix}`" if path.is_file() else "no such file"
        raise DataError(f"Expected a pool in a .npy, .npz or .parquet file, but got `{path}`: {found}.")
    try:
        features, names = _read(path)
    except DataError:
        raise
    except Exception as error:  # the readers raise errors of a dozen unrelated types on a damaged file
        raise unreadable(str(path), error) from error
    checked = as_features(str(path), "features", features)
    checked.flags.writeable = False
    if names is None:
        return Pool(checked, None)
    try:
        spelt = tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)
    except UnicodeDecodeError as error:
        raise DataError(f"Expected names in UTF-8 in `{path}`, but got {error.object!r}.") from error
    if len(spelt) != len(checked):
        raise DataError(f"Expected a name for each of {len(checked)} points in `{path}`, but got {len(spelt)}.")
    name, count = Counter(spelt).most_common(1)[0]
    if count > 1:
        raise DataError(f"Expected names that differ in `{path}`, but got `{name}` {count} times.")
    return Pool(checked, spelt)


def _read(path: Path) -> tuple[NDArray[Any], Sequence[Any] | None]:
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False), None
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            field = _feature_field(path, arrays.files)
            names = arrays["names"] if "names" in arrays.files else None
            if names is not None and names.ndim != 1:
                raise DataError(f"Expected a list in `names` of `{path}`, but got shape {names.shape}.")
            return arrays[field], None if names is None else names.tolist()
    with pq.ParquetFile(path) as file:
        columns = file.schema_arrow.names
        field = _feature_field(path, columns)
        table = file.read(columns=[field, *([NAME] if NAME in columns else [])])
    names = vector(plain(table.column(NAME))).tolist() if NAME in columns else None
    return matrix(f"`{field}` of {path}", plain(table.column(field))), names


def _feature_field(path: Path, present: Sequence[str]) -> str:
    found = next((name for name in FEATURES if name in present), None)
    if found is None:
        raise DataError(f"Expected features called {', '.join(FEATURES)} in `{path}`, but got only {_few(present)}.")
    return found


def read_labels(paths: Sequence[Path], pool: Pool, classes: str | None) -> Bought:
    """Read labels in the order of purchase: CSV or Parquet files with `name` or `index`, `label`, and maybe `round`.

    Args:
        paths: in the order of purchase. Without a column `round` each file is a round.
        pool: what `name` and `index` are about.
        classes: names with commas, or their number; None takes those that the labels have.

    Raises:
        DataError: a file cannot be read; a point is unknown, labelled twice or not at all; rounds go back; a label is
            no class; or there is no way to know how many classes there are.
    """
    rows: list[int] = []
    labels: list[str] = []
    rounds: list[int] = []
    labelled: dict[int, str] = {}
    for path in paths:
        table = _read_table(path)
        first = rounds[-1] + 1 if rounds else 0
        for where, entry in _as_bought(table, path):
            row, label = _point(entry, pool, where), _spelt(entry.get(LABEL))
            if not label:
                raise DataError(f"Expected a label for {pool.called(row)} in {where}, but got none; or drop the row.")
            if row in labelled:
                how = "twice" if labelled[row] == label else f"`{labelled[row]}` and `{label}`"
                raise DataError(f"Expected one label for {pool.called(row)}, but it is labelled {how}; see {where}.")
            labelled[row] = label
            rows.append(row)
            labels.append(label)
            rounds.append(_number(ROUND, entry[ROUND], where) if ROUND in entry else first)
    if rounds and rounds != sorted(rounds):
        raise DataError(
            "Expected rounds that do not go back, but they do; give the files in the order in which they were labelled."
        )
    queries = tuple(rounds.count(round_) for round_ in dict.fromkeys(rounds))
    names = _classes(classes, labels)
    code = {name: position for position, name in enumerate(names)}
    return Bought(
        rows=np.array(rows, dtype=np.int64),
        labels=np.array([code[label] for label in labels], dtype=np.int64),
        classes=names,
        queries=queries,
        next_round=rounds[-1] + 1 if rounds else 0,
    )


def _read_table(path: Path) -> list[dict[str, Any]]:
    """Rows of a file of labels, values as text."""
    try:
        if path.suffix == ".parquet":
            table: list[dict[str, Any]] = pq.read_table(path).to_pylist()
            columns = list(table[0]) if table else []
        else:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file, strict=True)
                table, columns = list(reader), list(reader.fieldnames or [])
            if uneven := [number for number, row in enumerate(table) if None in row or None in row.values()]:
                raise DataError(
                    f"Expected as many values as columns in `{path}`, but row {uneven[0]} has another number."
                )
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"Expected labels in `{path}`, but there is no such file.") from error
    except Exception as error:  # as in load_pool
        raise unreadable(str(path), error) from error
    if table and (LABEL not in columns or not {NAME, INDEX} & set(columns)):
        raise DataError(f"Expected the columns `label` and `name` or `index` in `{path}`, but got {_few(columns)}.")
    return table


def _point(entry: dict[str, Any], pool: Pool, where: str) -> int:
    name, index = entry.get(NAME), entry.get(INDEX)
    found: int | None = None
    if index not in (None, ""):
        if not re.fullmatch(r"\d{1,12}", str(index)) or int(index) >= len(pool.features):
            raise DataError(f"Expected an index from 0 to {len(pool.features) - 1} in {where}, but got `{index}`.")
        found = int(index)
    if name not in (None, "") and pool.names is not None:
        if str(name) not in pool.row_of:
            raise DataError(f"Expected a name of the pool in {where}, but got `{name}`.")
        named = pool.row_of[str(name)]
        if found not in (None, named):
            raise DataError(f"Expected one point in {where}, but index {found} is not `{name}`.")
        found = named
    if found is None:
        wanted = "an index" if pool.names is None else "a name or an index"
        raise DataError(f"Expected {wanted} in {where}, but got none.")
    return found


def _as_bought(table: list[dict[str, Any]], path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Rows with their places in the file, in the order in which they were chosen: a person may have sorted them."""
    entries = [(f"row {position} of `{path}`", entry) for position, entry in enumerate(table)]
    if table and {ROUND, POSITION} <= set(table[0]):
        entries.sort(key=lambda each: [_number(name, each[1][name], each[0]) for name in (ROUND, POSITION)])
    return entries


def _number(name: str, value: Any, where: str) -> int:
    if not re.fullmatch(r"\d{1,9}", str(value)):
        raise DataError(f"Expected a {name} such as 0 in {where}, but got `{value}`.")
    return int(value)


def _spelt(label: Any) -> str:
    return "" if label is None else unicodedata.normalize("NFC", str(label)).strip()


def _classes(asked: str | None, labels: Sequence[str]) -> tuple[str, ...]:
    found = _in_order(set(labels))
    if asked is None:
        if len(found) < 2:
            raise DataError(
                f"Expected --classes, their names with commas or their number, as the labels have {len(found)} of them."
            )
        return found
    if re.fullmatch(r"\d{1,6}", asked):
        n_classes = int(asked)
        if n_classes < max(2, len(found)):
            raise DataError(f"Expected --classes of {max(2, len(found))} at least, but got {n_classes}.")
        others = (name for number in itertools.count(len(found)) if (name := f"class {number}") not in found)
        return (*found, *itertools.islice(others, n_classes - len(found)))
    names = [_spelt(name) for name in asked.split(",")]
    if "" in names or len(set(names)) < max(2, len(names)):
        raise DataError(f"Expected two or more different names of classes with commas, but got `{asked}`.")
    if unknown := [label for label in found if label not in names]:
        raise DataError(f"Expected labels among {_few(names)}, but got {_few(unknown)}.")
    return _in_order(names)


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Sorted as a study sorts its classes: as integers where all are, else as text."""
    known = list(names)
    if all(re.fullmatch(r"-?\d{1,18}", name) for name in known):
        return tuple(sorted(known, key=lambda name: (int(name), name)))
    return tuple(sorted(known))


def _few(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - _MOST_SHOWN} more" if len(known) > _MOST_SHOWN else ""
    return (", ".join(f"`{name}`" for name in known[:_MOST_SHOWN]) or "nothing") + more
