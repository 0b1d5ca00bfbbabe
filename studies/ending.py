"""How a command ends: errors as one line, an interruption as another, and the exit code."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer

from analysis.exceptions import AnalysisError
from harness.exceptions import HarnessError, StoreWriteError, one_line

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
_LATER_SECONDS = 0.05


@contextmanager
def one_line_errors(
    interrupted: str = "Interrupted: finished rounds are in the store; the same command continues from there.",
) -> Iterator[None]:
    """Turn errors meant for a user, and signals, into a line on stderr and an exit code.

    Args:
        interrupted: what to say after SIGINT or SIGTERM.
    """
    try:
        stop_on_signals()
        yield
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # sent again, it would change the exit code
        typer.echo(interrupted, err=True)
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        if isinstance(error, (HarnessError, AnalysisError, _loaded("strategies.exceptions", "StrategyError"))):
            typer.echo(f"Error: {one_line(error)}", err=True)
            raise typer.Exit(FAILED if isinstance(error, StoreWriteError) else BAD_INPUT) from None
        if not isinstance(error, (OSError, _loaded("pyarrow", "ArrowException"))):
            raise
        if isinstance(error, BrokenPipeError) and _reader_has_gone():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains at its end
            raise typer.Exit(FAILED) from None
        typer.echo(f"Error: Cannot read or write a file: {one_line(error).rstrip('.')}.", err=True)
        raise typer.Exit(FAILED) from None


def _loaded(module: str, name: str) -> Any:
    """A type of errors, or none where its module is not loaded: nobody has raised one, and loading it may fail too."""
    return getattr(sys.modules.get(module), name, ())


def _reader_has_gone() -> bool:
    """Whether whoever reads the output, such as `head`, has seen enough; what could not be written is still there."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return True
    return False


def stop_on_signals() -> None:
    """Let SIGTERM end the command as SIGINT does, unless it ignores SIGINT, as in the background of a script."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if any(each.f_code.co_name == "__del__" for each, _ in traceback.walk_stack(frame)):
        # Python ignores exceptions there, so the signal would be lost; Ray's references have such finalisers.
        threading.Timer(_LATER_SECONDS, os.kill, (os.getpid(), number)).start()
        return
    raise KeyboardInterrupt
