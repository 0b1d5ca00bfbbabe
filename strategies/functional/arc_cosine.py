"""The arc-cosine recursion, compiled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from strategies.functional.compiled import compiled


@compiled
def arc_cosine(
    block: Any, row_norms: Any, column_norms: Any, bias: Any, hidden_gain: Any, active_gain: Any, output_bias: Any
) -> None:
    """Turn inner products without bias into the kernel, in place; `norms` are those with bias."""
    one = block.dtype.type(1)
    zero = block.dtype.type(0)
    pi = block.dtype.type(np.pi)
    for i in range(block.shape[0]):
        for j in range(block.shape[1]):
            inner = block[i, j] + bias
            scale = row_norms[i] * column_norms[j]
            if scale == zero:
                block[i, j] = output_bias
                continue
            cosine = min(one, max(-one, inner / scale))
            share = (pi - math.acos(cosine)) / (pi + pi)
            sine = math.sqrt(max(zero, one - cosine * cosine))
            hidden = scale * (sine / (pi + pi) + share * cosine)
            block[i, j] = hidden_gain * hidden + active_gain * share * inner + output_bias
