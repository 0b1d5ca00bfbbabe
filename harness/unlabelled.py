"""A pool without labels, and the labels that a person has given so far: files in, arrays out, or one line."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.columns import matrix, missing, opened, read_all, read_columns, vector
from harness.data import (
    BUILTIN,
    COLUMNS,
    NO_CLASS,
    SCALE,
    as_features,
    check_numpy,
    names_alike,
    safetensors_arrays,
    scaled,
    train_rows,
    unreadable,
)
from harness.exceptions import DataError, reason
from strategies.base import IndexArray

FEATURES = ("x_train", "features", "feature", "x")
"""What the features may be called; the first that is there is read, and so the pool of a study before anything else."""
NAMES = ("names", "name")
NAME, INDEX, LABEL, ROUND, POSITION = "name", "index", "label", "round", "position"
FEATURES_HASH = "features_hash"
"""Tells the points of a pool without names apart, should their order change."""
SPLIT = COLUMNS[2]
_SUFFIXES = (".npy", ".npz", ".safetensors", ".parquet")
_MISSING = ("na", "nan", "n/a", "null", "none", "#n/a")
_MOST_DIGITS = 6
_MOST_SHOWN = 3
_MOST_COLUMNS = 12
_Rows: TypeAlias = list[tuple[str, dict[str, Any]]]
"""Of a file of labels, each with its place."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Points to choose from.

    Attributes:
        features: `n x dim` float32, finite.
        names: what each point is called, such as its file; None where it goes by its index.
        has_text_labels: whether the file has the labels of a study (`y_train` or `label`), and they are text.
    """

    features: NDArray[np.float32]
    names: tuple[str, ...] | None
    has_text_labels: bool = False

    @cached_property
    def row_of(self) -> dict[str, int]:
        """The index of each name."""
        return {name: row for row, name in enumerate(self.names or ())}

    def called(self, row: int) -> str:
        """The name of a point, or its index."""
        return str(row) if self.names is None else self.names[row]

    def features_hash(self, row: int) -> str:
        """Of a point; begins with a letter, so that no spreadsheet program takes it for a number."""
        return "x" + hashlib.sha256(self.features[row].tobytes()).hexdigest()[:8]


@dataclass(frozen=True, eq=False)
class Bought:
    """What is labelled, in the order of purchase.

    Attributes:
        rows: pool indices.
        labels: class of each, an index into `classes`, or `NO_CLASS`.
        classes: names of the classes, sorted as integers or strings.
        queries: labels of each round that has some.
        next_round: number of the next round.
        n_unnamed: the last so many classes have no label and no name yet, only a number.
        n_missing: rows that are missing between others of their rounds, as `position` says.
        first_missing: round and position of the first of them.
        alike: classes that nobody named and that `names_alike` finds beside one another, or beside the label of no
            class, for a user; empty if there are none.
    """

    rows: IndexArray
    labels: IndexArray
    classes: tuple[str, ...]
    queries: tuple[int, ...]
    next_round: int
    n_unnamed: int = 0
    n_missing: int = 0
    first_missing: tuple[int, int] | None = None
    alike: str = ""


def load_pool(path: Path) -> Pool:
    """Read a pool: a file of features, a folder of `.npy` files, or a built-in data set.

    A `.npy` has the features alone. Elsewhere they are called `x_train`, as in a feature file of a study, `features`,
    `feature` or `x`, and there may be `names` or `name`. As in a study, features are multiplied by
    `x_scale`, and of a Parquet file with a column `split` the rows of `train` are the pool.

    Raises:
        DataError: there is no such file, or it holds no pool.
    """
    if (name := str(path)) in BUILTIN:
        return as_pool(path, BUILTIN[name]().x_train, None)
    if not (any(path.glob("*.npy")) if path.is_dir() else path.is_file() and path.suffix.lower() in _SUFFIXES):
        kind = f"a file that ends in `{path.suffix}`"
        if path.is_dir():
            kind = "a folder without .npy files; `ntkcpl features extract --unlabelled` makes a pool of pictures"
        raise DataError(
            "Expected a pool in a .npy, .npz, .safetensors or .parquet file or a folder of .npy files, or one of "
            f"{', '.join(BUILTIN)}, but got `{path}`: {kind if path.exists() else 'no such file'}."
        )
    try:
        features, names, has_text_labels = _read(path)
    except DataError:
        raise
    except Exception as error:  # the readers raise errors of a dozen unrelated types on a damaged file
        raise unreadable(str(path), error) from error
    return as_pool(path, features, names, has_text_labels)


def as_pool(path: Path, features: NDArray[Any], names: Sequence[Any] | None, has_text_labels: bool = False) -> Pool:
    """A pool of features, and of names as `check_names` wants them.

    Raises:
        DataError: it is none; messages call it `path`.
    """
    checked = as_features(str(path), "features", features)
    checked.flags.writeable = False
    return Pool(checked, None if names is None else check_names(path, names, len(checked)), has_text_labels)


def check_names(path: Path, names: Sequence[Any], n: int) -> tuple[str, ...]:
    """The names of `n` points as text.

    Raises:
        DataError: there are more or fewer, they are not in UTF-8, or two are equal.
    """
    try:
        spelt = tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)
        for name in spelt:
            name.encode()  # of a file whose name is no UTF-8, Python makes text that cannot be written
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise DataError(f"Expected names in UTF-8 in `{path}`, but got {error.object!r}; rename it.") from error
    if len(spelt) != n:
        raise DataError(f"Expected a name for each of {n} points in `{path}`, but got {len(spelt)}.")
    name, count = Counter(spelt).most_common(1)[0]
    if count > 1:
        raise DataError(f"Expected names that differ in `{path}`, but got `{name}` {count} times.")
    return spelt


def _read(path: Path) -> tuple[NDArray[Any], Sequence[Any] | None, bool]:
    """Features, names, and whether there are labels of a study that are text."""
    suffix = path.suffix.lower()
    if path.is_dir():
        files = {file.stem: file for file in sorted(path.glob("*.npy"))}
        return _read_arrays(path, list(files), lambda name: np.load(files[name], allow_pickle=False))
    if suffix == ".safetensors":
        tensors = safetensors_arrays(path)
        return _read_arrays(path, list(tensors), tensors.__getitem__)
    if suffix != ".parquet":
        check_numpy(path)
    if suffix == ".npy":
        return np.load(path, allow_pickle=False), None, False
    if suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return _read_arrays(path, arrays.files, arrays.__getitem__)
    with opened(path) as file:
        columns = file.schema_arrow.names
        field = _feature_field(path, columns)
        called = _names_field(path, columns)
        others = [name for name in (called, SPLIT) if name is not None and name in columns]
        table = read_columns(path, file, [field, *others])
        is_text = columns.count(LABEL) == 1 and _is_text(file.schema_arrow.field(LABEL).type)
    is_pool = np.ones(len(table[field]), dtype=bool)
    if SPLIT in table and len(is_pool):
        is_pool = train_rows(path, table[SPLIT])
    if not is_pool.any():
        found = "no row of `train` in `split`" if len(is_pool) else "no rows at all"
        raise DataError(f"Expected points to choose from in `{path}`, but got {found}.")
    names = None
    if called is not None:
        names = name_values(path, table[called], called)[is_pool].tolist()
    features = matrix(f"`{field}` of {path}", table.pop(field))
    return features if is_pool.all() else features[is_pool], names, is_text


def _read_arrays(
    path: Path, present: Sequence[str], get: Callable[[str], NDArray[Any]]
) -> tuple[NDArray[Any], Sequence[Any] | None, bool]:
    field = _feature_field(path, present)
    called = _names_field(path, present)
    names = get(called) if called is not None else None
    if called == NAME and names is not None and names.ndim == 0:  # of the file, not of its points
        names = None
    if names is not None and names.ndim != 1:
        raise DataError(f"Expected a list in `{called}` of `{path}`, but got shape {names.shape}.")
    features = get(field)
    if SCALE in present:
        features = scaled(path, field, features, get(SCALE))
    return features, None if names is None else names.tolist(), _has_text(present, get)


def name_values(path: Path, column: pa.ChunkedArray, called: str = NAME) -> NDArray[Any]:
    """A column of names that is called so, as `read_columns` gives it; strings of a fixed width where they are text.

    Raises:
        DataError: a name is missing.
    """
    if column.null_count:
        raise DataError(f"Expected a name in every row of `{called}` of `{path}`, but got {missing(column)}.")
    return vector(column)


def _has_text(present: Sequence[str], get: Callable[[str], NDArray[Any]]) -> bool:
    """Whether there are labels of a study that are text."""
    found = next((name for name in ("y_train", LABEL) if name in present), None)
    try:
        return found is not None and get(found).dtype.kind in "US"
    except ValueError as error:
        if "Object arrays" not in str(error):
            raise
        return True  # pickled, which no study reads


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _feature_field(path: Path, present: Sequence[str]) -> str:
    found = [name for name in FEATURES if name in present]
    if not found:
        raise DataError(f"Expected features called {', '.join(FEATURES)} in `{path}`, but got only {_few(present)}.")
    if found[:2] == ["features", "feature"]:  # as in a study
        raise DataError(f"Expected `features` or `feature` in `{path}`, but got both; drop one.")
    return found[0]


def _names_field(path: Path, present: Sequence[str]) -> str | None:
    found = [name for name in NAMES if name in present]
    if len(found) > 1:
        raise DataError(f"Expected `names` or `name` in `{path}`, but got both; drop one.")
    return found[0] if found else None


def read_labels(paths: Sequence[Path], pool: Pool, classes: str | None, no_class: str | None = None) -> Bought:
    """Read labels in the order of purchase: CSV or Parquet files with `name` or `index`, `label`, and maybe `round`.

    Args:
        paths: in the order of purchase, which matters where one lacks `round` or `position`. Without a column `round`
            each file is a round.
        pool: what `name` and `index` are about.
        classes: names with commas, as in a line of a CSV file, or their number; None takes those that the labels have.
        no_class: label of points that belong to none of them.

    Raises:
        DataError: a file cannot be read; a point is unknown, labelled twice or not at all; rounds go back; a label is
            no class; or there is no way to know how many classes there are.
    """
    rows: list[int] = []
    labels: list[str] = []
    rounds: list[int] = []
    labelled: dict[int, str] = {}
    places: dict[str, str] = {}
    positions: dict[int, set[int]] = {}
    for table in _as_bought([_read_table(path) for path in paths]):
        first = rounds[-1] + 1 if rounds else 0
        for where, entry in table:
            row, label = _point(entry, pool, where), _label(entry.get(LABEL), where)
            if not label:
                raise DataError(
                    f"Expected a label for {pool.called(row)} in {where}, but got none; drop the row, so that the "
                    "point may be chosen again, or write the label of --no-class, so that it leaves the pool."
                )
            if row in labelled:
                how = "twice" if labelled[row] == label else f"`{labelled[row]}` and `{label}`"
                raise DataError(f"Expected one label for {pool.called(row)}, but it is labelled {how}; see {where}.")
            labelled[row] = label
            places.setdefault(label, where)
            rows.append(row)
            labels.append(label)
            rounds.append(_number(ROUND, entry[ROUND], where) if ROUND in entry else first)
            if {ROUND, POSITION} <= set(entry):
                positions.setdefault(rounds[-1], set()).add(_number(POSITION, entry[POSITION], where))
    if rounds and rounds != sorted(rounds):
        raise DataError(
            "Expected rounds that do not go back, but they do; give the files in the order in which they were labelled."
        )
    gaps = {round_: 1 + max(seen) - len(seen) for round_, seen in positions.items() if max(seen) >= len(seen)}
    queries = tuple(rounds.count(round_) for round_ in dict.fromkeys(rounds))
    nothing = None if no_class is None else _spelt(no_class)
    names = _classes(
        classes, {label: where for label, where in places.items() if label != nothing}, pool.has_text_labels
    )
    if nothing == "" or nothing in names:
        raise DataError(f"Expected a label for --no-class that is no class, but got `{no_class}`.")
    code = {name: position for position, name in enumerate(names)}
    is_named = classes is not None and not classes.isdecimal()
    return Bought(
        rows=np.array(rows, dtype=np.int64),
        labels=np.array([code.get(label, NO_CLASS) for label in labels], dtype=np.int64),
        classes=names,
        queries=queries,
        next_round=rounds[-1] + 1 if rounds else 0,
        n_unnamed=len(set(names) - set(labels)) if classes and classes.isdecimal() else 0,
        n_missing=sum(gaps.values()),
        first_missing=next(((round_, _first_gap(positions[round_])) for round_ in gaps), None),
        alike="" if is_named else names_alike([*names, *([nothing] if nothing else [])]),
    )


def _first_gap(positions: set[int]) -> int:
    return next(position for position in itertools.count() if position not in positions)


def _read_table(path: Path) -> _Rows:
    """Rows of a file of labels; those of a CSV file have values as text."""
    try:
        if path.suffix.lower() == ".parquet":
            read = read_all(path)
            read = read.rename_columns(columns := _distinct_headings(read.column_names, path))
            table, uneven = [(f"row {row} of `{path}`", entry) for row, entry in enumerate(read.to_pylist())], []
        else:
            with path.open(encoding="utf-8-sig", newline="") as file:
                above, text = _above_header(file.read())
                reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, delimiter=_delimiter(text))
                columns = reader.fieldnames = _distinct_headings(reader.fieldnames or [], path)
                table = [(f"line {above + reader.line_num} of `{path}`", row) for row in reader if not _is_blank(row)]
            uneven = [where for where, row in table if None in row or None in row.values()]
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"Expected labels in `{path}`, but there is no such file.") from error
    except IsADirectoryError as error:
        raise DataError(f"Expected a file of labels, but `{path}` is a folder; name each file in it.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"Expected a CSV file in UTF-8, but got `{path}` ({reason(error)}); save it as CSV in UTF-8, with commas."
        ) from error
    except Exception as error:  # as in load_pool
        raise unreadable(str(path), error) from error
    if LABEL not in columns or not {NAME, INDEX} & set(columns):
        found = ", ".join(f"`{name}`" for name in columns[:_MOST_COLUMNS]) or "nothing"
        raise DataError(f"Expected the columns `label` and `name` or `index` in `{path}`, but got {found}.")
    if uneven:
        raise DataError(f"Expected as many values as columns, but {uneven[0]} has another number.")
    return table


def _above_header(text: str) -> tuple[int, str]:
    """Number of lines that are empty or, such as `sep=;`, for a spreadsheet program, and the text after them."""
    match = re.match(r'(?:[ \t]*(?:"?sep=[^\w\r\n]*)?(?:\r\n|\r|\n))*', text)
    n_skipped = match.end() if match else 0
    return len(text[:n_skipped].splitlines()), text[n_skipped:]


def _is_blank(row: dict[Any, Any]) -> bool:
    """Whether a line has no values, but perhaps marks between them."""
    return not any("".join(value) if isinstance(value, list) else value for value in row.values())


def _delimiter(text: str) -> str:
    """What stands between the values: spreadsheet programs write what is usual where they are used."""
    for mark in ",;\t":
        with suppress(csv.Error):
            first = next(csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=mark), [])
            if LABEL in _headings(first):
                return mark
    return ","


def _headings(names: Sequence[str]) -> list[str]:
    """The names of columns without blanks around them; of the known ones, one in capitals counts if it is alone."""
    columns = [name.strip() for name in names]
    known = {NAME, INDEX, LABEL, ROUND, POSITION, FEATURES_HASH} - set(columns)
    return [plain if (plain := name.casefold()) in known else name for name in columns]


def _distinct_headings(names: Sequence[str], path: Path) -> list[str]:
    columns = _headings(names)
    if twice := [name for name, count in Counter(columns).items() if name and count > 1]:
        raise DataError(f"Expected each column once in `{path}`, but got {_few(twice)} twice; drop or rename one.")
    return columns


def _point(entry: dict[str, Any], pool: Pool, where: str) -> int:
    name, index = entry.get(NAME), _label(entry.get(INDEX), where)
    if index and not re.fullmatch(r"\d{1,12}", index):
        raise DataError(f"Expected an index from 0 to {len(pool.features) - 1} in {where}, but got `{index}`.")
    found = int(index) if index else None
    if name not in (None, "") and pool.names is not None:
        if str(name) not in pool.row_of:
            changed = "" if found is None else ", or, if a program has changed the name, remove the column `name`"
            raise DataError(
                f"Expected a name of the pool in {where}, but got `{name}`; drop the row if this point has left the "
                f"pool{changed}."
            )
        named = pool.row_of[str(name)]
        if found not in (None, named):
            raise DataError(
                f"Expected one point in {where}, but index {found} is not `{name}`; if the order of the pool has "
                "changed, remove the column `index`."
            )
        return named
    if pool.names is None and name not in (None, "") and not _label(entry.get(FEATURES_HASH), where):
        raise DataError(
            f"Expected a pool with names, since the point in {where} is called `{name}`, but it has none; give it the "
            "names, or, if `index` counts and its order has not changed, remove the column `name`."
        )
    if found is None:
        wanted = "an index" if pool.names is None else "a name or an index"
        raise DataError(f"Expected {wanted} in {where}, but got none.")
    if found >= len(pool.features):
        raise DataError(f"Expected an index from 0 to {len(pool.features) - 1} in {where}, but got `{index}`.")
    if _label(entry.get(FEATURES_HASH), where) not in ("", pool.features_hash(found)):
        raise DataError(
            f"Expected the point in {where} to have the features by which it was chosen, but index {found} has others; "
            f"restore the order of the pool, or, if only features have changed, remove the column `{FEATURES_HASH}`."
        )
    return found


def _as_bought(tables: Sequence[_Rows]) -> list[_Rows]:
    """Rows in the order in which their points were chosen: persons may have sorted them, or divided a round."""
    tables = [table for table in tables if table]
    is_numbered = [{ROUND, POSITION} <= set(table[0][1]) for table in tables]
    if all(is_numbered):
        tables, is_numbered = [list(itertools.chain.from_iterable(tables))], [True]
    return [sorted(table, key=_place) if known else table for table, known in zip(tables, is_numbered, strict=True)]


def _place(numbered: tuple[str, dict[str, Any]]) -> list[int]:
    where, entry = numbered
    return [_number(name, entry[name], where) for name in (ROUND, POSITION)]


def _number(name: str, value: Any, where: str) -> int:
    text = _label(value, where)
    if not re.fullmatch(r"\d{1,9}", text):
        raise DataError(f"Expected a {name} such as 0 in {where}, but got `{value}`.")
    return int(text)


def _label(value: Any, where: str) -> str:
    """A label, or another value, as text; empty where it is missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, (list, dict)):
        raise DataError(f"Expected text or a number in {where}, but got a {type(value).__name__}; keep one value.")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    try:
        return _spelt(value.decode() if isinstance(value, bytes) else str(value))
    except UnicodeDecodeError as error:
        raise DataError(f"Expected a label in UTF-8 in {where}, but got {value!r}.") from error


