"""`ntkcpl report`: from stores to a page, tables and figures."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

from analysis import load
from analysis.formats import FORMATS, check_formats
from harness.exceptions import StoreError
from harness.store.location import Location, require_folder, write
from harness.store.reading import table_files

MANY_FILES = 2_000
"""Of a table, from which on reading them takes seconds."""
_MANIFEST = "files.json"
_OWN = re.compile(r"index\.html|(?:tables|figures)/[^\\]+")


def report_store(
    stores: Sequence[Location],
    *,
    baseline: str | None = None,
    formats: Sequence[str] = FORMATS,
    out: Location | None = None,
    study: str | None = None,
    shared_seeds: bool = False,
    skip_damaged: bool = False,
    metric: str | None = None,
    by_learner: bool = False,
    renewed_every: int | None = None,
    remarks: Mapping[str, Sequence[str]] | None = None,
) -> Location:
    """Write the report of one store, or of several merged.

    What an earlier report wrote in the same formats and this one does not have is removed, so that nothing there
    contradicts the page; other files stay.

    Args:
        stores: folders or addresses of stores.
        baseline: name of the strategy or configuration that others are compared with; None takes what was registered,
            else Random.
        formats: some of `analysis.formats.FORMATS`.
        out: folder to write, or an address; None takes `report` below the first store.
        study: report on this study alone.
        shared_seeds: keep only the seeds that all configurations have finished.
        skip_damaged: go on without files that cannot be read; the report names them.
        metric: what to look at, one of `harness.store.schema.METRICS`; None takes what was registered, else accuracy.
        by_learner: compare the learners of a data set.
        renewed_every: seconds after which the page is to load itself again, while somebody watches a study.
        remarks: on studies, by name; None takes those of the paper's studies that the stores have.

    Returns:
        The folder written.

    Raises:
        StoreWriteError: a file cannot be written.
        StoreError: there is no store, or a file, or the list of what earlier reports wrote, cannot be read.
        MixedSettingsError: trajectories that must not be compared.
        SelectionError: nothing is finished, or an unknown study or format.
    """
    check_formats(formats)
    folder = stores[0] / "report" if out is None else out
    require_folder(folder)
    results = load(
        *stores,
        study=study,
        queries=False,
        skip_damaged=skip_damaged,
        metric=metric,
        by_learner=by_learner,
    )
    from analysis.report import make_report, report_files  # late: it draws

    if remarks is None:
        remarks = _remarks({str(name).rpartition("-")[0] for name in results.studies["study"]})
    report = make_report(results.shared_seeds() if shared_seeds else results, baseline=baseline, remarks=remarks)
    files = dict(report_files(replace(report, renewed_every=renewed_every), formats))
    earlier = _written(folder)
    write(folder / _MANIFEST, _listed(earlier | set(files)))  # first: an interrupted report is known, too
    for name, content in files.items():
        write(folder / name, content)
    stale = {name for name in earlier.difference(files) if name.rpartition(".")[2] in formats}
    for name in stale:
        (folder / name).unlink(missing_ok=True)
    write(folder / _MANIFEST, _listed(earlier - stale | set(files)))
    return folder


def hints(stores: Sequence[Location]) -> list[str]:
    """A line for each store that is read sooner once its small files are merged."""
    counts = {store: len(table_files(store, "rounds")) for store in stores}
    return [
        f"The rounds in {store} lie in {n:,} files; `ntkcpl store compact {shlex.quote(str(store))}` merges them, "
        "which saves seconds at the next report."
        for store, n in counts.items()
        if n >= MANY_FILES
    ]


def _remarks(names: set[str]) -> dict[str, list[str]]:
    """What the paper's studies among these say of themselves."""
    if not names - {"compare", "sweep"}:
        return {}
    from studies.study import load_study, study_names  # imports all strategies

    return {name: load_study(name)[1].remarks for name in study_names() if name in names}


def _written(folder: Location) -> set[str]:
    """Files that earlier reports wrote; only names below a report's own folders are believed."""
    manifest = folder / _MANIFEST
    if not manifest.exists():
        return set()
    try:
        names = {str(name) for name in json.loads(manifest.read_bytes())}
    except (ValueError, TypeError) as error:
        raise StoreError(f"Expected a list of files in `{manifest}`, but cannot read it; remove it.") from error
    return {name for name in names if _OWN.fullmatch(name) and ".." not in name.split("/")}


def _listed(names: set[str]) -> bytes:
    return json.dumps(sorted(names), indent=0).encode()
