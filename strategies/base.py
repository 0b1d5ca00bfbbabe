"""The contract between a strategy and whoever runs it: `PoolView` in, `Selection` out."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from strategies.exceptions import InvalidSelectionError, PoolExhaustedError

if TYPE_CHECKING:
    from strategies.functional.lookahead import Engine, Problem, Score

    EngineFactory = Callable[[Problem, Score, "Compute"], Engine]

FloatArray = NDArray[np.floating[Any]]
IndexArray = NDArray[np.int64]
T = TypeVar("T")


class Model(Protocol):
    """What a strategy may ask of the classifier trained in the last round; computed when first read."""

    @property
    def probabilities(self) -> FloatArray:
        """Softmax of the logits of every pool point, `n_pool x n_classes` float32."""

    @property
    def embedding(self) -> FloatArray:
        """Penultimate activations (after BatchNorm and ReLU, eval mode), `n_pool x hidden` float32."""


@dataclass(frozen=True)
class Compute:
    """The share of the machine a selection may use; it never changes what is selected.

    Attributes:
        n_threads: CPU threads for work that is split into fixed tiles.
        device: torch device of the trajectory, "cpu" or "cuda".
        memory_limit: bytes that a look-ahead may hold at once, the pool itself apart; rows of the residual
            kernel that do not fit are computed again whenever they are needed. None stores them all.
        engine: makes the engine of a look-ahead; None looks ahead in this process.
    """

    n_threads: int = 1
    device: str = "cpu"
    memory_limit: int | None = None
    engine: EngineFactory | None = None


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
    """

    features: FloatArray
    labelled: IndexArray
    labels: IndexArray
    n_classes: int
    model: Model | None = None
    compute: Compute = Compute()
    _memo: dict[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def unlabelled(self) -> IndexArray:
        """Pool indices without a label, ascending."""
        mask = np.ones(len(self.features), dtype=bool)
        mask[self.labelled] = False
        return np.flatnonzero(mask).astype(np.int64)

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
        # One BLAS and OpenMP thread: more would change the last bits with the share of the CPU.
        with threadpool_limits(1):
            if view.model is None and not self.chooses_first_round:
                selection = draw_uniformly(view, n, rng)
            else:
                selection = self._select(view, n, rng=rng)
        self._check(selection, view, n)
        return selection

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


def draw_uniformly(view: PoolView, n: int, rng: np.random.Generator) -> Selection:
    """`n` unlabelled points, each equally likely: Random, and the first round of all who need labels."""
    return Selection(rng.choice(view.unlabelled, size=n, replace=False))
