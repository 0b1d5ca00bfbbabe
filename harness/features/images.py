"""Image sets: torchvision's, a folder of class folders or of pictures, bytes in Parquet, scikit-learn's digits."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.columns import plain, read_columns
from harness.data import load_dataset
from harness.exceptions import DataError, PackageError, one_line, reason
from harness.features import vision
from harness.streams import stream
from harness.unlabelled import NAME, check_names, name_values
from strategies.base import IndexArray
from strategies.exceptions import did_you_mean

SMALLEST_CLASS = 2
"""Images a class must have on average; a label column with fewer is taken for something else."""

_NARROW = 16
"""Of an image whose sides differ by a larger factor, only the square is resized; the last bits may then differ."""
_LARGEST_8_BIT, _LARGEST_16_BIT = 255, 65535
_SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation"}
_TASK = 64
"""Images that one thread decodes before it takes the next ones."""


@dataclass(frozen=True, eq=False)
class Images:
    """The images of one split, decoded when they are read.

    Attributes:
        n: how many.
        labels: the class of each, `n` integers or strings; for monitoring and for the feature file. None of a pool
            without labels.
        open: the image (Pillow) in a row.
        where: what messages call the source.
        content: hash of the images, and of their labels or names, in some rows, or in all if None.
        called: what messages call the image in a row.
        names: of a pool without labels what each is called, such as its path; None if they go by their rows.
    """

    n: int
    labels: NDArray[Any] | None
    open: Callable[[int], Any]
    where: str
    content: Callable[[IndexArray | None], str]
    called: Callable[[int], str]
    names: NDArray[np.str_] | None = None

    @cached_property
    def identity(self) -> str:
        """Hash of the content: equal for equal images in equal order."""
        return self.content(None)

    def __len__(self) -> int:
        return self.n

    def read(self, rows: IndexArray, size: int, resize: int | None = None) -> NDArray[np.uint8]:
        """Decode images.

        Args:
            rows: which.
            size: pixels a side of the square that is cut from the middle.
            resize: pixels of the shorter side before that; `size` if None.

        Returns:
            `n x 3 x size x size`, RGB.

        Raises:
            DataError: an image cannot be decoded.
        """
        out = np.empty((len(rows), 3, size, size), np.uint8)

        def fill(start: int) -> None:
            for position in range(start, min(start + _TASK, len(rows))):
                out[position] = self._square(int(rows[position]), size, resize or size).transpose(2, 0, 1)

        with ThreadPoolExecutor(joblib.cpu_count()) as pool:
            list(pool.map(fill, range(0, len(rows), _TASK)))
        return out

    def sample(self, n: int | None) -> Images:
        """A fixed random subset of `n` images in their order; all of them if there are no more, or if `n` is None."""
        if n is None or n >= len(self):
            return self
        rows = np.sort(stream(0, "subset").permutation(len(self))[:n])
        return replace(
            self,
            n=n,
            labels=None if self.labels is None else self.labels[rows],
            names=None if self.names is None else self.names[rows],
            open=lambda row: self.open(int(rows[row])),
            content=lambda inner: self.content(rows if inner is None else rows[inner]),
            called=lambda row: self.called(int(rows[row])),
        )

    def _square(self, row: int, size: int, resize: int) -> NDArray[np.uint8]:
        try:
            image = as_rgb(self.open(row))
            width, height = image.size
            ratio = resize / min(width, height)
            whole = max(resize, round(width * ratio)), max(resize, round(height * ratio))
            left, top = (whole[0] - size) // 2, (whole[1] - size) // 2
            # 2 is Pillow's bilinear filter, which covers all source pixels when it shrinks.
            if max(whole) > _NARROW * resize:  # the whole would be large
                x, y = width / whole[0], height / whole[1]
                box = left * x, top * y, min((left + size) * x, width), min((top + size) * y, height)
                return np.asarray(image.resize((size, size), 2, box=box))
            if min(width, height) != resize:
                image = image.resize(whole, 2)
            return np.asarray(image.crop((left, top, left + size, top + size)))
        except Exception as error:  # Pillow raises errors of many types on damaged bytes
            raise DataError(
                f"Expected an image in {self.called(row)}, but cannot read it: {reason(error)[:160]}. Remove it or "
                "write it again."
            ) from error


def as_rgb(image: Any) -> Any:
    """An image (Pillow) of any mode in RGB with 8 bits, turned as its EXIF data say.

    Raises:
        ValueError: its numbers have no known range.
    """
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("its pixels are floats, and only those of 8 or 16 bits have a known range")
    if image.mode.startswith("I"):
        pixels = np.asarray(image)
        if pixels.min() < 0 or pixels.max() > _LARGEST_16_BIT:
            raise ValueError(f"its pixels go from {pixels.min()} to {pixels.max()}, which is more than 16 bits hold")
        if 0 < pixels.max() <= _LARGEST_8_BIT:
            raise ValueError(f"its pixels of 16 bits go to {pixels.max()} only, which is black; save them with 8 bits")
        image = Image.fromarray((pixels >> 8).astype(np.uint8))
    return image.convert("RGB")


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images to pre-train on and to extract features of.

    Attributes:
        name: of the data set.
        train: the pool.
        test: the test data; None where the source has none.
    """

    name: str
    train: Images
    test: Images | None

    @cached_property
    def identity(self) -> str:
        """Hash of the content of both splits."""
        return _hash(*(split.identity.encode() for split in (self.train, self.test) if split is not None))


