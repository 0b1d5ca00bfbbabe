import pytest
import torch

from harness.exceptions import SpecError
from harness.features.encoders import encoder_spec, feature_dim, make_encoder


@pytest.mark.parametrize(
    ("backbone", "size", "dim"),
    [("resnet18", 32, 512), ("resnet18", 96, 512), ("resnet50", 32, 2048), ("wrn10_2", 16, 128)],
)
def test_features_have_the_backbones_width(backbone, size, dim):
    spec = encoder_spec(backbone, size)
    assert feature_dim(make_encoder(spec, 0), spec) == dim


def test_small_images_keep_their_resolution_up_to_the_first_group():
    small, large = (make_encoder(encoder_spec("resnet18", size), 0) for size in (32, 224))
    assert small.conv1.kernel_size == (3, 3)
    assert small.conv1.stride == (1, 1)
    assert isinstance(small.maxpool, torch.nn.Identity)
    assert large.conv1.kernel_size == (7, 7)


def test_half_resolution_is_made_by_the_first_convolution_alone():
    full, half = (make_encoder(encoder_spec(name, 32), 0) for name in ("wrn10_1", "wrn10_1_half"))
    assert torch.equal(full.conv.weight, half.conv.weight)
    images = torch.rand(2, 3, 32, 32)
    assert half.conv(images).shape == (2, 16, 16, 16)
    assert torch.equal(half.conv(images), full.conv(images)[:, :, ::2, ::2])


def test_wide_network_has_the_published_number_of_weights():
    # Zagoruyko and Komodakis 2016, table 4: WRN-28-10 has 36.5 million, 6,410 of them in the classifier of 10 classes.
    n = sum(weight.numel() for weight in make_encoder(encoder_spec("wrn28_10", 32), 0).parameters()) + 6410
    assert round(n / 1e6, 1) == 36.5


def test_weights_depend_on_the_seed_alone_and_leave_the_global_generator_alone():
    before = torch.random.get_rng_state()
    first, same, other = (make_encoder(encoder_spec("wrn10_1", 16), seed).conv.weight for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("backbone", ["resnet19", "wrn11_2", "wrn4_1", "wrn10_0", "../x"])
def test_unknown_backbones_are_refused(backbone):
    with pytest.raises(SpecError, match="Expected a backbone among resnet18"):
        make_encoder(encoder_spec(backbone, 32), 0)
