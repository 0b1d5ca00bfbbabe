"""A cost model of the look-ahead: fitted to measured points, and what it predicts for GPUs and large pools.

    python benchmarks/scaling.py --fit      # measures this machine and prints its constants
    python benchmarks/scaling.py            # prints the predictions of docs/explanation/scaling.md

A pick with N points, as many candidates, C classes and K shards takes

    seconds = N^2 / (K * pairs) + N C / points + (K > 1) * (2 * trip + 4 N K / network) + launch

and the round's S takes N^2 (2 d + 2 L) / (K * flops) + N^2 / (K * entries) to build, with d features and L labels.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # `strategies` is the package, not the script of that name.

import numpy as np
from threadpoolctl import threadpool_limits


@dataclass(frozen=True)
class Machine:
    """Constants of a shard's device.

    Attributes:
        pairs: (candidate, point) pairs corrected, bounded and counted in a second.
        points: (point, class) outputs moved in a second.
        launch: fixed seconds of a pick.
        flops: of the products that build S, a second.
        entries: kernel entries (arc cosines) a second.
        trip: seconds of a message to a shard and back.
        network: bytes a second of one shard's link.
        memory: bytes that S may take.
    """

    pairs: float
    points: float
    launch: float
    flops: float
    entries: float
    trip: float
    network: float
    memory: float

    def pick_seconds(self, n: float, n_classes: int, shards: int) -> float:
        """A pick, S in memory or else built again."""
        seconds = n * n / (shards * self.pairs) + n * n_classes / self.points + self.launch
        if shards > 1:
            seconds += 2 * self.trip + 4 * n * shards / self.network
        missing = max(0.0, 1 - shards * self.memory / (4 * n * n))
        return seconds + missing * self.build_seconds(n, 512, 500, shards)

    def build_seconds(self, n: float, dim: int, n_labelled: int, shards: int) -> float:
        """S of a round."""
        return n * n / shards * (2 * (dim + n_labelled) / self.flops + 1 / self.entries)

    def best_shards(self, n: float, n_classes: int) -> int:
        """Shards, a power of two up to 64, from which on twice as many save less than a quarter of a pick."""
        shards = 1
        while shards < 64 and self.pick_seconds(n, n_classes, 2 * shards) < 0.75 * self.pick_seconds(
            n, n_classes, shards
        ):
            shards *= 2
        return shards


CPU = Machine(4.6e9, 2e9, 1.5e-3, 1.1e11, 1.6e8, 1.1e-3, 1e9, 12e9)
"""Two cores; `pairs` and `launch` are measured (`--fit`), and the others estimated."""
H200 = Machine(3.5e11, 2e11, 2e-4, 2.5e13, 2e11, 1.1e-3, 5e9, 100e9)
"""Not measured: instructions of the compiled kernel at 132 x 4 x 1.75 GHz, half the float32 peak, 40 launches."""


def fit(n_threads: int) -> Machine:
    """`CPU` with `pairs` and `launch` of this machine, from rounds of several sizes."""
    from benchmarks.lookahead import make_problem
    from strategies.base import Compute
    from strategies.functional.engine.local import make_block

    rows, picks, builds, sizes = [], [], [], (2_500, 5_000, 10_000, 20_000)
    for n in sizes:
        options = argparse.Namespace(
            seed=0, data=None, points=n, clusters=100, dim=512, labelled=200, kernel="analytic"
        )
        problem, _, _ = make_problem(options, n_threads)
        everything = slice(0, len(problem.candidates))
        began = time.perf_counter()
        block = make_block(problem, everything, "zero_one", Compute(n_threads=n_threads))
        builds.append(time.perf_counter() - began)
        seconds = []
        for _ in range(8):
            began = time.perf_counter()
            best = block.best()
            assert best is not None
            block.accept(best.pool_index)
            seconds.append(time.perf_counter() - began)
        rows.append([len(problem.candidates) * n, 1.0])
        picks.append(float(np.median(seconds[1:])))
        print(f"{n:>7,} points: a pick {1e3 * picks[-1]:7.1f} ms, S built in {builds[-1]:6.2f} s", flush=True)
    weights = 1 / np.array(picks)
    solved = np.linalg.lstsq(np.array(rows) * weights[:, None], np.ones(len(rows)), rcond=None)[0]
    machine = replace(CPU, pairs=float(1 / solved[0]), launch=max(0.0, float(solved[1])))
    for n, pick in zip(sizes, picks, strict=True):
        model = n * n / machine.pairs + machine.launch
        print(f"{n:>7,} points: model {1e3 * model:7.1f} ms, measured {1e3 * pick:7.1f} ms")
    return machine


def _duration(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s" if seconds < 1_000 else f"{seconds:,.0f} s"


def table(machine: Machine, sizes: Sequence[int], shards: Sequence[int], n_classes: int) -> str:
    """Predicted time of a pick as a Markdown table."""
    lines = ["| points | " + " | ".join(f"{k}" for k in shards) + " | more stops paying at |"]
    lines.append("|" + "---|" * (len(shards) + 2))
    for n in sizes:
        cells = [_duration(machine.pick_seconds(n, n_classes, k)) for k in shards]
        lines.append(f"| {n:,} | " + " | ".join(cells) + f" | {machine.best_shards(n, n_classes)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, or predict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    if options.fit:
        with threadpool_limits(1, user_api="blas"):
            print(fit(options.threads))
        return
    sizes = (10_000, 50_000, 100_000, 500_000, 1_000_000, 10_000_000)
    print("Shards of 2 CPU cores, a pick\n" + table(CPU, sizes[:4], (1, 2, 4, 8, 16, 64), 100))
    print("\nGPUs, a pick\n" + table(H200, sizes, (1, 2, 4, 8, 16, 32, 64), 100))


if __name__ == "__main__":
    main()
