"""Comparisons across data sets; the blocks are data sets, never seeds, which would count one data set many times."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.exceptions import NoBaselineError, SelectionError
from analysis.results import Results
from analysis.rounding import DIGITS
from analysis.statistics import LEVEL, holm, least_wilcoxon_p, normalised_iqm, wilcoxon
from analysis.tables import trajectory_table
from analysis.words import counted, listed

LEAST_SHARE = 0.5
"""Of the seeds of the configuration that has most of them."""
Windows = Mapping[str, tuple[int, int]]
"""First and last label count of an area, by data set."""


def names_by_data(results: Results) -> dict[str, dict[str, str]]:
    """Names of configurations across data sets: for each data set, configuration there -> name.

    A strategy with one configuration on each data set has its own name, whatever its parameters. If it has
    several, they are named as in all results, without the schedule where it has one on each data set. Evaluations on
    halves of the test data are not used, nor configurations of which no trajectory is finished.

    Raises:
        SelectionError: there are fewer than two data sets.
    """
    return results.cached("names by data", lambda: _names_by_data(results))


def _names_by_data(results: Results) -> dict[str, dict[str, str]]:
    parts = _wholes(results)
    if len(parts) < 2:
        raise SelectionError(f"Expected two data sets or more, but got {len(parts)} evaluated on all test data.")
    cells = pd.concat([part.configurations.assign(data=data) for data, part in parts.items()])
    cells = cells[cells.index.isin(results.trajectories["trajectory_id"])].drop_duplicates(["data", "configuration"])
    by_data = cells.groupby(["strategy", "data"])
    is_single = by_data["configuration"].nunique().groupby("strategy").max() == 1
    # A schedule that is the only one on each data set tells nothing apart there, and each may have another.
    one_schedule = by_data["schedule"].nunique().groupby("strategy").max() == 1
    frames = {name: getattr(results, name).assign(schedule="") for name in ("trajectories", "failures")}
    without_schedule = replace(results, named=None, **frames).configurations["configuration"]
    everywhere = results.configurations["configuration"]
    names: dict[str, dict[str, str]] = {data: {} for data in parts}
    for trajectory, row in zip(cells.index, cells.to_dict("records"), strict=True):
        name = row["strategy"]
        if not is_single[name]:
            name = (without_schedule if one_schedule[name] else everywhere)[trajectory]
        names[row["data"]][row["configuration"]] = str(name)
    return names


def areas_by_data(results: Results, windows: Windows | None = None) -> dict[str, pd.DataFrame]:
    """Area under the curve on each data set, of the configurations finished on all of them: `seeds x configurations`.

    The seeds of a data set are those that all these configurations have finished there. One that has less than half as
    many there as the median configuration (the lower of two in the middle) is left out, as it would take the seeds from
    the others.

    Args:
        results: finished trajectories of two data sets or more.
        windows: label counts of the area, by data set; elsewhere `analysis.tables.common_window`.

    Returns:
        By data set, equal columns: the names of `names_by_data`.

    Raises:
        SelectionError: there are fewer than two data sets, no configuration is finished on all, or these have no seed
            in common on one.
        MixedSettingsError: the schedules of a data set share no label count.
    """
    tables, late = _areas(results, windows)
    shared = {data: table.drop(columns=late).dropna() for data, table in tables.items()}
    if lacking := [data for data, table in shared.items() if table.empty]:
        names = listed(list(shared[lacking[0]].columns))
        raise SelectionError(f"Expected a seed that {names} have all finished on {listed(lacking)}.")
    return shared


def seeds_left_out(results: Results, windows: Windows | None = None) -> list[str]:
    """Configurations and seeds that `areas_by_data` leaves out, because seeds are missing, in sentences.

    Raises:
        SelectionError, MixedSettingsError: as `areas_by_data`.
    """
    tables, late = _areas(results, windows)
    said = []
    if late:
        said.append(
            f"Left out here, because on a data set they have less than half the median number of seeds: {listed(late)}."
        )
    for data, table in tables.items():
        kept = table.drop(columns=late).dropna(how="all")
        if lacking := kept.index[kept.isna().any(axis="columns")].to_list():
            without = listed([str(name) for name in kept if kept[name].isna().any()])
            lack = "lacks" if kept.isna().any().sum() == 1 else "lack"
            seeds = f"{'seed' if len(lacking) == 1 else 'seeds'} {', '.join(map(str, lacking))}"
            said.append(f"Left out of ranks and interquartile means on {data}, because {without} {lack} them: {seeds}.")
    return said


def _areas(results: Results, windows: Windows | None) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Areas of what is finished on all data sets, NaN for missing seeds; and which of these have too few seeds."""
    wholes, tables = _wholes(results), {}
    for data, names in names_by_data(results).items():
        own = trajectory_table(wholes[data], window=(windows or {}).get(data))
        own = own.assign(configuration=own["configuration"].map(names))
        tables[data] = own.pivot(index="seed", columns="configuration", values="area")
    everywhere = sorted(set.intersection(*({*table.columns} for table in tables.values())))
    if not everywhere:
        raise SelectionError("Expected a configuration that is finished on all data sets, but got none.")
    found = {data: table[everywhere] for data, table in tables.items()}
    counts = {data: table.count() for data, table in found.items()}
    shares = pd.DataFrame({data: n / n.quantile(0.5, interpolation="lower") for data, n in counts.items()})
    return found, [str(name) for name in shares.index[shares.min(axis="columns") < LEAST_SHARE]]


