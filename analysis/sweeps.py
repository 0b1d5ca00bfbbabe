"""Sweeps: trials as a table, and their figures; first the data of a figure, then the drawing.

Trials that were stopped early or failed are in the table, and in no figure of objectives: they saw fewer labels.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from scipy import stats

from analysis import figures
from analysis.figures import INK, line, line_styles, percent_axis
from analysis.maps import legend_below
from analysis.pictures import MOST_DRAWN, Picture, slug
from analysis.render import Column, Table, integer, number, percent, table_of, text
from analysis.results import Results

SCHEDULE = "schedule"
MAX_CLUSTERS = "max_clusters"
_FORMATS = ("svg", "png")
_LEAST_IMPORTANCE = 4
"""Trials from which importances are estimated."""
_SEED = 0
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


def trial_table(trials: pd.DataFrame) -> pd.DataFrame:
    """Trials, the best first: a column per setting, objective with its 95 % interval over seeds, status.

    Args:
        trials: rows of `trials` of one sweep.

    Returns:
        One row per trial: trial, the settings that were searched, schedule, objective, low, high (Student's t;
        null for one seed), final_accuracy, n_seeds, labels_reached, status, seconds. Complete ones come first.
    """
    settings = pd.DataFrame([json.loads(params) for params in trials["params"]], index=trials.index)
    half = (
        stats.t.ppf(0.975, np.maximum(trials["n_seeds"] - 1, 1)) * trials["objective_std"] / np.sqrt(trials["n_seeds"])
    )
    table = pd.concat([trials[["trial"]], settings, trials[[SCHEDULE, "objective"]]], axis=1)
    table = table.assign(low=trials["objective"] - half, high=trials["objective"] + half)
    rest = ["final_accuracy", "n_seeds", "labels_reached", "status", "seconds"]
    table = pd.concat([table, trials[rest]], axis=1)
    order = table["status"].map({"complete": 0, "stopped": 1, "failed": 2})
    keys = pd.DataFrame({"order": order, "objective": -table["objective"], "labels": -table["labels_reached"]})
    return table.loc[keys.assign(trial=table["trial"]).sort_values([*keys.columns, "trial"]).index].reset_index(
        drop=True
    )


def complete(trials: pd.DataFrame) -> pd.DataFrame:
    """`trial_table` of the trials that saw the whole budget, by number."""
    table = trial_table(trials)
    return table[table["status"] == "complete"].sort_values("trial", ignore_index=True)


def ablation_data(results: Results, study: str, schedule: str) -> pd.DataFrame:
    """Accuracy curves by cap on the number of clusters, under one schedule (Fig. 5 of arXiv 2306.04099).

    Returns:
        The columns of `analysis.figures.curve_data`, one curve per cap among complete trials; caps that came to
        the same trajectories share one curve, under all their names. Other hyperparameters that were searched are
        those of the best trial of each cap.
    """
    trials = results.trials[(results.trials["study"] == study) & (results.trials[SCHEDULE] == schedule)]
    table = complete(trials)
    members = trials.set_index("trial")["trajectory_ids"]
    rounds = results.rounds.set_index("trajectory_id")
    shared: dict[tuple[str, ...], list[int]] = {}
    if MAX_CLUSTERS in table:
        best = table.sort_values("objective", ascending=False).drop_duplicates(MAX_CLUSTERS).sort_values(MAX_CLUSTERS)
        for row in best.to_dict("records"):
            shared.setdefault(tuple(members[row["trial"]]), []).append(int(row[MAX_CLUSTERS]))
    frames = []
    for names, caps in shared.items():
        cells = rounds.loc[rounds.index.isin(names)].groupby("n_labels")["accuracy"]
        mean, std = cells.mean(), cells.std(ddof=1)
        label = "/".join(str(cap) for cap in caps)
        frames.append(
            pd.DataFrame(
                {"label": label, "n_labels": mean.index, "mean": mean, "low": mean - std, "high": mean + std}
                | {"n_seeds": cells.size()}
            )
        )
    columns = ["label", "n_labels", "mean", "low", "high", "n_seeds"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def interaction_data(trials: pd.DataFrame) -> pd.DataFrame:
    """Objective by cap on the number of clusters and schedule: the best complete trial of each cell.

    Returns:
        One row per cell: schedule, max_clusters, objective, low, high, n_seeds. Empty where no cap was searched.
    """
    table = complete(trials)
    columns = [SCHEDULE, MAX_CLUSTERS, "objective", "low", "high", "n_seeds"]
    if MAX_CLUSTERS not in table:
        return pd.DataFrame(columns=columns)
    best = table.sort_values("objective", ascending=False).drop_duplicates([SCHEDULE, MAX_CLUSTERS])
    return best.sort_values([SCHEDULE, MAX_CLUSTERS], ignore_index=True)[columns]


def history_data(trials: pd.DataFrame) -> pd.DataFrame:
    """Objective of each complete trial by number, and the best up to it: trial, objective, best."""
    table = complete(trials)[["trial", "objective"]]
    return table.assign(best=table["objective"].cummax())


def importance_data(trials: pd.DataFrame) -> pd.DataFrame:
    """How much of the spread of objectives each setting accounts for (fANOVA, Hutter et al. 2014, by optuna).

    Args:
        trials: rows of `trials` of one sweep; complete ones count, whatever optuna was told during the search.

    Returns:
        One row per setting that differs, the most important first: setting, importance (they sum to 1). Empty
        below 4 trials or where one setting alone differs.
    """
    table = complete(trials)
    settings = list(table.columns[1 : list(table.columns).index("objective")])
    if "schedule.first" in settings:
        settings.remove(SCHEDULE)
    differing = [name for name in settings if table[name].map(repr).nunique() > 1]
    empty = pd.DataFrame(columns=["setting", "importance"])
    if len(table) < _LEAST_IMPORTANCE or len(differing) < 2 or table["objective"].nunique() < 2:
        return empty
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = {name: _distribution(table[name]) for name in differing}
    study = optuna.create_study(direction="maximize")
    for row in table.to_dict("records"):
        params = {name: _plain(row[name]) for name in differing}
        study.add_trial(optuna.trial.create_trial(value=row["objective"], params=params, distributions=distributions))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=_SEED)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return pd.DataFrame({"setting": list(found), "importance": list(found.values())})


def draw_interaction(data: pd.DataFrame, ax: Axes) -> Axes:
    """Draw `interaction_data`: a line per schedule over the caps, with intervals."""
    styles = line_styles(list(data[SCHEDULE].unique()))
    for name, cells in data.groupby(SCHEDULE, sort=False):
        errors = [cells["objective"] - cells["low"], cells["high"] - cells["objective"]]
        style = line(styles[str(name)])
        ax.errorbar(cells[MAX_CLUSTERS], cells["objective"], errors, capsize=3, label=name, **style)
    ticks = sorted(data[MAX_CLUSTERS].unique())
    if ticks and ticks[-1] > 3 * ticks[0]:
        ax.set_xscale("log")
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticks(ticks if len(ticks) <= 8 else [ticks[0], ticks[-1]])
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xlabel("Most clusters")
    percent_axis(ax, "Objective (%)")
    legend_below(ax, 3)
    return ax


def draw_history(data: pd.DataFrame, ax: Axes) -> Axes:
    """Draw `history_data`: a point per trial, a step line for the best so far."""
    ax.step(data["trial"], data["best"], where="post", color="#0072B2", linewidth=1.5, label="best so far")
    ax.plot(data["trial"], data["objective"], linestyle="", marker="o", markersize=5, color=INK, label="trial")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("Trial")
    percent_axis(ax, "Objective (%)")
    legend_below(ax, 2)
    return ax


def draw_importances(data: pd.DataFrame, ax: Axes) -> Axes:
    """Draw `importance_data`: a bar per setting."""
    rows = range(len(data))
    ax.barh(rows, data["importance"], color="#0072B2", height=0.6)
    for row, value in zip(rows, data["importance"], strict=True):
        ax.text(value, row, f" {100 * value:.0f} %", va="center", fontsize=8.5)
    ax.set_yticks(rows, list(data["setting"]))
    ax.invert_yaxis()
    ax.set_xlim(0, 1.08)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
    ax.set_xlabel("Importance (% of the spread)")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax


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
            made.append(Picture(name, title, figures.caption(curves), partial(figures.draw_curves, curves)))
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


def _distribution(values: pd.Series[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    plain = [_plain(value) for value in values]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in plain):
        return FloatDistribution(float(min(plain)), float(max(plain)))
    return CategoricalDistribution(sorted(set(plain), key=repr))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
