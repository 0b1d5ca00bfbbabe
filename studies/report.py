"""`ntkcpl report`: from stores to a page, tables and figures."""

from __future__ import annotations

from collections.abc import Sequence

from analysis import load
from analysis.report import FORMATS, make_report, report_files
from harness.location import Location, write


def report_store(
    stores: Sequence[Location],
    *,
    baseline: str = "random",
    formats: Sequence[str] = FORMATS,
    out: Location | None = None,
    study: str | None = None,
    shared_seeds: bool = False,
    skip_damaged: bool = False,
) -> Location:
    """Write the report of one store, or of several merged.

    Args:
        stores: folders or addresses of stores.
        baseline: name of the strategy that others are compared with, or a label.
        formats: some of `analysis.report.FORMATS`.
        out: folder to write, or an address; None takes `report` below the first store.
        study: report on this study alone.
        shared_seeds: keep only the seeds that all configurations have finished.
        skip_damaged: go on without files that cannot be read; the report names them.

    Returns:
        The folder written.

    Raises:
        StoreWriteError: a file cannot be written.
        StoreReadError: there is no store, or a file cannot be read.
        MixedSettingsError: trajectories that must not be compared.
        SelectionError: nothing is finished, or an unknown study or format.
    """
    folder = stores[0] / "report" if out is None else out
    results = load(*(str(store) for store in stores), study=study, queries=False, skip_damaged=skip_damaged)
    report = make_report(results.shared_seeds() if shared_seeds else results, baseline=baseline)
    for name, content in report_files(report, formats):
        write(folder / name, content)
    return folder
