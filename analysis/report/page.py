"""The report of one or more stores: a self-contained page, and tables and figures as files."""

from __future__ import annotations

import base64
import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from analysis.exceptions import AnalysisError, SelectionError
from analysis.figures.axes import LineStyle, line_styles
from analysis.figures.curves import bound_note, caption, curves_of, needs_log, with_bounds
from analysis.formats import FIGURE_FORMATS, FORMATS, check_formats, slugs
from analysis.provenance import study_table, warnings
from analysis.report import overall, verdict
from analysis.report.estimates import Estimates, Refusal
from analysis.report.registered import BASELINE, Part, confirmatory, parts
from analysis.report.render import WRITERS, Table
from analysis.report.section_figures import MOST_DRAWN, ReportFigure, plane_figures, section_figures
from analysis.report.section_tables import section_tables
from analysis.report.sweeps import SweepSection, sweep_sections
from analysis.results import Results
from analysis.tables import without_baseline
from analysis.words import counted, listed
from harness.store.location import replace_file

RESAMPLING_SEED = 20230604
_FIGURES_OF_A_PROCESS = 16
"""Figures that are worth a process, which takes as long to start as six of them to draw."""


@dataclass(frozen=True)
class Section:
    """What the report says about one data set, or about one half of its test data.

    Attributes:
        name: name of the data set, and of the half.
        is_half: whether it is about a half of the test data, as for the trajectories of sweeps.
        facts: what was run, in one sentence.
        headline: the verdict in one sentence; None if there is no verdict.
        findings: a sentence for each configuration.
        limits: what the seeds cannot show.
        curves: data of the interactive figure.
        tables: in reading order.
        figures: in reading order.
        refused: what is left out, and why.
        registered: what was registered, and what differs from the registration.
        is_exploratory: whether it goes beyond a registration.
    """

    name: str
    is_half: bool
    facts: str
    headline: str | None
    findings: Sequence[verdict.Finding]
    limits: Sequence[str]
    curves: dict[str, Any]
    tables: Sequence[Table]
    figures: Sequence[ReportFigure]
    refused: Sequence[Refusal]
    registered: Sequence[str] = ()
    is_exploratory: bool = False

    @property
    def refused_by_reason(self) -> dict[str, str]:
        """Each reason with everything that was left out for it."""
        titles: dict[str, list[str]] = {}
        for refusal in self.refused:
            titles.setdefault(refusal.reason, []).append(refusal.title)
        return {reason: ", ".join(dict.fromkeys(own)) for reason, own in titles.items()}


@dataclass(frozen=True)
class Report:
    """The content of a report before anything is written; you can also use it in a notebook.

    Attributes:
        title: title of the page.
        sections: one for each data set and part of the test data; those of halves come last.
        sweeps: one for each sweep.
        across: tables across data sets, if there are at least two; if learners are compared, tables across learners,
            and across the data sets of each learner.
        across_title: title of these tables.
        notes: what a reader must know about this comparison.
        plane: table of coverage in two dimensions, if there is a picture of it.
        plane_figures: figures of this coverage.
        warnings: what a reader must know before comparing numbers.
        tables: environments and studies.
        commands: each study with its exact command.
        remarks: remarks on a study, by its name.
        seed: seed of the resampling.
        baseline: name of the strategy with which the others are compared.
        metric: the column of `rounds` that is compared.
        renewed_every: seconds after which a browser loads the page again; None if the page does not change.
    """

    title: str
    sections: Sequence[Section]
    sweeps: Sequence[SweepSection]
    across: Sequence[Table]
    across_title: str
    notes: Sequence[str]
    plane: Sequence[Table]
    plane_figures: Sequence[ReportFigure]
    warnings: Sequence[str]
    tables: Sequence[Table]
    commands: Sequence[tuple[str, str]]
    remarks: Mapping[str, Sequence[str]]
    seed: int
    baseline: str
    metric: str
    renewed_every: int | None = None

    def numbered(self, *, halves: bool) -> list[tuple[int, Section]]:
        """The sections on halves of the test data, or all others, each with its number among all sections."""
        return [(n, section) for n, section in enumerate(self.sections, start=1) if section.is_half == halves]


