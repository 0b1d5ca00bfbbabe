"""Generalised coverage, the mean similarity of a point to its nearest label: its greedy maximum, and exchanges."""

from __future__ import annotations

import abc
import itertools
import math
from collections.abc import Callable

import numpy as np

from strategies.functional.arrays import FloatArray, IndexArray
from strategies.functional.tiles import map_tiles, slices

SMALLEST_SIGMA = 0.1
"""Below it float32 cannot tell a kernel's neighbours apart."""
TILE = 512
"""Rows and columns of a tile; part of the arithmetic."""
BATCHES = (64, 128, 256, 512, 1024)
"""Largest gains that are brought up to date at once, more each time it was not enough; part of the arithmetic."""
ROUNDING = 2.0**-18
"""What squared distances are lowered by: more than float32 errs by between unit vectors, so copies are at 0."""
TURNS = 10
"""How often `exchange` looks at each pick at most."""
RESOLUTION = 2.0**-22
"""Gains are multiples of it, so that float32's rounding does not come between equal ones."""


def herd(
    points: FloatArray,
    covering: FloatArray,
    n: int,
    *,
    sigma: float,
    weights: FloatArray | None = None,
    n_threads: int = 1,
) -> tuple[IndexArray, FloatArray]:
    """Greedy picks of the largest gain in coverage, by k(i, j) = exp(-(||i - j|| / sigma)^2).

    With m_j the largest k of point j to `covering` and the picks so far (0 without any), the gain of i is the
    mean over all points, `covering` included, of u_j max(k_ij - m_j, 0). Coverage is submodular: a gain that was
    right some picks ago is an upper bound, so only the largest are computed again until the first one is up to
    date, and the picks are those of computing all (lazy greedy: Minoux 1978). Kernel in float32 with squared
    distances 2^-18 smaller (see `ROUNDING`), gains rounded to 2^-22, ties to the smallest index: a pick may fall
    short of the largest gain by that rounding alone, about 1e-6 for sigma=1.

    One pass over half of the kernel, k being symmetric (two passes where nothing covers yet, since the first
    pick changes all gains), and rows of it for what is computed again. Memory O(n_points^2 / 512).

    Args:
        points: `n_points x dim` float32, rows of norm 1 or 0.
        covering: points that cover already and cannot be picked, `n_covering x dim`, likewise.
        n: picks, at most `n_points`.
        sigma: width of the kernel.
        weights: u_j of each of `points`, with a mean near 1, which the resolution is made for; 1 where None. Those of
            `covering` are 0.
        n_threads: tiles handled at once.

    Returns:
        Distinct rows of `points` in pick order and the gain of each.

    Source: Bae et al. 2024, arXiv 2407.12212, algorithm 1; weights: Bae et al. 2025, arXiv 2412.20644.
    """
    coverage = _Gaussian(points, covering, sigma, weights, n_threads)
    return _herd(coverage, coverage.largest_to_covering(), n)


def herd_in(
    kernel: FloatArray, covered: FloatArray, n: int, *, weights: FloatArray | None = None, n_threads: int = 1
) -> tuple[IndexArray, FloatArray]:
    """`herd` by any kernel between the points; gains are means over the points alone.

    Args:
        kernel: `n_points x n_points` float32, symmetric, not negative.
        covered: the largest similarity of each point to what covers already, `n_points` float32; 0 where nothing does.
        n: picks, at most `n_points`.
        weights: as for `herd`.
        n_threads: tiles handled at once.
    """
    return _herd(_Given(kernel, weights, n_threads), covered.copy(), n)


def _herd(coverage: _Coverage, nearest: FloatArray, n: int) -> tuple[IndexArray, FloatArray]:
    """Lazy greedy; `nearest` is overwritten."""
    nothing_covers = not nearest.any()
    gains = coverage.all_gains(nearest)
    right_at = np.zeros(len(gains), dtype=np.int64)
    picks, scores = np.empty(n, dtype=np.int64), np.empty(n)
    for step in range(n):
        if step == 1 and nothing_covers:
            gains = np.where(gains < 0, gains, coverage.all_gains(nearest))
            right_at[:] = step
        for batch in itertools.chain(BATCHES, itertools.repeat(BATCHES[-1])):
            order = np.argsort(-gains, kind="stable")[:batch]
            # A gain of 0 cannot fall.
            stale = order[(right_at[order] < step) & (gains[order] > 0)]
            if order[0] not in stale:
                break
            gains[stale], right_at[stale] = coverage.gains_of(stale, nearest), step
        pick = picks[step] = order[0]
        scores[step] = gains[pick]
        np.maximum(nearest, coverage.kernel_to(picks[step, None])[0], out=nearest)
        gains[pick] = -1
    return picks, scores


