"""Features that another program saved, under whatever names, to a feature file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.columns import is_list_of_numbers, matrix, missing, plain, read_all, vector
from harness.data import SCALE, Fields, as_features, check_numpy, unreadable
from harness.exceptions import DataError
from harness.features.files import hold_out

Field = Literal["x", "y", "x_test", "y_test"]
SPLIT = "split"

_TRAIN = {"train", "training"}
_TEST = {"test", "tst", "val", "valid", "validation", "eval"}
_MOST_SHOWN = 5
_LARGEST_WHOLE = 2**53
"""Up to which float64 holds every whole number."""
_LABEL = {"y", "label", "labels", "target", "targets", "class", "classes"}


@dataclass(frozen=True)
class Imported:
    """What was found and what is made of it.

    Attributes:
        fields: features and labels.
        found: name, shape, number type and use of each array in the files.
        held_out: whether the test data is a fifth of the only data there was.
    """

    fields: Fields
    found: list[tuple[str, str, str, str]]
    held_out: bool


def import_features(paths: Sequence[Path], chosen: Mapping[Field, str] | None = None) -> Imported:
    """Find features and labels in files.

    Args:
        paths: `.npy`, `.npz`, `.parquet` or `.safetensors` files, or folders of `.npy` files; with several files,
            names are `FILE:ARRAY`, and of a `.npy` the file's name alone.
        chosen: names of the arrays where the guess needs help.

    Raises:
        DataError: a file cannot be read, a name is not there, or the names do not tell which array is which; or it is a
            feature file whose columns have factors.
    """
    arrays = _gather(paths)
    if scaled := [name for name in arrays if _last(name) == SCALE]:
        raise DataError(
            f"Expected features of another program, but got `{scaled[0]}`, the factors of a feature file; --data takes"
            " it as it is."
        )
    uses = _choose(arrays, dict(chosen or {}))
    source = ", ".join(map(str, paths))
    x, y = _matrix(uses["x"], arrays[uses["x"]], source), _vector(uses["y"], arrays[uses["y"]])
    splits = [name for name in arrays if _last(name).casefold() == SPLIT]
    held_out = False
    if "x_test" in uses:
        _check_splits(arrays, splits, uses)
        names = uses["x_test"], uses["y_test"]
        fields = Fields(x, y, _matrix(names[0], arrays[names[0]], source), _vector(names[1], arrays[names[1]]))
    elif len(x) != len(y):
        raise DataError(f"Expected a label for each of the {len(x)} rows of {uses['x']}, but got {len(y)}.")
    elif splits:
        is_test = _is_test_row(splits[0], arrays[splits[0]], len(x)) if len(splits) == 1 else None
        if is_test is None:
            raise DataError(f"Expected one split, but got {', '.join(splits)}; name test data with --x-test instead.")
        fields = Fields(x[~is_test], y[~is_test], x[is_test], y[is_test])
        uses["split"] = splits[0]
    else:
        pool, test = hold_out(y, uses["y"])
        fields, held_out = Fields(x[pool], y[pool], x[test], y[test]), True
    use_of = {name: use for use, name in uses.items()}
    found = [
        (name, " x ".join(map(str, array.shape)), str(array.dtype), use_of.get(name, ""))
        for name, array in arrays.items()
    ]
    return Imported(fields, found, held_out)


def _is_test_row(name: str, split: NDArray[Any], n_rows: int) -> NDArray[np.bool_]:
    """Which rows are test data; all others are training data by their own word.

    Raises:
        DataError: a row says neither, all rows say the same, or there is more than one word for test data.
    """
    if split.shape != (n_rows,):
        raise DataError(f"Expected a word in {name} for each of the {n_rows} rows, but got shape {split.shape}.")
    words = _split_words(split)
    found = set(words.tolist())
    tests = sorted(found & _TEST)
    if found <= _TRAIN | _TEST and len(tests) == 1 and len(found) > 1:
        return np.isin(words, tests)
    values = dict.fromkeys(_texts(split))
    raise DataError(
        f"Expected `train` and one word for test data, such as `test` or `val`, in {name}, but got "
        f"{', '.join(map(repr, list(values)[:_MOST_SHOWN]))}; leave other rows out, or name test data with --x-test."
    )


def _check_splits(arrays: Mapping[str, NDArray[Any]], splits: Sequence[str], uses: Mapping[str, str]) -> None:
    """Refuse rows that are taken as training data or test data against the word of a file that has one of these."""
    for split in splits:
        for use, allowed, what in (("x", _TRAIN, "training data"), ("x_test", _TEST, "test data")):
            name = uses[use]
            if (
                arrays[split].dtype.kind not in "USO"
                or len({each.rpartition(":")[0] for each in (uses["x"], uses["x_test"])}) == 1
                or name.rpartition(":")[0] != split.rpartition(":")[0]
                or arrays[split].shape != (len(arrays[name]),)
            ):
                continue
            is_other = ~np.isin(_split_words(arrays[split]), list(allowed))
            if is_other.any():
                row = int(np.argmax(is_other))
                raise DataError(
                    f"Expected {what} only in {split}, because all of {name} are {what}, but got "
                    f"{_texts(arrays[split])[row]!r} in row {row}; leave such rows out."
                )


def _split_words(split: NDArray[Any]) -> NDArray[np.str_]:
    return np.array([text.strip().casefold() if isinstance(text, str) else "" for text in _texts(split)], dtype=np.str_)


def _texts(split: NDArray[Any]) -> list[Any]:
    _raise_if_refused(split)
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in split.tolist()]


def _gather(paths: Sequence[Path]) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    files = [file for path in paths for file in _files(path)]
    for path in files:
        suffix = path.suffix.lower()
        if suffix not in _READERS or not path.is_file():
            problem = "which is none of them" if path.exists() else "which does not exist"
            raise DataError(f"Expected {', '.join(_READERS)} files, but got {path}, {problem}.")
        try:
            inside = _READERS[suffix](path)
        except DataError:
            raise
        except Exception as error:  # the readers raise errors of many types on a damaged file
            raise unreadable(str(path), error) from error
        for name, array in inside.items():
            full = name if len(files) == 1 or suffix == ".npy" else f"{path.stem}:{name}"
            if full in arrays:
                raise DataError(f"Expected arrays of different names, but two are called {full}; rename a file.")
            arrays[full] = array
    return arrays


def _files(path: Path) -> list[Path]:
    """A file itself, or the arrays in a folder."""
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.npy"))
    if not found:
        raise DataError(
            f"Expected .npy files in the folder {path}, but got none; name files in {', '.join(_READERS)}, and make "
            "features of pictures with `ntkcpl features extract`."
        )
    return found


def _choose(arrays: Mapping[str, NDArray[Any]], chosen: dict[Field, str]) -> dict[str, str]:
    for field, name in chosen.items():
        if name not in arrays:
            option = field.replace("_", "-")
            raise DataError(f"Expected an array among {_listed(arrays)} for --{option}, but got `{name}`.")
    features = [name for name, array in arrays.items() if _is_matrix(array)]
    uses: dict[str, str] = {field: name for field, name in chosen.items()}  # noqa: C416
    free = [name for name in features if name not in uses.values()]
    if "x" not in uses:
        uses["x"] = _only([name for name in free if not _is_test(name)], "the features", "--x", arrays)
    tests = [name for name in free if _is_test(name)]
    if "x_test" not in uses and tests:
        uses["x_test"] = _only(tests, "the test features", "--x-test", arrays)
    if uses.get("x_test") == uses["x"]:
        raise DataError(f"Expected other test features than the features, but got `{uses['x']}` for both.")
    for y, x in (("y", "x"), ("y_test", "x_test")):
        if x in uses and y not in uses:
            _require_rows(uses[x], arrays[uses[x]])
            n = len(arrays[uses[x]])
            found = [name for name, array in arrays.items() if _may_be_labels(name, array) and len(array) == n]
            found = [name for name in found if _is_test(name) == (y == "y_test")] or found
            found = [name for name in found if name not in uses.values()]
            named = [name for name in found if _words(name) & _LABEL]
            # What differs in every row names the points, as in a pool without labels; but test data may be small.
            repeated = named or [name for name in found if len(np.unique(arrays[name])) < n]
            found = repeated or (found if y == "y_test" else [])
            uses[y] = _only(found, f"the labels of {uses[x]}", f"--{y.replace('_', '-')}", arrays)
    if "y_test" in uses and "x_test" not in uses:
        raise DataError("Expected test features for the test labels, but got none; name them with --x-test.")
    return uses


def _only(names: list[str], what: str, option: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    if len(names) != 1:
        found = f"{len(names)} that could be: {', '.join(names)}" if names else f"none among {_listed(arrays)}"
        takes = "; `ntkcpl select` takes features without labels, alone in a .npy or called `features`"
        also = takes if option == "--y" and not names else ""
        raise DataError(f"Expected one array for {what}, but got {found}. Say which with {option} NAME{also}.")
    return names[0]


def _matrix(name: str, array: NDArray[Any], source: str) -> NDArray[Any]:
    _require_rows(name, array)
    rows = array.reshape(len(array), -1)
    as_features(source, name, rows)  # here, where the names are those of the files that are read
    return rows


def _require_rows(name: str, array: NDArray[Any]) -> None:
    _raise_if_refused(array)
    if array.dtype.kind not in "fiu" or array.ndim < 2 or set(array.shape[2:]) - {1}:
        raise DataError(f"Expected features as rows of numbers in {name}, but got {array.dtype} {array.shape}.")
    if not len(array):
        raise DataError(f"Expected features in {name}, but it has no rows.")


def _refused(shape: tuple[int, ...], error: DataError) -> NDArray[Any]:
    """Stands for an array that cannot be read, which matters only where it is needed."""
    return np.broadcast_to(np.array(error, dtype=object), shape)


def _raise_if_refused(array: NDArray[Any]) -> None:
    if array.dtype.kind == "O" and array.size and isinstance(array.flat[0], DataError):
        raise array.flat[0]


def _vector(name: str, array: NDArray[Any]) -> NDArray[Any]:
    _raise_if_refused(array)
    if array.dtype.kind == "O":  # from a column with missing values
        absent = [row for row, value in enumerate(array.tolist()) if value is None]
        raise DataError(
            f"Expected a label in every row of {name}, but got {len(absent)} missing, the first in row {absent[0]}."
        )
    if array.dtype.kind not in "iuUSbf" or not (array.ndim == 1 or array.shape[1:] == (1,)):
        raise DataError(f"Expected a whole number or a string per row in {name}, but got {array.dtype} {array.shape}.")
    array = array.reshape(len(array))
    if array.dtype.kind != "f":
        return array
    is_whole = np.isfinite(array) & (np.abs(array.astype(np.float64)) <= _LARGEST_WHOLE)
    is_whole[is_whole] &= array[is_whole] == np.rint(array[is_whole])
    if not is_whole.all():
        row = int(np.argmin(is_whole))
        raise DataError(
            f"Expected a whole number or a string per row in {name}, but got {array[row]} ({array.dtype}) in row {row}."
        )
    return array.astype(np.int64)


def _is_matrix(array: NDArray[Any]) -> bool:
    """Rows of at least two numbers, as one may be a label; further axes may have length 1, as after a pooling layer.

    What cannot be read may be features as well, so that nothing else is taken in its place.
    """
    return array.dtype.kind in "fiuO" and array.ndim >= 2 and array.shape[1] >= 2 and set(array.shape[2:]) <= {1}


def _may_be_labels(name: str, array: NDArray[Any]) -> bool:
    """A value per row that can be a class; what is called a label is taken at its word, to be refused by name."""
    if _last(name).casefold() == SPLIT or not (array.ndim == 1 or array.shape[1:] == (1,)):
        return False
    return array.dtype.kind in "iuUSb" or bool(_words(name) & _LABEL) or (array.dtype.kind == "f" and _is_whole(array))


def _is_whole(array: NDArray[Any]) -> bool:
    return bool(np.isfinite(array).all() and (array == np.rint(array)).all())


def _last(name: str) -> str:
    """The array's own name in `FILE:ARRAY`."""
    return name.rpartition(":")[2]


