import json
import math
import sys
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import EntryPoint, EntryPoints, PackageNotFoundError
from types import ModuleType
from typing import Any

import pytest

from strategies import registry
from strategies.base import Strategy
from strategies.exceptions import InvalidParameterError, UnknownStrategyError
from strategies.ntkcpl import PAPER
from strategies.ntkcpl_self import NTKCPLSelf
from strategies.probcover import ProbCover
from strategies.random import Random
from strategies.registry import (
    BUILT_IN,
    GROUPS,
    SETS,
    make_strategy,
    parameter_names,
    preset_of,
    resolved_parameters,
    strategy_class,
    strategy_names,
    summary,
)

NAMES = [
    "random",
    "typiclust",
    "probcover",
    "maxherding",
    "coreset_self",
    "entropy",
    "margin",
    "least_confidence",
    "power_margin",
    "coreset_al",
    "badge",
    "badge_partition",
    "bait_binary",
    "alfamix",
    "uherding",
    "coverherding",
    "graphherding",
    "dropquery",
    "dcom",
    "tcm",
    "refine",
    "lookahead",
    "ntkcpl_self",
    "ntkcpl_al",
]


class Mine(Random):
    name = "mine"


@dataclass(frozen=True)
class Loose(Random):
    factor: float = 1.0


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Held(Random):
    held: Any = Colour.RED


@dataclass(frozen=True)
class Ordered(Random):
    low: int = 1
    high: int = 2
    error: str = "ValueError"

    def __post_init__(self):
        if self.low > self.high:
            raise {"ValueError": ValueError, "TypeError": TypeError}[self.error](
                "low must not exceed high.\nExchange them."
            )


@dataclass(frozen=True)
class Never(Random):
    def __post_init__(self):
        raise ValueError("this machine has no sensor")


@pytest.fixture
def installed(monkeypatch):
    """A package that registers strategies, one of them under a name that is taken."""
    module = ModuleType("a_package")
    module.Mine, module.number = Mine, 3
    monkeypatch.setitem(sys.modules, "a_package", module)
    points = EntryPoints(
        EntryPoint(name, value, registry.ENTRY_POINT_GROUP)
        for name, value in [
            ("mine", "a_package:Mine"),
            ("random", "a_package:Mine"),
            ("gone", "a_package:Gone"),
            ("number", "a_package:number"),
        ]
    )
    monkeypatch.setattr(registry, "installed", lambda group: points.select(group=group))


def message_of(error):
    text = str(error.value)
    assert "\n" not in text
    return text


class TestPresets:
    def test_a_preset_is_written_out(self):
        written = make_strategy("ntkcpl_al", {"preset": "paper"})
        assert written == make_strategy("ntkcpl_al", resolved_parameters(written))
        assert "preset" not in resolved_parameters(written)
        assert {key: getattr(written, key) for key in PAPER} == PAPER

    def test_what_is_given_beside_it_wins(self):
        assert make_strategy("ntkcpl_self", {"ridge": "0.1", "preset": "paper"}) == NTKCPLSelf(
            **{**PAPER, "ridge": 0.1}
        )

    @pytest.mark.parametrize(
        ("name", "preset", "complaint"),
        [
            (
                "ntkcpl_al",
                "papr",
                "Expected a preset of `ntkcpl_al` among paper, but got `papr`. Did you mean `paper`?",
            ),
            ("ntkcpl_al", ["paper"], "Expected a preset of `ntkcpl_al` among paper, but got"),
            ("random", "paper", "Expected no hyperparameter of `random`, which has none, but got `preset`"),
        ],
    )
    def test_what_is_none_is_one_line(self, name, preset, complaint):
        with pytest.raises(InvalidParameterError) as error:
            make_strategy(name, {"preset": preset})
        assert complaint in message_of(error)

    def test_its_name_is_found_again(self):
        found = preset_of(make_strategy("ntkcpl_al", {"preset": "paper"}).canonical([10, 10]), [10, 10])
        assert found == {"paper": sorted(PAPER)}
        assert preset_of(make_strategy("ntkcpl_al", {"preset": "paper", "max_clusters": 7}), [10, 20]) == found
        for parameters in ({}, {"preset": "paper", "ridge": 0.1}):
            assert preset_of(make_strategy("ntkcpl_al", parameters), [10, 10]) == {}


def test_built_in_names():
    assert strategy_names()[: len(NAMES)] == list(BUILT_IN) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_strategy_has_its_name_a_version_and_a_source(name):
    strategy = strategy_class(name)
    assert issubclass(strategy, Strategy)
    assert strategy.name == name
    assert strategy.version >= 1
    assert strategy.source


