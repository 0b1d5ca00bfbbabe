"""Tables and figures of what `understand.py` measured; tables in Markdown, differences with 95 % intervals by seed.

python benchmarks/understand_figures.py runs/understand --images docs/images
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # `strategies` is the package, not the script of that name.

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.axes import INK, LABEL_SIZE, line, line_styles
from analysis.statistics import Interval, paired_difference

NAMES = {"digits": "digits", "cifar10_mobilenet": "MobileNet", "cifar10_patches": "patches"}
GROUPS = {
    "pseudo-labels": {
        "true classes": "true classes as pseudo-labels",
        "true classes, halved": "true classes, each in two",
        "10 clusters": "10 clusters",
        "50 clusters": "50 clusters",
        "100 clusters": "100 clusters",
        "10 restarts": "best of ten K-means",
    },
    "choice within a cluster": {
        "any member": "no look-ahead: any",
        "most typical member": "no look-ahead: most typical",
        "most central member": "no look-ahead: most central",
        "typical half of each cluster": "candidates: denser half of each",
        "typical tenth of each cluster": "candidates: densest tenth of each",
        "typical half": "candidates: denser half of all",
        "ties by typicality": "ties to the most typical",
    },
    "risk": {
        "ties by squared risk": "ties to the least squared risk",
        "squared risk": "squared risk",
        "risk set of 500": "risk set of 500",
    },
    "kernel and f0": {
        "scaling unit": "unit features",
        "scaling centred": "centred features",
        "scaling none": "raw features",
        "three hidden layers": "three hidden layers",
        "rbf kernel": "RBF kernel",
        "linear kernel": "linear kernel",
        "empirical kernel": "empirical kernel",
        "f0 network": "f0 of a network, NTK's scale",
        "f0 network, drawn as torch does": "f0 of a network, torch's scale",
        "ridge 1e-4": "ridge 1e-4",
        "ridge 1e-1": "ridge 1e-1",
        "ridge 1": "ridge 1",
        "paper": "preset=paper",
        "paper, raw features": "preset=paper, raw features",
    },
    "other strategies": {"typiclust": "TypiClust", "maxherding": "MaxHerding", "random": "Random"},
}
SHOWN = {name: shown for group in GROUPS.values() for name, shown in group.items()}
"""Variants, with what they are called."""
FAR_OFF = (
    *("random", "any member", "f0 network", "f0 network, drawn as torch does", "paper", "paper, raw features"),
    *("risk set of 500", "10 clusters", "50 clusters", "100 clusters"),
)
"""Batches whose estimated risk is far above the least, or that were made for other clusters."""
OF_STEPS = {
    "ntkcpl": "NTKCPL",
    "most central member": "most central",
    "typiclust": "TypiClust",
    "maxherding": "MaxHerding",
    "random": "Random",
    "any member": "any of each cluster",
}
STEPS = {
    "estimated_risk": "estimated",
    "dominant_risk": "clusters are impure",
    "kernel_risk": "labels as bought",
    "true_risk": "network",
}
CLASSIFIERS = {
    "accuracy": "network",
    "gentle": "network, lr=0.03",
    "ridge": "kernel regression",
    "knn": "nearest neighbour",
}
OF_PICKS = {
    "classes_hit": "classes hit",
    "clusters_hit": "clusters hit",
    "of_majority": "of the cluster's majority",
    "density_rank": "density rank",
    "central_rank": "rank in cluster",
    "norm_rank": "norm rank",
    **STEPS,
}


def difference(found: pd.DataFrame, column: str, variant: str, base: str = "ntkcpl") -> Interval | None:
    """Mean of `variant` less `base` in points, paired by seed; None where it was not measured."""
    values = {name: part.set_index("seed")[column] for name, part in found.groupby("variant")}
    if variant not in values:
        return None
    common = values[variant].index.intersection(values[base].index)
    return paired_difference(100 * values[variant][common], 100 * values[base][common])


def as_text(interval: Interval | None) -> str:
    """A difference as a cell of a table, bold where its interval is clear of zero."""
    if interval is None:
        return ""
    text = f"{interval.estimate:+.1f} ± {interval.high - interval.estimate:.1f}".replace("-", "−")
    return f"**{text}**" if interval.low > 0 or interval.high < 0 else text


def markdown(rows: Iterable[Sequence[str]], head: Sequence[str]) -> str:
    """A table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)) + "\n"


