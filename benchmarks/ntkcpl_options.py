"""What each option of NTKCPL is worth: one factor at a time around the defaults, paired with Random.

Runs every variant as a comparison into one store (so it continues where it stopped), then prints a
Markdown table of the differences in area under the accuracy curve to Random and to the first variant, paired by seed.

    python benchmarks/ntkcpl_options.py --data digits --schedule 10x10 --seeds 5 --out runs/options-digits
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # `strategies` is the package, not the script of that name.

import pandas as pd

from analysis import load
from analysis.statistics import paired_difference
from analysis.tables import summary_table, trajectory_table
from harness.data import load_dataset
from harness.schedule import Schedule, parse_seeds
from harness.workers.resources import Resources
from studies.compare import Comparison
from studies.run import run_comparison

VARIANTS: dict[str, dict[str, str]] = {
    "defaults": {},
    "ridge=1e-1": {"ridge": "1e-1"},
    "ridge=1e-3": {"ridge": "1e-3"},
    "ridge=1e-4": {"ridge": "1e-4"},
    "kernel=empirical": {"kernel": "empirical"},
    "kernel=empirical,initial=network": {"kernel": "empirical", "initial": "network"},
    "parameterisation=standard": {"parameterisation": "standard"},
    "bias=false": {"bias": "false"},
    "scaling=centred": {"scaling": "centred"},
    "scaling=unit": {"scaling": "unit"},
    "targets=centred": {"targets": "centred"},
    "risk=squared": {"risk": "squared"},
    "risk=mixed": {"risk": "mixed"},
    "risk=zero_one": {"risk": "zero_one"},
    "risk=mixed,scaling=unit": {"risk": "mixed", "scaling": "unit"},
    "initial_clusters=query": {"initial_clusters": "query"},
    "cluster_on=pool": {"cluster_on": "pool"},
    "constraint=strict": {"constraint": "strict"},
    "preset=paper": {"preset": "paper"},
    "first_round_restarts=10": {"first_round_restarts": "10"},
}
FORMS = ("ntkcpl_self", "ntkcpl_al")
BASELINES = ("random", "typiclust")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the variants and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--schedule", default="10x10")
    parser.add_argument("--seeds", default="5")
    parser.add_argument("--candidates", default="3000")
    parser.add_argument("--evaluate-on", default="tune", choices=["all", "tune", "confirm"])
    parser.add_argument("--workers", type=int)
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    data, resources = load_dataset(options.data), Resources(workers=options.workers)
    lines = [
        "| variant | strategy | area | difference to Random [95 %] | labels won | to the first |",
        "|---" * 6 + "|",
    ]
    first: dict[str, pd.Series[float]] = {}
    for variant in options.variants:
        comparison = Comparison(
            strategies=(*BASELINES, *FORMS),
            schedule=Schedule.parse(options.schedule),
            seeds=parse_seeds(options.seeds),
            evaluate_on=options.evaluate_on,
            settings=dict.fromkeys(FORMS, VARIANTS[variant]),
            shared={"candidates": options.candidates},
        )
        study = run_comparison(comparison, data, options.out, resources, command=f"options {variant}", dry_run=False)
        results = load(options.out, study=study.name)
        table = summary_table(results).set_index("strategy")
        areas = trajectory_table(results).set_index(["configuration", "seed"])["area"]
        for name in (*BASELINES, *FORMS) if variant == "defaults" else FORMS:
            row = table.loc[name]
            paired = (
                "" if name == "random" else f"{100 * row.difference:+.2f} [{100 * row.low:+.2f}, {100 * row.high:+.2f}]"
            )
            won = "" if name == "random" else f"{row.won}/{row.total}"
            own = areas[row.configuration]
            change = paired_difference(own, first.setdefault(name, own))
            to_first = f"{100 * change.estimate:+.2f} [{100 * change.low:+.2f}, {100 * change.high:+.2f}]"
            lines.append(
                f"| {variant} | {name} | {100 * row.area_mean:.2f} ± {100 * row.area_std:.2f} | {paired} | {won} "
                f"| {to_first} |"
            )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
