"""One renderer for all tables: CSV with the plain numbers; Markdown, LaTeX and HTML with cells made for reading.

Everything that came from a store is text to be shown: each format escapes what it would take for markup, and
CSV what a spreadsheet would take for a formula.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "·": r"$\cdot$",
    "→": r"$\to$",
    "∞": r"$\infty$",
}
_MARKDOWN = re.compile(r"([\\|*_`<>\[\]#~&!])")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_MARKS = {
    "md": {"best": "**{}**", "second": "<u>{}</u>"},
    "tex": {"best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"},
}


class Cell(NamedTuple):
    """What a reader sees, the value it sorts by, and whether it is the "best" or "second" of its kind."""

    text: str
    value: float | str | None = None
    mark: str = ""


class Column(NamedTuple):
    """A column for reading: its key in the frame, its heading, and how a value is written."""

    key: str
    heading: str
    form: Callable[[Any], str]


@dataclass(frozen=True)
class Table:
    """A table of the report.

    Attributes:
        name: of its files.
        title: heading.
        frame: plain numbers, as CSV has them; what is not known is empty there.
        headings: of the columns for reading.
        rows: cells for reading.
        note: n, kind of spread or interval, marks; shown with the table.
        method: how the numbers come about; shown on request.
        place: of several data sets, the folder of the one that it is about.
    """

    name: str
    title: str
    frame: pd.DataFrame
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str
    method: str = ""
    place: str = ""

    def is_text(self, column: int) -> bool:
        """Whether a column for reading holds words, not numbers."""
        return any(isinstance(row[column].value, str) for row in self.rows)


def table_of(
    name: str,
    title: str,
    frame: pd.DataFrame,
    columns: Sequence[Column],
    note: str,
    method: str = "",
    *,
    plain: pd.DataFrame | None = None,
) -> Table:
    """Make a table that shows some columns of a frame, row by row; CSV has `plain` instead, where it is given."""
    rows = [
        [
            Cell("" if _missing(row[column.key]) else column.form(row[column.key]), _sortable(row[column.key]))
            for column in columns
        ]
        for row in frame.to_dict("records")
    ]
    headings = [column.heading for column in columns]
    return Table(name, title, frame if plain is None else plain, headings, rows, note, method)


def text(value: Any) -> str:
    """A value as it is."""
    return str(value)


def integer(value: float) -> str:
    """A count, with a thin space between thousands."""
    return f"{round(value):,}".replace(",", "\u2009")


def number(digits: int) -> Callable[[float], str]:
    """A number with so many decimals."""
    return lambda value: f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")  # no -0


def percent(value: float) -> str:
    """A share in percent, without the sign of it, two decimals."""
    return number(2)(100 * value)


def points(value: float) -> str:
    """A difference of accuracies in percentage points, signed, two decimals."""
    return signed(2)(100 * value)


def signed(digits: int) -> Callable[[float], str]:
    """A number with its sign, so many decimals; what rounds to 0 has no sign."""

    def form(value: float) -> str:
        text = f"{value:+.{digits}f}".replace("-", "−").replace("inf", "∞")
        return text if round(value, digits) else f"{0:.{digits}f}"

    return form


def p_value(value: float) -> str:
    """A p-value with three decimals, `<0.001` below."""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def to_csv(table: Table) -> str:
    """The frame as CSV."""
    return frame_to_csv(table.frame)


def frame_to_csv(frame: pd.DataFrame) -> str:
    """A frame as CSV, text that looks like a formula defused by a leading apostrophe."""
    plain = frame.map(lambda value: _defused(value) if isinstance(value, str) else value)
    return plain.rename(columns=_defused).to_csv(index=False, lineterminator="\n")


def to_markdown(table: Table) -> str:
    """Title, table and note as GitHub's Markdown."""
    head = [_line(_markdown(heading) for heading in table.headings), _line("---" for _ in table.headings)]
    body = [_line(_marked("md", _markdown(cell.text), cell.mark) for cell in row) for row in table.rows]
    return "\n".join([f"**{_markdown(table.title)}**", "", *head, *body, "", _markdown(table.note), ""])


def to_latex(table: Table) -> str:
    """A `table` environment; needs the package booktabs."""
    called = f"{table.place}-{table.name}" if table.place else table.name
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex(table.title)}. {latex(table.note)}}}",
        rf"\label{{tab:{re.sub(r'[^A-Za-z0-9_.=-]+', '-', called)}}}",
        rf"\begin{{tabular}}{{{''.join('l' if table.is_text(i) else 'r' for i in range(len(table.headings)))}}}",
        r"\toprule",
        " & ".join(latex(heading) for heading in table.headings) + r" \\",
        r"\midrule",
        *(_after_break(" & ".join(_marked("tex", latex(cell.text), cell.mark) for cell in row)) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _after_break(row: str) -> str:
    r"""A row; after the `\\` of the one before, `[` and `*` would be arguments."""
    return ("{}" if row.startswith(("[", "*")) else "") + row + r" \\"


def latex(value: str) -> str:
    """Text with LaTeX's special characters escaped, on one line."""
    return "".join(_LATEX.get(character, character) for character in " ".join(value.split()))


WRITERS: dict[str, Callable[[Table], str]] = {"csv": to_csv, "md": to_markdown, "tex": to_latex}


def _markdown(value: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(value.split()))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _marked(kind: str, value: str, mark: str) -> str:
    return _MARKS[kind][mark].format(value) if mark else value


def _defused(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA) else value


def _missing(value: Any) -> bool:
    return value is None or bool(pd.isna(value))


def _sortable(value: Any) -> float | str | None:
    if _missing(value):
        return None
    return value if isinstance(value, str) else float(value)
