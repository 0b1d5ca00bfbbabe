"""The examples for clusters parse and have what the tools ask for."""

import re
from pathlib import Path

import yaml

from tests.test_documents import check_command, commands

DOCS = Path(__file__).parents[1] / "docs"


def test_ray_cluster_file():
    cluster = yaml.safe_load((DOCS / "cluster" / "ray-cluster.yaml").read_text())
    assert cluster.keys() >= {"cluster_name", "provider", "auth", "max_workers"}
    assert cluster["provider"].keys() == {"type", "head_ip", "worker_ips"}
    assert cluster["max_workers"] == len(cluster["provider"]["worker_ips"])
    assert cluster["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"  # where Ray looks for it
    for kind in ("head", "worker"):
        commands = " ".join(cluster[f"{kind}_start_ray_commands"])
        assert "RAY_AUTH_MODE=token" in commands
        assert "RAY_AUTH_TOKEN_PATH" not in commands
        assert "ray start" in commands


def test_kuberay_manifest():
    job = yaml.safe_load((DOCS / "cluster" / "kuberay.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["metadata"]["name"]
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for pod in pods:
        (container,) = pod["template"]["spec"]["containers"]
        assert container.keys() >= {"name", "image", "resources"}
        mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
        assert mounted == {volume["name"] for volume in pod["template"]["spec"].get("volumes", [])}
    pinned = re.search(r"^ray==(.*)$", (DOCS.parent / "constraints.txt").read_text(), re.MULTILINE)
    assert cluster["rayVersion"] == pinned[1]
    (words,) = commands(job["spec"]["entrypoint"])
    check_command(words)
