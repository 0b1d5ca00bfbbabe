"""`ntkcpl store check` and `ntkcpl store compact`, from the command to the exit code."""

import pytest

from harness.store.writing import Store


@pytest.fixture
def root(run_serially, make_spec, place):
    run_serially([make_spec(seed=seed) for seed in range(2)], Store(place))
    return place


def test_check_compact_check(ntkcpl, root):
    result = ntkcpl("store", "check", root)
    assert result.exit_code == 0
    assert result.stdout.endswith("trajectories: 2 ok\n0 problems\n")
    result = ntkcpl("store", "compact", root)
    assert result.exit_code == 0
    assert result.stdout == "".join(f"{table}: 2 -> 1 files\n" for table in ("queries", "rounds", "trajectories"))
    assert ntkcpl("store", "check", root).exit_code == 0


def test_each_problem_is_a_line_that_says_what_to_do(ntkcpl, root):
    path = Store(root).files("rounds")[0]
    path.write_bytes(b"PAR1")
    result = ntkcpl("store", "check", root)
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"rounds/{path.name}: Expected a Parquet file, but cannot read")
    assert lines[1].startswith(f"trajectory {path.stem}: is ok, but has 0 of 4 rounds")
    assert result.stdout.endswith("2 problems\n")
    result = ntkcpl("store", "compact", root)
    assert result.exit_code == 2
    assert f"Error: Expected a Parquet file, but cannot read `{path}`" in result.stderr


@pytest.mark.parametrize("command", ["check", "compact"])
def test_what_is_no_store_is_refused(ntkcpl, tmp_path, command):
    result = ntkcpl("store", command, tmp_path)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: Expected a store, a folder with trajectories, ")
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_written_is_checked_but_not_compacted(ntkcpl, root):
    with Store(root).writing():
        result = ntkcpl("store", "check", root)
        assert result.exit_code == 0
        assert "2 ok; a process is writing" in result.stdout
        result = ntkcpl("store", "compact", root)
        assert result.exit_code == 2
        assert "only writer" in result.stderr
