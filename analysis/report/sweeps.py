"""The section of a sweep: its trials as a table, and its figures."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import pandas as pd

from analysis.figures.axes import height_for, wrapped
from analysis.figures.curves import caption, draw_curves
from analysis.figures.sweeps import draw_history, draw_importances, draw_interaction
from analysis.formats import slugs
from analysis.registration import find, in_words, registrations_in, seeds_in_words, sweep_subject
from analysis.report.render import Column, Table, integer, number, percent, points, table_of, text
from analysis.report.section_figures import MOST_DRAWN, ReportFigure
from analysis.report.section_tables import interval_text
from analysis.results import Results
from analysis.sweeps import (
    SCHEDULE,
    ablation_data,
    history_data,
    importance_data,
    interaction_data,
    searched,
    setting_text,
    trial_table,
)
from analysis.words import counted
from harness.store.schema import MAXIMISED, METRICS

UNCONFIRMED = (
    "The best trial, number {trial}, is unconfirmed: it was chosen as the best on this half of the test data, so its"
    " objective is too high on average. --confirm-seeds N runs it with N other seeds on the other half."
)
_FORMATS = ("svg", "png")
_MOST_ABLATIONS = 8


class SweepSection(NamedTuple):
    """What the report says of one sweep; `findings` are what is left of its best trials."""

    study: str
    title: str
    facts: str
    findings: Sequence[str]
    tables: Sequence[Table]
    figures: Sequence[ReportFigure]


def sweep_sections(results: Results) -> list[SweepSection]:
    """Table and figures of each sweep."""
    sections = []
    groups = [(str(study), trials) for study, trials in results.trials.groupby("study", sort=True)]
    titles = [_title(results, trials) for _, trials in groups]
    for (study, trials), place, title in zip(groups, slugs(study for study, _ in groups), titles, strict=True):
        counts = trials["status"].value_counts()
        facts = f"{counted(len(trials), 'trial')}: " + ", ".join(f"{n} {status}" for status, n in counts.items()) + "."
        facts += _objective(trials)
        confirmations = results.confirmations[results.confirmations["study"] == study]
        tables = [_trials(place, trials)]
        if len(confirmations):
            tables.insert(0, _confirmations(place, confirmations))
        section = SweepSection(
            study,
            title if titles.count(title) == 1 else f"{title} ({study})",
            facts,
            [*registration_lines(results, study), *confirmation_lines(trials, confirmations)],
            tables,
            sweep_figures(results, study),
        )
        sections.append(section)
    return sections


def sweep_figures(results: Results, study: str) -> list[ReportFigure]:
    """Figures of one sweep; one that there is nothing for is left out."""
    trials = results.trials[results.trials["study"] == study]
    done = trials[trials["status"] == "complete"]
    made = []
    schedules = sorted(done[SCHEDULE].unique())
    parameters = searched(trials)
    place = {name: part for names in (schedules, parameters) for name, part in zip(names, slugs(names), strict=True)}
    if len(schedules) * len(parameters) <= _MOST_ABLATIONS:
        for parameter, schedule in itertools.product(parameters, schedules):
            curves = ablation_data(results, study, schedule, parameter)
            if 1 < curves["curve"].nunique() <= MOST_DRAWN:
                name = f"ablation-{place[parameter]}-{place[schedule]}"
                accuracy = results.worded("Accuracy")
                title = f"{accuracy} by {parameter}, schedule {schedule}"
                note = f"Best trial of each value. {caption(curves)}"
                draw = partial(draw_curves, curves, name=accuracy)
                made.append(ReportFigure(name, title, note, draw, height_for(curves["curve"].unique())))
    for parameter in parameters if len(schedules) <= _MOST_ABLATIONS else []:
        cells = interaction_data(trials, parameter)
        note = "Mean over seeds of the best trial at each point; bars: 95 % interval, Student's t over seeds"
        name, title = f"interaction-{place[parameter]}", f"Objective by {parameter} and schedule"
        made.append(ReportFigure(name, title, note, partial(draw_interaction, cells, parameter)))
    history = history_data(trials)
    if len(history) > 1:
        note = "Mean over seeds; only complete trials"
        made.append(ReportFigure("history", "Objective by trial", note, partial(draw_history, history)))
    importances = importance_data(trials)
    if len(importances):
        note = f"fANOVA over {len(done)} complete trials; says what mattered in this space, not which value is best"
        n_lines = max(wrapped(name).count("\n") + 1 for name in importances["setting"])
        height = 1.6 + max(0.4, 0.2 * n_lines) * len(importances)
        made.append(
            ReportFigure(
                "importances", "Importance of each setting", note, partial(draw_importances, importances), height
            )
        )
    return made


def figure_files(results: Results) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the figures of all sweeps in these results."""
    for study in results.trials["study"].unique():
        for figure in sweep_figures(results, str(study)):
            for kind, content in figure.images(_FORMATS).items():
                yield f"{figure.name}.{kind}", content


