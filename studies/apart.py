"""A function in a process of its own: what it held, memory of a GPU above all, is free when it ends."""

from __future__ import annotations

import copy
import importlib
import multiprocessing
import os
import signal
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

from harness.exceptions import ResourceError
from harness.workers.collector import collect_rarely


def apart(function: str, *args: Any, **options: Any) -> Any:
    """Call a function in a new process, which ends with it, and with this process however that ends.

    Its output goes where this process's goes. An interruption ends it at once.

    Args:
        function: `module:name`; this process does not import the module.
        args: what it takes, to be pickled.
        options: what it takes by name, to be pickled.

    Returns:
        What it returns, pickled.

    Raises:
        ResourceError: the process died.
        Exception: what the function raised, with its traceback as a note.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_call, args=(theirs, function, args, options), daemon=True)
    process.start()
    theirs.close()
    try:
        result, error = ours.recv()
        process.join()
    except EOFError:
        process.join()
        raise ResourceError(
            f"Expected {function.partition(':')[2]} to end, but its process died (exit code {process.exitcode}), as "
            "when memory runs out; the same command continues from what was kept."
        ) from None
    finally:
        process.kill()
        ours.close()
    if error is not None:
        raise error
    return result


def _call(pipe: Connection, function: str, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to both processes; the caller ends this one
    threading.Thread(target=_end_with_the_caller, daemon=True).start()
    collect_rarely()
    module, _, name = function.partition(":")
    try:
        pipe.send((getattr(importlib.import_module(module), name)(*args, **options), None))
    except Exception as error:
        pipe.send((None, _to_travel(error)))


def _to_travel(error: Exception) -> Exception:
    """The error with its traceback as a note; one of another type where it cannot be pickled."""
    text = traceback.format_exc()
    try:
        error = copy.copy(error)  # is made as pickle makes it
    except Exception:  # errors with arguments of their own raise what they like
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(text)
    return error


def _end_with_the_caller() -> None:
    caller = multiprocessing.parent_process()
    assert caller is not None
    caller.join()
    os._exit(1)
