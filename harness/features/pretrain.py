"""Pre-training of an encoder without labels: SimSiam, BYOL and SimCLR.

All images are on the device as uint8 where they fit; views are made there, a batch at a time. What is drawn in an
epoch comes from streams named by seed and epoch, so an epoch that is repeated after an interruption is the same
epoch: a checkpoint after each epoch needs weights and the optimiser's state, and no state of a generator.
"""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch import distributed as dist

from harness.exceptions import CheckpointError, DataError, SpecError
from harness.features import vision
from harness.features.augmentation import augment, draw, normalise
from harness.features.checkpoints import FORMAT, read_checkpoint, write_checkpoint
from harness.features.costs import stored_size, training_memory, training_operations
from harness.features.encoders import EncoderSpec, encoder_spec, feature_dim, make_encoder
from harness.features.images import Images
from harness.features.probe import knn_accuracy, spread
from harness.features.recipes import Precision, Recipe
from harness.streams import Purpose, stream

COLLAPSED = 0.1
"""A spread of the projections below this share of that of uniform directions is called a collapse."""

_BANK, _QUERIES = 5000, 1000
_LEAST_IMAGES = 5
"""A fifth of the images are queries of the monitor."""
_ROWS = 512
_DEVICE_SHARE = 0.9
_MARGIN = 1.1
_CHUNK = 4096


@dataclass(frozen=True)
class Epoch:
    """How an epoch went.

    Attributes:
        epoch: counted from 1; 0 is the untrained encoder.
        epochs: of the recipe.
        loss: mean over the epoch; NaN for epoch 0.
        spread: of the projections of the last batch, see `probe.spread`.
        knn: accuracy of the monitor on training images, None where it was not measured.
        images_per_second: trained on, 0 for epoch 0.
        teraflops: convolutions and matrix products of forward and backward passes a second, by arithmetic.
        seconds_left: until the last epoch, estimated from this run's epochs.
    """

    epoch: int
    epochs: int
    loss: float
    spread: float
    knn: float | None
    images_per_second: float = 0.0
    teraflops: float = 0.0
    seconds_left: float = math.nan


@dataclass(frozen=True)
class Pretrained:
    """How a pre-training ended.

    Attributes:
        epoch: finished epochs.
        finished: whether that is all of them.
        resumed_at: epochs that an earlier run had finished.
        history: epoch, loss, spread and knn of each epoch from 0.
    """

    epoch: int
    finished: bool
    resumed_at: int
    history: list[dict[str, Any]]


class SelfSupervised(nn.Module):
    """An encoder with the heads of its method; called with two views, it gives the loss and the projections' spread.

    Args:
        encoder: images to features.
        dim: length of the features.
        recipe: the method and the heads' widths.
    """

    def __init__(self, encoder: nn.Module, dim: int, recipe: Recipe) -> None:
        super().__init__()
        heads = vision.load("lightly.models.modules.heads")
        hidden, out = recipe.projector_hidden, recipe.projector_out
        self.encoder, self.target = encoder, None
        self.temperature = recipe.temperature if recipe.method == "simclr" else None
        if recipe.method == "simclr":
            self.projector = heads.SimCLRProjectionHead(dim, hidden, out, recipe.projector_layers)
            self.predictor = nn.Identity()
        elif recipe.method == "simsiam":
            widths = [dim, *[hidden] * (recipe.projector_layers - 1), out]
            last = len(widths) - 2
            self.projector = heads.ProjectionHead(
                [
                    (n_in, n_out, nn.BatchNorm1d(n_out, affine=i < last), nn.ReLU() if i < last else None)
                    for i, (n_in, n_out) in enumerate(itertools.pairwise(widths))
                ]
            )
            self.predictor = heads.SimSiamPredictionHead(out, recipe.predictor_hidden, out)
        else:
            self.projector = heads.BYOLProjectionHead(dim, hidden, out)
            self.predictor = heads.BYOLPredictionHead(out, recipe.predictor_hidden, out)
            self.target = nn.Sequential(copy.deepcopy(self.encoder), copy.deepcopy(self.projector))
            self.target.requires_grad_(False)
        self.distance = vision.load("lightly.loss").NegativeCosineSimilarity()

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and spread of a batch of pairs of views."""
        projections = [self.projector(self.encoder(view)) for view in (first, second)]
        predictions = [self.predictor(projection).float() for projection in projections]
        if self.temperature is not None:
            with torch.autocast(first.device.type, enabled=False):
                return contrast(predictions[0], predictions[1], self.temperature), spread(projections[0])
        if self.target is None:
            targets = [projection.detach().float() for projection in projections]
        else:
            with torch.no_grad():
                targets = [self.target(view).float() for view in (first, second)]
        loss = (self.distance(predictions[0], targets[1]) + self.distance(predictions[1], targets[0])) / 2
        return loss, spread(projections[0])

    def move_target(self, momentum: float) -> None:
        """Let BYOL's target follow the encoder and the projector."""
        if self.target is not None:
            update = vision.load("lightly.models.utils").update_momentum
            update(nn.ModuleList([self.encoder, self.projector]), self.target, momentum)


