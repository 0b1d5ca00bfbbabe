"""The verdict in words, with its uncertainty, and what the seeds at hand cannot show."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import NamedTuple

import pandas as pd

from analysis.report.render import number, percent, points
from analysis.statistics import LEAST_BOOTSTRAP, LEVEL, detectable_difference, least_wilcoxon_p
from analysis.words import listed

_LEAST_WILCOXON = 6
TARGET_SHARE = 0.95
"""Share of the baseline's final accuracy at which the verdict counts the labels saved."""


class Finding(NamedTuple):
    """One configuration against the baseline: verdict of `paired_table`, a sign for it, and a sentence.

    The sign is hollow where the verdict does not hold after correction for the number of comparisons.
    """

    verdict: str
    sign: str
    configuration: str
    sentence: str


def headline(paired: pd.DataFrame, baseline: str) -> str:
    """The whole verdict in one sentence, by the corrected p-values.

    Args:
        paired: rows of `paired_table`.
        baseline: its name.
    """
    if paired.empty:
        return f"There is nothing to compare with {baseline}."
    if not paired["n_pairs"].any():
        return f"Nothing can be compared with {baseline}: no other strategy has a seed in common with it."
    firm = paired[paired["p_holm"] < LEVEL].sort_values("difference", ascending=False)
    if firm.empty and len(paired) == 1:
        return f"{paired['configuration'].iloc[0]} was not shown to differ from {baseline} over the whole curve."
    if firm.empty:
        return (
            f"None of the {len(paired)} configurations was shown to differ from {baseline} over the whole curve,"
            " after correction for the number of comparisons."
        )
    parts = []
    for verdict in ("better", "worse"):
        if len(names := list(firm.loc[firm["verdict"] == verdict, "configuration"])):
            parts.append(f"{listed(names)} {'is' if len(names) == 1 else 'are'} {verdict} than {baseline}")
    rest = len(paired) - len(firm)
    others = "the other was" if rest == 1 else f"the other {rest} were"
    open_ = f"; {others} not shown to differ from it" if rest else ""
    return f"Over the whole curve, {' and '.join(parts)}{open_}."


def findings(paired: pd.DataFrame, baseline: str, savings: Mapping[str, str] | None = None) -> list[Finding]:
    """A sentence on each configuration, the largest difference first.

    Args:
        paired: rows of `paired_table`.
        baseline: its name.
        savings: what to say next, by configuration (`savings`).
    """
    ordered = paired.sort_values("difference", ascending=False, na_position="last")
    n_compared, more = int(paired["p"].notna().sum()), savings or {}
    return [
        Finding(
            row["verdict"],
            _sign(row),
            row["configuration"],
            f"{_sentence(row, baseline, n_compared)} {more.get(row['configuration'], '')}".strip(),
        )
        for row in ordered.to_dict("records")
    ]


def savings(saved: pd.DataFrame, baseline: str, metric: str = "accuracy") -> dict[str, str]:
    """Labels saved and seconds spent on choosing them, in a sentence for each configuration.

    Args:
        saved: rows of `labels_saved`, `TARGET_SHARE` among the shares.
        baseline: its name.
        metric: what stands for accuracy, in words.
    """
    rows = saved[saved["share"] == TARGET_SHARE].to_dict("records")
    return {row["configuration"]: _saving(row, baseline, metric) for row in rows}


def _saving(row: Mapping[Hashable, object], baseline: str, metric: str) -> str:
    target = f"{100 * _number(row['target']):.1f} % {metric} ({100 * TARGET_SHARE:g} % of {baseline}'s final value)"
    saved, low, high = (_number(row[key]) for key in ("saved", "low", "high"))
    if pd.isna(saved):
        return f"It does not reach {target}, which {baseline} does with {_number(row['baseline_labels']):.0f} labels."
    n, amount = round(saved), f"as many labels as {baseline}"
    if n:
        amount = f"{abs(n)} {'fewer' if n > 0 else 'more'} {'label' if abs(n) == 1 else 'labels'} than {baseline}"
    of = "" if n > 0 else " of the labels saved:"
    between = "no interval" if pd.isna(low) else f"95 % interval{of} {_whole(low)} to {_whole(high)}"
    extra = _number(row["extra_seconds"])
    time = f"{_seconds(abs(extra))} {'less' if extra < 0 else 'more'}" if extra else "the same time"
    price = f", which is {_seconds(extra / saved)} for each label saved" if n and low > 0 < extra else ""
    doubt = "; it was not shown to save labels" if n > 0 and low <= 0 else ""
    return f"It reaches {target} with {amount} ({between}), and has by then spent {time} on selection{price}{doubt}."


