"""Names of strategies, and strategies from names and settings."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoints, entry_points
from typing import Any, Literal, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from strategies.alfamix import AlfaMix
from strategies.badge import Badge
from strategies.badge_partition import BadgePartition
from strategies.bait_binary import BaitBinary
from strategies.base import Oracle, Strategy
from strategies.boss import Boss
from strategies.coreset_al import CoresetAL
from strategies.coreset_self import CoresetSelf
from strategies.coverherding import CoverHerding
from strategies.dcom import DCoM
from strategies.dropquery import DropQuery
from strategies.entropy import Entropy
from strategies.exceptions import InvalidParameterError, UnknownStrategyError, did_you_mean, shown
from strategies.graphherding import GraphHerding
from strategies.least_confidence import LeastConfidence
from strategies.lookahead import LookAhead
from strategies.margin import Margin
from strategies.maxherding import MaxHerding
from strategies.ntkcpl_al import NTKCPLAL
from strategies.ntkcpl_self import NTKCPLSelf
from strategies.power_margin import PowerMargin
from strategies.probcover import ProbCover
from strategies.random import Random
from strategies.refine import Refine
from strategies.tcm import TCM
from strategies.typiclust import TypiClust
from strategies.uherding import UHerding

ENTRY_POINT_GROUP = "ntkcpl.strategies"
PRESET = "preset"
"""The word that stands for several hyperparameters (`Strategy.presets`); it is none itself."""

T = TypeVar("T")
Budget = Literal["any", "few labels", "many labels"]

GROUPS: dict[str, dict[type[Strategy], Budget]] = {
    "need nothing": {Random: "any"},
    "need features": {
        TypiClust: "few labels",
        ProbCover: "few labels",
        MaxHerding: "few labels",
        CoresetSelf: "many labels",
    },
    "need a classifier": {
        Entropy: "many labels",
        Margin: "many labels",
        LeastConfidence: "many labels",
        PowerMargin: "many labels",
        CoresetAL: "many labels",
        Badge: "many labels",
        BadgePartition: "many labels",
        BaitBinary: "any",
        AlfaMix: "many labels",
    },
    "need both": {
        UHerding: "any",
        CoverHerding: "any",
        GraphHerding: "any",
        DropQuery: "any",
        DCoM: "any",
        TCM: "any",
        Refine: "any",
        LookAhead: "many labels",
        NTKCPLSelf: "few labels",
        NTKCPLAL: "any",
    },
}
"""Built-in strategies by what they look at, each with the budgets that its publication claims it for."""

BUILT_IN: dict[str, type[Strategy]] = {each.name: each for group in GROUPS.values() for each in group}

ORACLES: dict[str, type[Oracle]] = {Boss.name: Boss}
"""Bounds that see true labels and test data; never among strategies."""

SETS: dict[str, tuple[str, ...]] = {
    "recommended": (
        "random",
        "badge",
        "typiclust",
        "maxherding",
        "uherding",
        "graphherding",
        "bait_binary",
        "ntkcpl_al",
    ),
    "all": tuple(BUILT_IN),
}
"""Names for several: one strategy of each kind, those that are compared with most often; and all there are."""


@cache
def installed(group: str) -> EntryPoints:
    """The entry points of a group; all installed packages are searched for them, once in a process."""
    return entry_points(group=group)


def strategy_names() -> list[str]:
    """All names that `strategy_class` knows: built-in ones first, then those of installed packages."""
    return [*BUILT_IN, *sorted(set(installed(ENTRY_POINT_GROUP).names) - set(BUILT_IN))]


def strategy_class(name: str) -> type[Strategy]:
    """The class of a built-in name, an oracle, `skactiveml:NAME`, an entry point or an importable `module:Class`.

    Raises:
        UnknownStrategyError: there is none, or what is there is no strategy.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    if name in ORACLES:
        return ORACLES[name]
    if name.startswith("skactiveml:"):
        from strategies.skactiveml import adapted

        return adapted(name.partition(":")[2])
    return find_class(name, "strategy", Strategy, ENTRY_POINT_GROUP, strategy_names(), UnknownStrategyError)


def find_class(
    name: str, kind: str, base: type[Any], group: str, known: Sequence[str], unknown: Callable[[str], Exception]
) -> type[Any]:
    """The class that an installed package registers under a name, or that `module:Class` names.

    Args:
        name: as typed.
        kind: what it should be, for messages.
        base: what it inherits.
        group: of entry points.
        known: names to list where there is none of this one.
        unknown: the error to raise where there is none, or what is there does not inherit `base`.
    """
    registered = {point.name: point for point in installed(group)}
    if name not in registered and ":" not in name:
        raise unknown(
            f"Expected a {kind} among {', '.join(known)} or `module:Class`, but got `{name}`."
            + did_you_mean(name, known)
        )
    try:
        if name in registered:
            found: Any = registered[name].load()
        else:
            module, _, attribute = name.partition(":")
            found = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # Code of others is run here, and what it raises is said in one line.
        hint = ""
        if isinstance(error, ModuleNotFoundError) and error.name == name.partition(":")[0].partition(".")[0]:
            hint = " Install its package, or add its folder to PYTHONPATH; PYTHONPATH=. adds the current one."
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise unknown(f"Expected an importable {kind}, but `{name}` gave: {said}.{hint}") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        address = f"{base.__module__.rpartition('.')[0]}.{base.__name__}"
        raise unknown(f"Expected `{name}` to be a subclass of {address}, but got {found!r}.")
    return found