def make_report(
    results: Results,
    *,
    baseline: str | None = None,
    seed: int = RESAMPLING_SEED,
    remarks: Mapping[str, Sequence[str]] | None = None,
) -> Report:
    """Compute a report.

    Args:
        results: finished trajectories.
        baseline: name of the strategy or configuration to compare with; None takes the registered one, or
            else Random.
        seed: seed of the resampling; it is recorded in the report.
        remarks: remarks on a study, by its name.

    Raises:
        SelectionError: No trajectory is finished, or the baseline that was asked for does not exist. (A study without
            Random still gets a report.)
    """
    if results.trajectories.empty and results.coverage.empty:
        raise SelectionError("Expected finished trajectories to report on, but got none.")
    known = {*results.trajectories["strategy"], *results.failures["strategy"], *results.names, BASELINE}
    made = parts(results, baseline)
    known |= {name for part in made for name in part.results.names}
    if baseline is not None and baseline not in known:
        close = difflib.get_close_matches(baseline, sorted(known), n=1)
        hint = f" Did you mean `{close[0]}`?" if close else ""
        raise SelectionError(f"Expected a baseline among {', '.join(sorted(known))}, but got `{baseline}`.{hint}")
    estimates = [Estimates(part.results, part.baseline, seed, part.window) for part in made]
    if baseline not in (None, BASELINE) and not any(each.has_baseline for each in estimates):
        reasons = [each.reason for part in made for each in without_baseline(part.results, part.baseline)]
        raise SelectionError(f"{' '.join(reasons)} --baseline also takes the whole name of a configuration.")
    names = list(dict.fromkeys(name for part in made for name in part.results.names))
    styles = line_styles(names) if len(names) <= MOST_DRAWN else None  # of many, those of a section are told apart
    sections = [_section(part, each, styles) for part, each in zip(made, estimates, strict=True)]
    bases = list(dict.fromkeys(part.baseline for part in made)) or [BASELINE]
    windows = {part.results.data_names[0]: part.window for part in made if part.window is not None}
    is_many = len({results.learners.get(name, (name, ""))[0] for name in results.data_names}) > 1
    across_title, across, notes = "Across data sets", list[Table](), list[str]()
    if results.learners:
        across, notes = overall.learners(confirmatory(results, made), windows)
    if is_many and len(bases) > 1:
        notes.append(f"No tables across data sets: they have several baselines, {listed(bases)}.")
    elif is_many:
        of = overall.across_by_learner if results.learners else overall.across
        tables, said = of(confirmatory(results, made), bases[0], seed, windows)
        across, notes = [*across, *tables], [*notes, *said]
    if results.learners:
        is_across = any(not table.name.startswith("learner") for table in across)
        across_title = "Across learners, and across data sets under each" if is_across else "Across learners"
    commands = pd.concat([frame[["study", "command"]] for frame in (study_table(results), _pictured(results))])
    return Report(
        title=f"Active learning on {', '.join(results.data_names or results.coverage['data'].unique())}"
        + ("" if results.metric == "accuracy" else f": {results.worded('accuracy')}"),
        sections=sections,
        sweeps=sweep_sections(results),
        across=across,
        across_title=across_title,
        notes=notes,
        plane=[] if results.coverage.empty else [overall.plane(results)],
        plane_figures=plane_figures(results.coverage),
        warnings=warnings(results),
        tables=[] if results.trajectories.empty else [overall.environments(results)],
        commands=[(str(row["study"]), str(row["command"])) for row in commands.to_dict("records")],
        remarks=remarks or {},
        seed=seed,
        baseline=", ".join(bases),
        metric=results.metric,
    )


