"""The tables of a report on one data set: which numbers, under which headings, with which explanation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd

from analysis import comparison, tables
from analysis.exceptions import AnalysisError
from analysis.published import against_published
from analysis.report.estimates import Estimates, Refusal
from analysis.report.render import (
    Cell,
    Column,
    Table,
    integer,
    number,
    p_value,
    percent,
    points,
    signed,
    table_of,
    text,
)
from analysis.rounding import DIGITS
from analysis.statistics import LEVEL
from analysis.words import counted

_CONFIGURATION = Column("configuration", "configuration", text)
_MOST_COLUMNS = 12
_STD = "mean ± standard deviation over seeds (ddof = 1)"
_signed = signed(0)
_T = "95 % intervals are paired Student's t over seeds"


def section_tables(estimates: Estimates) -> tuple[list[Table], list[Refusal]]:
    """Make the tables in reading order; leave out what is empty; name what is refused or not in all, and why."""
    made: list[Table] = []
    refused = list(estimates.excluded)
    for title, make in _MAKERS.items():
        try:
            table = make(estimates, title)
        except AnalysisError as error:
            refused.append(Refusal(title, str(error)))
        else:
            worded = estimates.results.worded
            table = replace(table, title=worded(table.title), note=worded(table.note), method=worded(table.method))
            made += [table] if len(table.rows) else []
    return made, refused


def mean_std_text(mean: float, std: float) -> str:
    """`41.80 ± 3.82`, in percent; without the deviation of a single seed."""
    if pd.isna(mean):
        return ""
    return percent(mean) if pd.isna(std) else f"{percent(mean)} ± {percent(std)}"


def interval_text(low: float, high: float) -> str:
    """`[-0.12, 1.30]` in signed percentage points; nothing where one end is unknown."""
    return "" if pd.isna(low) or pd.isna(high) else f"[{points(low)}, {points(high)}]"


def _verdict(estimates: Estimates, title: str) -> Table:
    frame = estimates.paired
    shown = frame.assign(interval=[interval_text(*ends) for ends in zip(frame["low"], frame["high"], strict=True)])
    (low, high), n_compared = estimates.window, int(frame["p"].notna().sum())
    columns = [
        _CONFIGURATION,
        Column("difference", "area gain", points),
        Column("interval", "95 % interval", text),
        Column("verdict", "verdict", text),
        Column("p", "p", p_value),
        Column("p_holm", "p (Holm)", p_value),
        Column("detectable", "detectable", percent),
        Column("n_pairs", "pairs", integer),
    ]
    return table_of(
        "verdict",
        title,
        shown,
        columns,
        f"Area under the accuracy curve over {low} to {high} labels minus that of {estimates.baseline}, in percentage"
        f" points, paired by seed. {_T}; Holm corrects for {counted(n_compared, 'comparison')}. Detectable: the"
        " smallest true difference that such a test finds with 80 % power at the spread seen here.",
        "The area under the curve (trapezoids over the true label counts, divided by the span) is the one number per"
        " trajectory that is fixed in advance, so that twelve label counts make one test, not twelve. The difference of"
        " areas is"
        " taken seed by seed. The verdict is `better` or `worse` where the 95 % interval of the mean difference"
        " excludes 0, and `open` otherwise: open does not mean equal. Differences that are the same in every seed show"
        " no spread that they could be held against, so they have no interval and no verdict.",
        plain=frame,
    )


def _area(estimates: Estimates, title: str) -> Table:
    frame = estimates.areas
    shown = frame.assign(
        **{key: _pair_texts(frame, key) for key in ("area", "area_log", "final")},
    )
    low, high = frame["area_from"].iloc[0], frame["area_to"].iloc[0]
    worded = estimates.results.worded
    which = "that was registered" if estimates.registered_window else "that all schedules span"
    columns = [Column("n_seeds", "seeds", integer), Column("n_labels", "budget", integer)]
    table = table_of(
        "area",
        title,
        frame,
        [_CONFIGURATION, *(Column(f"{key}_mean", worded(name), percent) for key, name in _AREAS), *columns],
        f"Percent, {_STD}. Areas are over {low} to {high} labels, the window {which}; the best mean is bold, the second"
        " underlined, where the seeds are equal.",
        "Area: accuracy, linear between its own label counts, integrated over labels and divided by the span; over log"
        " labels, the same on a logarithmic axis, which gives small budgets more weight. Final: accuracy at the last"
        " label count of the schedule. A mean over rounds would depend on where the rounds lie.",
    )
    rows = [list(row) for row in table.rows]
    for position, (key, _) in enumerate(_AREAS, start=1):
        marks = _marks(frame[f"{key}_mean"].where(frame["complete"]))
        for row, written, mark in zip(rows, shown[key], marks, strict=True):
            row[position] = Cell(written, row[position].value, mark)
    return replace(table, frame=frame.drop(columns=["strategy", "params"]), rows=rows)


def _accuracy(estimates: Estimates, title: str) -> Table:
    frame = estimates.accuracies
    means, stds, places = tables.wide(frame), tables.wide(frame, "std"), tables.ranks(frame)
    cells = {
        str(name): [
            Cell(mean_std_text(mean, std), None if pd.isna(mean) else float(mean), _mark(place))
            for mean, std, place in zip(means[name], stds[name], places[name], strict=True)
        ]
        for name in means
    }
    note = f"Percent, {_STD}; the best mean is bold, the second underlined, where the seeds are equal."
    method = (
        "The classifier is trained anew after each round and measured on the test data once, at its last epoch. Bold"
        " and underlined say which mean is largest, not that it is significantly larger."
    )
    plain = frame.assign(
        rank=[places.loc[n, name] for n, name in zip(frame["n_labels"], frame["configuration"], strict=True)]
    )
    counts = [Cell(integer(n), float(n)) for n in means.index]
    if len(cells) > max(_MOST_COLUMNS, len(counts)):
        headings = ["configuration", *(cell.text for cell in counts)]
        rows = [[Cell(name, name), *row] for name, row in cells.items()]
    else:
        headings = ["labels", *cells]
        rows = [[count, *(cells[name][i] for name in cells)] for i, count in enumerate(counts)]
    return Table("accuracy", title, plain.drop(columns=["strategy", "params"]), headings, rows, note, method)


def _published(estimates: Estimates, title: str) -> Table:
    frame = against_published(estimates.results, estimates.accuracies)

    def cell(row: Any) -> Cell:
        distance = "" if pd.isna(row["in_stds"]) else f" ({signed(1)(row['in_stds'])})"
        return Cell(f"{percent(row['mean'])} / {percent(row['published_mean'])}{distance}", row["in_stds"])

    return Table(
        "published",
        title,
        frame,
        *_by_count(frame, cell),
        "Mean accuracy here / published mean, percent; in brackets the difference in published standard deviations.",
        "The published deviation is that of single runs. Two means of 5 runs each differ by more than 1.8 of it in one"
        " of twenty cases by chance alone; twelve label counts of one strategy are not twelve independent cases. Other"
        " features, other settings of the learner or other seeds shift whole columns, so compare the order of the"
        " strategies first, and then the numbers.",
    )


def _gain(estimates: Estimates, title: str) -> Table:
    frame = estimates.gains

    def cell(row: Any) -> Cell:
        return Cell(points(row["gain"]) + ("*" if row["p_holm"] < LEVEL else ""), row["gain"])

    return Table(
        "gain",
        title,
        frame,
        *_by_count(frame, cell),
        f"Percentage points: mean over seeds of the accuracy minus that of {estimates.baseline} at the same label count"
        " and seed. A star: significant at 5 % after Holm's correction for the label counts of the configuration.",
        "The CSV file has the paired 95 % interval of each cell. It holds for one label count looked at alone: if there"
        " is no difference at all, one or more of 12 intervals exclude 0 in up to 46 % of the cases. For a claim about"
        " the whole curve, use the verdict.",
    )


def _effective(estimates: Estimates, title: str) -> Table:
    frame = comparison.effective_budget(estimates.paired_by_seed, baseline=estimates.baseline)
    shown = frame.assign(
        points=[f"{own}/{total}" for own, total in zip(frame["effective_points"], frame["total_points"], strict=True)],
        paired=[f"{own}/{total}" for own, total in zip(frame["paired_points"], frame["total_points"], strict=True)],
    )
    columns = [
        _CONFIGURATION,
        Column("points", "effective", text),
        Column("effective_ratio", "% of points", percent),
        Column("effective_span_ratio", "% of span", percent),
        Column("paired", "paired rule", text),
        Column("effective_at", "effective at", text),
    ]
    name = estimates.baseline
    return table_of(
        "effective_budget",
        title,
        shown,
        columns,
        f"Effective: label counts at which mean accuracy is above the mean plus one standard deviation (ddof = 1) of"
        f" {name}, which is the paper's rule; also as a share of the label counts and of the label axis. Paired rule:"
        " label counts at which the mean gain is positive and significant at 5 % after Holm's correction.",
        f"The paper's rule compares two means by the spread of {name} between seeds, so it ignores the number of seeds"
        " and is sometimes met by chance; the paired rule asks for evidence. On the axis, mean and threshold are linear"
        " between label counts.",
        plain=frame,
    )


def _transition(estimates: Estimates, title: str) -> Table:
    frame = estimates.transitions
    shown = frame.assign(words=[transition_text(row) for row in frame.to_dict("records")])
    columns = [
        _CONFIGURATION,
        Column("answer", "answer", text),
        Column("crossing", "at labels", integer),
        Column("words", "in words", text),
        Column("n_pairs", "pairs", integer),
    ]
    return table_of(
        "phase_transition",
        title,
        shown,
        columns,
        f"Where the sign of the mean gain over {estimates.baseline} changes for the last time, with a 95 % interval"
        " from"
        f" {comparison.N_RESAMPLES} resamples of whole seeds (generator seed {estimates.seed}); there is none with"
        " fewer than 5 seeds.",
        "Before the crossing, the sign may have changed more often. The crossing is linear between label counts."
        " `none`: the sign is the same throughout, and in nearly all resamples as well. `censored`: it is open, because"
        " more than a few resamples change their sign where the mean does not, or end with the other one, or because"
        " the seeds are too few. The ends of the interval are percentiles of the crossings of resampled curves, widened"
        " for few seeds as Student's t is. A resampled curve that keeps the final sign throughout counts as crossing"
        " before the first label count; one that ends with the other sign, beyond the last. In simulations of gains"
        " that cross steeply, from 5 seeds on, the interval contains the true crossing in 93 to 97 % of the cases. Of a"
        " gain that stays near zero after its crossing, the last change of sign comes late by chance, and the interval"
        " misses the true one more often.",
        plain=frame,
    )


def transition_text(row: Any) -> str:
    """One row of `phase_transition` in words."""
    side = "behind" if row["final_sign"] < 0 else "ahead"
    if row["final_sign"] == 0:
        return "no difference at any label count"
    if pd.isna(row["crossing"]):
        if row["answer"] == "none":
            return f"{side} throughout"
        if pd.isna(row["high"]):
            return f"{side} throughout; a later change is not excluded"
        return f"{side} throughout; an early change, up to {integer(row['high'])} labels, is not excluded"
    if row["n_pairs"] < 5:
        return f"{side} from there to the last label count in the mean; too few seeds for an interval"
    low = "before the first label count" if row["low_open"] else integer(row["low"])
    high = "beyond the last label count" if row["high_open"] else integer(row["high"])
    open_end = "" if row["answer"] == "crossing" else " in the mean, but which side is ahead at the end is open"
    return f"{side} from there to the last label count{open_end}; 95 % interval: {low} to {high}"


def _saved(estimates: Estimates, title: str) -> Table:
    frame = estimates.saved
    shown = frame.assign(
        interval=[
            "" if pd.isna(low) else f"[{_signed(low)}, {_signed(high)}]"
            for low, high in zip(frame["low"], frame["high"], strict=True)
        ]
    )
    name = estimates.baseline
    columns = [
        _CONFIGURATION,
        Column("target", estimates.results.worded("accuracy"), percent),
        Column("labels", "labels", integer),
        Column("baseline_labels", f"labels of {name}", integer),
        Column("saved", "saved", _signed),
        Column("interval", "95 % interval", text),
        Column("extra_seconds", "extra selection, s", signed(2)),
    ]
    return table_of(
        "labels_saved",
        title,
        shown,
        columns,
        f"Labels at which the mean curve first reaches 90, 95 and 99 % of the final accuracy of {name}, and the seconds"
        f" of selection until then minus those of {name}. Numbers are empty where the curve never gets there. An"
        " interval from −∞ has resamples of seeds in which it does not. Labels are rounded, so a difference may be one"
        " off.",
        "The curve is linear between label counts; one that starts at the target or above counts from its first label"
        f" count. Intervals are from {comparison.N_RESAMPLES} resamples of whole seeds, each with the final accuracy of"
        f" {name} in it (generator seed {estimates.seed}); there are none with fewer than 5 seeds. Seconds are means"
        " over seeds, of the rounds up to the one that gets there; they were measured while the study ran, and have no"
        " interval.",
        plain=frame,
    )


def _outcomes(estimates: Estimates, title: str) -> Table:
    frame = comparison.win_tie_loss(estimates.paired_by_seed, baseline=estimates.baseline, window=estimates.window)
    shown = frame.assign(
        **{
            unit: [
                "/".join(str(row[f"{unit}_{end}"]) for end in ("won", "tied", "lost"))
                for row in frame.to_dict("records")
            ]
            for unit in ("seeds", "points")
        }
    )
    columns = [
        _CONFIGURATION,
        Column("seeds", "seeds, by area", text),
        Column("points", "label counts, by mean gain", text),
    ]
    return table_of(
        "win_tie_loss",
        title,
        shown,
        columns,
        f"Won/tied/lost against {estimates.baseline}; a difference within ±{percent(comparison.TIE_BAND)} points is a"
        " tie.",
        "These are counts, not tests: neither column says how likely it is by chance.",
        plain=frame,
    )


def _penalties(estimates: Estimates, title: str) -> Table:
    frame = estimates.penalties
    names = list(frame["configuration"].unique())
    found = {(row["configuration"], row["opponent"]): row for row in frame.to_dict("records")}

    def cell(configuration: str, opponent: str) -> Cell:
        row = found.get((configuration, opponent))
        if row is None:
            return Cell("·" if configuration == opponent else "")
        return Cell(f"{100 * row['plain']:.0f} ({100 * row['holm']:.0f})", row["plain"])

    rows = [[Cell(name, name), *(cell(name, opponent) for opponent in names)] for name in names]
    return Table(
        "pairwise_penalties",
        title,
        frame,
        ["beats →", *names],
        rows,
        "Percent of label counts at which the row beats the column in a paired t-test at 5 %: first uncorrected, then"
        " in brackets after Holm's correction for the label counts of the pair. All label counts are used, those at"
        " saturation as well.",
        "This is the pairwise penalty matrix of Ash et al. (2020), but paired by seed. Uncorrected counts are"
        " exploratory. The penalty of a configuration is the mean of its column: low is good.",
    )


def _cost(estimates: Estimates, title: str) -> Table:
    frame = estimates.costs
    seconds = number(2)
    columns = [
        _CONFIGURATION,
        Column("select_seconds", "selection, s", seconds),
        Column("select_std", "std", seconds),
        Column("train_seconds", "training, s", seconds),
        Column("train_std", "std", seconds),
        Column("slowest_round", "slowest selection, s", seconds),
        Column("peak_bytes", "peak memory, MiB", lambda value: integer(value / 2**20)),
        Column("n_seeds", "seeds", integer),
    ]
    return table_of(
        "cost",
        title,
        frame,
        columns,
        "Wall time of a trajectory (sums over its rounds; mean and standard deviation over seeds, ddof = 1) and the"
        " largest memory of its process.",
        "These were measured while the study ran, with whatever ran beside it: compare strategies of one study, not"
        " machines.",
    )


def _spending(estimates: Estimates, title: str) -> Table:
    frame = estimates.spending

    def cell(row: Any) -> Cell:
        return Cell(f"{row['select_seconds']:.3g}", row["select_seconds"])

    return Table(
        "spending",
        title,
        frame,
        *_by_count(frame, cell),
        "Seconds of selection from the first round on, mean over seeds; the CSV file also has the seconds of training"
        " and the accuracy that was reached.",
        "This is how long a user waits for a strategy to choose until so many labels are bought. It was measured while"
        " the study ran, with whatever ran beside it. Energy is not measured: multiply by the power of the machine if"
        " you know it.",
    )


def _diagnosis(estimates: Estimates, title: str) -> Table:
    columns = [
        _CONFIGURATION,
        Column("n_labels", "labels", integer),
        Column("n_clusters", "clusters", number(0)),
        Column("coverage_estimated", "estimated", percent),
        Column("coverage_ntk_true", "NTK, true labels", percent),
        Column("coverage_true", "true", percent),
        Column("p_nff", "P_nff", percent),
        Column("p_fnf", "P_fnf", percent),
        Column("error_cpl", "sum", percent),
        Column("ntk_error", "NTK error", percent),
        Column("error_bound", "bound", percent),
        Column("estimate_error", "error of the estimate", percent),
    ]
    return table_of(
        "coverage_and_errors",
        title,
        estimates.diagnoses,
        columns,
        "Percent of the points that the look-ahead works on, after the last pick of a round; means over seeds.",
        "Coverage (Fig. 4 of the paper): share of points predicted right by the kernel regression on pseudo-labels"
        " (against pseudo-labels), by the same with true labels, and by the trained classifier. Errors (eq. 5 to 7):"
        " P_nff, the pseudo-label is predicted but the class is wrong (impure clusters); P_fnf, the class is right but"
        " the pseudo-label is not (too many clusters); their sum bounds what pseudo-labels cost. NTK error: classifier"
        " and kernel regression predict different classes. Bound: the sum of all three. Error of the estimate: how far"
        " estimated and true coverage are apart in a round of a seed, at most the bound (eq. 5). True labels are used"
        " for this table only; no strategy sees them.",
    )


def _clusters(estimates: Estimates, title: str) -> Table:
    columns = [
        Column("curve", "curve", text),
        Column("max_clusters", "most clusters", integer),
        Column("area_mean", "area", percent),
        Column("low", "from", percent),
        Column("high", "to", percent),
        Column("final_mean", "final", percent),
        Column("n_seeds", "seeds", integer),
    ]
    return table_of(
        "max_clusters",
        title,
        estimates.clusters,
        columns,
        "Percent: area under the curve with its 95 % interval (Student's t over seeds, not paired), and final"
        " accuracy.",
        "These configurations differ only in the cap on the number of clusters.",
    )


def _metrics(estimates: Estimates, title: str) -> Table:
    frame = tables.metrics_table(estimates.results)
    columns = [
        _CONFIGURATION,
        Column("n_labels", "labels", integer),
        Column("balanced_accuracy", "balanced", percent),
        Column("macro_f1", "macro-F1", percent),
        Column("least_recall", "least recall", percent),
        Column("nll", "NLL", number(3)),
        Column("ece", "ECE", percent),
        Column("classes_reached", "classes reached", number(1)),
        Column("class_balance", "class balance", number(2)),
        *([Column("n_no_class", "labels of no class", number(1))] if frame["n_no_class"].any() else []),
        Column("n_seeds", "seeds", integer),
    ]
    last = frame.groupby("configuration", sort=False).tail(1)
    shown = table_of(
        "metrics",
        title,
        last,
        columns,
        "Mean over seeds after the last round, shares in percent; the CSV file has every label count.",
        "Balanced: the mean over classes of the recall, which is the share of right predictions among the test points"
        " of a class. Least recall: that of the class with the lowest. NLL: mean negative log-likelihood of the true"
        " class, in nats. ECE:"
        " expected calibration error over 15 bins of equal width. Of these two, less is better. Classes reached: those"
        " with a bought point. Class balance: entropy of the classes of the bought points, over that of equal shares."
        " Labels of no class: those that were spent on points without a class (--ood), which teach nothing.",
    )
    return replace(shown, frame=frame)


def _configurations(estimates: Estimates, title: str) -> Table:
    cells = estimates.results.configurations
    keys = ["configuration", "strategy", "params", "schedule", "evaluate_on"]
    frame = cells.groupby(keys, sort=False)["seed"].agg(lambda seeds: " ".join(str(seed) for seed in sorted(seeds)))
    columns = [
        _CONFIGURATION,
        Column("schedule", "schedule", text),
        Column("evaluate_on", "test data", text),
        Column("seed", "seeds", text),
        Column("params", "parameters", text),
    ]
    return table_of(
        "configurations",
        title,
        frame.reset_index(),
        columns,
        "Every configuration with all its parameters. Its name has only those that differ within this report, so the"
        " same name may mean something else in another report.",
    )


def _missing(estimates: Estimates, title: str) -> Table:
    columns = [_CONFIGURATION, Column("seed", "seed", integer), Column("reason", "reason", text)]
    return table_of(
        "missing",
        title,
        tables.missing_cells(estimates.results),
        columns,
        "Seeds that another configuration has finished or tried. They are left out of all numbers, and nothing is"
        " filled in for them.",
    )


_AREAS = (("area", "area over labels"), ("area_log", "area over log labels"), ("final", "final accuracy"))
_MAKERS: dict[str, Callable[[Estimates, str], Table]] = {
    "Verdict on whole curves": _verdict,
    "Missing cells and failures": _missing,
    "Area under the curve and final accuracy": _area,
    "Accuracy by label count": _accuracy,
    "Against the published numbers": _published,
    "Gain by label count": _gain,
    "Effective budget": _effective,
    "Phase transition": _transition,
    "Labels needed and saved": _saved,
    "Wins, ties and losses": _outcomes,
    "Pairwise penalties": _penalties,
    "Further metrics": _metrics,
    "Cost": _cost,
    "Seconds of selection by label count": _spending,
    "Number of clusters": _clusters,
    "Coverage and error decomposition": _diagnosis,
    "Configurations": _configurations,
}


def _by_count(frame: pd.DataFrame, cell: Callable[[Any], Cell]) -> tuple[list[str], list[list[Cell]]]:
    """Headings and rows of a grid, a row per label count and a column per configuration; `cell` makes one of a row."""
    names, counts = list(frame["configuration"].unique()), sorted(frame["n_labels"].unique())
    found = {(row["n_labels"], row["configuration"]): cell(row) for row in frame.to_dict("records")}
    rows = [[Cell(integer(n), float(n)), *(found.get((n, name), Cell("")) for name in names)] for n in counts]
    return ["labels", *names], rows


def _pair_texts(frame: pd.DataFrame, key: str) -> list[str]:
    return [mean_std_text(*pair) for pair in zip(frame[f"{key}_mean"], frame[f"{key}_std"], strict=True)]


def _marks(values: pd.Series[float]) -> list[str]:
    return [_mark(place) for place in values.round(DIGITS).rank(method="min", ascending=False)]


def _mark(place: Any) -> str:
    return "" if pd.isna(place) else {1: "best", 2: "second"}.get(int(place), "")
