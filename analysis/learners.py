"""The learner as a factor: whether the order of the strategies is the same under each of them."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from analysis.across import names_by_data
from analysis.exceptions import SelectionError
from analysis.results import Results
from analysis.statistics import bootstrap_interval, bootstrap_weights, holm, t_test
from analysis.tables import trajectory_table
from analysis.words import counted

LEVEL = 0.05
LEAST_STRATEGIES = 3
RESAMPLES = 2000


def areas_by_learner(results: Results, data: str) -> dict[str, pd.DataFrame]:
    """Area under the curve of the strategies and seeds that are finished with every learner.

    Args:
        results: loaded with `by_learner`.
        data: name of the data set, without a learner.

    Returns:
        `seeds x strategies` by learner, with equal rows and columns for all; strategies in alphabetical order.

    Raises:
        SelectionError: fewer than two learners, fewer than three strategies with all, or no seed that all have.
    """
    names, tables = names_by_data(results), {}
    for part, (of, learner) in results.learners.items():
        if of == data and part in names:
            table = trajectory_table(results.only(part, "all"))
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
    ranks = pd.DataFrame({learner: table.mean().rank(ascending=False) for learner, table in areas.items()})
    ranks = ranks.assign(mean_rank=ranks.mean(axis="columns")).rename_axis("configuration").reset_index()
    return ranks.sort_values(["mean_rank", "configuration"], ignore_index=True)


def agreement_table(areas: dict[str, pd.DataFrame], *, rng: np.random.Generator) -> pd.DataFrame:
    """How far the orders under two learners agree.

    A pair of strategies changes its order for sure where its difference has another sign under the second learner and
    both differences are significant: the larger p of the two paired t-tests, corrected by Holm for all pairs of
    strategies, is at most 0.05.

    Args:
        areas: of `areas_by_learner`.
        rng: source of the resamples.

    Returns:
        One row per pair of learners: first, second, tau (Kendall's, of the mean areas), low, high (95 %: seeds
        resampled for all strategies and learners at once, percentiles; NaN below 5 seeds), n_pairs (of strategies),
        n_turned, n_surely_turned, n_seeds.
    """
    rows = []
    for (first, one), (second, other) in itertools.combinations(areas.items(), 2):
        left, right = np.array(list(itertools.combinations(range(one.shape[1]), 2))).T
        both = [table.to_numpy()[:, left] - table.to_numpy()[:, right] for table in (one, other)]
        n_seeds, n_pairs = both[0].shape
        weights = bootstrap_weights(n_seeds, RESAMPLES, rng)
        signs = [np.sign(differences.mean(axis=0)) for differences in both]
        means = [weights @ differences for differences in both]
        resampled = np.array([_tau(*pair) for pair in zip(*means, strict=True)])
        has_turned = signs[0] * signs[1] < 0
        p = np.where(has_turned, np.maximum(*map(t_test, both)), 1.0)
        n_sure = int((holm(p) <= LEVEL).sum()) if n_seeds > 1 else 0
        low, high = bootstrap_interval(resampled, n_seeds)
        tau = _tau(*(differences.mean(axis=0) for differences in both))
        rows.append((first, second, tau, low, high, n_pairs, int(has_turned.sum()), n_sure, n_seeds))
    columns = ["first", "second", "tau", "low", "high", "n_pairs", "n_turned", "n_surely_turned", "n_seeds"]
    return pd.DataFrame(rows, columns=columns)


def agreement_findings(agreement: pd.DataFrame, data: str) -> list[str]:
    """`agreement_table` in a sentence for each pair of learners."""
    said = []
    for row in agreement.to_dict("records"):
        interval = "" if np.isnan(row["low"]) else f" [{row['low']:.2f} to {row['high']:.2f}]"
        verdict = (
            "So the order of the strategies depends on the learner."
            if row["n_surely_turned"]
            else "These seeds do not show that the order of the strategies depends on the learner."
        )
        said.append(
            f"{data}, {row['first']} and {row['second']}: Kendall's tau is {row['tau']:.2f}{interval} with"
            f" {counted(row['n_seeds'], 'seed')};"
            f" {row['n_turned']} of {counted(row['n_pairs'], 'pair')} of strategies change their order,"
            f" {row['n_surely_turned']} of them beyond the noise of the seeds. {verdict}"
        )
    return said


def _tau(one: np.ndarray, other: np.ndarray) -> float:
    """Kendall's tau from the differences of all pairs; a tie is neither agreement nor its opposite."""
    return float((np.sign(one) * np.sign(other)).mean())
