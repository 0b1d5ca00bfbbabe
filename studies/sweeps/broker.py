"""The go-between of Tune's trials and the driver: a process that does not load Tune."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import ray

Report = dict[str, float]


@ray.remote(num_cpus=0)
class Broker:
    """Carries requests of trials to the driver, and its answers back."""

    def __init__(self) -> None:
        self._requests: list[tuple[int, int]] = []
        self._answers: dict[int, list[Report | None]] = {}
        self._answered = asyncio.Condition()

    async def answer(self, number: int, position: int) -> Report | None:
        """The report of a trial at a position, once it is there; None where there is none any more."""
        self._requests.append((number, position))
        async with self._answered:
            await self._answered.wait_for(lambda: position < len(self._answers.get(number, [])))
        return self._answers[number][position]

    async def requests(self) -> list[tuple[int, int]]:
        """Numbers and positions asked for since the last call."""
        requests, self._requests = self._requests, []
        return requests

    async def reply(self, number: int, answers: Sequence[Report | None]) -> None:
        """Add answers to a trial."""
        async with self._answered:
            self._answers.setdefault(number, []).extend(answers)
            self._answered.notify_all()