def rank_correlations(found: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Mean over seeds of Spearman's correlation of columns with the true risk of the kernel regression."""
    each = [part[[*columns, "kernel_risk"]].corr("spearman")["kernel_risk"] for _, part in found.groupby("seed")]
    return [f"{value:+.2f}".replace("-", "−") for value in pd.DataFrame(each).mean()[list(columns)]]


def tables(first: pd.DataFrame, learners: pd.DataFrame, rounds: pd.DataFrame, strength: pd.DataFrame) -> Iterable[str]:
    """All tables, each under a line that says what it is."""
    for n in (10, 20):
        part = first[first["n"] == n]
        for data, found in part.groupby("data"):
            means = found.groupby("variant").mean(numeric_only=True)
            rows = [
                [name, *(f"{means.loc[key, column]:.2f}" for column in OF_PICKS)]
                for key, name in {"ntkcpl": "NTKCPL", **SHOWN}.items()
                if key in means.index
            ]
            title = f"{data}, {n} labels, {found['seed'].nunique()} seeds: purity {means.loc['ntkcpl', 'purity']:.2f}, "
            ties = ", ".join(f"{means.loc['ntkcpl', column]:.3f}" for column in ("ties_first", "ties_median"))
            title += f"recall {means.loc['ntkcpl', 'recall']:.2f}, ties first and median {ties}\n"
            yield title + markdown(rows, ["", *OF_PICKS.values()])
        for column in ("accuracy", "gentle", "ridge", "knn"):
            base = part[part["variant"] == "ntkcpl"].groupby("data")[column].mean()
            rows = [["NTKCPL", *(f"{100 * base[data]:.1f} %" for data in NAMES)]]
            for key, name in SHOWN.items():
                cells = [as_text(difference(part[part["data"] == data], column, key)) for data in NAMES]
                if any(cells):
                    rows.append([name, *cells])
            yield f"{column}, {n} labels\n" + markdown(rows, ["less NTKCPL", *NAMES.values()])
    judged = first[(first["n"] == 20) & ~first["variant"].str.startswith("true")]
    fair = judged[~judged["variant"].isin(FAR_OFF)]
    rows = [
        [
            f"{data}, {shown}",
            str(found["variant"].nunique()),
            *rank_correlations(found, ["estimated_risk", "density_rank"]),
        ]
        for data in NAMES
        for shown, part in (("all", judged), ("without those far off", fair))
        for found in [part[part["data"] == data]]
    ]
    yield "rank correlation with the true risk\n" + markdown(rows, ["", "batches", "estimated risk", "density rank"])
    for (n, data), found in learners.groupby(["n", "data"]):
        means = 100 * found.pivot_table(index="variant", columns="learner", values="accuracy", sort=False)
        rows = [[name, *(f"{value:.1f}" for value in means.loc[name])] for name in means.index]
        yield f"{data}, {n} labels\n" + markdown(rows, ["", *means.columns])
    for (data, learner), found in rounds.groupby(["data", "learner"]):
        columns = ["accuracy", "classes_hit", "purity", "recall", "density_rank", "of_majority", "own_estimate"]
        means = found.groupby(["variant", "n"], sort=False)[[*columns, "true_risk", "ties_first", "ties_median"]].mean()
        rows = [[*map(str, key), *(f"{value:.3f}" for value in means.loc[key])] for key in means.index]
        yield f"rounds, {data}, {learner}\n" + markdown(rows, ["", "labels", *means.columns])
    for data, found in strength.groupby("data"):
        rows = []
        for pull, part in found.groupby("pull"):
            means = part.groupby("variant")[["accuracy", "ridge", "purity"]].mean()
            for key in means.index:
                cells = [as_text(difference(part, column, key)) for column in ("accuracy", "ridge")]
                rows.append([f"{pull}", key, *(f"{100 * value:.1f}" for value in means.loc[key]), *cells])
        head = ["pull", "", "accuracy", "ridge", "purity", "accuracy less NTKCPL", "ridge less NTKCPL"]
        yield f"strength, {data}\n" + markdown(rows, head)


def panels(title: str, note: str, height: float, *, shared: bool = True) -> tuple[Figure, Sequence[Axes]]:
    """A figure of one axis for each data set under a heading."""
    figure = Figure(figsize=(8.4, height), dpi=115, layout="constrained")
    figure.suptitle(f"{title}\n\n", fontsize=11, weight="bold", x=0.01, ha="left")
    figure.text(0.01, 1 - 0.33 / height, note, fontsize=LABEL_SIZE, color=INK, va="top")
    axes = figure.subplots(1, len(NAMES), sharey=shared)
    for ax, name in zip(axes, NAMES.values(), strict=True):
        ax.set_title(name, fontsize=9)
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=8)
        ax.set_axisbelow(True)
    return figure, axes