@dataclass(frozen=True)
class Source:
    """Where images are.

    Attributes:
        data: a name in `NAMED`, a Parquet file, or a folder with a folder per class, or with `train/` and `test/`;
            without labels a Parquet file, or a folder with images at any depth.
        root: folder that holds a named data set.
        test: Parquet file or folder of test images, where `data` has none.
        image_column: of a Parquet file.
        label_column: of a Parquet file; `label` if None.
        limit: read a fixed random subset of this many training images, and of test images.
        download: let torchvision fetch a named data set.
        unlabelled: whether the images are a pool without labels.

    Raises:
        DataError: labels, or images that have some, are asked for beside `unlabelled`.
    """

    data: str
    root: Path | None = None
    test: str | None = None
    image_column: str = "jpg"
    label_column: str | None = None
    limit: int | None = None
    download: bool = False
    unlabelled: bool = False

    def __post_init__(self) -> None:
        given = {"--test": self.test, "--label-column": self.label_column}
        found = [f"{name} {value}" for name, value in given.items() if value is not None]
        if self.unlabelled and self.data in NAMED:
            raise DataError(
                f"Expected images of your own with --unlabelled, but got `{self.data}`, whose images have labels; name "
                "a folder or a Parquet file, or leave out --unlabelled."
            )
        if self.unlabelled and found:
            raise DataError(
                f"Expected --unlabelled without {' and '.join(given)}, because no labels are read, but got "
                f"`{found[0]}`; leave it out."
            )


def open_images(source: Source) -> ImageSet:
    """Find images and read their labels.

    Raises:
        DataError: they are not where they are looked for, or are something else.
        PackageError: the extra `features` is not installed.
    """
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise PackageError(
            "Expected Pillow, but it is missing. Install it with `pip install -c constraints.txt -e '.[features]'`."
        ) from error
    if source.data in NAMED:
        if source.test is not None:
            raise DataError(
                f"Expected --test beside images of your own only, because {source.data} has test images, but got "
                f"`{source.test}`; leave it out."
            )
        found = NAMED[source.data](source)
    elif Path(source.data).is_dir():
        folder = Path(source.data)
        if source.unlabelled:
            found = ImageSet(folder.absolute().name, _unlabelled_folder(folder), None)
        else:
            found = _folder_set(source, folder)
    elif Path(source.data).suffix == ".parquet" and Path(source.data).exists():
        train = _parquet(source, Path(source.data))
        test = None if source.test is None else _test_images(source)
        found = ImageSet(Path(source.data).stem, train, test)
    else:
        wanted = f"one of {', '.join(NAMED)}, a Parquet file or a folder with a folder per class"
        if source.unlabelled:
            wanted = "a Parquet file or a folder"
        raise DataError(
            f"Expected images to be {wanted}, but got `{source.data}`, which is none of them"
            f"{'' if Path(source.data).exists() else ' and does not exist'}."
            + ("" if source.unlabelled else did_you_mean(source.data, NAMED))
        )
    return replace(found, train=found.train.sample(source.limit), test=found.test and found.test.sample(source.limit))


