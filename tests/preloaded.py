"""`ntkcpl` in a fork of a process that has imported everything: a start takes seconds, and the documents have many.

So does the end of an interpreter that has torch and Ray in it; a fork does what is registered for its end, no more.
A comparison runs without Ray (`in_this_process`); a sweep needs Tune, so it starts a cluster.
"""

import atexit
import gc
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

IMPORTED = (
    "analysis.report.render",
    "harness.workers.cluster",
    "harness.workers.serial",
    "matplotlib.backends.backend_agg",
    "sklearn.datasets",
    "studies.cli",
    "studies.report",
    "studies.run",
    "studies.summary",
    "studies.sweeps.run",
    "studies.sweeps.tuning",
)
PROGRAM = """#!{python} -SE
import json, os, socket, sys

server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
socket.send_fds(server, [b" "], [0, 1, 2])
server.sendall(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode())
server.shutdown(socket.SHUT_WR)
sys.exit(server.recv(1)[0])
"""


@contextmanager
def preloaded(folder):
    """A folder with an `ntkcpl` that starts at once."""
    address = str(folder / "socket")
    program = folder / "ntkcpl"
    program.write_text(PROGRAM.format(python=sys.executable, address=address))
    program.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        command = [sys.executable, __file__, str(listening.fileno())]
        server = subprocess.Popen(command, pass_fds=[listening.fileno()])
    with server:
        yield folder
        server.kill()


def serve(listening):
    """Fork for each caller; only the fork that is a command returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with listening:
        while True:
            caller, _ = listening.accept()
            if os.fork() == 0:
                break
            caller.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with caller:
        _, streams, _, _ = socket.recv_fds(caller, 1, 3)
        received = b"".join(iter(lambda: caller.recv(2**16), b""))
        if child := os.fork():
            _, status = os.waitpid(child, 0)
            caller.send(bytes([os.waitstatus_to_exitcode(status) & 255]))
            os._exit(0)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", 1, closefd=False) for number in (1, 2))
    words, folder, environment = json.loads(received)
    sys.argv[1:] = words
    os.chdir(folder)
    os.environ.update(environment)
    sys.path[:0] = [path for path in environment["PYTHONPATH"].split(os.pathsep) if path not in sys.path]


def main():
    import in_this_process
    import pytest

    for name in IMPORTED:
        import_module(name)
    gc.freeze()  # a collection in a fork would copy the memory of all that was imported
    serve(socket.socket(fileno=int(sys.argv[1])))
    if sys.argv[1] != "sweep":
        in_this_process.without_ray(pytest.MonkeyPatch())
    sys.argv[0] = "ntkcpl"
    try:
        import_module("studies.cli").main()
    except SystemExit as end:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code or 0)


if __name__ == "__main__":
    sys.path.remove(str(Path(__file__).parent))
    main()
