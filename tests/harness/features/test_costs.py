import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from harness.exceptions import SpecError
from harness.features import costs, pretrain
from harness.features.costs import (
    CORE_RATE,
    encoder_cost,
    has_bfloat16,
    rate,
    stored_size,
    training_memory,
    training_operations,
    warning,
)
from harness.features.encoders import encoder_spec, feature_dim, make_encoder
from harness.features.pretrain import SelfSupervised
from harness.features.recipes import RECIPES, make_recipe
from tests.pretended import Account


@pytest.mark.parametrize(
    ("backbone", "size"),
    [("resnet18", 32), ("resnet34", 96), ("resnet50", 80), ("wrn10_2", 16), ("wrn16_4_half", 32), ("wrn28_8", 8)],
)
def test_arithmetic_agrees_with_what_torch_counts(backbone, size):
    spec = encoder_spec(backbone, size)
    encoder = make_encoder(spec, 0).eval()
    found = encoder_cost(backbone, size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        encoder(torch.zeros(1, 3, size, size))
    assert 2 * found.multiplications == counter.get_total_flops()
    assert found.dim == feature_dim(encoder, spec)
    assert found.weights == sum(weight.numel() for weight in encoder.parameters() if weight.ndim > 1)


@pytest.mark.parametrize("recipe", ["simsiam_digits", "byol_imagenet"])
def test_a_training_step_has_two_views_forward_and_backward_and_the_targets(recipe):
    wanted = make_recipe(recipe, {"backbone": "wrn10_1", "image_size": 16})
    encoder = make_encoder(encoder_spec("wrn10_1", 16), 0)
    model = SelfSupervised(encoder, 64, wanted).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.predictor(model.projector(model.encoder(torch.zeros(1, 3, 16, 16))))
    passes = 3 if model.target is None else 4
    assert training_operations(wanted) == counter.get_total_flops() * 2 * passes


def test_published_multiplications():
    # He et al. 2016, table 1: ResNet-18 1.8 and ResNet-50 3.8 billion; torchvision's ResNet-50 strides later: 4.1.
    assert round(encoder_cost("resnet18", 224).multiplications / 1e9, 1) == 1.8
    assert round(encoder_cost("resnet50", 224).multiplications / 1e9, 1) == 4.1


def test_every_recipe_has_a_cost_and_an_unknown_backbone_none():
    assert all(training_operations(recipe) > 0 for _, recipe in RECIPES.values())
    with pytest.raises(SpecError, match="Expected a backbone among resnet18"):
        encoder_cost("vgg", 32)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor : 0\nflags\t\t: fpu avx512_bf16 sse\n", True),
        ("flags\t: fpu amx_bf16 amx_tile\n", True),
        ("Features\t: fp asimd bf16\n", True),
        ("flags\t\t: fpu avx512f avx512_vnni\n", False),
        ("nothing of the kind\n", None),
    ],
)
def test_instructions_for_bfloat16_by_the_flags_of_the_cpu(tmp_path, text, expected):
    (tmp_path / "cpuinfo").write_text(text)
    assert has_bfloat16(tmp_path / "cpuinfo") is expected


def test_a_system_that_does_not_say_is_not_accused(tmp_path):
    assert has_bfloat16(tmp_path / "nothere") is None


def test_rates_are_said_with_what_they_are_for():
    assert rate("auto", n_gpus=0, n_cores=4) == (4 * CORE_RATE, "0.1 TFLOP/s in float32 on each of 4 CPU cores")
    assert rate("auto", n_gpus=2) == (100e12, "100 TFLOP/s of a GPU")


