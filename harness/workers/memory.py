"""Peak memory of a trajectory in a process that has run others before."""

from __future__ import annotations

import os
import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_MEMINFO = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


def reset_peak() -> None:
    """Forget the peak so far, where the system can (Linux, and torch's count on a GPU)."""
    if _CLEAR.exists():
        # A sandbox may forbid it; the peak is then that of the process.
        with suppress(OSError):
            _CLEAR.write_text("5")
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_bytes() -> int:
    """Largest resident memory since `reset_peak`, plus the largest on the GPU."""
    import torch

    found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text()) if _STATUS.exists() else None
    if found:
        resident = int(found[1]) * 1024
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return resident + (torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0)


def available_bytes() -> int:
    """Memory that new work can have on this machine, its control group's limit included."""
    found = re.search(r"MemAvailable:\s+(\d+) kB", _MEMINFO.read_text()) if _MEMINFO.exists() else None
    free = int(found[1]) * 1024 if found else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    limit = (_GROUP / "memory.max").read_text().strip() if (_GROUP / "memory.max").exists() else "max"
    if limit == "max":
        return free
    used = int((_GROUP / "memory.current").read_text())
    cache = re.search(r"^inactive_file (\d+)$", (_GROUP / "memory.stat").read_text(), re.MULTILINE)
    return max(0, min(free, int(limit) - used + (int(cache[1]) if cache else 0)))