def _is_test(name: str) -> bool:
    return bool(_words(name) & _TEST)


def _words(name: str) -> set[str]:
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    return set(re.findall(r"[a-z]+", spaced.lower()))


def _listed(arrays: Mapping[str, NDArray[Any]]) -> str:
    kinds = {name: " of objects" if array.dtype.kind == "O" else "" for name, array in arrays.items()}
    return ", ".join(f"{name} {array.shape}{kinds[name]}" for name, array in arrays.items()) or "no arrays"


def _read_npy(path: Path) -> dict[str, NDArray[Any]]:
    check_numpy(path)
    with path.open("rb") as file:
        return {path.stem: _unpickled(f"{path}", partial(np.load, path, allow_pickle=False), file)}


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    check_numpy(path)
    found = {}
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        for name in arrays.files:
            with arrays.zip.open(f"{name}.npy") as member:
                found[name] = _unpickled(f"`{name}` of {path}", partial(arrays.__getitem__, name), member)
    return found


def _unpickled(what: str, read: Callable[[], NDArray[Any]], file: IO[bytes]) -> NDArray[Any]:
    """What `read` gives; of pickled objects, which nothing reads, the shape in the head of the file."""
    try:
        return read()
    except ValueError as error:
        if "Object arrays" not in str(error):
            raise
        is_first = np.lib.format.read_magic(file) == (1, 0)
        head = np.lib.format.read_array_header_1_0 if is_first else np.lib.format.read_array_header_2_0
        return _refused(head(file)[0], unreadable(what, error))


