"""What results look like on a terminal: tables with a title and a caption, and lines as they are."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

_FILE_WIDTH = 200
"""Columns of a table that is not read on a terminal."""


def terminal() -> Console:
    """The console for results: wide where it is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=_FILE_WIDTH)


def say(console: Console, line: str, style: str = "") -> None:
    """Print a line as it is: no markup, no wrapping."""
    console.print(line, soft_wrap=True, highlight=False, markup=False, style=style)


def plain_table() -> Table:
    """An empty table without lines but the one below its headings."""
    return Table(box=SIMPLE_HEAD, pad_edge=False)


def show_table(console: Console, title: str, table: Table, caption: str = "") -> None:
    """Print a table below its title; neither title nor caption is broken to the width of the table."""
    say(console, title, "italic")
    console.print(table)
    if caption:
        say(console, caption, "dim italic")
