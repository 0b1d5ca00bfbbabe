"""What a report can be written as; known without drawing anything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from analysis.exceptions import SelectionError

TABLE_FORMATS = ("csv", "md", "tex")
FIGURE_FORMATS = ("svg", "pdf", "png")
FORMATS = ("html", *TABLE_FORMATS, *FIGURE_FORMATS)
_LONGEST = 80
"""Characters of a part of a file's name, which may have 255 in all."""


def check_formats(formats: Sequence[str]) -> None:
    """Raise SelectionError where a format is none of `FORMATS`."""
    if unknown := [name for name in formats if name not in FORMATS]:
        raise SelectionError(f"Expected formats among {', '.join(FORMATS)}, but got {', '.join(unknown)}.")


def slug(name: str) -> str:
    """A name as part of a file name."""
    return re.sub(r"[^A-Za-z0-9.=_-]+", "-", name)[:_LONGEST].strip("-.") or "data"


def slugs(names: Iterable[str]) -> list[str]:
    """`slug` of each name; those that would share one, also where case does not count, do not."""
    found: list[str] = []
    for name in names:
        place = slug(name)
        while place.lower() in map(str.lower, found):
            place += "_"
        found.append(place)
    return found
