"""A page of pictures that needs no other file, so that a person can look at what is to be labelled."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from harness.exceptions import DataError
from harness.features.images import as_rgb

SIDE = 160
"""Longest side of a picture on the page, in pixels; smaller pictures are enlarged by a whole number."""
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>To label</title><style>
body { font: 14px sans-serif; margin: 1rem; } figure { display: inline-block; margin: .5rem; text-align: center; }
figcaption { max-width: 160px; overflow-wrap: anywhere; } img { image-rendering: pixelated; }
</style></head><body>
"""


def find_pictures(folder: Path, names: Sequence[str]) -> list[Path]:
    """The files of some pictures.

    Args:
        folder: that the names are paths in; nothing outside of it counts, but where a link in it leads.
        names: of the pictures.

    Raises:
        DataError: Pillow is missing, or a name is no file in the folder.
    """
    if find_spec("PIL") is None:
        raise DataError("Expected Pillow for --sheet, but it is not installed: pip install 'ntkcpl[features]'.")
    root = folder.resolve()
    paths = [Path(os.path.normpath(root / name)) for name in names]
    for path, name in zip(paths, names, strict=True):
        if not path.is_relative_to(root) or not path.is_file():
            raise DataError(
                f"Expected a picture in `{folder}` for each point without a label, but there is none called `{name}`."
            )
    return paths


def contact_sheet(folder: Path, names: Sequence[str]) -> bytes:
    """The pictures of some files as one HTML page.

    Args:
        folder: as in `find_pictures`.
        names: in the order of the page.

    Raises:
        DataError: Pillow is missing, or a name is no picture in the folder.
    """
    paths = find_pictures(folder, names)
    from PIL import Image

    figures = []
    for number, (name, path) in enumerate(zip(names, paths, strict=True)):
        try:
            with Image.open(path) as image:
                small = as_rgb(image)
        except Exception as error:  # Pillow raises errors of many types on a damaged file
            raise DataError(f"Expected a picture in `{path}`, but cannot read it: {error}.") from error
        small.thumbnail((SIDE, SIDE))
        width = small.width * (SIDE // max(small.size))
        buffer = io.BytesIO()
        small.save(buffer, "PNG")
        source = base64.b64encode(buffer.getvalue()).decode()
        figures.append(
            f'<figure><img alt="" width="{width}" src="data:image/png;base64,{source}">'
            f"<figcaption>{number}: {html.escape(name)}</figcaption></figure>\n"
        )
    return (_HEAD + "".join(figures) + "</body></html>\n").encode()
