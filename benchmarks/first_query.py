"""Accuracy after the first query, by strategy and by what is taken out of CoverHerding's.

One half of the test data; the mean over seeds and its standard error. `radius 0.7` multiplies the radius of the kernel,
`one pick after the other` leaves out the exchange, `sigma 1` is MaxHerding's published radius with the exchange, and
`radius by classes` is the one at which the mean similarity of two points is one over the number of classes.

    python benchmarks/first_query.py digits
    python benchmarks/first_query.py features.npz --sizes 20,40 --seeds 4 --half confirm --rows maxherding random
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

sys.path[0] = str(Path(__file__).resolve().parents[1])  # `strategies` is the package, not the script of that name.

import numpy as np
from scipy.optimize import brentq
from scipy.spatial.distance import pdist

from harness.data import Dataset, load_dataset
from harness.spec import TrajectorySpec
from harness.trajectory import run_trajectory
from strategies import coverherding


@contextmanager
def changed(
    *, factor: float = 1.0, sigma: float | None = None, similarity: float | None = None, with_exchange: bool = True
) -> Iterator[None]:
    """CoverHerding's first query with another radius, by its mean similarity if given, or without exchange."""
    herd, exchange = coverherding.herd, coverherding.exchange

    def other(function: Callable[..., object]) -> Callable[..., object]:
        def call(points: np.ndarray, *arguments: object, **settings: object) -> object:
            found = radius_of(points, similarity) if similarity else sigma
            settings["sigma"] = found or max(factor * settings["sigma"], 0.1)
            return function(points, *arguments, **settings)

        return call

    def none(points: object, covering: object, picks: np.ndarray, **_: object) -> tuple[np.ndarray, np.ndarray]:
        return picks, np.zeros(len(picks))

    with ExitStack() as stack:
        stack.enter_context(patch.object(coverherding, "herd", other(herd)))
        stack.enter_context(patch.object(coverherding, "exchange", other(exchange) if with_exchange else none))
        yield


def radius_of(points: np.ndarray, similarity: float) -> float:
    """The radius at which the mean similarity of two points, of the first 2,000, is the one given."""
    squared = pdist(points[:2000], "sqeuclidean")
    return float(brentq(lambda sigma: np.exp(-squared / sigma**2).mean() - similarity, 0.01, 100))


ROWS: dict[str, tuple[str, Callable[[int], AbstractContextManager[None]]]] = {
    "coverherding": ("coverherding", lambda _: nullcontext()),
    "radius 0.7": ("coverherding", lambda _: changed(factor=0.7)),
    "radius 1.4": ("coverherding", lambda _: changed(factor=1.4)),
    "radius by classes": ("coverherding", lambda n_classes: changed(similarity=1 / n_classes)),
    "sigma 1": ("coverherding", lambda _: changed(sigma=1.0)),
    "one pick after the other": ("coverherding", lambda _: changed(with_exchange=False)),
    **{
        name: (name, lambda _: nullcontext())
        for name in ("maxherding", "typiclust", "probcover", "dropquery", "coreset_self", "ntkcpl_self", "random")
    },
}


def accuracy(name: str, size: int, seed: int, data: Dataset, half: str) -> float:
    """Accuracy after one query of `size` points."""
    spec = TrajectorySpec.of(data, name, f"{size}x1", seed, evaluate_on=half)
    return next(run_trajectory(spec, data)).accuracy


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--sizes", type=lambda text: [int(n) for n in text.split(",")], default="10,20,40")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--half", choices=["tune", "confirm"], default="tune")
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=ROWS)
    options = parser.parse_args(arguments)
    data = load_dataset(options.data)
    print(f"{'':28}" + "".join(f"{size:>14}" for size in options.sizes))
    for row in options.rows:
        name, context = ROWS[row]
        cells = []
        for size in options.sizes:
            with context(data.n_classes):
                seeds = range(options.first_seed, options.first_seed + options.seeds)
                found = 100 * np.array([accuracy(name, size, seed, data, options.half) for seed in seeds])
            cells.append(f"{found.mean():8.1f} ± {found.std(ddof=1) / np.sqrt(len(found)):3.1f}")
        print(f"{row:28}" + "".join(cells), flush=True)


if __name__ == "__main__":
    main()
