"""Between Tune and the workers: with a Tune that says what it is told to, and workers in this process."""

from collections import deque
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from harness.exceptions import ResourceError, StoreError
from harness.store.writing import Store
from harness.trajectory import run_trajectory
from harness.workers.driver import record
from harness.workers.events import Failed, Finished, Paused, RoundDone, Started, Summary
from studies.sweeps.book import SweepRun, TrialBook
from studies.sweeps.bridge import Bridge
from studies.sweeps.legs import JobQueue
from studies.sweeps.progress import SweepProgress
from studies.sweeps.space import make_space
from studies.sweeps.trials import Sweep


class FakeTune:
    """Starts all trials at once, asks for a report after each one that it got, and stops trials where it is told to."""

    def __init__(self, numbers, stop_at=None):
        self.error = None
        self.got = {number: [] for number in numbers}
        self.closed = []
        self._stop_at = stop_at or {}
        self._requests = deque((number, 0) for number in numbers)
        self._ended = []

    def requests(self):
        found, self._requests = list(self._requests), deque()
        return found

    def reply(self, number, reports, *, is_over):
        self.got[number] += reports
        labels = reports[-1][0] if reports else 0
        if is_over:
            self.closed.append(number)
        elif number in self._stop_at and labels >= self._stop_at[number]:
            self._ended.append((number, labels, False))
        else:
            self._requests.append((number, len(self.got[number])))

    def ended(self):
        found, self._ended = self._ended, []
        return found


@pytest.fixture
def run(pool, tmp_path):
    """`run(sweep, tune, failing=seeds, n_ahead=0)`: the book, after all trials have ended."""

    def execute(jobs, failing):
        for job in jobs:
            if job is None:
                continue
            yield Started(job)
            if job.spec.seed in failing:
                yield Failed(job, "out of paper")
                continue
            for done in run_trajectory(job.spec, pool, history=job.history, until=job.until):
                yield RoundDone(job, replace(done, stats={**done.stats, "fingerprint": "f"}))
            yield Finished(job, Summary("cpu", {"fingerprint": "f"}, 0)) if job.is_last_leg else Paused(job)

    def run(sweep, tune, failing=(), n_ahead=0):
        store = Store(tmp_path)
        with store.writing():
            book = TrialBook(sweep, pool, store, SweepRun())
            with SweepProgress(book.n_trials, [], Console(file=StringIO())) as progress:
                bridge = Bridge(book, JobQueue(store, book.known), tune, progress, n_ahead=n_ahead)
                record(execute(bridge.jobs(), failing), store, bridge.listen)
        return book

    return run


def sweep(clusters="3,6", **options):
    fast = {"learner": {"epochs": "3", "hidden": "16"}}
    return Sweep("ntkcpl_al", make_space(clusters, "5x4", None), (0, 1), fast, {}, **options)


def test_trials_get_their_reports_in_order_and_end(run):
    tune = FakeTune([0, 1])
    book = run(sweep(), tune)
    assert [record.status for record in book.records.values()] == ["complete", "complete"]
    assert sorted(tune.closed) == [0, 1]
    for number, got in tune.got.items():
        assert [labels for labels, _ in got] == [5, 10, 15, 20]
        assert tuple(got) == book.records[number].reports


@pytest.mark.parametrize("n_ahead", [1, 2])
def test_so_many_trials_may_begin_before_tune_starts_them(run, monkeypatch, n_ahead):
    class LateTune(FakeTune):
        """Starts no trial before all have ended."""

        n_calls = 0

        def requests(self):
            self.n_calls += 1
            assert self.n_calls < 500  # else the driver waits for it
            return []

    tune, begun, n_open = LateTune([0, 1, 2, 3]), [], []

    def started(progress, number, specs):
        begun.append(number)
        n_open.append(len(begun) - len(tune.closed))

    monkeypatch.setattr(SweepProgress, "trial_started", started)
    book = run(sweep("3,6,9,12"), tune, n_ahead=n_ahead)
    assert [record.status for record in book.records.values()] == ["complete"] * 4
    assert begun == [0, 1, 2, 3]
    assert sorted(tune.closed) == begun
    assert max(n_open) == n_ahead
    assert all([labels for labels, _ in got] == [5, 10, 15, 20] for got in tune.got.values())


def test_trials_of_one_trajectory_run_it_once(run):
    book = run(sweep("50,60"), FakeTune([0, 1]))  # neither cap binds
    assert book.records[0].specs == book.records[1].specs
    assert book.records[0].scores == book.records[1].scores
    assert len(book.known) == 2


def test_a_trial_that_is_stopped_costs_nothing_more(run):
    tune = FakeTune([0, 1], stop_at={1: 10})
    book = run(sweep(scheduler="asha"), tune)
    assert (book.records[0].status, book.records[1].status) == ("complete", "stopped")
    assert book.records[1].labels == 10
    assert [labels for labels, _ in tune.got[1]] == [5, 10]
    assert not any(spec.trajectory_id in book.known for spec in book.records[1].specs)


def test_a_trial_fails_with_one_of_its_trajectories(run):
    tune = FakeTune([0, 1])
    book = run(sweep(), tune, failing={1})
    assert [record.status for record in book.records.values()] == ["failed", "failed"]
    assert sorted(tune.closed) == [0, 1]


@pytest.mark.parametrize("scheduler", ["none", "asha"])
def test_a_trajectory_that_has_ended_but_lacks_rounds_is_named(run, tmp_path, scheduler):
    """An unfinished one of another store was copied over its rounds."""
    asked = sweep(scheduler=scheduler)
    run(asked, FakeTune(range(2)))
    store = Store(tmp_path)
    name = min(store.trajectories())
    rounds, _, queries = store.rounds(name)
    store.write_rounds(name, rounds[:2], queries[:2])
    (tmp_path / "trials" / next(iter(store.studies()))).with_suffix(".parquet").unlink()
    with pytest.raises(StoreError, match=f"Expected 4 rounds of trajectory {name}, which has ended, but got 2"):
        run(asked, FakeTune(range(2)))


def test_a_tune_that_ends_before_its_trials_is_told(run):
    tune = FakeTune([])
    tune.error = "out of luck"
    with pytest.raises(ResourceError, match="Expected Ray Tune to run all trials, but it ended with: out of luck"):
        run(sweep(), tune)
