"""Registrations: what a study said beforehand that it would show, and what of a store goes beyond it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from analysis.words import counted
from harness.store.schema import MAXIMISED, METRICS

if TYPE_CHECKING:
    import pandas as pd

COMPARE = "compare"
"""Subject of a comparison."""
_CIRCUMSTANCES = {"study", "data", "command", "n_begun", "registered_at"}
_NAMES = {
    "configurations": "configurations",
    "seeds": "seeds",
    "baseline": "baseline",
    "maximised": "objective",
    "metric": "metric",
    "window": "window",
    "n_trials": "trials",
    "confirm_seeds": "seeds of the confirmation",
}


@dataclass(frozen=True)
class Registration:
    """What one study will show, a row of `registrations`.

    Attributes:
        study: its name in the store.
        registered_at: when.
        n_begun: trajectories of the study that had a finished round by then.
        subject: `compare`, or `sweep of` a strategy; with `data_hash` what there is one registration of.
        data: name of the data set.
        data_hash: hash of its content.
        configurations: JSON; of a sweep its space, search and default.
        seeds: repetitions.
        baseline: strategy that the others are compared with; None of a sweep.
        maximised: `area`, `log_area` or `final`.
        metric: what it is made of (`harness.store.schema.METRICS`).
        window: label counts that it is over.
        trajectory_ids: of a comparison.
        n_trials: of a sweep.
        confirm_seeds: of a sweep, seeds of its confirmation.
        command: the command line.
    """

    study: str
    registered_at: datetime
    n_begun: int
    subject: str
    data: str
    data_hash: str
    configurations: str
    seeds: tuple[int, ...]
    baseline: str | None
    maximised: str
    metric: str
    window: tuple[int, int]
    trajectory_ids: tuple[str, ...] = ()
    n_trials: int | None = None
    confirm_seeds: tuple[int, ...] = ()
    command: str = ""

    @classmethod
    def of_row(cls, row: Mapping[Any, Any]) -> Registration:
        """The registration that a row of `registrations` holds."""
        lists = {name: row[name] for name in ("seeds", "confirm_seeds", "trajectory_ids")}
        # What is null comes as NaN from a frame.
        values: dict[str, Any] = {
            str(key): None if value != value else value for key, value in row.items() if key not in lists
        }
        values["window"] = int(values.pop("window_from")), int(values.pop("window_to"))
        if values["n_trials"] is not None:
            values["n_trials"] = int(values["n_trials"])
        if hasattr(values["registered_at"], "to_pydatetime"):
            values["registered_at"] = values["registered_at"].to_pydatetime()
        values |= {name: tuple(int(seed) for seed in lists[name]) for name in ("seeds", "confirm_seeds")}
        values["trajectory_ids"] = tuple(lists["trajectory_ids"])
        return cls(**values)

    def row(self) -> dict[str, Any]:
        """The row of `registrations`."""
        values = asdict(self)
        values["window_from"], values["window_to"] = values.pop("window")
        return values | {name: list(values[name]) for name in ("seeds", "confirm_seeds", "trajectory_ids")}

    @property
    def digest(self) -> str:
        """A short hash of all of it, its date included: who keeps it elsewhere sees a change."""
        content = {**self.row(), "registered_at": self.registered_at.astimezone(UTC).isoformat()}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def when(self) -> str:
        """Its date and digest."""
        return f"{self.registered_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC ({self.digest})"

    def differences(self, other: Registration) -> list[str]:
        """In what another registration says something else, in words."""
        own, others = (
            {key: value for key, value in asdict(each).items() if key not in _CIRCUMSTANCES} for each in (self, other)
        )
        found = [name for key, name in _NAMES.items() if own[key] != others[key]]
        return found or (["schedule or learner"] if own != others else [])

    def __str__(self) -> str:
        parts = []
        if self.n_trials is not None:
            parts.append(counted(self.n_trials, "trial"))
        elif self.subject == COMPARE:
            parts.append(counted(len(json.loads(self.configurations)), "configuration"))
        parts.append(seeds_in_words(self.seeds))
        low, high = self.window
        where = f"at {high} labels" if self.maximised == "final" else f"over {low} to {high} labels"
        parts.append(f"{MAXIMISED[self.maximised]} of {METRICS[self.metric]} {where}")
        if self.baseline is not None:
            parts.append(f"compared with {self.baseline}")
        if self.confirm_seeds:
            parts.append(f"confirmed with {seeds_in_words(self.confirm_seeds)} on the other half of the test data")
        return ", ".join(parts)

    @property
    def sentence(self) -> str:
        """When it was registered, whether anything could be known by then, and what it says."""
        known = "before any of it had run"
        if self.n_begun:
            known = f"when {counted(self.n_begun, 'trajectory')} of it had begun, so that results could be known"
        return f"Registered on {self.when}, {known}: {self}."


def sweep_subject(strategy: str) -> str:
    """Subject of the sweeps of a strategy."""
    return f"sweep of {strategy}"


def find(registrations: Sequence[Registration], subject: str, data_hash: str) -> list[Registration]:
    """Those of one subject on one data set, the earliest first: it is the one that counts."""
    own = [each for each in registrations if (each.subject, each.data_hash) == (subject, data_hash)]
    return sorted(own, key=lambda each: (each.registered_at, each.study))


def registrations_in(frame: pd.DataFrame) -> list[Registration]:
    """The registrations that rows of `registrations` hold."""
    return [Registration.of_row(row) for row in frame.to_dict("records")]


def seeds_in_words(seeds: Sequence[int]) -> str:
    """`seed 3`, or `seeds 0 to 4`."""
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {in_words(seeds)}"


def in_words(seeds: Sequence[int]) -> str:
    """`0 to 4`, or `0, 2 and 5`."""
    ordered = sorted(seeds)
    if len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"{ordered[0]} to {ordered[-1]}"
    *before, last = map(str, ordered)
    return f"{', '.join(before)} and {last}" if before else last
