"""Errors of the analysis.

AnalysisError
├── SelectionError       a data set or study that is not in the results, or must be named
├── MixedSettingsError   trajectories that must not be averaged together
├── NoBaselineError      a comparison without the baseline that it is made against
├── UnpairedError        a paired comparison of unequal seeds
└── InvalidValuesError   numbers that are no curve or no sample

A store that cannot be read is a `harness.StoreError`.
"""


class AnalysisError(Exception):
    """Root of all errors that the analysis raises on purpose; its message is one line for a user."""


class SelectionError(AnalysisError, ValueError):
    """A data set or study that is not in the results, or that must be named because there are several."""


class MixedSettingsError(AnalysisError, ValueError):
    """Trajectories that must not be averaged together: other learner, other data, other algorithm."""


class NoBaselineError(AnalysisError, ValueError):
    """A comparison without the baseline that it is made against."""


class UnpairedError(AnalysisError, ValueError):
    """A paired comparison of unequal seeds."""


class InvalidValuesError(AnalysisError, ValueError):
    """Numbers that are no curve (label counts that do not rise) or no sample (empty, not finite)."""
