"""The report: a page, its tables and its figures, in every format."""

from analysis.formats import FORMATS
from analysis.report.page import Report, Section, make_report, report_files, write_report

__all__ = ["FORMATS", "Report", "Section", "make_report", "report_files", "write_report"]