@pytest.mark.parametrize("name", NAMES)
def test_resolved_parameters_make_the_same_strategy(name):
    strategy = make_strategy(name)
    parameters = resolved_parameters(strategy)
    assert list(parameters) == parameter_names(type(strategy))
    assert make_strategy(name, json.loads(json.dumps(parameters))) == strategy


def test_values_may_be_text():
    parameters = {"candidates": "30", "ridge": "1e-3", "bias": "false", "risk": "squared"}
    expected = NTKCPLSelf(candidates=30, ridge=1e-3, bias=False, risk="squared")
    assert make_strategy("ntkcpl_self", parameters) == expected
    assert make_strategy("ntkcpl_self", {"candidates": "all"}).candidates == "all"
    changed = make_strategy("ntkcpl_self", json.loads(json.dumps(resolved_parameters(expected))))
    assert changed == expected


class TestNames:
    def test_unknown_name_lists_all_and_hints(self, installed):
        with pytest.raises(UnknownStrategyError) as error:
            strategy_class("ntkcpl_slef")
        message = message_of(error)
        assert message.endswith("but got `ntkcpl_slef`. Did you mean `ntkcpl_self`?")
        assert all(name in message for name in [*NAMES, "mine", "module:Class"])

    def test_no_hint_for_a_name_far_from_all(self):
        with pytest.raises(UnknownStrategyError) as error:
            strategy_class("zzz")
        assert "Did you mean" not in message_of(error)

    def test_module_and_class(self):
        assert strategy_class("strategies.probcover:ProbCover") is ProbCover
        assert make_strategy("strategies.probcover:ProbCover", {"delta": "0.5"}) == ProbCover(delta=0.5)

    @pytest.mark.parametrize(
        ("name", "complaint"),
        [
            ("no_such_module:Mine", "importable"),
            ("strategies.probcover:NoSuchClass", "importable"),
            (":Mine", "importable"),
            ("strategies.probcover:", "importable"),
            ("strategies.base:PoolView", "subclass"),
            ("strategies.registry:BUILT_IN", "subclass"),
        ],
    )
    def test_what_is_no_strategy(self, name, complaint):
        with pytest.raises(UnknownStrategyError) as error:
            strategy_class(name)
        assert complaint in message_of(error)
        assert f"`{name}`" in message_of(error)

    @pytest.mark.parametrize(
        ("ends", "said"),
        [
            ("import sys; sys.exit(0)", "SystemExit: 0"),
            ("raise KeyError('x')", "KeyError: 'x'"),
            (r"raise ValueError('a\nb')", "ValueError: a b"),
        ],
    )
    def test_a_module_that_ends_is_one_line(self, monkeypatch, tmp_path, ends, said):
        (tmp_path / "a_script.py").write_text(ends)
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(UnknownStrategyError) as error:
            strategy_class("a_script:Mine")
        assert message_of(error) == f"Expected an importable strategy, but `a_script:Mine` gave: {said}."

    def test_scikit_activeml_without_its_extra(self, monkeypatch):
        def missing(name):
            raise PackageNotFoundError(name)

        monkeypatch.setattr("importlib.metadata.version", missing)
        monkeypatch.delitem(sys.modules, "strategies.skactiveml", raising=False)
        with pytest.raises(UnknownStrategyError) as error:
            strategy_class("skactiveml:CoreSet")
        assert message_of(error).endswith("it is not installed: pip install 'ntkcpl[skactiveml]'.")

    def test_entry_points(self, installed):
        assert strategy_names() == [*NAMES, "gone", "mine", "number"]
        assert strategy_class("mine") is Mine
        assert isinstance(make_strategy("mine"), Mine)

    def test_built_in_names_cannot_be_taken(self, installed):
        assert strategy_class("random") is Random

    @pytest.mark.parametrize("name", ["gone", "number"])
    def test_broken_entry_point(self, installed, name):
        with pytest.raises(UnknownStrategyError) as error:
            strategy_class(name)
        assert f"`{name}`" in message_of(error)


