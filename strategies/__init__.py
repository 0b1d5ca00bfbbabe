"""What to label next: query strategies on frozen features, without any notion of how they are run."""

from typing import TYPE_CHECKING, Any

from strategies.base import (
    Compute,
    FloatArray,
    IndexArray,
    LookAheadDiagnostics,
    Model,
    PoolView,
    Selection,
    Strategy,
)
from strategies.exceptions import (
    InvalidParameterError,
    InvalidQuestionError,
    InvalidSelectionError,
    PoolExhaustedError,
    StrategyError,
    UnknownStrategyError,
)

if TYPE_CHECKING:
    from strategies.registry import make_strategy

__all__ = [
    "Compute",
    "FloatArray",
    "IndexArray",
    "InvalidParameterError",
    "InvalidQuestionError",
    "InvalidSelectionError",
    "LookAheadDiagnostics",
    "Model",
    "PoolExhaustedError",
    "PoolView",
    "Selection",
    "Strategy",
    "StrategyError",
    "UnknownStrategyError",
    "make_strategy",
]


def __getattr__(name: str) -> Any:
    """`make_strategy` when it is asked for: it imports all strategies."""
    if name != "make_strategy":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from strategies.registry import make_strategy

    return make_strategy
