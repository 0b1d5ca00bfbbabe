"""Which configuration to try next: optuna's samplers, asked anew for each trial.

The sampler of trial number k is seeded from (search seed, k) and told the other trials from the store's rows, so
that a suggestion depends on k and on those trials alone: a search that was interrupted goes on as if it had not been.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.exceptions import StoreError, StoreWriteError, one_line
from harness.streams import stream
from studies.sweeps.space import Categorical, Dimension, Int, Space

if TYPE_CHECKING:
    import optuna

Sampler = Literal["random", "tpe", "gp"]
Search = Literal["grid", "random", "tpe", "gp"]

STARTUP_TRIALS = 10
"""Random trials before `tpe` and `gp` look at results, as optuna has them."""
_STATES = {"complete": "COMPLETE", "stopped": "PRUNED", "failed": "FAIL", "running": "RUNNING"}


@dataclass(frozen=True)
class Told:
    """What a sampler learns of a trial.

    Attributes:
        number: of the trial.
        values: its configuration.
        status: complete, stopped, failed or running.
        objectives: of a complete trial, one per direction.
        reports: objective so far by label count; of a stopped trial all that is known.
    """

    number: int
    values: dict[str, Any]
    status: str
    objectives: tuple[float, ...] = ()
    reports: tuple[tuple[int, float], ...] = ()


def propose(
    space: Space, sampler: Sampler, seed: int, number: int, told: Sequence[Told], *, n_objectives: int = 1
) -> dict[str, Any]:
    """The configuration of one trial.

    Args:
        space: what is searched.
        sampler: of optuna.
        seed: of the search.
        number: of the trial.
        told: other trials, in any order.
        n_objectives: 1 (the first is maximised), or 2 (the second is minimised).

    Returns:
        A value for each dimension of the space.
    """
    import optuna

    study = _study(n_objectives, _sampler(sampler, int(stream(seed, "search", number).integers(2**32))))
    for trial in sorted(told, key=lambda trial: trial.number):
        study.add_trial(_frozen(trial, space, n_objectives))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return dict(study.ask(_distributions(space)).params)


def mirror(path: Path, name: str, space: Space, told: Sequence[Told], *, n_objectives: int = 1) -> None:
    """Add to a sqlite file, for optuna-dashboard, what it does not have yet of a sweep's trials.

    Args:
        path: of the file, which may hold other studies.
        name: of the study; with two objectives, which a study of optuna has from its start, it is another one.
        space: what is searched.
        told: trials that have ended.
        n_objectives: as in `propose`.

    Raises:
        StoreError: the file is something else, or of another version of optuna.
        StoreWriteError: it cannot be written, as when another program keeps it locked.
    """
    import optuna
    import sqlalchemy

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        url = sqlalchemy.URL.create("sqlite", database=str(path.absolute()))
        storage = optuna.storages.RDBStorage(url.render_as_string(hide_password=False))
        study = _study(n_objectives, None, storage, name if n_objectives == 1 else f"{name}-seconds")
        # A trial that failed and was tried again is there twice, as it happened.
        known = {(each.user_attrs.get("trial"), each.state.name) for each in study.get_trials(deepcopy=False)}
        for trial in sorted(told, key=lambda trial: trial.number):
            if (trial.number, _STATES[trial.status]) not in known:
                study.add_trial(_frozen(trial, space, n_objectives))
        storage.engine.dispose()
    except sqlalchemy.exc.OperationalError as error:
        raise StoreWriteError(path, OSError(str(error.orig))) from error
    except (OSError, RuntimeError, sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        raise StoreError(f"Cannot write optuna's trials to `{path}`: {one_line(error)[:200]}") from error


def _study(n_objectives: int, sampler: Any, storage: Any = None, name: str | None = None) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(logging.ERROR)
    directions = [optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE]
    return optuna.create_study(
        directions=directions[:n_objectives],
        sampler=sampler,
        storage=storage,
        study_name=name,
        load_if_exists=True,
    )


def _sampler(name: Sampler, seed: int) -> Any:
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        if name == "gp":
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=STARTUP_TRIALS, multivariate=True, constant_liar=True
        )


def _distributions(space: Space) -> dict[str, Any]:
    return {name: _distribution(dimension) for name, dimension in space.dimensions.items()}


def _distribution(dimension: Dimension) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(dimension, Categorical):
        return CategoricalDistribution(dimension.choices)
    if isinstance(dimension, Int):
        return IntDistribution(dimension.low, dimension.high, log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _frozen(trial: Told, space: Space, n_objectives: int) -> Any:
    import optuna

    return optuna.trial.create_trial(
        state=optuna.trial.TrialState[_STATES[trial.status]],
        values=list(trial.objectives[:n_objectives]) if trial.status == "complete" else None,
        params=trial.values,
        distributions=_distributions(space),
        intermediate_values=dict(trial.reports) if trial.status in ("complete", "stopped") else {},
        user_attrs={"trial": trial.number},
    )
