"""Reading a data set for a command: what is read otherwise than it is written, or made of it, is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import typer

from harness.data import Dataset, load_dataset
from harness.exceptions import SpecError
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
    elif pool != PoolSpec():
        asked = pool.model_dump_json(exclude_defaults=True)
        typer.echo(
            f"{data.name}: the pool is all of its points, with their own labels; {asked} changes nothing.", err=True
        )
    return made


def make_pools(data: Dataset, pools: Sequence[PoolSpec]) -> list[Dataset]:
    """`make_pool` for each, all of different names, since tables know a data set by its name.

    Raises:
        SpecError: two have one name: they are the same, or of files with one name.
    """
    made = [make_pool(data, each) for each in pools]
    name, count = Counter(each.name for each in made).most_common(1)[0]
    if count > 1:
        raise SpecError(
            f"Expected pools of different names, but {count} are called `{name}`; leave one out, or rename its file."
        )
    return made
