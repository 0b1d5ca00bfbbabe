"""The table of trials on a terminal."""

import io

import pytest
from rich.console import Console
from test_trials import curve, sweep

from studies.sweeps.summary import show_trials
from studies.sweeps.trials import make_record


@pytest.mark.parametrize(("status", "is_noted"), [("complete", False), ("failed", True)])
def test_a_column_that_says_nothing_is_left_out(pool, status, is_noted):
    asked, values = sweep("3", "10x2"), {"max_clusters": 3, "schedule": "10x2"}
    curves = [curve(0.2, 0.4, labels=(10, 20))] * 2
    record = make_record(asked, 0, values, asked.specs(values, pool), curves, status, 20)
    console = Console(width=80, file=io.StringIO())
    show_trials(asked, [record], console)
    headings = console.file.getvalue().splitlines()[2]
    assert ("note" in headings) == is_noted
    assert "interval" not in headings
    assert "objective" in headings
