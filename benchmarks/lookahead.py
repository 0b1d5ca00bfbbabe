"""Speed and exactness of the look-ahead engine.

Prints a table and, with --json, one JSON object. Points are a Gaussian mixture, or a random part of a
feature file; pseudo-labels are K-means clusters.

    python benchmarks/lookahead.py --points 10000 --clusters 100 --labelled 200 --picks 20
    python benchmarks/lookahead.py --points 2000 --shards 1,2,3,5,7 --json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # `strategies` is the package, not the script of that name.

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from harness.data import load_dataset
from harness.workers.memory import peak_bytes, reset_peak
from strategies.base import Compute
from strategies.functional.clustering import kmeans
from strategies.functional.distances import normalise_rows
from strategies.functional.engine.counting import count_wrong_dense
from strategies.functional.engine.local import make_block
from strategies.functional.engine.problem import Problem, Score, absolute_ridge, condition, one_hot
from strategies.functional.ntk import Kernel, draw_network, make_kernel
from strategies.functional.scaling import fit_scaling

DENSE_SAMPLE = 48
PICKS_COMPARED_UP_TO = 2_000


def make_problem(options: argparse.Namespace, n_threads: int) -> tuple[Problem, Kernel, np.ndarray]:
    """A round's problem on the points that were asked for, its kernel in float64, and the labelled points."""
    rng = np.random.default_rng(options.seed)
    if options.data:
        pool = load_dataset(options.data).x_train
        points = pool[rng.choice(len(pool), options.points, replace=False)]
    else:
        centres = rng.standard_normal((options.clusters, options.dim))
        points = centres[rng.integers(options.clusters, size=options.points)]
        points = (points + 1.5 * rng.standard_normal(points.shape)).astype(np.float32)
    labels = kmeans(normalise_rows(points), options.clusters, seed=0, minibatch=True).labels
    order = np.argsort(labels, kind="stable")
    points, labels = fit_scaling(points, "rms")(points[order]), labels[order]
    n_clusters = int(labels[-1]) + 1
    labelled = np.sort(rng.choice(options.points, options.labelled, replace=False))
    network = draw_network(points.shape[1], 512, n_clusters, parameterisation="ntk", bias=True, rng=rng)
    kernel = make_kernel(options.kernel, network, points)
    ridge = absolute_ridge(kernel, 1e-2)
    targets = one_hot(labels[labelled], n_clusters)
    initial = np.zeros((options.points, n_clusters))
    kernel64 = make_kernel(options.kernel, network, points.astype(np.float64))
    whitened, predictions = condition(kernel64, labelled, targets, initial, ridge, Compute(n_threads=n_threads))
    candidates = np.setdiff1d(np.arange(options.points), labelled)
    pool_indices = rng.permutation(options.points)
    problem = Problem(kernel, ridge, whitened, predictions, labels, labels, candidates, pool_indices)
    return problem, kernel64, labelled


def residual_rows(problem: Problem, positions: np.ndarray) -> np.ndarray:
    """Rows of S before any pick."""
    rows: np.ndarray = problem.kernel(positions, slice(None))
    return rows - problem.whitened[:, positions].T @ problem.whitened


def dense_counts(problem: Problem, rows: torch.Tensor, positions: np.ndarray) -> tuple[list[int], float]:
    """The definition in torch, broadcast over points and classes; counts and seconds per candidate."""
    f, y = torch.from_numpy(problem.predictions).to(rows.device), torch.from_numpy(problem.labels).to(rows.device)
    counts = []
    began = time.perf_counter()
    for row, position in zip(rows, positions, strict=True):
        gain = row * (1 / (row[position].clamp(min=0) + np.float32(problem.ridge)))
        change = -f[position]
        change[problem.targets[position]] += 1
        counts.append(int(((f + gain[:, None] * change).argmax(dim=1) != y).sum()))
    return counts, (time.perf_counter() - began) / len(positions)


