"""The figures of a report on one data set: what they show, under which heading, saved in which formats."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backend_bases import get_registered_canvas_class

from analysis.exceptions import AnalysisError
from analysis.figures import axes, comparison, curves, diagnostics, plane
from analysis.figures.axes import LineStyle
from analysis.formats import slug
from analysis.report.estimates import Estimates

MOST_DRAWN = 12
_MOST_PANELS = 4


class ReportFigure(NamedTuple):
    """A figure of the report: name of its files, heading, what is shown, how to draw it, height in inches."""

    name: str
    title: str
    note: str
    draw: Callable[[Axes], Axes]
    height: float = 4.4

    def images(self, formats: Collection[str]) -> dict[str, bytes]:
        """Draw it once and save it in each format, the same bytes each time."""
        if not formats:
            return {}
        images = {}
        with rc_context({"svg.fonttype": "none", "svg.hashsalt": "ntkcpl", **axes.PLAIN_TEXT}):
            figure = axes.framed(self.title, self.note, self.draw, height=self.height)
            if layout := figure.get_layout_engine():
                layout.execute(figure)
                figure.set_layout_engine("none")  # else each format lays it out again
            for kind in formats:
                undated: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
                buffer = io.BytesIO()
                # Not Figure.savefig, which draws everything twice. A canvas of vectors leaves its own dpi behind.
                figure.set_dpi(axes.DPI)
                getattr(get_registered_canvas_class(kind)(figure), f"print_{kind}")(buffer, metadata=undated)
                images[kind] = buffer.getvalue()
        return images


def section_figures(estimates: Estimates, styles: dict[str, LineStyle] | None) -> list[ReportFigure]:
    """Figures of a data set; one whose numbers are refused is left out, as the refused table says why.

    Args:
        estimates: of the data set.
        styles: of the configurations of the whole report; None gives those of this data set their own.
    """
    selection = _select(estimates, styles)
    made: list[ReportFigure] = []
    for make in (_curves, _gain, _transitions, _penalties, _spending, _cost, _clusters, _diagnoses):
        try:
            made += make(estimates, selection)
        except AnalysisError:
            continue
    return made


def plane_figures(coverage: pd.DataFrame) -> list[ReportFigure]:
    """Figures of coverage in two dimensions, one for each picture in `Results.coverage`."""
    made = []
    pictures = [picture for _, picture in coverage.groupby("picture", sort=False)]
    for position, picture in enumerate(pictures, start=1):
        name = "coverage_2d" + (f"-{position}" if len(pictures) > 1 else "")
        title = f"Coverage in two dimensions: {picture['data'].iloc[0]}"
        bought = picture.groupby("strategy")["pick"].count().max()
        note = (
            f"{bought} labels, seed {picture['seed'].iloc[0]}. Filled: covered, hollow: not; shapes: classes; numbers:"
            " order of the picks; outlines: balls, clusters"
        )
        draw = partial(plane.draw_picture, picture)
        made.append(ReportFigure(name, title, note, draw, plane.picture_height(picture)))
    return made


@dataclass(frozen=True)
class _Selection:
    """Configurations that figures show: all, or the best of many."""

    names: list[str]
    styles: dict[str, LineStyle]
    note: str
    log: bool

    def of(self, frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
        for column in columns or ("configuration",):
            frame = frame[frame[column].isin(self.names)]
        return frame

    def height(self, row: float, rest: float, least: float) -> float:
        n_lines = sum(axes.wrapped(name).count("\n") / 2 + 1 for name in self.names)
        return max(row * n_lines + rest, least)


def _select(estimates: Estimates, styles: dict[str, LineStyle] | None) -> _Selection:
    names, note = estimates.results.names, ""
    log = curves.needs_log(estimates.accuracies)
    if len(names) > MOST_DRAWN:
        by, means = _means(estimates)
        best = set(means.sort_values(ascending=False).index[:MOST_DRAWN])
        cells = estimates.results.configurations
        named = cells.loc[estimates.results.are_called(cells, estimates.baseline), "configuration"]
        reference = set(named.head(1))
        note = f"; of {len(names)}, the {MOST_DRAWN} best by {by}" + (f" and {estimates.baseline}" if reference else "")
        names = [name for name in names if name in best | reference]
    return _Selection(names, styles or axes.line_styles(names), note, log)


def _means(estimates: Estimates) -> tuple[str, pd.Series[float]]:
    """What the best configurations are chosen by, in words, and its mean over seeds by configuration."""
    try:
        return "area", estimates.areas.set_index("configuration")["area_mean"]
    except AnalysisError:  # their schedules share no label count
        return "final value", estimates.accuracies.groupby("configuration")["mean"].last()


def _curves(estimates: Estimates, selection: _Selection) -> list[ReportFigure]:
    data = curves.curves_of(selection.of(estimates.accuracies))
    drawn, styles = curves.with_bounds(data, selection.styles, estimates.results)
    name = estimates.results.worded("Accuracy")
    draw = partial(curves.draw_curves, drawn, log=selection.log, styles=styles, name=name)
    note = curves.caption(data) + selection.note + curves.bound_note(estimates.results)
    return [ReportFigure("curves", name, note, draw, axes.height_for(drawn["curve"].unique()))]


def _gain(estimates: Estimates, selection: _Selection) -> list[ReportFigure]:
    data = curves.gains_of(selection.of(estimates.gains))
    draw = partial(curves.draw_gain, data, styles=selection.styles)
    note = f"Mean over seeds; band: paired 95 % t interval at each label count alone{selection.note}"
    height = axes.height_for(data["curve"].unique())
    return [ReportFigure("gain", f"Gain over {estimates.baseline}", note, draw, height)] if len(data) else []


def _transitions(estimates: Estimates, selection: _Selection) -> list[ReportFigure]:
    gains, transitions = selection.of(estimates.gains), selection.of(estimates.transitions)
    title = f"Ahead of {estimates.baseline}, and where that changes"
    note = f"Paired 95 % t interval at each label count alone, uncorrected; bar: last change of sign{selection.note}"
    draw = partial(comparison.draw_transitions, gains, transitions, log=selection.log)
    height = selection.height(0.34, 1.4, 2.6)
    return [ReportFigure("phase_transition", title, note, draw, height)] if len(gains) else []


def _penalties(estimates: Estimates, selection: _Selection) -> list[ReportFigure]:
    data = selection.of(estimates.penalties, "configuration", "opponent")
    note = f"% of label counts with a significant paired t-test (5 %, uncorrected: exploratory){selection.note}"
    draw = partial(comparison.draw_penalties, data)
    height = selection.height(0.34, 2.9, 3.6)
    return [ReportFigure("pairwise_penalties", "Pairwise penalties", note, draw, height)] if len(data) else []


def _spending(estimates: Estimates, selection: _Selection) -> list[ReportFigure]:
    data, name = selection.of(estimates.spending), estimates.results.worded("Accuracy")
    draw = partial(diagnostics.draw_spending, data, styles=selection.styles, name=name)
    note = f"Means over seeds after each round; training is not counted{selection.note}"
    return [ReportFigure("spending", f"{name} by seconds of selection", note, draw, axes.height_for(selection.names))]


def _cost(estimates: Estimates, selection: _Selection) -> list[ReportFigure]:
    draw = partial(diagnostics.draw_cost, selection.of(estimates.costs), estimates.areas, styles=selection.styles)
    note = f"Mean over seeds of the area under the curve and of the seconds of selection{selection.note}"
    title = estimates.results.worded("Accuracy against cost")
    return [ReportFigure("cost", title, note, draw, axes.height_for(selection.names))]


def _clusters(estimates: Estimates, selection: _Selection) -> list[ReportFigure]:
    data = estimates.clusters
    note = "Mean over seeds; bars: 95 % interval, Student's t"
    draw = partial(diagnostics.draw_clusters, data)
    return [ReportFigure("max_clusters", "Number of clusters", note, draw)] if len(data) else []


def _diagnoses(estimates: Estimates, selection: _Selection) -> list[ReportFigure]:
    made = []
    note = "Mean over seeds; band: ± 1 standard deviation (ddof = 1)"
    for position, configuration in enumerate(estimates.diagnoses["configuration"].unique()[:_MOST_PANELS], start=1):
        coverage = diagnostics.coverage_data(estimates.results, configuration)
        errors = diagnostics.error_data(estimates.results, configuration)
        name = f"{position}-{slug(configuration)}"
        draw = partial(diagnostics.draw_coverage, coverage)
        made.append(ReportFigure(f"coverage-{name}", f"Coverage: {configuration}", note, draw))
        if errors["n_clusters"].nunique() > 1:
            draw = partial(diagnostics.draw_errors, errors)
            made.append(ReportFigure(f"errors-{name}", f"Errors by clusters: {configuration}", note, draw))
    return made
