"""Recipes of pre-training by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.exceptions import SpecError
from harness.features.costs import require_backbone
from strategies.exceptions import did_you_mean
from strategies.registry import describe_error

Probability = Annotated[float, Field(ge=0, le=1)]
Strength = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Precision = Literal["auto", "float32", "bfloat16"]


class View(BaseModel):
    """How one view of an image is drawn.

    Attributes:
        min_scale: smallest share of the image's area that a crop keeps; aspect ratios are 3/4 to 4/3.
        flip: probability of a horizontal flip.
        jitter: probability of the four changes of colour, which then come in random order.
        brightness, contrast, saturation: factors are uniform in 1 - s .. 1 + s.
        hue: shifts are uniform in -s .. s of the colour circle.
        grey: probability of grey values alone.
        blur: probability of a Gaussian blur of 0.1 to 2 pixels.
        solarise: probability that values from 1/2 up are inverted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_scale: Annotated[float, Field(gt=0, le=1)] = 0.2
    flip: Probability = 0.5
    jitter: Probability = 0.8
    brightness: Strength = 0.4
    contrast: Strength = 0.4
    saturation: Strength = 0.4
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    grey: Probability = 0.2
    blur: Probability = 0.0
    solarise: Probability = 0.0


class Recipe(BaseModel):
    """All that decides what a pre-training computes, but the images and the seed.

    Attributes:
        method: SimSiam (Chen and He 2021), BYOL (Grill et al. 2020) or SimCLR (Chen et al. 2020).
        backbone: name of the encoder.
        image_size: pixels a side of a view.
        epochs: passes over the images.
        batch_size: images a step; two views of each.
        accumulate: parts of a batch that pass one after the other, for less memory. Their gradients add up to that of
            the batch, but batch normalisation takes its statistics over a part, so results differ. SimCLR's
            negatives come from a part as well.
        optimiser: SGD with momentum, or LARS without adaptation and decay for biases and normalisation.
        lr: at a batch of 256; scaled by batch_size / 256, decays by a half cosine to 0.
        warmup_epochs: of a linear rise to `lr`.
        momentum, weight_decay: of the optimiser.
        projector_layers, projector_hidden, projector_out: widths of the projector.
        predictor_hidden: of the two-layer predictor; SimSiam's keeps its learning rate constant, SimCLR has none.
        precision: of the passes through the networks; `auto` is bfloat16 on a GPU and float32 on any CPU, and what it
            was where a run began is kept where it goes on. A CPU with matrix units for bfloat16 (AMX) takes less than
            half the time with it, one without any instructions for it about 30 times as long.
        ema: BYOL's target moves by 1 - ema, which rises to 1 by a half cosine.
        temperature: by which SimCLR divides cosines.
        first, second: how the two views are drawn.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: Literal["simsiam", "byol", "simclr"] = "simsiam"
    backbone: str = "resnet18"
    image_size: Annotated[int, Field(ge=8, le=1024)] = 32
    epochs: Annotated[int, Field(ge=1)] = 800
    batch_size: Annotated[int, Field(ge=2)] = 512
    accumulate: Annotated[int, Field(ge=1)] = 1
    optimiser: Literal["sgd", "lars"] = "sgd"
    lr: Positive = 0.03
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    projector_layers: Annotated[int, Field(ge=2, le=3)] = 2
    projector_hidden: Annotated[int, Field(ge=1)] = 2048
    projector_out: Annotated[int, Field(ge=1)] = 2048
    predictor_hidden: Annotated[int, Field(ge=1)] = 512
    precision: Precision = "auto"
    ema: Annotated[float, Field(ge=0, le=1)] = 0.99
    temperature: Positive = 0.5
    first: View = View()
    second: View = View()


_BYOL_VIEW = {"min_scale": 0.08, "saturation": 0.2}
_DIGITS_VIEW = View(min_scale=0.4, flip=0.0, saturation=0.0, hue=0.0, grey=0.0)

RECIPES: dict[str, tuple[str, Recipe]] = {
    "simsiam_cifar": ("SimSiam, ResNet-18, 32 x 32: Chen and He 2021, appendix on CIFAR; 800 epochs", Recipe()),
    "simsiam_cifar100": ("the same with a WRN-28-8, as for CIFAR-100 in the paper", Recipe(backbone="wrn28_8")),
    "byol_imagenet": (
        "BYOL, ResNet-50, 224 x 224: Grill et al. 2020; 300 epochs",
        Recipe(
            method="byol",
            backbone="resnet50",
            image_size=224,
            epochs=300,
            optimiser="lars",
            lr=0.45,
            warmup_epochs=10,
            weight_decay=1e-6,
            projector_hidden=4096,
            projector_out=256,
            predictor_hidden=4096,
            first=View(blur=1.0, **_BYOL_VIEW),
            second=View(blur=0.1, solarise=0.2, **_BYOL_VIEW),
        ),
    ),
    "simsiam_cpu": (
        "SimSiam, narrow WRN-10-2, 32 x 32, for a trial on a CPU; 5 epochs",
        Recipe(
            backbone="wrn10_2",
            epochs=5,
            batch_size=64,
            lr=0.2,
            projector_hidden=256,
            projector_out=256,
            predictor_hidden=64,
            first=View(min_scale=0.4),
            second=View(min_scale=0.4),
        ),
    ),
    "simsiam_cifar_cpu": (
        "SimSiam, WRN-16-4 at half the resolution, bfloat16, for CIFAR-10 in some ten CPU hours; 150 epochs",
        Recipe(backbone="wrn16_4_half", epochs=150, batch_size=256, lr=0.06, warmup_epochs=2, precision="bfloat16"),
    ),
    "simclr_cifar_cpu": (
        "SimCLR, WRN-16-4 at half the resolution, bfloat16, for CIFAR-10 in some three CPU hours; 60 epochs",
        Recipe(
            method="simclr",
            backbone="wrn16_4_half",
            epochs=60,
            batch_size=128,
            lr=0.12,
            warmup_epochs=1,
            projector_hidden=512,
            projector_out=128,
            precision="bfloat16",
            temperature=0.2,
        ),
    ),
    "simsiam_digits": (
        "SimSiam, narrow WRN-10-2, 16 x 16, for the digits of scikit-learn on a CPU; 20 epochs",
        Recipe(
            backbone="wrn10_2",
            image_size=16,
            epochs=20,
            batch_size=64,
            lr=0.2,
            projector_hidden=256,
            projector_out=256,
            predictor_hidden=64,
            first=_DIGITS_VIEW,
            second=_DIGITS_VIEW,
        ),
    ),
}


def default_recipe(data: str) -> str:
    """The recipe for a data set that is named without one."""
    large = dict.fromkeys(("imagenet", "imagenet100", "imagenet100_cmc", "pets"), "byol_imagenet")
    return {"digits": "simsiam_digits", "cifar100": "simsiam_cifar100", **large}.get(data, "simsiam_cifar")


def make_recipe(name: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe with some of its settings changed.

    Args:
        name: in `RECIPES`.
        changes: by name of a setting; those of both views together by their own names, such as `min_scale`.

    Raises:
        SpecError: an unknown recipe, setting or backbone, or a value that does not fit.
    """
    if name not in RECIPES:
        raise SpecError(f"Expected a recipe among {', '.join(RECIPES)}, but got `{name}`.{did_you_mean(name, RECIPES)}")
    values = RECIPES[name][1].model_dump()
    for key, value in (changes or {}).items():
        if key in View.model_fields:
            values["first"][key] = values["second"][key] = value
        elif key in Recipe.model_fields and key not in ("first", "second"):
            values[key] = value
        else:
            known = [name for name in (*Recipe.model_fields, *View.model_fields) if name not in ("first", "second")]
            raise SpecError(
                f"Expected a setting of a recipe among {', '.join(known)}, but got `{key}`.{did_you_mean(key, known)}"
            )
    try:
        View.model_validate(values["first"])
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise SpecError(describe_error(f"recipe {name}", error)) from error
    require_backbone(recipe.backbone)
    if recipe.batch_size % recipe.accumulate or recipe.batch_size // recipe.accumulate < 2:
        raise SpecError(
            f"Expected a batch in equal parts of two images or more, but batch_size={recipe.batch_size} has no "
            f"{recipe.accumulate} of them (accumulate)."
        )
    return recipe