def count_images(source: Source) -> tuple[int, int]:
    """Numbers of training and test images that lie there, without torch and, where that can be, without reading them.

    Files in torchvision's form are looked for, and neither read nor fetched. Without test images the second number is
    0.

    Raises:
        DataError, PackageError: as `open_images`, but for what only shows in the content.
    """
    if source.data in IN_TORCHVISION:
        root = _root(replace(source, download=False))
        if pair := _parquet_pair(root, source.data):
            counts = _rows(source, pair[0]), _rows(source, pair[1])
        else:
            missing = [name for name in IN_TORCHVISION[source.data] if not (root / name).exists()]
            if missing:
                raise _incomplete(source.data, root, f"there is no {missing[0]}")
            counts = SIZES[source.data]
    elif source.data == "digits":
        counts = SIZES["digits"]
    elif Path(source.data).suffix == ".parquet" and Path(source.data).is_file() and source.test is None:
        counts = _rows(source, Path(source.data)), 0
    else:
        found = open_images(source)
        return len(found.train), 0 if found.test is None else len(found.test)
    return limited(counts, source.limit)


def limited(counts: tuple[int, int], limit: int | None) -> tuple[int, int]:
    """Numbers of images of the two splits with at most `limit` of each."""
    return counts if limit is None else (min(counts[0], limit), min(counts[1], limit))


def _rows(source: Source, path: Path) -> int:
    try:
        metadata = pq.read_metadata(path)
    except Exception:  # pyarrow raises errors of many types on a damaged file, and this says which it is
        return len(_parquet(source, path))
    return int(metadata.num_rows)


def _incomplete(name: str, root: Path, found: str) -> DataError:
    also = f", nor {name}_train*.parquet and {name}_test*.parquet" if name in _IN_PARQUET else ""
    return DataError(
        f"Expected {name} as torchvision keeps it in {root}{also}, but it is not complete there ({found}). Give its "
        "folder with --root, or fetch it with --download."
    )


def _digits(source: Source) -> ImageSet:
    """scikit-learn's handwritten digits, 8 x 8 grey values; the same split as the built-in features."""
    from PIL import Image

    data = load_dataset("digits")

    def split(x: NDArray[np.float32], y: IndexArray) -> Images:
        pixels = (x.reshape(-1, 8, 8) * (255 / 16)).round().astype(np.uint8)
        digest = _hash(pixels.tobytes(), y.tobytes())
        return _images(len(y), y, lambda row: Image.fromarray(pixels[row]), "digits", digest)

    return ImageSet("digits", split(data.x_train, data.y_train), split(data.x_test, data.y_test))


def _torchvision(name: str, make: Callable[[Any, str, bool, bool], Any]) -> Any:
    def find(source: Source) -> ImageSet:
        root = _root(source)
        if pair := _parquet_pair(root, name):
            return ImageSet(name, _parquet(source, pair[0]), _parquet(source, pair[1], is_test=True))
        datasets = vision.load("torchvision.datasets")
        splits = []
        for is_train in (True, False):
            try:
                made = make(datasets, str(root), is_train, source.download)
            except Exception as error:  # RuntimeError, OSError and urllib's errors
                found = f"{type(error).__name__}: {one_line(error)[:160]}"
                raise _incomplete(name, root, found) from error
            splits.append(_from_torchvision(made, name))
        return ImageSet(name, *splits)

    return find


def _from_torchvision(found: Any, name: str) -> Images:
    keys = [key for key in ("targets", "labels", "_labels") if hasattr(found, key)]
    labels = np.asarray(getattr(found, keys[0]), dtype=np.int64)
    pixels = getattr(found, "data", None)
    if pixels is None:
        paths = [Path(str(path)) for path in found._images]
        return Images(len(labels), labels, lambda row: found[row][0], name, *_of_files(paths, paths[0].parent, labels))
    return _images(len(labels), labels, lambda row: found[row][0], name, _hash(pixels.tobytes(), labels.tobytes()))


def _images(
    n: int,
    labels: NDArray[Any] | None,
    read: Callable[[int], Any],
    where: str,
    digest: str,
    names: NDArray[np.str_] | None = None,
) -> Images:
    """Images that are hashed at once, and called by their rows."""

    def content(rows: IndexArray | None) -> str:
        return digest if rows is None else _hash(digest.encode(), rows.tobytes())

    return Images(n, labels, read, where, content, lambda row: f"row {row} of {where}", names)


def _of_files(
    paths: Sequence[Path], root: Path, labels: NDArray[Any] | None
) -> tuple[Callable[[IndexArray | None], str], Callable[[int], str]]:
    """`content` and `called` of images in files: hashed are paths, labels and bytes, but only when that is asked."""

    def one(row: int) -> bytes:
        path = paths[row]
        try:
            pixels = hashlib.sha256(path.read_bytes()).digest()
        except OSError as error:
            raise DataError(f"Expected an image in {path}, but cannot read it: {reason(error)}.") from error
        label = () if labels is None else (str(labels[row]).encode(),)
        return _hash(os.fsencode(path.relative_to(root)), *label, pixels).encode()

    def content(rows: IndexArray | None) -> str:
        with ThreadPoolExecutor(joblib.cpu_count()) as pool:
            return _hash(*pool.map(one, range(len(paths)) if rows is None else rows.tolist()))

    return content, lambda row: str(paths[row])


