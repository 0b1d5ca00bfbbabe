"""What a section is about: what was registered, apart from what came later; without a registration, all there is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.registration import COMPARE, Registration, find, registrations_in, seeds_in_words
from analysis.results import Results
from analysis.words import listed

BASELINE = "random"
_ALL, _TUNE = "all", "tune"
_EXPLORATORY = "This was not announced beforehand: it may suggest a study, but does not replace one."


@dataclass(frozen=True)
class Part:
    """Trajectories of one data set, evaluated on one part of its test data, that are compared with one another.

    Attributes:
        results: the trajectories.
        evaluate_on: the part of the test data.
        baseline: what the others are compared with.
        window: label counts of every area, where they were registered.
        notes: what was registered, and what is not as it was registered.
        is_exploratory: whether there is a registration that this goes beyond.
    """

    results: Results
    evaluate_on: str
    baseline: str
    window: tuple[int, int] | None = None
    notes: Sequence[str] = ()
    is_exploratory: bool = False

    @property
    def name(self) -> str:
        """The data set, its half, and whether this is exploratory."""
        half = "" if self.evaluate_on == _ALL else f", {self.evaluate_on} half"
        return self.results.data_names[0] + half + (", exploratory" if self.is_exploratory else "")


def parts(results: Results, baseline: str | None) -> list[Part]:
    """What may be compared, all of the test data first, halves last; what is exploratory after what was registered.

    Args:
        results: finished trajectories.
        baseline: what was asked for; None takes what was registered, else Random.
    """
    wholes = {
        (evaluate_on != _ALL, name, evaluate_on != _TUNE): (evaluate_on, results.only(name, evaluate_on))
        for frame in (results.trajectories, results.failures)
        for name, evaluate_on in set(zip(frame["data"], frame["evaluate_on"], strict=True))
    }
    found: list[Part] = []
    for evaluate_on, whole in (wholes[key] for key in sorted(wholes)):
        own = find(registrations_in(whole.registrations), COMPARE, _data_hash(whole)) if evaluate_on == _ALL else []
        if own:
            found += _apart(whole, own, baseline)
        else:
            found.append(Part(whole, evaluate_on, baseline or BASELINE))
    return found


def confirmatory(results: Results, made: Sequence[Part]) -> Results:
    """All but what goes beyond a registration, where what was registered is there."""
    registered = {part.results.data_names[0] for part in made if part.window is not None}
    kept = set(results.configurations.index)
    for part in made:
        if part.is_exploratory and part.results.data_names[0] in registered:
            kept -= set(part.results.configurations.index)
    for part in made:
        if part.window is not None:
            kept |= set(part.results.configurations.index)
    return results if len(kept) == len(results.configurations) else results.among(kept)


def _apart(whole: Results, own: Sequence[Registration], asked: str | None) -> Iterator[Part]:
    first = own[0]
    baseline = asked or first.baseline or BASELINE
    later = [f"A later registration, of {each.when}, is not followed: {each}." for each in own[1:]]
    registered = whole.among(first.trajectory_ids)
    otherwise = []
    if whole.metric != first.metric:
        otherwise.append(f"this report looks at {whole.worded('accuracy')}")
    if baseline != first.baseline:
        otherwise.append(f"it compares with {baseline}")
    if not otherwise and len(registered.trajectories):
        notes = [first.sentence, *_missing(registered, first), *later]
        yield Part(registered, _ALL, baseline, first.window, notes)
    beyond = whole.configurations[~whole.configurations.index.isin(first.trajectory_ids)]
    if not otherwise and len(registered.trajectories) and beyond.empty:
        return
    if otherwise:
        said = f"What was registered on {first.when} is different ({first}): {' and '.join(otherwise)}."
    elif registered.trajectories.empty:
        said = f"Nothing that was registered on {first.when} is finished here."
    else:
        said = f"In addition to what was registered, this section has {_listed(beyond)}."
    yield Part(
        whole,
        _ALL,
        baseline,
        notes=[f"{said} {_EXPLORATORY}", *later],
        is_exploratory=True,
    )


def _missing(registered: Results, first: Registration) -> Iterator[str]:
    n_all, n_failed = len(first.trajectory_ids), len(registered.failures)
    if n_left := n_all - len(registered.trajectories):
        failed = f" ({n_failed} failed)" if n_failed else ""
        are = "is" if n_left == 1 else "are"
        yield f"This is not yet all that was registered: of its {n_all} trajectories, {n_left} {are} missing{failed}."


def _listed(cells: pd.DataFrame) -> str:
    """Configurations with their seeds."""
    groups = cells.groupby("configuration", sort=False)["seed"].unique()
    return listed([f"{name} ({seeds_in_words(np.asarray(seeds).tolist())})" for name, seeds in groups.items()])


def _data_hash(whole: Results) -> str:
    return str([*whole.trajectories["data_hash"], *whole.failures["data_hash"]][0])
