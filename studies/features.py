"""Progress of pre-training and extraction on stderr, a line at a time."""

from __future__ import annotations

from pathlib import Path

import typer

from analysis.words import counted
from harness.features.checkpoints import LoadedEncoder
from harness.features.costs import memory_text, warning
from harness.features.extract import Chunk, Extracted
from harness.features.pretrain import COLLAPSED, Epoch, Pretrained
from harness.features.recipes import Recipe
from studies.progress import duration

_MOST_NAMED = 3


class EpochLines:
    """Writes a line per epoch, and one warning when the features collapse."""

    def __init__(self) -> None:
        self._warned = False

    def begin(self, name: str, recipe: Recipe, n_images: int, device: str) -> None:
        """Say what is trained by the recipe of this name, how much memory it takes, and what it is bad for here."""
        typer.echo(
            f"Recipe {name}: {recipe.method}, {recipe.backbone}, {counted(n_images, 'image')} at {recipe.image_size} x "
            f"{recipe.image_size} pixels, {counted(recipe.epochs, 'epoch')}, batches of {recipe.batch_size}.",
            err=True,
        )
        typer.echo(memory_text(recipe, n_images, is_gpu=device == "cuda"), err=True)
        if text := warning(recipe.precision, is_gpu=device == "cuda"):
            typer.echo(text, err=True)

    def __call__(self, epoch: Epoch) -> None:
        """Take notice of an epoch."""
        knn = "" if epoch.knn is None else f"  kNN {epoch.knn:.1%}"
        if epoch.epoch == 0:
            if knn:
                typer.echo(f"untrained{knn}", err=True)
            return
        width = len(str(epoch.epochs))
        typer.echo(
            f"epoch {epoch.epoch:{width}}/{epoch.epochs}  loss {epoch.loss:.4f}  spread {epoch.spread:.2f}{knn}"
            f"  {epoch.images_per_second:,.0f} images/s  {epoch.teraflops:.3g} TFLOP/s"
            f"  about {duration(epoch.seconds_left)} left",
            err=True,
        )
        if epoch.spread < COLLAPSED and not self._warned:
            self._warned = True
            typer.echo(
                f"Warning: the projections collapse: their spread is {epoch.spread:.3f} of 1. All images get nearly "
                "the same features; lower the learning rate or change the recipe.",
                err=True,
            )

    def end(self, done: Pretrained, out: Path) -> None:
        """Say how it ended."""
        last, measured = done.history[-1], [row["knn"] for row in done.history if row["knn"] is not None]
        worth = f"loss {last['loss']:.4f}, spread {last['spread']:.2f}; no kNN is measured without labels"
        if measured:
            worth = f"kNN on training images {measured[0]:.1%} untrained, {measured[-1]:.1%} now"
        how = "finished" if done.finished else "stopped by --minutes, and the same command continues"
        resumed = f", resumed after epoch {done.resumed_at}" if done.resumed_at else ""
        typer.echo(f"{how}: {counted(done.epoch, 'epoch')}{resumed}; {worth}")
        typer.echo(out)


class ChunkLines:
    """Writes a line per chunk of an extraction."""

    def __call__(self, chunk: Chunk) -> None:
        """Take notice of a chunk."""
        typer.echo(
            f"{chunk.done}/{chunk.total} images  {chunk.images_per_second:,.0f} images/s"
            f"  about {duration(chunk.seconds_left)} left",
            err=True,
        )

    def end(self, done: Extracted) -> None:
        """Say how much was there already."""
        typer.echo(f"{counted(done.computed, 'image')} encoded, {done.found} encoded before", err=True)


def describe_encoder(loaded: LoadedEncoder) -> str:
    """What was loaded and what was left out."""
    n = len(loaded.encoder.state_dict())
    text = f"{loaded.spec.backbone} with a {loaded.spec.stem} stem: all {n} tensors from {loaded.source}"
    if loaded.ignored:
        named = ", ".join(loaded.ignored[:_MOST_NAMED])
        more = ", ..." if len(loaded.ignored) > _MOST_NAMED else ""
        text += (
            f"; {len(loaded.ignored)} more in the file do not belong to the encoder and were left out ({named}{more})"
        )
    return text