def _imagenet(name: str) -> Callable[[Source], ImageSet]:
    """ImageNet from class folders: all of them, or the classes listed in `NAME.txt`.

    `imagenet100` is the list of SCAN (Van Gansbeke et al. 2020, arXiv 2005.12320), `imagenet100_cmc` that of Tian,
    Krishnan and Isola 2019 (arXiv 1906.05849); they share 12 classes.
    """

    def find(source: Source) -> ImageSet:
        root = _root(source)
        roots = [root / name, root / "imagenet", root / "ILSVRC2012", root]
        found = next((folder for folder in roots if (folder / "train").is_dir()), None)
        if found is None:
            raise DataError(
                f"Expected train/ and val/ of ImageNet, a folder per class, in {root} or {name}/ or imagenet/ in it, "
                "but found no train/. ImageNet is given out at https://image-net.org after registration."
            )
        classes = resources.files("harness.features").joinpath(f"{name}.txt")
        wanted = classes.read_text(encoding="utf-8").split() if classes.is_file() else None
        return ImageSet(name, *(_class_folders(found / split, wanted) for split in ("train", "val")))

    return find


def _folder_set(source: Source, folder: Path) -> ImageSet:
    train = folder / "train"
    has_splits = train.is_dir() and bool(_folders(train))  # else `train` is a class, such as one beside `bus` and `car`
    test = None
    if source.test is not None:
        test = _test_images(source)
    elif has_splits:
        found = next((folder / name for name in ("test", "val", "valid") if (folder / name).is_dir()), None)
        test = None if found is None else _class_folders(found)
    return ImageSet(folder.absolute().name, _class_folders(train if has_splits else folder), test)


def _test_images(source: Source) -> Images:
    path = Path(str(source.test))
    return _class_folders(path) if path.is_dir() else _parquet(source, path, is_test=True)


def _folders(folder: Path) -> list[str]:
    """Names of the visible folders in a folder, sorted."""
    return [path.name for path in _visible(folder) if path.is_dir()]


def _visible(folder: Path) -> list[Path]:
    """What is in a folder and not hidden, sorted."""
    try:
        return sorted(path for path in folder.iterdir() if path.name[0] != ".")
    except OSError as error:
        raise DataError(f"Expected a folder with a folder per class in {folder}, but got: {error.strerror}.") from error


def _class_folders(folder: Path, wanted: list[str] | None = None) -> Images:
    present = _folders(folder)
    if loose := [path.name for path in _visible(folder) if not wanted and _is_picture(path) and path.is_file()]:
        raise DataError(
            f"Expected a folder per class in {folder}, but got pictures outside of such folders, as `{loose[0]}`; move "
            "them into the folders of their classes, or add --unlabelled if they have no labels."
        )
    missing = [name for name in wanted or [] if name not in present]
    if missing or not present:
        found = (
            f"{len(missing)} of {len(wanted or [])} classes are missing, such as {missing[0]}" if missing else "none"
        )
        raise DataError(f"Expected a folder per class in {folder}, but found: {found}.")
    if {name.casefold() for name in present} <= _SPLITS:
        raise DataError(
            f"Expected a folder per class in {folder}, but got only {', '.join(present)}, which are names of splits; "
            "give the folders of training and test images with --data and --test."
        )
    paths: list[Path] = []
    labels: list[str] = []
    for name in wanted or present:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise DataError(f"Expected names of classes in UTF-8 in {folder}, but got {name!a}; rename it.") from error
        inside = sorted(filter(_is_picture, _visible_files(folder / name)))
        paths += inside
        labels += [name] * len(inside)
    if not paths:
        raise DataError(f"Expected images in the folders of {folder}, but found no file with a suffix of an image.")
    return _in_files(paths, folder, np.array(labels))


def _unlabelled_folder(folder: Path) -> Images:
    """All images below a folder, called by their paths in it."""
    found = {path.relative_to(folder).as_posix(): path for path in filter(_is_picture, _visible_files(folder))}
    if not found:
        raise DataError(f"Expected images in {folder}, but found no file with a suffix of an image.")
    names = sorted(found)
    check_names(folder, names, len(names))
    return replace(_in_files([found[name] for name in names], folder, None), names=np.array(names))


