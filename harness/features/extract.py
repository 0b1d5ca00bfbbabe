"""Features of images from a frozen encoder, chunk by chunk: what is done is never done again."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from harness.data import Fields, load_dataset
from harness.exceptions import DataError
from harness.features.augmentation import MEAN, STD, normalise
from harness.features.checkpoints import LoadedEncoder
from harness.features.costs import stored_size
from harness.features.encoders import feature_dim
from harness.features.files import (
    check_labels,
    check_suffix,
    hold_out,
    read_about,
    write_features,
    write_file,
    write_pool,
)
from harness.features.images import Images, ImageSet
from harness.unlabelled import Pool, load_pool

CHUNK = 1024
"""Images between two writes; part of the arithmetic, since batches do not cross it."""

_BATCH = 256
_VERSION = 2


@dataclass(frozen=True)
class Chunk:
    """A step of an extraction.

    Attributes:
        done: images finished, those of earlier runs included.
        total: of all images.
        images_per_second: of this run.
        seconds_left: at that rate.
    """

    done: int
    total: int
    images_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class Extracted:
    """How an extraction ended.

    Attributes:
        fields: features and labels, or a pool without labels.
        found: images whose features were there already.
        computed: images that were encoded.
    """

    fields: Fields | Pool
    found: int
    computed: int


def extract(
    images: ImageSet,
    loaded: LoadedEncoder,
    out: Path,
    *,
    device: Literal["cpu", "cuda"] = "cpu",
    dtype: Literal["float32", "float16"] = "float32",
    listen: Callable[[Chunk], None] = lambda chunk: None,
) -> Extracted:
    """Encode all images in eval mode and write a feature file, or of images without labels a pool for `load_pool`.

    The file is up to date if it was made from the same images, encoder and transform; then nothing is computed. An
    interrupted extraction leaves its chunks in a hidden folder beside the file and goes on from them.

    Args:
        images: what to encode; without test images a fifth of each class is held out.
        loaded: the encoder.
        out: .npz or .safetensors; .npz alone without labels.
        device: where.
        dtype: of the features in the file.
        listen: called after each chunk.

    Raises:
        DataError: an image cannot be decoded, the labels break the contract of a feature file, or the file cannot be
            written.
    """
    y, y_test = images.train.labels, None if images.test is None else images.test.labels
    check_suffix(out, is_pool=y is None)
    about = _about(images, loaded, dtype)
    total = len(images.train) + (0 if images.test is None else len(images.test))
    if is_current(out, images, loaded, dtype=dtype):
        with suppress(DataError):  # of a damaged file, which is made again
            if y is None:
                return Extracted(load_pool(out), total, 0)
            data = load_dataset(str(out))
            return Extracted(Fields(data.x_train, data.y_train, data.x_test, data.y_test), total, 0)

    if y is not None and y_test is not None:
        check_labels(out, y, y_test)
    elif y is not None:
        pool, test = hold_out(y, images.train.where)
        check_labels(out, y[pool], y[test])
    key = hashlib.sha256(json.dumps(_content(about), sort_keys=True).encode()).hexdigest()[:20]
    parts = out.parent / f".{out.name}.parts"
    dim, size = feature_dim(loaded.encoder, loaded.spec), loaded.spec.image_size
    encoder = loaded.encoder.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    began, found, computed = time.monotonic(), 0, 0

    def encode(split: Images, name: str) -> NDArray[Any]:
        nonlocal found, computed
        features = np.empty((len(split), dim), dtype)
        for start in range(0, len(split), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(split)))
            path = parts / key / f"{name}-{start:08d}.npz"
            done = _read_part(path, len(rows), dim)
            if done is None:
                done = _encode(encoder, split.read(rows, size, stored_size(size)), device).astype(dtype)
                buffer = io.BytesIO()
                np.savez(buffer, features=done)
                write_file(path, buffer.getbuffer())
                computed += len(rows)
                rate = computed / (time.monotonic() - began)
                listen(Chunk(found + computed, total, rate, (total - found - computed) / rate))
            else:
                found += len(rows)
            features[rows] = done
        return features

    x = encode(images.train, "train")
    if y is None:
        fields: Fields | Pool = write_pool(out, x, images.train.names, about)
    else:
        if images.test is None or y_test is None:
            fields = Fields(x[pool], y[pool], x[test], y[test])
        else:
            fields = Fields(x, y, encode(images.test, "test"), y_test)
        write_features(out, fields, about)
    shutil.rmtree(parts, ignore_errors=True)
    return Extracted(fields, found, computed)


def is_current(
    out: Path, images: ImageSet, loaded: LoadedEncoder, *, dtype: Literal["float32", "float16"] = "float32"
) -> bool:
    """Whether a feature file is there that `extract` would find done."""
    there = read_about(out)
    content = _content(_about(images, loaded, dtype))
    return {name: there.get(name) for name in content} == content


def _about(images: ImageSet, loaded: LoadedEncoder, dtype: str) -> dict[str, Any]:
    """The note in a feature file."""
    size = loaded.spec.image_size
    about = {
        "made_by": "ntkcpl features extract",
        "version": _VERSION,
        "images": images.name,
        "images_hash": images.identity,
        "encoder": loaded.source,
        "encoder_hash": loaded.identity,
        "transform": {"resize": stored_size(size), "crop": size, "mean": MEAN, "std": STD},
        "dtype": dtype,
    }
    plain: dict[str, Any] = json.loads(json.dumps(about))
    return plain


def _content(about: dict[str, Any]) -> dict[str, Any]:
    """The parts of a note that must be equal for features to be equal: all but names and places."""
    return {name: value for name, value in about.items() if name not in ("images", "encoder")}


@torch.inference_mode()
def _encode(encoder: nn.Module, pixels: NDArray[np.uint8], device: str) -> NDArray[np.float32]:
    features = []
    for batch in torch.split(torch.from_numpy(pixels), _BATCH):
        inputs = normalise(batch.to(device).float() / 255).contiguous(memory_format=torch.channels_last)
        features.append(encoder(inputs).float().cpu())
    return torch.cat(features).numpy()


def _read_part(path: Path, n: int, dim: int) -> NDArray[Any] | None:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            part: NDArray[Any] = arrays["features"]  # reading compares the checksum
        return part if part.shape == (n, dim) else None
    except Exception:  # the reader raises errors of many types on a damaged file
        return None
