"""Words that depend on how many there are."""

from __future__ import annotations

from collections.abc import Sequence

_MOST_NAMED = 5


def counted(n: int, noun: str) -> str:
    """A number with its noun: `1 trial`, `2 trials`, `2 trajectories`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{n} {noun if n == 1 else plural}"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: `a, b and c`; of many the first ones."""
    if len(names) > _MOST_NAMED:
        names = [*names[: _MOST_NAMED - 1], f"{len(names) - _MOST_NAMED + 1} more"]
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
