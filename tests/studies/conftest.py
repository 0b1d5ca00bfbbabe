import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from studies.cli import app

FAST = ("--set", "learner.epochs=3", "--set", "learner.hidden=16")
MEASURED = ["trajectory_id", "round", "n_labels", "accuracy", "n_clusters", "coverage_estimated", "coverage_true"]


def _flags(options):
    """`{"max_clusters": 5}` as `--max-clusters 5`; True is a flag alone, a list is repeated, None leaves it out."""
    words = []
    for name, value in options.items():
        for item in value if isinstance(value, list) else [] if value is None else [value]:
            words += [f"--{name.replace('_', '-')}", *([] if item is True else [str(item)])]
    return words


@pytest.fixture(scope="session")
def command(pool_file):
    """Words of a quick comparison: `command(out, seeds=2, ...)`."""

    def words(out: Path | str, **options: object) -> list[str]:
        quick = {"data": pool_file, "strategies": "random,entropy", "schedule": "5x2", "seeds": 2, "out": out}
        return ["compare", *_flags(quick | options), *FAST]

    return words


@pytest.fixture(scope="session")
def sweep_command(pool_file):
    """Words of a quick sweep: `sweep_command(out, search="tpe", ...)`."""

    def words(out: Path | str, **options: object) -> list[str]:
        quick = {
            "data": pool_file,
            "strategy": "ntkcpl_al",
            "max_clusters": "3,6,50",
            "schedules": "5x4;10x2",
            "seeds": 2,
            "out": out,
        }
        return ["sweep", *_flags(quick | options), *FAST]

    return words


@pytest.fixture
def ntkcpl():
    """Run the command line in this process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield lambda *words: CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def ntkcpl_on_ray(ntkcpl, ray_cluster, monkeypatch):
    """Run the command line in this process, on the cluster of all tests instead of one of its own."""
    monkeypatch.setattr("harness.workers.cluster.cluster", lambda resources, data_bytes: nullcontext())
    monkeypatch.setattr("studies.run.this_machine", lambda num_gpus: {"CPU": 4, "GPU": 2})
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)  # its GPUs exist in Ray's books only
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("studies.sweeps.tuning._ENDING_SECONDS", 0.1)  # Tune takes 5 s to put idle trials away
    return ntkcpl


@pytest.fixture
def ntkcpl_without_ray(ntkcpl, monkeypatch):
    """Run the command line in this process, with the trajectories of a comparison."""
    from in_this_process import without_ray

    without_ray(monkeypatch)
    monkeypatch.setattr("studies.run.this_machine", lambda num_gpus: {"CPU": 4})
    monkeypatch.setattr("in_this_process.this_machine", lambda: {"CPU": 4})
    return ntkcpl


@pytest.fixture
def ntkcpl_on_tune(ntkcpl_on_ray, monkeypatch):
    """Run the command line in this process, with the trajectories of a sweep; Tune is on the cluster of all tests."""
    from in_this_process import execute

    monkeypatch.setattr("harness.workers.cluster.execute", execute)
    return ntkcpl_on_ray


@pytest.fixture(scope="session")
def start():
    """Start the command line as a user does, in a process of its own, which does not outlive the block."""

    @contextmanager
    def start(words: list[str]) -> Iterator[subprocess.Popen]:
        program = [Path(sys.executable).with_name("ntkcpl"), *words]
        with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    return start


@pytest.fixture(scope="session")
def tables():
    """Rounds and queries of a store, without what is different each time."""

    def read(out: Path | str) -> dict[str, list[dict[str, object]]]:
        rounds, queries = (pd.read_parquet(f"{out}/{name}") for name in ("rounds", "queries"))
        return {
            "rounds": rounds[MEASURED]
            .sort_values(["trajectory_id", "round"])
            .to_json(orient="records", double_precision=15),
            "queries": queries.sort_values(["trajectory_id", "round", "position"]).to_json(
                orient="records", double_precision=15
            ),
        }

    return read


@pytest.fixture(scope="session")
def undisturbed(command, start, tmp_path_factory):
    """The study that most tests repeat, interrupt or vary, run in one go; words without `--out`, store, output."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    study = {"strategies": "random,badge,ntkcpl_self", "schedule": "5x4", "seeds": 4, "gpus_per_trajectory": 0}
    with start(command(out, **study)) as process:
        printed, progress = process.communicate()
    assert process.returncode == 0, progress
    return study, out, printed, progress
