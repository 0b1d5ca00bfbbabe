"""Reading a data set for a command: what is read otherwise than it is written is said."""

from __future__ import annotations

import typer

from harness.data import Dataset, load_dataset


def read_dataset(source: str) -> Dataset:
    """`harness.data.load_dataset`, with its notes as lines on stderr."""
    data = load_dataset(source)
    for note in data.notes:
        typer.echo(note, err=True)
    return data
