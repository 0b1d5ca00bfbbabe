from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import distributed as dist

from harness.exceptions import CheckpointError, DataError, SpecError
from harness.features import vision
from harness.features.checkpoints import load_encoder, read_checkpoint, write_checkpoint
from harness.features.encoders import encoder_spec, make_encoder
from harness.features.images import Source, open_images
from harness.features.pretrain import COLLAPSED, SelfSupervised, contrast, pretrain
from harness.features.recipes import make_recipe

TINY = {"backbone": "wrn10_1", "epochs": 3, "batch_size": 32, "projector_hidden": 32, "projector_out": 32}


@pytest.fixture(scope="module")
def digits():
    return open_images(Source("digits", limit=128)).train


@pytest.fixture
def recipe():
    return make_recipe("simsiam_digits", TINY)


def equal(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other or (one != one and other != other)


def stop_after(n):
    def listen(epoch):
        if epoch.epoch == n:
            raise KeyboardInterrupt

    return listen


@pytest.mark.parametrize("method", ["simsiam", "byol", "simclr"])
def test_an_interrupted_run_ends_as_an_undisturbed_one(method, digits, tmp_path):
    recipe = make_recipe("simsiam_digits", {**TINY, "method": method, "blur": 0.5})
    whole = pretrain(digits, recipe, tmp_path / "whole.pt")
    for n in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            pretrain(digits, recipe, tmp_path / "parts.pt", listen=stop_after(n))
    parts = pretrain(digits, recipe, tmp_path / "parts.pt")
    assert (whole.resumed_at, parts.resumed_at) == (0, 2)
    assert equal(whole.history, parts.history)
    assert equal(read_checkpoint(tmp_path / "whole.pt"), read_checkpoint(tmp_path / "parts.pt"))


def test_without_labels_the_training_is_the_same_and_nothing_is_measured(digits, recipe, tmp_path):
    bare = replace(digits, labels=None)
    whole, heard = pretrain(digits, recipe, tmp_path / "whole.pt"), []
    with pytest.raises(KeyboardInterrupt):
        pretrain(bare, recipe, tmp_path / "bare.pt", listen=stop_after(2))
    done = pretrain(bare, recipe, tmp_path / "bare.pt", listen=heard.append)
    assert (done.finished, done.resumed_at, [epoch.epoch for epoch in heard]) == (True, 2, [3])
    assert [row["knn"] for row in done.history] == [None] * 4
    assert equal(done.history, [row | {"knn": None} for row in whole.history])
    assert equal(*(read_checkpoint(tmp_path / f"{name}.pt")["model"] for name in ("whole", "bare")))
    assert load_encoder(str(tmp_path / "bare.pt")).spec == encoder_spec("wrn10_1", 16)


def test_bfloat16_on_a_cpu_changes_the_passes_and_goes_on_after_an_interruption(digits, recipe, tmp_path):
    exact = pretrain(digits, recipe, tmp_path / "single.pt")
    half = make_recipe("simsiam_digits", {**TINY, "precision": "bfloat16"})
    whole = pretrain(digits, half, tmp_path / "whole.pt")
    with pytest.raises(KeyboardInterrupt):
        pretrain(digits, half, tmp_path / "parts.pt", listen=stop_after(1))
    parts = pretrain(digits, half, tmp_path / "parts.pt")
    assert equal(whole.history, parts.history)
    for rounded, full in zip(whole.history[1:], exact.history[1:], strict=True):
        assert rounded["loss"] == pytest.approx(full["loss"], abs=0.02)
    single, first, second = (read_checkpoint(tmp_path / f"{name}.pt")["model"] for name in ("single", "whole", "parts"))
    assert equal(first, second)
    assert not equal(first, single)
    assert all(weight.dtype in (torch.float32, torch.int64) for weight in first.values())


def test_a_checkpoint_from_before_some_settings_goes_on(digits, recipe, tmp_path):
    out = tmp_path / "encoder.pt"
    with pytest.raises(KeyboardInterrupt):
        pretrain(digits, recipe, out, listen=stop_after(1))
    content = read_checkpoint(out)
    for name in ("precision", "accumulate", "temperature"):
        del content["run"]["recipe"][name]
    del content["precision"]
    write_checkpoint(out, content)
    assert pretrain(digits, recipe, out).resumed_at == 1


def test_a_run_keeps_the_precision_that_it_began_with(digits, recipe, tmp_path):
    """As one that began on a GPU, where `auto` is bfloat16, and goes on without."""
    pretrain(digits, recipe, tmp_path / "single.pt")
    out = tmp_path / "encoder.pt"
    with pytest.raises(KeyboardInterrupt):
        pretrain(digits, recipe, out, listen=stop_after(1))
    content = read_checkpoint(out)
    assert content["precision"] == "float32"
    write_checkpoint(out, content | {"precision": "bfloat16"})
    pretrain(digits, recipe, out)
    assert read_checkpoint(out)["precision"] == "bfloat16"
    assert not equal(read_checkpoint(out)["model"], read_checkpoint(tmp_path / "single.pt")["model"])


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_the_contrast_is_that_of_lightly(temperature):
    first, second = views()
    losses = contrast(first, second, temperature), vision.load("lightly.loss").NTXentLoss(temperature)(first, second)
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(*(torch.autograd.grad(loss, first)[0] for loss in losses))


def views():
    """Projections of two views of 12 images, of which the first need a gradient."""
    first, second = torch.randn(2, 12, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return first.requires_grad_(True), second


def contrast_share(rank, folder):
    """Loss of one of two processes and gradients of all, as DistributedDataParallel would average them."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    first, second = views()
    loss = contrast(first[rank::2], second[rank::2], 0.2)
    (gradient,) = torch.autograd.grad(loss, first)
    torch.save((loss.detach(), gradient), folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_the_contrast_of_two_processes_is_that_of_one(tmp_path):
    first, second = views()
    whole = contrast(first, second, 0.2)
    expected = whole.detach(), torch.autograd.grad(whole, first)[0]
    torch.multiprocessing.spawn(contrast_share, (tmp_path,), nprocs=2)
    shares = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for found, wanted in zip(zip(*shares, strict=True), expected, strict=True):
        torch.testing.assert_close(sum(found) / 2, wanted)


class TestParts:
    """A batch that passes in parts."""

    def test_all_of_it_is_seen_in_one_step(self, digits, recipe, tmp_path, monkeypatch):
        sizes, steps = [], []
        forward, step = SelfSupervised.forward, torch.optim.SGD.step
        monkeypatch.setattr(
            SelfSupervised, "forward", lambda self, one, two: sizes.append(len(one)) or forward(self, one, two)
        )
        monkeypatch.setattr(torch.optim.SGD, "step", lambda self: steps.append(1) or step(self))
        parts = recipe.model_copy(update={"accumulate": 4, "epochs": 1})
        pretrain(digits, parts, tmp_path / "c.pt")
        assert sizes == [recipe.batch_size // 4] * 4 * len(steps)
        assert len(steps) == len(digits) // recipe.batch_size

    def test_gradients_add_up_to_that_of_the_batch_but_for_normalisation(self, digits, recipe, tmp_path, monkeypatch):
        for norm in (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d):
            monkeypatch.setattr(norm, "forward", lambda self, x: x)
        small = recipe.model_copy(update={"epochs": 1, "lr": 1e-3})
        losses = [
            pretrain(digits, small.model_copy(update={"accumulate": n}), tmp_path / f"{n}.pt").history[-1]["loss"]
            for n in (1, 2)
        ]
        one, two = (read_checkpoint(tmp_path / f"{n}.pt")["model"] for n in (1, 2))
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
        assert all(torch.allclose(one[name], two[name], rtol=1e-3, atol=1e-5) for name in one)

    @pytest.mark.parametrize("accumulate", [3, 512])
    def test_must_be_equal_and_have_two_images(self, accumulate):
        with pytest.raises(SpecError, match=f"batch_size=512 has no {accumulate} of them"):
            make_recipe("simsiam_cifar", {"accumulate": accumulate})


def test_another_seed_gives_other_weights(digits, recipe, tmp_path):
    one, other = (pretrain(digits, recipe, tmp_path / f"{seed}.pt", seed=seed) for seed in (0, 1))
    assert one.history[-1]["loss"] != other.history[-1]["loss"]


def test_a_finished_run_is_not_repeated(digits, recipe, tmp_path):
    pretrain(digits, recipe, tmp_path / "c.pt")
    before = (tmp_path / "c.pt").stat().st_mtime_ns
    again = pretrain(digits, recipe, tmp_path / "c.pt", listen=stop_after(1))
    assert (again.resumed_at, again.finished) == (3, True)
    assert (tmp_path / "c.pt").stat().st_mtime_ns == before


def test_the_clock_stops_a_run_between_epochs(digits, recipe, tmp_path):
    done = pretrain(digits, recipe, tmp_path / "c.pt", minutes=0)
    assert (done.epoch, done.finished) == (1, False)
    assert pretrain(digits, recipe, tmp_path / "c.pt").finished


def test_another_run_is_not_continued(digits, recipe, tmp_path):
    pretrain(digits, recipe, tmp_path / "c.pt")
    longer = recipe.model_copy(update={"epochs": 4})
    with pytest.raises(CheckpointError, match=r"differs in epochs \(3 there, 4 here\)"):
        pretrain(digits, longer, tmp_path / "c.pt")


def test_a_foreign_file_is_not_overwritten(digits, recipe, tmp_path):
    (tmp_path / "c.pt").write_bytes(b"mine")
    with pytest.raises(CheckpointError):
        pretrain(digits, recipe, tmp_path / "c.pt")
    assert (tmp_path / "c.pt").read_bytes() == b"mine"


def test_a_loss_that_diverges_is_said_and_not_saved(digits, recipe, tmp_path):
    wild = recipe.model_copy(update={"lr": 1e30})
    with pytest.raises(SpecError, match="Expected a finite loss in epoch 1, but it diverged; lower `lr`"):
        pretrain(digits, wild, tmp_path / "c.pt")
    assert list(tmp_path.iterdir()) == []


def test_a_batch_that_processes_cannot_share_is_refused(digits, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("harness.features.pretrain._processes", lambda: (0, 3))
    with pytest.raises(SpecError, match=r"batch_size=32 has no 1 of them .* for each of 3 processes"):
        pretrain(digits, recipe, tmp_path / "encoder.pt")


def test_a_batch_larger_than_the_data_is_refused(digits, recipe, tmp_path):
    with pytest.raises(SpecError, match="batches of at most 128 images, but got batch_size=512"):
        pretrain(digits, recipe.model_copy(update={"batch_size": 512}), tmp_path / "c.pt")


def test_a_corrupt_image_leaves_nothing_behind(pictures, encoded, write_parquet, recipe, tmp_path):
    images = [encoded(image) for image in pictures[0]]
    images[33] = b"\x89PNG nothing"
    found = open_images(Source(str(write_parquet("bad", images, pictures[1])))).train
    with pytest.raises(DataError, match="row 33"):
        pretrain(found, recipe, tmp_path / "out" / "c.pt")
    assert not (tmp_path / "out").exists()


def test_the_checkpoint_is_an_encoder(digits, recipe, tmp_path):
    done = pretrain(digits, recipe, tmp_path / "c.pt")
    loaded = load_encoder(str(tmp_path / "c.pt"))
    assert loaded.spec == encoder_spec("wrn10_1", 16)
    assert len(loaded.history) == len(done.history) == 4
    with pytest.raises(CheckpointError, match="Expected an encoder of backbone resnet18"):
        load_encoder(str(tmp_path / "c.pt"), backbone="resnet18")


def test_spread_falls_below_the_limit_when_features_collapse(recipe):
    generator = torch.Generator().manual_seed(0)
    model = SelfSupervised(make_encoder(encoder_spec("wrn10_1", 16), 0), 64, recipe)
    views = [torch.randn(32, 3, 16, 16, generator=generator) for _ in range(2)]
    healthy = model(*views)[1]
    with torch.no_grad():
        # A constant encoder: what a collapse ends in. The projector's normalisation then has nothing to divide by.
        for weight in model.encoder.parameters():
            weight.zero_()
        model.encoder.norm.bias.fill_(1)
    assert healthy > 0.5
    assert model(*views)[1] < COLLAPSED


def test_features_of_digits_get_better(tmp_path):
    """Scaled down from the tutorial: kNN of test digits rises by at least 3 points over the untrained encoder."""
    from harness.features.extract import extract
    from harness.features.probe import worth

    images = open_images(Source("digits", limit=700))
    recipe = make_recipe("simsiam_digits", {"backbone": "wrn10_1", "epochs": 8, "batch_size": 32})
    history = pretrain(images.train, recipe, tmp_path / "c.pt").history
    assert history[-1]["loss"] < history[1]["loss"] - 0.2
    knn = {}
    for name in ("untrained", str(tmp_path / "c.pt")):
        fields = extract(images, load_encoder(name, backbone="wrn10_1", image_size=16), tmp_path / "f.npz").fields
        labels = [np.unique(y, return_inverse=True)[1] for y in (fields.y_train, fields.y_test)]
        knn[name] = worth(fields.x_train, labels[0], fields.x_test, labels[1]).knn
    assert knn[str(tmp_path / "c.pt")] > knn["untrained"] + 0.03


def test_too_few_images_are_refused(digits, tmp_path):
    few = make_recipe("simsiam_digits", {**TINY, "batch_size": 4})
    with pytest.raises(DataError, match="Expected at least 5 images in digits, but got 4"):
        pretrain(digits.sample(4), few, tmp_path / "a.pt")
    assert len(pretrain(digits.sample(5), few, tmp_path / "a.pt").history) == 4


def test_a_name_under_which_nothing_would_read_it_is_refused(digits, recipe, tmp_path):
    with pytest.raises(CheckpointError, match=r"a name such as encoder\.pt for a checkpoint, but got .*a\.safetensors"):
        pretrain(digits, recipe, tmp_path / "a.safetensors")
