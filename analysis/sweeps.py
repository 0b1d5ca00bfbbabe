"""Sweeps: trials as a table, and what their figures show.

Trials that were stopped early or failed are in the table, and in no figure of objectives: they saw fewer labels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analysis.results import Results
from analysis.statistics import NO_SPREAD

SCHEDULE = "schedule"
MAX_CLUSTERS = "max_clusters"
_LEAST_IMPORTANCE = 4
"""Trials from which importances are estimated."""
_SEED = 0


def trial_table(trials: pd.DataFrame) -> pd.DataFrame:
    """Trials, the best first: a column per setting, objective with its 95 % interval over seeds, status.

    Args:
        trials: rows of `trials` of one sweep.

    Returns:
        One row per trial: trial, the settings that were searched (`NAME (setting)` for one with the name of another
        column), schedule, objective, low, high (Student's t; null where seeds show no spread), final_accuracy,
        n_seeds, labels_reached, status, seconds, metric (that objective and final_accuracy are of; null where that was
        not kept). Complete ones come first.
    """
    settings = pd.DataFrame([json.loads(params) for params in trials["params"]], index=trials.index)
    rest = ["final_accuracy", "n_seeds", "labels_reached", "status", "seconds", "metric"]
    others = {"trial", SCHEDULE, "objective", "low", "high", *rest}
    settings = settings.rename(columns={name: f"{name} (setting)" for name in others})
    std = trials["objective_std"].where(trials["objective_std"] > NO_SPREAD)
    half = stats.t.ppf(0.975, np.maximum(trials["n_seeds"] - 1, 1)) * std / np.sqrt(trials["n_seeds"])
    table = pd.concat([trials[["trial"]], settings, trials[[SCHEDULE, "objective"]]], axis=1)
    table = table.assign(low=trials["objective"] - half, high=trials["objective"] + half)
    table = pd.concat([table, trials[rest]], axis=1)
    order = table["status"].map({"complete": 0, "stopped": 1, "failed": 2})
    keys = pd.DataFrame({"order": order, "objective": -table["objective"], "labels": -table["labels_reached"]})
    return table.loc[keys.assign(trial=table["trial"]).sort_values([*keys.columns, "trial"]).index].reset_index(
        drop=True
    )


def complete(trials: pd.DataFrame) -> pd.DataFrame:
    """`trial_table` of the trials that saw the whole budget, by number."""
    table = trial_table(trials)
    return table[table["status"] == "complete"].sort_values("trial", ignore_index=True)


def searched(trials: pd.DataFrame) -> list[str]:
    """Hyperparameters with several values among complete trials, the cap on clusters first; schedules are none."""
    table = complete(trials)
    names = [name for name in _settings(table) if name.partition(".")[0] != SCHEDULE]
    differing = [name for name in names if table[name].map(repr).nunique() > 1]
    return sorted(differing, key=lambda name: (name != MAX_CLUSTERS, name))


def ablation_data(results: Results, study: str, schedule: str, parameter: str = MAX_CLUSTERS) -> pd.DataFrame:
    """Accuracy curves by one hyperparameter, under one schedule (of the cap on clusters, Fig. 5 of arXiv 2306.04099).

    Returns:
        The columns of `analysis.figures.curve_data`, one curve per value among complete trials, that of its best
        trial; values that came to the same trajectories share one curve, under all their names. Where the best
        trials differ in other hyperparameters, too, the names of the curves say so.
    """
    trials = results.trials[(results.trials["study"] == study) & (results.trials[SCHEDULE] == schedule)]
    table = complete(trials)
    members = trials.set_index("trial")["trajectory_ids"]
    rounds = results.rounds.set_index("trajectory_id")
    shared: dict[tuple[str, ...], list[str]] = {}
    if parameter in table:
        best = _best(table, [parameter])
        others = [name for name in searched(trials) if name != parameter and best[name].map(repr).nunique() > 1]
        shown = {name: setting_texts(list(best[name])) for name in (parameter, *others)}
        for position, row in enumerate(best.to_dict("records")):
            also = ", ".join(f"{name}={shown[name][position]}" for name in others)
            name = shown[parameter][position] + (f" ({also})" if also else "")
            shared.setdefault(tuple(members[row["trial"]]), []).append(name)
    frames = []
    for names, values in shared.items():
        cells = rounds.loc[rounds.index.isin(names)].groupby("n_labels")["accuracy"]
        mean, std = cells.mean(), cells.std(ddof=1)
        frames.append(
            pd.DataFrame(
                {"curve": "/".join(values), "n_labels": mean.index, "mean": mean}
                | {"low": mean - std, "high": mean + std, "n_seeds": cells.size()}
            )
        )
    columns = ["curve", "n_labels", "mean", "low", "high", "n_seeds"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def interaction_data(trials: pd.DataFrame, parameter: str = MAX_CLUSTERS) -> pd.DataFrame:
    """Objective by one hyperparameter and schedule: the best complete trial of each cell.

    Returns:
        One row per cell: schedule, the parameter, objective, low, high, n_seeds. Empty where it was not searched.
    """
    table = complete(trials)
    columns = [SCHEDULE, parameter, "objective", "low", "high", "n_seeds"]
    if parameter not in table:
        return pd.DataFrame(columns=columns)
    return _best(table, [SCHEDULE, parameter])[columns].reset_index(drop=True)


def setting_text(value: Any) -> str:
    """A setting as it is written in figures and tables: floats in four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def setting_texts(values: Sequence[Any]) -> list[str]:
    """`setting_text` of several values; in all their digits where four do not tell them apart."""
    texts = [setting_text(value) for value in values]
    return texts if len(set(texts)) == len(set(map(str, values))) else list(map(str, values))


def _best(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The best trial for each combination of values, in the order of the values."""
    best = table.sort_values("objective", ascending=False, kind="stable").drop_duplicates(keys)
    try:
        return best.sort_values(keys)
    except TypeError:  # words beside numbers
        return best.sort_values(keys, key=lambda column: column.map(str))


def _settings(table: pd.DataFrame) -> list[str]:
    """Columns of `trial_table` that hold what was searched."""
    return list(table.columns[1 : list(table.columns).index("objective")])


def history_data(trials: pd.DataFrame) -> pd.DataFrame:
    """Objective of each complete trial by number, and the best up to it: trial, objective, best."""
    table = complete(trials)[["trial", "objective"]]
    return table.assign(best=table["objective"].cummax())


def importance_data(trials: pd.DataFrame) -> pd.DataFrame:
    """How much of the spread of objectives each setting accounts for (fANOVA, Hutter et al. 2014, by optuna).

    Args:
        trials: rows of `trials` of one sweep; complete ones count, whatever optuna was told during the search.

    Returns:
        One row per setting that differs, the most important first: setting, importance (they sum to 1). Empty
        below 4 trials or where one setting alone differs.
    """
    table = complete(trials)
    settings = _settings(table)
    if "schedule.first" in settings:
        settings.remove(SCHEDULE)
    differing = [name for name in settings if table[name].map(repr).nunique() > 1]
    empty = pd.DataFrame(columns=["setting", "importance"])
    if len(table) < _LEAST_IMPORTANCE or len(differing) < 2 or table["objective"].nunique() < 2:
        return empty
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = {name: _distribution(table[name]) for name in differing}
    study = optuna.create_study(direction="maximize")
    for row in table.to_dict("records"):
        params = {name: _plain(row[name]) for name in differing}
        study.add_trial(optuna.trial.create_trial(value=row["objective"], params=params, distributions=distributions))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=_SEED)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return pd.DataFrame({"setting": list(found), "importance": list(found.values())})


def _distribution(values: pd.Series[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    plain = [_plain(value) for value in values]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in plain):
        return FloatDistribution(float(min(plain)), float(max(plain)))
    return CategoricalDistribution(sorted(set(plain), key=repr))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
