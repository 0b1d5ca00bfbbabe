"""What results look like on a terminal: tables with a title and a caption, and lines as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_FILE_WIDTH = 200
"""Columns of a table that is not read on a terminal."""
_WORD = 16
"""Columns of the terminal that a heading or a text has before it is broken."""
_GAP, _MARGINS = 2, 2
"""Columns of the terminal between two columns of a table, and around all of them."""


def terminal() -> Console:
    """The console for results: wide where it is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=_FILE_WIDTH)


def say(console: Console, line: str, style: str = "") -> None:
    """Print a line as it is: no markup, no wrapping."""
    console.print(line, soft_wrap=True, highlight=False, markup=False, style=style)


class Column(NamedTuple):
    """A column of a table: text is set to the left and may be broken, numbers are set to the right and stay whole."""

    heading: str
    cells: Sequence[Text]
    is_text: bool = False

    @property
    def width(self) -> int:
        """Columns of the terminal that it cannot do without."""
        longest = max((cell.cell_len for cell in self.cells), default=0)
        return max(min(longest, _WORD) if self.is_text else longest, min(cell_len(self.heading), _WORD))


def show_table(console: Console, title: str, first: Column, columns: Sequence[Column], caption: str = "") -> None:
    """Print a table below its title, as several tables where the terminal is too narrow for all columns.

    Neither title nor caption is broken to the width of a table.

    Args:
        console: where.
        title: above it.
        first: what its rows are called, which each of the tables has; in at most half of the width.
        columns: the others.
        caption: below it.
    """
    say(console, title, "italic")
    longest = max(cell_len(first.heading), *(cell.cell_len for cell in first.cells))
    most = max(column.width for column in columns)
    width = min(longest, console.width // 2, max(_WORD, console.width - most - _GAP - _MARGINS))
    for block in _blocks(columns, console.width - width - _MARGINS):
        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for column in (first, *block):
            table.add_column(
                Text(column.heading),
                justify="left" if column.is_text else "right",
                overflow="fold",
                min_width=width if column is first else column.width,
                max_width=width if column is first else None,
            )
        for cells in zip(first.cells, *(column.cells for column in block), strict=True):
            table.add_row(*cells)
        console.print(table)
    if caption:
        say(console, caption, "dim italic")


def _blocks(columns: Sequence[Column], room: int) -> Iterator[list[Column]]:
    """Columns that fit side by side, each after a gap; at least one."""
    block: list[Column] = []
    for column in columns:
        if block and sum(each.width + _GAP for each in [*block, column]) > room:
            yield block
            block = []
        block.append(column)
    yield block
