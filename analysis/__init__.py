"""What it means: from the Parquet store to estimates, tables and figures. Needs neither Ray nor torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from analysis.exceptions import AnalysisError

if TYPE_CHECKING:
    from analysis.report import make_report, write_report
    from analysis.results import Results, load

_WHERE = {"Results": "results", "load": "results", "make_report": "report", "write_report": "report"}

__all__ = ["AnalysisError", "Results", "load", "make_report", "write_report"]


def __getattr__(name: str) -> Any:
    """What is asked for, from its module: the command line names the errors without pandas."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"analysis.{_WHERE[name]}"), name)
