"""What is left of a tuned advantage with other seeds, on the half of the test data that the search never saw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from analysis.statistics import Interval, paired_difference
from harness.data import Dataset
from harness.spec import TrajectorySpec
from harness.store.reading import Row
from harness.store.writing import Store
from studies.sweeps.trials import Record, Sweep, score

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Advantage:
    """A tuned configuration against the default one.

    Attributes:
        trial: number of the tuned one.
        is_default: whether it is the default one itself, so that there is nothing to confirm.
        searched: difference of objectives in the search: its seeds, the `tune` half.
        confirmed: the same with other seeds on the `confirm` half; None where a trajectory failed.
    """

    trial: int
    is_default: bool = False
    searched: Interval | None = None
    confirmed: Interval | None = None

    @property
    def status(self) -> str:
        """As in the table `confirmations`."""
        is_known = self.searched is not None and self.confirmed is not None
        return "default" if self.is_default else "compared" if is_known else "failed"


@dataclass(frozen=True)
class Confirmation:
    """What was confirmed.

    Attributes:
        seeds: of the confirmation.
        default: what the default configuration is, in words.
        advantages: one per tuned configuration.
    """

    seeds: tuple[int, ...]
    default: str
    advantages: tuple[Advantage, ...]

    def rows(self, study: str, looked_at: datetime) -> list[Row]:
        """Rows of `confirmations`."""
        return [
            {
                "study": study,
                "trial": advantage.trial,
                "status": advantage.status,
                "default": self.default,
                "seeds": list(self.seeds),
                **_ends("searched", advantage.searched),
                **_ends("confirmed", advantage.confirmed),
                "looked_at": looked_at,
            }
            for advantage in self.advantages
        ]


def confirm_seeds(sweep: Sweep, n_seeds: int) -> tuple[int, ...]:
    """Seeds that the search has not used: those that follow its largest."""
    first = max(sweep.seeds) + 1
    return tuple(range(first, first + n_seeds))


def confirm_plan(sweep: Sweep, data: Dataset, finalists: Sequence[Record], n_seeds: int) -> list[TrajectorySpec]:
    """Trajectories that a confirmation needs: finalists and default on `confirm`, the default on `tune` as well.

    None where the default is the only finalist.
    """
    seeds = confirm_seeds(sweep, n_seeds)
    specs = sweep.default_specs(data)
    others = [record for record in finalists if list(record.specs) != specs]
    if not others:
        return []
    specs += sweep.default_specs(data, seeds=seeds, evaluate_on="confirm")
    for record in others:
        specs += sweep.specs(record.values, data, seeds=seeds, evaluate_on="confirm")
    return list({spec.trajectory_id: spec for spec in specs}.values())


def confirmed(sweep: Sweep, data: Dataset, finalists: Sequence[Record], n_seeds: int, store: Store) -> Confirmation:
    """Compare finalists with the default, paired by seed, in the search and in the confirmation."""
    seeds = confirm_seeds(sweep, n_seeds)
    known = store.trajectories()

    import pandas as pd

    def scores(specs: Sequence[TrajectorySpec]) -> pd.Series[float] | None:
        if any(known.get(spec.trajectory_id, {}).get("status") != "ok" for spec in specs):
            return None
        curves = [store.rounds(spec.trajectory_id)[0] for spec in specs]
        values = [score(curve, sweep.objective, sweep.space.window, metric=sweep.metric) for curve in curves]
        return pd.Series(values, index=[spec.seed for spec in specs])

    def difference(own: Sequence[TrajectorySpec], other: Sequence[TrajectorySpec]) -> Interval | None:
        pair = scores(own), scores(other)
        return None if pair[0] is None or pair[1] is None else paired_difference(pair[0], pair[1])

    default, default_confirmed = (
        sweep.default_specs(data),
        sweep.default_specs(data, seeds=seeds, evaluate_on="confirm"),
    )
    return Confirmation(
        seeds=seeds,
        default=", ".join([*(f"{name}={value}" for name, value in sweep.defaults.items()), default[0].schedule]),
        advantages=tuple(
            Advantage(record.number, is_default=True)
            if list(record.specs) == default
            else Advantage(
                record.number,
                searched=difference(record.specs, default),
                confirmed=difference(
                    sweep.specs(record.values, data, seeds=seeds, evaluate_on="confirm"), default_confirmed
                ),
            )
            for record in finalists
        ),
    )


def _ends(name: str, interval: Interval | None) -> Row:
    ends = [None] * 3 if interval is None else [interval.estimate, interval.low, interval.high]
    known = [None if end is None or math.isnan(end) else end for end in ends]
    return dict(zip((name, f"{name}_low", f"{name}_high"), known, strict=True))
