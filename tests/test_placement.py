"""What a GPU is given stays on it, and gives what the CPU gives; on a GPU that is pretended."""

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_map

from harness.features import pretrain as pretraining
from harness.features.checkpoints import load_encoder, read_checkpoint, write_checkpoint
from harness.features.extract import extract
from harness.features.images import Source, open_images
from harness.features.pretrain import _Training, pretrain
from harness.features.recipes import make_recipe
from harness.learner import Inputs, one_thread, train
from harness.spec import LearnerSpec
from harness.trajectory import run_trajectory
from strategies.base import Compute
from strategies.functional.engine import gpu
from strategies.functional.engine.gpu import DeviceBlock, count_wrong
from strategies.functional.engine.problem import Problem, absolute_ridge, condition, one_hot
from strategies.functional.ntk import draw_network, make_kernel
from strategies.functional.tiles import TILE_ROWS
from tests.pretended import GPU, pretend
from tests.strategies.test_lookahead_engine import SCORES

N_PICKS = 3


def make_problem(kind="analytic", n=TILE_ROWS + 30, n_classes=5, n_labelled=20, dim=6):
    """A problem, and what `condition` was given for it."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, dim))
    network = draw_network(dim, 32, 1, parameterisation="ntk", bias=True, rng=rng)
    kernel, kernel64 = (make_kernel(kind, network, features.astype(dtype)) for dtype in (np.float32, np.float64))
    labels, labelled = np.sort(rng.integers(n_classes, size=n)), np.sort(rng.choice(n, n_labelled, replace=False))
    ridge = absolute_ridge(kernel, 1e-2)
    given = (kernel64, labelled, one_hot(labels[labelled], n_classes), np.zeros((n, n_classes)), ridge)
    candidates = np.setdiff1d(np.arange(n), labelled)
    found = condition(*given, Compute())
    return Problem(kernel, ridge, *found, labels, labels, candidates, rng.permutation(n)), given


class TestLookAhead:
    @pytest.mark.parametrize("kind", ["analytic", "empirical"])
    def test_regression(self, kind, monkeypatch):
        _, given = make_problem(kind)
        expected = gpu.condition(*given, "cpu")
        with pretend(monkeypatch):
            found = gpu.condition(*given, str(GPU))
        for here, there in zip(expected, found, strict=True):
            np.testing.assert_array_equal(there, here)

    @pytest.mark.parametrize("score", SCORES)
    @pytest.mark.parametrize("share", [{}, {"memory_limit": 0}], ids=["stored", "computed again"])
    @pytest.mark.parametrize("kind", ["analytic", "empirical"])
    def test_picks(self, kind, share, score, monkeypatch):
        problem, _ = make_problem(kind)

        def picks(device, before=lambda: None):
            block = DeviceBlock(problem, slice(None), score, Compute(device=device, **share), count_wrong)
            found = []
            for _ in range(N_PICKS):
                before()
                found.append(block.best())
                block.accept(found[-1].pool_index)
            return found, block.predictions

        expected, predictions = picks("cpu")
        with pretend(monkeypatch) as pretended:
            found, there = picks(str(GPU), pretended.forget)
            waits = dict(+pretended.waits)
        assert found == expected
        np.testing.assert_array_equal(there, predictions)
        # One of the two copies is that of the predictions after the last pick.
        assert waits.pop("copy to the CPU") == 2
        # Without Triton, the points that the bounds leave open are listed, and the CPU must know how many they are.
        assert waits.keys() == ({"mask", "size"} if score == "zero_one" else set())

    @pytest.mark.parametrize("score", SCORES)
    @pytest.mark.parametrize("n_classes", [5, 200])
    def test_no_more_is_alive_at_once_than_is_free(self, n_classes, score, monkeypatch):
        problem, _ = make_problem(n=4 * TILE_ROWS, n_classes=n_classes)
        tile = 4 * TILE_ROWS * problem.n_points
        free = problem.nbytes + (19 if n_classes == 5 else 21) * tile
        with pretend(monkeypatch, free=free) as pretended:
            block = DeviceBlock(problem, slice(None), score, Compute(device=str(GPU)), count_wrong)
            for _ in range(N_PICKS):
                block.accept(block.best().pool_index)
        assert 0 < block.stored_share < 1
        assert 0.6 * free < pretended.account.peak < free


class TestLearner:
    def test_training_and_what_is_asked_of_it(self, monkeypatch):
        rng = np.random.default_rng(0)
        features, labels = rng.normal(size=(90, 6)).astype(np.float32), rng.integers(3, size=40)

        def results(device):
            inputs = Inputs.of(features, "standard", device)
            spec = LearnerSpec(hidden=16, epochs=3, batch_size=16)
            model = train(inputs, np.arange(40), labels, 3, spec, lambda purpose: np.random.default_rng(1))
            points = np.arange(5)
            return (
                model.embedding, model.probabilities, model.predict_proba(features[:7]),
                model.gradient(features[:7], labels[:7]), model.predict_pool(points),
                model.predict(inputs.scaled(features[:3])), model.refit(np.arange(20)).probabilities,
            )  # fmt: skip

        expected = results("cpu")
        with pretend(monkeypatch):
            found = results(str(GPU))
        for here, there in zip(expected, found, strict=True):
            np.testing.assert_array_equal(there, here)

    def test_the_cpu_waits_once_an_epoch(self, monkeypatch):
        def waits(epochs):
            with pretend(monkeypatch) as pretended:
                inputs = Inputs.of(np.eye(16, 6, dtype=np.float32), "none", str(GPU))
                pretended.forget()
                spec = LearnerSpec(hidden=8, epochs=epochs, batch_size=4)
                train(inputs, np.arange(16), np.arange(16) % 3, 3, spec, lambda purpose: np.random.default_rng(1))
                return pretended.waits.total()

        assert waits(3) - waits(1) == 2

    @pytest.mark.parametrize("strategy", ["badge", "ntkcpl_al"])
    def test_a_trajectory(self, strategy, pool, make_spec, monkeypatch):
        params = {"max_clusters": 6} if strategy == "ntkcpl_al" else None
        spec = make_spec(strategy, params, schedule="6x2")
        monkeypatch.setattr(gpu, "default_count", lambda device: count_wrong)
        with pretend(monkeypatch):
            there = list(run_trajectory(spec, pool, compute=Compute(device=str(GPU))))
        assert len(there) == 2
        if strategy == "badge":
            here = list(run_trajectory(spec, pool))
            assert [done.accuracy for done in there] == [done.accuracy for done in here]


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield


@pytest.fixture
def files_without_a_gpu(monkeypatch):
    """Lets a checkpoint be written, which torch does for tensors with a storage of their own alone."""

    def write(path, content):
        write_checkpoint(path, tree_map(lambda leaf: leaf.cpu() if isinstance(leaf, torch.Tensor) else leaf, content))

    monkeypatch.setattr(pretraining, "write_checkpoint", write)


@pytest.mark.usefixtures("files_without_a_gpu")
class TestFeatures:
    @pytest.mark.parametrize(
        ("method", "free"),
        [("simsiam", 0), ("byol", 2**40), ("simclr", 2**40)],
        ids=["images in pinned memory", "images on the GPU", "SimCLR"],
    )
    def test_training_goes_on_and_ends_as_on_the_cpu(self, method, free, tmp_path, monkeypatch):
        images = open_images(Source("digits", limit=60)).train
        changes = {"method": method, "backbone": "wrn10_1", "epochs": 2, "batch_size": 16, "accumulate": 2, "blur": 0.5}
        changes |= {"projector_hidden": 16, "projector_out": 16, "solarise": 0.2, "precision": "float32"}
        if method == "byol":
            changes |= {"optimiser": "lars"}
        recipe = make_recipe("simsiam_digits", changes)
        expected = pretrain(images, recipe, tmp_path / "cpu.pt")
        steps, take = [], _Training._step

        def step(self, *args):
            pretended.forget()
            result = take(self, *args)
            steps.append(dict(+pretended.waits))
            return result

        monkeypatch.setattr(_Training, "_step", step)
        for _ in range(2):
            with pretend(monkeypatch, free=free) as pretended:
                found = pretrain(images, recipe, tmp_path / "gpu.pt", device="cuda", minutes=0)
        assert found.resumed_at == 1
        assert str(found.history[1:]) == str(expected.history[1:])
        here, there = (read_checkpoint(tmp_path / name)["model"] for name in ("cpu.pt", "gpu.pt"))
        for name in here:
            torch.testing.assert_close(there[name], here[name], rtol=0, atol=0)
        # Mean and deviation of the colours, of either view. LARS asks for two norms of each weight that decays.
        assert steps == [{"copy to the GPU": 4} | ({"value": 2 * 13} if method == "byol" else {})] * 6

    def test_extraction_twice_with_one_encoder(self, tmp_path, monkeypatch):
        images = open_images(Source("digits", limit=60))
        here, there = (load_encoder("untrained", backbone="wrn10_1", image_size=16) for _ in range(2))
        expected = extract(images, here, tmp_path / "cpu.npz").fields
        for name in ("one.npz", "two.npz"):
            with pretend(monkeypatch):
                found = extract(images, there, tmp_path / name, device=str(GPU)).fields
            np.testing.assert_array_equal(found.x_train, expected.x_train)
