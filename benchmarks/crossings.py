"""How often a phase transition is claimed, and how often its interval has the true crossing, in simulation.

    python benchmarks/crossings.py [--repetitions 1000]

Gains of 12 label counts from 20 to 2,000 fall from 5 points, and each seed has noise of one point at each count.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # `strategies` is the package, not the script of that name.

import numpy as np

from analysis.metrics import last_crossing
from analysis.statistics import bootstrap_interval, bootstrap_weights

N_LABELS = np.array([20, 40, 60, 80, 100, 200, 300, 400, 500, 1000, 1500, 2000])
AXIS = np.log(N_LABELS / 20) / np.log(100)
NOISE = 0.01
GAINS = {
    "steep, to -5 points": 0.052 - 0.1 * AXIS,
    "flat at -0.5 points": np.where(AXIS < 0.5, 0.05 - 0.11 * AXIS, -0.005),
    "flat at -0.2 points": np.where(AXIS < 0.47, 0.05 - 0.11 * AXIS, -0.002),
    "positive, to 0.1 points": 0.05 - 0.049 * AXIS,
}


def main() -> None:
    """Print a row for each gain and number of seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=1000)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    print("gain; seeds; the mean crosses, %; called a crossing, %; of these the interval has the true one, %")
    for name, gains in GAINS.items():
        truth = float(last_crossing(N_LABELS, gains, -1 if gains[-1] < 0 else 1))
        for n in (5, 10, 20):
            n_mean = n_called = n_right = 0
            for _ in range(options.repetitions):
                seen = gains + rng.normal(0, NOISE, (n, len(gains)))
                mean = seen.mean(axis=0)
                final = int(np.sign(mean[-1]))
                crosses = bool(np.isfinite(last_crossing(N_LABELS, mean, final)))
                resampled = last_crossing(N_LABELS, bootstrap_weights(n, 500, rng) @ seen, final)
                low, high = bootstrap_interval(resampled, n)
                is_called = crosses and bool(np.isfinite(high))
                n_mean += crosses
                n_called += is_called
                n_right += is_called and low <= truth <= high
            shares = (n_mean / options.repetitions, n_called / options.repetitions, n_right / max(n_called, 1))
            print("; ".join([name, str(n), *(f"{100 * share:.0f}" for share in shares)]))


if __name__ == "__main__":
    main()
