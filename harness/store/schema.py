"""The Parquet tables of a store: the only contract between running and reading.

Accuracies and coverages are in [0, 1]. Seconds are wall time. `round` and `position` count from 0. `n_labels` is the
number of labels that have been bought by the end of the round. `pool_index` is a row of `x_train`, as `harness.pools`
made it. Columns that hold JSON say so. A value that does not apply is null.
"""

from __future__ import annotations

import pyarrow as pa

VERSION = "3"
"""Raised where columns change. 2: `rounds` has what `ADDED` names; 3: `trials` and `confirmations` have."""
IDENTITY = "1"
"""Part of every trajectory's id; raised where results change, not for further columns."""
VERSION_KEY = b"ntkcpl.schema_version"
ORACLES = ("boss",)
"""Values of the column `strategy` that saw true labels and test data: bounds, never to be compared."""


def _table(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in fields], metadata={VERSION_KEY: VERSION.encode()})


TRAJECTORIES = _table(
    ("trajectory_id", pa.string()),
    ("data", pa.string()),
    ("data_hash", pa.string()),
    ("strategy", pa.string()),
    ("params", pa.string()),  # JSON
    ("seed", pa.int64()),
    ("schedule", pa.string()),
    ("evaluate_on", pa.string()),  # all, tune, confirm
    ("status", pa.string()),  # ok, failed
    ("message", pa.string()),
    ("spec", pa.string()),  # JSON
    ("versions", pa.string()),  # JSON, with the arithmetic fingerprint
    ("git", pa.string()),
    ("device", pa.string()),
    ("started_at", pa.timestamp("us", tz="UTC")),
    ("seconds", pa.float64()),
    ("peak_bytes", pa.int64()),
)

ROUNDS = _table(
    ("trajectory_id", pa.string()),
    ("data", pa.string()),
    ("strategy", pa.string()),
    ("params", pa.string()),  # JSON
    ("seed", pa.int64()),
    ("round", pa.int64()),
    ("n_labels", pa.int64()),
    ("n_query", pa.int64()),
    ("accuracy", pa.float64()),
    ("select_seconds", pa.float64()),
    ("train_seconds", pa.float64()),
    ("n_clusters", pa.int64()),
    ("coverage_estimated", pa.float64()),
    ("coverage_ntk_true", pa.float64()),
    ("coverage_true", pa.float64()),
    ("stats", pa.string()),  # JSON; `n_no_class`: number of labels lost so far on points of no class
    ("balanced_accuracy", pa.float64()),  # mean recall of the classes; null before version 2, like all that follow
    ("macro_f1", pa.float64()),  # mean F1 of the classes
    ("nll", pa.float64()),  # negative log-likelihood of the true class, mean in nats; less is better
    ("ece", pa.float64()),  # expected calibration error, 15 bins of equal width; less is better
    ("recall", pa.list_(pa.float64())),  # share of right predictions in each class; null if it has no test data
    ("classes_reached", pa.int64()),  # classes with a bought point, by true class
    ("class_balance", pa.float64()),  # entropy of the classes bought so far, as a share of the largest, 0 to 1
)

QUERIES = _table(
    ("trajectory_id", pa.string()),
    ("round", pa.int64()),
    ("position", pa.int64()),
    ("pool_index", pa.int64()),
    ("score", pa.float64()),
)

STUDIES = _table(
    ("study", pa.string()),
    ("trajectory_id", pa.string()),
    ("command", pa.string()),
)

TRIALS = _table(
    ("study", pa.string()),
    ("trial", pa.int64()),
    ("params", pa.string()),  # JSON
    ("schedule", pa.string()),
    ("objective", pa.float64()),
    ("objective_std", pa.float64()),
    ("final_accuracy", pa.float64()),
    ("n_seeds", pa.int64()),
    ("labels_reached", pa.int64()),
    ("status", pa.string()),  # complete, stopped, failed
    ("trajectory_ids", pa.list_(pa.string())),
    ("seconds", pa.float64()),
    ("maximised", pa.string()),  # area, log_area, final; null before version 3, like all that follow
    ("window_from", pa.int64()),  # first label count of `objective`
    ("window_to", pa.int64()),
    ("metric", pa.string()),  # column of `rounds` from which `objective` and `final_accuracy` are made
)

COVERAGE = _table(
    ("picture", pa.string()),
    ("command", pa.string()),
    ("trajectory_id", pa.string()),
    ("data", pa.string()),
    ("strategy", pa.string()),
    ("params", pa.string()),  # JSON
    ("seed", pa.int64()),
    ("point", pa.int64()),
    ("x", pa.float64()),
    ("y", pa.float64()),
    ("class", pa.string()),
    ("pick", pa.int64()),  # counts from 0; null if the label was not bought
    ("pseudo_label", pa.int64()),
    ("predicted", pa.string()),  # class that the classifier predicts
    ("covered_estimated", pa.bool_()),
    ("covered_true", pa.bool_()),
    ("ball_x", pa.float64()),  # circle around a pick in which points count as covered
    ("ball_y", pa.float64()),
    ("ball_radius", pa.float64()),
)

