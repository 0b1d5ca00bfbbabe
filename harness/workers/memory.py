"""Peak memory of a trajectory in a process that has run others before."""

from __future__ import annotations

import os
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_MEMINFO = Path("/proc/meminfo")
_OWN_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


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
    """Memory that new work can have on this machine, the limits of its control groups included."""
    found = re.search(r"MemAvailable:\s+(\d+) kB", _text(_MEMINFO))
    free = int(found[1]) * 1024 if found else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    for folder, limit, usage, cache in _control_groups():
        maximum, used = _text(folder / limit), _text(folder / usage)
        if maximum.isdecimal() and used.isdecimal():
            idle = re.search(rf"^{cache} (\d+)$", _text(folder / "memory.stat"), re.MULTILINE)
            free = min(free, int(maximum) - int(used) + (int(idle[1]) if idle else 0))
    return max(0, free)


def _control_groups() -> Iterator[tuple[Path, str, str, str]]:
    """Folders of this process's group and those around it; names of limit, usage and idle cache there (cgroup 2, 1).

    A scheduler limits a job by a group of its own; in a container the job's group is the root of what is seen.
    """
    for _, controllers, name in (line.split(":", 2) for line in _text(_OWN_GROUPS).splitlines()):
        path = Path(name.lstrip("/"))
        for group in (path, *path.parents):
            if not controllers:
                yield _GROUPS / group, "memory.max", "memory.current", "inactive_file"
            elif "memory" in controllers.split(","):
                names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
                yield (_GROUPS / "memory" / group, *names)


def _text(file: Path) -> str:
    """What a file of the system says; nothing where it is not there."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""
