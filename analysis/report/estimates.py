"""All estimates on one data set, and what is left out of the comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis import comparison, diagnostics, tables
from analysis.exceptions import MixedSettingsError
from analysis.results import Results
from analysis.tables import Excluded


class Refusal(NamedTuple):
    """A table or figure that is not there, and why."""

    title: str
    reason: str


@dataclass(frozen=True)
class Estimates:
    """All estimates of one data set, each computed once.

    Attributes:
        results: finished trajectories of one data set.
        baseline: name of the strategy to compare with, or of a configuration.
        seed: of the resampling; every table draws from a generator of its own.
        registered_window: label counts of every area, where they were registered.
    """

    results: Results
    baseline: str
    seed: int
    registered_window: tuple[int, int] | None = None

    @cached_property
    def excluded(self) -> list[Refusal]:
        """Configurations that not all comparisons have, because they have no baseline or not its seeds."""
        left_out = [Refusal(f"Comparisons with {self.baseline}", each.reason) for each in self._lacking]
        left_out += [Refusal("Comparisons at each label count", each.reason) for each in self._unequal]
        return left_out + [Refusal("Pairwise penalties", each.reason) for each in self._incomplete]

    @cached_property
    def compared(self) -> Results:
        """Configurations that have a baseline; all, where none has, so that it is said why."""
        return _without(self.results, self._lacking)

    @cached_property
    def paired_by_seed(self) -> Results:
        """Those of `compared` that have the seeds of their baseline."""
        return _without(self.compared, self._unequal)

    @cached_property
    def has_baseline(self) -> bool:
        """Whether anything can be compared with it."""
        return bool(set(self.results.seed_curves) - _names(tables.without_baseline(self.results, self.baseline)))

    @cached_property
    def _lacking(self) -> list[Excluded]:
        return tables.without_baseline(self.results, self.baseline) if self.has_baseline else []

    @cached_property
    def _unequal(self) -> list[Excluded]:
        if not self.has_baseline:
            return []
        references = tables.baselines(self.compared, self.baseline)
        unequal = comparison.with_unequal_seeds(self.compared, baseline=self.baseline)
        return unequal if set(references) - _names(unequal) - set(references.values()) else []

    @cached_property
    def _incomplete(self) -> list[Excluded]:
        incomplete = comparison.with_missing_seeds(self.results)
        return incomplete if set(self.results.seed_curves) - _names(incomplete) else []

    @cached_property
    def window(self) -> tuple[int, int]:
        """Label counts of every area here: those that all curves span, or where there are none, all compared ones."""
        if self.registered_window is not None:
            return self.registered_window
        try:
            return tables.common_window(self.results)
        except MixedSettingsError:
            return tables.common_window(self.compared)

    @cached_property
    def accuracies(self) -> pd.DataFrame:
        """`accuracy_table`."""
        return tables.accuracy_table(self.results)

    @cached_property
    def areas(self) -> pd.DataFrame:
        """`summary_table` without a baseline; area_log_mean and area_log_std besides."""
        window = self.registered_window
        plain = tables.summary_table(self.results, baseline=None, window=window)
        log = (
            tables.trajectory_table(self.results, log=True, window=window)
            .groupby("configuration")["area"]
            .agg(["mean", "std"])
        )
        return plain.join(log.add_prefix("area_log_"), on="configuration")

    @cached_property
    def paired(self) -> pd.DataFrame:
        """`paired_table`."""
        return tables.paired_table(self.compared, baseline=self.baseline, window=self.window)

    @cached_property
    def gains(self) -> pd.DataFrame:
        """`gain_table`."""
        return comparison.gain_table(self.paired_by_seed, baseline=self.baseline)

    @cached_property
    def transitions(self) -> pd.DataFrame:
        """`phase_transition`."""
        return comparison.phase_transition(self.paired_by_seed, baseline=self.baseline, rng=self._rng())

    @cached_property
    def penalties(self) -> pd.DataFrame:
        """`pairwise_penalties`."""
        return comparison.pairwise_penalties(_without(self.results, self._incomplete))

    @cached_property
    def costs(self) -> pd.DataFrame:
        """`cost_table`."""
        return diagnostics.cost_table(self.results)

    @cached_property
    def spending(self) -> pd.DataFrame:
        """`spending_table`."""
        return tables.spending_table(self.results)

    @cached_property
    def diagnoses(self) -> pd.DataFrame:
        """`diagnosis_table`."""
        return diagnostics.diagnosis_table(self.results)

    @cached_property
    def clusters(self) -> pd.DataFrame:
        """`cluster_table`."""
        return diagnostics.cluster_table(self.results, window=self.registered_window)

    @cached_property
    def saved(self) -> pd.DataFrame:
        """`labels_saved`."""
        return comparison.labels_saved(self.paired_by_seed, baseline=self.baseline, rng=self._rng())

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


def _without(results: Results, excluded: Sequence[Excluded]) -> Results:
    """All but what is excluded, with equal names."""
    names = _names(excluded)
    return results.of(name for name in results.names if name not in names) if names else results


def _names(excluded: Sequence[Excluded]) -> set[str]:
    return {name for each in excluded for name in each.names}
