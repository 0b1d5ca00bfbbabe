"""Is the order of the strategies that of the published table? Kendall's tau at each label count, and what is reversed.

Reads what `ntkcpl report` writes for a study of the paper. A configuration such as `ntkcpl_al[preset=paper]` stands for
its strategy in an order of its own. Of the pairs of strategies that the paper orders beyond chance (Welch's test, 5 %;
it gives means and deviations alone, so runs are not paired), it counts those that have the same order here beyond
chance, those that are reversed beyond chance, and those that are open; and lists the reversed.

    ntkcpl compare --study cifar10 --data FEATURES.npz --seeds 3 --out runs/cifar10
    ntkcpl report runs/cifar10 --format csv
    python benchmarks/published_order.py runs/cifar10/report/tables/published.csv
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import permutations

import pandas as pd
from scipy.stats import kendalltau, ttest_ind_from_stats

N_PUBLISHED = 5
"""Runs of the paper."""
LEVEL = 0.05


def settings(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each setting, such as `preset=paper`, with the rows of its own configurations and those that have no other."""
    parts = table["configuration"].str.extract(r"^(?P<name>[^[]*)(?:\[(?P<setting>.*)\])?$").fillna("")
    for setting in sorted(set(parts["setting"])):
        own = set(parts["name"][parts["setting"] == setting])
        chosen = (parts["setting"] == setting) | ((parts["setting"] == "") & ~parts["name"].isin(own))
        yield setting or "defaults", table[chosen].assign(strategy=parts["name"][chosen])


def orders(table: pd.DataFrame) -> pd.DataFrame:
    """Kendall's tau of our means and the published ones: a row an order, a column a label count."""
    found = {
        setting: {
            n_labels: kendalltau(each["mean"], each["published_mean"])[0]
            for n_labels, each in chosen.groupby("n_labels")
        }
        for setting, chosen in settings(table)
    }
    return pd.DataFrame(found).T


def pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Pairs of strategies that the paper orders beyond chance, with the points that the first is ahead there and here.

    `order` is `same` or `reversed` where the order here is beyond chance as well, and otherwise `open`.
    """
    found = []
    for setting, chosen in settings(table):
        for n_labels, each in chosen.groupby("n_labels"):
            for first, second in permutations(each.to_dict("records"), 2):
                there, here = (100 * (first[key] - second[key]) for key in ("published_mean", "mean"))
                by_chance_there, by_chance_here = p_values(first, second)
                if there > 0 and by_chance_there < LEVEL:
                    order = "open" if by_chance_here >= LEVEL else "same" if here > 0 else "reversed"
                    found.append([setting, n_labels, first["strategy"], second["strategy"], there, here, order])
    columns = ["setting", "n_labels", "first", "second", "ahead_in_the_paper", "ahead_here", "order"]
    return pd.DataFrame(found, columns=columns)


def p_values(first: dict[str, float], second: dict[str, float]) -> tuple[float, float]:
    """Of the difference of two strategies in the paper, and here."""

    def p_value(prefix: str, n_first: float, n_second: float) -> float:
        sides = ((first, n_first), (second, n_second))
        numbers = [value for row, n in sides for value in (row[f"{prefix}mean"], row[f"{prefix}std"], n)]
        return float(ttest_ind_from_stats(*numbers, equal_var=False).pvalue)

    return p_value("published_", N_PUBLISHED, N_PUBLISHED), p_value("", first["n_seeds"], second["n_seeds"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of means, that of the orders, and the pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", help="published.csv of a report")
    table = pd.read_csv(parser.parse_args(arguments).table)
    print((100 * table.pivot_table(index="configuration", columns="n_labels", values="mean")).round(1).to_string())
    print(orders(table).round(2).to_string())
    ordered = pairs(table)
    print(ordered.pivot_table(index=["setting", "order"], columns="n_labels", aggfunc="size", fill_value=0).to_string())
    print(ordered[ordered["order"] == "reversed"].drop(columns="order").round(1).to_string(index=False))


if __name__ == "__main__":
    main()
