"""Start a local cluster; print what it has, and the addresses on which its processes listen, as /proc/net does."""

import os
import re
from contextlib import suppress
from pathlib import Path

import ray

from harness.workers.cluster import cluster
from harness.workers.resources import Resources, this_machine


def family() -> set[int]:
    """This process and all below it."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found, new = set(), {os.getpid()}
    while new:
        found |= new
        new = {child for child, parent in parents.items() if parent in found} - found
    return found


def sockets(pid: int) -> set[str]:
    """Numbers of the sockets that a process has open."""
    links = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            links |= set(re.findall(r"socket:\[(\d+)\]", os.readlink(entry)))
    return links


if __name__ == "__main__":
    with cluster(Resources(), 0):
        (node,), counted = ray.nodes(), this_machine()
        for name in ("CPU", "GPU"):
            print("has", name, node["Resources"].get(name, 0), counted.get(name, 0))
        ray.get(ray.remote(lambda: None).remote())
        own = set().union(*(sockets(pid) for pid in family()))
        for table in ("tcp", "tcp6"):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == "0A" and words[9] in own:
                    print("listens", words[1].partition(":")[0])
