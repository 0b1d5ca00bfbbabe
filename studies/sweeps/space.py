"""What a sweep searches: hyperparameters of a strategy, and schedules under one total budget."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from harness.exceptions import SpecError, one_line
from harness.schedule import Schedule
from strategies.exceptions import did_you_mean, shown
from studies.yaml_files import read_yaml

SCHEDULE = "schedule"
FIRST, GROWTH, ROUNDS = "schedule.first", "schedule.growth", "schedule.rounds"
MAX_CLUSTERS = "max_clusters"
_MOST_DIGITS = 300
"""Of a query in units of the second one, as a float has them."""

Scalar: TypeAlias = bool | int | float | str
Values: TypeAlias = Mapping[str, Any]
"""A value for each dimension of a space."""

_DIMENSION = (
    "a list of values such as [0.5, 1.0], {type: int, low: 1, high: 9} or {type: float, low: 0.1, high: 1, log: true}"
)
_FORMS = {
    "schedules": "a list such as [20x10, 50x4], or {budget: 200, first: {low: 10, high: 40}, rounds: {low: 3, high: 9}}"
}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Ends(_Model):
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ValueError(f"has low {self.low:g} and high {self.high:g}, not finite low <= high")
        return self


class _Range(_Ends):
    log: bool = False

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if self.log and self.low <= 0:
            raise ValueError(f"has low {self.low:g}, not low > 0 as a log scale needs")
        return self

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values that stand for all when the strategy is asked whether it allows them."""
        return (self.low, self.high)


class Int(_Range):
    """Whole numbers from `low` to `high`, both included."""

    type: Literal["int"] = "int"
    low: int
    high: int


class Float(_Range):
    """Real numbers from `low` to `high`."""

    type: Literal["float"] = "float"


