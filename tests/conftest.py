"""A tiny pool, specifications on it, and one Ray for all tests that need one."""

import gc
import itertools
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.data import Dataset, Fields
from harness.plan import Plan, make_plan
from harness.spec import LearnerSpec, TrajectorySpec
from harness.store.location import Location, locate
from harness.store.writing import Store
from harness.trajectory import run_trajectory
from strategies.registry import make_strategy, resolved_parameters

N_TRAIN, N_TEST, DIM, N_CLASSES = 120, 60, 6, 3
PLUGINS = Path(__file__).parent / "harness"


def pytest_configure() -> None:
    """Let tests and the processes that they start import the plug-ins and be interrupted as at a terminal."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's `&` starts them with Ctrl-C ignored
    sys.path.append(str(PLUGINS))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PLUGINS), os.environ.get("PYTHONPATH")]))
    # Before the first import of Triton, whoever makes it.
    os.environ.setdefault("TRITON_INTERPRET", "1")


def pytest_collection_finish() -> None:
    """Keep the garbage collector from walking all libraries and tests again and again: none of them goes."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let the end of the process find what libraries say was never put away."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def fields() -> Fields:
    """Three overlapping classes; a learner that was hardly trained is right on about half of the points."""
    rng = np.random.default_rng(0)
    y = np.arange(N_TRAIN + N_TEST) % N_CLASSES
    x = (rng.normal(size=(len(y), DIM)) + 1.5 * np.eye(N_CLASSES, DIM)[y]).astype(np.float32)
    return Fields(x[:N_TRAIN], y[:N_TRAIN], x[N_TRAIN:], y[N_TRAIN:])


@pytest.fixture(scope="session")
def pool(fields) -> Dataset:
    return Dataset.from_arrays("pool", fields)


@pytest.fixture(scope="session")
def pool_file(fields, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "pool.npz"
    np.savez(path, **fields._asdict())
    return path


@pytest.fixture(scope="session")
def make_spec(pool):
    """`make_spec("entropy", seed=1, params={...})` on the tiny pool, with a learner that trains in milliseconds."""

    def make(strategy: str = "random", params: dict[str, object] | None = None, **changes: object) -> TrajectorySpec:
        built = make_strategy(strategy, params)
        values = {
            "data": pool.name,
            "data_hash": pool.content_hash,
            "strategy": strategy,
            "strategy_version": built.version,
            "params": resolved_parameters(built),
            "schedule": "5x4",
            "seed": 0,
            "learner": LearnerSpec(hidden=16, epochs=3),
        }
        return TrajectorySpec.model_validate(values | changes)

    return make


@pytest.fixture(scope="session")
def run_serially(pool):
    """`run_serially(specs, store)` without Ray; stopped after `n_rounds` rounds as if by Ctrl-C. Returns the plan."""
    from harness.workers.driver import record
    from harness.workers.events import Finished, RoundDone, Started, Summary

    def execute(jobs):
        for job in jobs:
            yield Started(job)
            for done in run_trajectory(job.spec, pool, history=job.history):
                yield RoundDone(job, replace(done, stats={**done.stats, "fingerprint": "f"}))
            yield Finished(job, Summary("cpu", {"fingerprint": "f"}, 0))

    def run(specs: Sequence[TrajectorySpec], store: Store, n_rounds: int | None = None) -> Plan:
        plan, rounds = make_plan(specs, store), itertools.count(1)

        def listen(event):
            if isinstance(event, RoundDone) and next(rounds) == n_rounds:
                raise KeyboardInterrupt

        with store.writing(), suppress(KeyboardInterrupt):
            record(execute(plan.jobs), store, listen)
        return plan

    return run


@pytest.fixture(scope="session")
def _s3_server():
    from s3_server import Server

    server = Server()
    yield server
    server.stop()


@pytest.fixture
def s3_server(_s3_server, monkeypatch):
    """A server that is well, and the environment that says where it is; requests are patient for a second only."""
    from s3_server import ENVIRONMENT

    from harness.store import location

    for name, value in (ENVIRONMENT | {"AWS_ENDPOINT_URL": _s3_server.url}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(location, "REQUEST_SECONDS", 1)
    _s3_server.well()
    yield _s3_server
    _s3_server.well()


@pytest.fixture
def s3_address(s3_server, tmp_path) -> str:
    """Address of a folder of this test's own."""
    return f"s3://studies/{tmp_path.parent.name}/{tmp_path.name}"


@pytest.fixture(params=["local", "s3", "memory"])
def place(request, tmp_path) -> Location:
    """A folder that does not exist yet: on a disk, in a bucket, on one more filesystem of pyarrow."""
    if request.param == "local":
        return tmp_path / "lr=0.3"  # looks like a hive partition
    if request.param == "s3":
        return locate(request.getfixturevalue("s3_address") + "/lr=0.3")
    return locate(f"fsspec+memory:///{tmp_path.parent.name}/{tmp_path.name}/lr=0.3")


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A local Ray with 4 CPUs and 2 GPUs that exist in its books only."""
    from harness.workers.cluster import _without_servants  # isort: skip  sets Ray's environment before the import
    import ray

    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    with _without_servants():
        ray.init(
            address="local",
            num_cpus=4,
            num_gpus=2,
            object_store_memory=200 * 2**20,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="CRITICAL",
        )
    yield
    ray.shutdown()
