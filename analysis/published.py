"""Published results, shipped as data, beside our own."""

from __future__ import annotations

from importlib import resources

import pandas as pd

from analysis.results import Results

_COLUMNS = [
    *["configuration", "n_labels", "n_seeds", "mean", "std", "published_mean", "published_std", "difference", "in_stds"]
]


def published_names() -> list[str]:
    """Names of the studies whose published results are there."""
    files = (entry.name for entry in _folder().iterdir())
    return sorted(name.removesuffix(".csv") for name in files if name.endswith(".csv"))


def published_table(study: str) -> pd.DataFrame:
    """Published results of a study: strategy, n_labels, mean and std (of single runs), in [0, 1].

    Args:
        study: in `published_names()`.
    """
    with resources.as_file(_folder().joinpath(f"{study}.csv")) as path:
        table = pd.read_csv(path)
    return table.assign(mean=table["mean"] / 100, std=table["std"] / 100)


def against_published(results: Results, accuracies: pd.DataFrame) -> pd.DataFrame:
    """Accuracies of one data set beside the published ones, at the label counts that both have.

    Results are set against the published ones of a study if they belong to one of its name, `NAME-HASH`.

    Args:
        results: finished trajectories of one data set.
        accuracies: their `accuracy_table`.

    Returns:
        configuration, n_labels, n_seeds, mean, std, published_mean, published_std, difference (ours less published) and
        in_stds (the difference in published standard deviations); empty where nothing is published.
    """
    ours = {str(name).rpartition("-")[0] for name in results.studies["study"]}
    tables = [published_table(name) for name in published_names() if name in ours]
    if not tables or accuracies.empty or results.metric != "accuracy":
        return pd.DataFrame(columns=_COLUMNS)
    theirs = pd.concat(tables).rename(columns={"mean": "published_mean", "std": "published_std"})
    both = accuracies.merge(theirs, on=["strategy", "n_labels"])
    difference = both["mean"] - both["published_mean"]
    return both.assign(difference=difference, in_stds=difference / both["published_std"])[_COLUMNS]


def _folder() -> resources.abc.Traversable:
    return resources.files("analysis").joinpath("published")