def _read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    import torch
    from safetensors.torch import load_file

    tensors = load_file(path)
    return {
        name: (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy() for name, tensor in tensors.items()
    }


def _read_parquet(path: Path) -> dict[str, NDArray[Any]]:
    table = read_all(path)
    given = {name: plain(table.column(name)) for name in table.column_names}
    columns = {name: _column(f"column {name} of {path}", column) for name, column in given.items()}
    return _side_by_side(path, given, {name: array for name, array in columns.items() if array is not None})


def _side_by_side(
    path: Path, given: Mapping[str, pa.ChunkedArray], columns: dict[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Columns that are counted from 0 or 1, such as `f0` to `f767` or `f000` to `f767`, as one array `f`.

    They count as features if most of them have numbers; then all must. Other columns stay as they are.
    """
    counted: dict[str, list[tuple[int, str]]] = {}
    for name in given:
        if found := re.fullmatch(r"(.*?)([0-9]+)", name):
            counted.setdefault(found[1], []).append((int(found[2]), name))
    joined = dict(columns)
    for prefix, group in counted.items():
        numbers, names = zip(*sorted(group), strict=True)
        whole = prefix.rstrip("_-. ") or "columns"
        n_number = sum(_is_number(given[name].type) for name in names)
        if (
            len(names) < 2
            or numbers[0] not in (0, 1)
            or numbers != tuple(range(numbers[0], numbers[0] + len(names)))
            or whole in columns
            or 2 * n_number <= len(names)
        ):
            continue
        if bad := [name for name in names if not _is_number(given[name].type) or given[name].null_count]:
            column = given[bad[0]]
            found_there = missing(column) if column.null_count else f"{column.type} from row 0 on"
            error = DataError(
                f"Expected numbers in the columns {names[0]} to {names[-1]} of {path}, but {bad[0]} has {found_there}; "
                "correct it, call it `label` if it is that, or leave the column out and count the others again."
            )
            joined[whole] = _refused((len(column), len(names)), error)
        else:
            joined[whole] = np.stack([joined.pop(name) for name in names], axis=1)
    return joined


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _column(where: str, column: pa.ChunkedArray) -> NDArray[Any] | None:
    """A column of lists as a matrix, of numbers or strings as a vector; others are no features and no labels.

    A vector with missing values is an array of objects, which is refused where it is needed and ignored elsewhere.
    """
    kind = column.type
    if is_list_of_numbers(kind):
        return matrix(where, column) if len(column) else None
    if not (_is_number(kind) or pa.types.is_boolean(kind) or pa.types.is_string(kind)):
        return None
    return np.array(column.to_pylist(), dtype=object) if column.null_count else vector(column)


_READERS: dict[str, Callable[[Path], dict[str, NDArray[Any]]]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".parquet": _read_parquet,
    ".safetensors": _read_safetensors,
}
