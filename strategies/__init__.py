"""What to label next: query strategies on frozen features, without any notion of how they are run."""

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
]
