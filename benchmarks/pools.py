"""Strategies compared on a pool of its own for each seed, and GraphHerding with a part of it taken out.

Strategies that choose by features alone buy nearly the same points from the same pool for every seed, so that seeds of
one pool say little about another pool. Here each seed draws its pool, a random part of the training data. Accuracy
is that of the learner on one half of the test data. What is in OUT is not run again: each half, size, schedule and
learner has a CSV file of its own there.

    python benchmarks/pools.py digits some.npz some.npz@longtail:20 --seeds 10-29 --half confirm --out runs/pools
    python benchmarks/pools.py digits --rows graphherding "one pick after the other" --out runs/pools

DATA is a built-in data set or a feature file, and may say what is done to it: `@longtail:RATIO` as for --pool of
`ntkcpl compare`. `made:C` are C classes in 32 dimensions, each of three Gaussians.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path[0] = str(Path(__file__).resolve().parents[1])  # `strategies` is the package, not the script of that name.

import joblib
import numpy as np
import pandas as pd
from sklearn.datasets import make_blobs

from analysis.metrics import areas_under_curves
from analysis.statistics import Interval, paired_difference
from harness.data import Dataset, Fields, load_dataset
from harness.learners.registry import MLP, learner_names, named
from harness.pools import PoolSpec
from harness.schedule import parse_seeds
from harness.spec import TrajectorySpec
from harness.trajectory import run_trajectory
from strategies import graphherding
from strategies.functional.distances import squared_distances

OURS = "graphherding"
OTHERS = ["random", "margin", "badge", "typiclust", "probcover", "maxherding", "uherding", "bait_binary", "dropquery"]
OTHERS += ["ntkcpl_self", "ntkcpl_al"]
STRATEGIES = [OURS, *OTHERS]


def gaussian(points: np.ndarray, **_: object) -> np.ndarray:
    """MaxHerding's kernel in place of the random walks."""
    return np.exp(-squared_distances(points, points))


def not_exchanged(kernel: object, covered: object, picks: np.ndarray, **_: object) -> tuple[np.ndarray, np.ndarray]:
    """The greedy picks as they are."""
    return picks, np.zeros(len(picks))


def covered_anyway(similarities: np.ndarray, *_: object) -> np.ndarray:
    """A label covers whatever is similar to it, whatever the classifier says."""
    return similarities.max(axis=0)


PARTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "a Gaussian kernel": partial(patch.object, graphherding, "diffusion_kernel", gaussian),
    "one pick after the other": partial(patch.object, graphherding, "exchange_in", not_exchanged),
    "all points count alike": partial(patch.object, graphherding, "margin", lambda each: np.zeros(len(each))),
    "no agreement": partial(patch.object, graphherding, "agreed", covered_anyway),
    "the classifier alone": partial(patch.object, graphherding, "N_PARTS", 0),
}
SETTINGS: dict[str, dict[str, str]] = {
    f"{name}={value}": {name: value}
    for name, values in {
        "stay": ("0.9", "0.99"),
        "neighbours": ("5", "20"),
        "candidates": ("2500", "5000"),
        "handover": ("20", "1e9"),
    }.items()
    for value in values
}


def loaded(word: str) -> Dataset:
    """A data set by its word."""
    name, _, change = word.partition("@")
    if name.startswith("made:"):
        return made(int(name.removeprefix("made:")))
    data = load_dataset(name)
    return PoolSpec(pool=change).apply(data) if change else data


def made(n_classes: int) -> Dataset:
    """Classes of three Gaussians each, half of whose points are test data."""
    x, y = make_blobs(20_000, 32, centers=3 * n_classes, cluster_std=3.0, center_box=(-5, 5), random_state=0)
    x, y = x.astype(np.float32), y % n_classes
    return Dataset.from_arrays(f"made:{n_classes}", Fields(x[::2], y[::2], x[1::2], y[1::2]))


