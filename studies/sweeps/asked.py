"""A sweep from what the command line says and what a study has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.exceptions import SpecError
from harness.schedule import parse_seeds
from strategies.registry import parameter_names, strategy_class
from studies.compare import LEARNER, parse_settings, parse_strategies
from studies.study import Study, own_settings
from studies.sweeps.search import Search
from studies.sweeps.space import make_space
from studies.sweeps.trials import Objective, Scheduler, Sweep

_SEEDS = "3"


@dataclass(frozen=True)
class AskedSweep:
    """What the command line says of a sweep; None where it says nothing.

    Attributes:
        strategy, max_clusters, schedules, seeds, candidates: as they were typed.
        space: YAML file.
        settings: texts of `--set`.
        objective_from: label count from which on the objective looks.
        learner: name of a learner.
        search, n_trials, search_seed, objective, by_seconds, scheduler, metric: as in `Sweep`.
    """

    strategy: str | None
    max_clusters: str | None = None
    schedules: str | None = None
    space: Path | None = None
    seeds: str | None = None
    candidates: str | None = None
    settings: Sequence[str] = ()
    objective_from: int | None = None
    search: Search = "grid"
    n_trials: int = 20
    search_seed: int = 0
    objective: Objective = "area"
    by_seconds: bool = False
    scheduler: Scheduler = "none"
    metric: str = "accuracy"
    learner: str | None = None

    def sweep(self, study: tuple[str, Study] | None) -> Sweep:
        """The sweep: what was typed, else what the study says, else defaults.

        Raises:
            SpecError, StrategyError: an option is missing or does not parse.
        """
        kind, plan = study or ("sweep", None)
        name = self._strategy(plan)
        settings: dict[str, dict[str, Any]] = {**parse_settings(own_settings(self.settings), [name], self.learner)}
        configured = [] if plan is None else [each.parameters for each in plan.strategies if each.name == name]
        own = {**(configured[0] if len(configured) == 1 else {}), **settings.get(name, {})}
        if own:
            settings[name] = own
        planned, start = None, self.objective_from
        if plan is not None:
            settings[LEARNER] = plan.learner_with(settings.get(LEARNER, {}))
            planned = plan.sweep.space
            if planned.schedules is None:
                planned = planned.model_copy(update={"schedules": (plan.schedule,)})
            if start is None and self.objective != "final":
                start = plan.sweep.objective_from
        space = make_space(self.max_clusters, self.schedules, self.space, planned=planned)
        try:
            space = replace(space, start=start)
        except SpecError as error:
            if self.objective_from is not None:
                raise
            raise SpecError(
                f"{error} The study {kind} has objective_from: {start}; --objective-from replaces it."
            ) from error
        shared = {} if self.candidates is None else {"candidates": self.candidates}
        for key in ("max_clusters", "candidates") if plan is not None else ():
            value, known = getattr(plan, key), parameter_names(strategy_class(name))
            if value is not None and key in known and not any(key in have for have in (space.parameters, own, shared)):
                shared[key] = value
        return Sweep(
            strategy=name,
            space=space,
            seeds=parse_seeds(str(_SEEDS if plan is None else plan.seeds) if self.seeds is None else self.seeds),
            settings=settings,
            shared=shared,
            search=self.search,
            n_trials=self.n_trials,
            search_seed=self.search_seed,
            objective=self.objective,
            by_seconds=self.by_seconds,
            scheduler=self.scheduler,
            metric=self.metric,
            kind=kind,
        )

    def _strategy(self, plan: Study | None) -> str:
        typed = self.strategy
        if typed is None:
            names = [] if plan is None else list(dict.fromkeys(each.name for each in plan.strategies))
            if len(names) != 1:
                has = "a --study that has one" if plan is None else f"one of the study's {', '.join(names)}"
                raise SpecError(f"Expected --strategy, or {has}, but got none.")
            typed = names[0]
        if "," in typed:
            raise SpecError(f"Expected one strategy to sweep, but got `{typed}`; `ntkcpl compare` takes several.")
        (name,) = parse_strategies(typed)
        return name
