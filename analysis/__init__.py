"""What it means: from the Parquet store to estimates, tables and figures. Needs neither Ray nor torch."""

from typing import TYPE_CHECKING, Any

from analysis.exceptions import AnalysisError

if TYPE_CHECKING:
    from analysis.results import Results, load

__all__ = ["AnalysisError", "Results", "load"]


def __getattr__(name: str) -> Any:
    """`Results` and `load` when they are asked for: the command line names its errors without pandas."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from analysis import results

    return getattr(results, name)
