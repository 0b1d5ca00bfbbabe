"""Comparisons along the label axis, paired by seed: gain, effective budget, phase transition, penalties.

They refuse unequal seeds (`Results.shared_seeds` restricts to those that all have). Resampling draws whole
seeds, so what a seed does to both sides and to all label counts stays together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.exceptions import UnpairedError
from analysis.metrics import first_reach, last_crossing, share_above
from analysis.results import Results
from analysis.rounding import DIGITS
from analysis.statistics import LEVEL, FloatArray, bootstrap_interval, bootstrap_weights, holm, mean_interval, t_test
from analysis.tables import Excluded, baselines, spending_table, trajectory_table
from analysis.words import listed

TIE_BAND = 0.002
N_RESAMPLES = 2000
TARGET_SHARES = (0.9, 0.95, 0.99)


class Pair(NamedTuple):
    """Accuracies of a configuration and of its baseline: `seeds x label counts` each, equally indexed."""

    configuration: str
    baseline: str
    own: pd.DataFrame
    other: pd.DataFrame

    @property
    def gains(self) -> pd.DataFrame:
        """Own accuracy less the baseline's: `seeds x label counts`."""
        return (self.own - self.other).round(DIGITS)


def pairs(results: Results, data: str | None = None, *, baseline: str = "random") -> Iterator[Pair]:
    """Pair every configuration with its baseline, in display order.

    Args:
        results: finished trajectories.
        data: name of the data set; None where the results hold just one.
        baseline: name of a strategy with one configuration per schedule, or of a configuration.

    Raises:
        NoBaselineError: a configuration has no finished baseline to be compared with, or several.
        UnpairedError: a configuration and its baseline have unequal seeds.
        SelectionError: `data` does not name one data set of the results.
    """
    results = results.only(data)
    for configuration, reference in baselines(results, baseline).items():
        if configuration == reference:
            continue
        own, other = (results.seed_curves[name] for name in (configuration, reference))
        if reason := _unequal_seeds(configuration, own, reference, other):
            raise UnpairedError(reason)
        yield Pair(configuration, reference, own, other)


def with_unequal_seeds(results: Results, *, baseline: str = "random") -> list[Excluded]:
    """Configurations of one data set for which `pairs` raises UnpairedError; all have a baseline.

    Raises:
        NoBaselineError: as `pairs`.
    """
    curves = results.seed_curves
    found = {
        name: _unequal_seeds(name, curves[name], reference, curves[reference])
        for name, reference in baselines(results, baseline).items()
    }
    return [Excluded([name], reason) for name, reason in found.items() if reason]


