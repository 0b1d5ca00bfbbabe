"""`ntkcpl select`: from the labels so far to the points to label next, as a study would have chosen them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np

from analysis.words import counted, listed
from harness.data import NO_CLASS
from harness.exceptions import DataError, StoreWriteError
from harness.query import select
from harness.spec import AnyLearner
from harness.store.location import only_maker, require_local, write
from harness.unlabelled import FEATURES_HASH, Bought, Pool, load_pool, read_labels
from harness.workers.memory import available_bytes
from harness.workers.resources import MEMORY_SHARE
from strategies.base import Compute, IndexArray, Selection, Strategy
from studies.sheet import contact_sheet, find_pictures

if TYPE_CHECKING:
    import pandas as pd

    from harness.learner import Classifier

LEAST_LABELS = 10
MOST_FOLDS = 5


@dataclass(frozen=True)
class Estimate:
    """Accuracy on the labelled points by cross-validation.

    Attributes:
        n_right: points that a classifier trained without their fold got right.
        n: labelled points.
        n_folds: how many.
    """

    n_right: int
    n: int
    n_folds: int

    def __str__(self) -> str:
        from scipy.stats import binomtest

        low, high = binomtest(self.n_right, self.n).proportion_ci(0.95, method="wilson")
        return (
            f"Accuracy on the {self.n} labelled points by {self.n_folds}-fold cross-validation: "
            f"{100 * self.n_right / self.n:.1f} % [95 % interval {100 * low:.1f} to {100 * high:.1f}, Wilson]. "
            "It is biased, because a strategy chose these points: test data would be more reliable."
        )


def cross_validate(model: Classifier, labelled: IndexArray, labels: IndexArray) -> Estimate | str:
    """Accuracy on the labelled points, each predicted by a classifier without its fold, or why there is none.

    Folds are stratified; a class with one label is never right, since no classifier has seen it.
    """
    from sklearn.model_selection import StratifiedKFold

    from harness.learner import one_thread

    counts = np.bincount(labels)
    n_folds = min(MOST_FOLDS, int(counts.max()))
    if len(labels) < LEAST_LABELS or n_folds < 2 or len(np.unique(labels)) < 2:
        return (
            f"No accuracy by cross-validation yet: it takes at least {LEAST_LABELS} labels of two classes or more,"
            " and a class with two labels."
        )
    if 2 * (n_alone := int((counts == 1).sum())) > len(labels):
        return (
            f"No accuracy by cross-validation yet: {n_alone} of {len(labels)} labels are the only ones of their class,"
            " which a classifier cannot know without them."
        )
    n_right = 0
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about classes with fewer labels than folds
        for kept, left in StratifiedKFold(n_folds).split(labelled, labels):
            fold = model.refit(kept)
            n_right += int((fold.predict_pool(labelled[left]) == labels[left]).sum())
    return Estimate(n_right, len(labels), n_folds)


def run_select(
    data: Path,
    labels: Sequence[Path],
    out: Path,
    *,
    strategy: Strategy,
    n: int,
    classes: str | None,
    no_class: str | None,
    seed: int,
    learner: AnyLearner,
    images: Path | None,
    sheet: Path | None,
) -> list[str]:
    """Read, choose, write; returns what to say.

    Raises:
        DataError: bad input, or a file that is there already; nothing is written.
        SpecError: a file to write is given by an address.
        StoreWriteError: a file cannot be written; nothing is left of the other.
    """
    _require_new(out, sheet)
    if sheet is not None and sheet.resolve() == out.resolve():
        raise DataError(f"Expected two files for --out and --sheet, but got `{out}` for both.")
    if out.suffix not in (".csv", ".parquet"):
        raise DataError(f"Expected a name that ends in .csv or .parquet for --out, but got `{out}`.")
    if (images is None) != (sheet is None):
        raise DataError("Expected --images and --sheet together, a folder and the page to write, but got one of them.")
    if images is not None and not images.is_dir():
        raise DataError(f"Expected a folder of pictures for --images, but got `{images}`.")
    pool = load_pool(data)
    if images is not None and pool.names is None:
        raise DataError(f"Expected names of pictures in `{data}` for --images, but its points have none.")
    bought = read_labels(labels, pool, classes, no_class)
    if images is not None:
        free = np.setdiff1d(np.arange(len(pool.features)), bought.rows)
        pictures = find_pictures(images, [pool.called(int(row)) for row in free])  # before the choice, which takes long
    compute = Compute(n_threads=joblib.cpu_count(), memory_limit=int(MEMORY_SHARE * available_bytes()))
    selection, model = select(
        strategy,
        n,
        pool.features,
        len(bought.classes),
        bought.rows,
        bought.labels,
        bought.queries,
        seed=seed,
        learner=learner,
        compute=compute,
    )
    table = _table(pool, bought, selection)
    said = [_so_far(bought)]
    if bought.first_missing is not None:
        round_, position = bought.first_missing
        have = "has" if bought.n_missing == 1 else "have"
        said.append(
            f"{counted(bought.n_missing, 'earlier pick')} {have} no row in the labels, such as position {position} of "
            f"round {round_}. A point without a label may be chosen again; pass every file that has labels."
        )
    if bought.alike:
        said.append(
            "Labels that differ only in case, blanks or how a number is written are kept apart: "
            f"{bought.alike}. Correct them if they mean the same, or name all classes with --classes."
        )
    if model is not None:
        has_class = bought.labels != NO_CLASS
        said.append(str(cross_validate(model, bought.rows[has_class], bought.labels[has_class])))
    said.append(f"{strategy.name} chose {counted(n, 'point')} in round {bought.next_round}: {out}")
    files: dict[Path, Any] = {out: table.to_csv(index=False).encode() if out.suffix == ".csv" else _parquet(table)}
    if sheet is not None:
        chosen = [pool.called(int(row)) for row in selection.indices]
        files[sheet], unreadable = contact_sheet({name: pictures[name] for name in chosen})
        said.append(f"Their pictures: {sheet}")
        if unreadable:
            said.append(
                f"Not on this page, because they cannot be read: {listed(unreadable)}. Write these files again and "
                "look at them there, or give the points the label of --no-class."
            )
    _write_new(files)
    return said


def _write_new(files: Mapping[Path, Any]) -> None:
    """Write all files or none; never over one that is there, such as that of the same command beside this one."""
    with ExitStack() as held:
        for path in files:
            held.enter_context(only_maker(path))
        _require_new(*files)  # again: somebody may have written one since
        try:
            for path, content in files.items():
                write(path, content)
        except (StoreWriteError, KeyboardInterrupt):
            for path in files:
                with suppress(OSError):
                    path.unlink()  # else the same command would be refused, because there is a file
            raise


def _require_new(*paths: Path | None) -> None:
    for path in paths:
        if path is None:
            continue
        require_local(path)
        if path.exists():
            raise DataError(f"Expected the name of a new file, but `{path}` exists and may have labels in it.")


def _table(pool: Pool, bought: Bought, selection: Selection) -> pd.DataFrame:
    """Picks in order, with an empty label for a person to fill in."""
    import pandas as pd

    n = len(selection.indices)
    columns: Mapping[str, Any] = {
        "index": selection.indices,
        **({} if pool.names is None else {"name": [pool.names[row] for row in selection.indices]}),
        "round": bought.next_round,
        "position": np.arange(n),
        "score": np.full(n, np.nan) if selection.scores is None else selection.scores,
        **({FEATURES_HASH: [pool.features_hash(row) for row in selection.indices]} if pool.names is None else {}),
        "label": pd.Series([None] * n, dtype="string"),
    }
    return pd.DataFrame(columns)


def _parquet(table: pd.DataFrame) -> Any:
    import pyarrow as pa

    return pa.Table.from_pandas(table, preserve_index=False)


def _so_far(bought: Bought) -> str:
    if not len(bought.rows):
        return f"No labels yet; {len(bought.classes)} classes."
    counts = np.bincount(bought.labels[bought.labels != NO_CLASS], minlength=len(bought.classes))
    named = [f"{name} {count}" for name, count in zip(bought.classes, counts, strict=True) if count]
    n_lost = len(bought.labels) - int(counts.sum())
    shown = ", ".join([*named, f"no class {n_lost}"] if n_lost else named)
    without = [name for name, count in zip(bought.classes, counts, strict=True) if not count]
    if bought.n_unnamed:
        have = "has" if bought.n_unnamed == 1 else "have"
        shown += f"; {bought.n_unnamed} of the {len(bought.classes)} classes {have} no label yet"
    elif without:
        shown += f"; none of {listed(without)}"
    n_rounds = len(bought.queries)
    rounds = counted(n_rounds, "round")
    if n_lacking := bought.next_round - n_rounds:
        rounds += f" ({counted(n_lacking, 'earlier round')} without a label; pass every file that has labels)"
    return f"{counted(len(bought.rows), 'label')} so far, in {rounds}: {shown}."
