"""What the site takes from elsewhere, so that it is written once: root documents, command line, tables."""

import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from typer.cli import get_docs_for_click

from analysis import exceptions as of_analysis
from harness import exceptions as of_harness
from harness.store import schema
from strategies import exceptions as of_strategies
from studies.cli import app

ROOT = Path(__file__).parents[1]
ROOT_PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changes.md"}
_PLACE = re.compile(r"^\*Filled in from `(.+?)` by .+\*$", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]*)\]\((?!https?://|#)([^)\s]+)\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in each line `*Filled in from SOURCE by ...*` of a page, which the repository shows as it is."""
    return _PLACE.sub(lambda place: SOURCES[place[1]](), markdown)


def root_page(name: str) -> Callable[[], str]:
    """A document of the repository's root, with the links of a page in `docs/`."""

    def turn(link: re.Match[str]) -> str:
        text, target = link.groups()
        if target in ROOT_PAGES:
            return f"[{text}]({ROOT_PAGES[target]})"
        # What is not part of the site is named.
        return f"[{text}]({target[5:]})" if target.startswith("docs/") else f"{text} (`{target}`)"

    return lambda: _LINK.sub(turn, (ROOT / name).read_text())


def command_line() -> str:
    """Every command with its options."""
    command = typer.main.get_command(app)
    return get_docs_for_click(obj=command, ctx=typer.Context(command), name="ntkcpl").partition("\n")[2]


def tables() -> str:
    """What the columns of all tables have in common, and the columns of each with the remark beside it."""
    remarks = re.findall(r"^([A-Z]+) = |^    \(\"(\w+)\", .*\),  # (.+)$", inspect.getsource(schema), re.MULTILINE)
    table, remark = "", {}
    for name, column, text in remarks:
        table = name.lower() or table
        remark[table, column] = text
    parts = [(schema.__doc__ or "").partition("\n")[2]]
    for name, columns in schema.ALL_TABLES.items():
        rows = [f"| `{c.name}` | {c.type} | {remark.get((name, c.name), '')} |" for c in columns]
        parts.append("\n".join([f"## `{name}`\n", "| column | type | |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)


def errors() -> str:
    """The tree of errors of each package, from the module's docstring."""
    trees = {module.__name__: inspect.getdoc(module) or "" for module in (of_strategies, of_harness, of_analysis)}
    return "\n\n".join(
        f"`{name}`:\n\n" + textwrap.indent(text.partition("\n\n")[2], "    ") for name, text in trees.items()
    )


SOURCES: dict[str, Callable[[], str]] = {
    **{name: root_page(name) for name in ROOT_PAGES},
    "studies/cli.py": command_line,
    "harness/store/schema.py": tables,
    "exceptions.py": errors,
}
