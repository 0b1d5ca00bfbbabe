"""One round of look-ahead: what is asked, with what, and who may answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np

from strategies.functional.arrays import FloatArray, IndexArray
from strategies.functional.tiles import map_tiles

if TYPE_CHECKING:
    from strategies.functional.ntk import Kernel

Score = Literal["zero_one", "squared", "change"]
EngineFactory = Callable[["Problem", Score, "Compute"], "Engine"]

SMALLEST_RIDGE = 1e-4
"""Ridge below which float32 residuals are noise, relative to the mean of the kernel's diagonal.

Between copies of a point they are noise up to 2e-4 with the analytic kernel, whose arc cosine near 1 is that far off.
"""


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


class Pick(NamedTuple):
    """A candidate with its score, ordered as `min` should: by score, then by pool index."""

    score: float
    pool_index: int


@dataclass(frozen=True, eq=False)
class Problem:
    """One round of look-ahead on N points, of which some are labelled and some are candidates.

    Attributes:
        kernel: NTK on the N points.
        ridge: r, absolute.
        whitened: (chol(K_LL + r I))^-1 K_LU, `n_labelled x N` float32; S = K - whitened^T whitened.
        predictions: f, `N x n_classes` float32.
        targets: class that a candidate is added with, one for each of the N points.
        labels: class that each point should be predicted as, `N`; the points are sorted by it.
        candidates: positions of the candidates among the N points.
        pool_indices: pool index of each of the N points; breaks ties.
    """

    kernel: Kernel
    ridge: float
    whitened: FloatArray
    predictions: FloatArray
    targets: IndexArray
    labels: IndexArray
    candidates: IndexArray
    pool_indices: IndexArray

    @property
    def nbytes(self) -> int:
        """Size of the arrays."""
        return self.kernel.nbytes + self.whitened.nbytes + self.predictions.nbytes

    @property
    def n_points(self) -> int:
        """N."""
        return len(self.labels)


class Engine(Protocol):
    """One round's look-ahead, wherever its blocks are."""

    def pick(self) -> Pick:
        """Find the best candidate and accept it."""

    def scores(self) -> FloatArray | IndexArray:
        """Score of each candidate, in the order of `problem.candidates`."""

    @property
    def predictions(self) -> FloatArray:
        """Outputs f at the N points after all accepted picks."""

    @property
    def undecided_share(self) -> float:
        """Share of the (candidate, point) pairs that went through all classes."""

    @property
    def stored_share(self) -> float:
        """Share of the rows of S that are held (`Block.stored_share`)."""


def one_hot(labels: IndexArray, n_classes: int) -> FloatArray:
    """0/1 targets, `n x n_classes` float64."""
    targets: FloatArray = np.eye(n_classes)[labels]
    return targets


def absolute_ridge(kernel: Kernel, ridge: float) -> float:
    """The ridge, given relative to the mean of the kernel's diagonal (1 for a kernel that is 0), in its unit."""
    return ridge * (float(kernel.diagonal().mean()) or 1.0)


def condition(
    kernel64: Kernel,
    labelled: IndexArray,
    labelled_targets: FloatArray,
    initial: FloatArray,
    ridge: float,
    compute: Compute,
) -> tuple[FloatArray, FloatArray]:
    """Kernel regression on the labelled points.

    Args:
        kernel64: NTK on the N points in float64.
        labelled: positions of the labelled points.
        labelled_targets: Y_L, `n_labelled x n_classes`.
        initial: f0, `N x n_classes`.
        ridge: r, absolute, above 0.
        compute: where, and on how many threads.

    Returns:
        `whitened` and `predictions` of `Problem`, float32.
    """
    n, n_classes = initial.shape
    if len(labelled) == 0:
        return np.zeros((0, n), dtype=np.float32), initial.astype(np.float32)
    if compute.device != "cpu":
        from strategies.functional.engine import gpu

        return gpu.condition(kernel64, labelled, labelled_targets, initial, ridge, compute.device)
    import scipy  # late: the contract of strategies imports this file

    gram = kernel64(labelled, labelled)
    factor = scipy.linalg.cholesky(gram + ridge * np.eye(len(labelled)), lower=True)
    residual = scipy.linalg.solve_triangular(factor, labelled_targets - initial[labelled], lower=True)
    whitened = np.empty((len(labelled), n), dtype=np.float32)
    predictions = np.empty((n, n_classes), dtype=np.float32)

    def solve(points: slice) -> None:
        half = scipy.linalg.solve_triangular(factor, kernel64(labelled, points), lower=True)
        whitened[:, points] = half
        predictions[points] = initial[points] + half.T @ residual

    map_tiles(solve, n, n_threads=compute.n_threads)
    return whitened, predictions
