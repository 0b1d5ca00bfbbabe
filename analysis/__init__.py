"""What it means: from the Parquet store to estimates, tables and figures. Needs neither Ray nor torch."""

from analysis.exceptions import AnalysisError
from analysis.results import Results, load

__all__ = ["AnalysisError", "Results", "load"]
