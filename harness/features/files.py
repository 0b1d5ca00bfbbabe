"""Writing feature files, with a note of where the features are from."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data import SCALE, Dataset, Fields
from harness.exceptions import DataError, PackageError
from harness.store.location import replace_file, require_local
from harness.unlabelled import Pool, as_pool
from strategies.base import IndexArray

ABOUT = "about"
SUFFIXES = (".npz", ".safetensors")
POOL_SUFFIXES = (".npz",)
"""Of files with names, which are text."""
TEST_SHARE = 0.2


def check_suffix(path: Path, *, is_pool: bool = False) -> None:
    """Refuse a name that no feature file can be written under, before anything is computed.

    Args:
        path: the name.
        is_pool: whether the file is to hold a pool without labels.

    Raises:
        DataError: the suffix is not in `SUFFIXES`, or of a pool `POOL_SUFFIXES`, or the path is a folder.
        PackageError: the package that writes such files is missing.
        SpecError: it is an address.
    """
    require_local(path)
    suffixes = POOL_SUFFIXES if is_pool else SUFFIXES
    if path.suffix not in suffixes or path.is_dir():
        beside = " with --unlabelled" if is_pool else ""
        raise DataError(
            f"Expected a file name that ends in {' or '.join(suffixes)} for --out{beside}, but got `{path}`."
        )
    if path.suffix == ".safetensors" and find_spec("safetensors") is None:
        raise PackageError(
            f"Expected the package safetensors, which {path} needs, but it is missing: `pip install safetensors`, or "
            "name a .npz."
        )


def check_labels(path: Path, y_train: NDArray[Any], y_test: NDArray[Any]) -> None:
    """Refuse labels that a feature file cannot have, before anything is computed.

    Raises:
        DataError: they break the contract of a feature file, or are text for a .safetensors.
    """
    if path.suffix == ".safetensors":
        _require_integers(path, y_train)
    x_train, x_test = (np.zeros((len(labels), 1), np.float32) for labels in (y_train, y_test))
    Dataset.from_arrays(path.stem, Fields(x_train, y_train, x_test, y_test), str(path))


def _require_integers(path: Path, labels: NDArray[Any]) -> None:
    if labels.dtype.kind not in "iu":
        raise DataError(f"Expected integer labels for {path}, because safetensors holds no strings; write a .npz.")


def write_features(
    path: Path, fields: Fields, about: Mapping[str, Any], scale: NDArray[np.float32] | None = None
) -> Dataset:
    """Check features and write them whole or not at all.

    Args:
        path: ends in .npz or .safetensors.
        fields: the arrays; safetensors takes integer labels only.
        about: plain values, kept in the file as JSON.
        scale: factor of each column, for features that are kept as integers.

    Returns:
        The data set as it will be read.

    Raises:
        DataError: the features break the contract of a feature file, or the file cannot be written.
    """
    check_suffix(path)
    scaled = fields if scale is None else fields._replace(x_train=fields.x_train * scale, x_test=fields.x_test * scale)
    data = Dataset.from_arrays(path.stem, scaled, str(path))
    arrays = {**fields._asdict(), **({} if scale is None else {SCALE: scale})}
    note = json.dumps(about, sort_keys=True)
    if path.suffix == ".safetensors":
        from safetensors.numpy import save

        _require_integers(path, fields.y_train)
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        content: bytes | memoryview = save(arrays, metadata={ABOUT: note})
    else:
        buffer = io.BytesIO()
        arrays = {**arrays, ABOUT: np.array(note)}
        (np.savez if scale is None else np.savez_compressed)(buffer, **arrays)
        content = buffer.getbuffer()
    write_file(path, content)
    return data


def write_pool(path: Path, features: NDArray[Any], names: NDArray[np.str_] | None, about: Mapping[str, Any]) -> Pool:
    """Check features without labels and write them, with their names, whole or not at all.

    Returns:
        The pool as it will be read.

    Raises:
        DataError: the features are not finite, the names not all different, or the file cannot be written.
    """
    check_suffix(path, is_pool=True)
    pool = as_pool(path, features, None if names is None else names.tolist())
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {"features": features, ABOUT: np.array(json.dumps(about, sort_keys=True))}
    np.savez(buffer, **(arrays if names is None else {**arrays, "names": names}))
    write_file(path, buffer.getbuffer())
    return pool


def write_file(path: Path, content: bytes | memoryview) -> None:
    """Write a file in one step.

    Raises:
        DataError: it cannot be written.
    """
    try:
        replace_file(path, content)
    except OSError as error:
        raise DataError(f"Cannot write {path}: {error.strerror}.") from error


def read_about(path: Path) -> dict[str, Any]:
    """The note in a feature file; nothing where there is no such file, or no note that can be read."""
    try:
        if path.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(path, "numpy") as file:
                note = file.metadata()[ABOUT]
        else:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
                note = str(arrays[ABOUT])
        found = json.loads(note)
    except Exception:  # the readers raise errors of many types on a damaged file
        return {}
    return found if isinstance(found, dict) else {}


def hold_out(labels: NDArray[Any], where: str) -> tuple[IndexArray, IndexArray]:
    """Rows of a pool and of test data, a fifth of every class: always the same ones.

    Raises:
        DataError: a class is too small to be in both.
    """
    from sklearn.model_selection import train_test_split

    try:
        rows = train_test_split(np.arange(len(labels)), test_size=TEST_SHARE, stratify=labels, random_state=0)
    except ValueError as error:
        classes, counts = np.unique(labels, return_counts=True)
        raise DataError(
            f"Expected classes in {where} large enough to hold out a fifth as test data, but the smallest of "
            f"{len(classes)}, `{classes[counts.argmin()]}`, has {counts.min()} of {len(labels)} rows; name test data."
        ) from error
    return np.sort(rows[0]), np.sort(rows[1])