def registration_lines(results: Results, study: str) -> list[str]:
    """What was registered for a sweep, what was added to it, and how often its confirmation was looked at."""
    trials = results.trials[results.trials["study"] == study]
    runs = pd.concat([results.trajectories, results.failures])
    runs = runs[runs["trajectory_id"].isin(trials["trajectory_ids"].explode())]
    looks = results.looks[results.looks["study"] == study]
    lines = _looks(looks)
    if runs.empty:
        return lines
    strategy, data_hash = runs[["strategy", "data_hash"]].iloc[0]
    own = find(registrations_in(results.registrations), sweep_subject(strategy), data_hash)
    if not own:
        return lines
    first = own[0]
    if first.study != study:
        return [f"Exploratory: on {first.when} another sweep was registered, {first.study}.", *lines]
    added = [number for number in trials["trial"] if first.n_trials is not None and number >= first.n_trials]
    if added:
        which = f"trials {in_words(added)} were" if len(added) > 1 else f"trial {added[0]} was"
        lines.append(f"Exploratory: {which} added to the {first.n_trials} that were registered.")
    used = {tuple(seeds) for seeds in looks["seeds"]} - {first.confirm_seeds}
    if used and first.confirm_seeds:
        said = in_words(first.confirm_seeds)
        lines.append(f"Exploratory: a confirmation had other seeds than those that were registered, {said}.")
    elif used:
        lines.append("Exploratory: the confirmation was not registered.")
    return [first.sentence, *lines]


def _looks(looks: pd.DataFrame) -> list[str]:
    """How often a confirmation was computed, with which seeds, where that was more than once."""
    seeds = [tuple(each) for each in looks.drop_duplicates("looked_at")["seeds"]]
    if len(seeds) < 2:
        return []
    counts = Counter(seeds)
    said = ", ".join(f"{seeds_in_words(each)} ({'once' if n == 1 else f'{n} times'})" for each, n in counts.items())
    line = f"The confirmation was looked at {len(seeds)} times: {said}."
    if len(counts) > 1:
        line += " Seeds that are added after a look make its interval too narrow: believe the first look."
    return [line]


def _objective(trials: pd.DataFrame) -> str:
    """What the objective of a sweep is, where its trials say so."""
    known = trials.dropna(subset=["maximised", "window_from", "window_to"])
    if known.empty:
        return ""
    kind, low, high = known[["maximised", "window_from", "window_to"]].iloc[0]
    where = f"at {high:.0f} labels" if kind == "final" else f"over {low:.0f} to {high:.0f} labels"
    return f" Objective: {MAXIMISED.get(kind, kind)} {where}."


def _title(results: Results, trials: pd.DataFrame) -> str:
    """What was swept, on what."""
    runs = pd.concat([results.trajectories, results.failures])
    runs = runs[runs["trajectory_id"].isin(trials["trajectory_ids"].explode())]
    return f"Sweep of {', '.join(runs['strategy'].unique())} on {', '.join(runs['data'].unique())}"


def confirmation_lines(trials: pd.DataFrame, confirmations: pd.DataFrame) -> list[str]:
    """What is left of the tuned advantages of one sweep, in a sentence each.

    Args:
        trials: its rows of `trials`.
        confirmations: its rows of `confirmations`.
    """
    lines = [_sentence(row) for row in confirmations.to_dict("records")]
    table = trial_table(trials) if len(trials) else trials
    best = list(table.loc[table["status"] == "complete", "trial"])[:1]
    if best and best[0] not in set(confirmations["trial"]):
        lines.append(UNCONFIRMED.format(trial=best[0]))
    return lines


