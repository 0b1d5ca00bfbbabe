"""Memory that is left on a machine, and in control groups with a limit."""

import pytest

from harness.workers import memory
from harness.workers.memory import available_bytes


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A folder in place of a machine with 16 GiB left: `proc` says in which groups this process is."""
    (tmp_path / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {2**24} kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_OWN_GROUPS", tmp_path / "proc")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "groups")
    return tmp_path


def limit_group(folder, limit, used, cache, *, version=2):
    folder.mkdir(parents=True, exist_ok=True)
    names = ("max", "current") if version == 2 else ("limit_in_bytes", "usage_in_bytes")
    for name, value in zip(names, (limit, used), strict=True):
        (folder / f"memory.{name}").write_text(f"{value}\n")
    of_all = "" if version == 2 else f"inactive_file 1\ntotal_inactive_file {cache}\n"
    (folder / "memory.stat").write_text(of_all or f"anon 5\ninactive_file {cache}\nactive_file 6\n")


@pytest.mark.parametrize(
    ("limit", "used", "cache", "expected"),
    [("max", 0, 0, 2**34), (2**36, 0, 0, 2**34), (2**33, 7 * 2**30, 2**29, 1.5 * 2**30), (2**33, 9 * 2**30, 0, 0)],
)
@pytest.mark.parametrize("path", ["/", "/../init", "/docker/4f"])
def test_what_is_left_of_a_containers_limit(machine, limit, used, cache, expected, path):
    (machine / "proc").write_text(f"0::{path}\n")
    limit_group(machine / "groups", limit, used, cache)
    assert available_bytes() == expected


@pytest.mark.parametrize("version", [1, 2])
def test_the_limit_of_a_job_holds_in_the_groups_within(machine, version):
    name = "/slurm/uid_7/job: 3/step_0"
    (machine / "proc").write_text(f"9:cpuset:/\n4:hugetlb,memory:{name}\n0::/\n" if version == 1 else f"0::{name}\n")
    top = machine / "groups" / ("memory" if version == 1 else "")
    nothing = 2**63 - 4096 if version == 1 else "max"
    limit_group(top / "slurm/uid_7/job: 3/step_0", nothing, 2**30, 0, version=version)
    limit_group(top / "slurm/uid_7/job: 3", 2**33, 3 * 2**30, 2**30, version=version)
    limit_group(top / "slurm", 2**35, 2**30, 0, version=version)
    assert available_bytes() == 6 * 2**30


def test_a_machine_without_groups(machine):
    assert available_bytes() == 2**34


@pytest.mark.parametrize(("missing", "expected"), [("stat", 2**33 - 2**30), ("usage_in_bytes", 2**34)])
def test_a_sandbox_may_lack_files(machine, missing, expected):
    """Not every sandbox offers all files of a control group."""
    (machine / "proc").write_text("2:memory:/\n")
    limit_group(machine / "groups" / "memory", 2**33, 2**30, 2**29, version=1)
    (machine / "groups" / "memory" / f"memory.{missing}").unlink()
    assert available_bytes() == expected