class Categorical(_Model):
    """Some values."""

    type: Literal["categorical"] = "categorical"
    choices: Annotated[tuple[Scalar, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len({(isinstance(choice, bool), choice) for choice in self.choices}) < len(self.choices):
            raise ValueError("has a choice twice")
        return self

    @property
    def ends(self) -> tuple[Any, ...]:
        """All of them."""
        return self.choices


Dimension = Int | Float | Categorical


class _Counts(_Ends):
    low: Annotated[int, Field(ge=1)]
    high: Annotated[int, Field(ge=1)]


class _Growth(_Ends):
    low: Annotated[float, Field(gt=0)] = 1.0
    high: Annotated[float, Field(gt=0)] = 1.0


class Family(_Model):
    """Schedules of one budget: a first query, then queries that grow by a factor from round to round.

    Attributes:
        budget: total labels of each schedule.
        first: labels of the first query.
        growth: each later query over the one before it.
        rounds: number of rounds, at least 2.
    """

    budget: Annotated[int, Field(ge=2)]
    first: _Counts
    growth: _Growth = _Growth()
    rounds: _Counts

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.rounds.low < 2:
            raise ValueError(f"has a low of {self.rounds.low} rounds, not at least 2")
        if (self.rounds.high - 2) * math.log10(self.growth.high) > _MOST_DIGITS:
            raise ValueError(
                f"has queries that grow beyond all numbers: {self.growth.high:g} times in each of"
                f" {self.rounds.high} rounds"
            )
        if self.first.high + self.rounds.high - 1 > self.budget:
            raise ValueError(
                f"has no room for a first query of {self.first.high} and a label in each of {self.rounds.high - 1} more"
                f" rounds within the budget of {self.budget}"
            )
        return self

    @property
    def dimensions(self) -> dict[str, Dimension]:
        """What is searched."""
        return {
            FIRST: Int(low=self.first.low, high=self.first.high, log=True),
            GROWTH: Float(low=self.growth.low, high=self.growth.high, log=True),
            ROUNDS: Int(low=self.rounds.low, high=self.rounds.high),
        }

    def schedule(self, values: Values) -> Schedule:
        """The schedule of one point: after the first query, each round has a label and its share of the rest."""
        first, growth, rounds = values[FIRST], values[GROWTH], values[ROUNDS]
        shares = list(itertools.accumulate(growth**k for k in range(rounds - 1)))
        free = self.budget - first - (rounds - 1)
        bought = [0, *(round(free * share / shares[-1]) for share in shares)]
        return Schedule((first, *(1 + after - before for before, after in itertools.pairwise(bought))))


def _as_choices(given: Any) -> Any:
    return {"type": "categorical", "choices": given} if isinstance(given, list) else given


def _kind(schedules: Any) -> str:
    return "family" if isinstance(schedules, dict | Family) else "list"


class SpaceFile(_Model):
    """A search space as it is written: `schedules`, and hyperparameters by name."""

    schedules: (
        Annotated[Annotated[tuple[str, ...], Tag("list")] | Annotated[Family, Tag("family")], Discriminator(_kind)]
        | None
    ) = None
    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, Annotated[Dimension, Field(discriminator="type"), BeforeValidator(_as_choices)]]


@dataclass(frozen=True)
class Space:
    """All configurations of a sweep.

    Attributes:
        parameters: hyperparameters of the strategy.
        schedules: a list in canonical form, or a family.
        start: label count from which on the objective looks; None takes the first that all schedules have.

    Raises:
        SpecError: no schedule, schedules of unequal budgets, or a start that not all of them span.
    """

    parameters: Mapping[str, Dimension]
    schedules: tuple[str, ...] | Family
    start: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.schedules, Family):
            budgets = {text: Schedule.parse(text).budget for text in self.schedules}
            if len(set(budgets.values())) > 1:
                listed = ", ".join(f"{budget} in {text}" for text, budget in budgets.items())
                raise SpecError(f"Expected schedules of one total budget, but got {listed} labels.")
        if self.start is not None and not self._begun <= self.start < self.budget:
            raise SpecError(
                f"Expected an objective from {self._begun} labels, which all schedules have, or more, and below the "
                f"budget of {self.budget}, but got {self.start}."
            )

    @cached_property
    def dimensions(self) -> dict[str, Dimension]:
        """Everything that is searched, by name and schedules last: in one order, whatever that of a file is."""
        parameters = dict(sorted(self.parameters.items()))
        if isinstance(self.schedules, Family):
            return {**parameters, **self.schedules.dimensions}
        return {**parameters, SCHEDULE: Categorical(choices=self.schedules)}

    @property
    def budget(self) -> int:
        """Total labels of every schedule."""
        if isinstance(self.schedules, Family):
            return self.schedules.budget
        return Schedule.parse(self.schedules[0]).budget

    @property
    def window(self) -> tuple[int, int]:
        """Label counts of the objective, which every schedule of the space spans."""
        return self._begun if self.start is None else self.start, self.budget

    @property
    def _begun(self) -> int:
        """The largest first query."""
        if isinstance(self.schedules, Family):
            return self.schedules.first.high
        return max(Schedule.parse(text).queries[0] for text in self.schedules)

    def schedule(self, values: Values) -> Schedule:
        """The schedule of one configuration."""
        return (
            self.schedules.schedule(values) if isinstance(self.schedules, Family) else Schedule.parse(values[SCHEDULE])
        )

    @property
    def first_schedule(self) -> Schedule:
        """The schedule listed first; of a family, the one at its lower ends."""
        if isinstance(self.schedules, Family):
            return self.schedules.schedule({name: each.ends[0] for name, each in self.schedules.dimensions.items()})
        return Schedule.parse(self.schedules[0])

    def grid(self) -> Iterator[dict[str, Any]]:
        """All configurations, the last dimension fastest.

        Raises:
            SpecError: a range, which has no grid.
        """
        for name, dimension in self.dimensions.items():
            if not isinstance(dimension, Categorical):
                raise SpecError(
                    f"Expected a list for `{name}` with --search grid, but got a range; use random, tpe or gp."
                )
        lists = [dimension.ends for dimension in self.dimensions.values()]
        return (dict(zip(self.dimensions, values, strict=True)) for values in itertools.product(*lists))

    def describe(self) -> dict[str, Any]:
        """The space as plain values: equal for equal spaces."""
        shown: dict[str, Any] = {name: dimension.model_dump(mode="json") for name, dimension in self.parameters.items()}
        family = self.schedules
        shown |= {"schedules": family.model_dump(mode="json") if isinstance(family, Family) else list(family)}
        return shown if self.start is None else {**shown, "objective_from": self.start}