def gain_table(results: Results, data: str | None = None, *, baseline: str = "random") -> pd.DataFrame:
    """Gain over the baseline at every label count.

    Args:
        results: finished trajectories.
        data: name of the data set; None where the results hold just one.
        baseline: as in `pairs`.

    Returns:
        One row per configuration but the baseline and label count: configuration, n_labels, gain (mean over seeds),
        low, high (paired Student's t, 95 %, for this label count alone), p, p_holm (corrected for the label counts of
        the configuration), n_pairs.

    Raises:
        NoBaselineError, UnpairedError, SelectionError: as `pairs`.
    """
    frames = []
    for pair in pairs(results, data, baseline=baseline):
        gains = pair.gains
        p = t_test(gains)
        intervals = [mean_interval(values) for values in gains.to_numpy().T]
        frame = pd.DataFrame([(i.estimate, i.low, i.high) for i in intervals], columns=["gain", "low", "high"])
        frame = frame.assign(p=p, p_holm=holm(p), n_pairs=len(gains))
        frame.insert(0, "n_labels", gains.columns)
        frame.insert(0, "configuration", pair.configuration)
        frames.append(frame)
    columns = ["configuration", "n_labels", "gain", "low", "high", "p", "p_holm", "n_pairs"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def effective_budget(results: Results, data: str | None = None, *, baseline: str = "random") -> pd.DataFrame:
    """Where a strategy is worth its effort, by the paper's rule and by a stricter, paired one.

    The paper calls a label count effective where the mean accuracy exceeds the baseline's mean plus one standard
    deviation (ddof = 1). The paired rule wants a positive mean gain whose t-test, corrected by Holm for all label
    counts of the configuration, is significant at 5 %.

    Args:
        results: finished trajectories.
        data: name of the data set; None where the results hold just one.
        baseline: as in `pairs`.

    Returns:
        One row per configuration but the baseline: configuration, effective_points, total_points,
        effective_ratio, effective_span_ratio (share of the label axis; the threshold is linear between label
        counts), paired_points, paired_ratio, n_seeds, effective_at, paired_at (label counts, space-separated).

    Raises:
        NoBaselineError, UnpairedError, SelectionError: as `pairs`.
    """
    columns = [
        *["configuration", "effective_points", "total_points", "effective_ratio", "effective_span_ratio"],
        *["paired_points", "paired_ratio", "n_seeds", "effective_at", "paired_at"],
    ]
    rows = []
    for pair in pairs(results, data, baseline=baseline):
        n_labels, mean, gains = pair.own.columns, pair.own.mean(), pair.gains
        # Of one seed the deviation is unknown, and nothing exceeds a threshold of NaN.
        threshold = pair.other.mean() + pair.other.std(ddof=1)
        effective = ((mean - threshold).round(DIGITS) > 0).to_numpy()
        paired = (gains.mean() > 0).to_numpy() & (holm(t_test(gains)) < LEVEL)
        span = share_above(n_labels, mean, threshold) if len(pair.own) > 1 else 0.0
        counts = (int(effective.sum()), len(effective), float(effective.mean()), span)
        at = [" ".join(str(n) for n in n_labels[chosen]) for chosen in (effective, paired)]
        rows.append((pair.configuration, *counts, int(paired.sum()), float(paired.mean()), len(pair.own), *at))
    return pd.DataFrame(rows, columns=columns)


def phase_transition(
    results: Results,
    data: str | None = None,
    *,
    rng: np.random.Generator,
    baseline: str = "random",
    n_resamples: int = N_RESAMPLES,
) -> pd.DataFrame:
    """Label count from which on the mean gain keeps its last sign.

    Args:
        results: finished trajectories.
        data: name of the data set; None where the results hold just one.
        rng: source of the resamples of seeds.
        baseline: as in `pairs`.
        n_resamples: number of resamples.

    Returns:
        One row per configuration but the baseline: configuration, answer, crossing (label count, or null), low, high
        (95 % interval; null where it is open), low_open, high_open (the interval reaches before the first or beyond the
        last label count), final_sign (of the mean gain at the last label count), n_pairs. The answer is "crossing"
        (nearly all resamples end with that sign), "none" (one sign throughout, in nearly all resamples too) or
        "censored" (more than a few resamples cross elsewhere, or end with the other sign). Below 5 seeds there is no
        interval, and the answer is always "censored".

    Raises:
        NoBaselineError, UnpairedError, SelectionError: as `pairs`.
    """
    columns = ["configuration", "answer", "crossing", "low", "high", "low_open", "high_open", "final_sign", "n_pairs"]
    rows = []
    weights = _Weights(n_resamples, rng)
    for pair in pairs(results, data, baseline=baseline):
        gains = pair.gains.to_numpy()
        mean = gains.mean(axis=0).round(DIGITS)
        signs = np.sign(mean[mean != 0])
        final = int(signs[-1]) if len(signs) else 0
        crossing = float(last_crossing(pair.own.columns, mean, final)) if final else float("-inf")
        resampled = (weights[len(gains)] @ gains).round(DIGITS)
        low, high = bootstrap_interval(last_crossing(pair.own.columns, resampled, final or 1), len(gains))
        answer = "none" if high == -np.inf else "crossing" if np.isfinite([crossing, high]).all() else "censored"
        ends = [value if np.isfinite(value) else float("nan") for value in (crossing, low, high)]
        rows.append((pair.configuration, answer, *ends, np.isinf(low), np.isinf(high), final, len(gains)))
    return pd.DataFrame(rows, columns=columns)


def labels_saved(
    results: Results,
    data: str | None = None,
    *,
    rng: np.random.Generator,
    baseline: str = "random",
    shares: Sequence[float] = TARGET_SHARES,
    n_resamples: int = N_RESAMPLES,
) -> pd.DataFrame:
    """Labels that the mean curve needs for an accuracy, and how many fewer than the baseline's.

    Args:
        results: finished trajectories.
        data: name of the data set; None where the results hold just one.
        rng: source of the resamples of seeds.
        baseline: as in `pairs`.
        shares: targets, as shares of the baseline's mean final accuracy.
        n_resamples: number of resamples.

    Returns:
        One row per configuration but the baseline and target: configuration, share, target (accuracy), labels (null
        where the mean curve never gets there), baseline_labels, saved, low, high (95 % interval of `saved`; each
        resample has its own target, and counts as minus infinity where its curve does not get there), n_pairs,
        extra_seconds (of selection up to and with the round in which the mean curve gets there, less the baseline's;
        mean over seeds, null where `labels` is). A curve that starts at the target counts from its first label count.

    Raises:
        NoBaselineError, UnpairedError, SelectionError: as `pairs`.
    """
    columns = ["configuration", "share", "target", "labels", "baseline_labels", "saved", "low", "high", "n_pairs"]
    rows = []
    results = results.only(data)
    weights = _Weights(n_resamples, rng)
    spent = dict(iter(spending_table(results).groupby("configuration")))

    @cache  # a baseline is that of many configurations
    def reach(name: str, reference: str, share: float) -> tuple[float, FloatArray, float]:
        """Label counts at which the mean curve and the resampled ones reach their targets; seconds up to the former."""
        side, finals = results.seed_curves[name], results.seed_curves[reference].to_numpy()[:, -1]
        curves = side.to_numpy()
        needed = float(first_reach(side.columns, curves.mean(axis=0), share * finals.mean()))
        own = weights[len(curves)]
        resampled = first_reach(side.columns, own @ curves, share * (own @ finals))
        return needed, resampled, _spent_by(spent[name], needed)

    for pair in pairs(results, baseline=baseline):
        final = float(pair.other.mean().iloc[-1])
        for share in shares:
            target = share * final
            needed, own, seconds = reach(pair.configuration, pair.baseline, share)
            reference, other, others_seconds = reach(pair.baseline, pair.baseline, share)
            resampled = np.where(np.isnan(own), -np.inf, other - own)
            low, high = bootstrap_interval(resampled, len(pair.own)) if np.isfinite(needed) else (np.nan, np.nan)
            measured = (needed, reference, reference - needed, low, high, len(pair.own), seconds - others_seconds)
            rows.append((pair.configuration, share, target, *measured))
    return pd.DataFrame(rows, columns=[*columns, "extra_seconds"])


def win_tie_loss(
    results: Results,
    data: str | None = None,
    *,
    baseline: str = "random",
    band: float = TIE_BAND,
    window: tuple[float, float] | None = None,
) -> pd.DataFrame:
    """Count wins, ties and losses against the baseline; a difference within the band is a tie.

    Args:
        results: finished trajectories.
        data: name of the data set; None where the results hold just one.
        baseline: as in `pairs`.
        band: half width of a tie, in units of accuracy.
        window: label counts of the area; None takes `common_window`.

    Returns:
        One row per configuration but the baseline: configuration, seeds_won, seeds_tied, seeds_lost (by area under the
        curve over the common window), points_won, points_tied, points_lost (label counts, by mean gain), tie_band.

    Raises:
        NoBaselineError, UnpairedError, SelectionError, MixedSettingsError: as `pairs` and `common_window`.
    """
    results = results.only(data)
    areas = trajectory_table(results, window=window).set_index(["configuration", "seed"])["area"]
    rows = []
    for pair in pairs(results, baseline=baseline):
        by_seed = (areas.loc[pair.configuration] - areas.loc[pair.baseline]).round(DIGITS)
        rows.append(
            (pair.configuration, *_outcomes(by_seed, band), *_outcomes(pair.gains.mean().round(DIGITS), band), band)
        )
    sides = [f"{unit}_{outcome}" for unit in ("seeds", "points") for outcome in ("won", "tied", "lost")]
    return pd.DataFrame(rows, columns=["configuration", *sides, "tie_band"])


def pairwise_penalties(results: Results, data: str | None = None) -> pd.DataFrame:
    """Share of label counts at which one configuration beats another (Ash et al. 2020), paired by seed.

    A configuration beats another at a label count where its mean is higher and the paired t-test is significant
    at 5 %, plain, or after Holm's correction for the label counts of the pair. Plain counts are exploratory: of
    12 independent tests of equal strategies one or more is significant in 46 % of the cases.

    Args:
        results: finished trajectories.
        data: name of the data set; None where the results hold just one.

    Returns:
        One row per ordered pair with equal schedule and evaluation data: configuration (that beats), opponent (that is
        beaten), total_points, plain, holm (shares of the label counts), n_pairs. The penalty of a
        configuration is the mean over the rows in which it is the opponent.

    Raises:
        UnpairedError: two configurations have unequal seeds.
        SelectionError: `data` does not name one data set of the results.
    """
    results = results.only(data)
    columns = ["configuration", "opponent", "total_points", "plain", "holm", "n_pairs"]
    frames = []
    settings = results.configurations.drop_duplicates("configuration")
    for _, group in settings.groupby(["schedule", "evaluate_on"], sort=False):
        curves = {name: results.seed_curves[name] for name in group["configuration"] if name in results.seed_curves}
        names = list(curves)
        for name in names[1:]:
            if reason := _unequal_seeds(name, curves[name], names[0], curves[names[0]]):
                raise UnpairedError(reason)
        for name in names:
            others = [other for other in names if other != name]
            if not others:
                continue
            gains = np.stack([(curves[name].to_numpy() - curves[other].to_numpy()) for other in others], axis=1)
            p, ahead = t_test(gains), gains.mean(axis=0) > 0
            plain, corrected = ((ahead & (values < LEVEL)).mean(axis=-1) for values in (p, holm(p)))
            frame = pd.DataFrame({"configuration": name, "opponent": others, "total_points": p.shape[-1]})
            frames.append(frame.assign(plain=plain, holm=corrected, n_pairs=len(gains)))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def with_missing_seeds(results: Results) -> list[Excluded]:
    """Configurations of one data set for which `pairwise_penalties` raises UnpairedError.

    Where fewer than two of equal schedule and evaluation data have all seeds, none of these can be compared.
    """
    excluded = []
    settings = results.configurations.drop_duplicates("configuration")
    for _, group in settings.groupby(["schedule", "evaluate_on"], sort=False):
        seeds = {
            name: set(results.seed_curves[name].index) for name in group["configuration"] if name in results.seed_curves
        }
        lacking = [name for name, own in seeds.items() if own != set.union(*seeds.values())]
        if lacking and len(seeds) - len(lacking) < 2:
            lacking = list(seeds)
        if lacking:
            excluded.append(Excluded(lacking, f"Left out because seeds are missing: {listed(lacking)}."))
    return excluded


def _spent_by(spent: pd.DataFrame, labels: float) -> float:
    """Seconds of selection when a round has brought so many labels; `spent` is one curve of `spending_table`."""
    seconds = spent["select_seconds"].to_numpy()[spent["n_labels"].to_numpy() >= labels]
    return float(np.fmin.reduce(seconds, initial=np.nan))  # NaN where labels are


class _Weights(dict[int, FloatArray]):
    """`bootstrap_weights` by number of seeds, drawn once: all configurations see the same resamples."""

    def __init__(self, n_resamples: int, rng: np.random.Generator) -> None:
        super().__init__()
        self._n_resamples, self._rng = n_resamples, rng

    def __missing__(self, n: int) -> FloatArray:
        self[n] = bootstrap_weights(n, self._n_resamples, self._rng)
        return self[n]


def _unequal_seeds(name: str, own: pd.DataFrame, other_name: str, other: pd.DataFrame) -> str | None:
    """Why two configurations cannot be paired; None where they can."""
    if own.index.equals(other.index):
        return None
    unequal = sorted(own.index.symmetric_difference(other.index))
    return (
        f"Expected equal seeds of {name} and {other_name}, but not both have {unequal}; use only the seeds"
        " that all have (--shared-seeds)."
    )


def _outcomes(differences: pd.Series[float], band: float) -> tuple[int, int, int]:
    won, lost = int((differences > band).sum()), int((differences < -band).sum())
    return won, len(differences) - won - lost, lost
