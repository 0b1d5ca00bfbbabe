"""Seconds and peak memory of one round of every strategy, by pool size.

Each round runs in a process of its own: 100 picks with 500 labelled points, on the first points of a feature
file or on a Gaussian mixture. Memory is the peak beyond what was held before (the pool, the classifier);
compiling is not counted.

    python benchmarks/strategies.py
    python benchmarks/strategies.py --data features.npz --strategies typiclust,badge --json
    python benchmarks/strategies.py --strategies 'graphherding?handover=1e9' --points 10000
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # `strategies` is the package, not the script of that name.

import numpy as np

from harness.data import load_dataset
from harness.learner import Inputs, one_thread, train
from harness.spec import LearnerSpec
from harness.streams import stream
from harness.workers.memory import peak_bytes, reset_peak
from strategies.base import Compute, PoolView
from strategies.registry import make_strategy, strategy_names

N_CLASSES, DIM = 10, 768
WARM_UP = 600
"""Points of the round before, which compiles."""


def make_pool(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels of the largest pool."""
    if options.data:
        data = load_dataset(options.data)
        return data.x_train, data.y_train
    rng = np.random.default_rng(0)
    n = max(options.points)
    labels = rng.integers(N_CLASSES, size=n)
    centres = rng.standard_normal((N_CLASSES, DIM))
    return (centres[labels] + 2 * rng.standard_normal((n, DIM))).astype(np.float32), labels


def run_round(
    name: str, features: np.ndarray, labels: np.ndarray, n_labelled: int, n: int, n_threads: int
) -> tuple[float, int]:
    """Seconds of a selection of `n` points, and the bytes it took beyond what was held before."""
    rng = np.random.default_rng(1)
    labelled = rng.choice(len(features), n_labelled, replace=False)
    n_classes = int(labels.max()) + 1
    with one_thread():
        inputs = Inputs.of(features, LearnerSpec().scaling, "cpu")
        model = train(inputs, labelled, labels[labelled], n_classes, LearnerSpec(), partial(stream, 1))
        view = PoolView(features, labelled, labels[labelled], n_classes, model, Compute(n_threads=n_threads))
        reset_peak()
        before = peak_bytes()
        began = time.perf_counter()
        word, _, settings = name.partition("?")
        parameters = dict(setting.split("=", 1) for setting in settings.split("&") if setting)
        make_strategy(word, parameters).select(view, n, rng=rng)
        return time.perf_counter() - began, peak_bytes() - before


def measure(name: str, n_points: int, options: argparse.Namespace) -> dict[str, Any]:
    """One row of the table; the process ends with it."""
    features, labels = make_pool(options)
    features, labels = features[:n_points].copy(), labels[:n_points]
    run_round(name, features[:WARM_UP], labels[:WARM_UP], 50, 10, options.threads)
    seconds, held = run_round(name, features, labels, options.labelled, options.picks, options.threads)
    return {"strategy": name, "points": n_points, "seconds": seconds, "mib": held / 2**20}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all strategies and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategies", default=",".join(strategy_names()))
    parser.add_argument(
        "--points", type=lambda text: [int(n) for n in text.split(",")], default="5000,10000,25000,50000"
    )
    parser.add_argument("--labelled", type=int, default=500)
    parser.add_argument("--picks", type=int, default=100)
    parser.add_argument("--data", help="feature file instead of the mixture")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if not options.json:
        print(f"{'strategy':18}" + "".join(f"{n:>9,} s{'MiB':>8}" for n in options.points), flush=True)
    rows = []
    context = multiprocessing.get_context("spawn")
    for name in options.strategies.split(","):
        cells = []
        for n_points in options.points:
            with context.Pool(1) as process:
                cells.append(process.apply(measure, (name, n_points, options)))
        rows += cells
        if not options.json:
            print(f"{name:18}" + "".join(f"{row['seconds']:11.2f}{row['mib']:8.0f}" for row in cells), flush=True)
    if options.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
