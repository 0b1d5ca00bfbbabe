"""A sweep as data: its configurations, its trials and their objective."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from analysis.metrics import area_under_curve
from analysis.statistics import mean_std
from analysis.words import counted
from harness.data import Dataset, EvaluateOn
from harness.exceptions import SpecError, StoreError
from harness.spec import TrajectorySpec, canonical_json
from harness.store.reading import Row, round_seconds
from strategies.exceptions import InvalidParameterError
from strategies.registry import make_strategy, parameter_names, resolved_parameters, strategy_class
from studies.compare import Comparison
from studies.sweeps.search import Search, Told
from studies.sweeps.space import MAX_CLUSTERS, SCHEDULE, Categorical, Space, Values, asked_parameters, check_dimensions

Objective = Literal["area", "log_area", "final"]
Scheduler = Literal["none", "asha"]
Status = Literal["complete", "stopped", "failed"]
REDUCTION = 2
"""ASHA: one trial in so many goes on at each rung, and rungs are so many times the label count apart."""


@dataclass(frozen=True)
class Sweep:
    """What `ntkcpl sweep` was asked for.

    Attributes:
        strategy: name.
        space: what is searched.
        seeds: repetitions of each configuration.
        settings: fixed parameters by owner, the strategy or `learner`.
        shared: fixed parameters of the strategy from options of their own.
        search: how configurations are chosen.
        n_trials: how many there will be; a grid has as many as it has points.
        search_seed: of the sampler.
        objective: what is maximised.
        by_seconds: whether the seconds of selection are minimised as well.
        scheduler: whether trials are stopped early.
        metric: what the objective is made of, a column of `rounds` (`harness.store.schema.METRICS`).
        kind: first part of the study's name in the store.

    Raises:
        SpecError: a space that does not fit the strategy or the search.
    """

    strategy: str
    space: Space
    seeds: tuple[int, ...]
    settings: Mapping[str, Mapping[str, Any]]
    shared: Mapping[str, Any]
    search: Search = "grid"
    n_trials: int = 20
    search_seed: int = 0
    objective: Objective = "area"
    by_seconds: bool = False
    scheduler: Scheduler = "none"
    metric: str = "accuracy"
    kind: str = "sweep"

    def __post_init__(self) -> None:
        known = parameter_names(strategy_class(self.strategy))
        fixed = [*self.settings.get(self.strategy, {}), *self.shared]
        check_dimensions(list(self.space.parameters), known, fixed, self.strategy)
        if self.search == "grid":
            self.space.grid()
        if self.by_seconds and self.scheduler == "asha":
            raise SpecError(
                "Expected no --second-objective with --scheduler asha, which compares by one objective, but got one."
            )
        if self.objective == "final" and self.space.start is not None:
            raise SpecError(
                "Expected --objective-from only with an area as the objective, but the objective is final accuracy."
            )

    @property
    def rungs(self) -> list[int]:
        """Label counts at which trials may be stopped, from the start of the window; the last is the budget."""
        low, budget = self.space.window
        if self.scheduler == "none":
            return [budget]
        powers = itertools.takewhile(lambda rung: rung < budget, (low * REDUCTION**k for k in itertools.count()))
        return [*powers, budget]

    @property
    def n_objectives(self) -> int:
        """Objectives that the sampler is told."""
        return 2 if self.by_seconds else 1

    def check(self, data: Dataset) -> None:
        """Build the configurations at the ends of each dimension, so that what cannot be is refused at once.

        Raises:
            SpecError, StrategyError: a value that the strategy or the data does not allow.
        """
        data.test_half("tune")
        start = {name: dimension.ends[0] for name, dimension in self.space.dimensions.items()}
        for name, dimension in self.space.dimensions.items():
            for value in dimension.ends:
                self.specs({**start, name: value}, data)

    def specs(
        self, values: Values, data: Dataset, *, seeds: Sequence[int] | None = None, evaluate_on: EvaluateOn = "tune"
    ) -> list[TrajectorySpec]:
        """The trajectories of a configuration, by seed."""
        return self._comparison(values, self.seeds if seeds is None else seeds, evaluate_on).specs(data)

    @property
    def comparisons(self) -> list[Comparison]:
        """A comparison for each trial as far as that is known before the search: of a range, its lower end."""
        start = {name: dimension.ends[0] for name, dimension in self.space.dimensions.items()}
        trials = list(self.space.grid()) if self.search == "grid" else [start] * self.n_trials
        return [self._comparison(values, self.seeds, "tune") for values in trials]

    def _comparison(self, values: Values, seeds: Sequence[int], evaluate_on: EvaluateOn) -> Comparison:
        return Comparison(
            strategies=(self.strategy,),
            schedule=self.space.schedule(values),
            seeds=tuple(seeds),
            settings=self._with(asked_parameters(values)),
            shared=self.shared,
            evaluate_on=evaluate_on,
        )

    def default_specs(
        self, data: Dataset, *, seeds: Sequence[int] | None = None, evaluate_on: EvaluateOn = "tune"
    ) -> list[TrajectorySpec]:
        """The configuration to beat: what is searched at the strategy's own defaults, on the first schedule."""
        values = self.defaults
        fixed = Space({}, (str(self.space.first_schedule),))
        sweep = Sweep(self.strategy, fixed, self.seeds, self._with(values), self.shared)
        return sweep.specs({SCHEDULE: fixed.schedules[0]}, data, seeds=seeds, evaluate_on=evaluate_on)  # type: ignore[index]

    @property
    def defaults(self) -> dict[str, Any]:
        """The strategy's own values of what is searched."""
        defaults = make_strategy(self.strategy, {**self.settings.get(self.strategy, {}), **self.shared})
        return {name: getattr(defaults, name) for name in self.space.parameters}

    @property
    def unshown(self) -> dict[str, Any]:
        """Fixed hyperparameters that the default does not show, as they cannot matter on the first schedule alone."""
        strategy = make_strategy(self.strategy, {**self.settings.get(self.strategy, {}), **self.shared})
        own = dict[str, Any]()
        with suppress(InvalidParameterError):  # of a strategy some of whose hyperparameters must be given
            own = resolved_parameters(make_strategy(self.strategy))
        shown = resolved_parameters(strategy.canonical(self.space.first_schedule.queries))
        asked = resolved_parameters(strategy)
        return {key: value for key, value in asked.items() if value not in (shown[key], own.get(key, shown[key]))}

    def study(self, data: Dataset) -> str:
        """Name in the store: equal for sweeps that try the same configurations; more trials continue it."""
        sampled = [] if self.search == "grid" else [self.search_seed, self.objective, self.by_seconds]
        content = {
            "strategy": self.default_specs(data)[0].model_dump(mode="json", exclude={"data", "seed", "schedule"}),
            "space": self.space.describe(),
            "seeds": self.seeds,
            "search": [self.search, *sampled],
            "scheduler": [self.scheduler, self.objective],
        }
        if self.metric != "accuracy":
            content["metric"] = self.metric
        if self.unshown:
            content["fixed"] = self.unshown
        return f"{self.kind}-{hashlib.sha256(canonical_json(content).encode()).hexdigest()[:12]}"

    def _with(self, values: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        return {**self.settings, self.strategy: {**self.settings.get(self.strategy, {}), **values}}


def score(
    curve: Sequence[Row],
    objective: Objective,
    window: tuple[int, int],
    labels: float | None = None,
    metric: str = "accuracy",
) -> float:
    """The objective of one trajectory.

    Args:
        curve: its rows of `rounds`.
        objective: area, log_area, or final (accuracy at the last label count).
        window: label counts of the area.
        labels: where to end instead of the window's end.
        metric: the column that stands for accuracy.

    Returns:
        In units of accuracy.

    Raises:
        SpecError: a row from before the metric was kept.
    """
    low, high = window[0], window[1] if labels is None else labels
    x, y = [row["n_labels"] for row in curve], [row[metric] for row in curve]
    if None in y:
        raise SpecError(
            f"Expected {metric} in every round, but trajectory {curve[0]['trajectory_id']} has rounds from before it "
            "was kept; choose another --out."
        )
    ends = (high, high) if objective == "final" else (low, high)
    return area_under_curve(x, y, log=objective == "log_area", window=ends)


def reports(
    curves: Sequence[Sequence[Row]],
    objective: Objective,
    window: tuple[int, int],
    rungs: Iterable[int] = (),
    metric: str = "accuracy",
) -> list[tuple[int, float]]:
    """What is known of a trial so far: mean objective over seeds at each label count that all of them have reached.

    Args:
        curves: rows of `rounds` of each seed.
        objective: as in `score`.
        window: as in `score`.
        rungs: label counts to report beside those of the rounds.
        metric: as in `score`.
    """
    reached = min((curve[-1]["n_labels"] if curve else 0 for curve in curves), default=0)
    counts = {row["n_labels"] for curve in curves for row in curve} | set(rungs)
    return [
        (labels, float(np.mean([score(curve, objective, window, labels, metric) for curve in curves])))
        for labels in sorted(counts)
        if window[0] <= labels <= min(reached, window[1])
    ]


@dataclass(frozen=True)
class Record:
    """A trial that has ended.

    Attributes:
        number: of the trial.
        values: its configuration, as asked for.
        specs: its trajectories, by seed.
        status: complete, stopped early, or failed.
        labels: label count that all seeds have reached.
        scores: objective by seed; of a complete trial alone, like what follows.
        finals: accuracy, or the sweep's metric, at the budget by seed.
        selection: seconds of selection by seed.
        seconds: of all its trajectories.
        reports: mean objective so far by label count.
    """

    number: int
    values: dict[str, Any]
    specs: tuple[TrajectorySpec, ...]
    status: Status
    labels: int
    scores: tuple[float, ...] = ()
    finals: tuple[float, ...] = ()
    selection: tuple[float, ...] = ()
    seconds: float = 0.0
    reports: tuple[tuple[int, float], ...] = ()

    @property
    def objective(self) -> float:
        """Mean objective over seeds; of a trial that is not complete, minus infinity."""
        return mean_std(self.scores)[0] if self.scores else float("-inf")

    @property
    def told(self) -> Told:
        """What a sampler is told."""
        objectives = (self.objective, float(np.mean(self.selection))) if self.scores else ()
        return Told(self.number, self.values, self.status, objectives, self.reports)

    @property
    def cap_lowered_to(self) -> int | None:
        """The cap on clusters that stands for the one asked for; None where that one may bind."""
        asked, used = self.values.get(MAX_CLUSTERS), self.specs[0].params.get(MAX_CLUSTERS)
        return used if asked is not None and asked != used else None

    def row(self, study: str, sweep: Sweep) -> Row:
        """The row of `trials`."""
        std = mean_std(self.scores)[1] if self.scores else None
        return {
            "study": study,
            "trial": self.number,
            "params": canonical_json({name: value for name, value in self.values.items() if name != SCHEDULE}),
            "schedule": self.specs[0].schedule,
            "objective": self.objective if self.scores else None,
            "objective_std": None if std is None or np.isnan(std) else std,
            "final_accuracy": mean_std(self.finals)[0] if self.finals else None,
            "n_seeds": len(self.specs),
            "labels_reached": self.labels,
            "status": self.status,
            "trajectory_ids": [spec.trajectory_id for spec in self.specs],
            "seconds": self.seconds,
            "maximised": sweep.objective,
            "window_from": sweep.space.window[0],
            "window_to": sweep.space.window[1],
            "metric": sweep.metric,
        }


def make_record(
    sweep: Sweep,
    number: int,
    values: Mapping[str, Any],
    specs: Sequence[TrajectorySpec],
    curves: Sequence[Sequence[Row]],
    status: Status,
    labels: int,
) -> Record:
    """A trial that has ended, from the rounds of its trajectories.

    Raises:
        StoreError: the store lacks rounds of a trajectory that has ended, as after copying another store into it.
    """
    window = sweep.space.window
    known = () if status == "failed" else tuple(reports(curves, sweep.objective, window, sweep.rungs, sweep.metric))
    record = Record(
        number=number,
        values=dict(values),
        specs=tuple(specs),
        status=status,
        labels=labels,
        seconds=sum(round_seconds(row) for curve in curves for row in curve),
        reports=tuple((at, value) for at, value in known if at <= labels),
    )
    if status != "complete":
        return record
    for spec, curve in zip(specs, curves, strict=True):
        if len(curve) != len(spec.queries):
            raise StoreError(
                f"Expected {counted(len(spec.queries), 'round')} of trajectory {spec.trajectory_id}, which has ended, "
                f"but got {len(curve)}; see `ntkcpl store check`."
            )
    return replace(
        record,
        scores=tuple(score(curve, sweep.objective, window, metric=sweep.metric) for curve in curves),
        finals=tuple(float(curve[-1][sweep.metric]) for curve in curves),
        selection=tuple(float(sum(row["select_seconds"] for row in curve)) for curve in curves),
    )


def values_of(row: Row, space: Space) -> dict[str, Any]:
    """The configuration of a row of `trials`."""
    values: dict[str, Any] = json.loads(row["params"])
    if isinstance(space.dimensions.get(SCHEDULE), Categorical):
        values[SCHEDULE] = row["schedule"]
    return {name: values[name] for name in space.dimensions}


def best_first(records: Iterable[Record]) -> list[Record]:
    """Complete trials by objective, then stopped ones by how far they came, then failed ones."""
    order = {"complete": 0, "stopped": 1, "failed": 2}
    return sorted(records, key=lambda each: (order[each.status], -each.objective, -each.labels, each.number))


def pareto_front(records: Iterable[Record]) -> list[Record]:
    """Complete trials that no other one beats in objective and seconds of selection; best objective first."""
    front: list[Record] = []
    complete = [record for record in records if record.status == "complete"]
    for record in sorted(complete, key=lambda each: (-each.objective, np.mean(each.selection), each.number)):
        if not front or np.mean(record.selection) < np.mean(front[-1].selection):
            front.append(record)
    return front
