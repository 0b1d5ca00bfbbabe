"""The contract between a strategy and whoever runs it: `PoolView` in, `Selection` out."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar, final

import numpy as np

from strategies.exceptions import InvalidQuestionError, InvalidSelectionError, PoolExhaustedError, no_exit
from strategies.functional.arrays import FloatArray as FloatArray
from strategies.functional.arrays import IndexArray as IndexArray
from strategies.functional.engine.problem import Compute as Compute

T = TypeVar("T")
Question = Literal["embedding", "gradient"]
"""What some learners lack: a penultimate layer, or a gradient with respect to the features."""


class Model(Protocol):
    """What a strategy may ask the classifier that was trained in the last round; answers are computed when asked for.

    All answers depend only on the bought labels, the seed and the round. It does not matter how often, in which order
    or by whom the questions are asked.
    """

    @property
    def probabilities(self) -> FloatArray:
        """Softmax of the logits of every pool point, `n_pool x n_classes` float32."""

    @property
    def embedding(self) -> FloatArray:
        """The pool as the last layer of the classifier sees it, `n_pool x width` float32.

        For the network, these are the penultimate activations (after BatchNorm and ReLU, in eval mode). For a learner
        without layers, they are the scaled features.
        """

    @property
    def learns_embedding(self) -> bool:
        """Whether the embedding is learnt from the labels; otherwise it is the scaled features."""

    def predict_proba(self, features: FloatArray) -> FloatArray:
        """Softmax of the logits of any features, such as masked ones: `n x dim` -> `n x n_classes` float32.

        For rows of `PoolView.features` the result equals `probabilities` except for the last bits, which depend on the
        rows that are asked for together.

        Raises:
            InvalidQuestionError: The number of columns differs, or some numbers are not finite.
        """

    def gradient(self, features: FloatArray, classes: IndexArray) -> FloatArray:
        """Gradient of the cross entropy with respect to the features: `n x dim` and `n` classes -> `n x dim` float32.

        Raises:
            InvalidQuestionError: `predict_proba` would refuse the features, there is not one class for each row, or the
                learner has no gradient (`Strategy.asks`).
        """

    def refit(self, positions: IndexArray) -> Model:
        """The same classifier, trained anew on some of its labels, with a random stream of its own.

        The `refit` of the result counts positions among these labels. Threads may ask for several at once.

        Args:
            positions: the labels to train on, as indices into `PoolView.labelled` (the order of purchase), not into
                the pool. Each may occur once; their order determines the batches.

        Raises:
            InvalidQuestionError: There are no positions, one occurs twice, or one does not exist.
        """


def check_features(features: FloatArray, dim: int) -> FloatArray:
    """Check features about which a classifier with `dim` columns is asked, and return them as float32.

    Raises:
        InvalidQuestionError: The classifier cannot be asked about them.
    """
    found = np.asarray(features, dtype=np.float32)
    if found.ndim != 2 or found.shape[1] != dim:
        raise InvalidQuestionError(f"Expected features of shape n x {dim} to predict, but got shape {found.shape}.")
    if not np.isfinite(found).all():
        row = int(np.flatnonzero(~np.isfinite(found).all(axis=1))[0])
        raise InvalidQuestionError(f"Expected finite features to predict, but row {row} has NaN or infinite ones.")
    return found


def check_classes(classes: IndexArray, n: int, n_classes: int) -> IndexArray:
    """Check that there is one class for each of `n` rows of features, and return the classes as int64.

    Raises:
        InvalidQuestionError: There is not one valid class for each row.
    """
    found = np.asarray(classes)
    if found.shape != (n,) or not np.issubdtype(found.dtype, np.integer):
        raise InvalidQuestionError(f"Expected {n} classes, one a row, but got {found.dtype} of shape {found.shape}.")
    if n and (found.min() < 0 or found.max() >= n_classes):
        raise InvalidQuestionError(
            f"Expected classes from 0 to {n_classes - 1}, but got {found.min()} to {found.max()}."
        )
    return found.astype(np.int64)


def check_positions(positions: IndexArray, n_labels: int) -> IndexArray:
    """Check positions among `n_labels` labels on which to train a classifier, and return them as int64.

    Raises:
        InvalidQuestionError: A classifier cannot be trained on them.
    """
    found = np.asarray(positions)
    if found.ndim != 1 or not len(found) or not np.issubdtype(found.dtype, np.integer):
        raise InvalidQuestionError(
            f"Expected a list of one or more positions to refit on, but got {found.dtype} of shape {found.shape}."
        )
    if found.min() < 0 or found.max() >= n_labels or len(np.unique(found)) < len(found):
        raise InvalidQuestionError(
            f"Expected distinct positions from 0 to {n_labels - 1} in the order of purchase to refit on, "
            f"but got {found.tolist()[:20]}."
        )
    return found.astype(np.int64)


@dataclass(frozen=True, eq=False)
class PoolView:
    """Everything that a strategy can see; it cannot reach labels of unlabelled points or test data.

    Attributes:
        features: frozen features of the pool, `n_pool x dim` float32.
        labelled: pool indices in the order they were bought.
        labels: class of each labelled point, aligned with `labelled`.
        n_classes: number of classes.
        model: the classifier trained on the labelled points; None before the first label.
        compute: the share of the machine.
        queries: labels bought in each round so far; empty if that is not known.
    """

    features: FloatArray
    labelled: IndexArray
    labels: IndexArray
    n_classes: int
    model: Model | None = None
    compute: Compute = field(default_factory=Compute)
    queries: tuple[int, ...] = ()
    _memo: dict[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def unlabelled(self) -> IndexArray:
        """Pool indices without a label, ascending."""
        mask = np.ones(len(self.features), dtype=bool)
        mask[self.labelled] = False
        return np.flatnonzero(mask).astype(np.int64)

    @property
    def first_query(self) -> int:
        """Number of labels bought in the first round; of all labels if the rounds are not known."""
        return self.queries[0] if self.queries else len(self.labelled)

    def cached(self, key: str, build: Callable[[FloatArray], T]) -> T:
        """Result of `build(features)`, computed once per trajectory.

        `build` must depend on the features alone (no labels, no round, no random stream), so that a
        resumed trajectory finds the same value.
        """
        if key not in self._memo:
            self._memo[key] = build(self.features)
        value: T = self._memo[key]
        return value


@dataclass(frozen=True, eq=False)
class LookAheadDiagnostics:
    """What a look-ahead strategy returns so that the harness can measure its coverage.

    Attributes:
        risk_set: pool indices of the N points over which the risk was estimated.
        pseudo_labels: cluster pseudo-label of each of these points, `N`.
        outputs: outputs of the kernel regression on pseudo-labels after the last pick, `N x n_clusters`; the arg max
            of a row is the predicted pseudo-label.
        predict: predictions of the kernel regression on the risk set, if it is trained on given points with
            their true labels: `(pool indices, labels) -> N` classes.
    """

    risk_set: IndexArray
    pseudo_labels: IndexArray
    outputs: FloatArray
    predict: Callable[[IndexArray, IndexArray], IndexArray]


@dataclass(frozen=True, eq=False)
class Selection:
    """The picks of one round.

    Attributes:
        indices: pool indices in the order they were picked.
        scores: score at the moment of each pick, in the strategy's own unit; None if it has no scores.
        stats: scalars to keep with the round (number of clusters, seconds of a part, ...).
        diagnostics: the data from which coverage is computed; only for look-ahead on pseudo-labels.
    """

    indices: IndexArray
    scores: FloatArray | None = None
    stats: dict[str, float | int | str] = field(default_factory=dict)
    diagnostics: LookAheadDiagnostics | None = None


class Strategy(abc.ABC):
    """A query strategy: a frozen dataclass of its hyperparameters with one method to write, `_select`.

    Subclasses set `name` (the word on the command line), `version` (raised when the picks change) and
    `source` (the publication). `_select` may draw random numbers only from `rng`, must not keep state
    between calls and must not change the arrays that it is given.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    source: ClassVar[str]
    chooses_first_round: ClassVar[bool] = False
    """Whether the strategy can choose without labels; if not, its first round is Random's."""
    asks: ClassVar[frozenset[Question]] = frozenset()
    """What the strategy asks of the classifier that some learners lack. If the learner has no gradient, the strategy is
    refused before anything runs. If it has no layer before the last, a line says that the embedding is the features."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Sets of hyperparameters by name: `preset=NAME` stands for all values of a set when a strategy is made."""

    @final
    def select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        """Choose `n` points to label next.

        Args:
            view: the pool as the strategy may see it.
            n: number of labels to buy, at least 1.
            rng: the only source of randomness.

        Returns:
            `n` distinct unlabelled pool indices in pick order.

        Raises:
            PoolExhaustedError: Fewer than `n` points are unlabelled.
            InvalidSelectionError: The strategy broke this contract.
        """
        if not (n_left := len(view.unlabelled)):
            raise PoolExhaustedError("Expected points without a label to choose from, but the pool has none left.")
        if not 1 <= n <= n_left:
            raise PoolExhaustedError(f"Expected a query of 1 to {n_left} points, but got {n}.")
        from strategies.functional.libraries import one_thread  # late: it imports what strategies need

        # One BLAS and OpenMP thread: more would change the last bits with the share of the CPU.
        with one_thread():
            if view.model is None and not self.chooses_first_round:
                selection = draw_uniformly(view, n, rng)
            else:
                with no_exit(InvalidSelectionError, f"a Selection from `{self.name}`"):
                    selection = self._select(view, n, rng=rng)
        self._check(selection, view, n)
        return selection

    def canonical(self, queries: Sequence[int]) -> Self:
        """This strategy, with a fixed value for every hyperparameter that cannot matter for a schedule.

        The harness may run the canonical form instead, so that equal picks have one identity. It may also begin a
        trajectory with the rounds of another one that is canonically equal so far. A strategy must therefore make the
        same picks in all rounds of `queries` as its canonical form.

        Args:
            queries: labels to buy in each round, from the first.

        Returns:
            The strategy itself, unless overridden.
        """
        return self

    @abc.abstractmethod
    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        """Choose `n` points; `n` is valid, and `view.model` is not None unless `chooses_first_round` is True."""

    def _check(self, selection: Selection, view: PoolView, n: int) -> None:
        if not isinstance(selection, Selection):
            raise InvalidSelectionError(f"Expected a Selection from `{self.name}`, but got {type(selection).__name__}.")
        picks = np.asarray(selection.indices)
        if picks.dtype.kind not in "iu":
            raise InvalidSelectionError(f"Expected integers as indices from `{self.name}`, but got {picks.dtype}.")
        if picks.shape != (n,) or len(np.unique(picks)) != n or not np.isin(picks, view.unlabelled).all():
            raise InvalidSelectionError(
                f"Expected {n} distinct unlabelled pool indices from `{self.name}`, but got {picks.tolist()[:20]}."
            )
        if not isinstance(selection.stats, dict):
            raise InvalidSelectionError(
                f"Expected a dict as stats of `{self.name}`, but got {type(selection.stats).__name__}."
            )
        for key, value in selection.stats.items():
            if not isinstance(key, str):
                raise InvalidSelectionError(f"Expected text as keys of the stats of `{self.name}`, but got {key!r}.")
            if not isinstance(value, int | float | str):
                raise InvalidSelectionError(
                    f"Expected stats of `{self.name}` to be int, float or str, but `{key}` is {type(value).__name__}."
                )
            # The harness makes a column of it.
            if key == "n_clusters" and (isinstance(value, str) or not 0 <= value < 2**31 or value != int(value)):
                raise InvalidSelectionError(
                    f"Expected a whole number from 0 as `n_clusters` in the stats of `{self.name}`, but got {value!r}."
                )
        scores = None if selection.scores is None else np.asarray(selection.scores)
        if scores is not None and (scores.shape != (n,) or scores.dtype.kind not in "biuf"):
            raise InvalidSelectionError(
                f"Expected one score per pick ({n}), a number, from `{self.name}`, "
                f"but got {scores.dtype} of shape {scores.shape}."
            )


