"""What was run, on what, with which command; and what makes numbers of one page differ for reasons of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd

from analysis.results import Results
from analysis.words import counted

VERSIONS = ("ntkcpl", "torch", "numpy", "scikit-learn", "ray", "python")


def environment_table(results: Results) -> pd.DataFrame:
    """Where trajectories ran.

    Returns:
        One row per device, git state and set of versions: device, git, versions (of what computes),
        fingerprint (JSON, of the arithmetic), trajectories, first and last (times of their starts).
    """
    runs = results.trajectories
    versions = [json.loads(text) if isinstance(text, str) else {} for text in runs["versions"]]
    shown = [" · ".join(f"{name} {each[name]}" for name in VERSIONS if name in each) for each in versions]
    fingerprint = [json.dumps(each.get("fingerprint", {}), sort_keys=True) for each in versions]
    frame = runs[["device", "git", "started_at"]].assign(versions=shown, fingerprint=fingerprint)
    keys = ["device", "git", "versions", "fingerprint"]
    frame[keys] = frame[keys].fillna("not recorded")
    groups = frame.groupby(keys, sort=False)["started_at"]
    return groups.agg(trajectories="size", first="min", last="max").reset_index()


def study_table(results: Results) -> pd.DataFrame:
    """Studies with the exact command that made them: study, command, trajectories, finished."""
    finished = results.studies["trajectory_id"].isin(results.trajectories["trajectory_id"])
    groups = results.studies.assign(finished=finished).groupby(["study", "command"], sort=False)["finished"]
    return groups.agg(trajectories="size", finished="sum").reset_index()


def warnings(results: Results) -> list[str]:
    """One line for everything in the results that a reader must know before comparing numbers."""
    found = []
    environments = environment_table(results)
    for column, what in (("device", "devices"), ("fingerprint", "arithmetic fingerprints"), ("git", "git states")):
        values = list(environments[column].unique())
        if len(values) > 1:
            shown = _differing(values) if column == "fingerprint" else "; ".join(values)
            found.append(
                f"Mixed {what}: these trajectories ran on {len(values)} ({shown}), so equal seeds need not agree."
            )
    if n_failed := len(results.failures):
        them = "it is" if n_failed == 1 else "they are"
        found.append(f"{counted(n_failed, 'trajectory')} failed; {them} listed below and in no average.")
    for path in results.unread:
        found.append(f"Left out because it is damaged: {path}.")
    return [*found, *results.notes]


def _differing(fingerprints: Sequence[str]) -> str:
    parsed = [json.loads(text) if text.startswith("{") else {} for text in fingerprints]
    keys = sorted({key for each in parsed for key in each})
    sides = {key: sorted({str(each.get(key, "not recorded")) for each in parsed}) for key in keys}
    return "; ".join(f"{key}: {' / '.join(values)}" for key, values in sides.items() if len(values) > 1)
