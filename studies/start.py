"""The start of `ntkcpl`: an interruption while the command line is loaded, which takes most of a second."""

from __future__ import annotations

import os
import signal
from types import FrameType

_INTERRUPTED = 130


def main() -> None:
    """Entry point of `ntkcpl`."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    from studies import cli

    cli.main()


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, b"Interrupted.\n")
    os._exit(_INTERRUPTED)  # nothing has begun, and an exception in the middle of an import shows where that was
