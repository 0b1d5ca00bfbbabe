"""Harder pools: a data set made of another by taking points away, falsifying labels or adding points of no class.

The test data stay as they are, so that accuracy is measured on clean labels with the original balance of classes.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from harness.data import NO_CLASS, Dataset, load_dataset
from harness.exceptions import DataError, SpecError, one_line
from harness.streams import stream
from strategies.base import IndexArray

_SUM_ERROR = 1e-6


class PoolSpec(BaseModel):
    """How to change a pool; the default changes nothing.

    One pool serves all seeds of a study: seeds repeat what happens on one data set, and all strategies and seeds
    have the same points and labels. Another `pool_seed` draws another pool, which is a separate data set.

    Attributes:
        pool: `longtail:RATIO`, an exponential long tail in the order of the classes, the first RATIO times as large
            as the last (Cui et al. 2019, arXiv 1901.05555); or `subset:N`, that many points, each equally likely.
        label_noise: probability that a label names one of the other classes, each equally likely; or a CSV file that
            has a row for each true class with the probabilities of the labels that its points get.
        ood: `FILE:SHARE`, points of another data set, which have no class here, so that they are this share of the
            pool.
        pool_seed: seed of everything that is drawn for the pool.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    pool: str | None = None
    label_noise: str | None = None
    ood: str | None = None
    pool_seed: Annotated[int, Field(ge=0)] = 0

    def check(self) -> None:
        """Refuse options that are wrong for any data.

        Raises:
            SpecError: An option does not parse, or there is nothing to draw with the pool seed.
        """
        if self.pool_seed and self == PoolSpec(pool_seed=self.pool_seed):
            raise SpecError(
                f"Expected a pool, label noise or ood to draw with pool seed {self.pool_seed}, but got none."
            )
        if self.pool is not None:
            _parsed_pool(self.pool)
        if self.label_noise is not None:
            _parsed_noise(self.label_noise)
        if self.ood is not None:
            _parsed_ood(self.ood)

    def apply(self, data: Dataset) -> Dataset:
        """The harder data set; `data` itself if nothing changes.

        Its name says what was done. Its content hash depends on the hash of the source and on the result.

        Raises:
            SpecError: An option does not parse, or asks for something impossible.
            DataError: A file cannot be read or does not fit the data.
        """
        self.check()
        done = []
        rows = np.arange(len(data.y_train))
        if self.pool is not None:
            rows, said = self._rows(data, self.pool)
            done += [said] if len(rows) < len(data.y_train) else []
        x = data.x_train[rows] if len(rows) < len(data.y_train) else data.x_train
        truth = data.y_train[rows]
        labels = truth
        if self.label_noise is not None:
            labels, said = self._labels(data, truth, self.label_noise)
            done += [said] if said else []
        other = ""
        if self.ood is not None:
            extra, outside, said = self._outside(data, len(rows), self.ood)
            other = extra.content_hash
            done.append(said)
            nothing = np.full(len(outside), NO_CLASS)
            # Shuffled, as the place of a point must not tell that it has no class.
            order = stream(self.pool_seed, "ood", 1).permutation(len(rows) + len(outside))
            x = np.concatenate([x, extra.x_train[outside]])[order]
            rows = np.concatenate([rows, outside])[order]
            truth, labels = np.concatenate([truth, nothing])[order], np.concatenate([labels, nothing])[order]
        if not done:
            return data
        digest = hashlib.sha256(f"{data.content_hash},{other}".encode())
        for indices in (rows, truth, labels):
            digest.update(indices.tobytes())
        for array in (x, rows, truth, labels):
            array.setflags(write=False)
        if self.pool_seed:
            done.append(f"seed:{self.pool_seed}")
        name = f"{data.name}[{','.join(done)}]"
        n_outside, n_wrong = int((truth == NO_CLASS).sum()), int((labels != truth).sum())
        note = (
            f"{name}: {len(rows) - n_outside} of {len(data.y_train)} points of {data.name}, {n_wrong} of them with a "
            f"wrong label, and {n_outside} points of no class."
        )
        return replace(
            data,
            name=name,
            notes=(note,),
            x_train=x,
            y_train=truth,
            given=labels,
            rows=rows,
            content_hash=digest.hexdigest(),
        )

    def _rows(self, data: Dataset, text: str) -> tuple[IndexArray, str]:
        """Rows of the pool that stay, ascending, and what was done."""
        kind, value = _parsed_pool(text)
        rng = stream(self.pool_seed, "pool")
        n = len(data.y_train)
        if kind == "subset":
            if not (value.is_integer() and 1 <= value <= n):
                raise SpecError(f"Expected a subset of 1 to {n} points of {data.name}, but got `{text}`.")
            rows = np.sort(rng.permutation(n)[: int(value)])
        else:
            shares = value ** (-np.arange(data.n_classes) / (data.n_classes - 1))
            sizes = np.bincount(data.y_train, minlength=data.n_classes)
            with np.errstate(over="ignore"):
                # As many points as every class can give; the small number keeps a whole one whole.
                wanted = np.floor(shares * (sizes / shares).min() + 1e-9).astype(int)
            shuffled = rng.permutation(n)
            classes = data.y_train[shuffled]
            rows = np.sort(np.concatenate([shuffled[classes == c][:size] for c, size in enumerate(wanted)]))
        absent = np.setdiff1d(np.arange(data.n_classes), data.y_train[rows])
        if len(absent):
            raise SpecError(
                f"Expected a point of every class, but `{text}` leaves {len(absent)} of {data.n_classes} classes of "
                f"{data.name} without one, such as `{data.class_names[absent[0]]}`."
            )
        return rows.astype(np.int64), f"{kind}:{_shown(value)}"

    def _labels(self, data: Dataset, truth: IndexArray, text: str) -> tuple[IndexArray, str]:
        """The label that buying each point gives, and what was done; nothing if noise is 0."""
        share = _parsed_noise(text)
        if share is None:
            matrix, said = _confusion(Path(text), data), f"noise:{Path(text).stem}"
        else:
            n_others = data.n_classes - 1
            matrix = np.full((data.n_classes, data.n_classes), share / n_others)
            np.fill_diagonal(matrix, 1 - share)
            said = f"noise:{_shown(share)}" if share else ""
        drawn = stream(self.pool_seed, "noise").random(len(truth))
        labels = truth.copy()
        for c, below in enumerate(matrix.cumsum(axis=1)):
            mine = truth == c
            labels[mine] = np.searchsorted(below[:-1], drawn[mine], side="right")
        return labels, said

    def _outside(self, data: Dataset, n_pool: int, text: str) -> tuple[Dataset, IndexArray, str]:
        """Another data set, the rows of its pool to add, and what was done."""
        source, share = _parsed_ood(text)
        other = load_dataset(source)
        found, dim = other.x_train.shape[1], data.x_train.shape[1]
        if found != dim:
            raise DataError(f"Expected {dim} features in {source}, as in {data.name}, but got {found}.")
        if other.content_hash == data.content_hash:
            raise SpecError(f"Expected points of no class from other data than {data.name} itself, but got `{text}`.")
        n = round(n_pool * share / (1 - share))
        if not 1 <= n <= len(other.x_train):
            raise SpecError(
                f"Expected 1 to {len(other.x_train)} points of {source} beside the {n_pool} of {data.name}, "
                f"but `{text}` asks for {n}."
            )
        rows = np.sort(stream(self.pool_seed, "ood").permutation(len(other.x_train))[:n])
        return other, rows.astype(np.int64), f"ood:{other.name}:{_shown(share)}"


