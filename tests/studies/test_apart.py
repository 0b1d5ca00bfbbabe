"""A function in a process of its own."""

import os
import signal
import subprocess
import sys

import pytest

from harness.exceptions import DataError, ResourceError, StoreWriteError
from studies.apart import apart


def test_it_runs_elsewhere_and_returns():
    assert apart("os:getpid") != os.getpid()
    assert apart("os.path:join", "a", "b") == os.path.join("a", "b")


def test_what_it_raises_is_raised_with_its_traceback():
    with pytest.raises(DataError, match="Expected images to be one of") as caught:
        apart("harness.features.images:open_images", _source("nothing"))
    assert "open_images" in caught.value.__notes__[0]


def test_a_process_that_dies_is_one_line():
    with pytest.raises(ResourceError, match=r"Expected _exit to end, but its process died \(exit code 7\)") as caught:
        apart("os:_exit", 7)
    assert "\n" not in str(caught.value)


def test_an_error_that_cannot_travel_is_told():
    with pytest.raises(RuntimeError, match="StoreWriteError: Cannot write `x`: no room"):
        apart("test_apart:fail_to_write")


def test_an_interruption_ends_it_at_once():
    with pytest.raises(KeyboardInterrupt):
        apart("test_apart:interrupt_the_caller")


def test_it_does_not_outlive_its_caller(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    script = f"from studies.apart import apart; apart('test_apart:hold', {str(tmp_path / 'pipe')!r})"
    words = [sys.executable, "-c", script]
    with subprocess.Popen(words, env=_environment()) as caller, open(tmp_path / "pipe") as held:
        assert held.readline() == "held\n"
        caller.kill()
        assert held.read() == ""  # ends when nobody has it open any more


def test_the_caller_loads_nothing_that_it_loads():
    script = "import sys; from studies.apart import apart; apart('torch:get_num_threads')"
    words = [sys.executable, "-c", f"{script}; sys.exit('torch' in sys.modules)"]
    assert subprocess.run(words, env=_environment()).returncode == 0


def fail_to_write():
    raise StoreWriteError("x", OSError("no room"))


def interrupt_the_caller():
    """As Ctrl-C does, and never return."""
    os.kill(os.getppid(), signal.SIGINT)
    signal.pause()


def hold(path):
    """Hold a pipe open for writing."""
    with open(path, "w") as pipe:
        print("held", file=pipe, flush=True)
        signal.pause()


def _source(data):
    from harness.features.images import Source

    return Source(data)


def _environment():
    here = os.path.dirname(__file__)
    return os.environ | {"PYTHONPATH": os.pathsep.join([here, os.getcwd(), os.environ.get("PYTHONPATH", "")])}
