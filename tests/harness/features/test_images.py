import hashlib
import os
import shutil
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

    def test_every_type_of_text_and_bytes(self, pictures, encoded, tmp_path):
        pixels, labels = pictures
        text, images = [f"c{label}" for label in labels], [encoded(image) for image in pixels]
        identities = set()
        for of_text, of_bytes in (
            (pa.string(), pa.binary()),
            (pa.large_string(), pa.large_binary()),
            (pa.string_view(), pa.binary_view()),
        ):
            table = pa.table({"label": pa.array(text, of_text), "jpg": pa.array(images, of_bytes)})
            pq.write_table(table, tmp_path / "a.parquet")
            found = open_images(Source(str(tmp_path / "a.parquet"))).train
            identities.add(found.identity)
            assert found.labels.tolist() == text
            assert np.array_equal(found.read(rows(3), 16)[0], pixels[3, 2:18].transpose(2, 0, 1))
        assert len(identities) == 1

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

    def test_large_class_numbers_are_kept(self, pictures, encoded, write_parquet):
        pixels, labels = pictures
        large = pa.array([2**63 + int(label) for label in labels], pa.uint64())
        found = open_images(Source(str(write_parquet("large", [encoded(image) for image in pixels], large))))
        assert set(found.train.labels.tolist()) == {2**63 + 3, 2**63 + 7}

    def test_a_test_file_may_have_one_image_of_a_class(self, picture_files, pictures, encoded, write_parquet):
        path = write_parquet("few", [encoded(image) for image in pictures[0][:2]], pictures[1][:2])
        assert len(open_images(Source(str(picture_files[0]), test=str(path))).test) == 2

    def test_each_row_group_is_read_once(self, pictures, encoded, write_parquet, monkeypatch):
        pixels, labels = pictures
        path = write_parquet("many", [encoded(pixels[row % 40]) for row in range(2560)], np.tile(labels, 64))
        found, count, read = open_images(Source(str(path))).train, [], pq.ParquetFile.read_row_group
        monkeypatch.setattr(pq.ParquetFile, "read_row_group", lambda *a, **k: count.append(a[1]) or read(*a, **k))
        monkeypatch.setattr("joblib.cpu_count", lambda: 16)
        found.read(np.tile(np.arange(0, 256, 16), 64), 16)
        assert len(count) == 16

    @pytest.mark.parametrize("n_cpus", [2, 8])
    def test_large_row_groups_are_read_once_in_order(self, pictures, encoded, tmp_path, monkeypatch, n_cpus):
        pixels, labels = pictures
        content = {"jpg": [encoded(pixels[row % 40]) for row in range(1500)], "label": np.resize(labels, 1500)}
        pq.write_table(pa.table(content), tmp_path / "large.parquet", row_group_size=500)
        count, read = [], pq.ParquetFile.read_row_group
        found = open_images(Source(str(tmp_path / "large.parquet"))).train
        monkeypatch.setattr(pq.ParquetFile, "read_row_group", lambda *a, **k: count.append(a[1]) or read(*a, **k))
        monkeypatch.setattr("joblib.cpu_count", lambda: n_cpus)
        for start in range(0, 1500, 300):
            found.read(np.arange(start, start + 300), 16)
        assert sorted(count) == [0, 1, 2]