def _sentence(row: Mapping[Hashable, Any]) -> str:
    trial, default = f"Trial {row['trial']}", f"the default ({row['default']})"
    if row["status"] == "default":
        return f"{trial} is {default}: nothing to confirm."
    if row["status"] == "failed":
        return f"{trial} is unconfirmed: a trajectory of it or of the default failed."
    seeds = list(row["seeds"])
    named = f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"
    said = (
        f"{trial} against {default}: {_gain(row, 'searched')} in the search, {_gain(row, 'confirmed')} with {named} on"
        " the other half of the test data"
    )
    if row["searched"] <= 0:
        return f"{said}; there was no advantage to confirm."
    survived = row["confirmed"] / row["searched"]
    # Of a small advantage the share may be any number.
    share = "none" if survived <= 0 else "all" if survived >= 1 else f"{100 * survived:.0f} %"
    low, high = row["confirmed_low"], row["confirmed_high"]
    if len(seeds) == 1:
        return f"{said}: {share} of the advantage survived, with one seed, which shows no spread."
    if pd.isna(low) or math.isclose(low, high, abs_tol=1e-9):
        return f"{said}: {share} of the advantage survived; the seeds do not differ, so there is no spread to judge by."
    if low > 0:
        return f"{said}: confirmed; {share} of the advantage survived."
    if high < 0:
        return f"{said}: none of the advantage survived; it is worse than the default."
    return f"{said}: not confirmed, as the interval includes 0; by the estimate, {share} of the advantage survived."


def _gain(row: Mapping[Hashable, Any], name: str) -> str:
    interval = interval_text(row[f"{name}_low"], row[f"{name}_high"])
    return f"{points(row[name])} points" + (f" {interval}" if interval else "")


def _confirmations(place: str, frame: pd.DataFrame) -> Table:
    shown = frame.assign(
        seeds=[" ".join(str(seed) for seed in seeds) for seeds in frame["seeds"]],
        **{
            f"{name}_interval": [
                interval_text(*ends) for ends in zip(frame[f"{name}_low"], frame[f"{name}_high"], strict=True)
            ]
            for name in ("searched", "confirmed")
        },
    )
    columns = [
        Column("trial", "trial", integer),
        Column("default", "against the default", text),
        Column("searched", "gain in the search", points),
        Column("searched_interval", "95 % interval", text),
        Column("confirmed", "gain in the confirmation", points),
        Column("confirmed_interval", "95 % interval", text),
        Column("seeds", "other seeds", text),
        Column("status", "status", text),
    ]
    return table_of(
        f"confirmation-{place}",
        "Confirmation",
        shown,
        columns,
        "Objective minus that of the default configuration, in percentage points, paired by seed; 95 % intervals are"
        " Student's t. The search used its own seeds and the tune half of the test data, the confirmation other seeds"
        " and the other half.",
        "The best of many trials owes a part of its objective to luck, so its gain in the search is too high on"
        " average."
        " The confirmation uses neither the seeds of the search nor its half of the test data, so its interval may be"
        " believed. A confirmation that is repeated until it pleases is itself a search.",
        plain=frame.assign(seeds=shown["seeds"]),
    )


def _metric(trials: pd.DataFrame) -> str:
    """What the trials of a sweep were judged by, in words; stores of an earlier version do not say."""
    kept = trials["metric"].dropna()
    return METRICS.get(kept.iloc[0], kept.iloc[0]) if len(kept) else "the metric that was searched for"


def _trials(place: str, trials: pd.DataFrame) -> Table:
    frame = trial_table(trials)
    settings = list(frame.columns[1 : list(frame.columns).index("objective")])
    columns = [
        Column("trial", "trial", integer),
        *(Column(name, name, setting_text) for name in settings),
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
        f"trials-{place}",
        "Trials",
        frame,
        columns,
        f"Objective and final value of {_metric(trials)}, in %, mean over seeds; from, to: 95 % interval, Student's t"
        " over seeds, for each trial alone. All are on the tune half of the test data. The best of many trials owes a"
        " part of its objective to luck.",
        "The objective is what the command asked for (--objective, --metric): by default the area under the accuracy"
        " curve over the label counts that all schedules of the search span. Trials that were stopped early saw fewer"
        " labels, so they have no objective that can be compared.",
    )
