"""What a study says while it runs: of workers, and of the driver that listens to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.plan import Job
from harness.record import RoundRecord


@dataclass(frozen=True, eq=False)
class Summary:
    """The end of a trajectory, from the process that ran it."""

    device: str
    versions: dict[str, Any]
    peak_bytes: int


@dataclass(frozen=True, eq=False)
class Started:
    """A worker took the job."""

    job: Job


@dataclass(frozen=True, eq=False)
class RoundDone:
    """A round is finished."""

    job: Job
    record: RoundRecord


@dataclass(frozen=True, eq=False)
class Paused:
    """The rounds that the job was for are finished, but not all of its schedule."""

    job: Job


@dataclass(frozen=True, eq=False)
class Finished:
    """All rounds are finished."""

    job: Job
    summary: Summary


@dataclass(frozen=True, eq=False)
class Failed:
    """The trajectory raised, or its worker died."""

    job: Job
    message: str


@dataclass(frozen=True, eq=False)
class Restarted:
    """A trajectory could not go on bit by bit and starts again at round 0; its rows are replaced."""

    job: Job


Event = Started | RoundDone | Paused | Finished | Failed
