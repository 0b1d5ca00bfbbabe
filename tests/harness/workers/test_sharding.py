import os
import signal
import subprocess
import sys
import textwrap
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from harness.workers import sharding
from harness.workers.sharding import ShardActor, ShardedEngine, Shards, shard_rows
from strategies.base import Compute
from strategies.functional.engine.local import LocalEngine, make_block
from strategies.functional.engine.problem import Problem, absolute_ridge, condition, one_hot
from strategies.functional.ntk import draw_network, make_kernel
from strategies.functional.tiles import TILE_ROWS

N_POINTS, N_CLASSES, N_PICKS = 1_700, 12, 6


@pytest.fixture(scope="module", autouse=True)
def _one_blas_thread():
    """As in `Strategy.select`: with more, the bits of a product depend on the machine."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def problem(_one_blas_thread) -> Problem:
    """Seven tiles of candidates, the last of them ragged."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(N_POINTS, 5))
    labels = np.sort(rng.integers(N_CLASSES, size=N_POINTS))
    labelled = np.sort(rng.choice(N_POINTS, 30, replace=False))
    network = draw_network(5, 16, N_CLASSES, parameterisation="ntk", bias=True, rng=rng)
    kernel = make_kernel("analytic", network, points.astype(np.float32))
    ridge = absolute_ridge(kernel, 1e-2)
    targets = one_hot(labels[labelled], N_CLASSES)
    initial = np.zeros((N_POINTS, N_CLASSES))
    whitened, predictions = condition(
        make_kernel("analytic", network, points), labelled, targets, initial, ridge, Compute()
    )
    candidates = np.setdiff1d(np.arange(N_POINTS), labelled)
    return Problem(kernel, ridge, whitened, predictions, labels, labels, candidates, rng.permutation(N_POINTS))


@pytest.fixture(scope="module")
def make_shards(ray_cluster):
    """Long-lived shards in a placement group of their own, one set for each number of shards."""
    import ray
    from ray.util.placement_group import placement_group

    made = {}

    def make(n_shards: int) -> Shards:
        if n_shards not in made:
            group = placement_group([{"CPU": 0.01}] * n_shards)
            ray.get(group.ready(), timeout=60)
            made[n_shards] = Shards(n_shards, group)
        return made[n_shards]

    return make


@given(n_candidates=st.integers(0, 5_000), n_shards=st.integers(1, 9))
def test_shards_cover_the_candidates_in_whole_tiles(n_candidates, n_shards):
    rows = shard_rows(n_candidates, n_shards)
    assert len(rows) == n_shards
    assert [i for part in rows for i in range(part.start, part.stop)] == list(range(n_candidates))
    assert all(part.start % TILE_ROWS == 0 for part in rows if part.start < n_candidates)


def test_a_shard_gives_up_its_last_block_before_it_makes_another(monkeypatch, problem):
    made = []

    def make(*arguments):
        assert all(earlier() is None for earlier in made)
        block = make_block(*arguments)
        made.append(weakref.ref(block))
        return block

    monkeypatch.setattr(sharding, "make_block", make)
    shard = ShardActor.__ray_metadata__.modified_class()
    for _ in range(3):
        shard.build(problem, slice(0, TILE_ROWS), "zero_one", Compute())
    assert len(made) == 3
    assert made[-1]() is not None


@pytest.mark.ray
@pytest.mark.parametrize("score", ["zero_one", "squared"])
@pytest.mark.parametrize("n_shards", [2, 3, pytest.param(8, marks=pytest.mark.slow)])
def test_any_number_of_shards_makes_the_same_picks(problem, make_shards, n_shards, score):
    engines = LocalEngine(problem, score, Compute()), make_shards(n_shards)(problem, score, Compute())
    expected, found = ([engine.pick() for _ in range(N_PICKS)] for engine in engines)
    assert found == expected
    np.testing.assert_array_equal(engines[1].predictions, engines[0].predictions)
    assert engines[1].undecided_share == engines[0].undecided_share


@pytest.mark.ray
@pytest.mark.parametrize("score", ["zero_one", "squared", "change"])
def test_scores_come_in_the_order_of_the_candidates(problem, make_shards, score):
    expected = LocalEngine(problem, score, Compute()).scores()
    sharded = ShardedEngine(make_shards(3), problem, score, Compute(memory_limit=3 * 2**20))
    np.testing.assert_array_equal(sharded.scores(), expected)