def _spelt(label: str) -> str:
    """The name of a class: a whole number has no decimals, since programs write 1 as 1.0 where labels are missing.

    Where decimals follow a comma, they write `1,0`.
    """
    label = unicodedata.normalize("NFC", label).strip()
    return re.sub(r"^(-?\d+)(?:\.0+|,0)$", r"\1", label)


def _classes(asked: str | None, places: Mapping[str, str], as_text: bool) -> tuple[str, ...]:
    """Names of all classes, given where each label stands for the first time."""
    found = _in_order(places, as_text)
    is_named = asked is not None and not asked.isdecimal()
    if not is_named and (missing_ones := [label for label in found if label.casefold() in _MISSING]):
        raise DataError(
            f"Expected names of classes, but got {_few(missing_ones)}, which programs write where a label is missing; "
            f"drop such rows, or name all classes with --classes; see {places[missing_ones[0]]}."
        )
    if asked is None:
        if len(found) < 2:
            raise DataError(
                f"Expected --classes, their names with commas or their number, as the labels have {len(found)} of them."
            )
        return found
    if not is_named and len(asked) <= _MOST_DIGITS:
        n_classes = int(asked)
        if n_classes < max(2, len(found)):
            raise DataError(f"Expected --classes of {max(2, len(found))} at least, but got {n_classes}.")
        others = (name for number in itertools.count(len(found)) if (name := f"class {number}") not in found)
        return (*found, *itertools.islice(others, n_classes - len(found)))
    names = _split(asked)
    if "" in names or len(set(names)) < max(2, len(names)):
        raise DataError(
            f"Expected two or more different names of classes with commas, but got `{asked}`; a name that has a comma "
            'itself stands in quotation marks, as in `cat,"dog, large"`.'
        )
    if unknown := [label for label in found if label not in names]:
        raise DataError(f"Expected labels among {_few(names)}, but got {_few(unknown)}; see {places[unknown[0]]}.")
    return _in_order(names, as_text)


def _split(asked: str) -> list[str]:
    """Names between commas, as in a line of a CSV file but for blanks around commas; nothing where they are none."""
    line = re.sub(r'(\A|,)\s*("(?:[^"]|"")*"|[^,]*)\s*(?=,|\Z)', r"\1\2", asked)
    try:
        return [_spelt(name) for name in next(csv.reader([line], skipinitialspace=True, strict=True), [])]
    except csv.Error:
        return []


def _in_order(names: Iterable[str], as_text: bool) -> tuple[str, ...]:
    """Sorted as a study sorts its classes: as integers where all are, else as text.

    A study sorts labels that look like integers as text if they are text in its file. Only the file of the pool can
    tell, where it has the labels; a CSV file cannot.
    """
    known = list(names)
    if not as_text and all(re.fullmatch(r"-?\d{1,18}", name) for name in known):
        return tuple(sorted(known, key=lambda name: (int(name), name)))
    return tuple(sorted(known))


def _few(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - _MOST_SHOWN} more" if len(known) > _MOST_SHOWN else ""
    return (", ".join(f"`{name}`" for name in known[:_MOST_SHOWN]) or "nothing") + more
