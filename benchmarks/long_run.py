"""Many trajectories in one driver: memory and file descriptors of all its processes, progress, and a second reader.

    python benchmarks/long_run.py --out runs/long [--seeds 25] [--schedule 10x6]

Runs eight strategies on digits with so many seeds (200 trajectories by default). Once a second it looks at the driver
and at the workers (Linux: /proc) and reads the whole store as a stranger would, with pandas alone. It prints memory and
descriptors by quarter of the run, what a straight line through the second half gains per hour, the longest silence of
the progress lines, and how often the store could not be read.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

sys.path[0] = str(Path(__file__).resolve().parents[1])  # `strategies` is the package, not the script of that name.

import numpy as np
import pandas as pd

STRATEGIES = "random,entropy,margin,coreset_self,badge,typiclust,lookahead,ntkcpl_self"
WORKER = "ray::TrajectoryActor"
QUARTERS = 4


def processes() -> dict[int, tuple[int, str]]:
    """Parent and command of every process."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found[int(folder.name)] = parent, command
    return found


def workers(driver: int) -> list[int]:
    """Trajectory actors below a driver."""
    known = processes()

    def is_below(pid: int) -> bool:
        while pid in known and pid != driver:
            pid = known[pid][0]
        return pid == driver

    return [pid for pid, (_, command) in known.items() if command.startswith(WORKER) and is_below(pid)]


def measure(pids: Iterable[int]) -> tuple[float, int]:
    """Private and shared resident memory in MiB, and open file descriptors, of the largest of some processes."""
    sizes, descriptors = [0.0], [0]
    for pid in pids:
        with suppress(OSError):
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            sizes.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
            descriptors.append(len(os.listdir(f"/proc/{pid}/fd")))
    return max(sizes), max(descriptors)


class Reader(threading.Thread):
    """Reads the whole store again and again, and counts."""

    def __init__(self, out: Path) -> None:
        super().__init__(daemon=True)
        self.reads = self.failures = self.shrunk = self.rows = 0
        self.slowest = 0.0
        self._out = out
        self.stop = threading.Event()

    def run(self) -> None:
        """Read until told to stop."""
        while not self.stop.wait(1.0):
            if not any((self._out / "rounds").glob("[!.]*.parquet")):
                continue
            began = time.perf_counter()
            try:
                n_rows = len(pd.read_parquet(self._out / "rounds"))
            except Exception:  # whatever a stranger would see
                self.failures += 1
                continue
            self.slowest = max(self.slowest, time.perf_counter() - began)
            self.shrunk += n_rows < self.rows
            self.rows = n_rows
            self.reads += 1


class Lines(threading.Thread):
    """Follows the progress lines."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(daemon=True)
        self.n_lines, self.silence, self._last = 0, 0.0, time.perf_counter()
        self._stream = stream

    def run(self) -> None:
        """Read until the end; the silence before the first line is Ray's start and does not count."""
        for _ in self._stream:
            now = time.perf_counter()
            self.silence = max(self.silence, now - self._last) if self.n_lines > 2 else 0.0
            self.n_lines, self._last = self.n_lines + 1, now


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, look, report; exit code 1 if the study fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=25)
    parser.add_argument("--schedule", default="10x6")
    options = parser.parse_args(arguments)
    words = ["compare", "--data", "digits", "--strategies", STRATEGIES, "--schedule", options.schedule]
    words += ["--seeds", str(options.seeds), "--out", str(options.out)]
    command = [sys.executable, "-c", "from studies.cli import main; main()", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    reader, lines = Reader(options.out), Lines(process.stderr)
    reader.start()
    lines.start()
    began, seen = time.perf_counter(), []
    while process.poll() is None:
        driver, actors = measure([process.pid]), measure(workers(process.pid))
        if actors[0]:
            seen.append((time.perf_counter() - began, *driver, *actors))
        time.sleep(1.0)
    reader.stop.set()
    reader.join()
    lines.join()
    if not seen:
        sys.exit(f"The study ended with exit code {process.returncode} before a worker was seen.")
    names = ["seconds", "driver MiB", "driver files", "worker MiB", "worker files"]
    frame = pd.DataFrame(seen, columns=names)
    quarter = (QUARTERS * np.arange(len(frame)) // len(frame)) + 1
    print(frame.groupby(quarter).max().round(0).astype(int).rename_axis("quarter").to_string())
    half = frame.iloc[len(frame) // 2 :]
    for name in names[1:]:
        slope = np.polyfit(half["seconds"] / 3600, half[name], 1)[0]
        print(f"{name}: {slope:+.0f} an hour over the second half")
    n_trajectories = len(list((options.out / "trajectories").glob("[!.]*.parquet")))
    print(f"{n_trajectories} trajectories in {frame['seconds'].iloc[-1] / 60:.1f} min, exit code {process.returncode}")
    print(f"{lines.n_lines} progress lines, longest silence {lines.silence:.1f} s")
    print(
        f"{reader.reads} reads of all rounds by another process, {reader.failures} failed, {reader.shrunk} with fewer"
        f" rows than before, slowest {reader.slowest:.2f} s"
    )
    sys.exit(process.returncode)


if __name__ == "__main__":
    main()