@pytest.mark.ray
@pytest.mark.parametrize("score", ["zero_one", "squared"])
@pytest.mark.parametrize("n_before", [0, 3])
def test_a_shard_that_dies_is_replayed_to_the_same_bits(problem, make_shards, score, n_before):
    import ray

    expected = LocalEngine(problem, score, Compute())
    shards = make_shards(3)
    engine = shards(problem, score, Compute())
    picks = [engine.pick() for _ in range(n_before)]
    os.kill(ray.get(shards.call(1, "process")), signal.SIGKILL)
    picks += [engine.pick() for _ in range(N_PICKS - n_before)]
    assert picks == [expected.pick() for _ in range(N_PICKS)]
    np.testing.assert_array_equal(engine.predictions, expected.predictions)


@pytest.mark.parametrize("n_before", [0, 3])
def test_a_shard_that_rays_memory_monitor_kills_is_replayed_as_well(problem, monkeypatch, n_before):
    from ray.exceptions import OutOfMemoryError

    class Fake(Shards):
        """Shards in this process; a dead one answers as Ray does for an actor that its memory monitor killed."""

        def __init__(self):
            self._actors = [self._start(1)]

        def _start(self, shard):
            return ShardActor.__ray_metadata__.modified_class()

        def call(self, shard, method, *arguments):
            actor = self._actors[shard - 1]
            if actor is None:
                return self._refuse
            answer = getattr(actor, method)(*arguments)
            return lambda: answer

        def kill(self):
            self._actors[0] = None

        def _refuse(self):
            raise OutOfMemoryError("1 worker(s) were killed due to the node running low on memory.")

    monkeypatch.setattr(sharding.ray, "put", lambda value: value)
    monkeypatch.setattr(sharding.ray, "get", lambda call: call())
    shards = Fake()
    shards.kill()
    engine, expected = shards(problem, "zero_one", Compute()), LocalEngine(problem, "zero_one", Compute())
    picks = [engine.pick() for _ in range(n_before)]
    shards.kill()
    picks += [engine.pick() for _ in range(N_PICKS - n_before)]
    assert picks == [expected.pick() for _ in range(N_PICKS)]


@pytest.mark.ray
@pytest.mark.slow
def test_shards_on_other_nodes(pool_file, tmp_path):
    """Two nodes with one CPU each: a trajectory of two shards needs both."""
    script = textwrap.dedent("""
        import sys
        import harness.workers.cluster
        from ray.cluster_utils import Cluster
        from typer.testing import CliRunner
        from studies.cli import app

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        cluster.add_node(num_cpus=1)
        data, out = sys.argv[1:]
        learner = ["--set", "learner.epochs=3", "--set", "learner.hidden=16"]
        study = ["--data", data, "--strategies", "random,ntkcpl_self", "--schedule", "5x3", "--seeds", "1", *learner]
        sharded = ["--shards", "2", "--cpus-per-trajectory", "2", "--address", cluster.address]
        result = CliRunner().invoke(app, ["compare", *study, *sharded, "--out", out])
        print(result.output)
        cluster.shutdown()
        sys.exit(result.exit_code)
    """)
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    command = [sys.executable, "-c", script, str(pool_file), str(tmp_path / "nodes")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    ntkcpl = [os.path.join(os.path.dirname(sys.executable), "ntkcpl"), "compare", "--data", str(pool_file)]
    local = ["--strategies", "random,ntkcpl_self", "--schedule", "5x3", "--seeds", "1", "--out", str(tmp_path / "one")]
    learner = ["--set", "learner.epochs=3", "--set", "learner.hidden=16"]
    subprocess.run([*ntkcpl, *local, *learner], capture_output=True, check=True, timeout=200)
    import pandas as pd

    key = ["trajectory_id", "round", "position"]
    nodes, one = (pd.read_parquet(tmp_path / name / "queries").sort_values(key) for name in ("nodes", "one"))
    pd.testing.assert_frame_equal(nodes.reset_index(drop=True), one.reset_index(drop=True))
