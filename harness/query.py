"""The next query of a pool: the points that a trajectory in the same state would buy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from harness.data import NO_CLASS, as_features
from harness.exceptions import DataError
from harness.spec import AnyLearner, LearnerSpec
from harness.streams import stream
from strategies.base import Compute, IndexArray, PoolView, Selection, Strategy
from strategies.subpool import in_whole, remaining

if TYPE_CHECKING:
    from harness.learner import Classifier


def select(
    strategy: Strategy,
    n: int,
    features: ArrayLike,
    n_classes: int,
    labelled: ArrayLike = (),
    labels: ArrayLike = (),
    queries: Sequence[int] = (),
    *,
    seed: int = 0,
    learner: AnyLearner | None = None,
    compute: Compute | None = None,
) -> tuple[Selection, Classifier | None]:
    """Choose the points of the next round, which are those that a trajectory in the same state would buy.

    Args:
        strategy: the strategy that chooses (`strategies.make_strategy`).
        n: number of points to choose.
        features: features of the pool, `n_pool x dim`, finite.
        n_classes: number of classes.
        labelled: pool indices in the order of purchase.
        labels: class of each, in [0, n_classes); or `harness.data.NO_CLASS` for a point that belongs to none, which
            teaches nothing and is no longer in the pool.
        queries: number of labels in each round so far.
        seed: seed of a trajectory; the same in all rounds.
        learner: the learner that trains the classifier; None takes the network.
        compute: the share of the machine; it changes no pick.

    Returns:
        The picks, and the classifier that was asked (None before the first label of a class).

    Raises:
        DataError: The features, labelled points and rounds do not fit together.
        PoolExhaustedError: Fewer than `n` points are left.
    """
    from harness.learner import Inputs, one_thread, train

    pool = as_features("the pool", "features", np.asarray(features))
    bought, classes = _bought(labelled, labels, queries, len(pool), n_classes)
    rows = np.setdiff1d(np.arange(len(pool)), bought[classes == NO_CLASS])
    bought, classes = bought[classes != NO_CLASS], classes[classes != NO_CLASS]
    round_, spec = len(queries), learner or LearnerSpec()
    with one_thread():
        model = None
        if len(bought):
            inputs = Inputs.of(pool, spec.scaling, "cpu")
            draw = partial(stream, seed, round_=round_ - 1)
            model = train(inputs, bought, classes, n_classes, spec, draw)
        view = PoolView(pool, bought, classes, n_classes, model, compute or Compute(), tuple(queries))
        rng = stream(seed, "selection" if round_ else "initial", round_)
        return in_whole(strategy.select(remaining(view, rows), n, rng=rng), rows), model


def _bought(
    labelled: ArrayLike, labels: ArrayLike, queries: Sequence[int], n_pool: int, n_classes: int
) -> tuple[IndexArray, IndexArray]:
    points, classes = _integers("labelled", labelled, 0, n_pool), _integers("labels", labels, NO_CLASS, n_classes)
    if len(points) != len(classes):
        raise DataError(f"Expected a class for each labelled point, but got {len(classes)} for {len(points)} points.")
    if len(np.unique(points)) < len(points):
        raise DataError("Expected each labelled point once, but got one twice.")
    if sum(queries) != len(points):
        raise DataError(
            f"Expected `queries`, the labels of each round, to sum to the {len(points)} labelled points, but got "
            f"{list(queries)}."
        )
    return points, classes


def _integers(name: str, values: ArrayLike, first: int, end: int) -> IndexArray:
    found: Any = np.asarray(values)
    found = found.astype(np.int64) if not found.size else found
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise DataError(f"Expected `{name}` to be a row of integers, but got {found.dtype} of shape {found.shape}.")
    if len(outside := found[(found < first) | (found >= end)]):
        raise DataError(f"Expected `{name}` in [{first}, {end}), but got {outside[0]}.")
    return np.ascontiguousarray(found, dtype=np.int64)
