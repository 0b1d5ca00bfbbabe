import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.data import load_dataset
from harness.exceptions import DataError, PackageError
from harness.features import extract as module
from harness.features.augmentation import normalise
from harness.features.checkpoints import load_encoder
from harness.features.extract import extract
from harness.features.files import read_about
from harness.features.images import ImageSet, Source, open_images
from harness.unlabelled import load_pool


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 16)


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("untrained", backbone="wrn10_1", image_size=16)


@pytest.fixture
def images(picture_files):
    return open_images(Source(str(picture_files[0]), test=str(picture_files[1])))


def stop_after(n):
    def listen(chunk):
        if chunk.done >= n:
            raise KeyboardInterrupt

    return listen


def test_features_are_those_of_the_encoder(images, encoder, tmp_path):
    done = extract(images, encoder, tmp_path / "f.npz")
    assert (done.computed, done.found) == (50, 0)
    data = load_dataset(str(tmp_path / "f.npz"))
    assert data.class_names == ("3", "7")
    with torch.no_grad():
        expected = encoder.encoder(normalise(torch.from_numpy(images.test.read(np.arange(10), 16)).float() / 255))
    assert np.allclose(data.x_test, expected.numpy(), atol=1e-5)


def test_an_interrupted_extraction_goes_on_and_ends_the_same(images, encoder, tmp_path):
    whole = extract(images, encoder, tmp_path / "whole.npz").fields
    with pytest.raises(KeyboardInterrupt):
        extract(images, encoder, tmp_path / "f.npz", listen=stop_after(32))
    assert not (tmp_path / "f.npz").exists()
    done = extract(images, encoder, tmp_path / "f.npz")
    assert (done.found, done.computed) == (32, 18)
    assert all(np.array_equal(one, other) for one, other in zip(done.fields, whole, strict=True))
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.parametrize("damage", ["cut", "changed", "zeros at the end"])
def test_a_damaged_chunk_is_made_again(images, encoder, tmp_path, damage):
    whole = extract(images, encoder, tmp_path / "whole.npz").fields
    with pytest.raises(KeyboardInterrupt):
        extract(images, encoder, tmp_path / "f.npz", listen=stop_after(32))
    part = sorted((tmp_path / ".f.npz.parts").rglob("train-*"))[0]
    content = part.read_bytes()
    middle = len(content) // 2
    changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    zeros = content[: len(content) - 512] + bytes(512)
    part.write_bytes({"cut": content[:200], "changed": changed, "zeros at the end": zeros}[damage])
    done = extract(images, encoder, tmp_path / "f.npz")
    assert (done.found, done.computed) == (16, 34)
    assert all(np.array_equal(one, other) for one, other in zip(done.fields, whole, strict=True))


@pytest.mark.parametrize("content", [b"", b"PK not a zip", b"\x93NUMPY"])
def test_a_chunk_that_is_something_else_is_made_again(images, encoder, tmp_path, content):
    with pytest.raises(KeyboardInterrupt):
        extract(images, encoder, tmp_path / "f.npz", listen=stop_after(32))
    sorted((tmp_path / ".f.npz.parts").rglob("train-*"))[0].write_bytes(content)
    assert extract(images, encoder, tmp_path / "f.npz").found == 16


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
@pytest.mark.parametrize("damage", ["empty", "cut", "changed"])
def test_a_damaged_feature_file_is_made_again(images, encoder, tmp_path, suffix, damage):
    path = tmp_path / f"f.{suffix}"
    extract(images, encoder, path)
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2 : len(whole) // 2 + 4] = b"\xff\xff\xff\xff"  # NaN, or a wrong checksum
    path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "changed": bytes(changed)}[damage])
    assert extract(images, encoder, path).computed == 50
    assert load_dataset(str(path)).class_names == ("3", "7")


@pytest.mark.parametrize(
    ("train", "test", "name", "said"),
    [
        (["a", "b"] * 20, ["a"] * 10, "f.safetensors", "Expected integer labels for .*f.safetensors"),
        (["a", "b"] * 20, ["c"] * 10, "f.npz", "Expected only classes of y_train"),
        (["a"] * 20 + ["b"] * 19 + ["c"], None, "f.npz", "large enough to hold out a fifth"),
        (["a"] * 40, ["a"] * 10, "f.npz", "at least 2 classes"),
    ],
)
def test_labels_are_checked_before_any_work(images, encoder, tmp_path, train, test, name, said):
    wrong = ImageSet(
        "wrong",
        replace(images.train, labels=np.array(train)),
        None if test is None else replace(images.test, labels=np.array(test)),
    )
    with pytest.raises(DataError, match=said):
        extract(wrong, encoder, tmp_path / name, listen=stop_after(0))


def test_the_same_again_computes_nothing(images, encoder, tmp_path):
    extract(images, encoder, tmp_path / "f.npz")
    assert extract(images, encoder, tmp_path / "f.npz").computed == 0


@pytest.mark.parametrize("changed", ["weights", "images", "dtype"])
def test_what_changes_the_features_makes_them_again(images, encoder, tmp_path, changed):
    extract(images, encoder, tmp_path / "f.npz")
    if changed == "weights":
        encoder = load_encoder("untrained", backbone="wrn16_1", image_size=16)
    elif changed == "images":
        images = type(images)(images.name, images.train.sample(20), images.test)
    done = extract(images, encoder, tmp_path / "f.npz", dtype="float16" if changed == "dtype" else "float32")
    assert done.found == 0
    assert done.computed > 0


def test_without_test_images_a_fifth_of_each_class_is_held_out(picture_files, encoder, tmp_path):
    fields = extract(open_images(Source(str(picture_files[0]))), encoder, tmp_path / "f.npz").fields
    assert np.unique(fields.y_test, return_counts=True)[1].tolist() == [4, 4]
    assert len(fields.x_train) == 32


