"""A Ray cluster of a head and three nodes on this machine, in a process of its own.

Prints the head's address; then, for each line `node` on its input, kills a node (the oldest) and adds another.
"""

import os
import sys
from contextlib import suppress

os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
for name, value in {"initial_delay_ms": 1000, "period_ms": 1000, "timeout_ms": 3000, "failure_threshold": 5}.items():
    os.environ[f"RAY_health_check_{name}"] = str(value)

from ray.cluster_utils import Cluster  # noqa: E402

NODE = {"num_cpus": 2, "num_gpus": 0, "object_store_memory": 100 * 2**20}


def add_node(cluster: Cluster) -> object:
    """Another node; on a busy machine one may not be up in time."""
    for _ in range(5):
        with suppress(Exception):
            return cluster.add_node(**NODE)
    return cluster.add_node(**NODE)


def main() -> None:
    """Serve until the input ends."""
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0, "include_dashboard": False})
    nodes = [add_node(cluster) for _ in range(3)]
    cluster.wait_for_nodes()
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "node":
            cluster.remove_node(nodes.pop(0), allow_graceful=False)
            nodes.append(add_node(cluster))
            print("replaced", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