def draw_changes(first: pd.DataFrame) -> Figure:
    """Differences to NTKCPL at 20 labels, of the default network and of the kernel regression."""
    note = "Accuracy less NTKCPL's in points, 20 labels, with 95 % intervals over paired seeds"
    figure, axes = panels("One thing changed at a time in the first query", note, 7.2)
    looks = (
        ("accuracy", "network (default)", "#D55E00", "s", -0.16),
        ("ridge", "kernel regression", "#000000", "o", 0.16),
    )
    ends = np.cumsum([len(group) for group in GROUPS.values()])
    for ax, data in zip(axes, NAMES, strict=True):
        found = first[(first["data"] == data) & (first["n"] == 20)]
        for column, shown, colour, marker, shift in looks:
            rows = [(row, difference(found, column, name)) for row, name in enumerate(SHOWN)]
            for row, interval in rows:
                if interval is not None:
                    ax.plot([interval.low, interval.high], [row + shift] * 2, color=colour, linewidth=1)
            heights, means = zip(*((row + shift, each.estimate) for row, each in rows if each is not None), strict=True)
            ax.plot(means, heights, linestyle="", marker=marker, color=colour, markersize=3.5, label=shown)
        ax.axvline(0, color=INK, linewidth=0.8)
        ax.hlines(ends[:-1] - 0.5, *ax.get_xlim(), color="#BBBBBB", linewidth=0.6)
        ax.grid(axis="y", color="#EEEEEE")
        ax.margins(x=0)
        ax.set_yticks(range(len(SHOWN)), SHOWN.values(), fontsize=8)
        ax.set_ylim(len(SHOWN) - 0.4, -0.6)
        ax.tick_params(axis="y", length=0)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower right", ncols=2, frameon=False, fontsize=8.5)
    return figure


def draw_steps(first: pd.DataFrame, n: int) -> Figure:
    """From what NTKCPL estimates of a batch to what is true of it, for the batches of all strategies."""
    note = f"Share of the pool that is wrong after {n} labels (%), mean over seeds; NTKCPL minimises the first"
    return draw_means(first, n, STEPS, "From the estimated risk to the true one", note, "wrong (%)", 4.3)


def draw_classifiers(first: pd.DataFrame, n: int) -> Figure:
    """Accuracy of the same labels under other classifiers."""
    note = f"Accuracy (%) of classifiers trained on the same {n} labels, mean over seeds"
    return draw_means(first, n, CLASSIFIERS, "The same first queries under four classifiers", note, "Accuracy (%)", 4.1)


def draw_means(
    first: pd.DataFrame, n: int, columns: Mapping[str, str], title: str, note: str, unit: str, height: float
) -> Figure:
    """Means over seeds of some columns, named as their ticks are, for the batches of all strategies."""
    figure, axes = panels(title, note, height, shared=False)
    styles = line_styles(list(OF_STEPS))
    for ax, data in zip(axes, NAMES, strict=True):
        found = first[(first["data"] == data) & (first["n"] == n)]
        means = 100 * found.groupby("variant")[list(columns)].mean()
        for name, shown in OF_STEPS.items():
            ax.plot(range(len(columns)), means.loc[name], **line(styles[name]), label=shown)
        ax.set_xticks(range(len(columns)), columns.values(), rotation=35, ha="right", rotation_mode="anchor")
        ax.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    axes[0].set_ylabel(unit, fontsize=8.5)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False, fontsize=8.5
    )
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables and, where asked, save the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path, help="folders of understand.py")
    parser.add_argument("--images", type=Path, help="folder for the figures")
    options = parser.parse_args(arguments)

    def read(part: str) -> pd.DataFrame:
        found = [path for folder in options.results if (path := folder / f"{part}.csv").exists()]
        if not found:
            parser.error(f"Expected {part}.csv in one of the folders, but found none; run understand.py first.")
        return pd.concat(map(pd.read_csv, found))

    first, learners = read("first"), read("learners")
    print("\n".join(tables(first, learners, read("rounds"), read("strength"))))
    if options.images:
        figures = {
            "changes": draw_changes(first),
            "steps": draw_steps(first, 20),
            "classifiers": draw_classifiers(first, 10),
        }
        for name, figure in figures.items():
            figure.savefig(options.images / f"first_query_{name}.png")


if __name__ == "__main__":
    main()
