import hashlib
from importlib import resources

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.data import load_dataset
from harness.exceptions import DataError
from harness.features.images import IN_TORCHVISION, NAMED, SIZES, Source, count_images, open_images


def rows(*numbers):
    return np.array(numbers)


class TestParquet:
    def test_images_and_labels_come_as_they_were_written(self, picture_files, pictures):
        pixels, labels = pictures
        found = open_images(Source(str(picture_files[0]), test=str(picture_files[1])))
        assert found.name == "train"
        assert found.train.labels.tolist() == labels.tolist()
        assert len(found.test) == 10
        # Row 20 is in the second row group; the middle 16 x 16 of 20 x 16 pixels.
        read = found.train.read(rows(20, 3), 16)
        assert np.array_equal(read, pixels[[20, 3], 2:18].transpose(0, 3, 1, 2))

    def test_other_columns_and_structs_of_bytes(self, pictures, encoded, tmp_path):
        pixels, labels = pictures
        images = [{"bytes": encoded(image), "path": None} for image in pixels]
        pq.write_table(pa.table({"image": images, "fine": [f"c{label}" for label in labels]}), tmp_path / "a.parquet")
        found = open_images(Source(str(tmp_path / "a.parquet"), image_column="image", label_column="fine"))
        assert set(found.train.labels) == {"c3", "c7"}
        assert found.train.read(rows(0), 16).shape == (1, 3, 16, 16)

    def test_a_corrupt_image_is_named_by_its_row(self, pictures, encoded, write_parquet):
        pixels, labels = pictures
        images = [encoded(image) for image in pixels]
        images[17] = images[17][: len(images[17]) // 2]
        found = open_images(Source(str(write_parquet("bad", images, labels)))).train
        with pytest.raises(DataError, match=r"image in row 17 of .*bad\.parquet"):
            found.read(np.arange(40), 16)

    @pytest.mark.parametrize(
        ("column", "complaint"),
        [
            ("kind", "Expected the columns jpg .encoded images. and kind .* but got jpg, label, number, part"),
            ("number", "Expected classes in `number` .* 40 different values in 40 rows"),
            ("part", "Expected labels .integers or strings. in `part` .* double"),
            ("jpg", "Expected labels .integers or strings. in `jpg` .* binary"),
        ],
    )
    def test_a_wrong_label_column_is_refused(self, pictures, encoded, write_parquet, column, complaint):
        pixels, labels = pictures
        path = write_parquet(
            "odd", [encoded(image) for image in pixels], labels, number=np.arange(40), part=np.linspace(0, 1, 40)
        )
        with pytest.raises(DataError, match=complaint):
            open_images(Source(str(path), label_column=column))

    def test_a_wrong_image_column_is_refused(self, picture_files):
        with pytest.raises(DataError, match=r"Expected encoded images \(bytes\) in `label`"):
            open_images(Source(str(picture_files[0]), image_column="label"))

    def test_a_file_cut_off_is_one_line(self, picture_files):
        content = picture_files[0].read_bytes()
        picture_files[0].write_bytes(content[: len(content) // 2])
        with pytest.raises(DataError, match="Expected a readable Parquet file") as caught:
            open_images(Source(str(picture_files[0])))
        assert "\n" not in str(caught.value)

    def test_identity_is_that_of_the_content(self, pictures, encoded, write_parquet):
        pixels, labels = pictures
        images = [encoded(image) for image in pixels]
        one, same = (open_images(Source(str(write_parquet(name, images, labels)))).identity for name in ("a", "b"))
        other = open_images(Source(str(write_parquet("c", [*images[:-1], images[0]], labels)))).identity
        assert one == same != other

    def test_one_split_in_several_files_is_refused(self, pictures, encoded, write_parquet):
        pixels, labels = pictures
        images = [encoded(image) for image in pixels]
        names = ("cifar10_train-0-of-2", "cifar10_train-1-of-2", "cifar10_test")
        root = {write_parquet(name, images, labels).parent for name in names}.pop()
        with pytest.raises(DataError, match=r"one file of each split of cifar10 in .*0-of-2\.parquet, .*1-of-2"):
            open_images(Source("cifar10", root))

    def test_real_cifar10_is_found_by_name(self, cifar_root):
        found = open_images(Source("cifar10", cifar_root, limit=300))
        assert (len(found.train), len(found.test)) == (300, 300)
        assert set(found.train.labels) == set(range(10))
        assert found.train.read(np.arange(300), 32).std() > 40


class TestFolders:
    @pytest.fixture
    def folder(self, pictures, encoded, tmp_path):
        for row, (image, label) in enumerate(zip(*pictures, strict=True)):
            path = tmp_path / "set" / ("train" if row < 30 else "val") / f"class{label}" / f"{row:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(image))
        return tmp_path / "set"

    def test_class_folders_below_train_and_val(self, folder, pictures):
        found = open_images(Source(str(folder)))
        assert (found.name, len(found.train), len(found.test)) == ("set", 30, 10)
        assert set(found.train.labels) == {"class3", "class7"}
        assert np.array_equal(found.train.read(rows(1), 16)[0], pictures[0][2, 2:18].transpose(2, 0, 1))

    def test_larger_sizes_are_resized_then_cut(self, folder):
        assert open_images(Source(str(folder))).train.read(rows(0), 24, 28).shape == (1, 3, 24, 24)

    def test_a_folder_without_class_folders_is_refused(self, tmp_path):
        with pytest.raises(DataError, match="Expected a folder per class in"):
            open_images(Source(str(tmp_path)))

    @pytest.mark.parametrize("name", ["imagenet100", "imagenet100_cmc"])
    def test_imagenet100_wants_all_its_classes(self, name, folder):
        with pytest.raises(DataError, match="100 of 100 classes are missing, such as n01558993"):
            open_images(Source(name, folder))

    def test_imagenet_takes_every_class_folder(self, folder):
        found = open_images(Source("imagenet", folder))
        assert (found.name, len(found.train), len(found.test)) == ("imagenet", 30, 10)

    def test_the_published_classes_of_imagenet100(self):
        # Of the names sorted and joined by spaces: the lists of github.com/wvangansbeke/Unsupervised-Classification,
        # by which the paper splits, and of github.com/HobbitLong/CMC.
        lists = {}
        for name, digest in (("imagenet100", "c16e50fb"), ("imagenet100_cmc", "469d2775")):
            names = resources.files("harness.features").joinpath(f"{name}.txt").read_text().split()
            assert all(name[0] == "n" and name[1:].isdigit() and len(name) == 9 for name in names)
            assert hashlib.sha256(" ".join(sorted(names)).encode()).hexdigest()[:8] == digest
            lists[name] = set(names)
            assert len(lists[name]) == 100
        assert len(lists["imagenet100"] & lists["imagenet100_cmc"]) == 12


class TestNamed:
    def test_digits_are_those_of_the_built_in_features(self):
        found, data = open_images(Source("digits")), load_dataset("digits")
        assert np.array_equal(found.train.labels, data.y_train)
        pixels = found.test.read(np.arange(360), 8)[:, 0].reshape(360, 64)
        assert np.abs(pixels * (16 / 255) - data.x_test).max() < 0.04

    @pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn", "pets"])
    def test_a_missing_set_says_where_and_how(self, name, tmp_path):
        with pytest.raises(
            DataError, match=f"Expected {name} as torchvision keeps it in .*--root, or fetch it with --download"
        ):
            open_images(Source(name, tmp_path))

    def test_a_missing_root_is_named(self, tmp_path):
        with pytest.raises(DataError, match=r"Expected cifar10 in the folder .*nowhere"):
            open_images(Source("cifar10", tmp_path / "nowhere"))

    @pytest.mark.parametrize("name", ["cifar", "missing.parquet", "x.npz"])
    def test_other_names_are_refused(self, name):
        with pytest.raises(DataError, match="Expected images to be one of digits, cifar10"):
            open_images(Source(name))

    def test_a_subset_is_the_same_each_time_and_knows_itself(self):
        whole, one, same = (open_images(Source("digits", limit=limit)).train for limit in (None, 50, 50))
        assert one.labels.tolist() == same.labels.tolist()
        assert one.identity == same.identity != whole.identity
        assert np.array_equal(one.read(np.arange(50), 8), same.read(np.arange(50), 8))


class TestCounts:
    """Numbers of images, without reading them."""

    def test_are_those_of_the_images(self, picture_files):
        both = Source(str(picture_files[0]), test=str(picture_files[1]))
        for source in (Source("digits"), Source("digits", limit=400), Source(str(picture_files[0])), both):
            found = open_images(source)
            assert count_images(source) == (len(found.train), 0 if found.test is None else len(found.test))

    def test_parquet_of_a_named_set(self, pictures, encoded, write_parquet, tmp_path):
        images = [encoded(image) for image in pictures[0]]
        for name in ("svhn_train", "svhn_test"):
            (tmp_path / f"{name}.parquet").write_bytes(write_parquet(name, images, pictures[1]).read_bytes())
        assert count_images(Source("svhn", tmp_path)) == (40, 40)

    @pytest.mark.parametrize("name", [*IN_TORCHVISION, "imagenet"])
    def test_what_is_not_there_is_said_as_by_open_images(self, name, tmp_path):
        for root in (tmp_path, tmp_path / "nothere"):
            for found in (open_images, count_images):
                with pytest.raises(DataError, match=f"Expected .*{name}|ImageNet"):
                    found(Source(name, root))

    def test_every_named_set_has_a_size(self):
        assert set(SIZES) == set(NAMED)

    def test_a_damaged_file_is_one_line(self, tmp_path):
        (tmp_path / "x.parquet").write_bytes(b"PAR1")
        with pytest.raises(DataError, match="Expected a readable Parquet file"):
            count_images(Source(str(tmp_path / "x.parquet")))
