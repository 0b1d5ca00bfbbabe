"""The stages of a study before its comparison: an encoder and a feature file, each kept in the study's folder."""

from __future__ import annotations

from pathlib import Path

import torch
import typer

from harness.exceptions import DataError, PackageError
from harness.features.checkpoints import load_encoder, require_source
from harness.features.extract import extract, is_current
from harness.features.images import Source, open_images
from harness.features.parallel import making, processes
from harness.features.pretrain import finished_epochs, pretrain
from studies.features import ChunkLines, EpochLines, describe_encoder
from studies.study import FeatureStage, encoder_path, feature_path


def make_features(data: str, stage: FeatureStage, root: Path | None, out: Path, *, download: bool = False) -> Path:
    """Pre-train an encoder and extract features, or find them done.

    Args:
        data: the images.
        stage: how.
        root: folder of named data sets.
        out: folder of the study; `features/encoder.pt` and `features/DATA.npz` are written there.
        download: let torchvision fetch the images.

    Returns:
        The feature file.

    Raises:
        HarnessError: images or a checkpoint that cannot be read, or of another run.
    """
    recipe = stage.made_recipe()
    if stage.checkpoint is not None:
        require_source(stage.checkpoint, stage.backbone)
    images = open_images(Source(data, root, limit=stage.limit, download=download))
    path = feature_path(data, out)
    with processes("cuda" if torch.cuda.is_available() else "cpu") as place, making(path):
        checkpoint = stage.checkpoint
        if checkpoint is None:
            checkpoint = str(encoder_path(data, out))
            pool = images
            if stage.pretrain_on is not None:
                pool = open_images(Source(stage.pretrain_on, root, download=download))
            epochs = EpochLines()
            epochs.begin(stage.recipe, recipe, len(pool.train), place)
            epochs.end(pretrain(pool.train, recipe, Path(checkpoint), device=place, listen=epochs), Path(checkpoint))
        loaded = load_encoder(checkpoint, backbone=stage.backbone)
        typer.echo(describe_encoder(loaded), err=True)
        chunks = ChunkLines()
        chunks.end(extract(images, loaded, path, device=place, listen=chunks))
    return path


def is_made(data: str, stage: FeatureStage, root: Path | None, out: Path) -> bool:
    """Whether `make_features` would find everything done; reads alone. False where the images are missing.

    Raises:
        HarnessError: a checkpoint that `make_features` would refuse, as one of another run.
    """
    recipe = stage.made_recipe()
    try:
        images = open_images(Source(data, root, limit=stage.limit))
        pool = images if stage.pretrain_on is None else open_images(Source(stage.pretrain_on, root))
    except (DataError, PackageError):
        return False
    checkpoint = stage.checkpoint
    if checkpoint is None:
        checkpoint = str(encoder_path(data, out))
        if finished_epochs(Path(checkpoint), pool.train, recipe) < recipe.epochs:
            return False
    return is_current(feature_path(data, out), images, load_encoder(checkpoint, backbone=stage.backbone))
