"""How a command ends: errors as one line, an interruption as another, and the exit code."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import typer

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


@contextmanager
def one_line_errors(
    interrupted: str = "Interrupted: finished rounds are in the store; the same command continues from there.",
) -> Iterator[None]:
    """Turn errors meant for a user into a line on stderr and an exit code.

    Args:
        interrupted: what to say after SIGINT, or SIGTERM where `stop_on_sigterm` was called.
    """
    from pyarrow import ArrowException

    from analysis.exceptions import AnalysisError
    from harness.exceptions import HarnessError, StoreWriteError
    from strategies.exceptions import StrategyError

    try:
        yield
    except (HarnessError, StrategyError, AnalysisError) as error:
        typer.echo(f"Error: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(FAILED if isinstance(error, StoreWriteError) else BAD_INPUT) from None
    except (OSError, ArrowException) as error:
        typer.echo(f"Error: Cannot read or write a file: {' '.join(str(error).split())}.", err=True)
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        typer.echo(interrupted, err=True)
        raise typer.Exit(INTERRUPTED) from None


def stop_on_sigterm() -> None:
    """Let SIGTERM end the command as SIGINT does."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
