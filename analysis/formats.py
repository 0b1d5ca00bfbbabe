"""What a report can be written as; known without drawing anything."""

from __future__ import annotations

import re
from collections.abc import Sequence

from analysis.exceptions import SelectionError

TABLE_FORMATS = ("csv", "md", "tex")
FIGURE_FORMATS = ("svg", "pdf", "png")
FORMATS = ("html", *TABLE_FORMATS, *FIGURE_FORMATS)


def check_formats(formats: Sequence[str]) -> None:
    """Raise SelectionError where a format is none of `FORMATS`."""
    if unknown := [name for name in formats if name not in FORMATS]:
        raise SelectionError(f"Expected formats among {', '.join(FORMATS)}, but got {', '.join(unknown)}.")


def slug(name: str) -> str:
    """A name as part of a file name."""
    return re.sub(r"[^A-Za-z0-9.=_-]+", "-", name).strip("-.") or "data"
