"""The Parquet tables of a store: the only contract between running and reading.

Column meanings: accuracies and coverages are in [0, 1]; seconds are wall time; `round` and `position`
count from 0; `n_labels` is the number of labels bought after the round; `pool_index` is a row of x_train, as
`harness.pools` made it; columns that hold JSON say so. What does not apply is null.
"""

from __future__ import annotations

import pyarrow as pa

VERSION = "1"
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
    ("stats", pa.string()),  # JSON
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
    ("pick", pa.int64()),  # from 0; null where the label was not bought
    ("pseudo_label", pa.int64()),
    ("predicted", pa.string()),  # class, by the classifier
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
    ("default", pa.string()),  # the configuration compared with, in words
    ("seeds", pa.list_(pa.int64())),  # none of them was in the search
    ("searched", pa.float64()),  # objective less the default's, paired by seed, in the search
    ("searched_low", pa.float64()),  # 95 % interval, Student's t; null for one seed
    ("searched_high", pa.float64()),
    ("confirmed", pa.float64()),  # the same with `seeds`, on the confirm half of the test data
    ("confirmed_low", pa.float64()),
    ("confirmed_high", pa.float64()),
)

TABLES: dict[str, pa.Schema] = {
    "trajectories": TRAJECTORIES,
    "rounds": ROUNDS,
    "queries": QUERIES,
    "studies": STUDIES,
    "trials": TRIALS,
}
"""What every store has."""

ALL_TABLES: dict[str, pa.Schema] = {**TABLES, "coverage": COVERAGE, "confirmations": CONFIRMATIONS}
"""What a store may have: `coverage` once a picture has been made (`ntkcpl picture`), `confirmations` once a sweep has
confirmed its best trials (`ntkcpl sweep --confirm-seeds`)."""

MERGED = "compact-"
"""How the names of files begin that hold several finished trajectories (`ntkcpl store compact`)."""

KEYS = frozenset(
    {"trajectory_id", "round", "position", "pool_index", "n_labels", "n_query", "study", "trial", "status"}
)
"""Columns that are never null in the tables that every store has."""