def exchange(
    points: FloatArray,
    covering: FloatArray,
    picks: IndexArray,
    *,
    sigma: float,
    weights: FloatArray | None = None,
    n_threads: int = 1,
) -> tuple[IndexArray, FloatArray]:
    """Exchanges picks for other points, one by one in their order, while that raises the coverage.

    Greedy picks are made without knowing the later ones: the first lies in the middle of everything. Here each pick
    in turn is taken out and the point with the largest gain takes its place, until no single exchange raises the
    coverage, or after ten turns of each. This is the exchange of k-medoids (PAM: Kaufman and Rousseeuw 1990) for the
    coverage of `herd`, with its arithmetic and its ties.

    Taking out a pick changes the gains through the points alone whose largest similarity it is, so a turn of all picks
    costs about as much as one computation of all gains, however many picks there are.

    Args:
        points: as for `herd`, and so are all but `picks`.
        covering: what covers already and stays.
        picks: distinct rows of `points`, at least one.
        sigma: width of the kernel.
        weights: of each of `points`.
        n_threads: tiles handled at once.

    Returns:
        As many rows, each in the place of the one that it was exchanged for, and the gain of each over all others.
    """
    coverage = _Gaussian(points, covering, sigma, weights, n_threads)
    return _exchange(coverage, coverage.largest_to_covering(), picks)


def exchange_in(
    kernel: FloatArray, covered: FloatArray, picks: IndexArray, *, weights: FloatArray | None = None, n_threads: int = 1
) -> tuple[IndexArray, FloatArray]:
    """`exchange` by any kernel between the points; arguments as for `herd_in` and `exchange`."""
    return _exchange(_Given(kernel, weights, n_threads), covered, picks)


def _exchange(coverage: _Coverage, base: FloatArray, picks: IndexArray) -> tuple[IndexArray, FloatArray]:
    picks = picks.copy()
    similarities = coverage.kernel_to(picks)
    owner, largest, second = _two_largest(similarities, base)
    gains = coverage.all_gains(largest, rounded=False)
    scores = np.zeros(len(picks))
    for _ in range(TURNS):
        is_changed = False
        for place, pick in enumerate(picks.tolist()):
            owned = np.flatnonzero(owner == place)
            units = gains + coverage.difference(owned, second, largest)
            units[np.delete(picks, place)] = -np.inf
            without = _rounded(units)
            best = int(without.argmax())
            scores[place] = without[best]
            if without[best] > without[pick]:
                row = coverage.kernel_to(np.array([best]))[0]
                # Elsewhere the two largest are those of other picks.
                at = np.flatnonzero((owner == place) | (np.maximum(similarities[place], row) >= second))
                picks[place], similarities[place] = best, row
                before = largest.copy()
                owner[at], largest[at], second[at] = _two_largest(similarities[:, at], base[at])
                gains += coverage.difference(np.flatnonzero(before != largest), largest, before)
                is_changed = True
        if not is_changed:
            break
    return picks, scores


def _two_largest(similarities: FloatArray, base: FloatArray) -> tuple[IndexArray, FloatArray, FloatArray]:
    """Row with the largest similarity of each column and its value, and the largest of the other rows and `base`.

    The row is -1 where `base` is as large.
    """
    columns = np.arange(len(base))
    owner = similarities.argmax(axis=0)
    largest = similarities[owner, columns]
    rest = similarities.copy()
    rest[owner, columns] = 0
    second = np.maximum(rest.max(axis=0), base)
    return np.where(largest > base, owner, -1), np.maximum(largest, base), second


