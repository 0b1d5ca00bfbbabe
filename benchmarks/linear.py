"""What an intercept does to the linear learner, on labels of strategies that choose by features alone.

    python benchmarks/linear.py digits some.npz some.npz@longtail:20 made:50 --seeds 0-9

Each seed draws its pool, as in `benchmarks/pools.py`, whose words for DATA hold here as well. The picks of both
learners are the same, so that only the learners differ. Accuracy is that on the `tune` half of the test data.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # `strategies` is the package, not the script of that name.

import joblib
import pandas as pd

from analysis.statistics import paired_difference
from benchmarks.pools import heading, loaded, shown, table_row
from harness.learners.registry import named
from harness.pools import PoolSpec
from harness.schedule import parse_seeds
from harness.spec import TrajectorySpec
from harness.trajectory import run_trajectory

ROWS = ("random", "maxherding", "typiclust")
WITHOUT, WITH = "without", "with"


def run(word: str, seed: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One pool: a row for each strategy, learner and label count."""
    whole = loaded(word)
    size = min(options.size, 5 * len(whole.y_train) // 6)
    data = PoolSpec(pool=f"subset:{size}", pool_seed=seed).apply(whole)
    found = []
    for row in ROWS:
        for kind, intercept in ((WITHOUT, False), (WITH, True)):
            learner = named("linear", {"intercept": intercept})
            spec = TrajectorySpec.of(data, row, options.schedule, seed, learner=learner, evaluate_on="tune")
            for record in run_trajectory(spec, data):
                found.append({"data": word, "row": row, "seed": seed, "labels": record.n_labels})
                found[-1] |= {"kind": kind, "accuracy": 100 * record.accuracy}
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all and print a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--size", type=int, default=3_000, help="points of a pool, at most 5/6 of what there is")
    parser.add_argument("--schedule", default="20x2,60,200x2")
    parser.add_argument("--seeds", default="0-9", help="as for `ntkcpl compare`")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    tasks = [joblib.delayed(run)(word, seed, options) for word in options.data for seed in parse_seeds(options.seeds)]
    found = joblib.Parallel(options.processes, batch_size=1)(tasks)
    results = pd.DataFrame([row for rows in found for row in rows])
    counts = sorted(results["labels"].unique())
    print("Accuracy without an intercept, %, and less that with one, with 95 % intervals\n")
    print(*heading("", ["labels of", *counts]), sep="\n")
    for (word, row), own in results.groupby(["data", "row"], sort=False):
        wide = own.pivot(index="seed", columns=["kind", "labels"], values="accuracy")
        means, without = wide[WITHOUT].mean(), wide[WITHOUT]
        cells = [f"{means[n]:.1f}, {shown(paired_difference(without[n], wide[WITH][n]))}" for n in counts]
        print(table_row(word, [row, *cells]))


if __name__ == "__main__":
    main()