def dense_picks(problem: Problem, n_picks: int) -> list[int]:
    """Greedy picks by the definition alone; for small problems."""
    residual, f = residual_rows(problem, problem.candidates), problem.predictions.copy()
    taken: list[int] = []
    for _ in range(n_picks):
        best: tuple[int, int, int] | None = None
        for row, position in enumerate(problem.candidates):
            pool_index = int(problem.pool_indices[position])
            if pool_index in taken:
                continue
            target = int(problem.targets[position])
            risk = count_wrong_dense(residual[row], position, target, problem.ridge, f, problem.labels)
            best = min(best, (risk, pool_index, row)) if best else (risk, pool_index, row)
        assert best is not None
        position = problem.candidates[best[2]]
        column = residual[best[2]].copy()
        gain = column * (np.float32(1) / (max(column[position], np.float32(0)) + np.float32(problem.ridge)))
        change = -f[position]
        change[problem.targets[position]] = np.float32(1) - f[position, problem.targets[position]]
        residual -= gain[problem.candidates][:, None] * column
        f += gain[:, None] * change
        taken.append(best[1])
    return taken


def double_picks(problem: Problem, kernel64: Kernel, labelled: np.ndarray, score: Score, n_picks: int) -> list[int]:
    """Greedy picks of the definition with everything in float64; for small problems."""
    matrix = torch.from_numpy(kernel64(slice(None), slice(None)))
    y = torch.from_numpy(problem.labels)
    one_hot64 = torch.nn.functional.one_hot(y).double()
    gram = matrix[labelled][:, labelled] + problem.ridge * torch.eye(len(labelled), dtype=torch.float64)
    solved = torch.linalg.solve(gram, matrix[labelled])
    residual, f = matrix - matrix[:, labelled] @ solved, solved.T @ one_hot64[labelled]
    candidates = problem.candidates.tolist()
    taken: list[int] = []
    for _ in range(n_picks):
        risks: list[tuple[float, int, int]] = []
        for i in candidates:
            after = f + (residual[:, i] / (residual[i, i] + problem.ridge))[:, None] * (one_hot64[i] - f[i])
            wrong = (after.argmax(dim=1) != y) if score == "zero_one" else (after - one_hot64).square()
            risks.append((float(wrong.sum()), int(problem.pool_indices[i]), i))
        _, pool_index, i = min(risks)
        gain = residual[:, i] / (residual[i, i] + problem.ridge)
        f = f + gain[:, None] * (one_hot64[i] - f[i])
        residual = residual - gain[:, None] * residual[i]
        candidates.remove(i)
        taken.append(pool_index)
    return taken


def sharded_picks(problem: Problem, score: Score, n_shards: int, n_picks: int) -> list[int]:
    """Picks of Ray actors; the cluster is local and has a CPU share for each."""
    import ray
    from ray.util.placement_group import placement_group

    from harness.workers.cluster import cluster
    from harness.workers.resources import Resources
    from harness.workers.sharding import ShardedEngine, Shards

    with cluster(Resources(), 10**9):
        group = placement_group([{"CPU": 1 / 8}] * n_shards)
        ray.get(group.ready())
        engine = ShardedEngine(Shards(n_shards, group), problem, score, Compute())
        return [engine.pick().pool_index for _ in range(n_picks)]


