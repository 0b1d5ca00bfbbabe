"""What the site takes from elsewhere, so that it is written once: README, CONTRIBUTING, CHANGELOG, command line, tables."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from typer.cli import get_docs_for_click

from harness import schema
from studies.cli import app

ROOT = Path(__file__).parents[1]
_PLACE = re.compile(r"^<!-- from (.+?) -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in each line `<!-- from SOURCE -->` of a page."""
    return _PLACE.sub(lambda place: SOURCES[place[1]](), markdown)


def page(name: str) -> Callable[[], str]:
    """A document of the repository's root; its links are those of a page in `docs/`."""

    def read() -> str:
        return (ROOT / name).read_text().replace("](docs/", "](").replace("](CONTRIBUTING.md", "](contributing.md")

    return read


def command_line() -> str:
    """Every command with its options."""
    command = typer.main.get_command(app)
    return get_docs_for_click(obj=command, ctx=typer.Context(command), name="ntkcpl").partition("\n")[2]


def tables() -> str:
    """The columns of every Parquet table."""
    return "\n".join(
        f"\n## `{name}`\n\n| column | type |\n|---|---|\n" + "".join(f"| `{c.name}` | {c.type} |\n" for c in table)
        for name, table in schema.ALL_TABLES.items()
    )


SOURCES: dict[str, Callable[[], str]] = {
    **{name: page(name) for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")},
    "studies/cli.py": command_line,
    "harness/schema.py": tables,
}
