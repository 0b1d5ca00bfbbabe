"""What fails in the middle of a study is one line and exit code 1; the same command goes on."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harness.store.check import check_store
from strategies import registry

CPU = {"strategies": "random", "gpus_per_trajectory": 0, "workers": 1}


def fail_at(monkeypatch, owner, name, call, number):
    """Let the given call of a function, and all later ones, fail."""
    original, calls = getattr(owner, name), []

    def function(*arguments, **options):
        calls.append(1)
        if len(calls) >= call:
            raise OSError(number, os.strerror(number))
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, function)


class TestInMidRun:
    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES], ids=os.strerror)
    @pytest.mark.parametrize("call", [1, 2, 3, 6])
    def test_a_write_that_fails(self, ntkcpl_without_ray, command, tmp_path, monkeypatch, number, call):
        words = command(tmp_path, **CPU)
        with monkeypatch.context() as patch:
            fail_at(patch, pq, "write_table", call, number)
            result = ntkcpl_without_ray(*words)
        assert result.exit_code == 1
        *_, line = result.stderr.splitlines()
        assert line.startswith(f"Error: Cannot write `{tmp_path}")
        assert os.strerror(number) in line
        assert "Traceback" not in result.stderr
        assert check_store(tmp_path).problems == []
        result = ntkcpl_without_ray(*words)
        assert result.exit_code == 0, result.stderr
        checked = check_store(tmp_path)
        assert (checked.problems, checked.states) == ([], {"ok": 2})

    @pytest.mark.parametrize("name", ["results.csv", "curves.png"])
    def test_a_summary_that_cannot_be_written(self, ntkcpl_without_ray, command, tmp_path, monkeypatch, name):
        words = command(tmp_path, **CPU)
        with monkeypatch.context() as patch:
            replace = Path.replace

            def full(path, target):
                if target.name == name:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return replace(path, target)

            patch.setattr(Path, "replace", full)
            result = ntkcpl_without_ray(*words)
        assert result.exit_code == 1
        assert result.stderr.splitlines()[-1].startswith(f"Error: Cannot write `{tmp_path / name}`")
        assert not list(tmp_path.glob(".*.*"))
        assert ntkcpl_without_ray(*words).exit_code == 0
        assert (tmp_path / "curves.png").exists()


def test_a_report_that_cannot_be_written(ntkcpl, run_serially, make_spec, tmp_path, monkeypatch):
    from harness.store.writing import Store

    run_serially([make_spec(seed=seed) for seed in range(2)], Store(tmp_path))
    fail_at(monkeypatch, os, "fsync", 3, errno.ENOSPC)
    result = ntkcpl("report", tmp_path, "--format", "csv")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: Cannot write `{tmp_path}/report/tables/")
    assert "No space left on device" in line


class Broken:
    """An entry point of a package that cannot be imported."""

    name = "broken"

    def load(self):
        raise ImportError("no module named\nanything")


class Points(list):
    @property
    def names(self):
        return {point.name for point in self}


def test_a_plug_in_that_fails_is_listed_with_its_error(ntkcpl, monkeypatch):
    monkeypatch.setattr(registry, "installed", lambda group: Points([Broken()]))
    result = ntkcpl("list", "strategies")
    assert result.exit_code == 0
    shown = " ".join(result.stdout.split())
    assert "broken" in shown
    assert "typiclust" in shown
    assert "importable" in shown


def test_a_terminal_without_unicode_shows_question_marks():
    """The tables of a comparison have a ±; an ASCII locale has none."""
    program = (
        "from rich.console import Console; from studies import cli; "
        "cli.app = lambda: Console().print('70.1\u00b12.3'); cli.main()"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"70.1?2.3\n", b"")


@pytest.mark.parametrize("table", ["rounds", "queries"])
def test_what_a_removed_file_held_is_run_again(ntkcpl_without_ray, command, tmp_path, table):
    words = command(tmp_path, schedule="5x2", seeds=2)
    assert ntkcpl_without_ray(*words).exit_code == 0
    before = (tmp_path / "results.csv").read_bytes()
    path = min((tmp_path / table).iterdir())
    path.write_bytes(path.read_bytes()[:-20])
    result = ntkcpl_without_ray(*words)
    assert (result.exit_code, path.name in result.stderr, "remove it" in result.stderr) == (2, True, True)
    path.unlink()
    assert "3/4" in ntkcpl_without_ray("status", tmp_path).stdout
    result = ntkcpl_without_ray(*words)
    assert result.exit_code == 0
    assert "3 already done" in result.stderr
    assert (tmp_path / "results.csv").read_bytes() == before
    assert ntkcpl_without_ray("store", "check", tmp_path).stdout.endswith("0 problems\n")
