"""Reading a data set for a command: what is read otherwise than it is written, or made of it, is said."""

from __future__ import annotations

import typer

from harness.data import Dataset, load_dataset
from harness.pools import PoolSpec


def read_dataset(source: str) -> Dataset:
    """`harness.data.load_dataset`, with its notes as lines on stderr."""
    data = load_dataset(source)
    for note in data.notes:
        typer.echo(note, err=True)
    return data


def make_pool(data: Dataset, pool: PoolSpec) -> Dataset:
    """`PoolSpec.apply`, with a line on stderr about what became of the data."""
    made = pool.apply(data)
    if made is not data:
        for note in made.notes:
            typer.echo(note, err=True)
    return made
