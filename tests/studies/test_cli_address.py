"""The command line on a store in a bucket, also of a server that fails now and then, and drivers that die or meet."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from in_this_process import without_ray
from s3_server import FAIL, STALL
from typer.testing import CliRunner

from harness.store import location
from harness.store.check import check_store
from harness.store.location import locate
from studies.cli import app

CPU = {"gpus_per_trajectory": 0, "workers": 2}
BEST_EFFORT = "is best effort"


@pytest.fixture(scope="module")
def expected(command, tables, tmp_path_factory):
    """What the quick study gives in a folder."""
    out = tmp_path_factory.mktemp("folder")
    with pytest.MonkeyPatch.context() as patch:
        without_ray(patch)
        result = CliRunner().invoke(app, [str(word) for word in command(out, **CPU)])
    assert result.exit_code == 0, result.stderr
    return tables(out)


def errors(result):
    return [line for line in result.stderr.splitlines() if line.startswith("Error")]


def files(address):
    """Names below an address, folders apart."""
    root = locate(address)
    listing = root.filesystem.get_file_info(location.fs.FileSelector(root.path, recursive=True))
    return {entry.path.removeprefix(root.path + "/") for entry in listing if entry.is_file}


class TestEveryCommand:
    def test_compare_status_check_compact_report_picture(
        self, ntkcpl_without_ray, command, s3_address, expected, tables, tmp_path
    ):
        result = ntkcpl_without_ray(*command(s3_address, **CPU))
        assert result.exit_code == 0, result.stderr
        assert BEST_EFFORT in result.stderr.splitlines()[0]
        assert result.stdout.endswith(f"{s3_address}/results.csv\n{s3_address}/curves.png\n{s3_address}/rounds\n")
        assert tables(s3_address) == expected
        assert (locate(s3_address) / "curves.png").read_bytes().startswith(b"\x89PNG")
        again = ntkcpl_without_ray(*command(s3_address, **CPU))
        assert (again.exit_code, "4 already done" in again.stderr) == (0, True)
        assert "4/4" in ntkcpl_without_ray("status", s3_address).stdout
        assert ntkcpl_without_ray("store", "compact", s3_address).stdout.count("4 -> 1 files") == 3
        assert ntkcpl_without_ray("store", "check", s3_address).stdout.endswith("trajectories: 4 ok\n0 problems\n")
        assert tables(s3_address) == expected
        longer = ntkcpl_without_ray(*command(s3_address, **CPU, schedule="5x3"))
        assert (longer.exit_code, "4 continued" in longer.stderr) == (0, True)
        assert ntkcpl_without_ray("report", s3_address, "--format", "csv").stdout == f"{s3_address}/report\n"
        assert ntkcpl_without_ray("report", s3_address, "--format", "csv", "--out", tmp_path / "r").exit_code == 0
        assert (tmp_path / "r" / "tables" / "verdict.csv").exists()
        picture = ntkcpl_without_ray("picture", "--out", s3_address, "--strategies", "coreset_self", "--labels", 3)
        assert picture.stdout == f"{s3_address}/coverage\n"
        names = files(s3_address)
        assert {"results.csv", "curves.png", "report/tables/verdict.csv"} <= names
        assert not [name for name in names if "/." in name or name.startswith(".")]

    @pytest.mark.ray
    @pytest.mark.slow
    def test_sweep(self, ntkcpl_on_tune, sweep_command, s3_address):
        quick = {"max_clusters": "3,6", "schedules": "5x2", "seeds": 1}
        result = ntkcpl_on_tune(*sweep_command(s3_address, **CPU, **quick))
        assert result.exit_code == 0, result.stderr
        assert result.stdout.endswith(f"{s3_address}/trials\n")
        pictures = [line for line in result.stdout.splitlines() if line.endswith(".png")]
        assert pictures
        assert all(locate(path).read_bytes().startswith(b"\x89PNG") for path in pictures)
        assert "2/2" in ntkcpl_on_tune("status", s3_address).stdout


class TestFaultyServer:
    @pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
    def test_500_and_stalls_now_and_then_change_no_row(
        self, ntkcpl_without_ray, command, s3_server, s3_address, expected, tables, seed
    ):
        s3_server.now_and_then(seed, share=0.2, stalls=2)
        result = ntkcpl_without_ray(*command(s3_address, **CPU))
        assert result.exit_code == 0, result.stderr
        assert s3_server.faults.count(FAIL) > 10
        assert s3_server.faults.count(STALL) >= 1
        s3_server.well()
        assert tables(s3_address) == expected
        assert check_store(locate(s3_address)).problems == []

    def test_one_that_dies_in_mid_run_is_one_line_and_the_command_goes_on(
        self, ntkcpl_without_ray, command, s3_server, s3_address, expected, tables, monkeypatch
    ):
        monkeypatch.setattr(location, "ATTEMPTS", 2)
        monkeypatch.setattr(location, "REQUEST_SECONDS", 30)  # it answers at once, if only with an error
        dead = False

        def fault(method: str, path: str) -> str | None:
            nonlocal dead
            dead = dead or (s3_server.requests.count((method, path)) > 1 and "/rounds/" in path and method == "PUT")
            return FAIL if dead else None

        s3_server.fault = fault
        result = ntkcpl_without_ray(*command(s3_address, **CPU))
        assert result.exit_code == 1
        assert len(errors(result)) == 1
        assert errors(result)[0].startswith(f"Error: Cannot write `{s3_address}/")
        assert result.stderr.splitlines()[-1] == errors(result)[0]
        assert "Traceback" not in result.stderr
        s3_server.well()
        refused = ntkcpl_without_ray(*command(s3_address, **CPU))  # it could not give its lock back
        assert (refused.exit_code, "try again in" in refused.stderr) == (2, True)
        grow_old(s3_address)
        result = ntkcpl_without_ray(*command(s3_address, **CPU))
        assert (result.exit_code, "resumed" in result.stderr) == (0, True)
        assert tables(s3_address) == expected

    def test_one_that_is_dead_at_the_start_is_bad_input(self, ntkcpl_without_ray, command, s3_server, monkeypatch):
        monkeypatch.setattr(location, "ATTEMPTS", 2)
        address = "s3://studies/x?endpoint_override=127.0.0.1:1&scheme=http"
        for words in (
            command(address),
            ["status", address],
            ["store", "check", address],
            ["store", "compact", address],
        ):
            result = ntkcpl_without_ray(*words)
            assert result.exit_code == 2
            assert len(errors(result)) == 1
            assert result.stderr.splitlines()[-1].startswith("Error: Expected to reach a store in `s3://studies/x")


def grow_old(address):
    """As if an hour had gone by since the lock was renewed."""
    path = locate(address) / ".lock"
    held = json.loads(path.read_bytes())
    path.write_bytes(json.dumps(held | {"renewed": held["renewed"] - 3600}).encode())


@pytest.mark.ray
def test_two_drivers_and_kill_9(ntkcpl_without_ray, command, start, s3_server, s3_address, expected, tables):
    """The second is refused by name; when the first is killed, nothing is lost or doubled and its lock gets stale."""
    words = command(s3_address, **CPU)
    is_held_up = threading.Event()

    def fault(method: str, path: str) -> str | None:
        n_rounds = sum(method == "PUT" and "/rounds/" in path for method, path in s3_server.requests)
        if n_rounds > 3 and method == "PUT" and path.endswith(".parquet"):
            is_held_up.set()
            return STALL
        return None

    s3_server.fault = fault
    with start([str(word) for word in words]) as first:
        assert is_held_up.wait(120)
        second = ntkcpl_without_ray(*words)
        first.kill()
        killed = ntkcpl_without_ray(*words)
    for refused in (second, killed):
        assert refused.exit_code == 2
        assert f"but process {first.pid} on " in errors(refused)[0]
    s3_server.well()
    assert check_store(locate(s3_address)).problems == []
    grow_old(s3_address)
    result = ntkcpl_without_ray(*words)
    assert result.exit_code == 0, result.stderr
    assert "4 to run" not in result.stderr  # it goes on from what the first had finished
    assert tables(s3_address) == expected
    assert check_store(locate(s3_address)).problems == []
    assert ".lock" not in files(s3_address)


def test_a_process_ends_without_a_word_of_its_own(run_serially, make_spec, s3_address):
    """S3 is put away at exit; a warning or a crash there would show."""
    from harness.store.writing import Store

    run_serially([make_spec()], Store(locate(s3_address)))
    program = Path(sys.executable).with_name("ntkcpl")
    done = subprocess.run([program, "store", "check", s3_address], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("trajectories: 1 ok\n0 problems\n")


class TestRefused:
    def test_a_password_is_not_repeated(self, ntkcpl, command):
        result = ntkcpl(*command("s3://me:hidden@studies/x"))
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert line.startswith("Error: Expected an address without a password")
        assert "hidden" not in line

    def test_images_need_a_folder(self, ntkcpl, tmp_path):
        result = ntkcpl("compare", "--study", "cifar10", "--root", tmp_path, "--out", "fsspec+memory:///images")
        assert result.exit_code == 2
        assert errors(result)[0].endswith("make features with `ntkcpl features`, then give them with --data.")
