"""What is shown of a sweep, line by line and on a terminal."""

import re
from io import StringIO

import pytest
from rich.console import Console

from harness.plan import Job
from harness.trajectory import run_trajectory
from harness.workers.events import Failed, Finished, RoundDone, Started, Summary
from studies.sweeps.progress import SweepProgress
from studies.sweeps.trials import Record


@pytest.fixture
def job(make_spec, pool):
    """A job whose first round is done, and the record of that round."""
    found = Job(make_spec(seed=3))
    found.rounds = [{"n_labels": 5, "accuracy": 0.5}]
    return found, next(run_trajectory(found.spec, pool))


def ended(number, specs, status, scores=()):
    return Record(number, {}, tuple(specs), status, labels=20, scores=scores)


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_trajectory_is_named_by_the_trials_that_want_it(job, make_spec, is_terminal):
    job, record = job
    console = Console(file=StringIO(), force_terminal=is_terminal, width=100)
    before = [ended(0, [make_spec()], "complete", (0.5, 0.7)), ended(1, [make_spec()], "stopped")]
    with SweepProgress(4, before, console) as progress:
        progress.trial_started(2, [job.spec])
        progress.trial_started(3, [job.spec, make_spec()])
        for event in (Started(job), RoundDone(job, record), Failed(job, "[out] of paper")):
            progress(event)
        progress.trial_ended(ended(2, [job.spec], "failed"))
        progress(Finished(Job(make_spec()), Summary("cpu", {}, 0)))
        progress.trial_ended(ended(3, [job.spec, make_spec()], "complete", (0.7, 0.9)))
        progress(Started(job))
    shown = console.file.getvalue()
    assert "trial 2, 3  seed 3  failed: [out] of paper\n" in shown
    if is_terminal:
        assert shown.count("4/4") == shown.count("0 running, 1 stopped, 1 failed, best 80.00% in trial 3") > 0
        return
    assert re.sub(r"\d+ s left", "N s left", shown).splitlines() == [
        f"trial 2, 3  seed 3  round 0  labels 5  {record.accuracy:.2%}",
        "trial 2, 3  seed 3  failed: [out] of paper",
        "trial 2  failed at 20 labels  (3/4, 1 running, 1 stopped, 1 failed, best 60.00% in trial 0, about N s left)",
        "trial 3  80.00%  (4/4, 0 running, 1 stopped, 1 failed, best 80.00% in trial 3)",
    ]


def test_what_belongs_to_no_trial_is_named_by_its_strategy(job):
    job, record = job
    console = Console(file=StringIO(), width=100)
    with SweepProgress(1, [], console) as progress:
        progress.confirming(1)
        progress(RoundDone(job, record))
    assert console.file.getvalue().splitlines()[1].startswith("random  seed 3  round 0  labels 5  ")
