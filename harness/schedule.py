"""Schedules (`20x5,100x4`: labels bought per round) and seeds, read from text."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from harness.exceptions import SpecError

MAX_ROUNDS = 100_000
MAX_LABELS = 10**9
MAX_SEEDS = 100_000

_NUMBER = r"\s*([0-9]{1,18})\s*"
_PIECE = re.compile(rf"{_NUMBER}(?:[xX]{_NUMBER})?")
_RANGE = re.compile(rf"{_NUMBER}-{_NUMBER}")


@dataclass(frozen=True)
class Schedule:
    """Labels to buy in each round.

    Attributes:
        queries: number of labels per round, in order; each at least 1.

    Raises:
        SpecError: no round, a round without labels, more than `MAX_ROUNDS` rounds or `MAX_LABELS` labels.

    Example:
        >>> schedule = Schedule.parse("10x2, 10, 50")
        >>> str(schedule), schedule.n_rounds, schedule.budget, schedule.label_counts
        ('10x3,50', 4, 80, (10, 20, 30, 80))
    """

    queries: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.queries) <= MAX_ROUNDS:
            raise SpecError(f"Expected a schedule of 1 to {MAX_ROUNDS} rounds, but got {len(self.queries)}.")
        if min(self.queries) < 1:
            raise SpecError(f"Expected at least 1 label in every round of a schedule, but got {min(self.queries)}.")
        if self.budget > MAX_LABELS:
            raise SpecError(f"Expected a schedule of at most {MAX_LABELS} labels, but got {self.budget}.")

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Read `20x5,100x4` (5 rounds of 20 labels, then 4 of 100) or plain numbers `20,30`; spaces are ignored.

        Raises:
            SpecError: a piece does not parse, or the schedule is not allowed.
        """
        queries: list[int] = []
        for piece in text.split(","):
            match = _PIECE.fullmatch(piece)
            n_labels, n_rounds = (int(match[1]), int(match[2] or 1)) if match else (0, 0)
            if min(n_labels, n_rounds) < 1:
                raise SpecError(
                    "Expected a schedule of labels x rounds, both at least 1, such as `20x5,100x4`, "
                    f"but got {_quoted(piece)} in {_quoted(text)}."
                )
            if len(queries) + n_rounds > MAX_ROUNDS or n_labels > MAX_LABELS:
                raise SpecError(
                    f"Expected a schedule of at most {MAX_ROUNDS} rounds and {MAX_LABELS} labels, such as "
                    f"`20x5,100x4`, but got {_quoted(piece)} in {_quoted(text)}."
                )
            queries += [n_labels] * n_rounds
        return cls(tuple(queries))

    def __str__(self) -> str:
        """The canonical text: equal neighbours are merged, `10x5,10x5` is `10x10`."""
        runs = ((n_labels, len(list(run))) for n_labels, run in itertools.groupby(self.queries))
        return ",".join(f"{n_labels}x{n_rounds}" if n_rounds > 1 else f"{n_labels}" for n_labels, n_rounds in runs)

    @property
    def n_rounds(self) -> int:
        """Number of rounds."""
        return len(self.queries)

    @property
    def budget(self) -> int:
        """Total number of labels."""
        return sum(self.queries)

    @property
    def label_counts(self) -> tuple[int, ...]:
        """Number of labels after each round."""
        return tuple(itertools.accumulate(self.queries))

    def check_fits(self, n_pool: int, name: str) -> None:
        """Make sure that a pool has enough points.

        Args:
            n_pool: number of points in the pool.
            name: name of the data set, for the message.

        Raises:
            SpecError: the budget exceeds the pool.
        """
        if self.budget > n_pool:
            raise SpecError(
                f"Expected a schedule of at most {n_pool} labels, the size of the pool of {_quoted(name)}, "
                f"but got {self.budget} in {_quoted(str(self))}."
            )


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read seeds: `5` is 0..4, `10-14` a range with both ends, `3,7` a list.

    Raises:
        SpecError: the text has another form, names a seed twice, or names none or more than `MAX_SEEDS`.

    Example:
        >>> parse_seeds("3"), parse_seeds("10-12"), parse_seeds("3,7")
        ((0, 1, 2), (10, 11, 12), (3, 7))
    """
    seeds: range | tuple[int, ...] = ()
    if match := _RANGE.fullmatch(text):
        seeds = range(int(match[1]), int(match[2]) + 1)
    elif match := re.fullmatch(_NUMBER, text):
        seeds = range(int(match[1]))
    elif all(re.fullmatch(_NUMBER, piece) for piece in text.split(",")):
        seeds = tuple(int(piece) for piece in text.split(","))
    if not 1 <= len(seeds) <= MAX_SEEDS or (isinstance(seeds, tuple) and len(set(seeds)) < len(seeds)):
        raise SpecError(
            f"Expected 1 to {MAX_SEEDS} distinct seeds as a count `5`, a range `10-14` or a list `3,7`, "
            f"but got {_quoted(text)}."
        )
    return tuple(seeds)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
