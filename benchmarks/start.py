"""What a user waits for before anything happens: help, refused input, a dry run, the first round of a study.

    python benchmarks/start.py [--repeats 5] [--json FILE]

Each command is a process of its own, run once before it is measured; a wait is its whole time, but that of the first
round, which ends with the line that tells of it. `CPU` is the time of the process and of those it waited for: it says
more than the wait where others use the machine as well. Limit the cores with `taskset -c 0,1`.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FIRST_ROUND = "first round"


def study(**changes: str) -> list[str]:
    """Words of a comparison with some options changed."""
    options = {"data": "digits", "strategies": "random", "schedule": "10x1", "seeds": "1"} | changes
    return ["compare", *(word for name, value in options.items() for word in (f"--{name}", value))]


COMMANDS = {
    "help": ["--help"],
    "no such data": study(data="nothere.npz"),
    "unknown strategy": study(strategies="rnadom"),
    "bad value": study(seeds="many"),
    "no such store": ["report", "nothere"],
    "dry run": [*study(), "--dry-run"],
    "dry run of a sweep": ["sweep", "--data", "digits", "--strategy", "random", "--schedules", "10x4", "--dry-run"],
    FIRST_ROUND: study(),
}


def run(words: list[str], *, to_first_round: bool) -> tuple[float, float]:
    """Seconds until a command ends or tells of its first round, and its CPU seconds to the end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "studies.cli", *words],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        waited = next((time.perf_counter() - started for line in process.stderr if "  round 0  " in line), 0.0)
        process.stderr.read()
    if not to_first_round:
        waited = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return waited, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(name: str, words: list[str], n_repeats: int) -> dict[str, float | str]:
    """Medians over repeats, each with a store of its own."""
    waits, cpus = [], []
    for repeat in range(n_repeats + 1):
        with tempfile.TemporaryDirectory() as folder:
            out = ["--out", f"{folder}/out"] if words[0] in ("compare", "sweep") else []
            waited, cpu = run([*words, *out], to_first_round=name == FIRST_ROUND)
        if repeat:
            waits.append(waited)
            cpus.append(cpu)
    return {"wait": name, "seconds": statistics.median(waits), "longest": max(waits), "cpu": statistics.median(cpus)}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for the same numbers")
    arguments = parser.parse_args()
    rows = []
    print("| wait | median s | longest s | CPU s |\n|---|---|---|---|")
    for name, words in COMMANDS.items():
        row = measure(name, words, arguments.repeats)
        print(f"| {name} | {row['seconds']:.2f} | {row['longest']:.2f} | {row['cpu']:.2f} |", flush=True)
        rows.append(row)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
