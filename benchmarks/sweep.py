"""What a sweep costs: on digits, the same command again, and the same trajectories without a search around them.

    python benchmarks/sweep.py [--repeats 1] [--keep DIR] [OPTION OF NTKCPL SWEEP]...

The last one, `pool`, is what `ntkcpl compare` does with a list of trajectories (one Ray, one plan, one pool), for
trajectories of several schedules and parameters, which the command itself cannot name. Each is a process of its own
and the time is its whole time, imports and Ray included. Limit the cores with `taskset -c 0,1`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # `strategies` is the package, not the script of that name.

STUDY = ["--data", "digits", "--strategy", "ntkcpl_al", "--max-clusters", "5,10,20,50"]
STUDY += ["--schedules", "10x10;20x5;50x2", "--seeds", "3", "--search", "grid", "--gpus-per-trajectory", "0"]


def run_pool(swept: Path, out: Path) -> None:
    """Run the trajectories of a finished sweep's store in one plan."""
    from harness.data import load_dataset
    from harness.plan import make_plan
    from harness.spec import TrajectorySpec
    from harness.store.writing import Store
    from harness.workers.cluster import cluster, settle
    from harness.workers.driver import drive
    from harness.workers.resources import Resources

    specs = [TrajectorySpec.model_validate_json(row["spec"]) for row in Store(swept).trajectories().values()]
    data, store = load_dataset("digits"), Store(out)
    with cluster(Resources(gpus_per_trajectory=0), data.x_train.nbytes), store.writing():
        jobs = make_plan(specs, store).jobs
        failures = drive(jobs, data, store, settle(Resources(gpus_per_trajectory=0), len(jobs)), lambda event: None)
    if failures:
        raise SystemExit(f"{len(failures)} failed")


def timed(*words: str) -> float:
    """Seconds of a command; its output goes nowhere."""
    started = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Run the three, in turn, and print their times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the stores")
    parser.add_argument("--pool", nargs=2, type=Path, help=argparse.SUPPRESS)
    options, rest = parser.parse_known_args()
    if options.pool:
        run_pool(*options.pool)
        return
    program = str(Path(sys.executable).with_name("ntkcpl"))
    with tempfile.TemporaryDirectory() as scratch:
        for repeat in range(options.repeats):
            folder = (options.keep or Path(scratch)) / str(repeat)
            command = [program, "sweep", *STUDY, *rest, "--out", str(folder / "sweep")]
            times = {"sweep": timed(*command), "again": timed(*command)}
            times["pool"] = timed(sys.executable, __file__, "--pool", str(folder / "sweep"), str(folder / "pool"))
            shown = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in times.items())
            print(f"{shown}; overhead {times['sweep'] / times['pool'] - 1:+.1%}", flush=True)


if __name__ == "__main__":
    main()
