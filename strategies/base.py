"""The contract between a strategy and whoever runs it: `PoolView` in, `Selection` out."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar, final

import numpy as np

from strategies.exceptions import InvalidQuestionError, InvalidSelectionError, PoolExhaustedError
from strategies.functional.arrays import FloatArray as FloatArray
from strategies.functional.arrays import IndexArray as IndexArray
from strategies.functional.engine.problem import Compute as Compute

T = TypeVar("T")
Question = Literal["embedding", "gradient"]
"""What not every learner has of its own: a penultimate layer, a gradient by the features."""


class Model(Protocol):
    """What a strategy may ask of the classifier trained in the last round; nothing is computed before it is asked.

    All answers depend on the bought labels, the seed and the round alone: not on how often, in which order or by whom
    the questions are asked.
    """

    @property
    def probabilities(self) -> FloatArray:
        """Softmax of the logits of every pool point, `n_pool x n_classes` float32."""

    @property
    def embedding(self) -> FloatArray:
        """What the last layer of the classifier sees of the pool, `n_pool x width` float32.

        Of the network: penultimate activations (after BatchNorm and ReLU, eval mode). A learner without layers has the
        scaled features themselves.
        """

    def predict_proba(self, features: FloatArray) -> FloatArray:
        """Softmax of the logits of any features, such as masked ones: `n x dim` -> `n x n_classes` float32.

        For rows of `PoolView.features` these are `probabilities` but for the last bits, which depend on the rows that
        are asked for together.

        Raises:
            InvalidQuestionError: another number of columns, or numbers that are not finite.
        """

    def gradient(self, features: FloatArray, classes: IndexArray) -> FloatArray:
        """Gradient of the cross entropy of given classes by the features: `n x dim` and `n` -> `n x dim` float32.

        Raises:
            InvalidQuestionError: features as `predict_proba` refuses them, or not one class for each; or the learner
                has no gradient (`Strategy.asks`).
        """

    def refit(self, positions: IndexArray) -> Model:
        """The same classifier, trained anew on some of the labels it has, from a random stream of its own.

        Its `refit` counts in these labels in turn.

        Args:
            positions: which ones, counted in the order of purchase: indices into `PoolView.labelled`, not into the
                pool. Each comes once; their order decides the batches.

        Raises:
            InvalidQuestionError: no positions, one twice, or one that there is not.
        """


def check_features(features: FloatArray, dim: int) -> FloatArray:
    """Features that a classifier of `dim` columns can be asked about, as float32.

    Raises:
        InvalidQuestionError: they cannot.
    """
    found = np.asarray(features, dtype=np.float32)
    if found.ndim != 2 or found.shape[1] != dim:
        raise InvalidQuestionError(f"Expected features of shape n x {dim} to predict, but got shape {found.shape}.")
    if not np.isfinite(found).all():
        row = int(np.flatnonzero(~np.isfinite(found).all(axis=1))[0])
        raise InvalidQuestionError(f"Expected finite features to predict, but row {row} has NaN or infinite ones.")
    return found


def check_classes(classes: IndexArray, n: int, n_classes: int) -> IndexArray:
    """One class for each of `n` rows of features, as int64.

    Raises:
        InvalidQuestionError: it is not.
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
    """Positions among `n_labels` labels that a classifier can be trained on, as int64.

    Raises:
        InvalidQuestionError: it cannot.
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
    """All that a strategy can see: no label of an unlabelled point and no test data is reachable.

    Attributes:
        features: frozen features of the pool, `n_pool x dim` float32.
        labelled: pool indices in the order they were bought.
        labels: class of each labelled point, aligned with `labelled`.
        n_classes: number of classes.
        model: the classifier trained on the labelled points; None before the first label.
        compute: the share of the machine.
        queries: labels bought in each round so far; empty where that is not known.
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
        """Labels bought in the first round; all there are where the rounds are not known."""
        return self.queries[0] if self.queries else len(self.labelled)

    def cached(self, key: str, build: Callable[[FloatArray], T]) -> T:
        """Result of `build(features)`, computed once a trajectory.

        `build` must depend on the features alone (no labels, no round, no random stream), so that a
        resumed trajectory finds the same value.
        """
        if key not in self._memo:
            self._memo[key] = build(self.features)
        value: T = self._memo[key]
        return value


