"""A comparison: strategies x seeds on one data set, one schedule, one learner."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ByteSize, TypeAdapter, ValidationError

from harness.data import Dataset, EvaluateOn
from harness.exceptions import SpecError
from harness.learners.registry import BUILT_IN, MLP, has_gradient, learner_class, named
from harness.schedule import Schedule
from harness.spec import AnyLearner, LearnerSpec, TrajectorySpec
from strategies.base import Oracle, Strategy
from strategies.exceptions import did_you_mean
from strategies.registry import (
    ORACLES,
    SETS,
    describe_error,
    make_strategy,
    parameter_names,
    resolved_parameters,
    strategy_class,
)

LEARNER = "learner"
NAME = "name"
"""Among the settings of the learner: which one it is."""


@dataclass(frozen=True)
class Comparison:
    """What `ntkcpl compare` was asked for.

    Attributes:
        strategies: names, each once.
        schedule: labels per round.
        seeds: repetitions.
        settings: parameters by owner, a strategy or `learner`.
        shared: parameters for every strategy that has one of that name.
        evaluate_on: part of the test data that accuracy is measured on.
        kind: first part of the study's name in the store.
        oracle: name of the bound that is run beside the strategies, if any.
        variants: parameters of each configuration of a strategy that takes part in more than one, or in another than
            its default; `settings` win over them, and they over `shared`.
    """

    strategies: tuple[str, ...]
    schedule: Schedule
    seeds: tuple[int, ...]
    settings: Mapping[str, Mapping[str, Any]]
    shared: Mapping[str, Any]
    evaluate_on: EvaluateOn = "all"
    kind: str = "compare"
    variants: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    oracle: str | None = None

    def specs(self, data: Dataset) -> list[TrajectorySpec]:
        """The trajectories, seed by seed; configurations that pick the same on this schedule are one.

        Raises:
            SpecError: the schedule does not fit the pool, a setting does not fit the learner, a strategy asks what
            the learner does not answer, or no strategy has a shared parameter.
            StrategyError: an unknown strategy or a parameter that does not fit.
        """
        self.schedule.check_fits(len(data.x_train), data.name)
        learner = self.check()
        resolved = [(name, resolved_parameters(used)) for name, _, _, used in self._configurations()]
        specs = [
            TrajectorySpec.of(
                data, name, str(self.schedule), seed, params=params, learner=learner, evaluate_on=self.evaluate_on
            )
            for seed in self.seeds
            for name, params in resolved
        ]
        return list({spec.trajectory_id: spec for spec in specs}.values())

    def check(self) -> AnyLearner:
        """The learner, once all that can be refused without data is.

        Raises:
            SpecError, StrategyError: as `specs`.
        """
        learner = parse_learner(self.settings.get(LEARNER, {}))
        check_answers(learner, [name for name, *_ in self._configurations()])
        for key in self.shared:
            if not any(key in parameter_names(strategy_class(name)) for name in self.strategies):
                raise SpecError(
                    f"Expected a strategy with `{key}` among {', '.join(self.strategies)}, but none has it."
                )
        return learner

    @property
    def notes(self) -> list[str]:
        """A line for each hyperparameter, or configuration, that was asked for and cannot matter on this schedule."""
        lines, seen = list[str](), list[tuple[str, Strategy]]()
        for name, typed, *forms in self._configurations():
            asked, used = (resolved_parameters(each) for each in forms)
            changed = {key: value for key, value in used.items() if asked[key] != value}
            told = ",".join(f"{key}={value}" for key, value in changed.items())
            lines += [
                f"{name}: {key}={asked[key]} makes no difference on {self.schedule}; it runs as {told}, with the same"
                " picks."
                for key in changed
                if key in typed
            ]
            if (name, forms[1]) in seen:
                lines.append(f"{name}: two of its configurations pick the same on {self.schedule}; they run as one.")
            seen.append((name, forms[1]))
        return learner_notes(self.settings.get(LEARNER, {}), [name for name, _ in seen]) + lines

    @property
    def distinct(self) -> list[Strategy]:
        """The strategies as they run, those once that pick the same; `specs` has them for each seed."""
        found = list[tuple[str, Strategy]]()
        for name, _, _, used in self._configurations():
            if (name, used) not in found:
                found.append((name, used))
        return [strategy for _, strategy in found]

    def _configurations(self) -> Iterator[tuple[str, dict[str, Any], Strategy, Strategy]]:
        """Name, parameters that were asked for, the strategy of these, and its canonical form."""
        for name in (*self.strategies, *([self.oracle] if self.oracle else [])):
            known = parameter_names(strategy_class(name))
            shared = {key: value for key, value in self.shared.items() if key in known}
            for own in self.variants.get(name, [{}]):
                typed = {**shared, **own, **self.settings.get(name, {})}
                strategy = make_strategy(name, typed)
                yield name, typed, strategy, strategy.canonical(self.schedule.queries)


def parse_learner(values: Mapping[str, Any]) -> AnyLearner:
    """A learner from its settings, text or numbers, with its `name` among them; without one it is the network.

    Raises:
        SpecError: there is no such learner or setting, or it does not have such a value.
    """
    values = dict(values)
    name = str(values.pop(NAME, MLP))
    if name != MLP:
        return named(name, values)
    for key in values:
        if key not in LearnerSpec.model_fields:
            listed = ", ".join(LearnerSpec.model_fields)
            hint = did_you_mean(key, LearnerSpec.model_fields)
            raise SpecError(f"Expected a setting of the learner among {listed}, but got `{key}`.{hint}")
    try:
        return LearnerSpec.model_validate(values)
    except ValidationError as error:
        raise SpecError(describe_error(LEARNER, error)) from error


def check_answers(learner: AnyLearner, strategies: Sequence[str]) -> None:
    """Refuse strategies that ask what the classifiers of a learner do not answer.

    Raises:
        SpecError: there is one.
    """
    asking = [name for name in dict.fromkeys(strategies) if "gradient" in strategy_class(name).asks]
    if asking and not has_gradient(learner):
        able = [MLP, *(each.name for each in BUILT_IN.values() if each.has_gradient)]
        raise SpecError(
            f"Expected a learner with a gradient for {', '.join(asking)} (--learner {' or '.join(able)}), but "
            f"`{learner_name(learner)}` has none."
        )


def learner_notes(values: Mapping[str, Any], strategies: Sequence[str]) -> list[str]:
    """What is to be known of a learner but the network, and of strategies that ask for its embedding."""
    learner = parse_learner(values)
    if isinstance(learner, LearnerSpec):
        return []
    settings = ", ".join(f"{key}={value}" for key, value in learner.params.items())
    lines = [f"learner: {learner.name} with {settings}"]
    if blind := [name for name in dict.fromkeys(strategies) if "embedding" in strategy_class(name).asks]:
        lines.append(
            f"{', '.join(blind)}: {learner.name} has no layer before the last, so its embedding is the features."
        )
    return lines


def learner_name(learner: AnyLearner) -> str:
    """The word on the command line."""
    return MLP if isinstance(learner, LearnerSpec) else learner.name


def parse_strategies(text: str) -> tuple[str, ...]:
    """Names from `random,typiclust`, with the members of `recommended` and `all` (`strategies.registry.SETS`).

    Raises:
        SpecError: an empty or repeated name.
        UnknownStrategyError: a name that is not known.
    """
    asked = [name.strip() for name in text.split(",")]
    names = [name for each in asked for name in SETS.get(each, (each,))]
    for name in names:
        if not name:
            raise SpecError(f"Expected strategies such as `random,typiclust`, but got an empty name in `{text}`.")
        if names.count(name) > 1:
            raise SpecError(f"Expected each strategy once, but got `{name}` {names.count(name)} times in `{text}`.")
        if issubclass(strategy_class(name), Oracle):
            listed = " or ".join(f"--oracle {oracle}" for oracle in ORACLES)
            raise SpecError(
                f"Expected strategies, but `{name}` is an oracle, which draws a bound into the figures: use {listed}."
            )
    return tuple(names)


def parse_oracle(name: str) -> str:
    """The name of an oracle.

    Raises:
        SpecError: there is none of that name.
    """
    if name not in ORACLES:
        hint = did_you_mean(name, ORACLES)
        raise SpecError(f"Expected an oracle among {', '.join(ORACLES)}, but got `{name}`.{hint}")
    return name


def parse_settings(
    texts: Sequence[str], strategies: Sequence[str], learner: str | None = None
) -> dict[str, dict[str, str]]:
    """Settings from `strategy.parameter=value` and `learner.setting=value`, and the name of a learner.

    Raises:
        SpecError: a text of another form, an owner that takes no part, a parameter set twice, or an unknown learner.
    """
    settings: dict[str, dict[str, str]] = {}
    if learner is not None:
        if learner != MLP:
            learner_class(learner)  # refuses a name that is none
        settings[LEARNER] = {NAME: learner}
    for text in texts:
        left, equals, value = text.partition("=")
        owner, dot, key = left.strip().rpartition(".")
        if not (equals and dot and owner and key and value):
            raise SpecError(f"Expected a setting such as `ntkcpl_al.ridge=1e-3`, but got `{text}`.")
        if owner not in (*strategies, LEARNER):
            raise SpecError(
                f"Expected a setting of {', '.join(strategies)} or {LEARNER}, but got `{text}`."
                + did_you_mean(owner, [*strategies, LEARNER])
            )
        if (owner, key) == (LEARNER, NAME):
            raise SpecError(f"Expected --learner to name the learner, but got `{text}`.")
        if key in settings.setdefault(owner, {}):
            raise SpecError(f"Expected `{owner}.{key}` once, but it is set twice.")
        settings[owner][key] = value.strip()
    return settings


def parse_bytes(text: str) -> int:
    """Bytes from `8GiB`, `500MB` or a plain number.

    Raises:
        SpecError: a text of another form.
    """
    try:
        return int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError as error:
        raise SpecError(f"Expected an amount of memory such as `8GiB`, but got `{text}`.") from error


def parse_seconds(text: str) -> float:
    """Seconds from `2h`, `15min`, `90s` or a plain number.

    Raises:
        SpecError: a text of another form, or no time at all.
    """
    match = re.fullmatch(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(s|min|h|d|)\s*", text)
    seconds = float(match[1]) * {"": 1, "s": 1, "min": 60, "h": 3600, "d": 86400}[match[2]] if match else 0.0
    if not seconds:
        raise SpecError(f"Expected a time such as `2h`, `15min` or `90s`, but got `{text}`.")
    return seconds
