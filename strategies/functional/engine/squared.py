"""The squared risk of a look-ahead, followed from pick to pick; for numpy's arrays and torch's alike.

With D = Y - f and s = 1 / (S_ii + r), adding i changes the sum of squares by

    s^2 |S_i|^2 |D_i|^2 - 2 s (S D)_i . D_i,

and |S_i|^2 and S D follow a pick j through S S[:, j] alone: S becomes S - g S[:, j]^T and D becomes D - s S[:, j] d^T.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class SquaredRisk:
    """|S_i|^2 and (S D)_i of some candidates.

    Args:
        norms: room for |S_i|^2, `n` float64.
        products: room for (S D)_i, `n x n_classes` float64.
        einsum: numpy's or torch's.
    """

    def __init__(self, norms: Any, products: Any, einsum: Callable[..., Any]) -> None:
        self._norms = norms
        self._products = products
        self._einsum = einsum

    def start(self, rows: slice, residual: Any, errors: Any) -> None:
        """Take over some candidates' rows of S, `n x N` float64, with D, `N x n_classes` float64."""
        self._norms[rows] = self._einsum("ij,ij->i", residual, residual)
        self._products[rows] = residual @ errors

    def scores(self, inverse: Any, errors: Any) -> Any:
        """Change of the sum of squares by each candidate, from its s, `n`, and D_i, `n x n_classes`, in float64."""
        size = self._einsum("ij,ij->i", errors, errors)
        alignment = self._einsum("ij,ij->i", self._products, errors)
        return inverse**2 * self._norms * size - 2 * inverse * alignment

    def accept(self, crossed: Any, gain: Any, column: Any, errors: Any, inverse: Any, change: Any) -> None:
        """Follow the pick of j, in float64.

        Args:
            crossed: S S[:, j] at the candidates, `n`.
            gain: g of j at the candidates, `n`.
            column: S[:, j], `N`.
            errors: D before the pick, `N x n_classes`.
            inverse: s of j.
            change: d, by which the errors of j shrink, `n_classes`.
        """
        norm = column @ column
        self._products -= (crossed * inverse)[:, None] * change
        self._products -= gain[:, None] * (column @ errors - norm * inverse * change)
        self._norms += gain**2 * norm - 2 * gain * crossed