@dataclass(frozen=True, eq=False)
class LookAheadDiagnostics:
    """What a look-ahead strategy hands back so that the harness can measure its coverage.

    Attributes:
        risk_set: pool indices of the N points over which the risk was estimated.
        pseudo_labels: cluster pseudo-label of each, `N`.
        outputs: kernel regression on pseudo-labels after the last pick, `N x n_clusters`; its arg max is
            the predicted pseudo-label.
        predict: kernel-regression predictions on the risk set when trained on given points with
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
        scores: score at the moment of each pick, in the strategy's own unit; None where it has none.
        stats: scalars worth keeping with the round (number of clusters, seconds of a part, ...).
        diagnostics: what coverage is computed from; look-ahead on pseudo-labels only.
    """

    indices: IndexArray
    scores: FloatArray | None = None
    stats: dict[str, float | int | str] = field(default_factory=dict)
    diagnostics: LookAheadDiagnostics | None = None


class Strategy(abc.ABC):
    """A query strategy: a frozen dataclass of its hyperparameters with one method to write, `_select`.

    Subclasses set `name` (the word on the command line), `version` (raised when the picks change) and
    `source` (the publication). `_select` may draw from `rng` and nothing else, must not keep state
    between calls and must not change the arrays it is given.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    source: ClassVar[str]
    chooses_first_round: ClassVar[bool] = False
    """Whether the strategy can choose without labels; if not, its first round is Random's."""
    asks: ClassVar[frozenset[Question]] = frozenset()
    """What it asks of the classifier that not every learner has: without a gradient it is refused before anything runs,
    and where there is no layer before the last, it is said that the embedding is the features."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Hyperparameters by the name they have together: `preset=NAME` stands for them where a strategy is made."""

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
            PoolExhaustedError: fewer than `n` points are unlabelled.
            InvalidSelectionError: the strategy broke this contract.
        """
        if not 1 <= n <= len(view.unlabelled):
            raise PoolExhaustedError(f"Expected a query of 1 to {len(view.unlabelled)} points, but got {n}.")
        from strategies.functional.libraries import one_thread  # late: it imports what strategies need

        # One BLAS and OpenMP thread: more would change the last bits with the share of the CPU.
        with one_thread():
            if view.model is None and not self.chooses_first_round:
                selection = draw_uniformly(view, n, rng)
            else:
                selection = self._select(view, n, rng=rng)
        self._check(selection, view, n)
        return selection

    def canonical(self, queries: Sequence[int]) -> Self:
        """This strategy with every hyperparameter that cannot matter for a schedule at one value for all.

        Whoever runs it may run the canonical one instead: equal picks have one identity, and a trajectory may begin
        with the rounds of another one that is canonically equal up to there. So a strategy must pick the same in all
        rounds of `queries` as its canonical form.

        Args:
            queries: labels to buy in each round, from the first.

        Returns:
            The strategy itself, unless overridden.
        """
        return self

    @abc.abstractmethod
    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        """Choose `n` points; `n` is valid, and `view.model` is there unless `chooses_first_round`."""

    def _check(self, selection: Selection, view: PoolView, n: int) -> None:
        picks = np.asarray(selection.indices)
        if picks.shape != (n,) or len(np.unique(picks)) != n or not np.isin(picks, view.unlabelled).all():
            raise InvalidSelectionError(
                f"Expected {n} distinct unlabelled pool indices from `{self.name}`, but got {picks.tolist()[:20]}."
            )
        for key, value in selection.stats.items():
            if not isinstance(value, int | float | str):
                raise InvalidSelectionError(
                    f"Expected stats of `{self.name}` to be int, float or str, but `{key}` is {type(value).__name__}."
                )
        if selection.scores is not None and np.shape(selection.scores) != (n,):
            raise InvalidSelectionError(
                f"Expected one score per pick ({n}) from `{self.name}`, but got shape {np.shape(selection.scores)}."
            )


class Oracle(Strategy):
    """A bound and no strategy: it proposes batches, and whoever knows the true labels and test data buys the best."""

    @abc.abstractmethod
    def propose(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Iterator[tuple[str, IndexArray]]:
        """Batches of `n` distinct unlabelled pool indices, each with the name of its proposer."""

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        raise InvalidSelectionError(f"Expected somebody to judge the batches of `{self.name}`, but got a selection.")


def fill_up(view: PoolView, picks: IndexArray, n: int, rng: np.random.Generator) -> Selection:
    """`picks`, and as many other unlabelled points, each equally likely, as are missing to `n`."""
    others = np.setdiff1d(view.unlabelled, picks)
    drawn = rng.choice(others, size=n - len(picks), replace=False)
    return Selection(np.concatenate([picks, drawn]), stats={"n_random": len(drawn)})


def draw_uniformly(view: PoolView, n: int, rng: np.random.Generator) -> Selection:
    """`n` unlabelled points, each equally likely: Random, and the first round of all who need labels."""
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
