"""What an encoder costs by arithmetic alone: multiplications, weights and memory, without torch."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import joblib

from harness.exceptions import SpecError
from strategies.exceptions import did_you_mean

if TYPE_CHECKING:
    from harness.features.recipes import Recipe

RESNETS = ("resnet18", "resnet34", "resnet50")
SMALL_IMAGE = 64
"""Images of up to this many pixels a side get a ResNet whose stem keeps their resolution."""

_STORED = 256 / 224
_BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}
_BOTTLENECK = 4
_VIEWS, _OUTPUTS = 11, 5
_WIDE = re.compile(r"wrn(\d{1,3})_(\d{1,2})(_half)?")

GPU_RATE = 100e12
"""Operations a second that a forecast takes a GPU to do in bfloat16. Assumed, for a recent one; not measured."""
CORE_RATE = 0.1e12
"""The same of a CPU core in float32: ResNet-18 on 32 x 32 pixels, docs/how-to/images-to-features.md."""
CORE_RATE_HALF = 0.25e12
"""The same in bfloat16 with matrix units for it."""
EMULATED = 30
"""How many times longer bfloat16 takes than float32 on a CPU that has no instructions for it."""


@dataclass(frozen=True)
class Cost:
    """Cost of a network, per image of its input.

    Attributes:
        dim: length of the features.
        multiplications: of a forward pass, in convolutions and matrix products; an operation each, with an addition.
        weights: of convolutions and matrix products; those of normalisation are few.
        kept: numbers that a forward pass keeps for the backward one: inputs of convolutions, normalisations and ReLUs.
        indices: of a maximum, which are kept as well, in 8 bytes each.
        largest: numbers of the largest output of a layer.
    """

    dim: int
    multiplications: int
    weights: int
    kept: int
    indices: int
    largest: int


def wide(backbone: str) -> tuple[int, int, bool] | None:
    """Depth, width factor, and whether the first convolution halves the resolution, of `wrnD_K` or `wrnD_K_half`."""
    match = _WIDE.fullmatch(backbone)
    if not match or int(match[1]) % 6 != 4 or int(match[1]) < 10 or int(match[2]) < 1:
        return None
    return int(match[1]), int(match[2]), bool(match[3])


def require_backbone(backbone: str) -> None:
    """Raise SpecError of a name that is none of an encoder."""
    if backbone not in RESNETS and wide(backbone) is None:
        raise SpecError(
            f"Expected a backbone among {', '.join(RESNETS)} or wrnD_K with D = 10, 16, 22, 28, ..., such as wrn28_8 "
            f"or wrn16_4_half, but got `{backbone}`.{did_you_mean(backbone, RESNETS)}"
        )


def encoder_cost(backbone: str, image_size: int) -> Cost:
    """What a forward pass of one image takes.

    Raises:
        SpecError: an unknown backbone.
    """
    require_backbone(backbone)
    tally = _Tally()
    found = wide(backbone)
    dim = _wide(tally, *found, image_size) if found else _resnet(tally, backbone, image_size)
    return Cost(dim, tally.multiplications, tally.weights, tally.kept, tally.indices, tally.largest)


def training_operations(recipe: Recipe) -> int:
    """Operations of a training step per image: two views forward and twice that backward; BYOL's target forward too.

    A multiplication with its addition counts as two.
    """
    cost = encoder_cost(recipe.backbone, recipe.image_size)
    heads = sum(_heads(recipe, cost.dim))
    return 2 * (cost.multiplications + heads) * 2 * (4 if recipe.method == "byol" else 3)


def _heads(recipe: Recipe, dim: int) -> tuple[int, int]:
    """Weights of the projector and of the predictor, which SimCLR has not."""
    hidden, out = recipe.projector_hidden, recipe.projector_out
    layers = 2 if recipe.method == "byol" else recipe.projector_layers
    predictor = 0 if recipe.method == "simclr" else 2 * out * recipe.predictor_hidden
    return dim * hidden + hidden * hidden * (layers - 2) + hidden * out, predictor


@dataclass(frozen=True)
class Memory:
    """What a pre-training holds at its peak, in bytes.

    Attributes:
        networks: weights, gradients, momentum, and copies of the weights in bfloat16.
        activations: of both views of a part of a batch, kept for the backward pass.
        passing: a batch with its views, and outputs of the largest layers; more where the making of views needs it.
    """

    networks: int
    activations: int
    passing: int

    @property
    def total(self) -> int:
        """All of it; images that are kept beside it and what CUDA takes for itself are not in it."""
        return self.networks + self.activations + self.passing


def training_memory(recipe: Recipe, *, is_half: bool, processes: int = 1) -> Memory:
    """Predict the peak of a training step on a device.

    Kept for the backward pass are the inputs of convolutions, normalisations and ReLUs, of both views, in 2 bytes a
    number with bfloat16 and 4 without; in passing, the batch, its two views in float32, and `_OUTPUTS` outputs of the
    largest layer. The making of views takes `_VIEWS` copies of a batch of views, before anything is kept. Gradients of
    one view wait for those of the other, beside the sum over earlier parts; several processes exchange a copy of them.
    Target networks' weights are copied in bfloat16 for one layer at a time. SimCLR keeps the cosines of all views of a
    part with those of all processes, and their softmax.

    The sum is no less than what is alive at once at any moment of a step, and about a quarter more at most, since
    gradients, activations and the largest outputs are not all there at one time. What an operation itself takes to
    work in, and what the allocator of CUDA rounds up, is not in it.

    Args:
        recipe: what is trained.
        is_half: whether the passes are in bfloat16.
        processes: that share a batch.
    """
    cost = encoder_cost(recipe.backbone, recipe.image_size)
    size = 2 if is_half else 4
    batch = math.ceil(recipe.batch_size / processes)
    part = math.ceil(batch / recipe.accumulate)
    projector, predictor = _heads(recipe, cost.dim)
    is_contrastive = recipe.method == "simclr"
    trained = cost.weights + projector + predictor
    target = cost.weights + projector if recipe.method == "byol" else 0
    # A linear layer's input, its normalisation's and its ReLU's.
    heads = cost.dim + 2 * recipe.projector_hidden * (recipe.projector_layers - 1) + recipe.projector_out
    heads += 0 if is_contrastive else 2 * recipe.predictor_hidden + recipe.projector_out
    cosines = 2 * 4 * processes * (2 * part) ** 2 if is_contrastive else 0
    waiting = size * (recipe.accumulate > 1) + 4 * (processes > 1)
    activations = 2 * part * ((cost.kept + heads) * size + cost.indices * 8) + cosines
    images, view = (batch * 3 * pixels**2 for pixels in (stored_size(recipe.image_size), recipe.image_size))
    step, making = 2 * 4 * view + _OUTPUTS * part * cost.largest * size, _VIEWS * 4 * view
    return Memory(
        networks=trained * (12 + 2 * is_half + waiting) + target * 4,
        activations=activations,
        passing=images + max(step, making - activations),
    )


class _Tally:
    def __init__(self) -> None:
        self.multiplications = self.weights = self.kept = self.indices = self.largest = 0

    def conv(self, n_in: int, n_out: int, kernel: int, size: int) -> None:
        """A convolution with an output of `size` pixels a side."""
        weights = n_in * n_out * kernel**2
        self.weights += weights
        self.multiplications += weights * size**2
        self.largest = max(self.largest, n_out * size**2)

    def keep(self, n_channels: int, size: int, n: int = 1) -> None:
        """Keep `n` arrays of that many channels for the backward pass."""
        self.kept += n * n_channels * size**2


def _resnet(tally: _Tally, backbone: str, image_size: int) -> int:
    """Each convolution is followed by a normalisation, which keeps its output; ReLUs work in place and keep theirs."""
    is_small = image_size <= SMALL_IMAGE
    size = image_size if is_small else math.ceil(image_size / 2)
    tally.keep(3, image_size)
    tally.conv(3, 64, 3 if is_small else 7, size)
    tally.keep(64, size, 2)
    if not is_small:
        size = math.ceil(size / 2)
        tally.keep(64, size)
        tally.indices += 64 * size**2
    expansion = _BOTTLENECK if backbone == "resnet50" else 1
    n_in = 64
    for group, n_blocks in enumerate(_BLOCKS[backbone]):
        width = 64 * 2**group
        n_out = width * expansion
        for block in range(n_blocks):
            before, stride = size, 2 if group and not block else 1
            size = math.ceil(size / stride)
            if expansion == 1:
                layers = [(n_in, width, 3, size), (width, width, 3, size)]
            else:
                layers = [(n_in, width, 1, before), (width, width, 3, size), (width, n_out, 1, size)]
            for layer in layers:
                tally.conv(*layer)
                tally.keep(layer[1], layer[3], 2)
            if stride > 1 or n_in != n_out:
                tally.conv(n_in, n_out, 1, size)
                tally.keep(n_out, size)
            n_in = n_out
    return n_in


def _wide(tally: _Tally, depth: int, factor: int, is_half: bool, image_size: int) -> int:
    """Normalisation and ReLU come before each convolution and keep their inputs and outputs."""
    size = math.ceil(image_size / 2) if is_half else image_size
    tally.keep(3, image_size)
    tally.conv(3, 16, 3, size)
    n_in = 16
    for group in range(3):
        width = 16 * factor * 2**group
        for block in range((depth - 4) // 6):
            tally.keep(n_in, size, 2)
            stride = 2 if group and not block else 1
            size = math.ceil(size / stride)
            tally.conv(n_in, width, 3, size)
            tally.conv(width, width, 3, size)
            tally.keep(width, size, 2)
            if n_in != width or stride > 1:
                tally.conv(n_in, width, 1, size)
            n_in = width
    tally.keep(n_in, size, 2)
    return n_in


def stored_size(image_size: int) -> int:
    """Pixels to which the shorter side of an image is brought before crops of `image_size` are taken from it."""
    return image_size if image_size <= SMALL_IMAGE else round(image_size * _STORED)


def memory_text(recipe: Recipe, n_images: int, *, is_gpu: bool) -> str:
    """What a pre-training will hold, in a line."""
    is_half = recipe.precision == "bfloat16" or (is_gpu and recipe.precision == "auto")
    needed = training_memory(recipe, is_half=is_half)
    kept = n_images * 3 * stored_size(recipe.image_size) ** 2
    where = "on the GPU if they fit beside it, else in page-locked memory" if is_gpu else "in memory as well"
    return (
        f"A step takes about {_amount(needed.total)} of memory (networks {_amount(needed.networks)}, activations "
        f"{_amount(needed.activations)}, temporary {_amount(needed.passing)}); the images take {_amount(kept)},"
        f" {where}."
    )


def _amount(n_bytes: int) -> str:
    if n_bytes < 1e9:
        return f"{n_bytes / 1e6:.0f} MB"
    return f"{n_bytes / 1e9:.2g} GB" if n_bytes < 10e9 else f"{n_bytes / 1e9:.0f} GB"


def has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool | None:
    """Whether this CPU has instructions for bfloat16; None where the system does not say."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    flags = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return None if flags is None else not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(flags[1].split())


