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

    def scores(self, rows: slice, inverse: Any, errors: Any) -> Any:
        """Change of the sum of squares by some candidates, from their s, `n`, and D_i, `n x n_classes`, in float64."""
        size = self._einsum("ij,ij->i", errors, errors)
        alignment = self._einsum("ij,ij->i", self._products[rows], errors)
        return inverse**2 * self._norms[rows] * size - 2 * inverse * alignment

    def accept(self, column: Any, errors: Any, inverse: Any, change: Any) -> Callable[[slice, Any, Any], None]:
        """Follow the pick of j, in float64.

        Args:
            column: S[:, j], `N`.
            errors: D before the pick, `N x n_classes`.
            inverse: s of j.
            change: d, by which the errors of j shrink, `n_classes`.

        Returns:
            What is to be called once for each candidate: with their rows, S S[:, j] there and g there, `n` both.
        """
        norm = column @ column
        pull = column @ errors - norm * inverse * change

        def follow(rows: slice, crossed: Any, gain: Any) -> None:
            products = self._products[rows]
            products -= (crossed * inverse)[:, None] * change
            products -= gain[:, None] * pull
            self._norms[rows] += gain**2 * norm - 2 * gain * crossed

        return follow
