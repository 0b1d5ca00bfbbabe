"""The learner as a factor: whether the order of the strategies is the same under each of them."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from analysis.across import Windows, names_by_data
from analysis.exceptions import SelectionError
from analysis.results import Results
from analysis.rounding import DIGITS
from analysis.statistics import LEVEL, holm, t_test
from analysis.tables import trajectory_table
from analysis.words import counted

LEAST_STRATEGIES = 3


def areas_by_learner(results: Results, data: str, windows: Windows | None = None) -> dict[str, pd.DataFrame]:
    """Area under the curve of the strategies and seeds that are finished with every learner.

    Args:
        results: loaded with `by_learner`.
        data: name of the data set, without a learner.
        windows: label counts of the area, by data set and learner; one of this data set holds for all its learners.
            Without one, it is `analysis.tables.common_window` of each.

    Returns:
        `seeds x strategies` by learner, with equal rows and columns for all; strategies in alphabetical order.

    Raises:
        SelectionError: fewer than two learners, fewer than three strategies with all, or no seed that all have.
    """
    names, tables = names_by_data(results), {}
    known = [window for part, window in (windows or {}).items() if results.learners.get(part, ("", ""))[0] == data]
    window = known[0] if known else None  # the same for all learners, whichever was registered
    for part, (of, learner) in results.learners.items():
        if of == data and part in names:
            table = trajectory_table(results.only(part, "all"), window=window)
            table = table.assign(name=table["configuration"].map(names[part]))
            tables[learner] = table.pivot(index="seed", columns="name", values="area")
    if len(tables) < 2:
        raise SelectionError(f"Expected two learners on all test data of {data}, but got {len(tables)}.")
    strategies = sorted(set.intersection(*({*table.columns} for table in tables.values())))
    if len(strategies) < LEAST_STRATEGIES:
        raise SelectionError(
            f"Expected {LEAST_STRATEGIES} strategies finished with every learner on {data}, but got {len(strategies)}."
        )
    whole = {learner: table[strategies].dropna() for learner, table in tables.items()}
    seeds = sorted(set.intersection(*({*table.index} for table in whole.values())))
    if not seeds:
        raise SelectionError(f"Expected a seed that all strategies have finished with every learner on {data}.")
    return {learner: whole[learner].loc[seeds] for learner in sorted(whole)}


def rank_table(areas: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Rank of each strategy under each learner by mean area, 1 is the best; ties share their mean.

    Args:
        areas: of `areas_by_learner`.

    Returns:
        One row per strategy, best average rank first: configuration, a column for each learner, mean_rank.
    """
    means = pd.DataFrame({learner: table.mean() for learner, table in areas.items()})
    ranks = means.round(DIGITS).rank(ascending=False)
    ranks = ranks.assign(mean_rank=ranks.mean(axis="columns")).rename_axis("configuration").reset_index()
    return ranks.sort_values(["mean_rank", "configuration"], ignore_index=True)


def agreement_table(areas: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """How far the orders under two learners agree.

    A pair of strategies changes its order for sure where its difference has another sign under the second learner and
    both differences are significant: the larger p of the two paired t-tests, corrected by Holm for all pairs of
    strategies, is at most 0.05.

    Args:
        areas: of `areas_by_learner`.

    Returns:
        One row per pair of learners: first, second, tau (Kendall's, of the mean areas), n_pairs (of strategies),
        n_turned, n_surely_turned, n_seeds. Tau has no interval: noise moves a sum of signs in one direction, and
        resampling adds noise, so that intervals from it miss a true tau of 1 nearly always.
    """
    rows = []
    for (first, one), (second, other) in itertools.combinations(areas.items(), 2):
        left, right = np.array(list(itertools.combinations(range(one.shape[1]), 2))).T
        both = [table.to_numpy()[:, left] - table.to_numpy()[:, right] for table in (one, other)]
        n_seeds, n_pairs = both[0].shape
        signs = [np.sign(differences.mean(axis=0).round(DIGITS)) for differences in both]
        has_turned = signs[0] * signs[1] < 0
        p = np.where(has_turned, np.maximum(*map(t_test, both)), 1.0)
        n_sure = int((holm(p) <= LEVEL).sum()) if n_seeds > 1 else 0
        tau = float((signs[0] * signs[1]).mean())  # a tie is neither agreement nor its opposite
        rows.append((first, second, tau, n_pairs, int(has_turned.sum()), n_sure, n_seeds))
    columns = ["first", "second", "tau", "n_pairs", "n_turned", "n_surely_turned", "n_seeds"]
    return pd.DataFrame(rows, columns=columns)


def agreement_findings(agreement: pd.DataFrame, data: str) -> list[str]:
    """`agreement_table` in a sentence for each pair of learners."""
    said = []
    for row in agreement.to_dict("records"):
        verdict = (
            "So the order of the strategies depends on the learner."
            if row["n_surely_turned"]
            else "These seeds do not show that the order of the strategies depends on the learner."
        )
        said.append(
            f"{data}, {row['first']} and {row['second']}: Kendall's tau is {row['tau']:.2f} with"
            f" {counted(row['n_seeds'], 'seed')};"
            f" {row['n_turned']} of {counted(row['n_pairs'], 'pair')} of strategies change their order,"
            f" {row['n_surely_turned']} of them beyond the noise of the seeds. {verdict}"
        )
    return said
