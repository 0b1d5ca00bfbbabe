"""Encoders by name: torchvision's ResNets with a stem for small or large images, and wide residual networks."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from harness.exceptions import SpecError
from harness.features import vision
from harness.features.costs import SMALL_IMAGE, require_backbone, wide

_SMALLEST, _LARGEST = 8, 1024


class EncoderSpec(BaseModel):
    """An architecture and the size of its input.

    Attributes:
        backbone: one of `RESNETS`, or `wrnD_K`, a wide residual network of depth D = 6n + 4 and width factor K;
            `wrnD_K_half` halves the resolution at its first convolution, which suits a CPU.
        image_size: pixels a side of the square input.
        stem: of a ResNet: `small` is a 3x3 convolution without pooling, `large` is torchvision's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: str
    image_size: Annotated[int, Field(ge=_SMALLEST, le=_LARGEST)]
    stem: Literal["small", "large"]


def encoder_spec(backbone: str, image_size: int) -> EncoderSpec:
    """The architecture that images of this size get.

    Raises:
        SpecError: images that are too small or too large, or an unknown backbone.
    """
    require_backbone(backbone)
    if not _SMALLEST <= image_size <= _LARGEST:
        raise SpecError(f"Expected an image size of {_SMALLEST} to {_LARGEST} pixels, but got {image_size}.")
    return EncoderSpec(backbone=backbone, image_size=image_size, stem="small" if image_size <= SMALL_IMAGE else "large")


def make_encoder(spec: EncoderSpec, seed: int) -> nn.Module:
    """An encoder with random weights: `n x 3 x size x size` float32 to `n x dim`.

    Args:
        spec: which.
        seed: of the weights.

    Raises:
        SpecError: an unknown backbone.
        PackageError: torchvision is missing.
    """
    require_backbone(spec.backbone)
    with torch.random.fork_rng(devices=[]):  # The constructors draw from the global generator.
        torch.manual_seed(seed)
        if (found := wide(spec.backbone)) is None:
            return _resnet(spec)
        depth, factor, is_half = found
        return WideResNet(depth, factor, stride=2 if is_half else 1)


def feature_dim(encoder: nn.Module, spec: EncoderSpec) -> int:
    """Length of the feature vector."""
    was_training, place = encoder.training, next(encoder.parameters()).device
    with torch.no_grad():
        dim = int(encoder.eval()(torch.zeros(1, 3, spec.image_size, spec.image_size, device=place)).shape[1])
    encoder.train(was_training)
    return dim


def _resnet(spec: EncoderSpec) -> nn.Module:
    network: nn.Module = getattr(vision.load("torchvision.models"), spec.backbone)(weights=None)
    network.fc = nn.Identity()
    if spec.stem == "small":
        network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
        network.maxpool = nn.Identity()
    return network


class WideResNet(nn.Module):
    """Wide residual network (Zagoruyko and Komodakis 2016, arXiv 1605.07146) without its classifier.

    Three groups of pre-activation blocks of 16 K, 32 K and 64 K channels; the features are the 64 K channels averaged
    over the image. Depth 28 and K = 8 is the backbone of SimSiam on CIFAR-100; depth 10 and K = 2 suits a CPU.

    Args:
        depth: 6n + 4 for n blocks a group.
        factor: K.
        stride: of the first convolution.
    """

    def __init__(self, depth: int, factor: int, stride: int = 1) -> None:
        super().__init__()
        widths = [16, 16 * factor, 32 * factor, 64 * factor]
        self.conv = nn.Conv2d(3, widths[0], 3, stride, padding=1, bias=False)
        n_blocks = (depth - 4) // 6
        self.groups = nn.Sequential(
            *(
                _Block(widths[group] if block == 0 else widths[group + 1], widths[group + 1], stride)
                for group in range(3)
                for block in range(n_blocks)
                for stride in [2 if group > 0 and block == 0 else 1]
            )
        )
        self.norm = nn.BatchNorm2d(widths[-1])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Features of normalised images."""
        return self.norm(self.groups(self.conv(images))).relu().mean(dim=(2, 3))  # type: ignore[no-any-return]


class _Block(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(n_in)
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.shortcut = None if n_in == n_out and stride == 1 else nn.Conv2d(n_in, n_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = self.norm1(x).relu()
        residual = self.conv2(self.norm2(self.conv1(active)).relu())
        return residual + (x if self.shortcut is None else self.shortcut(active))  # type: ignore[no-any-return]
