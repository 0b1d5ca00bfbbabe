"""Data sets: frozen features with labels, read from a file or built in, checked once.

A feature file is a `.npz` with `x_train [n, d]`, `y_train [n]`, `x_test`, `y_test`; a folder of `.npy` files
with those four names; or a `.parquet` with the columns `feature` or `features` (list of numbers), `label` and `split`
("train" or "test"); or a `.safetensors` with the four names and integer labels. Features kept as small integers may
come with `x_scale [d]`, a factor for each column. Nothing is unpickled. If something is wrong with a file, there is a
`DataError` of one line. If something is read differently from how it is written, such as a label with blanks around
it, or may not mean what it says, such as the classes `Cat` and `cat`, `Dataset.notes` says so.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.columns import matrix, missing, opened, read_columns, vector
from harness.exceptions import DataError, SpecError, one_line
from strategies.exceptions import did_you_mean

if TYPE_CHECKING:
    from strategies.base import IndexArray

EvaluateOn = Literal["all", "tune", "confirm"]

COLUMNS = ("feature", "label", "split")
FEATURES = "features"
"""Another name for the column `feature`."""
SCALE = "x_scale"
MAX_SHOWN = 5
CHECKED_ROWS = 4096
SMALLEST_NORMAL = float(np.finfo(np.float32).smallest_normal)
NO_CLASS = -1
"""Stands for the class of points that have none, because they were added to the pool (harness.pools)."""
_DIGITS_TRAIN = 1437
_IMPORT = (
    "`ntkcpl features import` makes a file from separate arrays or other names; --x, --y, --x-test and --y-test say "
    "which is which."
)


class Fields(NamedTuple):
    """The contents of a feature file as they come.

    Attributes:
        x_train: `n_train x dim` real numbers of any type that fit float32.
        y_train: `n_train` integers of any value, booleans, or strings (bytes are UTF-8).
        x_test: `n_test x dim`, like `x_train`.
        y_test: `n_test` labels of the classes of `y_train`.
    """

    x_train: NDArray[Any]
    y_train: NDArray[Any]
    x_test: NDArray[Any]
    y_test: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Features and labels that passed every check; the arrays are read-only.

    Attributes:
        name: the name in the column `data` of the store.
        x_train: features of the pool, `n_train x dim` float32, C-contiguous, finite.
        y_train: true class of each point, `n_train` int64 in 0..n_classes-1, or `NO_CLASS`; each class occurs.
        x_test: features of the test data, `n_test x dim` float32.
        y_test: class of each test point, `n_test` int64.
        class_names: the labels as they were given, sorted as integers or strings; strings without blanks at their
            ends and in Unicode's composed form (NFC).
        content_hash: sha256 (hex) of features, labels and class names; the same for every file format.
        notes: a line for everything that was read differently from how it was given, or may not be meant.
        given: the label that buying each point gives, `n_train` int64 like `y_train`; None if it is the true class.
        rows: where each point of a harder pool comes from (harness.pools): `n_train` row numbers in the `x_train` of
            the source (for points of no class, of their own source); None if nothing was changed.
    """

    name: str
    x_train: NDArray[np.float32]
    y_train: IndexArray
    x_test: NDArray[np.float32]
    y_test: IndexArray
    class_names: tuple[str, ...]
    content_hash: str
    notes: tuple[str, ...] = ()
    given: IndexArray | None = None
    rows: IndexArray | None = None

    @property
    def labels(self) -> IndexArray:
        """The label that buying each point gives, including label noise."""
        return self.y_train if self.given is None else self.given

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @classmethod
    def from_arrays(cls, name: str, fields: Fields, source: str | None = None) -> Dataset:
        """Check four arrays and make a data set from them; features that are already float32 are not copied.

        Args:
            name: name of the data set.
            fields: the arrays.
            source: the origin of the arrays for error messages; None takes the name.

        Raises:
            DataError: A field breaks the contract.
        """
        source = source or name
        train, test = as_features(source, "x_train", fields.x_train), as_features(source, "x_test", fields.x_test)
        if train.shape[1] != test.shape[1]:
            raise _error(source, "x_test", f"{train.shape[1]} columns, as in x_train", f"{test.shape[1]}")
        respelt: dict[str, str] = {}
        train_labels = _labels(source, "y_train", fields.y_train, len(train), respelt)
        test_labels = _labels(source, "y_test", fields.y_test, len(test), respelt)
        values, train_codes = np.unique(train_labels, return_inverse=True)
        test_values, test_codes = np.unique(test_labels, return_inverse=True)
        if len(values) < 2:
            raise _error(source, "y_train", "at least 2 classes", f"{_listed(values.tolist())} alone")
        # Python objects, because NumPy compares int64 with uint64 as float64.
        code_of = {value: code for code, value in enumerate(values.tolist())}
        unknown = [value for value in test_values.tolist() if value not in code_of]
        if unknown:
            found = f"{len(unknown)} that y_train lacks: {_listed(unknown)}"
            raise _error(source, "y_test", f"only classes of y_train (such as {_listed(code_of)})", found)
        mapped_train = train_codes.astype(np.int64)
        mapped_test = np.array([code_of[value] for value in test_values.tolist()], dtype=np.int64)[test_codes]

        names = tuple(str(value) for value in code_of)
        digest = hashlib.sha256(json.dumps([train.shape, test.shape, names], ensure_ascii=False).encode())
        for array in (train, mapped_train, test, mapped_test):
            array.setflags(write=False)
            digest.update(array.data)
        notes = [_respelt(source, respelt)] if respelt else []
        if alike := names_alike(names):
            shown = one_line(source)
            notes.append(
                f"Labels of {shown} that differ only in case, blanks or how a number is written are different classes: "
                f"{alike}."
            )
        return cls(name, train, mapped_train, test, mapped_test, names, digest.hexdigest(), tuple(notes))

    def test_half(self, evaluate_on: EvaluateOn) -> IndexArray:
        """Rows of `x_test` to evaluate on, ascending.

        `tune` and `confirm` are disjoint and together contain all rows; the split depends only on the content.

        Raises:
            SpecError: `evaluate_on` is none of the three words.
            DataError: One of the halves would be empty.
        """
        if evaluate_on not in get_args(EvaluateOn):
            raise SpecError(f"Expected `evaluate_on` to be all, tune or confirm, but got {evaluate_on!r}.")
        n_test = len(self.y_test)
        if evaluate_on == "all":
            return np.arange(n_test, dtype=np.int64)
        if n_test < 2:
            raise _error(self.name, "x_test", "at least 2 rows to split into tune and confirm", f"{n_test}")
        order = np.random.default_rng(int(self.content_hash, 16)).permutation(n_test).astype(np.int64)
        return np.sort(order[: n_test // 2] if evaluate_on == "tune" else order[n_test // 2 :])


def load_dataset(source: str) -> Dataset:
    """Read a data set.

    Args:
        source: a name in `BUILTIN`, or the path of a `.npz`, `.parquet` or `.safetensors` file or a folder of `.npy`
            files.

    Raises:
        DataError: The data set does not exist, cannot be read, or breaks the contract.
    """
    if source in BUILTIN:
        return Dataset.from_arrays(source, BUILTIN[source]())
    path = Path(source)
    try:
        path.absolute().name.encode()
    except UnicodeEncodeError as error:  # no table can hold it
        raise DataError(f"Expected a name in UTF-8 for a data set, but got {error.object!a}; rename it.") from error
    try:
        if path.is_dir():
            return Dataset.from_arrays(path.absolute().name, _read_folder(path), source)
        if path.suffix.lower() in READERS and path.exists():
            return Dataset.from_arrays(path.stem, READERS[path.suffix.lower()](path), source)
        problem = f"whose suffix is {path.suffix!r}" if path.exists() else "which does not exist"
        hint = f" {_IMPORT}" if path.is_file() and path.suffix == ".npy" else did_you_mean(source, BUILTIN)
        raise DataError(
            f"Expected a built-in data set ({', '.join(BUILTIN)}) or the path of a .npz, .parquet or .safetensors file "
            f"or a folder of .npy files, but got {one_line(source)}, {problem}.{hint}"
        )
    except DataError:
        raise
    except Exception as error:  # the readers raise errors of a dozen unrelated types on a damaged file
        raise unreadable(source, error) from error


def describe_builtin() -> dict[str, str]:
    """Names of the built-in data sets, with a line about each of them."""
    return {name: (load.__doc__ or "").strip() for name, load in BUILTIN.items()}


def _digits() -> Fields:
    """scikit-learn's handwritten digits: 1,437 train and 360 test points, 64 grey values, 10 classes."""
    # From its file, split once: scikit-learn takes a second to import. The rows are those of
    # train_test_split(..., test_size=0.2, stratify=y, random_state=0), train before test.
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    table = np.loadtxt(Path(package.origin).parent / "datasets/data/digits.csv.gz", delimiter=",")
    rows = np.array(Path(__file__).with_name("digits_split.txt").read_text().split(), dtype=np.int64)
    x, y = table[rows, :-1], table[rows, -1].astype(np.int64)
    return Fields(x[:_DIGITS_TRAIN], y[:_DIGITS_TRAIN], x[_DIGITS_TRAIN:], y[_DIGITS_TRAIN:])


def check_numpy(path: Path) -> None:
    """Refuse a `.npy` that holds several arrays as a `.npz` does, and a `.npz` that is one array."""
    with path.open("rb") as file:
        found = {b"PK": ".npz", b"\x93N": ".npy"}.get(file.read(2))
    if found not in (None, path.suffix.lower()):
        raise DataError(
            f"Expected {one_line(path)} to be a {path.suffix} file, but got a {found} file under that name; rename it."
        )


def _read_npz(path: Path) -> Fields:
    check_numpy(path)
    with zipfile.ZipFile(path) as archive:
        return _read_arrays(path, archive.namelist(), archive.open)


def _read_folder(path: Path) -> Fields:
    return _read_arrays(path, sorted(file.name for file in path.iterdir()), lambda name: (path / name).open("rb"))


def _read_arrays(path: Path, names: list[str], open_file: Callable[[str], IO[bytes]]) -> Fields:
    _require(path, "arrays", Fields._fields, [name.removesuffix(".npy") for name in names])
    arrays = {}
    for field in (*Fields._fields, *([SCALE] if f"{SCALE}.npy" in names else [])):
        try:
            with open_file(f"{field}.npy") as stream:
                arrays[field] = np.lib.format.read_array(stream, allow_pickle=False)
        except Exception as error:
            raise unreadable(f"`{field}` of {path}", error) from error
    return _scaled(path, arrays)


def _read_safetensors(path: Path) -> Fields:
    arrays = safetensors_arrays(path)
    _require(path, "arrays", Fields._fields, list(arrays))
    return _scaled(path, arrays)


def safetensors_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a `.safetensors` by name.

    Raises:
        DataError: its package is missing.
    """
    try:
        from safetensors.numpy import load_file
    except ImportError as error:
        raise DataError(
            f"Expected the package safetensors, which {one_line(path)} needs, but it is missing: "
            "`pip install safetensors`, or save a .npz."
        ) from error
    arrays: dict[str, NDArray[Any]] = load_file(path)
    return arrays


def _scaled(path: Path, arrays: dict[str, NDArray[Any]]) -> Fields:
    fields = Fields(*(arrays[field] for field in Fields._fields))
    if SCALE not in arrays:
        return fields
    x_train, x_test = (scaled(path, field, arrays[field], arrays[SCALE]) for field in ("x_train", "x_test"))
    return fields._replace(x_train=x_train, x_test=x_test)


def scaled(path: Path, field: str, x: NDArray[Any], scale: NDArray[Any]) -> NDArray[Any]:
    """Features times the factor of each column.

    Raises:
        DataError: the factors are no floats, or not one for each column.
    """
    if scale.dtype.kind != "f" or scale.shape != x.shape[1:]:
        raise _error(path, SCALE, f"a factor for each column of {field}", f"{scale.dtype} {scale.shape}")
    found: NDArray[Any] = x * scale
    return found


def _read_parquet(path: Path) -> Fields:
    with opened(path) as file:
        names = file.schema_arrow.names
        if COLUMNS[0] in names and FEATURES in names:
            raise _error(path, COLUMNS[0], "it or `features`, not both", "two columns of features", " Drop one.")
        feature = FEATURES if FEATURES in names else COLUMNS[0]
        _require(path, "columns", (feature, *COLUMNS[1:]), names)
        columns = read_columns(path, file, [feature, *COLUMNS[1:]])
    if not len(columns[feature]):
        raise _error(path, "split", "rows of `train` and `test`", "no rows at all")
    for name, column in columns.items():
        if column.null_count:
            raise _error(path, name, "a value in every row", missing(column))
    del column  # with which the features would be in memory twice below
    x = matrix(f"`{feature}` of {one_line(path)}", columns.pop(feature))
    y, is_train = vector(columns["label"]), train_rows(path, columns["split"])
    return Fields(x[is_train], y[is_train], x[~is_train], y[~is_train])


def train_rows(path: Path, column: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Which rows a column `split`, from `plain`, calls training data.

    Raises:
        DataError: a row says neither `train` nor `test`.
    """
    if column.null_count:
        raise _error(path, "split", "a value in every row", missing(column))
    split = vector(column)
    words = np.char.strip(np.char.lower(split)) if split.dtype.kind == "U" else split
    is_train: NDArray[np.bool_] = np.asarray(words == "train")
    if unknown := np.unique(split[~is_train & (words != "test")]).tolist():
        raise _error(path, "split", "only `train` and `test`", _listed(unknown))
    return is_train


def as_features(source: str, field: str, x: NDArray[Any]) -> NDArray[np.float32]:
    """`x` as finite float32, `n x dim`; shares memory with `x` where it can."""
    x = np.asarray(x)
    if x.dtype.kind not in "fiub":
        raise _error(source, field, "real numbers", f"{x.dtype}")
    if x.ndim != 2 or 0 in x.shape:
        raise _error(source, field, "2 dimensions [n, d], both at least 1", f"shape {x.shape}")
    with np.errstate(over="ignore"):
        features = np.ascontiguousarray(x, dtype=np.float32).view()
    blocks = (features[start : start + CHECKED_ROWS] for start in range(0, len(x), CHECKED_ROWS))
    is_bad = np.concatenate([~np.isfinite(block).all(axis=1) for block in blocks])
    if is_bad.any():
        n_nan, n_inf = int(np.isnan(x[is_bad]).sum()), int(np.isinf(x[is_bad]).sum())
        n_large = int((~np.isfinite(features[is_bad])).sum()) - n_nan - n_inf
        found = f"{n_nan} NaN, {n_inf} infinite and {n_large} beyond float32, the first in row {int(np.argmax(is_bad))}"
        hint = " Values above 65504 overflow float16: save them as float32." if n_inf and x.dtype == np.float16 else ""
        raise _error(source, field, "finite numbers", found, hint)
    _check_precision(source, field, x, features)
    return features


def _check_precision(source: str, field: str, x: NDArray[Any], features: NDArray[np.float32]) -> None:
    """Refuse features below float32's normal range, where numbers lose bits and no scaling gives them back."""
    largest = max(float(features.max()), -float(features.min()))
    if largest < SMALLEST_NORMAL and (largest > 0 or np.any(x)):
        expected = f"a largest absolute value of at least {SMALLEST_NORMAL:.2g}, float32's smallest in full precision,"
        found = f"{max(float(x.max()), -float(x.min())):.2g}"
        raise _error(source, field, expected, found, " Multiply train and test features by a constant.")


def _labels(source: str, field: str, y: NDArray[Any], n: int, respelt: dict[str, str]) -> NDArray[Any]:
    """`y` as `n` integers or strings, with nothing missing; strings that are spelt otherwise are added to `respelt`."""
    y = np.asarray(y)
    if y.dtype.kind == "T":  # NumPy's strings of any length; what is missing is no string
        given = y.tolist()
        if absent := [row for row, text in enumerate(given) if not isinstance(text, str)]:
            raise _error(source, field, "a label in every row", f"{len(absent)} missing, the first in row {absent[0]}")
        y = np.array(given, dtype=np.str_)
    if y.shape != (n,):
        raise _error(source, field, f"shape ({n},), one label per row of x{field[1:]}", f"shape {y.shape}")
    if y.dtype.kind == "S":
        try:
            y = np.char.decode(y, "utf-8")
        except UnicodeDecodeError as error:
            raise _error(source, field, "labels in UTF-8", f"{error}") from error
    y = y.astype(np.uint8) if y.dtype.kind == "b" else y
    if y.dtype.kind == "f" and np.isnan(y).any():
        raise _error(source, field, "a label in every row", _count(np.isnan(y), "missing (NaN)"))
    if y.dtype.kind not in "iuU":
        hint = " Class numbers can be saved with y.astype(int)." if y.dtype.kind == "f" else ""
        raise _error(source, field, "integers or fixed-width strings", f"{y.dtype}", hint)
    if y.dtype.kind == "U":
        given, codes = np.unique(y, return_inverse=True)
        spelt = [unicodedata.normalize("NFC", text).strip() for text in given.tolist()]
        respelt |= {old: new for old, new in zip(given.tolist(), spelt, strict=True) if old != new}
        y = np.array(spelt, dtype=np.str_)[codes]
        if (y == "").any():
            raise _error(source, field, "a label in every row", _count(y == "", "empty strings"))
    return y


def _respelt(source: str, respelt: dict[str, str]) -> str:
    pairs = [f"{old!a} as {new!a}" for old, new in sorted(respelt.items())]
    more = f" and {len(pairs) - MAX_SHOWN} more" if len(pairs) > MAX_SHOWN else ""
    return one_line(
        f"Labels of {source} are read without blanks at their ends and in Unicode's composed form: "
        f"{', '.join(pairs[:MAX_SHOWN])}{more}."
    )


def names_alike(names: Iterable[str]) -> str:
    """Names, for a user, that differ only in case, in blanks, or, as `01` and `1`, in how a number is written."""
    groups: dict[str | Decimal, list[str]] = {}
    for name in names:
        plain = " ".join(name.casefold().split())
        is_number = re.fullmatch(r"[+-]?\d+([.,]\d+)?", plain)
        groups.setdefault(Decimal(plain.replace(",", ".")) if is_number else plain, []).append(name)
    found = [" and ".join(map(repr, group)) for group in groups.values() if len(group) > 1]
    return ", ".join(found[:MAX_SHOWN]) + (f" and {len(found) - MAX_SHOWN} more" if len(found) > MAX_SHOWN else "")


def _require(path: Path, what: str, wanted: tuple[str, ...], present: list[str]) -> None:
    missing = ", ".join(name for name in wanted if name not in present)
    if missing:
        found = f"only {_listed(present)}" if present else "none"
        raise DataError(
            f"Expected the {what} {', '.join(wanted)} in {one_line(path)}, but got {found}; missing: {missing}. "
            + _IMPORT
        )


def _error(source: str | Path, field: str, expected: str, found: str, hint: str = "") -> DataError:
    where = f"`{field}`"
    if str(source).lower().endswith(".parquet") and field in Fields._fields:
        where = f"`{'feature' if field[0] == 'x' else 'label'}` ({field}: the rows of split {field[2:]})"
    return DataError(one_line(f"Expected {expected} in {where} of {source}, but got {found}.{hint}"))


def unreadable(what: str, error: Exception) -> DataError:
    """The error to raise if `what` could not be read."""
    found = one_line(f"{type(error).__name__}: {error}")[:200].rstrip(". ")
    hint = "It may be cut off or damaged: write it again."
    if "Object arrays" in found:
        found = "pickled objects"
        hint = "Save labels and names as np.array(y.tolist()), and features as x.astype('float32')."
    return DataError(f"Expected {one_line(what)} to be complete and readable, but got {found}. {hint}")


def _count(mask: NDArray[np.bool_], what: str) -> str:
    return f"{int(mask.sum())} {what}, the first in row {int(np.argmax(mask))}"


def _listed(values: Iterable[object]) -> str:
    shown = [repr(value) for value in values]
    return ", ".join(shown[:MAX_SHOWN]) + (f" and {len(shown) - MAX_SHOWN} more" if len(shown) > MAX_SHOWN else "")


BUILTIN: dict[str, Callable[[], Fields]] = {"digits": _digits}
READERS: dict[str, Callable[[Path], Fields]] = {
    ".npz": _read_npz,
    ".parquet": _read_parquet,
    ".safetensors": _read_safetensors,
}
