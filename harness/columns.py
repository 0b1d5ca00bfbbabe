"""Columns of Parquet files as arrays: each is read as what it says, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.exceptions import DataError

_ROWS = 4096
"""Rows that are decoded at once."""


def opened(path: Path) -> pq.ParquetFile:
    """A Parquet file whose encoded pages do not stay in memory."""
    return pq.ParquetFile(path, pre_buffer=False)


def read_all(path: Path) -> pa.Table:
    """A Parquet file as it is.

    Raises:
        DataError: it has a column twice.
    """
    with opened(path) as file:
        _refuse_twice(path, file, file.schema_arrow.names)
        return file.read()


def read_columns(path: Path, file: pq.ParquetFile, names: Sequence[str]) -> dict[str, pa.ChunkedArray]:
    """Columns of a Parquet file, each as `plain` gives it; they are decoded a few rows at a time to save memory.

    Raises:
        DataError: one of them is there twice.
    """
    _refuse_twice(path, file, names)
    batches = file.iter_batches(_ROWS, columns=list(names))
    table = pa.Table.from_batches(batches, pa.schema([file.schema_arrow.field(name) for name in names]))
    return {name: plain(table.column(name)) for name in names}


def _refuse_twice(path: Path, file: pq.ParquetFile, names: Sequence[str]) -> None:
    if twice := [name for name in names if file.schema_arrow.names.count(name) > 1]:
        raise DataError(f"Expected the column `{twice[0]}` once in {path}, but got it twice; drop or rename one.")


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same values without a dictionary and without views: strings, lists and numbers of one kind each."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        chunks = [chunk.dictionary.take(chunk.indices) for chunk in column.chunks]
        return plain(pa.chunked_array(chunks, kind.value_type))
    if pa.types.is_string_view(kind) or pa.types.is_large_string(kind):
        return column.cast(pa.string())
    if pa.types.is_list_view(kind):
        return column.cast(pa.list_(kind.value_type))
    if pa.types.is_large_list_view(kind):
        return column.cast(pa.large_list(kind.value_type))
    return column


def is_list_of_numbers(kind: pa.DataType) -> bool:
    """Whether a column of this type, from `plain`, can be features."""
    is_list = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return bool(is_list and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)))


def matrix(where: str, column: pa.ChunkedArray) -> NDArray[Any]:
    """A column of equally long lists of numbers, from `plain`, as `n x dim` in its own number type.

    Raises:
        DataError: it is another column, a row or a number is missing, or lengths differ.
    """
    if not is_list_of_numbers(column.type):
        raise DataError(f"Expected lists of numbers in {where}, but got {column.type}.")
    if column.null_count:
        raise DataError(f"Expected a list in every row of {where}, but got {missing(column)}.")
    lengths = pc.list_value_length(column).to_numpy()
    if (lengths != lengths[0]).any():
        row = int(np.argmax(lengths != lengths[0]))
        raise DataError(
            f"Expected lists of one length in {where}, but got {lengths[0]} numbers in row 0 and {lengths[row]} in row "
            f"{row}."
        )
    values = pa.chunked_array([chunk.flatten() for chunk in column.chunks])
    if values.null_count:
        has_null = pc.is_null(values).to_numpy().reshape(len(column), -1).any(axis=1)
        raise DataError(
            f"Expected numbers only in {where}, but got {int(has_null.sum())} rows with missing values, the first in "
            f"row {int(np.argmax(has_null))}."
        )
    found: NDArray[Any] = values.to_numpy().reshape(len(column), int(lengths[0]))
    return found


def vector(column: pa.ChunkedArray) -> NDArray[Any]:
    """A column without missing values, from `plain`, as an array; strings as fixed-width ones."""
    found: NDArray[Any] = column.to_numpy()
    return found.astype(np.str_) if pa.types.is_string(column.type) else found


def missing(column: pa.ChunkedArray) -> str:
    """How many values are missing and where the first is, for a message."""
    is_null = pc.is_null(column).to_numpy()
    return f"{int(is_null.sum())} missing, the first in row {int(np.argmax(is_null))}"
