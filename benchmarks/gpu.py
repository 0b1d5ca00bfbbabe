"""All that a GPU must still show, the most important first, in ten minutes at most.

1. Same picks: those of float64, of the definition, and of the count without Triton.
2. Speed of a pick beside the read of its matrix: 10,000 candidates, 100 and 500 clusters, both risks.
3. A whole study on it: all workers on one GPU, the same picks as on the CPU.
4. Pre-training: images a second of ten steps, plain and compiled, and its peak of memory beside the prediction.
5. SimSiam features of CIFAR-10 in the minutes that are left (`--root`); the same command goes on from its checkpoint.

A part that fails or takes too long is said to, and the next one follows. What is slow leaves less time to what is less
important. Everything is kept in `--out`; `gpu.json` has of each part how it ended, what it said and, as `measured`,
the numbers.

    python benchmarks/gpu.py --root DATA --out runs/gpu
    python benchmarks/gpu.py --device cpu --quick      # a trial of the script itself, without a GPU
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESERVE = 20
"""Seconds of the budget that are kept for the end."""
SCORES = ("zero_one", "squared")
Part = tuple[str, float, list[str]]
"""Name, most seconds, command."""


def parts(options: argparse.Namespace) -> list[Part]:
    """What is run, in order; the last part gets what is left."""
    python, device, out = sys.executable, options.device, options.out
    n, picks = (400, "3") if options.quick else (10_000, "20")
    look = [python, "benchmarks/lookahead.py", "--device", device, "--json"]
    exact = [
        *look,
        "--points",
        str(min(n, 2_000)),
        "--clusters",
        "20",
        "--labelled",
        "50",
        "--picks",
        picks,
        "--double",
    ]
    found: list[Part] = [(f"picks as float64's, {score}", 60, [*exact, "--score", score]) for score in SCORES]
    for n_clusters, n_labelled in ((100, 200), (500, 1000)):
        sizes = [
            "--points",
            str(n),
            "--clusters",
            str(min(n_clusters, n // 10)),
            "--labelled",
            str(min(n_labelled, n // 8)),
        ]
        found += [
            (f"{n_clusters} clusters, {score}", 60, [*look, *sizes, "--picks", picks, "--score", score])
            for score in SCORES
        ]
    study = [
        python,
        "-c",
        "from studies.cli import main; main()",
        "compare",
        "--data",
        "digits",
        "--strategies",
        "random,badge,ntkcpl_self,ntkcpl_al",
    ]
    study += ["--schedule", "10x2" if options.quick else "10x10", "--seeds", "1" if options.quick else "3"]
    gpu = ["--gpus-per-trajectory", "0.25"] if device == "cuda" else []
    found += [
        ("a study on the device", 120, [*study, *gpu, "--out", str(out / "study")]),
        ("the same study on the CPU", 120, [*study, "--gpus-per-trajectory", "0", "--out", str(out / "study-cpu")]),
    ]
    if options.root is not None:
        features = [python, "benchmarks/features_gpu.py", "--root", str(options.root), "--out", str(out)]
        small = ["--limit", "300", "--set", "batch_size=16", "--set", "backbone=wrn10_1"] if options.quick else []
        found += [
            ("ten steps", 60, [*features, "--steps-only", *small]),
            ("ten steps, compiled", 120, [*features, "--steps-only", "--compile", *small]),
            ("features", 0, [*features, "--epochs", "1" if options.quick else "400", *small]),
        ]
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder of CIFAR-10's images; without it no features are made")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"))
    parser.add_argument("--seconds", type=float, default=590)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    options = parser.parse_args(arguments)
    options.out = options.out.resolve()
    options.root = options.root and options.root.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    ends, results = time.monotonic() + options.seconds - RESERVE, []
    for name, most, command in parts(options):
        left = ends - time.monotonic()
        if left < RESERVE:
            sys.stdout.write(f"{name}: no time is left\n")
            continue
        limit = min(most or left, left)
        if not most:
            command += ["--minutes", f"{(limit - RESERVE) / 60:.2f}"]
        began = time.monotonic()
        ended, said = run(command, limit)
        result = {"part": name, "seconds": time.monotonic() - began, "ended": ended, "command": command[1:]}
        results.append({**result, "measured": numbers(said), "output": said})
        sys.stdout.write(f"== {name}: {ended}, {result['seconds']:.1f} s\n{said[-1500:]}\n")
        sys.stdout.flush()
        (options.out / "gpu.json").write_text(json.dumps(results, indent=1))
    stores = [options.out / "study", options.out / "study-cpu"]
    if all(store.exists() for store in stores):
        equal = picks_of(stores[0]) == picks_of(stores[1])
        results.append({"part": "picks of both studies", "measured": {"equal": equal}})
        sys.stdout.write(f"== picks of both studies are equal: {equal}\n")
        (options.out / "gpu.json").write_text(json.dumps(results, indent=1))


def run(command: list[str], limit: float) -> tuple[str, str]:
    """How a command ended, and what it said; one that takes too long may put its workers in order before it ends."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        said = process.communicate(timeout=limit)[0]
        return f"exit code {process.returncode}", said
    except subprocess.TimeoutExpired:
        process.terminate()
    try:
        said = process.communicate(timeout=RESERVE / 2)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        said = process.communicate()[0]
    return f"stopped after {limit:.0f} s", said


def numbers(said: str) -> dict[str, Any] | None:
    """The last line that is a JSON object."""
    for line in reversed(said.splitlines()):
        if line.startswith("{"):
            with suppress(ValueError):
                found: dict[str, Any] = json.loads(line)
                return found
    return None


def picks_of(store: Path) -> dict[tuple[object, ...], list[int]]:
    """Pool indices in pick order by trajectory and round."""
    from analysis import load

    queries = load(store).queries
    groups = queries.sort_values("position").groupby(["trajectory_id", "round"])["pool_index"]
    return {key: group.tolist() for key, group in groups}


if __name__ == "__main__":
    main()