def write_report(report: Report, folder: Path, formats: Sequence[str] = FORMATS) -> Path:
    """Write a report and replace the files of an earlier one; other files stay.

    Args:
        report: what to write.
        folder: folder for index.html, tables/ and figures/; with several data sets, these have a folder for each.
        formats: some of `FORMATS`.

    Returns:
        `folder`.

    Raises:
        SelectionError: an unknown format.
    """
    for name, content in report_files(report, formats):
        replace_file(folder / name, content)
    return folder


def report_files(report: Report, formats: Sequence[str] = FORMATS) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files that `write_report` writes, one after the other.

    Raises:
        SelectionError: an unknown format.
    """
    check_formats(formats)
    for place, tables in _placed_tables(report):
        for kind in (kind for kind in formats if kind in WRITERS):
            for table in tables:
                yield _below("tables", place, f"{table.name}.{kind}"), WRITERS[kind](table).encode()
    kinds = [kind for kind in FIGURE_FORMATS if kind in formats]
    drawn: dict[tuple[str, str], str] = {}
    placed = list(_placed_figures(report))
    asked = {*kinds, *(["svg"] if "html" in formats else [])}
    n_processes = max(1, min(joblib.cpu_count(), len(placed) // _FIGURES_OF_A_PROCESS))
    draw = joblib.Parallel(n_jobs=n_processes, return_as="generator")
    all_images = draw(joblib.delayed(figure.images)(asked) for _, _, figure in placed)
    for (name, place, figure), images in zip(placed, all_images, strict=True):
        for kind in kinds:
            yield _below("figures", place, f"{figure.name}.{kind}"), images[kind]
        drawn[name, figure.name] = base64.b64encode(images.get("svg", b"")).decode()
    if "html" in formats:
        yield "index.html", render_page(report, drawn).encode()


def render_page(report: Report, drawn: dict[tuple[str, str], str]) -> str:
    """The page as self-contained HTML.

    Args:
        report: what to show.
        drawn: SVG in base64 by names of data set or sweep (none for the plane) and figure.
    """
    environment = Environment(
        loader=PackageLoader("analysis.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(script_json=_script_json, breakable=_breakable)
    return environment.get_template("report.html").render(report=report, drawn=drawn)


def _section(part: Part, estimates: Estimates, styles: dict[str, LineStyle] | None) -> Section:
    tables, refused = section_tables(estimates)
    headline, findings, limits = None, [], []
    try:
        paired = estimates.paired
        headline = verdict.headline(paired, estimates.baseline)
        headline = f"Exploratory: {headline}" if part.is_exploratory else headline
        findings = verdict.findings(paired, estimates.baseline, _savings(estimates))
        limits = verdict.limits(dict(zip(paired["configuration"], paired["n_pairs"], strict=True)))
    except AnalysisError:
        pass  # named among the refused tables
    return Section(
        name=part.name,
        is_half=part.evaluate_on != "all",
        facts=_facts(part.results),
        headline=headline,
        findings=findings,
        limits=limits,
        curves=_interactive(estimates, styles or line_styles(estimates.results.names)),
        tables=tables,
        figures=section_figures(estimates, styles),
        refused=refused,
        registered=part.notes,
        is_exploratory=part.is_exploratory,
    )


def _savings(estimates: Estimates) -> dict[str, str]:
    """Labels saved and what they cost, by configuration; nothing where it is refused, as the refused table says why."""
    try:
        return verdict.savings(estimates.saved, estimates.baseline, estimates.results.worded("accuracy"))
    except AnalysisError:
        return {}


def _facts(results: Results) -> str:
    cells = results.configurations
    seeds = results.trajectories["seed"].unique()
    rounds = results.rounds["n_labels"]
    spans = f"{rounds.min()} to {rounds.max()} labels" if len(rounds) else "no finished round"
    schedules = ", ".join(sorted(cells["schedule"].unique()))
    n = cells["configuration"].nunique()
    return (
        f"{counted(n, 'configuration')}, {counted(len(seeds), 'seed')}, {spans} (schedule {schedules});"
        f" {counted(len(results.trajectories), 'trajectory')} finished, {len(results.failures)} failed."
    )


def _interactive(estimates: Estimates, styles: dict[str, LineStyle]) -> dict[str, Any]:
    curves = curves_of(estimates.accuracies)
    try:
        gains = estimates.gains.set_index(["configuration", "n_labels"])
    except AnalysisError:
        gains = pd.DataFrame(columns=["gain", "low", "high"], index=pd.MultiIndex.from_arrays([[], []]))
    drawn, styles = with_bounds(curves, styles, estimates.results)
    series = []
    for name, curve in drawn.groupby("curve", sort=False):
        style = styles[str(name)]
        points = []
        for row in curve.to_dict("records"):
            place = (name, row["n_labels"])
            gain = gains.loc[place].to_dict() if place in gains.index else {}
            points.append(
                {
                    "x": row["n_labels"],
                    "n": row["n_seeds"],
                    "accuracy": _finite(row["mean"], row["low"], row["high"]),
                    "gain": _finite(*(gain.get(key) for key in ("gain", "low", "high"))),
                }
            )
        dash = "" if isinstance(style.dash, str) else " ".join(str(3 * length / 2) for length in style.dash[1])
        series.append({"name": name, "colour": style.colour, "dash": dash, "marker": style.marker, "points": points})
    return {
        "name": estimates.results.worded("Accuracy"),
        "metric": estimates.results.worded("accuracy"),
        "log": needs_log(curves),
        "caption": caption(curves) + bound_note(estimates.results),
        "series": series,
    }


def _finite(*values: Any) -> list[float | None] | None:
    rounded = [None if value is None or not np.isfinite(value) else round(float(value), 5) for value in values]
    return None if rounded[0] is None else rounded


def _pictured(results: Results) -> pd.DataFrame:
    return results.coverage[["picture", "command"]].drop_duplicates().rename(columns={"picture": "study"})


def _placed_tables(report: Report) -> Iterator[tuple[str, Sequence[Table]]]:
    yield (
        "",
        [*report.tables, *report.across, *(table for sweep in report.sweeps for table in sweep.tables), *report.plane],
    )
    for section in report.sections:
        place = _place(report, section)
        named = section.tables
        if place:
            named = [replace(each, title=f"{each.title}: {section.name}", place=place) for each in section.tables]
        yield place, named


def _placed_figures(report: Report) -> Iterator[tuple[str, str, ReportFigure]]:
    """Data set or sweep, folder, figure."""
    yield from (("", "", figure) for figure in report.plane_figures)
    for section in report.sections:
        yield from ((section.name, _place(report, section), figure) for figure in section.figures)
    for sweep, place in zip(report.sweeps, slugs(sweep.study for sweep in report.sweeps), strict=True):
        yield from ((sweep.study, place, figure) for figure in sweep.figures)


def _place(report: Report, section: Section) -> str:
    """Folder of a data set among several."""
    if len(report.sections) == 1:
        return ""
    return slugs(each.name for each in report.sections)[list(report.sections).index(section)]


def _below(*names: str) -> str:
    return "/".join(name for name in names if name)


def _breakable(value: str) -> Markup:
    """Escaped text that may be broken inside the name of a configuration, not inside the name of a parameter."""
    return Markup(re.sub(r"([\[,]|_(?![^\[]*\]))", r"\1<wbr>", str(escape(value))))  # noqa: S704


def _script_json(value: Any) -> Markup:
    """JSON that is safe inside a script element: `<` cannot end it, nor open a comment."""
    encoded = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        encoded = encoded.replace(character, f"\\u{ord(character):04x}")
    return Markup(encoded)  # noqa: S704
