"""The trial book of a sweep: which trials there are, what each tries, and how those ended that have."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from analysis.registration import sweep_subject
from analysis.words import counted
from harness.data import Dataset
from harness.plan import Plan, make_plan
from harness.spec import TrajectorySpec, canonical_json
from harness.store.reading import Row
from harness.store.writing import Store
from studies.register import beyond, of_sweep, register
from studies.run import describe
from studies.sweeps.confirm import confirm_plan, confirm_seeds, confirmed
from studies.sweeps.search import Told, mirror, propose
from studies.sweeps.space import Values
from studies.sweeps.trials import Record, Status, Sweep, best_first, make_record, pareto_front, values_of


@dataclass(frozen=True)
class SweepRun:
    """How a sweep runs, beside its resources; nothing here changes what a trial gives.

    Attributes:
        concurrent_trials: trials at once; None takes what keeps the workers busy.
        confirm_seeds: further seeds on the other half of the test data; 0 leaves the result unconfirmed.
        optuna_storage: sqlite file for optuna-dashboard.
        command: the command line, kept with the study.
        dry_run: print the plan only.
        register: keep in the store what the sweep will show, before anything runs.
    """

    concurrent_trials: int | None = None
    confirm_seeds: int = 0
    optuna_storage: Path | None = None
    command: str = "ntkcpl sweep"
    dry_run: bool = False
    register: bool = False


class TrialBook:
    """The trials of a sweep, from its store and then from the driver, the only one that adds to them.

    Tune's thread asks it for configurations meanwhile (`configure`); all else is the driver's.

    Attributes:
        study: name in the store.
        n_trials: how many there will be.
        known: rows of `trajectories` by id; whoever runs trajectories adds those that have ended.
    """

    def __init__(self, sweep: Sweep, data: Dataset, store: Store, options: SweepRun) -> None:
        self.sweep = sweep
        self.study = sweep.study(data)
        self.known = store.trajectories()
        self._data = data
        self._store = store
        self._options = options
        self._members = [row["trajectory_id"] for row in store.studies().get(self.study, [])]
        rows = store.trials(self.study)
        self._values = self._grid(rows) if sweep.search == "grid" else {}
        self.n_trials = len(self._values) or sweep.n_trials
        self._records: dict[int, Record] = {}
        self._lock = threading.Lock()
        self._read_trials(rows)
        if sweep.scheduler == "none":
            self._take_what_is_done()

    def _grid(self, rows: Sequence[Row]) -> dict[int, Values]:
        """The points of a grid by number: each once, and those of earlier runs as they were numbered then."""
        points = {canonical_json(point): point for point in self.sweep.space.grid()}
        numbers, numbered = range(len(points)), dict[int, Values]()
        for row in rows:
            if int(row["trial"]) in numbers:
                point = points.pop(canonical_json(values_of(row, self.sweep.space)), None)
                numbered |= {} if point is None else {int(row["trial"]): point}
        free = [number for number in numbers if number not in numbered]
        return numbered | dict(zip(free, points.values(), strict=True))

    def _read_trials(self, rows: Sequence[Row]) -> None:
        """Trials of earlier runs; those that failed are tried again, with their configuration."""
        for row in rows:
            number, values = int(row["trial"]), values_of(row, self.sweep.space)
            is_numbered_so = self._values.setdefault(number, values) == values
            if not is_numbered_so or row["status"] == "failed" or number >= self.n_trials:
                continue
            specs = self.sweep.specs(values, self._data)
            curves = [self._store.rounds(spec.trajectory_id)[0] for spec in specs]
            status, labels = row["status"], int(row["labels_reached"])
            if all(curve and curve[-1]["n_labels"] >= labels for curve in curves):  # else somebody removed rows
                self._records[number] = make_record(self.sweep, number, values, specs, curves, status, labels)

    def _take_what_is_done(self) -> None:
        """Trials whose trajectories the store has already, from whatever study: they need no worker and no Tune."""
        for number in self.pending:
            specs = self.specs(number)
            if all(self.is_done(spec) for spec in specs):
                curves = [self._store.rounds(spec.trajectory_id)[0] for spec in specs]
                values, budget = self.configure(number), self.sweep.space.budget
                self._records[number] = make_record(self.sweep, number, values, specs, curves, "complete", budget)
            elif not self._is_foreseen:
                return  # what comes next depends on this one

    @property
    def _is_foreseen(self) -> bool:
        """Whether every configuration is known before the others have ended."""
        return self.sweep.search in ("grid", "random")

    @property
    def runs_anyway(self) -> bool:
        """Whether every trial runs to its end, with a configuration that is known before."""
        return self._is_foreseen and self.sweep.scheduler == "none"

    def is_done(self, spec: TrajectorySpec) -> bool:
        """Whether a trajectory is finished."""
        return bool(self.known.get(spec.trajectory_id, {}).get("status") == "ok")

    @property
    def records(self) -> Mapping[int, Record]:
        """The trials that have ended, by number."""
        return self._records

    @property
    def pending(self) -> list[int]:
        """Numbers of the trials that have not ended."""
        return [number for number in range(self.n_trials) if number not in self._records]

    def configure(self, number: int) -> Values:
        """The configuration of a trial, the same for whoever asks; any thread may."""
        with self._lock:
            if number in self._values:
                return self._values[number]
            running = [Told(n, dict(values), "running") for n, values in self._values.items() if n not in self._records]
            told = [*(record.told for record in self._records.values()), *running]
        sweep = self.sweep
        assert sweep.search != "grid"
        # Outside of the lock: the driver need not wait for a sampler.
        proposed = propose(sweep.space, sweep.search, sweep.search_seed, number, told, n_objectives=sweep.n_objectives)
        with self._lock:
            return self._values.setdefault(number, proposed)

    def specs(self, number: int) -> list[TrajectorySpec]:
        """The trajectories of a trial, by seed."""
        return self.sweep.specs(self.configure(number), self._data)

    def plan(self, specs: Sequence[TrajectorySpec] | None = None) -> Plan:
        """What trajectories still need, each once; by default those of the pending trials, where they are known."""
        if specs is None:
            specs = [spec for number in self.pending for spec in self.specs(number)] if self._is_foreseen else []
        return make_plan(list({spec.trajectory_id: spec for spec in specs}.values()), self._store, self.known)

    @property
    def finalists(self) -> list[Record]:
        """What is to be confirmed: the best trial, or those of the Pareto front."""
        complete = [record for record in self._records.values() if record.status == "complete"]
        return pareto_front(complete) if self.sweep.by_seconds else best_first(complete)[:1]

    @property
    def confirmation(self) -> list[TrajectorySpec]:
        """Trajectories that the confirmation of the trials so far needs."""
        n_seeds, finalists = self._options.confirm_seeds, self.finalists
        return confirm_plan(self.sweep, self._data, finalists, n_seeds) if n_seeds and finalists else []

    @property
    def n_left(self) -> int:
        """Most trajectories that may still have to run."""
        if not self.pending:
            return len(self.plan(self.confirmation).jobs)
        return max(1, len(self.plan().jobs) if self._is_foreseen else len(self.pending) * len(self.sweep.seeds))

    def __str__(self) -> str:
        parts = [f"{len(self._records)} already done"] if self._records else []
        if self.pending:
            n_most = len(self.pending) * len(self.sweep.seeds)
            parts.append(
                describe(self.plan()) if self._is_foreseen else f"up to {counted(n_most, 'trajectory')} to run"
            )
            if (n_seeds := self._options.confirm_seeds) and not self.sweep.by_seconds:
                parts.append(f"then up to {2 * n_seeds + len(self.sweep.seeds)} to confirm the best")
        size = f"{counted(self.n_trials, 'trial')} with {counted(len(self.sweep.seeds), 'seed')} each"
        return "; ".join([size, *parts])

    def join(self, specs: Sequence[TrajectorySpec]) -> None:
        """Make trajectories part of the study."""
        new = [spec.trajectory_id for spec in specs if spec.trajectory_id not in self._members]
        if new:
            self._members += new
            self._store.write_study(self.study, self._options.command, self._members)

    def record(
        self,
        number: int,
        specs: Sequence[TrajectorySpec],
        curves: Sequence[Sequence[Row]],
        status: Status,
        labels: int,
    ) -> Record:
        """Write down a trial that has ended, with the rounds of its trajectories as far as they came."""
        found = make_record(self.sweep, number, self.configure(number), specs, curves, status, labels)
        with self._lock:
            self._records[number] = found
        self.save()
        return found

    def save(self) -> None:
        """Write the trials with their trajectories, and the mirror where one is wanted."""
        self.join([spec for record in self._records.values() for spec in record.specs])
        rows = {int(row["trial"]): row for row in self._store.trials(self.study)}
        rows |= {number: record.row(self.study, self.sweep) for number, record in self._records.items()}
        if rows:
            self._store.write_trials(self.study, [rows[number] for number in sorted(rows)])
        if self._options.optuna_storage is not None:
            told = [record.told for record in self._records.values()]
            n_objectives = self.sweep.n_objectives
            mirror(self._options.optuna_storage, self.study, self.sweep.space, told, n_objectives=n_objectives)

    def confirm(self) -> None:
        """Add what is left of the finalists' advantages to earlier looks, where that was asked for."""
        if (n_seeds := self._options.confirm_seeds) and self.finalists:
            found = confirmed(self.sweep, self._data, self.finalists, n_seeds, self._store)
            earlier = self._store.confirmations(self.study)
            self._store.write_confirmations(self.study, [*earlier, *found.rows(self.study, datetime.now(UTC))])

    def registering(self, *, keep: bool) -> str | None:
        """Keep what the sweep will show, or see whether that may be; what to say of it."""
        default, options = self.sweep.default_specs(self._data)[0], self._options
        if not options.register:
            return beyond(self._store, sweep_subject(self.sweep.strategy), default.data_hash, self.study)
        wanted = of_sweep(
            self.sweep,
            default,
            study=self.study,
            n_trials=self.n_trials,
            confirm_seeds=confirm_seeds(self.sweep, options.confirm_seeds),
            n_begun=self._n_begun,
            command=options.command,
        )
        return register(wanted, self._store, self.n_trials * len(self.sweep.seeds), keep=keep)

    @property
    def _n_begun(self) -> int:
        """Trajectories of the search that have a finished round."""
        n_ended = len(self._records) * len(self.sweep.seeds)
        if self._is_foreseen:
            return n_ended + sum(job.origin != "new" for job in self.plan().jobs)
        # What trials that have not ended would try is not known yet, but what has been run for them is.
        ended = {spec.trajectory_id for record in self._records.values() for spec in record.specs}
        begun = [self._store.rounds(name)[0] for name in self._members if name not in ended]
        return n_ended + sum(bool(rounds) and rounds[0]["seed"] in self.sweep.seeds for rounds in begun)