def contrast(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """SimCLR's loss: a view's partner is to be told from all other views of the batch, those of all processes.

    It is lightly's `NTXentLoss` without its boolean masks, for which a GPU would have to wait.

    Args:
        first: projections of one view of each image, `n x d`.
        second: of the other view.
        temperature: by which cosines are divided.

    Source: Chen et al. 2020, arXiv 2002.05709, equation 1.
    """
    rank, world = _processes()
    views = nn.functional.normalize(torch.cat([first, second]), dim=1)
    everyone = torch.cat(vision.load("lightly.utils.dist").gather(views)) if world > 1 else views
    here = torch.arange(len(views), device=views.device) + rank * len(views)
    is_itself = here[:, None] == torch.arange(len(everyone), device=views.device)
    logits = (views @ everyone.T / temperature).masked_fill(is_itself, -math.inf)
    return nn.functional.cross_entropy(logits, here.roll(len(first)))


def pretrain(
    images: Images,
    recipe: Recipe,
    out: Path,
    *,
    seed: int = 0,
    device: Literal["cpu", "cuda"] = "cpu",
    minutes: float | None = None,
    knn_every: int | None = None,
    compiled: bool = False,
    listen: Callable[[Epoch], None] = lambda epoch: None,
) -> Pretrained:
    """Pre-train an encoder, or go on where an earlier run stopped.

    Under `torchrun` every process takes its share of each batch, on its own GPU; the first one writes.

    Args:
        images: to train on; their labels serve the monitor alone, which images without labels do not have.
        recipe: what to compute.
        out: the checkpoint, replaced after each epoch.
        seed: of weights, order and views.
        device: where; channels-last, and mixed precision where the recipe's `precision` says so.
        minutes: stop after the last epoch that fits into them.
        knn_every: epochs between two measurements of the monitor; about 20 in all if None.
        compiled: let torch compile views and steps.
        listen: called after each epoch.

    Raises:
        DataError: an image cannot be decoded, or there are too few.
        CheckpointError: `out` holds another run, or would not be read under its name.
        SpecError: a batch that is larger than the data, an unknown backbone, or a loss that is no longer finite.
    """
    began = time.monotonic()
    if out.suffix == ".safetensors":
        raise CheckpointError(f"Expected a name such as encoder.pt for a checkpoint, but got `{out}`.")
    if len(images) < _LEAST_IMAGES:
        raise DataError(f"Expected at least {_LEAST_IMAGES} images in {images.where}, but got {len(images)}.")
    if recipe.batch_size > len(images):
        raise SpecError(
            f"Expected batches of at most {len(images)} images, but got batch_size={recipe.batch_size}; lower it."
        )
    rank, world = _processes()
    if recipe.batch_size % (world * recipe.accumulate) or recipe.batch_size // (world * recipe.accumulate) < 2:
        raise SpecError(
            f"Expected a batch in equal parts of two images or more, but batch_size={recipe.batch_size} has no "
            f"{recipe.accumulate} of them (accumulate) for each of {world} processes."
        )
    place = torch.device(f"cuda:{torch.cuda.current_device()}" if device == "cuda" else "cpu")
    spec = encoder_spec(recipe.backbone, recipe.image_size)
    run = _run(images, recipe, seed, world)
    model = _model(spec, recipe, seed, place)
    optimiser = _optimiser(model, recipe)
    history: list[dict[str, Any]] = []
    precision = recipe.precision
    if out.exists():
        history, begun_in = _resume(out, run, model, optimiser)
        precision = begun_in if precision == "auto" else precision
    if precision == "auto":
        precision = "bfloat16" if device == "cuda" else "float32"
    resumed_at = max(0, len(history) - 1)
    if resumed_at == recipe.epochs:
        return Pretrained(resumed_at, True, resumed_at, history)

    needed = training_memory(recipe, is_half=precision == "bfloat16", processes=world).total
    pixels = _pixels(images, recipe.image_size, place, needed)
    monitor = None
    if images.labels is not None:
        monitor = _Monitor(images.labels, seed, pixels, recipe.image_size, precision)
    training = _Training(model, optimiser, recipe, seed, pixels, place, precision, compiled=compiled)
    operations = training_operations(recipe)
    knn_every = knn_every or max(1, recipe.epochs // 20)
    if not history:
        history = [{"epoch": 0, "loss": math.nan, "spread": math.nan, "knn": monitor and monitor(model.encoder)}]
        if rank == 0:
            listen(Epoch(epochs=recipe.epochs, **history[0]))
    setup = time.monotonic() - began
    for epoch in range(resumed_at + 1, recipe.epochs + 1):
        epoch_began = time.monotonic()
        loss, collapse = training.epoch(epoch)
        seconds = time.monotonic() - epoch_began
        is_measured = epoch % knn_every == 0 or epoch == recipe.epochs
        knn = monitor(model.encoder) if monitor is not None and is_measured and rank == 0 else None
        history.append({"epoch": epoch, "loss": loss, "spread": collapse, "knn": knn})
        if rank == 0:
            content = {
                "format": FORMAT,
                "spec": spec.model_dump(),
                "encoder": model.encoder.state_dict(),
                "run": run,
                "precision": precision,
                "history": history,
                "model": model.state_dict(),
                "optimiser": optimiser.state_dict(),
            }
            write_checkpoint(out, content)
        elapsed = time.monotonic() - began
        each = (elapsed - setup) / (epoch - resumed_at)
        rate = training.steps * recipe.batch_size / seconds
        if rank == 0:
            progress = Epoch(
                epochs=recipe.epochs,
                images_per_second=rate,
                teraflops=rate * operations / 1e12,
                seconds_left=each * (recipe.epochs - epoch),
                **history[-1],
            )
            listen(progress)
        if minutes is not None and _agreed(elapsed + _MARGIN * each > 60 * minutes, place):
            break
    n_done = len(history) - 1
    return Pretrained(n_done, n_done == recipe.epochs, resumed_at, history)


def _processes() -> tuple[int, int]:
    """Number of this process, and of all that train together."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def _model(spec: EncoderSpec, recipe: Recipe, seed: int, place: torch.device) -> SelfSupervised:
    """The model with its first weights, on the device."""
    encoder = make_encoder(spec, _seed(seed, "encoder"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed(seed, "encoder", 1))
        model = SelfSupervised(encoder, feature_dim(encoder, spec), recipe)
    model = model.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if place.type == "cuda" and _processes()[1] > 1:
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    made: SelfSupervised = model
    return made


class _Training:
    """Takes a model through one epoch after the other.

    Attributes:
        steps: of an epoch.
    """

    def __init__(
        self,
        model: SelfSupervised,
        optimiser: torch.optim.Optimizer,
        recipe: Recipe,
        seed: int,
        pixels: Tensor,
        place: torch.device,
        precision: Precision,
        *,
        compiled: bool,
    ) -> None:
        self.steps = len(pixels) // recipe.batch_size
        self._model, self._optimiser, self._recipe, self._seed = model, optimiser, recipe, seed
        self._pixels, self._place, self._precision = pixels, place, precision
        parallel = nn.parallel.DistributedDataParallel(model) if _processes()[1] > 1 else model
        self._forward = torch.compile(parallel) if compiled else parallel
        self._view = torch.compile(augment) if compiled else augment

    def epoch(self, epoch: int) -> tuple[float, float]:
        """Train one epoch.

        Returns:
            Mean loss, and the spread of the last batch's projections.

        Raises:
            SpecError: the loss is no longer finite.
        """
        recipe, (rank, world) = self._recipe, _processes()
        order = torch.from_numpy(stream(self._seed, "order", epoch).permutation(len(self._pixels)))
        order = order.to(self._pixels.device)
        generator = torch.Generator(self._place).manual_seed(_seed(self._seed, "augmentation", epoch * world + rank))
        self._model.train()
        total, collapse = torch.zeros((), device=self._place), torch.zeros((), device=self._place)
        batches = torch.split(order[: self.steps * recipe.batch_size], recipe.batch_size)
        for step, rows in enumerate(batches):
            batch = self._pixels[rows[rank::world]].to(self._place)
            collapse = self._step((epoch - 1) * self.steps + step, batch, generator, total)
        loss = float(total) / self.steps
        if not math.isfinite(loss):
            raise SpecError(f"Expected a finite loss in epoch {epoch}, but it diverged; lower `lr` ({recipe.lr}).")
        return loss, float(collapse)

    def _step(self, step: int, batch: Tensor, generator: torch.Generator, total: Tensor) -> Tensor:
        """Take one step, counted from the first epoch, and add its loss to the total; the spread of its projections."""
        recipe = self._recipe
        _set_rates(self._optimiser, recipe, step, self.steps)
        views = [
            self._view(batch, draw(len(batch), generator), view, recipe.image_size).contiguous(
                memory_format=torch.channels_last
            )
            for view in (recipe.first, recipe.second)
        ]
        self._optimiser.zero_grad()
        collapse = total
        for first, second in zip(*(view.chunk(recipe.accumulate) for view in views), strict=True):
            with _mixed_precision(self._place, self._precision):
                loss, collapse = self._forward(first, second)
            loss = loss * (len(first) / len(batch))
            loss.backward()
            total += loss.detach()
        self._optimiser.step()
        self._model.move_target(_ema(recipe, step, self.steps))
        return collapse


class _Monitor:
    """kNN accuracy on training images: a bank of some, queried with others. Test data play no part."""

    def __init__(self, of: NDArray[Any], seed: int, pixels: Tensor, size: int, precision: Precision) -> None:
        order = stream(seed, "monitor").permutation(len(of))
        n_queries = min(_QUERIES, len(of) // _LEAST_IMAGES)
        rows = torch.from_numpy(order[: n_queries + _BANK]).to(pixels.device)
        labels = torch.from_numpy(np.unique(of, return_inverse=True)[1])
        self._n_queries = n_queries
        self._rows, self._labels = rows, labels[rows.cpu()]
        self._pixels, self._size, self._precision = pixels, size, precision

    def __call__(self, encoder: nn.Module) -> float:
        parts = []
        place = next(encoder.parameters()).device
        encoder.eval()
        with torch.no_grad(), _mixed_precision(place, self._precision):
            for rows in torch.split(self._rows, _ROWS):
                batch = normalise(_centre(self._pixels[rows].to(place), self._size).float() / 255)
                parts.append(encoder(batch.contiguous(memory_format=torch.channels_last)).float())
        encoder.train()
        features, labels = torch.cat(parts), self._labels.to(place)
        n = self._n_queries
        return knn_accuracy(features[n:], labels[n:], features[:n], labels[:n])


def _pixels(images: Images, image_size: int, place: torch.device, needed: int) -> Tensor:
    """All images, `n x 3 x s x s` uint8: on the device, or in page-locked memory where they and a step do not fit."""
    size = stored_size(image_size)
    shape = (len(images), 3, size, size)
    fits = place.type == "cpu" or math.prod(shape) + needed < _DEVICE_SHARE * torch.cuda.mem_get_info(place)[0]
    pixels = torch.empty(shape, dtype=torch.uint8, device=place if fits else "cpu", pin_memory=not fits)
    for start in range(0, len(images), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(images)))
        pixels[start : start + len(rows)] = torch.from_numpy(images.read(rows, size)).to(pixels.device)
    return pixels


def _centre(pixels: Tensor, size: int) -> Tensor:
    margin = (pixels.shape[-1] - size) // 2
    return pixels[:, :, margin : margin + size, margin : margin + size]


def _optimiser(model: SelfSupervised, recipe: Recipe) -> torch.optim.Optimizer:
    body = [*model.encoder.parameters(), *model.projector.parameters()]
    if recipe.optimiser == "sgd":
        groups = [{"params": body}, {"params": list(model.predictor.parameters())}]
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    weights = [p for p in (*body, *model.predictor.parameters()) if p.ndim > 1]
    others = [p for p in (*body, *model.predictor.parameters()) if p.ndim <= 1]
    lars = vision.load("lightly.utils.lars").LARS
    lars_groups = [{"params": weights, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    made: torch.optim.Optimizer = lars(lars_groups, lr=recipe.lr, momentum=recipe.momentum)
    return made


def _set_rates(optimiser: torch.optim.Optimizer, recipe: Recipe, step: int, steps: int) -> None:
    """Half cosine with a linear rise; SimSiam's predictor, the second group of SGD, keeps its rate."""
    peak = recipe.lr * recipe.batch_size / 256
    schedule = vision.load("lightly.utils.scheduler").cosine_warmup_schedule
    warmup_steps = min(recipe.warmup_epochs, recipe.epochs) * steps
    rate = float(schedule(step, recipe.epochs * steps, peak, 0.0, warmup_steps, 0.0))
    for position, group in enumerate(optimiser.param_groups):
        is_constant = recipe.method == "simsiam" and recipe.optimiser == "sgd" and position == 1
        group["lr"] = peak if is_constant else rate


def _ema(recipe: Recipe, step: int, steps: int) -> float:
    return float(vision.load("lightly.utils.scheduler").cosine_schedule(step, recipe.epochs * steps, recipe.ema, 1.0))


def finished_epochs(out: Path, images: Images, recipe: Recipe, *, seed: int = 0) -> int:
    """How many epochs of a run in one process a checkpoint holds; none where there is no such file.

    Raises:
        CheckpointError: `out` holds another run, as `pretrain` would refuse it.
    """
    return len(_read_run(out, _run(images, recipe, seed, 1))["history"]) - 1 if out.exists() else 0


def _run(images: Images, recipe: Recipe, seed: int, processes: int) -> dict[str, Any]:
    """What a checkpoint says of its run, all of which must agree for it to go on."""
    return {"recipe": recipe.model_dump(mode="json"), "images": images.identity, "seed": seed, "processes": processes}


def _read_run(out: Path, run: dict[str, Any]) -> dict[str, Any]:
    """The checkpoint of an earlier part of a run; refuses that of another one."""
    content = read_checkpoint(out)
    if content.get("format") != FORMAT or "run" not in content:
        raise CheckpointError(f"Expected a checkpoint of `features pretrain` in {out}, but it is another file.")
    since = {"precision": "auto", "accumulate": 1, "temperature": 0.5}
    before = {**content["run"], "recipe": since | content["run"]["recipe"]}
    if before != run:
        differing = ", ".join(_differences(before, run))
        raise CheckpointError(f"Expected {out} to hold this run, but it differs in {differing}. Choose another --out.")
    return content


def _resume(
    out: Path, run: dict[str, Any], model: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[list[dict[str, Any]], Precision]:
    """History and precision of an earlier run; its precision is `auto` where the checkpoint does not say."""
    content = _read_run(out, run)
    model.load_state_dict(content["model"])
    optimiser.load_state_dict(content["optimiser"])
    history: list[dict[str, Any]] = content["history"]
    return history, content.get("precision", "auto")


def _differences(there: dict[str, Any], here: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key in sorted({*there, *here}):
        old, new = there.get(key), here.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, "" if key == "recipe" else f"{key}.")
        elif old != new:
            yield f"{prefix}{key} ({str(old)[:12]} there, {str(new)[:12]} here)"


def _mixed_precision(place: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    return torch.autocast(place.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()


def _agreed(stop: bool, place: torch.device) -> bool:
    """The first process's word, in all processes."""
    if not dist.is_initialized():
        return stop
    word = torch.tensor([int(stop)], device=place)
    dist.broadcast(word, 0)
    return bool(word)


def _seed(seed: int, purpose: Purpose, round_: int = 0) -> int:
    return int(stream(seed, purpose, round_).integers(2**63))