def test_safetensors_are_read_back_with_their_note(images, encoder, tmp_path):
    extract(images, encoder, tmp_path / "f.npz")
    extract(images, encoder, tmp_path / "f.safetensors")
    one, other = (load_dataset(str(tmp_path / name)) for name in ("f.npz", "f.safetensors"))
    assert one.content_hash == other.content_hash
    assert read_about(tmp_path / "f.npz") == read_about(tmp_path / "f.safetensors")


def test_a_corrupt_image_leaves_no_feature_file(pictures, encoded, write_parquet, encoder, tmp_path):
    contents = [encoded(image) for image in pictures[0]]
    contents[35] = contents[35][:60]
    path = write_parquet("bad", contents, pictures[1])
    with pytest.raises(DataError, match="row 35"):
        extract(open_images(Source(str(path))), encoder, tmp_path / "f.npz")
    assert not (tmp_path / "f.npz").exists()


@pytest.mark.parametrize("name", ["f.csv", "f", "."])
def test_other_suffixes_are_refused_before_any_work(images, encoder, tmp_path, name):
    with pytest.raises(DataError, match=r"ends in \.npz or \.safetensors"):
        extract(images, encoder, tmp_path / name, listen=stop_after(0))


def test_without_its_package_a_safetensors_is_refused_before_any_work(images, encoder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(PackageError, match=r"the package safetensors, which .*f\.safetensors needs, but it is missing"):
        extract(images, encoder, tmp_path / "f.safetensors", listen=stop_after(0))


@pytest.fixture
def pool(pictures, encoded, tmp_path):
    """The images of 40 files in folders that are no classes."""
    for row, image in enumerate(pictures[0]):
        path = tmp_path / "my pool" / ["", "sub folder", "é/ü"][row % 3] / f"{row}.PNG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(image))
    return open_images(Source(str(tmp_path / "my pool"), unlabelled=True))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_images_without_labels_become_a_pool(pool, encoder, tmp_path, dtype):
    done = extract(pool, encoder, tmp_path / "pool.npz", dtype=dtype)
    assert (done.computed, done.found) == (40, 0)
    with np.load(tmp_path / "pool.npz", allow_pickle=False) as arrays:
        assert sorted(arrays.files) == ["about", "features", "names"]
        assert (arrays["features"].dtype, arrays["names"].dtype.kind) == (dtype, "U")
    found = load_pool(tmp_path / "pool.npz")
    assert found.names == done.fields.names == tuple(pool.train.names)
    assert np.array_equal(found.features, done.fields.features)
    with torch.no_grad():
        pixels = torch.from_numpy(pool.train.read(np.arange(40), 16)).float() / 255
        expected = encoder.encoder(normalise(pixels)).numpy()
    np.testing.assert_allclose(found.features, expected, atol=1e-5 if dtype == "float32" else 1e-2)
    about = read_about(tmp_path / "pool.npz")
    assert (about["images"], about["images_hash"], about["dtype"]) == ("my pool", pool.identity, dtype)


def test_an_interrupted_pool_goes_on_and_ends_the_same(pool, encoder, tmp_path):
    extract(pool, encoder, tmp_path / "whole.npz")
    with pytest.raises(KeyboardInterrupt):
        extract(pool, encoder, tmp_path / "f.npz", listen=stop_after(32))
    assert not (tmp_path / "f.npz").exists()
    done = extract(pool, encoder, tmp_path / "f.npz")
    assert (done.found, done.computed) == (32, 8)
    one, whole = (load_pool(tmp_path / name) for name in ("f.npz", "whole.npz"))
    assert np.array_equal(one.features, whole.features)
    assert [path.name for path in tmp_path.glob(".*")] == []
    again = extract(pool, encoder, tmp_path / "f.npz")
    assert (again.found, again.computed, again.fields.names) == (40, 0, whole.names)
    assert np.array_equal(again.fields.features, whole.features)


def test_a_pool_that_is_damaged_or_of_other_names_is_made_again(pool, encoder, tmp_path):
    out = tmp_path / "f.npz"
    extract(pool, encoder, out)
    damaged = bytearray(out.read_bytes())
    damaged[len(damaged) // 2] ^= 255
    out.write_bytes(damaged)
    assert extract(pool, encoder, out).computed == 40
    (tmp_path / "my pool/0.PNG").rename(tmp_path / "my pool/zero.PNG")
    renamed = open_images(Source(str(tmp_path / "my pool"), unlabelled=True))
    assert extract(renamed, encoder, out).computed == 40
    assert "zero.PNG" in load_pool(out).names


def test_a_pool_in_parquet_may_go_by_its_rows(picture_files, encoder, tmp_path):
    bare = open_images(Source(str(picture_files[0]), unlabelled=True))
    extract(bare, encoder, tmp_path / "pool.npz")
    assert load_pool(tmp_path / "pool.npz").names is None
    labelled = extract(open_images(Source(str(picture_files[0]))), encoder, tmp_path / "pool.npz")
    assert labelled.computed == 40  # the pool is not taken for it


def test_a_pool_is_no_safetensors(pool, encoder, tmp_path):
    with pytest.raises(DataError, match=r"ends in \.npz for --out with --unlabelled, but got .*f\.safetensors"):
        extract(pool, encoder, tmp_path / "f.safetensors", listen=stop_after(0))


def test_a_corrupt_image_leaves_no_pool(pool, encoder, tmp_path):
    (tmp_path / "my pool/sub folder/37.PNG").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"an image in .*sub folder/37\.PNG"):
        extract(pool, encoder, tmp_path / "f.npz")
    assert not (tmp_path / "f.npz").exists()