def on_some(results: Results) -> list[str]:
    """Names of the configurations that are not on all data sets, in sentences."""
    names = names_by_data(results)
    everywhere = set.intersection(*({*own.values()} for own in names.values()))
    lacking = sorted({name for own in names.values() for name in own.values()} - everywhere)
    return [f"Left out here, because they are not finished on all data sets: {listed(lacking)}."] if lacking else []


def unlike(results: Results) -> list[str]:
    """Configurations with one name whose parameters or schedules differ between data sets, in sentences.

    Args:
        results: finished trajectories of two data sets or more.
    """
    wholes = _wholes(results)
    frames = []
    for data, own in names_by_data(results).items():
        cells = wholes[data].configurations.drop_duplicates("configuration")
        frames.append(cells.assign(name=cells["configuration"].map(own)))
    said = []
    for name, cells in pd.concat(frames).groupby("name", sort=False):
        settings = pd.DataFrame([json.loads(text) for text in cells["params"]]).assign(schedule=list(cells["schedule"]))
        differing = [str(key) for key in settings if settings[key].map(repr).nunique() > 1]
        if differing:
            said.append(
                f"{name} does not have the same {', '.join(differing)} on all data sets; it counts as one here."
            )
    return said


def rank_table(results: Results, *, baseline: str = "random", windows: Windows | None = None) -> pd.DataFrame:
    """Average ranks by area under the curve, and a Wilcoxon signed-rank test against the baseline.

    Args:
        results: finished trajectories of two data sets or more.
        baseline: name of a strategy with one configuration on all data sets, or a name of `names_by_data`.
        windows: as for `areas_by_data`.

    Returns:
        One row per configuration finished on all data sets, best average rank first: configuration, mean_rank (1 is
        the best; ties share their mean), n_data, p (exact, two-sided, over data sets; null for the baseline), p_holm
        (corrected for the number of configurations).

    Raises:
        NoBaselineError: the baseline is not finished on all data sets.
        SelectionError, MixedSettingsError: as `areas_by_data`.
    """
    areas = pd.DataFrame({data: table.mean() for data, table in areas_by_data(results, windows).items()})
    reference = _reference(areas.index, baseline)
    rank = areas.round(DIGITS).rank(ascending=False).mean(axis="columns")
    p = [np.nan if name == reference else wilcoxon(row - areas.loc[reference]) for name, row in areas.iterrows()]
    table = pd.DataFrame({"configuration": areas.index, "mean_rank": rank.to_numpy(), "n_data": areas.shape[1], "p": p})
    table["p_holm"] = holm(table["p"])
    return table.sort_values(["mean_rank", "configuration"], ignore_index=True)