class _Coverage(abc.ABC):
    """Gains of points in coverage by some kernel between them; see `herd`."""

    def __init__(self, n_points: int, n_covering: int, weights: FloatArray | None, n_threads: int) -> None:
        self._n_points = n_points
        self._weights = np.ones(n_points, dtype=np.float32) if weights is None else weights.astype(np.float32)
        self._unit = 1 / (RESOLUTION * (n_points + n_covering))
        self._n_threads = n_threads

    @abc.abstractmethod
    def _kernel(self, rows: IndexArray | slice, columns: slice) -> FloatArray:
        """Kernel of some points with others; nobody writes to it."""

    def all_gains(self, nearest: FloatArray, *, rounded: bool = True) -> FloatArray:
        """Gain of each point where `nearest` is the largest similarity; not rounded, in units of `RESOLUTION`."""

        def of_upper_tiles(rows: slice) -> FloatArray:
            sums = np.zeros(self._n_points)
            for columns in slices(rows.start, self._n_points, TILE):
                block = self._kernel(rows, columns)
                above = _excess(block, nearest[columns])
                sums[rows] += above @ self._weights[columns]
                if columns != rows:
                    sums[columns] += self._weights[rows] @ _excess(block, nearest[rows, None], out=above)
            return sums

        gains = self._units(self._map(of_upper_tiles))
        return _rounded(gains) if rounded else gains

    def gains_of(self, candidates: IndexArray, nearest: FloatArray) -> FloatArray:
        """Gains of some points."""

        def in_tile(columns: slice) -> FloatArray:
            above = _excess(self._kernel(candidates, columns), nearest[columns])
            sums: FloatArray = above @ self._weights[columns]
            return sums

        return _rounded(self._units(self._map(in_tile)))

    def difference(self, which: IndexArray, low: FloatArray, high: FloatArray) -> FloatArray:
        """By how much unrounded gains are larger where the similarities of `which` are `low` instead of `high`."""

        def in_tile(columns: slice) -> FloatArray:
            block = self._kernel(which, columns)
            more = _excess(block, low[which, None]) - _excess(block, high[which, None])
            sums: FloatArray = self._weights[which] @ more
            return sums

        return self._units([np.concatenate(self._map(in_tile))])

    def kernel_to(self, rows: IndexArray) -> FloatArray:
        """Kernel of some points with all, `len(rows) x n_points`."""
        return np.concatenate(self._map(lambda columns: self._kernel(rows, columns)), axis=1)

    def _map(self, work: Callable[[slice], FloatArray]) -> list[FloatArray]:
        return map_tiles(work, self._n_points, tile_rows=TILE, n_threads=self._n_threads)

    def _units(self, sums: list[FloatArray]) -> FloatArray:
        """Means over all points, in units of `RESOLUTION`."""
        return np.asarray(np.sum(sums, axis=0, dtype=np.float64)) * self._unit


class _Given(_Coverage):
    """By a kernel that is there already."""

    def __init__(self, kernel: FloatArray, weights: FloatArray | None, n_threads: int) -> None:
        super().__init__(len(kernel), 0, weights, n_threads)
        self._matrix = kernel

    def _kernel(self, rows: IndexArray | slice, columns: slice) -> FloatArray:
        return self._matrix[rows, columns]


class _Gaussian(_Coverage):
    """By exp(-(||i - j|| / sigma)^2), computed whenever it is needed."""

    def __init__(
        self, points: FloatArray, covering: FloatArray, sigma: float, weights: FloatArray | None, n_threads: int
    ) -> None:
        super().__init__(len(points), len(covering), weights, n_threads)
        factor = np.float32(math.sqrt(2) / sigma)
        self._points, self._covering = points * factor, covering * factor
        self._halves = _half_norms(self._points)
        self._lowered = self._halves - np.float32(ROUNDING / sigma**2)

    def largest_to_covering(self) -> FloatArray:
        """The largest similarity of each point to what covers already; 0 where nothing does."""
        if not len(self._covering):
            return np.zeros(len(self._points), dtype=np.float32)
        halves = _half_norms(self._covering)
        return np.concatenate(self._map(lambda columns: self._between(self._covering, halves, columns).max(axis=0)))

    def _kernel(self, rows: IndexArray | slice, columns: slice) -> FloatArray:
        return self._between(self._points[rows], self._halves[rows], columns)

    def _between(self, rows: FloatArray, row_halves: FloatArray, columns: slice) -> FloatArray:
        # -(||i - j|| / sigma)^2 = a.b - |a|^2 / 2 - |b|^2 / 2 of points multiplied by sqrt(2) / sigma.
        block: FloatArray = rows @ self._points[columns].T
        block -= self._lowered[columns]
        block -= row_halves[:, None]
        return np.exp(np.minimum(block, 0, out=block), out=block)


def _excess(block: FloatArray, covered: FloatArray, out: FloatArray | None = None) -> FloatArray:
    above = np.subtract(block, covered, out=out)
    return np.maximum(above, 0, out=above)


def _rounded(units: FloatArray) -> FloatArray:
    gains: FloatArray = np.round(units) * RESOLUTION
    return gains


def _half_norms(rows: FloatArray) -> FloatArray:
    """Half the squared norms; in float64, as float32 loses more than a product does in thousands of dimensions."""
    halves: FloatArray = (np.einsum("ij,ij->i", rows, rows, dtype=np.float64) / 2).astype(np.float32)
    return halves