def synchronise(device: str) -> None:
    """Wait for what the device was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def best_of(work: Callable[[], Any], n: int) -> float:
    """Least seconds of n runs."""
    seconds = []
    for _ in range(n):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All numbers of one case."""
    n_threads = options.threads
    torch.set_num_threads(n_threads)
    score: Score = options.score
    problem, kernel64, labelled = make_problem(options, n_threads)
    compute = Compute(n_threads=n_threads, device=options.device)
    size = 4 * len(problem.candidates) * problem.n_points
    reset_peak()
    before = peak_bytes()
    began = time.perf_counter()
    block = make_block(problem, slice(0, len(problem.candidates)), score, compute)
    build_seconds = time.perf_counter() - began
    picks, seconds = [], []
    for _ in range(options.picks):
        began = time.perf_counter()
        best = block.best()
        assert best is not None
        block.accept(best.pool_index)
        synchronise(options.device)
        seconds.append(time.perf_counter() - began)
        picks.append(best.pool_index)
    peak = peak_bytes() - before
    stored = torch.as_tensor(block._residual.stored if options.device == "cpu" else block._stored)
    seconds_read = best_of(lambda: (torch.sum(stored), synchronise(options.device)), 5)
    result = {
        "points": options.points,
        "clusters": int(problem.labels[-1]) + 1,
        "labelled": options.labelled,
        "score": score,
        "threads": n_threads,
        "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
        "build_seconds": build_seconds,
        "seconds_per_pick": float(np.median(seconds[1:] or seconds)),
        "seconds_read": seconds_read,
        "peak_bytes": peak,
        "beside_s": (peak - size) / size,
        "shards": options.shards,
    }
    result["ratio_to_read"] = result["seconds_per_pick"] / seconds_read
    if score == "zero_one":
        fresh = make_block(problem, slice(0, len(problem.candidates)), score, compute)
        counts = np.asarray(fresh.scores())
        rng = np.random.default_rng(options.seed)
        rows = np.sort(rng.choice(len(problem.candidates), min(DENSE_SAMPLE, len(problem.candidates)), replace=False))
        residual = torch.stack(
            [torch.as_tensor(fresh.column(problem.pool_indices[i])) for i in problem.candidates[rows]]
        )
        dense, dense_seconds = dense_counts(problem, residual.to(options.device), problem.candidates[rows])
        identical = dense == counts[rows].tolist()
        if options.points <= PICKS_COMPARED_UP_TO and options.device == "cpu":
            identical &= dense_picks(problem, min(options.picks, 5)) == picks[:5]
        result |= {
            "speedup_vs_dense": dense_seconds * len(problem.candidates) / result["seconds_per_pick"],
            "fallback_fraction": fresh.undecided_pairs / fresh.scored_pairs,
            "identical_to_dense": identical,
        }
        if options.device == "cuda":
            from strategies.functional.engine.gpu import DeviceBlock, count_wrong

            plain = DeviceBlock(problem, slice(0, len(problem.candidates)), score, compute, count_wrong)
            result["identical_without_triton"] = bool((plain.scores() == counts).all())
    if options.double:
        double = double_picks(problem, kernel64, labelled, score, options.picks)
        result |= {
            "picks": len(picks),
            "picks_as_in_double": next((k for k in range(len(picks)) if picks[k] != double[k]), len(picks)),
            "picks_also_in_double": len(set(picks) & set(double)),
        }
    if options.shards != [1]:
        compared = min(options.picks, 10)
        others = [sharded_picks(problem, score, n, compared) for n in options.shards if n > 1]
        result["identical_across_shards"] = all(other == picks[:compared] for other in others)
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure one case and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--clusters", type=int, default=100)
    parser.add_argument("--labelled", type=int, default=200)
    parser.add_argument("--picks", type=int, default=20)
    parser.add_argument("--dim", type=int, default=512, help="of the Gaussian mixture")
    parser.add_argument("--data", help="feature file instead of the mixture")
    parser.add_argument("--kernel", choices=("empirical", "analytic"), default="analytic")
    parser.add_argument("--score", choices=("zero_one", "squared"), default="zero_one")
    parser.add_argument("--shards", type=lambda text: [int(n) for n in text.split(",")], default=[1])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--double", action="store_true", help="compare the picks with float64's; a few thousand points")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with threadpool_limits(1, user_api="blas"):
        result = measure(options)
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:24} {value:.6g}" if isinstance(value, float) else f"{key:24} {value}")


if __name__ == "__main__":
    main()