def make_space(
    max_clusters: str | None,
    schedules: str | None,
    file: Path | None,
    *,
    planned: SpaceFile | None = None,
) -> Space:
    """Put the space together from the command line and a file.

    Args:
        max_clusters: `10,50,100` or `10..200`.
        schedules: `20x10;50x4`.
        file: YAML.
        planned: what a study searches; its hyperparameters count where neither `max_clusters` nor a file has any, its
            schedules where nothing else has some.

    Raises:
        SpecError: a text that does not parse, a dimension given twice, no schedule, or unequal budgets.
    """
    planned = planned or SpaceFile()
    described = _read(file) if file else planned if max_clusters is None else SpaceFile()
    parameters = dict(described.__pydantic_extra__ or {})
    if max_clusters is not None:
        if MAX_CLUSTERS in parameters:
            raise SpecError(f"Expected max_clusters once, but it is in `{file}` and in --max-clusters.")
        parameters[MAX_CLUSTERS] = parse_counts(max_clusters)
    listed = described.schedules
    if schedules is not None:
        if file and listed is not None:
            raise SpecError(f"Expected schedules once, but they are in `{file}` and in --schedules.")
        listed = tuple(schedules.split(";"))
    listed = listed or planned.schedules
    if not listed:
        raise SpecError('Expected schedules such as --schedules "20x10;50x4", or in the --space file, but got none.')
    if not isinstance(listed, Family):
        listed = tuple(str(Schedule.parse(text)) for text in listed)
        if repeated := [text for text in listed if listed.count(text) > 1]:
            raise SpecError(f"Expected each schedule once, but got `{repeated[0]}` {len(repeated)} times.")
    return Space(parameters, listed)


def parse_counts(text: str) -> Dimension:
    """Numbers of clusters from a list `10,50,100,200` or a log-integer range `10..200`.

    Raises:
        SpecError: a text of another form.
    """
    low, dots, high = text.partition("..")
    try:
        if not dots:
            return Categorical(choices=tuple(_count(piece) for piece in text.split(",")))
        ends = _count(low), _count(high)
    except ValueError as error:
        raise SpecError(
            "Expected --max-clusters as a list of distinct numbers from 1 on, `10,50,100`, or a range `10..200`, but"
            f" got `{text}`."
        ) from error
    if ends[0] > ends[1]:
        raise SpecError(f"Expected the lower end of --max-clusters first, as in `10..200`, but got `{text}`.")
    return Int(low=ends[0], high=ends[1], log=True)


def _count(text: str) -> int:
    count = TypeAdapter(Annotated[int, Field(ge=1)]).validate_python(text.strip())
    return int(count)


def _read(path: Path) -> SpaceFile:
    try:
        content = read_yaml(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"Expected a readable file for --space, but got `{path}`: {one_line(error)}.") from error
    except yaml.YAMLError as error:
        raise SpecError(f"Expected YAML in `{path}`, but got: {one_line(error)}.") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise SpecError(
            f"Expected hyperparameters by name in `{path}`, such as `max_clusters: {{type: int, low: 10, high: 200}}`."
        )
    try:
        return SpaceFile.model_validate(content)
    except ValidationError as error:
        raise SpecError(f"Expected a search space in `{path}`, but {_complaint(error)}.") from error


def _complaint(error: ValidationError) -> str:
    """What is wrong with the first dimension that is, and what it may be."""
    name = str(error.errors()[0]["loc"][0])
    found = []
    for item in error.errors():
        own, *inner = item["loc"]
        where = ".".join(str(part) for part in (own, *inner[1:3]))  # without the kinds that pydantic has tried
        given = f"is {shown(item['input'])}"
        problems = {
            "missing": "is missing",
            "extra_forbidden": "is unknown",
            "value_error": item["msg"].removeprefix("Value error, "),
        }
        if own == name:
            found.append(f"`{where}` {problems.get(item['type'], given)}")
    return f"{' and '.join(dict.fromkeys(found))}; give {_FORMS.get(name, _DIMENSION)}"


def asked_parameters(values: Values) -> dict[str, Any]:
    """The hyperparameters of the strategy in a configuration: all but what makes the schedule."""
    return {name: value for name, value in values.items() if name.partition(".")[0] != SCHEDULE}


def check_dimensions(names: Sequence[str], known: Sequence[str], fixed: Sequence[str], strategy: str) -> None:
    """Make sure that a space searches hyperparameters that a strategy has and that are not set as well.

    Raises:
        SpecError: a name that the strategy lacks, or one that is fixed.
    """
    for name in names:
        if name not in known:
            raise SpecError(
                f"Expected hyperparameters of `{strategy}` among {', '.join(known) or 'none'} to search, but got"
                f" `{name}`.{did_you_mean(name, [*known, 'schedules'])}"
            )
        if name in fixed:
            raise SpecError(f"Expected `{name}` to be searched or set, but it is both.")
