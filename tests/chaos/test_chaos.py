"""Whatever is killed, nothing finished is lost, nothing is doubled, and no result differs.

A study of 24 trajectories on a simulated cluster of three nodes; at moments drawn from `--chaos-seed` a
trajectory's actor, a shard's actor, a node or the driver is killed, the disk is full, or a permission is gone. The
stores lie on a small disk of their own where one can be mounted, so that it really fills up; elsewhere the error is
injected, as that of the permission always is. The command is repeated until it succeeds; then the same study starts in
another folder, until there were `--chaos-faults` faults. Run it with `pytest -m slow tests/chaos -s`.
"""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import pytest

from harness.store.check import check_store

HERE = Path(__file__).parent
KEYS = {"rounds": ["trajectory_id", "round"], "queries": ["trajectory_id", "round", "position"]}
UNTIMED = ["trajectory_id", "seed", "round", "n_labels", "n_query", "accuracy", "n_clusters", "coverage_true"]
N_TRAJECTORIES, N_ROUNDS = 24, 3
RETRIED = ("TrajectoryActor", "ShardActor", "node")
PER_RUN = 4
"""Most faults of one run that it survives itself."""
DISK = "64m"
"""Size of the disk of the stores."""
MOST_RUNS = 12
"""Of one study: with each it must come further."""


@pytest.fixture
def words(pool_file):
    return [
        *("compare", "--data", str(pool_file), "--strategies", "random,entropy,ntkcpl_self", "--schedule", "4x3"),
        *("--seeds", "8", "--set", "learner.epochs=200", "--set", "learner.hidden=16", "--gpus-per-trajectory", "0"),
        *("--cpus-per-trajectory", "2", "--shards", "2", "--workers", "2"),
    ]


@pytest.fixture
def cluster(tmp_path_factory):
    """Address of the simulated cluster, and its process."""
    # Short, because sockets lie below; apart from other clusters of this machine.
    folder = Path(f"/tmp/chaos{os.getpid()}")
    os.environ["RAY_TMPDIR"], os.environ["RAY_AUTH_MODE"] = str(folder), "disabled"
    folder.mkdir()
    with (tmp_path_factory.mktemp("cluster") / "log").open("w") as log:
        command = [sys.executable, str(HERE / "simulated_cluster.py")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as process:
            try:
                for address in process.stdout:  # Ray may print lines of its own first
                    if address[0].isdigit():
                        break
                yield address.strip(), process
            finally:
                process.stdin.close()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(60)
                for pid in [*descendants(process.pid), process.pid]:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                shutil.rmtree(folder, ignore_errors=True)


class Disk:
    """A folder for stores, and whether it is a file system of its own, which can be filled."""

    def __init__(self, folder):
        self.folder = folder
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
        self.is_real = (
            sys.platform == "linux"
            and os.getuid() == 0
            and not subprocess.run(mount, stderr=subprocess.DEVNULL).returncode
        )

    @property
    def _ballast(self):
        return self.folder / "ballast"

    def fill(self):
        """Take what is left of it."""
        with suppress(OSError), self._ballast.open("wb", buffering=0) as file:
            while file.write(bytes(2**16)):
                pass

    def clear(self):
        """Give it back."""
        self._ballast.unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path):
    disk = Disk(tmp_path)
    yield disk
    if disk.is_real:
        subprocess.run(["umount", str(tmp_path)], check=True)


