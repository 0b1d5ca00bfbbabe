"""Memory that is left on a machine, and in a control group with a limit."""

import pytest

from harness.workers import memory
from harness.workers.memory import available_bytes


@pytest.mark.parametrize(
    ("limit", "used", "cache", "expected"),
    [("max", 0, 0, 2**34), (2**36, 0, 0, 2**34), (2**33, 7 * 2**30, 2**29, 1.5 * 2**30), (2**33, 9 * 2**30, 0, 0)],
)
def test_what_is_left_of_a_groups_limit(tmp_path, monkeypatch, limit, used, cache, expected):
    (tmp_path / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {2**24} kB\n")
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{used}\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {cache}\nactive_file 6\n")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    assert available_bytes() == expected
