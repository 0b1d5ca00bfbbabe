"""Across data sets: the blocks are data sets, never seeds, which would repeat one data set as if it were many."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from analysis.exceptions import NoBaselineError, SelectionError
from analysis.results import Results
from analysis.statistics import holm, least_wilcoxon_p, stratified_iqm, wilcoxon
from analysis.tables import baselines, trajectory_table

LEVEL = 0.05


def areas_by_data(results: Results) -> pd.DataFrame:
    """Mean area under the curve: `configurations x data sets`, of the configurations finished on all of them.

    Args:
        results: finished trajectories of two data sets or more.

    Raises:
        SelectionError: there are fewer than two data sets, or no configuration is finished on all.
        MixedSettingsError: the schedules of a data set share no label count.
    """
    if len(results.data_names) < 2:
        raise SelectionError(f"Expected two data sets or more, but got {len(results.data_names)}.")
    means = {data: trajectory_table(results, data).groupby("label")["area"].mean() for data in results.data_names}
    table = pd.DataFrame(means).dropna()
    if table.empty:
        raise SelectionError("Expected a configuration that is finished on all data sets, but got none.")
    return table


def unlike(results: Results) -> list[str]:
    """Configurations of one label whose parameters are not those of the same label on another data set, in sentences.

    Args:
        results: finished trajectories of two data sets or more.
    """
    cells = pd.concat([results.only(data).configurations for data in results.data_names])
    parameters = cells.groupby("label", sort=False)["params"].unique()
    said = []
    for label, texts in parameters[parameters.map(len) > 1].items():
        settings = pd.DataFrame([json.loads(text) for text in texts])
        differing = [str(name) for name in settings if settings[name].map(repr).nunique() > 1]
        said.append(f"{label} has not the same {', '.join(differing)} on all data sets; it is taken for one here.")
    return said


def rank_table(results: Results, *, baseline: str = "random") -> pd.DataFrame:
    """Average ranks by area under the curve, and a Wilcoxon signed-rank test against the baseline.

    Args:
        results: finished trajectories of two data sets or more.
        baseline: label of the configuration to test against.

    Returns:
        One row per configuration finished on all data sets, best average rank first: label, mean_rank (1 is the
        best; ties share their mean), n_data, p (exact, two-sided, over data sets; null for the baseline), p_holm
        (corrected for the number of configurations).

    Raises:
        NoBaselineError: the baseline is not finished on all data sets.
        SelectionError, MixedSettingsError: as `areas_by_data`.
    """
    areas = areas_by_data(results)
    if baseline not in areas.index:
        raise NoBaselineError(f"Expected the baseline `{baseline}` on all data sets, but got {', '.join(areas.index)}.")
    rank = areas.rank(ascending=False).mean(axis="columns")
    p = [np.nan if label == baseline else wilcoxon(row - areas.loc[baseline]) for label, row in areas.iterrows()]
    table = pd.DataFrame({"label": areas.index, "mean_rank": rank.to_numpy(), "n_data": areas.shape[1], "p": p})
    table["p_holm"] = holm(table["p"])
    return table.sort_values(["mean_rank", "label"], ignore_index=True)


def rank_warning(n_data: int, n_configurations: int) -> str | None:
    """Say what a Wilcoxon-Holm test over so few data sets cannot show; None where it can show something."""
    least = least_wilcoxon_p(n_data)
    needed = LEVEL / max(n_configurations - 1, 1)
    if least <= needed:
        return None
    n_needed = next(n for n in range(1, 64) if least_wilcoxon_p(n) <= needed)
    return (
        f"{n_data} data sets are too few for a test: the smallest p-value a Wilcoxon signed-rank test can reach with"
        f" them is {least:.3g}, and {n_configurations - 1} comparisons need {needed:.3g}. From {n_needed} data sets on"
        " a difference can become significant; until then the ranks describe these data sets alone."
    )


def iqm_table(results: Results, *, rng: np.random.Generator, baseline: str = "random") -> pd.DataFrame:
    """Interquartile mean over all data sets and seeds of the area, normalised by the baseline.

    The normalised area is (area - mean area of the baseline) / (1 - mean area of the baseline) on each data set:
    0 is the baseline, 1 a curve at 100 % throughout.

    Args:
        results: finished trajectories of two data sets or more.
        rng: source of the resamples, drawn within each data set.
        baseline: name of a strategy with one configuration per schedule, or a label.

    Returns:
        One row per configuration finished on all data sets: label, iqm, low, high (95 %, stratified bootstrap), n
        (trajectories), n_data.

    Raises:
        NoBaselineError: a configuration has no finished baseline to be compared with, or several.
        SelectionError, MixedSettingsError: as `areas_by_data`.
    """
    labels = areas_by_data(results).index
    scores: dict[str, list[np.ndarray]] = {label: [] for label in labels}
    for data in results.data_names:
        part = results.only(data)
        areas = trajectory_table(part).groupby("label")["area"]
        references = baselines(part, baseline)
        for label in labels:
            floor = areas.get_group(references[label]).mean()
            scores[label].append((areas.get_group(label).to_numpy() - floor) / (1 - floor))
    rows = []
    for label, strata in scores.items():
        interval = stratified_iqm(strata, rng)
        rows.append((label, interval.estimate, interval.low, interval.high, interval.n, len(strata)))
    return pd.DataFrame(rows, columns=["label", "iqm", "low", "high", "n", "n_data"])