class TestPixels:
    """What is in a picture arrives, whatever its form."""

    @staticmethod
    def read(folder, image, size=16, suffix="png", **more):
        for name in "ab":
            (folder / name).mkdir(parents=True, exist_ok=True)
            image.save(folder / name / f"0.{suffix}", **more)
        return open_images(Source(str(folder))).train.read(rows(0), size)[0]

    @pytest.mark.parametrize("suffix", ["png", "tiff"])
    def test_16_bits_become_8(self, tmp_path, suffix):
        from PIL import Image

        grey = np.linspace(0, 65535, 256).reshape(16, 16).astype(np.uint16)
        found = self.read(tmp_path, Image.fromarray(grey), suffix=suffix)
        assert np.array_equal(found, np.tile(grey >> 8, (3, 1, 1)))

    @pytest.mark.parametrize(
        ("pixels", "said"),
        [
            (np.ones((16, 16), np.float32), "pixels are floats"),
            (np.full((16, 16), 65536, np.int32), "pixels go from 65536 to 65536"),
            (np.full((16, 16), -1, np.int32), "pixels go from -1 to -1"),
        ],
    )
    def test_numbers_without_a_range_are_refused(self, tmp_path, pixels, said):
        from PIL import Image

        with pytest.raises(DataError, match=rf"an image in .*a/0\.tiff, but cannot read it: its {said}"):
            self.read(tmp_path, Image.fromarray(pixels), suffix="tiff")

    def test_a_photo_is_turned_as_it_says(self, tmp_path):
        from PIL import Image

        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned by 90 degrees clockwise
        left_is_white = np.repeat(np.where(np.arange(16) < 8, 255, 0).astype(np.uint8)[None], 16, 0)
        found = self.read(tmp_path, Image.fromarray(left_is_white), exif=exif)
        assert (found[:, :8] == 255).all()
        assert (found[:, 8:] == 0).all()

    @pytest.mark.parametrize("turned", [False, True])
    def test_a_narrow_picture_takes_little_memory(self, tmp_path, monkeypatch, turned):
        from PIL import Image

        shown = np.zeros((1, 8000), np.uint8)
        shown[0, 4000:] = 200
        sizes, resize = [], Image.Image.resize
        monkeypatch.setattr(Image.Image, "resize", lambda *a, **k: sizes.append(a[1]) or resize(*a, **k))
        found = self.read(tmp_path, Image.fromarray(shown.T if turned else shown), 64)
        found = found.transpose(0, 2, 1) if turned else found
        assert sizes == [(64, 64)]
        assert (np.diff(found[0, 0].astype(int)) > 0).all()
        assert np.ptp(found[0, 0] + found[0, 0, ::-1]) <= 1  # half of it is dark

    def test_too_little_memory_is_a_line(self, tmp_path, monkeypatch):
        from PIL import Image

        def no_memory(*_):
            raise MemoryError

        monkeypatch.setattr(Image.Image, "convert", no_memory)
        with pytest.raises(DataError, match=r"an image in .*0\.png, but cannot read it: MemoryError"):
            self.read(tmp_path, Image.new("RGB", (16, 16)))


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

    def test_identity_is_that_of_paths_classes_and_content(self, folder):
        def identity():
            return open_images(Source(str(folder))).identity

        whole = identity()
        one, other = (next((folder / "train" / name).iterdir()) for name in ("class3", "class7"))
        for path in (one, other):
            os.utime(path)
        assert identity() == whole
        moved = one.rename(folder / "train/class7" / one.name)
        assert identity() != whole
        moved.rename(one)
        assert identity() == whole
        mine, yours = one.read_bytes(), other.read_bytes()
        one.write_bytes(yours)
        other.write_bytes(mine)
        assert identity() != whole

    def test_a_subset_of_a_folder_reads_its_own_files_only(self, folder):
        limited = open_images(Source(str(folder), limit=10)).train
        before = limited.identity
        for path in (folder / "train").rglob("*.png"):
            if str(path) not in map(limited.called, range(10)):
                path.unlink()
        limited.__dict__.pop("identity")
        assert limited.identity == before

    def test_names_need_not_be_text(self, folder):
        odd = next((folder / "train/class3").iterdir())
        odd.rename(odd.with_name(os.fsdecode(b"\xe9.png")))
        assert open_images(Source(str(folder))).identity
        (folder / "train/class3").rename(folder / "train" / os.fsdecode(b"caf\xe9"))
        with pytest.raises(DataError, match=r"names of classes in UTF-8 in .*, but got 'caf\\udce9'; rename it"):
            open_images(Source(str(folder)))

    def test_what_is_hidden_is_no_image(self, folder):
        image = next((folder / "train/class3").iterdir()).read_bytes()
        (folder / "train/class3/.cache").mkdir()
        (folder / "train/class3/.cache/a.png").write_bytes(image)
        (folder / "train/class3/._a.png").write_bytes(image)
        assert len(open_images(Source(str(folder))).train) == 30

    def test_a_link_to_a_folder_is_refused(self, folder):
        (folder / "train/class3/more").symlink_to(folder / "val/class3")
        with pytest.raises(DataError, match="but `more` is a link to a folder"):
            open_images(Source(str(folder)))

    def test_other_test_images_are_used_or_refused(self, folder, picture_files, tmp_path):
        assert len(open_images(Source(str(folder), test=str(folder / "train"))).test) == 30
        assert len(open_images(Source(str(folder), test=str(picture_files[0]))).test) == 40
        with pytest.raises(DataError, match=r"Expected a readable Parquet file in .*nothere"):
            open_images(Source(str(folder), test=str(tmp_path / "nothere")))
        with pytest.raises(DataError, match="Expected --test beside images of your own only, because digits has"):
            open_images(Source("digits", test=str(folder)))

    def test_test_images_outside_of_class_folders_are_refused(self, folder):
        shutil.copy(next((folder / "val").glob("*/*.png")), folder / "val/new.png")
        for source in (Source(str(folder)), Source(str(folder / "train"), test=str(folder / "val"))):
            with pytest.raises(DataError, match=r"per class in .*/val, but got pictures outside .*, as `new\.png`"):
                open_images(source)

    def test_a_corrupt_image_is_named_by_its_file(self, folder):
        path = sorted((folder / "train/class3").iterdir())[4]
        path.write_bytes(path.read_bytes()[:100])
        for images in (open_images(Source(str(folder))), open_images(Source(str(folder), limit=29))):
            with pytest.raises(DataError, match=rf"an image in {path}, but cannot read it"):
                images.train.read(np.arange(len(images.train)), 16)

    def test_a_folder_without_class_folders_is_refused(self, tmp_path):
        with pytest.raises(DataError, match="Expected a folder per class in"):
            open_images(Source(str(tmp_path)))

    @pytest.mark.parametrize("names", [("Train", "Test"), ("training", "validation"), ("train", "val")])
    def test_splits_are_not_taken_for_classes(self, folder, names):
        for old, new in zip(("train", "val"), names, strict=True):
            (folder / old).rename(folder / new)
        with pytest.raises(DataError, match=r"got only .*, which are names of splits; give the folders"):
            open_images(Source(str(folder), test=str(folder) if names[0] == "train" else None))
        found = open_images(Source(str(folder / names[0]), test=str(folder / names[1])))
        assert (len(found.train), len(found.test)) == (30, 10)

    def test_a_class_may_be_called_train(self, folder):
        (folder / "train/class3").rename(folder / "train/train")
        assert set(open_images(Source(str(folder / "train"))).train.labels) == {"train", "class7"}

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


