"""What one trajectory is: everything that decides its results, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from harness.data import Dataset, EvaluateOn
from harness.schedule import Schedule
from harness.store import schema
from strategies.base import Strategy
from strategies.exceptions import StrategyError
from strategies.functional.scaling import Scaling
from strategies.registry import make_strategy, preset_of, resolved_parameters


class LearnerSpec(BaseModel):
    """Settings of the network that learns by default; they belong to the study, not to a strategy."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    hidden: Annotated[int, Field(ge=1)] = 512
    epochs: Annotated[int, Field(ge=1)] = 100
    batch_size: Annotated[int, Field(ge=2)] = 128
    lr: Annotated[float, Field(gt=0)] = 0.3
    momentum: Annotated[float, Field(gt=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 3e-4
    scaling: Scaling = "rms"


class NamedLearner(BaseModel):
    """A learner beside the network (`harness.learners`).

    Attributes:
        name: as on the command line.
        version: of its algorithm.
        params: all its hyperparameters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: int
    params: dict[str, Any]

    @property
    def scaling(self) -> Scaling:
        """How the features are scaled."""
        scaling: Scaling = self.params["scaling"]
        return scaling


AnyLearner = LearnerSpec | NamedLearner


class TrajectorySpec(BaseModel):
    """One data set, strategy, configuration and seed.

    Attributes:
        data: name of the data set; shown, not part of the identity.
        data_hash: hash of its content.
        strategy: name of the strategy.
        strategy_version: version of its algorithm.
        params: all its hyperparameters.
        schedule: labels per round, in canonical form.
        seed: repetition.
        learner: what trains the classifier: settings of the network, or another learner.
        evaluate_on: which part of the test data accuracy is measured on.
        preset: the strategy's preset that the hyperparameters are, with the names of those it sets; shown, not part of
            the identity.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    data_hash: str
    strategy: str
    strategy_version: int
    params: dict[str, Any]
    schedule: str
    seed: int
    learner: AnyLearner = LearnerSpec()
    evaluate_on: EvaluateOn = "all"
    preset: dict[str, list[str]] = {}

    @field_validator("schedule")
    @classmethod
    def _canonical(cls, schedule: str) -> str:
        return str(Schedule.parse(schedule))

    @classmethod
    def of(
        cls,
        data: Dataset,
        strategy: str,
        schedule: str,
        seed: int = 0,
        *,
        params: Mapping[str, Any] | None = None,
        learner: AnyLearner | None = None,
        evaluate_on: EvaluateOn = "all",
    ) -> Self:
        """The trajectory of a strategy on a data set, as `ntkcpl compare` runs it.

        Args:
            data: the data set.
            strategy: name (`ntkcpl list strategies`) or `module:Class`.
            schedule: labels per round, such as `20x5,100x4`.
            seed: repetition.
            params: hyperparameters that are not at their defaults; what cannot matter on the schedule is left aside.
            learner: what trains the classifier; None takes the network.
            evaluate_on: which part of the test data accuracy is measured on.

        Raises:
            SpecError: a schedule that does not parse, or that needs more points than the data has.
            StrategyError: an unknown strategy, or a hyperparameter that does not fit.
        """
        parsed = Schedule.parse(schedule)
        parsed.check_fits(len(data.x_train), data.name)
        built = make_strategy(strategy, params).canonical(parsed.queries)
        return cls(
            data=data.name,
            data_hash=data.content_hash,
            strategy=strategy,
            strategy_version=built.version,
            params=resolved_parameters(built),
            schedule=schedule,
            seed=seed,
            learner=learner or LearnerSpec(),
            evaluate_on=evaluate_on,
            preset=preset_of(built, parsed.queries),
        )

    @cached_property
    def trajectory_id(self) -> str:
        """Content address: equal for equal results, whatever study, machine or path they come from."""
        return self._hash(exclude={"data", "preset"})

    @cached_property
    def lineage(self) -> str:
        """Shared by trajectories that differ in schedule and hyperparameters only: one may begin like another."""
        return self._hash(exclude={"data", "preset", "schedule", "params"})

    @property
    def queries(self) -> tuple[int, ...]:
        """Labels to buy in each round."""
        return Schedule.parse(self.schedule).queries

    def n_alike(self, other: TrajectorySpec) -> int:
        """How many rounds at the beginning are another trajectory's: of one lineage, with equal queries and picks.

        Picks are equal where the strategies are canonically equal for these rounds (`Strategy.canonical`). A stored
        configuration that this version refuses is like itself alone.
        """
        if self.lineage != other.lineage:
            return 0
        pairs = list(zip(self.queries, other.queries, strict=False))
        n_rounds = next((n for n, (own, others) in enumerate(pairs) if own != others), len(pairs))
        if self.params == other.params:
            return n_rounds
        try:
            forms = zip(self._canonical_forms[:n_rounds], other._canonical_forms[:n_rounds], strict=True)
        except StrategyError:
            return 0
        return next((n for n, (own, others) in enumerate(forms) if own != others), n_rounds)

    @cached_property
    def _canonical_forms(self) -> list[Strategy]:
        """The strategy in canonical form for the first round, the first two, ..."""
        strategy, queries = make_strategy(self.strategy, self.params), self.queries
        return [strategy.canonical(queries[: n + 1]) for n in range(len(queries))]

    @property
    def params_json(self) -> str:
        """The hyperparameters as they stand in the tables."""
        return canonical_json(self.params)

    def _hash(self, exclude: set[str]) -> str:
        content = {"schema": schema.IDENTITY, **self.model_dump(mode="json", exclude=exclude)}
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:20]


def study_name(kind: str, specs: Sequence[TrajectorySpec]) -> str:
    """Name of a study: equal for equal trajectories."""
    content = ",".join(sorted(spec.trajectory_id for spec in specs))
    return f"{kind}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
