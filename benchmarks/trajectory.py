"""Where the time of one trajectory goes: seconds of each part, without Ray.

python benchmarks/trajectory.py FEATURES.npz --strategy ntkcpl_al --schedule 20x5,100x4,500x3
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # `strategies` is the package, not the script of that name.

import torch

from harness import TrajectorySpec, load_dataset, run_trajectory
from strategies.base import Compute


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one trajectory and print its seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="digits")
    parser.add_argument("--strategy", default="ntkcpl_al")
    parser.add_argument("--schedule", default="20x5,100x4,500x3")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    data = load_dataset(options.data)
    spec = TrajectorySpec.of(data, options.strategy, options.schedule, options.seed)
    seconds: Counter[str] = Counter()
    began = time.perf_counter()
    for record in run_trajectory(spec, data, compute=Compute(n_threads=options.threads)):
        parts = {key: float(value) for key, value in record.stats.items() if key.endswith("_seconds")}
        seconds.update({"select_seconds": record.select_seconds, "train_seconds": record.train_seconds, **parts})
        print(f"round {record.round}: {record.accuracy:.4f} after {time.perf_counter() - began:.1f} s", flush=True)
    for part, total in seconds.most_common():
        print(f"{part:22}{total:9.1f}")
    print(f"{'all':22}{time.perf_counter() - began:9.1f}")


if __name__ == "__main__":
    main()