def run(word: str, seed: int, rows: Sequence[str], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Trajectories of one pool; one row for each label count."""
    whole = loaded(word)
    size = min(options.size, 5 * len(whole.y_train) // 6)
    data = PoolSpec(pool=f"subset:{size}", pool_seed=seed).apply(whole)
    found = []
    for row in rows:
        name, context = (OURS, PARTS[row]) if row in PARTS else (OURS if row in SETTINGS else row, nullcontext)
        learner = None if options.learner == MLP else named(options.learner)
        spec = TrajectorySpec.of(
            data, name, options.schedule, seed, params=SETTINGS.get(row), learner=learner, evaluate_on=options.half
        )
        with context():
            for record in run_trajectory(spec, data):
                found.append({"data": word, "row": row, "seed": seed, "labels": record.n_labels})
                found[-1] |= {"accuracy": 100 * record.accuracy, "seconds": record.select_seconds}
    return found


def tables(results: pd.DataFrame, ours: str) -> Iterator[str]:
    """Markdown: the row `ours` less each other in areas, and less the best of the others at each label count."""
    paired = {}
    for word, of_data in results.groupby("data", sort=False):
        paired[word] = of_data.pivot(index="seed", columns=["row", "labels"], values="accuracy").dropna(axis=0)
    rows = [row for row in dict.fromkeys(results["row"]) if row != ours]
    for log, axis in ((False, "labels"), (True, "the logarithm of labels")):
        areas = {word: areas_of(wide, log=log) for word, wide in paired.items()}
        yield f"\nArea of {ours} over {axis} less that of the row, in points, with 95 % intervals\n"
        yield from heading("", [f"{word} ({len(wide)} seeds)" for word, wide in paired.items()])
        yield table_row(f"*{ours}, %*", (f"{of[ours].mean():.1f}" for of in areas.values()))
        for row in rows:
            cells = (shown(paired_difference(of[ours], of[row])) if row in of else "" for of in areas.values())
            yield table_row(row, cells)
    others = [row for row in rows if row in STRATEGIES]
    against = {row: [row] for row in rows if row not in STRATEGIES}
    if others:
        against["the best of the other strategies"] = others
    for what, among in against.items():
        yield f"\n{ours} less {what} at each label count (bold: clear of zero)\n"
        counts = next(iter(paired.values()))[ours].columns
        yield from heading("", counts)
        for word, wide in paired.items():
            best = {count: max(among, key=lambda row: wide[row][count].mean()) for count in counts}
            names = {n: f" ({best[n]})" if among is others else "" for n in counts}
            cells = (f"{shown(paired_difference(wide[ours][n], wide[best[n]][n]))}{names[n]}" for n in counts)
            yield table_row(word, cells)
    if len(paired) > 1 and rows:
        yield from over_all(results, ours, rows)


def over_all(results: pd.DataFrame, ours: str, rows: Sequence[str]) -> Iterator[str]:
    """Markdown: the row `ours` less each other, mean over the pools of all data sets that have both."""
    counts = sorted(results["labels"].unique())
    yield f"\n{ours} less the row, mean over the pools of all data that have both, with two standard errors\n"
    yield from heading("", ["pools", "area", "area over log labels", *counts])
    for row in rows:
        both = results[results["row"].isin([ours, row])]
        wide = both.pivot(index=["data", "seed"], columns=["row", "labels"], values="accuracy").dropna(axis=0)
        if len(wide) > 1 and row in wide:
            columns = [areas_of(wide, log=False), areas_of(wide, log=True)]
            columns += [wide.xs(count, axis="columns", level="labels") for count in counts]
            cells = (over_pools((each[ours] - each[row]).to_numpy()) for each in columns)
            yield table_row(row, [str(len(wide)), *cells])


def over_pools(differences: np.ndarray) -> str:
    """Mean with two standard errors, as `shown` has an interval."""
    mean, half = differences.mean(), 2 * differences.std(ddof=1) / np.sqrt(len(differences))
    return shown(Interval(mean, mean - half, mean + half, len(differences), "two standard errors"))


def areas_of(wide: pd.DataFrame, *, log: bool) -> pd.DataFrame:
    """Area under the curve, in %, of each seed and row."""
    rows = wide.columns.unique("row")
    of_rows = {row: 100 * areas_under_curves(wide[row].columns, wide[row] / 100, log=log) for row in rows}
    return pd.DataFrame(of_rows, index=wide.index)


def shown(difference: Interval) -> str:
    """Mean and half of the interval, bold if clear of zero."""
    mean, half = difference.estimate, difference.high - difference.estimate
    text = f"{mean:+.1f} ± {half:.1f}".replace("-", "−")
    return f"**{text}**" if abs(mean) > half else text


def heading(corner: str, columns: Iterable[object]) -> Iterator[str]:
    """The first two lines of a table."""
    names = [corner, *map(str, columns)]
    yield table_row(names[0], names[1:])
    yield "|" + "---|" * len(names)


def table_row(name: str, cells: Iterable[str]) -> str:
    """A line of a table."""
    return "| " + " | ".join([name, *cells]) + " |"


def draw(results: pd.DataFrame, path: Path) -> None:
    """Gains over Random of each data set: GraphHerding's line, the band of all other strategies, the best of them."""
    from matplotlib.figure import Figure

    words = list(dict.fromkeys(results["data"]))
    n_lines = -(-len(words) // 4)
    figure = Figure(figsize=(11, 3 * n_lines), layout="constrained")
    panels = np.atleast_1d(figure.subplots(n_lines, min(4, len(words)), sharey=True)).ravel()
    for axes in panels[len(words) :]:
        axes.remove()
    for axes, (word, of_data) in zip(panels, results.groupby("data", sort=False), strict=False):
        wide = of_data[of_data["row"].isin([OURS, *OTHERS])].pivot(
            index="seed", columns=["row", "labels"], values="accuracy"
        )
        gains = wide.dropna(axis=0).mean().unstack("labels")
        gains -= gains.loc["random"]
        others = gains.drop([OURS, "random"])
        axes.axhline(0, color="0.4", linewidth=0.8)
        for name, line in others.iterrows():
            axes.plot(line.index, line, color="0.75", linewidth=0.9, label="others" if name == "margin" else None)
        axes.plot(gains.columns, others.max(), color="tab:orange", linestyle="--", label="best of the others")
        axes.plot(gains.columns, gains.loc[OURS], color="tab:blue", linewidth=2.2, label=OURS)
        axes.set(title=word.replace(".npz", ""), xscale="log", xlabel="labels")
        axes.set_xticks([20, 50, 100, 200, 500], ["20", "50", "100", "200", "500"])
        axes.minorticks_off()
    figure.supylabel("accuracy less Random's, points")
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--rows", nargs="+", default=[OURS, *OTHERS], help=f"strategies, {[*PARTS, *SETTINGS]}")
    parser.add_argument("--of", default=OURS, metavar="ROW", help="whose differences to all other rows are printed")
    parser.add_argument("--size", type=int, default=5_000, help="points of a pool, at most 5/6 of what there is")
    parser.add_argument("--schedule", default="20x5,100x4")
    parser.add_argument("--seeds", default="0-9", help="as for `ntkcpl compare`")
    parser.add_argument("--half", choices=["tune", "confirm"], default="tune")
    parser.add_argument("--learner", choices=learner_names(), default=MLP)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--figure", type=Path, help="where to draw gains over Random")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    learner = "" if options.learner == MLP else f"_{options.learner}"
    path = options.out / f"{options.half}_{options.size}_{options.schedule}{learner}.csv"
    known = pd.read_csv(path) if path.exists() else pd.DataFrame({"data": [], "seed": [], "row": []})
    done = set(zip(known["data"], known["seed"], known["row"], strict=True))
    wanted = dict.fromkeys([options.of, *options.rows])
    tasks = []
    for seed in parse_seeds(options.seeds):
        for word in options.data:
            if rows := [row for row in wanted if (word, seed, row) not in done]:
                tasks.append(joblib.delayed(run)(word, seed, rows, options))
    for found in joblib.Parallel(options.processes, return_as="generator_unordered", batch_size=1)(tasks):
        pd.DataFrame(found).to_csv(path, mode="a", header=not path.exists(), index=False)
        print(found[0]["data"], found[0]["seed"], file=sys.stderr, flush=True)
    results = pd.read_csv(path)
    asked = {"data": options.data, "seed": parse_seeds(options.seeds), "row": list(wanted)}
    results = results[results[list(asked)].isin(asked).all(axis="columns")]
    results = results.sort_values("data", key=lambda words: words.map(options.data.index), kind="stable")
    print(*tables(results, options.of), sep="\n")
    if options.figure:
        draw(results, options.figure)


if __name__ == "__main__":
    main()
