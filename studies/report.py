"""`ntkcpl report`: from stores to a page, tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis import load
from analysis.report import FORMATS, make_report, write_report


def report_store(
    stores: Sequence[Path | str],
    *,
    baseline: str = "random",
    formats: Sequence[str] = FORMATS,
    out: Path | None = None,
    study: str | None = None,
    shared_seeds: bool = False,
    skip_damaged: bool = False,
) -> Path:
    """Write the report of one store, or of several merged.

    Args:
        stores: folders or addresses of stores.
        baseline: name of the strategy that others are compared with, or a label.
        formats: some of `analysis.report.FORMATS`.
        out: folder to write; None takes `report` below the first store.
        study: report on this study alone.
        shared_seeds: keep only the seeds that all configurations have finished.
        skip_damaged: go on without files that cannot be read; the report names them.

    Returns:
        The folder written.

    Raises:
        StoreReadError: there is no store, or a file cannot be read.
        MixedSettingsError: trajectories that must not be compared.
        SelectionError: nothing is finished, or an unknown study or format.
    """
    results = load(*stores, study=study, queries=False, skip_damaged=skip_damaged)
    report = make_report(results.shared_seeds() if shared_seeds else results, baseline=baseline)
    return write_report(report, Path(stores[0]) / "report" if out is None else out, formats)
