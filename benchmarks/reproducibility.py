"""The same rows for any number of workers and CPU shares, and after kill -9 of the driver.

Runs one study five times and compares the tables `queries` and `rounds` (timings aside), row for row.

    python benchmarks/reproducibility.py --out runs/reproducibility
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # `strategies` is the package, not the script of that name.

import pandas as pd

STUDY = [
    *("--data", "digits", "--schedule", "10x6", "--seeds", "2"),
    *("--strategies", "random,typiclust,badge,coreset_self,lookahead,ntkcpl_self,ntkcpl_al"),
]
RUNS = {
    "1 worker, 1 CPU": ["--workers", "1"],
    "2 workers, 1 CPU each": ["--workers", "2"],
    "1 worker, 2 CPUs": ["--workers", "1", "--cpus-per-trajectory", "2"],
    "1 worker, 2 CPUs, 3 shards": ["--workers", "1", "--cpus-per-trajectory", "2", "--shards", "3"],
    "killed in the middle, run again": ["--workers", "2"],
}
ROUNDS_BEFORE_KILL = 30


def start(out: Path, options: Sequence[str]) -> subprocess.Popen[bytes]:
    """The study as a process."""
    command = [sys.executable, "-c", "from studies.cli import main; main()", "compare", *STUDY, *options]
    return subprocess.Popen(
        [*command, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def kill_in_the_middle(out: Path, options: Sequence[str]) -> int:
    """Kill the driver once it has stored some rounds; returns how many."""
    process = start(out, options)
    while process.poll() is None:
        n_rounds = len(pd.read_parquet(out / "rounds")) if any((out / "rounds").glob("*.parquet")) else 0
        if n_rounds >= ROUNDS_BEFORE_KILL:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            return n_rounds
        time.sleep(0.2)
    raise RuntimeError("The study ended before it could be killed.")


def tables(out: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Queries and rounds in a fixed order, without timings."""
    queries = pd.read_parquet(out / "queries").sort_values(["trajectory_id", "round", "position"], ignore_index=True)
    rounds = pd.read_parquet(out / "rounds").sort_values(["trajectory_id", "round"], ignore_index=True)
    return queries, rounds.drop(columns=["select_seconds", "train_seconds", "stats"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, compare, print; exit code 1 if any row differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    root = parser.parse_args(arguments).out
    expected: tuple[pd.DataFrame, pd.DataFrame] | None = None
    different = 0
    for number, (name, options) in enumerate(RUNS.items()):
        out = root / str(number)
        note = ""
        if name.startswith("killed"):
            note = f" (killed with {kill_in_the_middle(out, options)} rounds stored)"
        if start(out, options).wait() != 0:
            raise RuntimeError(f"The study failed: {name}.")
        found = tables(out)
        expected = expected or found
        same = all(ours.equals(theirs) for ours, theirs in zip(found, expected, strict=True))
        different += not same
        print(f"{name}{note}: {len(found[0])} queries, {len(found[1])} rounds, {'identical' if same else 'DIFFERENT'}")
    sys.exit(different > 0)


if __name__ == "__main__":
    main()
