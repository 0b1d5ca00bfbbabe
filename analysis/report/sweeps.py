"""The section of a sweep: its trials as a table, and its figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import pandas as pd

from analysis.figures.curves import caption, draw_curves
from analysis.figures.sweeps import draw_history, draw_importances, draw_interaction
from analysis.report.pictures import MOST_DRAWN, Picture, slug
from analysis.report.render import Column, Table, integer, number, percent, table_of, text
from analysis.results import Results
from analysis.sweeps import (
    MAX_CLUSTERS,
    SCHEDULE,
    ablation_data,
    history_data,
    importance_data,
    interaction_data,
    trial_table,
)

_FORMATS = ("svg", "png")
_MOST_ABLATIONS = 8


class SweepSection(NamedTuple):
    """What the report says of one sweep."""

    study: str
    facts: str
    tables: Sequence[Table]
    pictures: Sequence[Picture]


def sweep_sections(results: Results) -> list[SweepSection]:
    """Table and figures of each sweep."""
    sections = []
    for study, trials in results.trials.groupby("study", sort=True):
        counts = trials["status"].value_counts()
        facts = f"{len(trials)} trials: " + ", ".join(f"{n} {status}" for status, n in counts.items()) + "."
        section = SweepSection(str(study), facts, [_sheet(str(study), trials)], sweep_pictures(results, str(study)))
        sections.append(section)
    return sections


def sweep_pictures(results: Results, study: str) -> list[Picture]:
    """Figures of one sweep; one that there is nothing for is left out."""
    trials = results.trials[results.trials["study"] == study]
    done = trials[trials["status"] == "complete"]
    made = []
    schedules = sorted(done[SCHEDULE].unique())
    for schedule in schedules if len(schedules) <= _MOST_ABLATIONS else []:
        curves = ablation_data(results, study, schedule)
        if 1 < curves["label"].nunique() <= MOST_DRAWN:
            name = f"ablation-{slug(schedule)}"
            title = f"Accuracy by most clusters, schedule {schedule}"
            made.append(Picture(name, title, caption(curves), partial(draw_curves, curves)))
    cells = interaction_data(trials)
    if cells[MAX_CLUSTERS].nunique() > 1 and cells[SCHEDULE].nunique() <= _MOST_ABLATIONS:
        note = "Mean over seeds of the best trial at each point; bars: 95 % interval, Student's t over seeds"
        made.append(
            Picture("interaction", "Objective by most clusters and schedule", note, partial(draw_interaction, cells))
        )
    history = history_data(trials)
    if len(history) > 1:
        note = "Mean over seeds; complete trials alone"
        made.append(Picture("history", "Objective by trial", note, partial(draw_history, history)))
    importances = importance_data(trials)
    if len(importances):
        note = f"fANOVA over {len(done)} complete trials; says what mattered in this space, not which value is best"
        height = 1.6 + 0.4 * len(importances)
        made.append(
            Picture("importances", "Importance of each setting", note, partial(draw_importances, importances), height)
        )
    return made


def picture_files(results: Results) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the figures of all sweeps in these results."""
    for study in results.trials["study"].unique():
        for picture in sweep_pictures(results, str(study)):
            for kind, content in picture.images(_FORMATS).items():
                yield f"{picture.name}.{kind}", content


def _sheet(study: str, trials: pd.DataFrame) -> Table:
    frame = trial_table(trials)
    settings = list(frame.columns[1 : list(frame.columns).index("objective")])
    columns = [
        Column("trial", "trial", integer),
        *(Column(name, name, _setting) for name in settings),
        Column("objective", "objective", percent),
        Column("low", "from", percent),
        Column("high", "to", percent),
        Column("final_accuracy", "final", percent),
        Column("n_seeds", "seeds", integer),
        Column("labels_reached", "labels", integer),
        Column("status", "status", text),
        Column("seconds", "seconds", number(1)),
    ]
    return table_of(
        f"trials-{study}",
        "Trials",
        frame,
        columns,
        "Objective and final accuracy in %, mean over seeds; from, to: 95 % interval, Student's t over seeds, of each"
        " trial alone. On the tune half of the test data: the best of many trials is lucky as well as good.",
        "Trials that were stopped early saw fewer labels; they have no objective that may be compared.",
    )


def _setting(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