def _seconds(value: float) -> str:
    """`4.2 seconds`, in two digits below ten."""
    if value < 0.001:
        return "less than a millisecond"
    return f"{value:,.0f} seconds" if value >= 9.95 else f"{value:#.2g} seconds"


def _whole(value: float) -> str:
    return number(0)(value).replace("inf", "∞")


def limits(pairs: Mapping[str, int]) -> list[str]:
    """What cannot be concluded from so few pairs of seeds.

    Args:
        pairs: number of pairs of each comparison, by configuration.
    """
    n_pairs = max(pairs.values(), default=0)
    fewer = [f"{name} ({n})" for name, n in pairs.items() if 0 < n < n_pairs]
    said = [f"Fewer seeds in common with the baseline say less about {listed(fewer)}."] if fewer else []
    if 0 in pairs.values():
        said.append("A strategy without a seed in common with the baseline can be compared only after more runs.")
    return said + (_limits(n_pairs) if n_pairs else [])


def _limits(n_pairs: int) -> list[str]:
    if n_pairs < 2:
        return ["One seed shows no spread, so nothing can be said about any difference."]
    shift = detectable_difference(1.0, n_pairs)
    said = [
        f"With {n_pairs} seeds, a true difference must be {shift:.2f} standard deviations of the paired differences to"
        " be found four times out of five. A difference that was not shown may still be there."
    ]
    if n_pairs < _LEAST_WILCOXON:
        said.append(
            f"With {n_pairs} seeds, no test can reach 5 % without assumptions about the distribution: the smallest"
            f" p-value of a Wilcoxon signed-rank or a sign-flip test is {least_wilcoxon_p(n_pairs):.4g}. The verdicts"
            " assume that differences of areas are about normal, which so few seeds cannot show."
        )
        said.append(
            "Nothing can be concluded at single label counts unless the gain table has a star there, and nothing about"
            " the order of two strategies unless the pairwise matrix says so in brackets."
        )
    if n_pairs < LEAST_BOOTSTRAP:
        said.append(
            f"With fewer than {LEAST_BOOTSTRAP} seeds, resampling gives no reliable interval, so none is given."
        )
    return said


def _sign(row: Mapping[Hashable, object]) -> str:
    firm = _number(row["p_holm"]) < LEVEL
    return {"better": "△▲", "worse": "▽▼"}.get(str(row["verdict"]), "○○")[firm]


def _sentence(row: Mapping[Hashable, object], baseline: str, n_compared: int) -> str:
    n_pairs = int(str(row["n_pairs"]))
    if n_pairs == 0:
        return f"it has no seed in common with {baseline}."
    size = f"{points(_number(row['difference']))} points of area"
    if n_pairs == 1:
        return f"{size} with one seed, which shows no spread."
    if pd.isna(_number(row["low"])):
        return f"{size} in each of {n_pairs} seeds, which shows no spread to judge by."
    between = f"{size} (95 % interval {points(_number(row['low']))} to {points(_number(row['high']))}, {n_pairs} seeds)"
    if row["verdict"] == "open":
        missed = percent(_number(row["detectable"]))
        if float(missed) == 0:
            return f"{between}: no difference from {baseline} was shown."
        return (
            f"{between}: no difference from {baseline} was shown. A true difference of less than {missed} points would"
            " be missed more than one time in five."
        )
    corrected = f"after correction for {n_compared} comparisons"
    firm = _number(row["p_holm"]) < LEVEL
    claim = f"{row['verdict']} than {baseline}"
    if n_compared == 1:
        return f"{between}: {claim}."
    if firm:
        return f"{between}: {claim}, also {corrected}."
    return f"{between}: {claim} if looked at alone, but not {corrected}."


def _number(value: object) -> float:
    return float(str(value))
