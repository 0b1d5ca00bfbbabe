"""Random views of a batch of images, on the device that the images are on.

Every image of the batch gets its own crop, flip, colours and blur, drawn as torchvision's transforms draw them; the
whole batch is computed at once. Resizing and blurring are products with one matrix per image and axis. The
distribution is that of `lightly.transforms.SimSiamTransform` and `BYOLTransform` up to the rounding to whole grey
values between their steps, and a blur that is a true Gaussian instead of three box filters.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import relu

from harness.features.recipes import View

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, in [0, 1]; every encoder here sees images normalised by them."""

_GREY = (0.299, 0.587, 0.114)
_TRIES = 10
_ASPECT = (3 / 4, 4 / 3)
_SIGMA = (0.1, 2.0)
N_DRAWS = 2 * _TRIES + 4 + 12
"""Random numbers that decide a view."""


def draw(n: int, generator: torch.Generator) -> Tensor:
    """The random numbers of `n` views: `n x N_DRAWS`, uniform in [0, 1), on the generator's device."""
    return torch.rand((n, N_DRAWS), generator=generator, device=generator.device)


def augment(images: Tensor, draws: Tensor, view: View, size: int) -> Tensor:
    """Make a view of each image.

    Args:
        images: `n x 3 x height x width` uint8.
        draws: `n x N_DRAWS`, from `draw`; all the chance there is.
        view: what the numbers decide on.
        size: pixels a side of the result.

    Returns:
        `n x 3 x size x size` float32, normalised by `MEAN` and `STD`.
    """
    height, width = images.shape[2:]
    area, aspect, order, single = torch.split(draws, [_TRIES, _TRIES, 4, N_DRAWS - 2 * _TRIES - 4], dim=1)
    y, x, flip, jitter, brightness, contrast, saturation, hue, grey, sigma, blur, solarise = single.unbind(dim=1)

    top, left, box_height, box_width = _boxes(height, width, view.min_scale, area, aspect, y, x)
    rows = _resizing(top, box_height, height, size, torch.zeros_like(top, dtype=torch.bool))
    columns = _resizing(left, box_width, width, size, flip < view.flip)
    pixels = rows[:, None] @ (images.float() / 255) @ columns[:, None].mT

    if view.jitter:
        on = jitter < view.jitter
        factors = [
            torch.where(on, 1 + strength * (2 * number - 1), 1.0)
            for number, strength in (
                (brightness, view.brightness),
                (contrast, view.contrast),
                (saturation, view.saturation),
            )
        ]
        shift = torch.where(on, view.hue * (2 * hue - 1), 0.0)
        pixels = _jitter(pixels, torch.stack(factors), shift, order.argsort(dim=1))
    if view.grey:
        pixels = torch.where(_per_image(grey < view.grey), _grey(pixels), pixels)
    if view.blur:
        matrix = _blurring(_SIGMA[0] + (_SIGMA[1] - _SIGMA[0]) * sigma, size)[:, None]
        pixels = torch.where(_per_image(blur < view.blur), matrix @ pixels @ matrix.mT, pixels)
    if view.solarise:
        inverted = torch.where(pixels >= 128 / 255, 1 - pixels, pixels)
        pixels = torch.where(_per_image(solarise < view.solarise), inverted, pixels)
    return normalise(pixels)


def normalise(pixels: Tensor) -> Tensor:
    """Values in [0, 1] less `MEAN`, over `STD`."""
    mean, std = (torch.tensor(values, device=pixels.device).view(3, 1, 1) for values in (MEAN, STD))
    return (pixels - mean) / std


