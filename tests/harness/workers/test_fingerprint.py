import subprocess
import sys

from harness.workers.fingerprint import digest, fingerprint, git_commit, versions

SCRIPT = """
import sys
import harness.workers.cluster
from harness.data import load_dataset
from harness.workers.fingerprint import digest, fingerprint
from harness.spec import TrajectorySpec
from harness.trajectory import run_trajectory

data = load_dataset(sys.argv[1])
print(digest(fingerprint("cpu")))
for text in sys.argv[2:]:
    list(run_trajectory(TrajectorySpec.model_validate_json(text), data))
    print(digest(fingerprint("cpu")))
"""


def test_does_not_depend_on_what_ran_before(pool_file, make_spec):
    """A worker that has run other trajectories must continue what a new one began, and the other way round."""
    specs = [make_spec(name, schedule="5x2") for name in ("random", "typiclust", "probcover", "lookahead", "ntkcpl_al")]
    command = [sys.executable, "-c", SCRIPT, str(pool_file), *(spec.model_dump_json() for spec in specs)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert len(lines) == len(specs) + 1
    assert len(set(lines)) == 1


def test_names_what_the_bits_depend_on():
    found = fingerprint("cpu")
    assert {"device", "machine", "cpu_capability", "blas", "torch_build", "numpy", "torch", "numba"} <= set(found)
    assert all(isinstance(value, str) and value for value in found.values())


def test_digest_changes_with_any_part():
    found = fingerprint("cpu")
    digests = {digest(found)} | {digest({**found, key: "other"}) for key in found}
    assert len(digests) == len(found) + 1


def test_versions_and_commit():
    assert {"python", "ntkcpl", "ray"} <= set(versions())
    assert git_commit() is None or len(git_commit().rstrip("+")) == 40
