"""The example plug-in, installed as an outside author's package: its entry point is all that we know of it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "information-density"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run python where the example is installed and neither checkout is the current folder."""
    folder = tmp_path_factory.mktemp("example")
    sources = folder / "sources"
    shutil.copytree(EXAMPLE, sources, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    paths = [str(folder / "installed"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "200"}

    def run(*words):
        result = subprocess.run(
            [sys.executable, *map(str, words)], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    offline = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    run("-m", "pip", "install", *offline, "--target", folder / "installed", sources)
    (sources / "information_density.py").unlink()
    return run


def test_is_listed(run):
    assert re.search(r"information_density .*beta=1\.0", run("-m", "studies.cli", "list", "strategies"))


def test_passes_its_own_tests(run):
    assert " passed" in run("-m", "pytest", "-q", "sources")


@pytest.mark.slow
@pytest.mark.ray
def test_is_compared(run, pool_file, tmp_path):
    quick = ["--schedule", "5x3", "--seeds", "1", "--set", "learner.epochs=3", "--workers", "1"]
    words = ["--data", pool_file, "--strategies", "random,information_density", *quick, "--out", tmp_path]
    assert "information_density" in run("-m", "studies.cli", "compare", *words)
    rounds = pd.read_parquet(tmp_path / "rounds")
    assert rounds.groupby("strategy").n_labels.max().to_dict() == {"information_density": 15, "random": 15}
    picks = pd.read_parquet(tmp_path / "queries").merge(rounds[["trajectory_id", "strategy"]].drop_duplicates())
    first, later = picks[picks["round"] == 0], picks[picks["round"] > 0]
    assert first.groupby("position").pool_index.nunique().eq(1).all()
    assert later.groupby(["round", "position"]).pool_index.nunique().gt(1).any()
