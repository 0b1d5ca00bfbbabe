"""Names of strategies, and strategies from names and settings."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import math
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from pydantic import TypeAdapter, ValidationError

from strategies.badge import Badge
from strategies.badge_partition import BadgePartition
from strategies.bait_binary import BaitBinary
from strategies.base import Strategy
from strategies.coreset_al import CoresetAL
from strategies.coreset_self import CoresetSelf
from strategies.dropquery import DropQuery
from strategies.entropy import Entropy
from strategies.exceptions import InvalidParameterError, UnknownStrategyError, did_you_mean
from strategies.least_confidence import LeastConfidence
from strategies.lookahead import LookAhead
from strategies.margin import Margin
from strategies.maxherding import MaxHerding
from strategies.ntkcpl_al import NTKCPLAL
from strategies.ntkcpl_self import NTKCPLSelf
from strategies.power_margin import PowerMargin
from strategies.probcover import ProbCover
from strategies.random import Random
from strategies.tcm import TCM
from strategies.typiclust import TypiClust
from strategies.uherding import UHerding

ENTRY_POINT_GROUP = "ntkcpl.strategies"

BUILT_IN: dict[str, type[Strategy]] = {
    strategy.name: strategy
    for strategy in (
        Random,
        Entropy,
        Margin,
        LeastConfidence,
        PowerMargin,
        CoresetSelf,
        CoresetAL,
        Badge,
        BadgePartition,
        TypiClust,
        ProbCover,
        MaxHerding,
        UHerding,
        BaitBinary,
        DropQuery,
        TCM,
        LookAhead,
        NTKCPLSelf,
        NTKCPLAL,
    )
}


def strategy_names() -> list[str]:
    """All names that `strategy_class` knows: built-in ones first, then those of installed packages."""
    return [*BUILT_IN, *sorted(set(entry_points(group=ENTRY_POINT_GROUP).names) - set(BUILT_IN))]


def strategy_class(name: str) -> type[Strategy]:
    """The class of a built-in name, `skactiveml:NAME`, an entry point's name or an importable `module:Class`.

    Raises:
        UnknownStrategyError: there is none, or what is there is no strategy.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    if name.startswith("skactiveml:"):
        from strategies.skactiveml import adapted

        return adapted(name.partition(":")[2])
    registered = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    try:
        if name in registered:
            found: Any = registered[name].load()
        elif ":" in name:
            module, _, attribute = name.partition(":")
            found = getattr(importlib.import_module(module), attribute)
        else:
            raise UnknownStrategyError(
                f"Expected a strategy among {', '.join(strategy_names())} or `module:Class`, but got `{name}`."
                + did_you_mean(name, strategy_names())
            )
    except UnknownStrategyError:
        raise
    except Exception as error:  # Code of others is run here; whatever it raises is the user's to see in one line.
        hint = ""
        if isinstance(error, ModuleNotFoundError) and error.name == name.partition(":")[0].partition(".")[0]:
            hint = " Install its package, or add its folder to PYTHONPATH; PYTHONPATH=. adds the current one."
        raise UnknownStrategyError(f"Expected an importable strategy, but `{name}` gave: {error}.{hint}") from error
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise UnknownStrategyError(f"Expected `{name}` to be a subclass of strategies.Strategy, but got {found!r}.")
    return found


def parameter_names(strategy: type[Strategy]) -> list[str]:
    """Hyperparameters of a strategy, in the order of their definition."""
    return [field.name for field in dataclasses.fields(strategy)] if dataclasses.is_dataclass(strategy) else []


def make_strategy(name: str, parameters: Mapping[str, Any] | None = None) -> Strategy:
    """Build a strategy; values may be text, as on the command line.

    Raises:
        UnknownStrategyError: no such strategy.
        InvalidParameterError: a hyperparameter does not exist or its value is not allowed.
    """
    cls = strategy_class(name)
    if inspect.isabstract(cls):
        raise UnknownStrategyError(f"Expected a strategy that can be built, but `{name}` is abstract.")
    known = parameter_names(cls)
    for key in parameters or {}:
        if key not in known:
            listed = ", ".join(known) or "none"
            raise InvalidParameterError(
                f"Expected a hyperparameter of `{name}` among {listed}, but got `{key}`.{did_you_mean(key, known)}"
            )
    try:
        strategy = TypeAdapter(cls).validate_python(dict(parameters or {})) if known else cls()
    except ValidationError as error:
        raise InvalidParameterError(describe_error(name, error)) from error
    for key, value in resolved_parameters(strategy).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidParameterError(f"Expected a finite `{name}.{key}`, but got {value}.")
    return strategy


def resolved_parameters(strategy: Strategy) -> dict[str, Any]:
    """All hyperparameters with their values, ready for JSON."""
    return {key: getattr(strategy, key) for key in parameter_names(type(strategy))}


def describe_error(owner: str, error: ValidationError) -> str:
    """The first complaint of pydantic in one line."""
    first = error.errors()[0]
    where = next((str(part) for part in first["loc"] if isinstance(part, str)), "")
    messages = dict.fromkeys(item["msg"] for item in error.errors() if where in item["loc"])
    return f"Expected a valid `{owner}.{where}`, but got {first['input']!r}: {'; or '.join(messages)}."