def warning(precision: str, *, is_gpu: bool) -> str | None:
    """What to say of a precision that this machine is slow with; None where it is not, or nobody knows."""
    if is_gpu or precision != "bfloat16" or has_bfloat16() is not False:
        return None
    return (
        "Warning: this CPU has no instructions for bfloat16 (avx512_bf16 or amx_bf16), so precision=bfloat16 is "
        f"emulated and takes about {EMULATED} times as long as precision=float32; that is another run and needs "
        "another checkpoint."
    )


def rate(precision: str, *, n_gpus: float, n_cores: int | None = None) -> tuple[float, str]:
    """Operations a second that a forecast takes this machine to do, and how that is said.

    Args:
        precision: of a recipe.
        n_gpus: GPUs; one of them is used.
        n_cores: of the CPU; None finds out.
    """
    if n_gpus:
        return GPU_RATE, f"{GPU_RATE / 1e12:g} TFLOP/s of a GPU"
    n_cores = n_cores or joblib.cpu_count()
    each, how = CORE_RATE, "float32"
    if precision == "bfloat16":
        has_it = has_bfloat16() is not False
        each, how = (CORE_RATE_HALF, "bfloat16") if has_it else (CORE_RATE / EMULATED, "emulated bfloat16")
    return each * n_cores, f"{each / 1e12:.2g} TFLOP/s in {how} on each of {n_cores} CPU cores"
