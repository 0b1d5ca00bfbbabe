"""What to label next: query strategies on frozen features, without any notion of how they are run."""

from strategies.base import Compute, LookAheadDiagnostics, Model, PoolView, Selection, Strategy
from strategies.exceptions import (
    InvalidParameterError,
    InvalidSelectionError,
    PoolExhaustedError,
    StrategyError,
    UnknownStrategyError,
)

__all__ = [
    "Compute",
    "InvalidParameterError",
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
