"""Is the order of the strategies that of the published table? Kendall's tau at each label count.

Reads what `ntkcpl report` writes for a study of the paper. A configuration such as `ntkcpl_al[preset=paper]` stands for
its strategy in an order of its own.

    ntkcpl compare --study cifar10 --data FEATURES.npz --seeds 3 --out runs/cifar10
    ntkcpl report runs/cifar10 --format csv
    python benchmarks/published_order.py runs/cifar10/report/tables/published.csv
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import pandas as pd
from scipy.stats import kendalltau


def orders(table: pd.DataFrame) -> pd.DataFrame:
    """Kendall's tau of our means and the published ones: a row an order, a column a label count."""
    parts = table["configuration"].str.extract(r"^(?P<name>[^[]*)(?:\[(?P<setting>.*)\])?$").fillna("")
    found = {}
    for setting in sorted(set(parts["setting"])):
        own = set(parts["name"][parts["setting"] == setting])
        chosen = table[(parts["setting"] == setting) | ((parts["setting"] == "") & ~parts["name"].isin(own))]
        found[setting or "defaults"] = {
            n_labels: kendalltau(each["mean"], each["published_mean"])[0]
            for n_labels, each in chosen.groupby("n_labels")
        }
    return pd.DataFrame(found).T


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of means and that of the orders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", help="published.csv of a report")
    table = pd.read_csv(parser.parse_args(arguments).table)
    print((100 * table.pivot_table(index="configuration", columns="n_labels", values="mean")).round(1).to_string())
    print(orders(table).round(2).to_string())


if __name__ == "__main__":
    main()
