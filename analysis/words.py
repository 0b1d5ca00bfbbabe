"""Words that depend on a number."""

from __future__ import annotations


def counted(n: int, noun: str) -> str:
    """A number with its noun: `1 trial`, `2 trials`, `2 trajectories`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{n} {noun if n == 1 else plural}"
