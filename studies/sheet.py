"""A page of pictures that needs no other file, so that a person can look at what is to be labelled."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from harness.exceptions import DataError, reason
from harness.features.images import as_rgb

SIDE = 160
"""Longest side of a picture on the page, in pixels; smaller pictures are enlarged by a whole number."""
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>To label</title><style>
body { font: 14px sans-serif; margin: 1rem; } figure { display: inline-block; margin: .5rem; text-align: center; }
figcaption, p { width: 160px; overflow-wrap: anywhere; } img { image-rendering: pixelated; }
</style></head><body>
"""


def find_pictures(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """The files of some pictures, by their names; each folder is listed once, as a look at each file takes long.

    Args:
        folder: that the names are paths in; nothing outside of it counts, but where a link in it leads.
        names: of the pictures.

    Raises:
        DataError: Pillow is missing, or a name is no file in the folder.
    """
    if find_spec("PIL") is None:
        raise DataError("Expected Pillow for --sheet, but it is not installed: pip install 'ntkcpl[features]'.")
    root = os.path.join(folder.resolve(), "")
    found: dict[str, str] = {}  # of a large pool, a `Path` for each would take long to make
    listed: dict[str, set[str]] = {}
    for name in names:
        path = os.path.normpath(os.path.join(root, name))
        place, file = os.path.split(path)
        is_inside = path.startswith(root)
        if is_inside and place not in listed:
            listed[place] = _files(place)
        # A filesystem may know a file by other names than the listed one, such as in capitals.
        if not is_inside or not (file in listed[place] or os.path.isfile(path)):
            raise DataError(
                f"Expected a picture in `{folder}` for each point without a label, but there is none called `{name}`."
            )
        found[name] = path
    return found


def _files(folder: str) -> set[str]:
    with suppress(OSError, ValueError), os.scandir(folder) as entries:  # a null in a name is a ValueError
        return {entry.name for entry in entries if entry.is_file()}
    return set()


def contact_sheet(pictures: Mapping[str, str]) -> tuple[bytes, list[str]]:
    """Pictures as one HTML page.

    Args:
        pictures: the file of each by its name, in the order of the page.

    Returns:
        The page, and the names of the pictures that cannot be read, with the reason, which is also in their places.
    """
    from PIL import Image

    figures, unreadable = [], []
    for number, (name, path) in enumerate(pictures.items()):
        try:
            with Image.open(path) as image:
                small = as_rgb(image)
        except Exception as error:  # Pillow raises errors of many types on a damaged file
            unreadable.append(f"`{name}` ({reason(error)})")
            shown = f"<p>cannot be read: {html.escape(reason(error))}</p>"
        else:
            small.thumbnail((SIDE, SIDE))
            width = small.width * (SIDE // max(small.size))
            buffer = io.BytesIO()
            small.save(buffer, "PNG")
            source = base64.b64encode(buffer.getvalue()).decode()
            shown = f'<img alt="" width="{width}" src="data:image/png;base64,{source}">'
        figures.append(f"<figure>{shown}<figcaption>{number}: {html.escape(name)}</figcaption></figure>\n")
    return (_HEAD + "".join(figures) + "</body></html>\n").encode(), unreadable