def _parsed_pool(text: str) -> tuple[str, float]:
    kind, _, value = text.partition(":")
    if kind not in ("subset", "longtail"):
        raise SpecError(f"Expected a pool such as `longtail:100` or `subset:5000`, but got `{text}`.")
    number = _number(value, text)
    if kind == "longtail" and number < 1:
        raise SpecError(f"Expected a long tail with an imbalance of at least 1, but got `{text}`.")
    return kind, number


def _parsed_noise(text: str) -> float | None:
    """The probability of a wrong label; None for a file."""
    try:
        share = float(text)
    except ValueError:
        if not Path(text).is_file():
            raise SpecError(
                f"Expected label noise in [0, 1) or the CSV file of a confusion matrix, but got `{text}`: no such file."
            ) from None
        return None
    if not 0 <= share < 1:
        raise SpecError(f"Expected label noise in [0, 1), but got {text}.")
    return share


def _parsed_ood(text: str) -> tuple[str, float]:
    """Source and share of the points of no class."""
    source, _, value = text.rpartition(":")
    share = _number(value, text) if source else np.nan
    if not 0 < share < 1:
        raise SpecError(f"Expected points of no class such as `other.npz:0.2`, a share in (0, 1), but got `{text}`.")
    return source, share


def _confusion(path: Path, data: Dataset) -> NDArray[np.float64]:
    """Probabilities of the labels by true class, from a CSV file."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        matrix = np.array([[float(value) for value in line.split(",")] for line in lines if line.strip()])
    except (OSError, ValueError) as error:
        raise DataError(
            f"Expected a row of numbers with commas between them for each class in {path}, but got: {one_line(error)}."
        ) from error
    n = data.n_classes
    if matrix.shape != (n, n):
        raise DataError(f"Expected {n} rows and columns in {path}, one a class of {data.name}, but got {matrix.shape}.")
    is_bad = ~((matrix >= 0).all(axis=1) & (np.abs(matrix.sum(axis=1) - 1) <= _SUM_ERROR))
    if is_bad.any():
        row = int(np.argmax(is_bad))
        raise DataError(
            f"Expected probabilities that sum to 1 in every row of {path}, but got {matrix[row].tolist()} in row {row}."
        )
    return matrix


def _number(value: str, text: str) -> float:
    try:
        found = float(value)
    except ValueError:
        found = np.nan
    if not np.isfinite(found):
        raise SpecError(f"Expected a number after the colon, but got `{text}`.")
    return found


def _shown(value: float) -> str:
    return f"{value:.12g}"
