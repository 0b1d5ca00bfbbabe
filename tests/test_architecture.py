"""What is imported when, and what each strategy says about itself; lint-imports checks the order of the layers."""

import ast
import inspect
import itertools
import json
import subprocess
import sys

import pytest

from strategies.registry import BUILT_IN, make_strategy, parameter_names, strategy_class

HEAVY = {"ray", "torch", "sklearn", "numba", "pandas", "matplotlib"}


def loaded_by(code):
    """Modules that are loaded after running code in a new process."""
    script = f"import json, sys\n{code}\nprint('LOADED', json.dumps(sorted(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    return set(json.loads(printed.rpartition("LOADED")[2]))


def test_strategies_leave_ray_unloaded():
    loaded = loaded_by("import strategies, strategies.registry")
    assert "strategies.registry" in loaded
    assert not loaded & {"ray", "harness", "studies", "analysis"}


def test_comparisons_on_feature_files_leave_torchvision_unloaded():
    loaded = loaded_by("import studies.run, studies.study, studies.report")
    assert "harness.trajectory" in loaded
    assert not loaded & {"torchvision", "lightly", "safetensors", "harness.features"}


@pytest.mark.parametrize("words", [["--help"], ["compare", "--help"], ["features", "--help"]], ids=" ".join)
def test_help_leaves_heavy_libraries_unloaded(words):
    loaded = loaded_by(f"from studies.cli import app\ntry: app({words})\nexcept SystemExit as end: pass")
    assert "studies.cli" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("name", BUILT_IN)
class TestBuiltInStrategies:
    def test_say_what_they_are(self, name):
        strategy = strategy_class(name)
        assert strategy.name == name
        assert isinstance(strategy.version, int)
        assert strategy.version >= 1
        assert strategy.source.strip()
        assert strategy.__doc__.strip()
        assert not strategy.__doc__.startswith(f"{strategy.__name__}(")

    def test_need_no_parameters(self, name):
        assert make_strategy(name) == make_strategy(name, {})

    def test_document_each_parameter(self, name):
        assert set(parameter_names(strategy_class(name))) == documented(strategy_class(name))


def documented(strategy):
    """Fields of a class and its bases that a docstring follows."""
    found = set()
    for cls in strategy.__mro__:
        if cls.__module__.startswith("strategies."):
            (tree,) = ast.parse(inspect.getsource(cls)).body
            for field, text in itertools.pairwise(tree.body):
                if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                    found.add(field.target.id)
    return found - {"chooses_first_round"}
