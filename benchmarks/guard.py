"""Has the look-ahead become slower? The ratios of two commits, measured in turn in one run.

Each commit is checked out in a folder of its own and runs its own `benchmarks/lookahead.py`. What is compared is the
time of a pick over the time of a read of S, the least of some runs. Prints a table or, with --json, one JSON object and
ends with 1 where a case became slower by more than the limit.

    python benchmarks/guard.py --base v0.1.0
    python benchmarks/guard.py --base main~20 --head main --repeats 5
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

CASES = {
    "0-1 risk, C 100": ["--clusters", "100", "--labelled", "200"],
    "0-1 risk, C 500": ["--clusters", "500", "--labelled", "1000"],
    "squared risk, C 100": ["--clusters", "100", "--labelled", "200", "--score", "squared"],
}
LIMIT = 1.25
"""A ratio of ratios that is no noise: they scatter by a tenth on idle cores."""


def check_out(commit: str, folder: Path) -> str:
    """A commit in a folder of its own; returns its short name."""
    subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(folder), commit], check=True)
    name = subprocess.run(["git", "rev-parse", "--short", commit], check=True, capture_output=True, text=True)
    return name.stdout.strip()


def ratio(folder: Path, case: Sequence[str], points: int) -> float:
    """A pick over a read of S, by the script of the commit in `folder`."""
    command = [sys.executable, "benchmarks/lookahead.py", "--points", str(points), "--picks", "9", "--json", *case]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)["ratio_to_read"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare two commits and print a row a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="HEAD~1", help="commit to compare with")
    parser.add_argument("--head", default="HEAD", help="commit that may have become slower")
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as parent:
        folders = [Path(parent) / part for part in ("base", "head")]
        try:
            names = [
                check_out(commit, folder) for commit, folder in zip((options.base, options.head), folders, strict=True)
            ]
            found: dict[str, list[float]] = {}
            for case, arguments_of_case in CASES.items():
                runs = [[ratio(f, arguments_of_case, options.points) for f in folders] for _ in range(options.repeats)]
                found[case] = [min(of_one) for of_one in zip(*runs, strict=True)]
        finally:
            for folder in folders:
                subprocess.run(["git", "worktree", "remove", "--force", str(folder)], check=False, capture_output=True)
    if options.json:
        print(json.dumps({"base": names[0], "head": names[1], "limit": LIMIT, "pick_over_read": found}))
    else:
        print(f"{'a pick over a read of S':24}{names[0]:>10}{names[1]:>10}{'change':>9}")
        for case, (base, head) in found.items():
            print(f"{case:24}{base:10.2f}{head:10.2f}{head / base - 1:+9.0%}")
    if any(head > LIMIT * base for base, head in found.values()):
        sys.exit(f"Slower than {names[0]} by more than {LIMIT - 1:.0%}.")


if __name__ == "__main__":
    main()
