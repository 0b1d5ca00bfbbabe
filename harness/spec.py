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
    """Settings of the default learner, a small network; they belong to the study, not to a strategy."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    hidden: Annotated[int, Field(ge=1)] = 512
    epochs: Annotated[int, Field(ge=1)] = 100
    batch_size: Annotated[int, Field(ge=2)] = 128
    lr: Annotated[float, Field(gt=0)] = 0.3
    momentum: Annotated[float, Field(gt=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 3e-4
    scaling: Scaling = "rms"


class NamedLearner(BaseModel):
    """A learner other than the network (`harness.learners`).

    Attributes:
        name: as on the command line.
        version: version of its algorithm.
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
        data: name of the data set; it is displayed, but not part of the identity.
        data_hash: hash of its content.
        strategy: name of the strategy.
        strategy_version: version of its algorithm.
        params: all its hyperparameters.
        schedule: labels per round, in canonical form.
        seed: repetition.
        learner: settings of the network, or another learner.
        evaluate_on: which part of the test data accuracy is measured on.
        preset: the preset to which the hyperparameters are equal, with the names of those that it sets; it is
            displayed, but not part of the identity.
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
            params: hyperparameters that differ from their defaults; those that cannot matter for the schedule are
                ignored.
            learner: the learner that trains the classifier; None takes the network.
            evaluate_on: which part of the test data accuracy is measured on.

        Raises:
            SpecError: The schedule does not parse, or it needs more points than the data set has.
            StrategyError: The strategy is unknown, or a hyperparameter is not valid.
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
        """Content address: equal for equal results, no matter which study, machine or path they come from."""
        return self._hash(exclude={"data", "preset"})

    @cached_property
    def lineage(self) -> str:
        """Equal for trajectories that differ only in schedule and hyperparameters: one may begin like another."""
        return self._hash(exclude={"data", "preset", "schedule", "params"})

    @property
    def queries(self) -> tuple[int, ...]:
        """Labels to buy in each round."""
        return Schedule.parse(self.schedule).queries

    def n_alike(self, other: TrajectorySpec) -> int:
        """Number of rounds at the beginning that are the same as those of another trajectory.

        The two must have one lineage, and equal queries and picks in these rounds. Picks are equal if the strategies
        are canonically equal for these rounds (`Strategy.canonical`). A stored configuration that this version refuses
        is like no other one.
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
        """The hyperparameters as the tables have them."""
        return canonical_json(self.params)

    def _hash(self, exclude: set[str]) -> str:
        content = {"schema": schema.IDENTITY, **self.model_dump(mode="json", exclude=exclude)}
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:20]


def study_name(kind: str, specs: Sequence[TrajectorySpec]) -> str:
    """Name of a study; equal trajectories give equal names."""
    content = ",".join(sorted(spec.trajectory_id for spec in specs))
    return f"{kind}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
