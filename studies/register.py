"""Registering a study before it runs: what is kept, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from analysis.registration import COMPARE, Registration, find, sweep_subject
from harness.exceptions import SpecError
from harness.schedule import Schedule
from harness.spec import TrajectorySpec, canonical_json
from harness.store.schema import ORACLES
from harness.store.writing import Store

if TYPE_CHECKING:
    from studies.sweeps.trials import Sweep

_CONFIGURATION = {"strategy", "params", "schedule", "learner"}


class Terms(BaseModel):
    """What a comparison will show.

    Attributes:
        baseline: strategy that the others are compared with.
        metric: what the area is made of.
        window: label counts of the area; None takes the whole schedule.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    baseline: str = "random"
    metric: Literal["accuracy", "balanced_accuracy", "macro_f1"] = "accuracy"
    window: tuple[int, int] | None = None


def of_comparison(
    specs: Sequence[TrajectorySpec], terms: Terms, *, study: str, n_begun: int, command: str
) -> Registration:
    """The registration of a comparison.

    Args:
        specs: its trajectories.
        terms: what it will show.
        study: its name.
        n_begun: trajectories of it that have a finished round.
        command: the command line.

    Raises:
        SpecError: the baseline is not one configuration of it, or the window is not within its schedule.
    """
    first = specs[0]
    distinct = {(spec.strategy, spec.params_json): spec for spec in specs if spec.strategy not in ORACLES}
    names = [name for name, _ in distinct]
    if names.count(terms.baseline) != 1:
        raise SpecError(
            f"Expected one configuration of the baseline `{terms.baseline}` among those to be registered, but got "
            f"{', '.join(names)}."
        )
    counts = Schedule.parse(first.schedule).label_counts
    low, high = terms.window or (counts[0], counts[-1])
    if not counts[0] <= low <= high <= counts[-1] or (low == high and len(counts) > 1):
        raise SpecError(f"Expected a window within {counts[0]} to {counts[-1]} labels, but got {low} to {high}.")
    return Registration(
        study=study,
        registered_at=datetime.now(UTC),
        n_begun=n_begun,
        subject=COMPARE,
        data=first.data,
        data_hash=first.data_hash,
        configurations=canonical_json([_described(spec) for spec in distinct.values()]),
        seeds=tuple(sorted({spec.seed for spec in specs})),
        baseline=terms.baseline,
        maximised="area",
        metric=terms.metric,
        window=(low, high),
        trajectory_ids=tuple(sorted(spec.trajectory_id for spec in specs if spec.strategy not in ORACLES)),
        command=command,
    )


def of_sweep(
    sweep: Sweep,
    default: TrajectorySpec,
    *,
    study: str,
    n_trials: int,
    confirm_seeds: Sequence[int],
    n_begun: int,
    command: str,
) -> Registration:
    """The registration of a sweep.

    Args:
        sweep: what is searched.
        default: a trajectory of the configuration that the best trial is confirmed against.
        study: its name.
        n_trials: trials that there will be.
        confirm_seeds: seeds of the confirmation.
        n_begun: trajectories of it that have a finished round.
        command: the command line.
    """
    searched = {
        "space": sweep.space.describe(),
        "search": [sweep.search, sweep.search_seed],
        "scheduler": sweep.scheduler,
        "by_seconds": sweep.by_seconds,
        "default": _described(default),
    }
    if sweep.unshown:
        searched["fixed"] = sweep.unshown
    return Registration(
        study=study,
        registered_at=datetime.now(UTC),
        n_begun=n_begun,
        subject=sweep_subject(sweep.strategy),
        data=default.data,
        data_hash=default.data_hash,
        configurations=canonical_json(searched),
        seeds=tuple(sorted(sweep.seeds)),
        baseline=None,
        maximised=sweep.objective,
        metric=sweep.metric,
        window=sweep.space.window,
        n_trials=n_trials,
        confirm_seeds=tuple(confirm_seeds),
        command=command,
    )


def register(wanted: Registration, store: Store, n_all: int, *, keep: bool) -> str:
    """Keep a registration, unless it is there already; what to say of it.

    Args:
        wanted: what is asked for.
        store: where; held for writing if it is to be kept.
        n_all: trajectories of the study.
        keep: whether to write it, or only to see whether that may be.

    Raises:
        SpecError: something else has been registered, or nothing of the study is left to begin.
    """
    if known := registered(store, wanted.subject, wanted.data_hash):
        if found := known.differences(wanted):
            raise SpecError(
                f"Expected what was registered for `{known.data}` on {known.when} ({known}), but this command differs"
                " in "
                f"its {', '.join(found)}; run it with --no-register, so that the report calls it exploratory, or choose"
                " another --out."
            )
        return known.sentence
    if wanted.n_begun >= n_all:
        raise SpecError(
            "Expected to register a study before it runs, but all its trajectories have begun; choose "
            "other seeds and another --out."
        )
    if not keep:
        return f"To be registered: {wanted}."
    store.write_registration(wanted.row())
    return wanted.sentence


def registered(store: Store, subject: str, data_hash: str) -> Registration | None:
    """What counts for one subject on one data set, if there is anything."""
    own = find([Registration.of_row(row) for row in store.registrations()], subject, data_hash)
    return own[0] if own else None


def beyond(store: Store, subject: str, data_hash: str, study: str) -> str | None:
    """What to say of a study that is not the one that was registered; nothing where there is none."""
    known = registered(store, subject, data_hash)
    if known is None or known.study == study:
        return None
    return f"This is not what was registered on {known.when} ({known}), so the report calls it exploratory."


def _described(spec: TrajectorySpec) -> dict[str, object]:
    return spec.model_dump(mode="json", include=_CONFIGURATION)
