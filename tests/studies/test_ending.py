import signal
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest
import typer

from studies.ending import INTERRUPTED, one_line_errors, stop_on_signals

ROOT = Path(__file__).parents[2]
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def _handlers_as_before():
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_comes_in_a_finaliser_is_not_lost(number):
    class Late:
        def __del__(self):
            signal.raise_signal(number)

    def work():
        Late()
        threading.Event().wait(10)

    stop_on_signals()
    with pytest.raises(KeyboardInterrupt):
        work()


@pytest.mark.parametrize("number", SIGNALS)
def test_each_command_says_that_it_was_interrupted(number, capsys):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with pytest.raises(typer.Exit) as ended, one_line_errors("Interrupted."):
        signal.raise_signal(number)
    assert (ended.value.exit_code, capsys.readouterr().err) == (INTERRUPTED, "Interrupted.\n")


def test_a_command_in_the_background_of_a_script_still_ignores_sigint():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop_on_signals()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_changes_nothing(number, monkeypatch):
    said = []

    def echo(line, err):
        signal.raise_signal(number)
        said.append(line)

    monkeypatch.setattr("typer.echo", echo)
    with pytest.raises(typer.Exit) as ended, one_line_errors("Interrupted."):
        signal.raise_signal(number)
    assert (ended.value.exit_code, said) == (INTERRUPTED, ["Interrupted."])


@pytest.mark.parametrize("late", ["typer", "studies.select"])
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_comes_while_the_program_is_loaded_gives_a_line(number, late, tmp_path):
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts["ntkcpl"].partition(":")
    program = f"""
import signal, sys

class Late:
    def find_spec(self, name, path, target=None):
        if name == {late!r}:
            signal.raise_signal({number.value})

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Late())
from {module} import {function}
sys.exit({function}())
"""
    words = ["select", "--data", "digits", "--strategy", "random", "-n", "1", "--out", str(tmp_path / "picks.csv")]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.startswith("Interrupted"), done.stderr.count("\n")) == (INTERRUPTED, True, 1)


def test_nothing_is_loaded_before_a_command_listens_to_signals():
    program = "import sys, studies.ending\nwith studies.ending.one_line_errors(): print('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"False\n"


def test_an_error_is_one_line_also_where_no_more_files_can_be_opened():
    program = """
import resource, studies.ending
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
with studies.ending.one_line_errors():
    held = []
    while True:
        held.append(open("/dev/null"))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "Error: Cannot read or write a file: [Errno 24] Too many open files: '/dev/null'." in done.stderr
    assert "pyarrow" not in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error():
    words = [sys.executable, "-c", "from studies.cli import main; main()", "list", "strategies"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 1


def test_a_broken_pipe_of_something_else_is_an_error(capsys):
    with pytest.raises(typer.Exit), one_line_errors():
        raise BrokenPipeError(32, "Broken pipe")
    assert capsys.readouterr().err == "Error: Cannot read or write a file: [Errno 32] Broken pipe.\n"