def _in_files(paths: Sequence[Path], root: Path, labels: NDArray[Any] | None) -> Images:
    from PIL import Image

    content, called = _of_files(paths, root, labels)
    return Images(len(paths), labels, lambda row: _load(Image.open(paths[row])), str(root), content, called)


def _is_picture(path: Path) -> bool:
    """Whether a file has the suffix of an image; not that of PDF, which Pillow only writes."""
    from PIL import Image

    suffix = path.suffix.lower()
    return suffix in Image.registered_extensions() and suffix != ".pdf"


def _visible_files(folder: Path) -> list[Path]:
    """Files in a folder and those in it, without what is hidden."""
    found: list[Path] = []

    def refuse(error: OSError) -> None:
        raise DataError(f"Expected a folder of images, but cannot read {error.filename}: {reason(error)}.") from error

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if name[0] != "."]
        if links := [name for name in folders if os.path.islink(os.path.join(place, name))]:
            raise DataError(
                f"Expected folders and files in {place}, but `{links[0]}` is a link to a folder; put the folder there, "
                "or remove the link."
            )
        found += [Path(place, name) for name in files if name[0] != "."]
    return found


def _parquet(source: Source, path: Path, is_test: bool = False) -> Images:
    """Encoded images in a column of bytes, or of structs with a field `bytes`.

    As many row groups are in memory as hold what the threads are at, so that each is read once where rows are read in
    order.
    """
    from PIL import Image

    image_column, label_column = source.image_column, source.label_column or "label"
    labels, names = None, None
    try:
        file = pq.ParquetFile(path)
        present = file.schema_arrow.names
        if source.unlabelled:
            if image_column not in present:
                raise DataError(
                    f"Expected the column {image_column} (encoded images) in {path}, but got {', '.join(present)}. "
                    "Name it with --image-column."
                )
            names = _names(path, file)
        elif image_column not in present or label_column not in present:
            raise DataError(
                f"Expected the columns {image_column} (encoded images) and {label_column} in {path}, but got "
                f"{', '.join(present)}. Name them with --image-column and --label-column, or add --unlabelled if there "
                "are no labels."
            )
        else:
            labels = _label_values(path, label_column, file.read(columns=[label_column]).column(0), is_test)
        n_rows = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
        digest = hashlib.sha256(b"".join(array.tobytes() for array in (labels, names) if array is not None))
        for group in range(len(n_rows)):
            column = _encoded(path, image_column, file.read_row_group(group, columns=[image_column]).column(0))
            for chunk in column.chunks:
                digest.update(np.diff(chunk.offsets.to_numpy()).tobytes() if hasattr(chunk, "offsets") else b"")
                for value in chunk:
                    digest.update(value.as_buffer() or b"")
    except DataError:
        raise
    except Exception as error:  # pyarrow raises errors of many types on a damaged file
        found = one_line(f"{type(error).__name__}: {error}")[:160]
        raise DataError(f"Expected a readable Parquet file in {path}, but got {found}.") from error

    n, ends = sum(n_rows), np.cumsum(n_rows)
    lock = threading.Lock()
    held: OrderedDict[int, pa.ChunkedArray] = OrderedDict()

    def column_of(group: int) -> pa.ChunkedArray:
        with lock:
            if group not in held:
                n_at_once = joblib.cpu_count() * _TASK * len(n_rows) // n + 2
                while len(held) >= n_at_once:
                    held.popitem(last=False)
                table = file.read_row_group(group, columns=[image_column])
                held[group] = _encoded(path, image_column, table.column(0)).combine_chunks()
            held.move_to_end(group)
            return held[group]

    def read(row: int) -> Any:
        group = int(np.searchsorted(ends, row, side="right"))
        value = column_of(group)[row - int(ends[group]) + n_rows[group]].as_py()
        if value is None:
            raise ValueError(f"`{image_column}` has no value there")
        return _load(Image.open(io.BytesIO(value)))

    return _images(n, labels, read, str(path), digest.hexdigest(), names)


def _names(path: Path, file: pq.ParquetFile) -> NDArray[np.str_] | None:
    """Names of the images in a Parquet file; None if it has none."""
    n = file.metadata.num_rows
    if not n:
        raise DataError(f"Expected images in {path}, but got no rows.")
    if NAME not in file.schema_arrow.names:
        return None
    values = name_values(path, read_columns(path, file, [NAME])[NAME])
    return np.array(check_names(path, values.tolist(), n))