CONFIRMATIONS = _table(
    ("study", pa.string()),
    ("trial", pa.int64()),
    ("status", pa.string()),  # compared, failed, default (the trial is the default)
    ("default", pa.string()),  # the default configuration, in words
    ("seeds", pa.list_(pa.int64())),  # none of them was in the search
    ("searched", pa.float64()),  # objective minus that of the default, paired by seed, in the search
    ("searched_low", pa.float64()),  # 95 % interval, Student's t; null where the seeds show no spread
    ("searched_high", pa.float64()),
    ("confirmed", pa.float64()),  # the same with `seeds`, on the confirm half of the test data
    ("confirmed_low", pa.float64()),
    ("confirmed_high", pa.float64()),
    ("looked_at", pa.timestamp("us", tz="UTC")),  # the latest rows of a study are valid; null before version 3
)

REGISTRATIONS = _table(
    ("study", pa.string()),
    ("registered_at", pa.timestamp("us", tz="UTC")),
    ("n_begun", pa.int64()),  # trajectories of the study that had a finished round at that time
    ("subject", pa.string()),  # compare, or `sweep of` a strategy
    ("data", pa.string()),
    ("data_hash", pa.string()),
    ("configurations", pa.string()),  # JSON: strategies with parameters; for a sweep, its space, search, default
    ("trajectory_ids", pa.list_(pa.string())),  # only for a comparison
    ("seeds", pa.list_(pa.int64())),
    ("baseline", pa.string()),  # strategy with which the others are compared; null for a sweep
    ("maximised", pa.string()),  # area, log_area, final
    ("metric", pa.string()),
    ("window_from", pa.int64()),
    ("window_to", pa.int64()),
    ("n_trials", pa.int64()),  # only for a sweep
    ("confirm_seeds", pa.list_(pa.int64())),  # only for a sweep
    ("command", pa.string()),
)

TABLES: dict[str, pa.Schema] = {
    "trajectories": TRAJECTORIES,
    "rounds": ROUNDS,
    "queries": QUERIES,
    "studies": STUDIES,
    "trials": TRIALS,
}
"""What every store has."""

ALL_TABLES: dict[str, pa.Schema] = {
    **TABLES,
    "coverage": COVERAGE,
    "confirmations": CONFIRMATIONS,
    "registrations": REGISTRATIONS,
}
"""What a store may have: `coverage` once a picture has been made (`ntkcpl picture`), `confirmations` once a sweep has
confirmed its best trials (`ntkcpl sweep --confirm-seeds`), `registrations` once a study was registered
(`--register`)."""

_ADDED_3 = {
    "trials": frozenset({"maximised", "window_from", "window_to", "metric"}),
    "confirmations": frozenset({"looked_at"}),
}
ADDED: dict[str, dict[str, frozenset[str]]] = {
    "1": {
        "rounds": frozenset(
            {"balanced_accuracy", "macro_f1", "nll", "ece", "recall", "classes_reached", "class_balance"}
        ),
        **_ADDED_3,
    },
    "2": _ADDED_3,
}
"""Columns that files of an earlier version lack, by version and table; they read as null."""

METRICS = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro-F1"}
"""What a report or a sweep can look at: columns of `rounds` in [0, 1], more is better, and what each is called."""

MAXIMISED = {"area": "area", "log_area": "area over log labels", "final": "final value"}
"""What is made of a metric: values of the column `maximised`, and what each is called."""

MERGEABLE = ("queries", "rounds", "trajectories")
"""The tables of which a trajectory has a file, in the order in which they are written."""

MERGED = "compact-"
"""How the names of their files begin that hold several finished trajectories (`ntkcpl store compact`)."""

_KEYS = frozenset(
    {
        *{"trajectory_id", "round", "position", "pool_index", "n_labels", "n_query", "study", "trial", "status"},
        *{"data", "data_hash", "strategy", "params", "seed", "schedule", "evaluate_on", "spec", "accuracy"},
        *{"select_seconds", "train_seconds", "command", "trajectory_ids"},
        *{"registered_at", "subject", "configurations", "seeds", "confirm_seeds"},
    }
)
_OF_REGISTRATIONS = frozenset({"n_begun", "maximised", "metric", "window_from", "window_to"})
KEYS = dict.fromkeys(ALL_TABLES, _KEYS) | {"coverage": frozenset(), "registrations": _KEYS | _OF_REGISTRATIONS}
"""Columns that are never null, by table; a list among them has no null in it."""

JSON = frozenset({"params", "spec", "versions", "stats"})
"""Columns that hold a JSON object, or null."""
FLAT = {
    "stats": frozenset(
        {
            *{"n_no_class", "measure_seconds", "p_nff", "p_fnf", "ntk_error", "estimate_error"},
            *{"cap_bound", "stored_share"},
        }
    )
}
"""Those of them whose values are numbers, texts or null, with the names that readers compute with: always numbers."""
FILLED = frozenset({"seeds", "recall"})
"""Lists that have a value, if they are not null."""
LISTED = frozenset({"configurations"})
"""Columns that hold a JSON object, or a list."""
CHOICES = {"maximised": MAXIMISED, "metric": METRICS}
"""The texts that a column may hold, if it is not null."""


def is_readable(version: str) -> bool:
    """Whether files of a schema version can be read: this one, or one that lacks columns alone."""
    return version == VERSION or version in ADDED


def completed(content: pa.Table, table: str, version: str) -> pa.Table:
    """The rows of a file of an earlier version with the columns that it lacks, as far as it may lack them.

    Args:
        content: all columns of the file.
        table: name of the table.
        version: of the file, one that is readable.
    """
    added = ADDED.get(version, {}).get(table, frozenset())
    for column in ALL_TABLES[table] if added else ():
        if column.name in added and column.name not in content.column_names:
            content = content.append_column(column, pa.nulls(len(content), column.type))
    return content.replace_schema_metadata(ALL_TABLES[table].metadata)
