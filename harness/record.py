"""What rounds leave behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.measures import Metrics
from strategies.base import FloatArray, IndexArray


@dataclass(frozen=True, eq=False)
class RoundRecord:
    """What a round leaves behind; the columns of `rounds` and `queries` (harness.store.schema)."""

    round: int
    n_labels: int
    n_query: int
    accuracy: float
    select_seconds: float
    train_seconds: float
    n_clusters: int | None
    coverage_estimated: float | None
    coverage_ntk_true: float | None
    coverage_true: float | None
    stats: dict[str, Any]
    picks: IndexArray
    scores: FloatArray | None
    metrics: Metrics = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class History:
    """Finished rounds of a trajectory: the picks of each, and the accuracy after the last."""

    picks: Sequence[IndexArray]
    accuracy: float