def test_bfloat16_is_warned_of_where_the_cpu_has_none(monkeypatch):
    for known in (True, None):
        monkeypatch.setattr(costs, "has_bfloat16", lambda known=known: known)
        assert warning("bfloat16", is_gpu=False) is None
    monkeypatch.setattr(costs, "has_bfloat16", lambda: False)
    assert "about 30 times as long as precision=float32" in warning("bfloat16", is_gpu=False)
    assert "\n" not in warning("bfloat16", is_gpu=False)
    assert warning("bfloat16", is_gpu=True) is warning("auto", is_gpu=False) is warning("float32", is_gpu=False) is None
    assert rate("bfloat16", n_gpus=0, n_cores=3)[0] == pytest.approx(CORE_RATE / 10)


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("simsiam_cifar", {"projector_layers": 3}),
        ("simsiam_cifar", {"backbone": "resnet50"}),
        ("byol_imagenet", {"image_size": 96, "backbone": "resnet18"}),
        ("simsiam_cifar_cpu", {}),
        ("simsiam_digits", {}),
        ("simsiam_digits", {"method": "simclr"}),
    ],
)
def test_activations_agree_with_what_torch_keeps(recipe, changes):
    wanted = make_recipe(recipe, {"batch_size": 4, **changes})
    encoder = make_encoder(encoder_spec(wanted.backbone, wanted.image_size), 0)
    model = SelfSupervised(encoder, encoder_cost(wanted.backbone, wanted.image_size).dim, wanted)
    weights = {weight.data_ptr() for weight in model.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(*torch.rand(2, 4, 3, wanted.image_size, wanted.image_size))
    measured = sum(storage.nbytes() for storage in kept.values())
    assert training_memory(wanted, is_half=False).activations == pytest.approx(measured, rel=0.05)


class Counted(TorchDispatchMode):
    """Counts the bytes of what operations give."""

    def __init__(self):
        super().__init__()
        self.account = Account()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default:
            return 1.0  # LARS asks whether norms are 0; a fake tensor does not know
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.account.count(leaf)
        return result


def counted_peak(recipe):
    """Bytes that are alive at once in the second step, which has momentum; nothing is computed."""
    place = torch.device("cpu")
    model = pretrain._model(encoder_spec(recipe.backbone, recipe.image_size), recipe, 0, place)
    with FakeTensorMode(allow_non_fake_inputs=True), Counted() as counted:
        for module in model.modules():
            for name, weight in module.named_parameters(recurse=False):
                fake = torch.empty_like(weight.detach())
                setattr(module, name, torch.nn.Parameter(fake, requires_grad=weight.requires_grad))
            for name, buffer in module.named_buffers(recurse=False):
                setattr(module, name, torch.empty_like(buffer))
        size = stored_size(recipe.image_size)
        batch = torch.empty((recipe.batch_size, 3, size, size), dtype=torch.uint8)
        optimiser = pretrain._optimiser(model, recipe)
        training = pretrain._Training(model, optimiser, recipe, 0, batch, place, recipe.precision, compiled=False)
        for step in range(2):
            counted.account.peak = 0
            training._step(step, batch, torch.Generator(), torch.zeros(()))
        return counted.account.peak


SMALL = {"backbone": "wrn10_1", "projector_hidden": 64, "projector_out": 64, "predictor_hidden": 64}


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("simsiam_digits", {"precision": "bfloat16", "accumulate": 2}),
        ("byol_imagenet", {**SMALL, "precision": "bfloat16", "image_size": 64, "batch_size": 16, "accumulate": 4}),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [
                ("simsiam_digits", {"precision": "float32", "accumulate": 8}),
                ("simsiam_digits", {"precision": "bfloat16", "method": "byol", "optimiser": "lars"}),
                ("simsiam_cifar", {"precision": "bfloat16"}),
                ("simsiam_cifar", {"precision": "float32"}),
                ("simsiam_cifar", {"precision": "bfloat16", "accumulate": 4}),
                ("simsiam_cifar_cpu", {}),
                ("simclr_cifar_cpu", {}),
                ("simsiam_digits", {"precision": "bfloat16", "method": "simclr", "batch_size": 1024}),
                ("simsiam_cifar100", {"precision": "bfloat16"}),
                ("byol_imagenet", {"precision": "bfloat16", "accumulate": 8}),
                ("byol_imagenet", {"precision": "bfloat16", "backbone": "resnet18", "image_size": 96}),
                (
                    "byol_imagenet",
                    {**SMALL, "precision": "float32", "image_size": 96, "batch_size": 64, "accumulate": 8},
                ),
            ]
        ),
    ],
)
def test_no_more_is_alive_at_once_than_is_predicted(recipe, changes):
    wanted = make_recipe(recipe, changes)
    predicted = training_memory(wanted, is_half=wanted.precision == "bfloat16").total
    assert 1 <= predicted / counted_peak(wanted) < 1.25


def test_memory_goes_with_the_part_of_a_batch_that_passes_at_once():
    whole, parts = (make_recipe("byol_imagenet", {"accumulate": n}) for n in (1, 4))
    assert 40e9 < training_memory(whole, is_half=True).activations < 50e9
    for few in (training_memory(parts, is_half=True), training_memory(whole, is_half=True, processes=4)):
        assert few.activations == training_memory(whole, is_half=True).activations / 4
        assert few.networks > training_memory(whole, is_half=True).networks
    assert training_memory(whole, is_half=False).activations > 1.9 * training_memory(whole, is_half=True).activations