class Oracle(Strategy):
    """A bound, not a strategy: it proposes batches, and the harness, which knows the truth, buys the best one."""

    @abc.abstractmethod
    def propose(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Iterator[tuple[str, IndexArray]]:
        """Batches of `n` distinct unlabelled pool indices, each with the name of its proposer."""

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        raise InvalidSelectionError(f"Expected somebody to judge the batches of `{self.name}`, but got a selection.")


def fill_up(view: PoolView, picks: IndexArray, n: int, rng: np.random.Generator) -> Selection:
    """Complete `picks` to `n` points with other unlabelled points, each equally likely."""
    others = np.setdiff1d(view.unlabelled, picks)
    drawn = rng.choice(others, size=n - len(picks), replace=False)
    return Selection(np.concatenate([picks, drawn]), stats={"n_random": len(drawn)})


def draw_uniformly(view: PoolView, n: int, rng: np.random.Generator) -> Selection:
    """`n` unlabelled points, each equally likely: Random, and the first round of strategies that need labels."""
    return Selection(rng.choice(view.unlabelled, size=n, replace=False))


def top_k(scores: FloatArray, candidates: IndexArray, n: int) -> Selection:
    """The `n` candidates with the largest scores, best first; ties go to the smallest pool index.

    Args:
        scores: one score per candidate.
        candidates: pool indices.
        n: how many to take.
    """
    order = np.lexsort((candidates, -scores))[:n]
    return Selection(candidates[order], scores[order])