def summary(strategy: type[Strategy]) -> str:
    """What a strategy picks, in a line: what follows its name in the docstring of its module, else of the class."""
    return first_line(strategy, of_module=strategy in {*BUILT_IN.values(), *ORACLES.values()})


def first_line(cls: type[Any], *, of_module: bool) -> str:
    """What follows the name in the first line of the docstring of a class, or of its module."""
    text = (inspect.getmodule(cls).__doc__ if of_module else cls.__doc__) or ""
    line = text.strip().partition("\n")[0]
    return line.partition(": ")[2].strip() or line


def parameter_names(strategy: type[Any]) -> list[str]:
    """Hyperparameters of a strategy or another dataclass of them, in the order of their definition."""
    return [field.name for field in dataclasses.fields(strategy)] if dataclasses.is_dataclass(strategy) else []


def make_strategy(name: str, parameters: Mapping[str, Any] | None = None) -> Strategy:
    """Build a strategy; values may be text, as on the command line.

    A `preset` is written out first, so that it leaves no trace: what is given beside it wins.

    Raises:
        UnknownStrategyError: no such strategy.
        InvalidParameterError: a hyperparameter or preset does not exist, or its value is not allowed.
    """
    cls = strategy_class(name)
    if inspect.isabstract(cls):
        raise UnknownStrategyError(f"Expected a strategy that can be built, but `{name}` is abstract.")
    parameters = _written_out(cls, name, parameters or {})
    return build(cls, name, parameters, [PRESET] if cls.presets else [])


def build(cls: type[T], owner: str, parameters: Mapping[str, Any], further: Sequence[str] = ()) -> T:
    """An instance of a dataclass of hyperparameters; values may be text.

    Args:
        cls: the class.
        owner: what it is called in messages.
        parameters: hyperparameters by name.
        further: words that messages list as well.

    Raises:
        InvalidParameterError: a hyperparameter does not exist, or its value is not allowed.
    """
    known = parameter_names(cls)
    words = [*known, *further]
    for key in parameters:
        if key not in known:
            wanted = f"a hyperparameter of `{owner}` among {', '.join(words)}"
            wanted = wanted if words else f"no hyperparameter of `{owner}`, which has none"
            raise InvalidParameterError(f"Expected {wanted}, but got `{key}`.{did_you_mean(key, words)}")
    try:
        built = TypeAdapter(cls).validate_python(dict(parameters)) if known else cls()
    except ValidationError as error:
        raise InvalidParameterError(describe_error(owner, error)) from error
    except PydanticSchemaGenerationError as error:
        kind = str(error).partition(" for ")[2].partition(". ")[0]
        raise InvalidParameterError(
            f"Expected hyperparameters of `{owner}` that are int, float, bool or str, but one is {kind}."
        ) from error
    except (TypeError, ValueError) as error:  # A check of the class itself, which pydantic did not see or pass on.
        raise InvalidParameterError(_refusal(owner, dict(parameters), [str(error)])) from error
    for key, value in resolved_parameters(built).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidParameterError(f"Expected a finite `{owner}.{key}`, but got {value}.")
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InvalidParameterError(
                f"Expected `{owner}.{key}` to be int, float, bool, str or a list of them, but got {value!r}."
            ) from error
    return built


def preset_of(strategy: Strategy, queries: Sequence[int]) -> dict[str, list[str]]:
    """The preset that a strategy is on a schedule, with what it sets; empty where it is none."""
    for name, values in strategy.presets.items():
        whole: Any = dataclasses.replace(cast("Any", strategy), **values)
        if whole.canonical(queries) == strategy.canonical(queries):
            return {name: sorted(values)}
    return {}


def _written_out(cls: type[Strategy], name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    asked = dict(parameters)
    if not cls.presets or PRESET not in asked:
        return asked
    preset = str(asked.pop(PRESET))
    if preset not in cls.presets:
        raise InvalidParameterError(
            f"Expected a preset of `{name}` among {', '.join(cls.presets)}, but got `{preset}`."
            + did_you_mean(preset, list(cls.presets))
        )
    return {**cls.presets[preset], **asked}


def resolved_parameters(strategy: object) -> dict[str, Any]:
    """All hyperparameters with their values, ready for JSON."""
    return {key: getattr(strategy, key) for key in parameter_names(type(strategy))}


_IN_YAML = {
    "tuple_type": "Input should be a list, such as [a, b]",
    "model_type": "Input should be names with values, such as {a: 1}",
    "dict_type": "Input should be names with values, such as {a: 1}",
}
"""What pydantic says with words of Python."""


def describe_error(owner: str, error: ValidationError) -> str:
    """The first complaint of pydantic in one line."""
    first = error.errors()[0]
    path = ".".join(str(part) for part in (owner, *first["loc"]))
    if first["type"] == "missing":
        return f"Expected `{path}`, but it is missing."
    if first["type"] == "extra_forbidden":
        return f"Expected no `{path}`, as there is no such setting, but got {shown(first['input'])}."
    where = next((str(part) for part in first["loc"] if isinstance(part, str)), "")
    messages = dict.fromkeys(
        _IN_YAML.get(item["type"], item["msg"]) for item in error.errors() if where in item["loc"] or not where
    )
    return _refusal(f"{owner}.{where}" if where else owner, first["input"], messages)


def _refusal(what: str, got: Any, messages: Iterable[str]) -> str:
    reasons = "; or ".join(" ".join(each.split()).rstrip(".") for each in messages)
    return f"Expected a valid `{what}`, but got {shown(got)}: {reasons}."
