"""What is imported when, and what each strategy says about itself; lint-imports checks the order of the layers."""

import json
import subprocess
import sys

import pytest

from strategies.registry import BUILT_IN, make_strategy, strategy_class

HEAVY = {"ray", "torch", "sklearn", "numba", "pandas", "matplotlib"}


def loaded_by(code):
    """Modules that are loaded after running code in a new process."""
    script = f"import json, sys\n{code}\nprint('LOADED', json.dumps(sorted(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    return set(json.loads(printed.rpartition("LOADED")[2]))


def test_strategies_leave_ray_unloaded():
    loaded = loaded_by("import strategies, strategies.registry")
    assert "strategies.registry" in loaded
    assert not loaded & {"ray", "harness", "studies", "analysis", "skactiveml"}


def test_comparisons_on_feature_files_leave_torchvision_unloaded():
    loaded = loaded_by("import studies.run, studies.study, studies.report")
    assert "harness.trajectory" in loaded
    assert not loaded & {"torchvision", "lightly", "safetensors", "harness.features"}


@pytest.mark.parametrize("words", [["--help"], ["compare", "--help"], ["features", "--help"]], ids=" ".join)
def test_help_leaves_heavy_libraries_unloaded(words):
    loaded = loaded_by(f"from studies.cli import app\ntry: app({words})\nexcept SystemExit as end: pass")
    assert "studies.cli" in loaded
    assert not loaded & HEAVY


def test_only_the_contract_suite_needs_pytest():
    assert not loaded_by("import strategies.registry, studies.cli, analysis") & {"pytest", "strategies.testing"}


@pytest.mark.parametrize("name", BUILT_IN)
class TestBuiltInStrategies:
    def test_say_what_they_do(self, name):
        strategy = strategy_class(name)
        assert strategy.__doc__.strip()
        assert not strategy.__doc__.startswith(f"{strategy.__name__}(")

    def test_need_no_parameters(self, name):
        assert make_strategy(name) == make_strategy(name, {})
