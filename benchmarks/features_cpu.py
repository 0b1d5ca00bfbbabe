"""From CIFAR-10 images to features on a CPU, through the command line.

    python benchmarks/features_cpu.py --root DATA --out runs/features                # both parts, about half an hour
    python benchmarks/features_cpu.py --root DATA --out runs/features --part trial

`trial`: a narrow network, 10,000 images, 5 epochs; kNN and linear accuracy of 10,000 test images against the untrained
network's. `extraction`: all 60,000 images through an untrained ResNet-18 (its weights cost no less than trained ones),
killed with SIGKILL on the way and repeated: time, memory, and whether anything was encoded twice. DATA as for
`ntkcpl features pretrain --data cifar10`.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

KILLED_AFTER = 10_000
"""Images encoded when the first extraction is killed."""

TRIAL = ["--limit", "10000", "--threads", "1"]


def start(*words: object) -> subprocess.Popen[str]:
    """`ntkcpl features` as a process whose lines can be read."""
    command = [sys.executable, "-c", "from studies.cli import main; main()", "features", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def follow(process: subprocess.Popen[str], kill_after: int | None = None) -> tuple[list[str], float]:
    """Lines of a command, and the peak of its resident memory in GiB; killed once so many images are encoded."""
    assert process.stdout is not None
    lines, peak = [], 0.0
    for line in process.stdout:
        print(f"  {line.rstrip()}", flush=True)
        lines.append(line.rstrip())
        done = re.match(r"(\d+)/\d+ images", line)
        if kill_after is not None and done and int(done[1]) >= kill_after:
            os.kill(process.pid, signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0)
    peak = usage.ru_maxrss / 2**20
    if os.waitstatus_to_exitcode(status) != (0 if kill_after is None else -signal.SIGKILL):
        raise SystemExit(f"A command ended with status {status}.")
    return lines, peak


def trial(root: Path, out: Path) -> None:
    """Train for 5 epochs and compare with the untrained network."""
    images = ["--data", "cifar10", "--root", root, *TRIAL]
    began = time.perf_counter()
    follow(start("pretrain", *images, "--recipe", "simsiam_cpu", "--knn-every", 1, "--out", out / "trial.pt"))
    print(f"pre-training took {time.perf_counter() - began:.0f} s on one thread")
    for name, encoder in (
        ("untrained", ["untrained", "--backbone", "wrn10_2", "--image-size", "32"]),
        ("trained", [out / "trial.pt"]),
    ):
        lines, _ = follow(start("extract", *images, "--checkpoint", *encoder, "--out", out / f"{name}.npz"))
        print(f"{name}: {lines[-1]}")


def extraction(root: Path, out: Path) -> None:
    """Encode 60,000 images, killed once."""
    words = ["extract", "--data", "cifar10", "--root", root, "--out", out / "resnet18.npz", "--no-probe"]
    words += ["--checkpoint", "untrained", "--backbone", "resnet18", "--image-size", "32"]
    began = time.perf_counter()
    follow(start(*words), kill_after=KILLED_AFTER)
    killed = time.perf_counter() - began
    lines, peak = follow(start(*words))
    seconds = time.perf_counter() - began
    said = next(line for line in lines if "images encoded" in line)
    print(f"killed after {killed:.0f} s; in all {seconds / 60:.1f} min, peak {peak:.2f} GiB; second run: {said}")


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part", choices=["trial", "extraction"])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for part in (trial, extraction):
        if options.part in (None, part.__name__):
            part(options.root, options.out)


if __name__ == "__main__":
    main()