def _encoded(path: Path, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        column = pa.chunked_array(
            [chunk.field("bytes") for chunk in column.chunks], type=column.type.field("bytes").type
        )
    if pa.types.is_binary_view(column.type):
        column = column.cast(pa.large_binary())
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        raise DataError(
            f"Expected encoded images (bytes) in `{name}` of {path}, but got {column.type}. Name another column with "
            "--image-column."
        )
    return column


def _label_values(path: Path, name: str, column: pa.ChunkedArray, is_test: bool) -> NDArray[Any]:
    column = plain(column)
    is_text = pa.types.is_string(column.type)
    if not (is_text or pa.types.is_integer(column.type)):
        raise DataError(
            f"Expected labels (integers or strings) in `{name}` of {path}, but got {column.type}. Name another column "
            "with --label-column."
        )
    if not len(column) or column.null_count:
        found = f"{column.null_count} rows without one" if len(column) else "no rows"
        raise DataError(f"Expected a label in every row of `{name}` of {path}, but got {found}.")
    labels: NDArray[Any] = column.to_numpy()
    if is_text:
        labels = labels.astype(np.str_)
    elif labels.dtype != np.uint64:  # which int64 cannot hold
        labels = labels.astype(np.int64)
    n_classes = len(np.unique(labels))
    if not is_test and (n_classes * SMALLEST_CLASS > len(labels) or n_classes < 2):
        raise DataError(
            f"Expected classes in `{name}` of {path}, several images in each, but got {n_classes} different values in "
            f"{len(labels)} rows. Name another column with --label-column."
        )
    return labels


def _parquet_pair(root: Path, name: str) -> tuple[Path, Path] | None:
    if name not in _IN_PARQUET:
        return None
    pairs = [sorted(root.glob(f"{name}_{split}*.parquet")) for split in ("train", "test")]
    for paths in pairs:
        if len(paths) > 1:
            found = ", ".join(path.name for path in paths)
            raise DataError(f"Expected one file of each split of {name} in {root}, but got {found}; join them.")
    return (pairs[0][0], pairs[1][0]) if all(pairs) else None


def _root(source: Source) -> Path:
    root = source.root or Path("data")
    if not root.is_dir() and not source.download:
        also = ", or fetch it with --download" if source.data in IN_TORCHVISION else ""
        raise DataError(
            f"Expected {source.data} in the folder {root}, but there is no such folder. Say where it is with "
            f"--root{also}."
        )
    return root


def _load(image: Any) -> Any:
    """The pixels of an opened image in RGB; the file is closed."""
    with image:
        return as_rgb(image)


def _hash(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


_CIFAR10 = "cifar-10-batches-py"
IN_TORCHVISION = {
    "cifar10": tuple(f"{_CIFAR10}/{file}" for file in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")),
    "cifar100": ("cifar-100-python/train", "cifar-100-python/test"),
    "svhn": ("train_32x32.mat", "test_32x32.mat"),
    "pets": ("oxford-iiit-pet/images", "oxford-iiit-pet/annotations"),
}
"""What torchvision keeps of each set that it can fetch, below its root."""

_IN_PARQUET = ("cifar10", "cifar100", "svhn")

SIZES = {
    "digits": (1437, 360),
    "cifar10": (50_000, 10_000),
    "cifar100": (50_000, 10_000),
    "svhn": (73_257, 26_032),
    "pets": (3_680, 3_669),
    "imagenet": (1_281_167, 50_000),
    "imagenet100": (128_000, 5_000),
    "imagenet100_cmc": (128_000, 5_000),
}
"""Images to train on and to test with in each named set, by its publisher; of a part of ImageNet about so many."""

NAMED: dict[str, Callable[[Source], ImageSet]] = {
    "digits": _digits,
    "cifar10": _torchvision("cifar10", lambda sets, root, train, get: sets.CIFAR10(root, train=train, download=get)),
    "cifar100": _torchvision("cifar100", lambda sets, root, train, get: sets.CIFAR100(root, train=train, download=get)),
    "svhn": _torchvision(
        "svhn", lambda sets, root, train, get: sets.SVHN(root, split="train" if train else "test", download=get)
    ),
    "pets": _torchvision(
        "pets",
        lambda sets, root, train, get: sets.OxfordIIITPet(root, split="trainval" if train else "test", download=get),
    ),
    **{name: _imagenet(name) for name in ("imagenet", "imagenet100", "imagenet100_cmc")},
}
