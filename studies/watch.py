"""`ntkcpl report --watch`: a page that follows a study while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from analysis.exceptions import SelectionError
from harness.store.location import Location
from harness.store.lock import is_held
from studies.status import progress


def watch(
    stores: Sequence[Location],
    report: Callable[[int | None], object],
    say: Callable[[str], object],
    seconds: int,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Report again and again while a command writes to one of the stores, and once more when it has ended.

    Args:
        stores: what is reported on.
        report: writes the report; is given the seconds until the next one, None for the last one.
        say: is given a line for each study: what is finished and what is missing.
        seconds: from the end of a report to the next one.
        sleep: waits.

    Raises:
        StoreError: a store cannot be read.
        SelectionError: nothing is finished at the end.
    """
    runs = True
    while runs:
        runs = any(map(is_held, stores))  # before reading: what is written later is in the next report
        lines = [line for store in stores for line in progress(store)]
        try:
            report(seconds if runs else None)
        except SelectionError:
            if not runs:
                raise
            lines.append("No trajectory is finished yet, so there is no page.")
        for line in lines:
            say(line)
        if runs:
            sleep(seconds)
