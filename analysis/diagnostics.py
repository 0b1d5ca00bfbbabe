"""What a selection left behind besides accuracy: coverage, error decomposition, clusters, cost."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from analysis.results import Results
from analysis.statistics import mean_interval, mean_std
from analysis.tables import trajectory_table

COVERAGE = ["coverage_estimated", "coverage_ntk_true", "coverage_true"]
ERRORS = ["p_nff", "p_fnf", "ntk_error", "estimate_error"]


def diagnosis_table(results: Results, data: str | None = None) -> pd.DataFrame:
    """Coverage and error decomposition of look-ahead strategies, round by round (arXiv 2306.04099, Fig. 4, eq. 5-7).

    Args:
        results: finished trajectories.
        data: name of the data set; None where the results hold just one.

    Returns:
        One row per configuration and label count with any of them, in display order: configuration, n_labels,
        n_clusters, coverage_estimated, coverage_ntk_true, coverage_true, p_nff (impurity), p_fnf (over-clustering),
        error_cpl (their sum, eq. 7), ntk_error, error_bound (the sum of both) and estimate_error (distance of estimated
        and true risk: at most the bound, eq. 5): means over seeds, null where a strategy leaves none; n_seeds.

    Raises:
        SelectionError: `data` does not name one data set of the results.
    """
    groups = diagnoses(results.only(data)).groupby(["configuration", "n_labels"], sort=False)
    columns = ["n_clusters", *COVERAGE, "p_nff", "p_fnf", "error_cpl", "ntk_error", "error_bound", "estimate_error"]
    return groups[columns].mean().assign(n_seeds=groups.size()).reset_index()


def diagnoses(results: Results) -> pd.DataFrame:
    """`Results.curves` of one data set where a coverage was recorded, with the error columns of `diagnosis_table`."""
    curves = results.curves
    curves = curves[curves["coverage_estimated"].notna()]
    stats = [json.loads(text) if isinstance(text, str) else {} for text in curves["stats"]]
    errors = {key: pd.Series([stat.get(key, np.nan) for stat in stats], curves.index, "float64") for key in ERRORS}
    error_cpl = errors["p_nff"] + errors["p_fnf"]
    curves = curves.assign(**errors, error_cpl=error_cpl, error_bound=error_cpl + errors["ntk_error"])
    return curves.astype(dict.fromkeys(["n_clusters", *COVERAGE], "float64"))


def cluster_table(
    results: Results, data: str | None = None, *, window: tuple[float, float] | None = None
) -> pd.DataFrame:
    """Area and final accuracy against the cap on the number of clusters (Fig. 5).

    Args:
        results: finished trajectories.
        data: name of the data set; None where the results hold just one.
        window: label counts of the area; None takes `common_window`.

    Returns:
        One row per configuration of a strategy that was run with several values of `max_clusters`, the other
        parameters equal: curve (the strategy, with what else tells its curves apart), max_clusters, area_mean,
        low, high (Student's t, 95 %), final_mean, n_seeds.

    Raises:
        SelectionError, MixedSettingsError: as `analysis.tables.trajectory_table`.
    """
    columns = ["curve", "max_clusters", "area_mean", "low", "high", "final_mean", "n_seeds"]
    results = results.only(data)
    settings_of = results.configurations[["strategy", "params", "schedule", "evaluate_on"]]
    seeds = trajectory_table(results, window=window).join(settings_of)
    params = [json.loads(text) for text in seeds["params"]]
    seeds["max_clusters"] = [each.pop("max_clusters", None) for each in params]
    seeds["rest"] = [json.dumps(each, sort_keys=True) for each in params]
    seeds = seeds[seeds["max_clusters"].notna()]
    rows = []
    for (strategy, schedule, _, _), curve in seeds.groupby(["strategy", "schedule", "evaluate_on", "rest"]):
        if curve["max_clusters"].nunique() < 2:
            continue
        several = (seeds.loc[seeds["strategy"] == strategy, ["schedule", "evaluate_on", "rest"]].nunique() > 1).any()
        settings = curve["configuration"].iloc[0].partition("[")[2].rstrip("]").split(",")
        told = ",".join(setting for setting in settings if not setting.startswith("max_clusters="))
        name = f"{strategy} ({told or schedule})" if several else strategy
        for cap, cell in curve.groupby("max_clusters"):
            area = mean_interval(cell["area"])
            rows.append((name, cap, area.estimate, area.low, area.high, cell["final_accuracy"].mean(), len(cell)))
    return pd.DataFrame(rows, columns=columns).astype({"max_clusters": "int64"})


def cost_table(results: Results, data: str | None = None) -> pd.DataFrame:
    """What a trajectory costs: wall time and memory, as measured when it ran, whatever else ran beside it.

    Args:
        results: finished trajectories.
        data: name of the data set; None where the results hold just one.

    Returns:
        One row per configuration, in display order: configuration, select_seconds, select_std, train_seconds, train_std
        (sums over rounds; mean and standard deviation over seeds, ddof = 1), slowest_round (largest selection of one
        round, seconds), peak_bytes (largest of the seeds; of the whole process), n_seeds.

    Raises:
        SelectionError: `data` does not name one data set of the results.
    """
    results = results.only(data)
    peak = results.trajectories.set_index("trajectory_id")["peak_bytes"]
    rows = []
    for configuration, rounds in results.curves.groupby("configuration", sort=False):
        sums = rounds.groupby("trajectory_id")[["select_seconds", "train_seconds"]].sum()
        times = [*mean_std(sums["select_seconds"]), *mean_std(sums["train_seconds"])]
        rows.append((configuration, *times, rounds["select_seconds"].max(), peak[sums.index].max(), len(sums)))
    columns = ["configuration", "select_seconds", "select_std", "train_seconds", "train_std", "slowest_round"]
    return pd.DataFrame(rows, columns=[*columns, "peak_bytes", "n_seeds"])


def share_table(coverage: pd.DataFrame) -> pd.DataFrame:
    """Share of points that each strategy believes to have covered and that the classifier gets right.

    Args:
        coverage: rows of `Results.coverage`.

    Returns:
        One row per picture and strategy, in the order of the study: picture, data, strategy, seed, n_labels, points,
        estimated, true (shares; NaN where a strategy estimates nothing), agreement (share of points about which the
        estimate is right).
    """
    estimated = coverage["covered_estimated"].astype("float64")
    agrees = (estimated == coverage["covered_true"]).where(estimated.notna()).astype("float64")
    groups = coverage.assign(_estimated=estimated, _agrees=agrees).groupby(
        ["picture", "data", "strategy", "seed"], sort=False
    )
    return groups.agg(
        n_labels=("pick", "count"),
        points=("point", "size"),
        estimated=("_estimated", "mean"),
        true=("covered_true", "mean"),
        agreement=("_agrees", "mean"),
    ).reset_index()