def rank_warning(n_data: int, n_configurations: int) -> str | None:
    """Say what a Wilcoxon-Holm test on so few data sets cannot show; None if it can show something."""
    least = least_wilcoxon_p(n_data)
    needed = LEVEL / max(n_configurations - 1, 1)
    if least <= needed:
        return None
    n_needed = next(n for n in range(1, 64) if least_wilcoxon_p(n) <= needed)
    return (
        f"{n_data} data sets are too few for a test: the smallest p-value a Wilcoxon signed-rank test can reach with"
        f" them is {least:.3g}, but {needed:.3g} is needed with {counted(n_configurations - 1, 'comparison')}. From"
        f" {n_needed} data sets on, a difference can become significant; until then, the ranks describe only these data"
        " sets."
    )


def iqm_table(
    results: Results, *, rng: np.random.Generator, baseline: str = "random", windows: Windows | None = None
) -> pd.DataFrame:
    """Interquartile mean over all data sets and seeds of the area, normalised by the baseline.

    The normalised area is (area - mean area of the baseline) / (1 - mean area of the baseline) on each data set:
    0 is the baseline, 1 a curve at 100 % throughout.

    Args:
        results: finished trajectories of two data sets or more.
        rng: source of the resamples, drawn within each data set, for the baseline as well.
        baseline: as in `rank_table`.
        windows: as for `areas_by_data`.

    Returns:
        One row per configuration finished on all data sets: configuration, iqm, low, high (95 %, stratified bootstrap),
        n (trajectories), n_data.

    Raises:
        NoBaselineError: as `rank_table`.
        SelectionError, MixedSettingsError: as `areas_by_data`.
    """
    areas = areas_by_data(results, windows)
    names = list(next(iter(areas.values())).columns)
    reference = _reference(names, baseline)
    full = [data for data, table in areas.items() if np.round(table[reference].mean(), DIGITS) >= 1]
    if full:
        raise SelectionError(
            f"Expected {reference} below 100 % to normalise by it, but it is at 100 % on {listed(full)} throughout."
        )
    rows = []
    for name in names:
        strata = [(table[name], table[reference]) for table in areas.values()]
        interval = normalised_iqm(strata, rng)
        rows.append((name, interval.estimate, interval.low, interval.high, interval.n, len(strata)))
    return pd.DataFrame(rows, columns=["configuration", "iqm", "low", "high", "n", "n_data"])


def budgets_by_data(results: Results, budgets: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Effective label counts on each data set, the configurations by one name (Table 2 of arXiv 2306.04099).

    Args:
        results: finished trajectories of two data sets or more.
        budgets: by data set, the `analysis.comparison.effective_budget` of what was evaluated on all test data.

    Returns:
        One row per configuration and data set: configuration, data, effective_points, total_points, effective_ratio,
        effective_at (label counts, space-separated), mean_ratio (the mean of effective_ratio over all data sets; null
        for a configuration that lacks one). The largest mean first, those without one last.

    Raises:
        SelectionError: there are fewer than two data sets.
    """
    columns = ["configuration", "data", "effective_points", "total_points", "effective_ratio", "effective_at"]
    names = names_by_data(results)
    frames = [
        frame.assign(configuration=frame["configuration"].map(names[data]), data=data)[columns]
        for data, frame in budgets.items()
    ]
    table = pd.concat(frames, ignore_index=True)
    ratios = table.groupby("configuration")["effective_ratio"]
    means = ratios.mean().where(ratios.size() == len(names))
    table["mean_ratio"] = table["configuration"].map(means)
    return table.sort_values("mean_ratio", ascending=False, kind="stable", ignore_index=True)


def _wholes(results: Results) -> dict[str, Results]:
    """What was evaluated on all test data, by data set; those without are left out."""
    parts = {data: results.only(data, "all") for data in results.data_names}
    return {data: part for data, part in parts.items() if not part.trajectories.empty}


def _reference(names: Iterable[str], baseline: str) -> str:
    """The one configuration on all data sets that the baseline names."""
    found = [name for name in names if name == baseline or name.startswith(f"{baseline}[")]
    if len(found) != 1:
        got = listed(found or list(names))
        raise NoBaselineError(f"Expected the baseline `{baseline}` on all data sets, but got {got}.")
    return found[0]