def _boxes(
    height: int, width: int, min_scale: float, area: Tensor, aspect: Tensor, y: Tensor, x: Tensor
) -> tuple[Tensor, ...]:
    """Top, left, height and width of a crop per image: the first of ten tries that fits, or else all of the image."""
    area = height * width * (min_scale + (1 - min_scale) * area)
    low, high = (math.log(ratio) for ratio in _ASPECT)
    aspect = torch.exp(low + (high - low) * aspect)
    box_width, box_height = torch.round(torch.sqrt(area * aspect)), torch.round(torch.sqrt(area / aspect))
    fits = (box_width > 0) & (box_width <= width) & (box_height > 0) & (box_height <= height)
    first = fits.int().argmax(dim=1, keepdim=True)
    any_fits = fits.any(dim=1)
    box_width = torch.where(any_fits, box_width.gather(1, first)[:, 0], width)
    box_height = torch.where(any_fits, box_height.gather(1, first)[:, 0], height)
    top = torch.floor(y * (height - box_height + 1))
    left = torch.floor(x * (width - box_width + 1))
    return top, left, box_height, box_width


def _resizing(start: Tensor, length: Tensor, n_in: int, n_out: int, reverse: Tensor) -> Tensor:
    """Matrices `n x n_out x n_in` that resize the pixels start .. start + length as Pillow's bilinear filter does."""
    target = torch.arange(n_out, device=start.device).expand(len(start), n_out)
    target = torch.where(reverse[:, None], n_out - 1 - target, target)
    source = torch.arange(n_in, device=start.device) - start[:, None]
    ratio = length[:, None] / n_out
    centre = (target + 0.5) * ratio
    support = ratio.clamp(min=1.0)
    weights = relu(1 - (source[:, None] + 0.5 - centre[:, :, None]).abs() / support[:, None])
    weights = weights * ((source >= 0) & (source < length[:, None]))[:, None]
    return weights / weights.sum(dim=2, keepdim=True)


def _blurring(sigma: Tensor, size: int) -> Tensor:
    """Matrices `n x size x size` of a Gaussian blur that continues the outermost pixels."""
    reach = math.ceil(3 * _SIGMA[1])
    source = torch.arange(-reach, size + reach, device=sigma.device)
    distance = source - torch.arange(size, device=sigma.device)[:, None]
    weights = torch.exp(-0.5 * (distance / sigma[:, None, None]) ** 2)
    weights = weights / weights.sum(dim=2, keepdim=True)
    inner = weights[:, :, reach:-reach].clone()
    inner[:, :, 0] += weights[:, :, :reach].sum(dim=2)
    inner[:, :, -1] += weights[:, :, -reach:].sum(dim=2)
    return inner


def _jitter(pixels: Tensor, factors: Tensor, hue: Tensor, order: Tensor) -> Tensor:
    """Brightness, contrast, saturation (`factors`, 3 x n) and hue in each image's own order (`n x 4`)."""
    for step in range(4):
        now = order[:, step]
        grey = _grey(pixels)
        towards = torch.where(_per_image(now == 1), grey.mean(dim=(2, 3), keepdim=True), grey)
        towards = torch.where(_per_image(now == 0), torch.zeros_like(towards), towards)
        factor = _per_image(factors.gather(0, now.clamp(max=2)[None])[0])
        blended = (factor * pixels + (1 - factor) * towards).clamp(0, 1)
        pixels = torch.where(_per_image(now == 3), _shift_hue(pixels, hue), blended)
    return pixels


def _shift_hue(pixels: Tensor, shift: Tensor) -> Tensor:
    """Colours turned by `shift` of the circle, at equal value and saturation (HSV)."""
    value, minimum = pixels.amax(dim=1), pixels.amin(dim=1)
    chroma = value - minimum
    red, green, blue = pixels.unbind(dim=1)
    span = chroma.clamp(min=1e-8)
    angle = torch.where(
        value == red,
        (green - blue) / span,
        torch.where(value == green, 2 + (blue - red) / span, 4 + (red - green) / span),
    )
    turned = angle + 6 * shift[:, None, None]
    channels = []
    for offset in (5, 3, 1):
        position = (offset + turned) % 6
        channels.append(value - chroma * torch.minimum(position, 4 - position).clamp(0, 1))
    return torch.stack(channels, dim=1)


def _grey(pixels: Tensor) -> Tensor:
    red, green, blue = pixels.unbind(dim=1)
    return (_GREY[0] * red + _GREY[1] * green + _GREY[2] * blue)[:, None].expand_as(pixels)


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]