def descendants(pid):
    """Processes below one; Linux."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    below, new = set(), {pid}
    while new:
        below |= new
        new = {child for child, parent in parents.items() if parent in below} - below
    return below - {pid}


def named(pids, name):
    found = []
    for pid in sorted(pids):
        with suppress(OSError):
            if f"ray::{name}" in Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace"):
                found.append(pid)
    return found


@contextmanager
def driver(words, fault=()):
    program = (
        [str(HERE / "faulty_driver.py"), *map(str, fault)] if fault else ["-c", "from studies.cli import main; main()"]
    )
    command = [sys.executable, *program, *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def inject(kind, process, rng):
    """Whether there was something to kill."""
    if kind == "node":
        process.stdin.write("node\n")
        process.stdin.flush()
        assert process.stdout.readline() == "replaced\n"
        return True
    pids = named(descendants(process.pid), kind)
    if pids:
        with suppress(ProcessLookupError):
            os.kill(rng.choice(pids), signal.SIGKILL)
    return bool(pids)


def disturb(words, process, disk, rng, faults):
    """Run the command once with faults at random moments; returns its exit code and what it said."""
    ending = rng.choice(["driver", "disk", "permission", "none"])
    numbers = {"disk": errno.ENOSPC, "permission": errno.EACCES}
    is_filled = ending == "disk" and disk.is_real
    fault = (numbers[ending], rng.randint(2, 25)) if ending in numbers and not is_filled else ()
    last = rng.randint(2, 30) if ending == "driver" or is_filled else None
    moments = sorted(rng.sample(range(1, 40), PER_RUN))
    said, n_rounds = [], 0
    with driver(words, fault) as running:
        for line in running.stderr:
            said.append(line.rstrip())
            n_rounds += "  round " in line
            if moments and "  round " in line and n_rounds >= moments[0]:
                moments.pop(0)
                kind = rng.choice(RETRIED)
                faults[kind] += inject(kind, process, rng)
            if last is not None and n_rounds >= last and is_filled:
                disk.fill()
            elif last is not None and n_rounds >= last:
                running.kill()
                faults["driver"] += 1
                break
        code = running.wait()
    disk.clear()
    if any("No space left" in line or "Permission denied" in line for line in said):
        faults[ending] += 1
    return code, said


def tables(root):
    return {name: pd.read_parquet(root / name) for name in KEYS}


def measured(frame, name):
    return frame.sort_values(KEYS[name], ignore_index=True)[UNTIMED if name == "rounds" else list(frame.columns)]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(7200)
def test_nothing_is_lost(cluster, words, disk, pytestconfig):
    address, process = cluster
    n_wanted, seed = pytestconfig.getoption("--chaos-faults"), pytestconfig.getoption("--chaos-seed")
    rng, faults, lost, doubled, began = random.Random(seed), Counter(), 0, 0, time.monotonic()
    print(f"\nchaos seed {seed}, {n_wanted} faults, disk is {'real' if disk.is_real else 'injected'}", flush=True)
    with driver([*words, "--address", address, "--out", str(disk.folder / "undisturbed")]) as running:
        _, said = running.communicate()
        assert running.returncode == 0, said
    expected = tables(disk.folder / "undisturbed")
    n_runs = n_studies = 0
    while sum(faults.values()) < n_wanted:
        root = disk.folder / str(n_studies)
        n_studies += 1
        for _ in range(MOST_RUNS):
            before = faults.copy()
            code, said = disturb([*words, "--address", address, "--out", str(root)], process, disk, rng, faults)
            n_runs += 1
            print(f"run {n_runs}: exit {code}, {dict(faults - before)}, {said[-1:]}", flush=True)
            assert code in (0, 1, -signal.SIGKILL), said
            assert not any("Traceback" in line for line in said), said
            if root.exists():
                assert [problem for problem in check_store(root).problems if "interrupted" not in problem.what] == []
            if code == 0:
                break
        else:
            with driver([*words, "--address", address, "--out", str(root)]) as running:
                _, said = running.communicate()
                assert running.returncode == 0, said
        found = tables(root)
        for name, keys in KEYS.items():
            doubled += int(found[name].duplicated(keys).sum())
            lost += len(expected[name].merge(found[name], on=keys, how="left", indicator=True).query("_merge!='both'"))
            pd.testing.assert_frame_equal(measured(found[name], name), measured(expected[name], name))
        assert len(found["rounds"]) == N_TRAJECTORIES * N_ROUNDS
        assert check_store(root).problems == []
    minutes = (time.monotonic() - began) / 60
    print(
        f"{sum(faults.values())} faults injected and survived {dict(faults)} in {n_runs} runs of {n_studies} studies,"
    )
    print(f"{lost} rows lost, {doubled} rows doubled, {minutes:.1f} min", flush=True)
    assert (lost, doubled) == (0, 0)
