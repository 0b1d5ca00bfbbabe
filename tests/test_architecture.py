"""What is imported when, and what each strategy says about itself; lint-imports checks the order of the layers."""

import json
import subprocess
import sys

import pytest

from strategies.registry import BUILT_IN, make_strategy, strategy_class

HEAVY = {"ray", "torch", "sklearn", "numba", "pandas", "matplotlib"}


def loaded_by(*codes):
    """Modules that are loaded after each piece of code, all of them run in turn in one new process."""
    script = f"""
import gc, json, sys
gc.disable()
for code in {codes!r}:
    exec(code)
    print("LOADED", json.dumps(sorted(sys.modules)))
gc.freeze()
"""
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    lines = [line.removeprefix("LOADED") for line in printed.splitlines() if line.startswith("LOADED")]
    return [set(json.loads(line)) for line in lines]


def test_what_is_imported_loads_little_more():
    """Each import comes on top of those before it, so what is unloaded after it was not loaded by any of them."""
    strategies, command_line, public, analysis, harness, comparison = loaded_by(
        "import strategies, strategies.registry",
        "import studies.cli, analysis",
        "import harness",
        "from analysis import load, make_report, write_report",
        "from harness import *; from strategies import make_strategy",
        "import studies.run, harness.workers.driver, harness.workers.worker, studies.study, studies.report",
    )
    assert "strategies.registry" in strategies
    assert not strategies & {"ray", "harness", "studies", "analysis", "skactiveml"}
    assert not command_line & {"pytest", "strategies.testing"}
    assert not public & HEAVY, "public names are loaded when they are asked for"
    assert not analysis & {"ray", "torch"}
    assert "ray" not in harness
    assert "harness.trajectory" in comparison
    assert not comparison & {"torchvision", "lightly", "safetensors", "harness.features"}


def run_in_turn(commands):
    """Exit code of each command, and the heavy libraries that are loaded after it, in one new process for all."""
    script = f"""
import gc, json, sys
from studies.cli import app
gc.disable()
ended = []
for words in {commands!r}:
    try:
        app(words)
    except SystemExit as end:
        ended.append([end.code, sorted({HEAVY} & set(sys.modules))])
print("ENDED", json.dumps(ended))
gc.freeze()
"""
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    return json.loads(printed.rpartition("ENDED")[2])


COMPARE = "compare --data digits --strategies random,ntkcpl_al --schedule 10x2 --out {out}"
SWEEP = "sweep --data digits --strategy ntkcpl_al --schedules 20x2;10x4 --max-clusters 5,10 --out {out}"


def test_help_leaves_heavy_libraries_unloaded():
    commands = [["--help"], ["compare", "--help"], ["sweep", "--help"], ["features", "--help"]]
    assert run_in_turn(commands) == [[0, []]] * len(commands)


def test_what_is_refused_is_refused_before_heavy_libraries_are_loaded(tmp_path):
    """Each of them takes a second or more to import."""
    mistakes = [
        f"{COMPARE} --data nothere.npz",
        "compare --data nothere.npz --strategies random --schedule 10x2 --out {out}",
        "compare --data digits --strategies alfamix --learner knn --schedule 10x2 --out {out}",
        "compare --data digits --strategies rnadom --schedule 10x2 --out {out}",
        "compare --data digits --strategies random --schedule 10x200 --out {out}",
        "compare --data digits --strategies random --schedule 10x2 --out {out}/file",
        "compare --study nothere --out {out}",
        *(
            f"{COMPARE} {option}"
            for option in (
                "--seeds many",
                "--memory-limit much",
                "--time-limit 0s",
                "--gpus-per-trajectory 1.5",
                "--set learner.lr=fast",
                "--learner liner",
                "--learner linear --set learner.penalty=0",
                "--set ntkcpl_al.ridge=much",
                "--set ntkcpl_al.rigde=1",
                "--candidates some",
                "--workers 0",
            )
        ),
        *(
            f"{SWEEP} {option}"
            for option in ("--search gp --scheduler asha --second-objective seconds", "--space nothere.yaml")
        ),
        "sweep --data nothere.npz --strategy ntkcpl_al --schedules 10x2 --out {out}",
        "sweep --data digits --strategy ntkcpl_al --schedules 10x2;5x5 --out {out}",
        "sweep --data digits --strategy nobody --schedules 10x2 --out {out}",
        "report {out}/nothere",
        "report {out} --format docx",
        "status {out}/nothere",
        "store compact {out}/nothere",
        "picture --strategies nobody --out {out}/picture",
        "features import nothere.npy --out {out}/x.npz",
        "features extract --data digits --checkpoint untrained --out {out}/x.csv",
        "features pretrain --data digits --recipe nothere --out {out}/x.pt",
        "features pretrain --data digitz --out {out}/x.pt",
        "features compact nothere.npz --out {out}/x.npz",
    ]
    (tmp_path / "file").touch()
    commands = [text.format(out=tmp_path).split() for text in mistakes]
    found = dict(zip(mistakes, run_in_turn(commands), strict=True))
    assert {text: how for text, how in found.items() if how != [2, []]} == {}


def test_a_dry_run_starts_no_ray_and_trains_nothing(tmp_path):
    images = "compare --study cifar10 --root {out} --out {out}"
    texts = (COMPARE, SWEEP, f"{COMPARE} --learner ridge", images)
    commands = [f"{text} --dry-run".format(out=tmp_path).split() for text in texts]
    assert run_in_turn(commands) == [[0, ["ray"]]] * 4
    (loaded,) = loaded_by(
        f"from studies.cli import app\ntry: app({commands[0]})\nexcept SystemExit: pass\n"
        "import ray\nassert not ray.is_initialized()"
    )
    assert "ray" in loaded


@pytest.mark.parametrize("name", BUILT_IN)
class TestBuiltInStrategies:
    def test_say_what_they_do(self, name):
        strategy = strategy_class(name)
        assert strategy.__doc__.strip()
        assert not strategy.__doc__.startswith(f"{strategy.__name__}(")

    def test_need_no_parameters(self, name):
        assert make_strategy(name) == make_strategy(name, {})
