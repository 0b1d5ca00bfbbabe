"""Named random streams: what is drawn depends on the seed, the purpose and the round, and on nothing else."""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np

Purpose = Literal[
    "initial",
    "selection",
    "training",
    "refit",
    "search",
    "subset",
    "monitor",
    "encoder",
    "order",
    "augmentation",
    "split",
    "pool",
    "noise",
    "ood",
]


def stream(seed: int, purpose: Purpose, round_: int = 0) -> np.random.Generator:
    """The generator of one purpose in one round of one repetition; of a search, in one of its trials.

    It depends neither on the strategy nor on the number of workers nor on the order of execution.
    """
    key = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "big")
    return np.random.default_rng([seed, key, round_])