class TestUnlabelled:
    """A pool of images without labels, called by their names."""

    NAMES = ("Zebra.PNG", "a b/é ü.png", "a b/c/10.TIFF", "a b.png", "a b/2.Png", 'x,y "z"/#1.tif')

    @pytest.fixture
    def folder(self, pictures, tmp_path):
        from PIL import Image

        for name, image in zip(self.NAMES, pictures[0], strict=False):
            path = tmp_path / "my pool" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
        (tmp_path / "my pool/notes.txt").write_text("no picture")
        (tmp_path / "my pool/paper.pdf").write_bytes(b"%PDF-")
        return tmp_path / "my pool"

    @staticmethod
    def opened(path, **more):
        return open_images(Source(str(path), unlabelled=True, **more))

    def test_all_images_below_a_folder_are_called_by_their_paths(self, folder, pictures):
        found = self.opened(folder)
        assert (found.name, found.test, found.train.labels) == ("my pool", None, None)
        assert found.train.names.tolist() == sorted(self.NAMES)
        for row, name in enumerate(found.train.names):
            expected = pictures[0][self.NAMES.index(name), 2:18].transpose(2, 0, 1)
            assert np.array_equal(found.train.read(rows(row), 16)[0], expected)

    def test_what_is_hidden_is_left_out_and_links_are_as_in_class_folders(self, folder):
        (folder / ".cache").mkdir()
        for hidden in (".cache/a.png", "a b/._a.png"):
            (folder / hidden).write_bytes((folder / "a b.png").read_bytes())
        (folder / "link.png").symlink_to(folder / "a b.png")
        assert self.opened(folder).train.names.tolist() == sorted([*self.NAMES, "link.png"])
        (folder / "more").symlink_to(folder / "a b")
        with pytest.raises(DataError, match="but `more` is a link to a folder"):
            self.opened(folder)

    def test_identity_is_that_of_paths_and_content(self, folder):
        before = self.opened(folder).identity
        os.utime(folder / "a b.png")
        assert self.opened(folder).identity == before
        (folder / "a b.png").rename(folder / "b.png")
        assert self.opened(folder).identity != before

    def test_a_subset_has_its_own_names(self, folder):
        whole, some = self.opened(folder).train, self.opened(folder, limit=3).train
        assert (len(some), len(some.names), some.labels) == (3, 3, None)
        for row, name in enumerate(some.names):
            there = whole.names.tolist().index(name)
            assert np.array_equal(some.read(rows(row), 16), whole.read(rows(there), 16))
        assert some.identity != whole.identity

    def test_a_name_that_is_no_text_is_refused(self, folder):
        (folder / "a b.png").rename(folder / os.fsdecode(b"caf\xe9.png"))
        with pytest.raises(DataError, match=r"names in UTF-8 in .*, but got 'caf\\udce9.png'; rename it"):
            self.opened(folder)

    def test_a_folder_without_images_is_refused(self, tmp_path):
        (tmp_path / "notes.txt").touch()
        with pytest.raises(DataError, match=r"Expected images in .* but found no file with a suffix of an image"):
            self.opened(tmp_path)

    def test_a_corrupt_image_is_named_by_its_file(self, folder):
        (folder / "a b/c/10.TIFF").write_bytes(b"no picture")
        with pytest.raises(DataError, match=r"an image in .*my pool/a b/c/10\.TIFF, but cannot read it"):
            self.opened(folder).train.read(np.arange(6), 16)

    def test_pictures_outside_of_class_folders_need_the_flag(self, folder):
        with pytest.raises(DataError, match=r"outside of such folders, as `Zebra\.PNG`; .* add --unlabelled"):
            open_images(Source(str(folder)))
        for name in ("Zebra.PNG", "a b.png"):
            (folder / name).unlink()
        assert len(open_images(Source(str(folder))).train) == 4  # the PDF is no picture

    def test_columns_of_parquet(self, pictures, encoded, tmp_path):
        names = [f"é {row}.png" for row in range(40)]
        columns = {"jpg": [encoded(image) for image in pictures[0]], "label": pictures[1]}
        found = []
        for more in ({"name": names, "label": [None] * 40}, {"name": names[::-1]}, {}):
            pq.write_table(pa.table(columns | more), tmp_path / "a.parquet", row_group_size=16)
            found.append(self.opened(tmp_path / "a.parquet").train)
            assert np.array_equal(found[-1].read(rows(20), 16)[0], pictures[0][20, 2:18].transpose(2, 0, 1))
        assert (found[0].names.tolist(), found[1].names.tolist()) == (names, names[::-1])
        assert (found[2].names, found[0].labels, found[2].labels) == (None, None, None)
        found.append(open_images(Source(str(tmp_path / "a.parquet"))).train)
        assert len({images.identity for images in found}) == 4

    @pytest.mark.parametrize(
        ("names", "said"),
        [
            (["a.png", "b.png", "a.png"], "names that differ in .*, but got `a.png` 2 times"),
            (["a.png", None, "c.png"], "a name in every row of `name` of .* 1 missing, the first in row 1"),
            ([], "Expected images in .*, but got no rows"),
        ],
    )
    def test_names_in_parquet_are_checked(self, pictures, encoded, tmp_path, names, said):
        images = [encoded(image) for image in pictures[0][: len(names)]]
        table = pa.table({"jpg": pa.array(images, pa.binary()), "name": pa.array(names, pa.string())})
        pq.write_table(table, tmp_path / "odd.parquet")
        with pytest.raises(DataError, match=said):
            self.opened(tmp_path / "odd.parquet")

    def test_a_missing_image_column_is_named(self, picture_files):
        with pytest.raises(
            DataError, match=r"Expected the column png .* but got jpg, label\. Name it with --image-col"
        ):
            self.opened(picture_files[0], image_column="png")

    @pytest.mark.parametrize(
        ("more", "said"),
        [
            ({"data": "digits"}, "images of your own with --unlabelled, but got `digits`, whose images have labels"),
            ({"data": "cifar10"}, "but got `cifar10`, whose images have labels"),
            ({"test": "x.parquet"}, "without --test and --label-column, .* but got `--test x.parquet`; leave it out"),
            ({"label_column": "label"}, "but got `--label-column label`; leave it out"),
        ],
    )
    def test_labels_are_not_asked_for(self, more, said):
        with pytest.raises(DataError, match=said):
            Source(**{"data": "photos", "unlabelled": True, **more})


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


def test_identities_stay_what_they_are(tmp_path):
    """Checkpoints and feature files are up to date by them."""
    contents = [bytes([row]) * row for row in range(12)]
    for row, content in enumerate(contents):
        path = tmp_path / "set" / ("train" if row < 8 else "val") / f"class {row % 2}" / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for name, labels in (("a", [row % 2 for row in range(12)]), ("b", [f"é{row % 2}" for row in range(12)])):
        table = pa.table({"jpg": pa.array(contents, pa.binary()), "label": labels})
        pq.write_table(table, tmp_path / f"{name}.parquet", row_group_size=5)
    for name, *expected in (
        ("digits", "db593bd9", "82929203"),
        ("set", "5b9a410e", "5867729a"),
        ("a.parquet", "1e5bb68b", "3fd326a3"),
        ("b.parquet", "8fa016e3", "2c400e2d"),
    ):
        data = name if name == "digits" else str(tmp_path / name)
        assert [open_images(Source(data, limit=limit)).identity[:8] for limit in (None, 4)] == expected


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