class TestParameters:
    def test_unknown_one_lists_all_and_hints(self):
        with pytest.raises(InvalidParameterError) as error:
            make_strategy("ntkcpl_al", {"max_cluster": 3})
        message = message_of(error)
        assert message.endswith("but got `max_cluster`. Did you mean `max_clusters`?")
        assert all(name in message for name in parameter_names(BUILT_IN["ntkcpl_al"]))

    def test_a_strategy_without_any(self):
        with pytest.raises(InvalidParameterError, match="which has none, but got `delta`"):
            make_strategy("random", {"delta": 1})

    @pytest.mark.parametrize(
        ("name", "parameters", "where", "value"),
        [
            ("ntkcpl_self", {"ridge": -1}, "ridge", "-1"),
            ("lookahead", {"ridge": 9e-5}, "ridge", "9e-05"),
            ("ntkcpl_self", {"ridge": "small"}, "ridge", "'small'"),
            ("ntkcpl_self", {"max_clusters": 0}, "max_clusters", "0"),
            ("ntkcpl_self", {"candidates": "most"}, "candidates", "'most'"),
            ("ntkcpl_self", {"candidates": 1}, "candidates", "1"),
            ("ntkcpl_al", {"risk": "cubic"}, "risk", "'cubic'"),
            ("lookahead", {"score": None}, "score", "None"),
            ("lookahead", {"width": 1.5}, "width", "1.5"),
        ],
    )
    def test_invalid_value_is_one_line(self, name, parameters, where, value):
        with pytest.raises(InvalidParameterError) as error:
            make_strategy(name, parameters)
        assert message_of(error).startswith(f"Expected a valid `{name}.{where}`, but got {value}: ")

    @pytest.mark.parametrize("error_type", ["ValueError", "TypeError"])
    def test_a_check_of_two_together_says_why(self, error_type):
        with pytest.raises(InvalidParameterError) as error:
            make_strategy(f"{__name__}:Ordered", {"low": 5, "error": error_type})
        message = message_of(error)
        assert message.startswith(f"Expected a valid `{__name__}:Ordered`, but got {{'low': 5, ")
        assert message.endswith("low must not exceed high. Exchange them.")

    def test_a_check_of_a_strategy_without_any_says_why(self):
        with pytest.raises(InvalidParameterError) as error:
            make_strategy(f"{__name__}:Never")
        assert message_of(error) == f"Expected a valid `{__name__}:Never`, but got {{}}: this machine has no sensor."

    @pytest.mark.parametrize("value", [0, "1e-5"])
    def test_the_smallest_ridge_is_named(self, value):
        with pytest.raises(InvalidParameterError, match=r"greater than or equal to 0\.0001"):
            make_strategy("ntkcpl_al", {"ridge": value})
        assert make_strategy("ntkcpl_self", {"ridge": 1e-4}) == NTKCPLSelf(ridge=1e-4)

    @pytest.mark.parametrize("value", ["nan", "inf"])
    def test_ridge_is_a_number(self, value):
        with pytest.raises(InvalidParameterError):
            make_strategy("ntkcpl_self", {"ridge": value})

    @pytest.mark.parametrize("value", ["nan", "inf"])
    def test_no_number_is_infinite(self, value):
        with pytest.raises(InvalidParameterError, match=f"finite `{__name__}:Loose.factor`, but got {value}"):
            make_strategy(f"{__name__}:Loose", {"factor": value})

    @pytest.mark.parametrize(("value", "got"), [(None, "<Colour.RED: 'red'>"), (b"x", "b'x'"), ([math.nan], "[nan]")])
    def test_json_holds_them(self, value, got):
        with pytest.raises(InvalidParameterError) as error:
            make_strategy(f"{__name__}:Held", {} if value is None else {"held": value})
        assert message_of(error) == (
            f"Expected `{__name__}:Held.held` to be int, float, bool, str or a list of them, but got {got}."
        )
        assert make_strategy(f"{__name__}:Held", {"held": (1, "a")}) == Held(held=(1, "a"))


def test_what_cannot_be_built():
    with pytest.raises(UnknownStrategyError, match="is abstract"):
        make_strategy("strategies.ntkcpl:NTKCPL")


def test_every_strategy_is_in_one_group_and_says_in_a_line_what_it_takes():
    members = [member for group in GROUPS.values() for member in group]
    assert len(members) == len(set(members)) == len(BUILT_IN)
    for member in members:
        assert 20 < len(summary(member)) < 120, member
        assert summary(member)[0].islower() or summary(member).startswith(("BADGE", "MaxHerding", "TypiClust")), member


def test_the_set_for_a_first_comparison_has_a_baseline_and_fits_a_figure():
    assert SETS["recommended"][0] == "random"
    assert len(SETS["recommended"]) <= 8
    assert set(SETS["recommended"]) < set(SETS["all"]) == set(BUILT_IN)


def test_the_summary_of_ones_own_strategy_is_its_docstring():
    class Mine(Random):
        """The first ones.

        Because they come first.
        """

    assert summary(Mine) == "The first ones."
