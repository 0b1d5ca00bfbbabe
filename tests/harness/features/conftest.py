"""Small images of two classes, as Parquet and as folders, and real ones where they are at hand."""

import importlib.util
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

SHARED = Path(__file__).parents[4] / "shared" / "data"
MISSING = [name for name in ("PIL", "torchvision", "lightly", "safetensors") if importlib.util.find_spec(name) is None]


@pytest.fixture(autouse=True)
def _needs_the_extra():
    if MISSING:
        pytest.skip(f"the extra `features` is not installed: {', '.join(MISSING)}")


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def cifar_root():
    if not (SHARED / "cifar10_train_jpg.parquet").exists():
        pytest.skip(f"no CIFAR-10 in Parquet in {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def encoded():
    """`encoded(pixels)`: the bytes of a PNG."""
    from PIL import Image

    def encode(pixels):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        return buffer.getvalue()

    return encode


@pytest.fixture(scope="session")
def pictures():
    """40 images of 20 x 16 pixels: noise around red (class 3) or blue (class 7)."""
    rng = np.random.default_rng(0)
    labels = np.array([3, 7] * 20)
    pixels = rng.integers(0, 100, (40, 20, 16, 3)).astype(np.uint8)
    pixels[labels == 3, :, :, 0] += 150
    pixels[labels == 7, :, :, 2] += 150
    return pixels, labels


@pytest.fixture
def write_parquet(tmp_path):
    """`write_parquet(name, images, labels)`; images are encoded bytes."""

    def write(name, images, labels, **columns):
        path = tmp_path / f"{name}.parquet"
        table = pa.table({"jpg": pa.array(images, pa.binary()), "label": labels, **columns})
        pq.write_table(table, path, row_group_size=16)
        return path

    return write


@pytest.fixture
def picture_files(pictures, write_parquet, encoded):
    """Parquet files of 40 training and 10 test images."""
    pixels, labels = pictures
    images = [encoded(image) for image in pixels]
    return write_parquet("train", images, labels), write_parquet("test", images[:10], labels[:10])
