"""From results to tables with one row per estimate; missing cells are shown and never filled.

Accuracies, areas and differences are in [0, 1] units, seconds are wall time, standard deviations have ddof = 1.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.exceptions import MixedSettingsError, NoBaselineError, SelectionError
from analysis.metrics import areas_under_curves
from analysis.results import Results
from analysis.rounding import DIGITS
from analysis.statistics import detectable_difference, holm, mean_std, paired_difference, t_test
from analysis.words import listed

_TRAJECTORY = ["configuration", "seed", "n_labels", "area", "final_accuracy", "select_seconds", "train_seconds"]
_PAIRED = [
    "configuration",
    "baseline",
    "difference",
    "low",
    "high",
    "n_pairs",
    "method",
    "won",
    "total",
    "p",
    "detectable",
]
_METRICS = [
    *["balanced_accuracy", "macro_f1", "nll", "ece", "least_recall", "classes_reached", "class_balance", "n_no_class"]
]


def accuracy_table(results: Results, data: str | None = None) -> pd.DataFrame:
    """Accuracy at every label count.

    Args:
        results: finished trajectories.
        data: name of the data set; None where the results hold just one.

    Returns:
        One row per configuration and label count, in display order: configuration, strategy, params (JSON), n_labels,
        mean, std (NaN for one seed), n_seeds, complete (no seed is missing).

    Raises:
        SelectionError: `data` does not name one data set of the results.
    """
    results = results.only(data)
    incomplete = set(missing_cells(results)["configuration"])
    cells = results.curves.groupby(["configuration", "n_labels"])["accuracy"]
    estimates = cells.agg(mean="mean", std="std", n_seeds="size").reset_index()
    settings = results.configurations.drop_duplicates("configuration")[["configuration", "strategy", "params"]]
    table = settings.merge(estimates, on="configuration")
    table["complete"] = ~table["configuration"].isin(incomplete)
    return table


def metrics_table(results: Results, data: str | None = None) -> pd.DataFrame:
    """Further metrics besides accuracy at every label count, as means over seeds.

    Args:
        results: finished trajectories.
        data: name of the data set; None where the results hold just one.

    Returns:
        One row per configuration and label count, in display order: configuration, n_labels, balanced_accuracy,
        macro_f1, nll, ece, least_recall (of the classes of a seed), classes_reached, class_balance, n_no_class (labels
        so far that were lost on points of no class), n_seeds. Rounds from before these were kept are left out.

    Raises:
        SelectionError: `data` does not name one data set of the results.
    """
    curves = results.only(data).curves
    kept = curves[curves["nll"].notna()]
    stats = [json.loads(text) if isinstance(text, str) else {} for text in kept["stats"]]
    kept = kept.assign(
        least_recall=[np.nanmin(np.asarray(each, dtype=float)) for each in kept["recall"]],
        n_no_class=[each.get("n_no_class", 0) for each in stats],
    )
    cells = kept.groupby(["configuration", "n_labels"], sort=False)
    return cells[_METRICS].mean().assign(n_seeds=cells.size()).reset_index()


def spending_table(results: Results, data: str | None = None) -> pd.DataFrame:
    """What has been spent at each label count: the seconds of all rounds so far, and the accuracy that they gave.

    Args:
        results: finished trajectories.
        data: name of the data set; None where the results hold just one.

    Returns:
        One row per configuration and label count, in display order: configuration, n_labels, mean (accuracy),
        select_seconds, train_seconds (both since the first round), n_seeds: means over seeds.

    Raises:
        SelectionError: `data` does not name one data set of the results.
    """
    curves = results.only(data).curves
    times = ["select_seconds", "train_seconds"]
    curves = curves.assign(**curves.groupby("trajectory_id")[times].cumsum())
    cells = curves.groupby(["configuration", "n_labels"], sort=False)
    return (
        cells[["accuracy", *times]]
        .mean()
        .assign(n_seeds=cells.size())
        .rename(columns={"accuracy": "mean"})
        .reset_index()
    )


def wide(table: pd.DataFrame, value: str = "mean") -> pd.DataFrame:
    """Arrange `accuracy_table` for display: `label counts x configurations`, with NaN for missing cells.

    Args:
        table: rows of `accuracy_table`.
        value: its column to show.
    """
    return table.pivot(index="n_labels", columns="configuration", values=value)[list(table["configuration"].unique())]


def ranks(table: pd.DataFrame) -> pd.DataFrame:
    """Rank the means of `accuracy_table` at each label count: `label counts x configurations`, 1 is the best.

    Equal means share the better rank. A mean over unequal seeds is not ranked (null). A rank says nothing about
    significance.

    Args:
        table: rows of `accuracy_table`.
    """
    means = wide(table).round(DIGITS).where(wide(table, "complete").eq(True))
    return means.rank(axis="columns", method="min", ascending=False).astype("Int64")


def missing_cells(results: Results, data: str | None = None) -> pd.DataFrame:
    """Seeds that a configuration lacks although another one with the same evaluation data has or tried them.

    Args:
        results: finished trajectories.
        data: name of the data set; None where the results hold just one.

    Returns:
        One row per missing cell: configuration, seed, reason (the message of the failure, or "not run, or not
        finished").

    Raises:
        SelectionError: `data` does not name one data set of the results.
    """
    results = results.only(data)
    return results.cached("missing", lambda: _missing_cells(results)).copy()


def _missing_cells(results: Results) -> pd.DataFrame:
    cells = results.configurations
    failed = set(results.failures["trajectory_id"])
    rows = []
    for name, own in cells.groupby("configuration"):
        wanted = cells.loc[cells["evaluate_on"] == own["evaluate_on"].iloc[0], "seed"].unique()
        finished = set(own.loc[~own.index.isin(failed), "seed"])
        reasons = own.loc[own.index.isin(failed)].set_index("seed")["message"].to_dict()
        rows += [
            (name, seed, reasons.get(seed, "not run, or not finished"))
            for seed in sorted(wanted)
            if seed not in finished
        ]
    return _in_display_order(pd.DataFrame(rows, columns=["configuration", "seed", "reason"]), results)


def common_window(results: Results, data: str | None = None) -> tuple[int, int]:
    """Label counts that every curve spans: from the largest first query to the smallest budget.

    Areas of unequal schedules compare only on such a window; for one schedule it is the whole curve.

    Raises:
        SelectionError: `data` does not name one data set of the results, or none of it is finished.
        MixedSettingsError: the curves share no label count.
    """
    results = results.only(data)
    return results.cached("window", lambda: _common_window(results))


def _common_window(results: Results) -> tuple[int, int]:
    if results.rounds.empty:
        raise SelectionError("Expected finished trajectories, but got none.")
    spans = results.rounds.groupby("trajectory_id")["n_labels"].agg(["min", "max"])
    low, high = int(spans["min"].max()), int(spans["max"].min())
    if low > high:
        raise MixedSettingsError(
            f"Expected schedules that overlap, but got one that ends at {high} labels and one that begins at {low}."
        )
    return low, high


def trajectory_table(
    results: Results, data: str | None = None, *, log: bool = False, window: tuple[float, float] | None = None
) -> pd.DataFrame:
    """Reduce every trajectory to a few numbers; trajectories are the unit of all statistics.

    Args:
        results: finished trajectories.
        data: name of the data set; None where the results hold just one.
        log: integrate over the logarithm of the label count.
        window: label counts of the area; None takes `common_window`.

    Returns:
        One row per trajectory, indexed by `trajectory_id`: configuration, seed, n_labels (its budget), area,
        final_accuracy (at its budget), select_seconds and train_seconds (sums over rounds).

    Raises:
        SelectionError, MixedSettingsError: as `common_window`.
        InvalidValuesError: a window beyond a curve.
    """
    results = results.only(data)
    span = common_window(results) if window is None else window
    return results.cached(("trajectories", log, span), lambda: _trajectories(results, log, span)).copy()


def _trajectories(results: Results, log: bool, window: tuple[float, float]) -> pd.DataFrame:
    sums = results.rounds.groupby("trajectory_id")[["select_seconds", "train_seconds"]].sum()
    ids = results.configurations.loc[results.configurations.index.isin(sums.index), ["configuration", "seed"]]
    parts = [
        pd.DataFrame(
            {
                "n_labels": curves.columns[-1],
                "area": areas_under_curves(curves.columns, curves, log=log, window=window),
                "final_accuracy": curves.iloc[:, -1],
            }
        ).assign(configuration=name)
        for name, curves in results.seed_curves.items()
    ]
    estimates = pd.concat(parts).reset_index(names="seed")
    table = ids.reset_index().merge(estimates, on=["configuration", "seed"]).join(sums, on="trajectory_id")
    return table.set_index("trajectory_id")[_TRAJECTORY]


def paired_table(
    results: Results,
    data: str | None = None,
    *,
    baseline: str = "random",
    log: bool = False,
    window: tuple[float, float] | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Compare every configuration with the baseline of the same schedule and evaluation data, paired by seed.

    Args:
        results: finished trajectories.
        data: name of the data set; None where the results hold just one.
        baseline: name of a strategy with one configuration per schedule, or of a configuration.
        log: integrate over the logarithm of the label count.
        window: label counts of the area; None takes `common_window`.
        confidence: probability that an interval covers the mean difference.

    Returns:
        One row per configuration but the baseline: configuration, baseline (its name), difference (mean difference of
        area), low, high, n_pairs (seeds that both have), method (of the interval), won (label counts at which
        the mean over these seeds is above the baseline's; no test of significance), total (label counts), p
        (paired t-test), p_holm (corrected for the number of rows), detectable (least true difference found with
        80 % power at this spread), verdict ("better" or "worse" where the interval excludes 0, else "open").
        The area is one number per trajectory, so the verdict on a whole curve errs in 5 % of the cases
        whatever the number of label counts.

    Raises:
        NoBaselineError: a configuration has no finished baseline to be compared with, or several.
        SelectionError, MixedSettingsError, InvalidValuesError: as `trajectory_table`.
    """
    results = results.only(data)
    areas = trajectory_table(results, log=log, window=window).set_index(["configuration", "seed"])["area"]
    references = baselines(results, baseline)
    rows = []
    for name, reference in references.items():
        if name == reference:
            continue
        own, other = areas.loc[name], areas.loc[reference]
        seeds = own.index.intersection(other.index)
        if seeds.empty:
            rows.append((name, reference, *[float("nan")] * 3, 0, "", 0, 0, *[float("nan")] * 2))
            continue
        interval = paired_difference(own[seeds], other[seeds], confidence)
        differences = (own[seeds] - other[seeds]).round(DIGITS).to_numpy()
        detectable = detectable_difference(mean_std(differences)[1], len(seeds), confidence=confidence)
        means = [results.seed_curves[each].loc[seeds].mean() for each in (name, reference)]
        above = (means[0] - means[1]).dropna().round(DIGITS) > 0
        ends = (interval.estimate, interval.low, interval.high)
        counts = (int(above.sum()), len(above))
        rows.append((name, reference, *ends, interval.n, interval.method, *counts, t_test(differences), detectable))
    table = pd.DataFrame(rows, columns=_PAIRED).astype({"p": "float64"})
    table.insert(len(_PAIRED) - 1, "p_holm", holm(table["p"]))
    table["verdict"] = np.select([table["low"] > 0, table["high"] < 0], ["better", "worse"], "open")
    return table


def summary_table(
    results: Results,
    data: str | None = None,
    *,
    baseline: str | None = "random",
    log: bool = False,
    window: tuple[float, float] | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Summarise every configuration; one that never finished still has a row, with n_seeds = 0.

    Args:
        results: finished trajectories.
        data: name of the data set; None where the results hold just one.
        baseline: as in `paired_table`; None leaves the paired columns out.
        log: integrate over the logarithm of the label count.
        window: label counts of the area; None takes `common_window`.
        confidence: probability that an interval covers the mean difference.

    Returns:
        One row per configuration, in display order: configuration, strategy, params (JSON), n_seeds, complete (no seed
        is missing), n_labels (budget), area_from and area_to (window), area_mean, area_std, final_mean,
        final_std, select_seconds, train_seconds (means over seeds of the sums over rounds); and with a
        baseline the columns of `paired_table`, null in the baseline's own row.

    Raises:
        NoBaselineError: as `paired_table`, when `baseline` is not None.
        SelectionError, MixedSettingsError, InvalidValuesError: as `trajectory_table`.
    """
    results = results.only(data)
    window = common_window(results) if window is None else window
    table = results.configurations.drop_duplicates("configuration")[["configuration", "strategy", "params"]]
    seeds = trajectory_table(results, log=log, window=window).groupby("configuration")
    estimates = seeds.agg(
        n_seeds=("seed", "size"),
        n_labels=("n_labels", "max"),
        area_mean=("area", "mean"),
        area_std=("area", "std"),
        final_mean=("final_accuracy", "mean"),
        final_std=("final_accuracy", "std"),
        select_seconds=("select_seconds", "mean"),
        train_seconds=("train_seconds", "mean"),
    )
    table = table.merge(estimates, how="left", on="configuration").astype({"n_labels": "Int64"})
    table["n_seeds"] = table["n_seeds"].fillna(0).astype("int64")
    table.insert(4, "complete", ~table["configuration"].isin(missing_cells(results)["configuration"]))
    table.insert(6, "area_from", window[0])
    table.insert(7, "area_to", window[1])
    if baseline is None:
        return table
    paired = paired_table(results, baseline=baseline, log=log, window=window, confidence=confidence)
    return table.merge(paired, how="left", on="configuration").astype(
        dict.fromkeys(["n_pairs", "won", "total"], "Int64")
    )


def baselines(results: Results, baseline: str) -> dict[str, str]:
    """Each finished configuration -> the baseline that it is compared with.

    Raises:
        NoBaselineError: as `paired_table`.
    """
    references, lacking = _references(results, baseline)
    if lacking:
        raise NoBaselineError(" ".join(each.reason for each in lacking))
    return dict(references)


class Excluded(NamedTuple):
    """Configurations that a comparison must leave out, and the reason."""

    names: Sequence[str]
    reason: str


def without_baseline(results: Results, baseline: str) -> list[Excluded]:
    """Finished configurations of one data set for which `baselines` raises, by schedule and evaluation data."""
    return list(_references(results, baseline)[1])


def _references(results: Results, baseline: str) -> tuple[dict[str, str], list[Excluded]]:
    return results.cached(("references", baseline), lambda: _find_references(results, baseline))


def _find_references(results: Results, baseline: str) -> tuple[dict[str, str], list[Excluded]]:
    finished = results.configurations[results.configurations.index.isin(results.trajectories["trajectory_id"])]
    configurations = finished.drop_duplicates("configuration")
    named = results.are_called(configurations, baseline)
    references: dict[str, str] = {}
    lacking = []
    for (schedule, evaluate_on), group in configurations.groupby(["schedule", "evaluate_on"], sort=False):
        names, found = list(group["configuration"]), list(group.loc[named, "configuration"])
        if len(found) == 1:
            references |= dict.fromkeys(names, found[0])
            continue
        reason = (
            f"Expected one baseline `{baseline}` for {listed(names)} (schedule {schedule}, evaluated on"
            f" {evaluate_on}), but got {listed(found) or 'none'}."
        )
        lacking.append(Excluded(names, reason))
    return {name: references[name] for name in configurations["configuration"] if name in references}, lacking


def _in_display_order(table: pd.DataFrame, results: Results) -> pd.DataFrame:
    rank = {name: position for position, name in enumerate(results.names)}
    return table.sort_values("configuration", key=lambda names: names.map(rank), kind="stable", ignore_index=True)
