"""`ntkcpl features`: from images or other people's files to a feature file."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zipfile import is_zipfile

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from studies.ending import one_line_errors
from studies.once import OnceCommand

if TYPE_CHECKING:
    from harness.data import Dataset
    from harness.unlabelled import Pool

app = typer.Typer(help="Make feature files: pre-train, extract, import.", no_args_is_help=True)

Data = Annotated[
    str,
    typer.Option(
        help="digits, cifar10, cifar100, svhn, pets, imagenet, imagenet100, imagenet100_cmc, a Parquet file or an "
        "image folder."
    ),
]
Root = Annotated[Path | None, typer.Option(help="Folder that holds the named data set; default: data.")]
ImageColumn = Annotated[str, typer.Option(help="Column of encoded images in a Parquet file.")]
LabelColumn = Annotated[str | None, typer.Option(help="Column of labels in a Parquet file; default: label.")]
Unlabelled = Annotated[
    bool,
    typer.Option(
        "--unlabelled",
        help="The images have no labels: all those below a folder, at any depth, or those of a Parquet file.",
    ),
]
Limit = Annotated[
    int | None, typer.Option(min=10, help="Use a fixed random subset of this many images from each split.")
]
Download = Annotated[bool, typer.Option("--download", help="Let torchvision fetch the named data set.")]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1, help="CPU threads; default: all. On a CPU, results are equal only for equal numbers of threads."
    ),
]


class Device(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


@app.command(cls=OnceCommand)
def pretrain(
    data: Data,
    out: Annotated[Path, typer.Option(help="Checkpoint to write; the same command continues from it.")],
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Recipe (`ntkcpl features recipes`); default: that of a named data set, or else simsiam_cifar."
        ),
    ] = None,
    method: Annotated[str | None, typer.Option(help="simsiam, byol or simclr.")] = None,
    backbone: Annotated[str | None, typer.Option(help="resnet18, resnet50, wrn28_8, wrn16_4_half, ...")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the images.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Set setting=value of the recipe, such as lr=0.05; repeatable.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the first weights, the order of the images and their views.")
    ] = 0,
    root: Root = None,
    image_column: ImageColumn = "jpg",
    label_column: LabelColumn = None,
    unlabelled: Unlabelled = False,
    limit: Limit = None,
    download: Download = False,
    device: Annotated[Device, typer.Option(help="auto takes a GPU if there is one.")] = Device.auto,
    threads: Threads = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0, help="Stop after the last epoch that fits into so many minutes; the same command continues."
        ),
    ] = None,
    knn_every: Annotated[int | None, typer.Option(min=1, help="Epochs between two kNN measurements.")] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Let torch compile views and steps.")] = False,
) -> None:
    """Pre-train an encoder on images without their labels, which only measure its kNN accuracy on the way."""
    with one_line_errors("Interrupted: finished epochs are kept; the same command continues from there."):
        from harness.exceptions import CheckpointError, SpecError
        from harness.features.images import Source, open_images
        from harness.features.recipes import default_recipe, make_recipe
        from harness.store.location import require_local

        require_local(out)
        if out.is_dir():
            raise CheckpointError(f"Expected a file name for --out, but `{out}` is a folder.")
        if unlabelled and knn_every is not None:
            raise SpecError("Expected no --knn-every with --unlabelled, because kNN needs labels; leave it out.")
        changes: dict[str, Any] = {"method": method, "backbone": backbone, "epochs": epochs}
        name = recipe or default_recipe(data)
        wanted = make_recipe(
            name,
            {key: value for key, value in changes.items() if value is not None} | _settings(settings),
        )
        _refuse_unused(data, root, download)
        images = open_images(Source(data, root, None, image_column, label_column, limit, download, unlabelled))
        from harness.features.parallel import is_first, making, processes  # late: they need torch
        from harness.features.pretrain import pretrain
        from studies.features import EpochLines

        with processes(_device(device), threads) as place, making(out):
            lines = EpochLines()
            if is_first():
                lines.begin(name, wanted, len(images.train), place)
            done = pretrain(
                images.train,
                wanted,
                out,
                seed=seed,
                device=place,
                minutes=minutes,
                knn_every=knn_every,
                compiled=compiled,
                listen=lines,
            )
            if is_first():
                lines.end(done, out)


@app.command(cls=OnceCommand)
def extract(
    data: Data,
    checkpoint: Annotated[
        str,
        typer.Option(
            help="Checkpoint of `features pretrain`, public state dict, torchvision:IMAGENET1K_V1, or untrained."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Feature file to write: .npz or .safetensors.")],
    test: Annotated[str | None, typer.Option(help="Parquet file or folder of test images.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Architecture, if the checkpoint does not name it.")] = None,
    image_size: Annotated[
        int | None, typer.Option(min=8, help="Pixels per side, if the checkpoint does not say; default: 224.")
    ] = None,
    root: Root = None,
    image_column: ImageColumn = "jpg",
    label_column: LabelColumn = None,
    unlabelled: Unlabelled = False,
    limit: Limit = None,
    download: Download = False,
    half: Annotated[bool, typer.Option("--half", help="Write float16 instead of float32.")] = False,
    device: Annotated[Device, typer.Option(help="auto takes a GPU if there is one.")] = Device.auto,
    threads: Threads = None,
    probe: Annotated[bool, typer.Option(help="Measure kNN and linear accuracy of the features.")] = True,
) -> None:
    """Encode images with a frozen encoder and write a feature file, or a pool for `ntkcpl select`."""
    with one_line_errors("Interrupted: finished chunks are kept; the same command continues from there."):
        from harness.features.files import check_suffix
        from harness.features.images import Source, open_images

        check_suffix(out, is_pool=unlabelled)
        source = Source(data, root, test, image_column, label_column, limit, download, unlabelled)
        _refuse_unused(data, root, download)
        _refuse_input(out, [Path(name) for name in (checkpoint, data, test) if name is not None])
        if not _is_cut_off(out):  # such a file is made again
            _refuse_other(out)
        from harness.features.checkpoints import load_encoder, require_source  # late: they need torch
        from harness.features.extract import extract
        from harness.features.parallel import making, processes
        from harness.unlabelled import Pool
        from studies.features import ChunkLines, describe_encoder

        require_source(checkpoint, backbone, image_size)
        images = open_images(source)  # before the encoder is built or fetched
        loaded = load_encoder(checkpoint, backbone=backbone, image_size=image_size)
        typer.echo(describe_encoder(loaded), err=True)
        with processes(_device(device), threads) as place, making(out):
            lines = ChunkLines()
            done = extract(images, loaded, out, device=place, dtype="float16" if half else "float32", listen=lines)
            lines.end(done)
            if isinstance(done.fields, Pool):
                _end_pool(out, done.fields, data)
            else:
                _end(out, probe)


@app.command("import", cls=OnceCommand)
def import_(
    files: Annotated[
        list[Path], typer.Argument(help=".npy, .npz, .parquet or .safetensors files, or a folder of .npy files.")
    ],
    out: Annotated[Path, typer.Option(help="Feature file to write: .npz or .safetensors.")],
    x: Annotated[str | None, typer.Option(help="Name of the features, if it cannot be guessed.")] = None,
    y: Annotated[str | None, typer.Option(help="Name of the labels.")] = None,
    x_test: Annotated[str | None, typer.Option(help="Name of the test features.")] = None,
    y_test: Annotated[str | None, typer.Option(help="Name of the test labels.")] = None,
    probe: Annotated[bool, typer.Option(help="Measure kNN and linear accuracy of the features.")] = True,
) -> None:
    """Find features and labels in files with other names, show what is taken as what, and write a feature file."""
    with one_line_errors(f"Interrupted: {out} is written as a whole or not at all."):
        from harness.features.files import check_suffix, write_features
        from harness.features.importing import Field, import_features

        check_suffix(out)
        _refuse_input(out, files)
        _refuse_other(out)
        names: dict[Field, str | None] = {"x": x, "y": y, "x_test": x_test, "y_test": y_test}
        imported = import_features(files, {field: name for field, name in names.items() if name is not None})
        table = Table("array", "shape", "numbers", "taken as", box=None, pad_edge=False)
        for row in imported.found:
            table.add_row(*(escape(text) for text in row))
        Console(stderr=True).print(table)
        if imported.held_out:
            typer.echo(
                "There are no test data, so a fifth of each class is held out; it is always the same rows.", err=True
            )
        write_features(
            out, imported.fields, {"made_by": "ntkcpl features import", "files": [path.name for path in files]}
        )
        _end(out, probe)


@app.command(cls=OnceCommand)
def compact(
    data: Annotated[str, typer.Argument(help="Feature file.")],
    out: Annotated[Path, typer.Option(help="Feature file to write: .npz or .safetensors.")],
    dim: Annotated[int, typer.Option(min=1, help="Principal components to keep.")] = 128,
    probe: Annotated[bool, typer.Option(help="Measure kNN and linear accuracy before and after.")] = True,
) -> None:
    """Shrink a feature file to principal components in 8-bit integers."""
    with one_line_errors(f"Interrupted: {out} is written as a whole or not at all."):
        from harness.features.files import check_suffix, read_about, write_features
        from harness.features.reduction import reduce_features
        from studies.reading import read_dataset

        check_suffix(out)
        _refuse_input(out, [Path(data)])
        _refuse_other(out)
        loaded = read_dataset(data)
        fields, scale = reduce_features(loaded, dim)
        about = {"made_by": "ntkcpl features compact", "dim": dim, "from": read_about(Path(data))}
        written = write_features(out, fields, about, scale)
        typer.echo(f"{out}: {dim} of {loaded.x_train.shape[1]} columns, {out.stat().st_size / 1e6:.1f} MB")
        if probe:
            _say_worth("before", loaded)
            _say_worth("after", written)


@app.command(cls=OnceCommand)
def recipes() -> None:
    """List the recipes for pre-training with their settings."""
    from harness.features.recipes import RECIPES

    table = Table("recipe", "what it is", "settings", box=None, pad_edge=False)
    for name, (text, recipe) in RECIPES.items():
        values = recipe.model_dump(exclude={"first", "second"})
        table.add_row(name, escape(text), escape("\n".join(f"{key}={value}" for key, value in values.items())))
    Console().print(table)


def _refuse_unused(data: str, root: Path | None, download: bool) -> None:
    from harness.exceptions import DataError
    from harness.features.images import NAMED

    if data not in NAMED and Path(data).exists() and (root is not None or download):
        raise DataError(
            f"Expected --root and --download only beside one of {', '.join(NAMED)}, but got them beside `{data}`; "
            "leave them out."
        )


def _refuse_input(out: Path, files: Sequence[Path]) -> None:
    from harness.exceptions import DataError

    if out.exists() and any(path.exists() and path.samefile(out) for path in files):
        raise DataError(f"Expected a file for --out that is not read, but `{out}` is; choose another name.")


def _refuse_other(out: Path) -> None:
    from harness.exceptions import DataError
    from harness.features.files import read_about

    if out.exists() and not read_about(out):
        raise DataError(
            f"Expected a new file or an earlier feature file for --out, but `{out}` is something else; choose another "
            "name, or remove it."
        )


def _is_cut_off(out: Path) -> bool:
    """Whether a file is empty, or begins like a feature file and cannot be opened as one."""
    if not out.exists():
        return False
    with out.open("rb") as file:
        head = file.read(9)
    if not head or out.suffix == ".npz":
        return not head or (head.startswith(b"PK") and not is_zipfile(out))
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(out, "numpy"):
            return False
    except SafetensorError:
        return head[8:] == b"{"


def _end(out: Path, probe: bool) -> None:
    from studies.reading import read_dataset

    data = read_dataset(str(out))
    n, dim = data.x_train.shape
    typer.echo(f"{out}: {n} train and {len(data.x_test)} test rows, {dim} columns, {data.n_classes} classes")
    if probe:
        _say_worth("test accuracy with all labels", data)


def _end_pool(out: Path, pool: Pool, data: str) -> None:
    n, dim = pool.features.shape
    show = f"--images {shlex.quote(data)} --sheet round0.html " if Path(data).is_dir() else ""
    typer.echo(
        f"{out}: {n} images without labels, {dim} columns; choose some to label: ntkcpl select --data "
        f"{shlex.quote(str(out))} {show}--strategy graphherding -n {min(n, 10)} --classes NAMES --out round0.csv"
    )


def _say_worth(what: str, data: Dataset) -> None:
    from harness.features.probe import worth

    figures = worth(data.x_train, data.y_train, data.x_test, data.y_test)
    typer.echo(f"{what}: kNN {figures.knn:.1%}, linear {figures.linear:.1%}")


def _settings(texts: list[str] | None) -> dict[str, str]:
    from harness.exceptions import SpecError

    found = {}
    for text in texts or []:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not (key and equals and value):
            raise SpecError(f"Expected a setting such as `lr=0.05`, but got `{text}`.")
        found[key] = value
    return found


def _device(device: Device) -> Any:
    import torch

    from harness.exceptions import ResourceError

    if device is Device.cuda and not torch.cuda.is_available():
        raise ResourceError("Expected a GPU for --device cuda, but torch sees none.")
    return "cuda" if device is not Device.cpu and torch.cuda.is_available() else "cpu"
