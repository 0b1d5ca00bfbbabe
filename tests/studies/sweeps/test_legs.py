"""The job queue of a sweep, without Ray."""

import pytest

from harness.store.writing import Store
from harness.workers.events import Failed, Finished, Paused, Summary
from studies.sweeps.legs import JobQueue


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@pytest.fixture
def queue(store):
    return JobQueue(store, store.trajectories())


def test_a_trajectory_that_two_trials_wait_for_is_queued_once(queue, make_spec):
    spec = make_spec()
    queue.add(spec, 2)
    queue.add(spec, 4)
    job = queue.take()
    assert (job.spec, job.until, queue.take()) == (spec, 2, None)
    assert queue.is_under_way([spec])
    queue.hear(Paused(job))
    assert not queue.is_under_way([spec])


def test_one_that_is_as_far_has_nothing_to_run(queue, store, make_spec, run_serially):
    spec = make_spec()
    run_serially([spec], store, n_rounds=2)
    queue.add(spec, 2)
    assert queue.take() is None
    assert queue.labels(spec) == 10
    queue.add(spec, 3)
    job = queue.take()
    assert (job.origin, len(job.rounds), job.until) == ("resumed", 2, 3)
    assert queue.rounds(spec) is job.rounds  # they grow while it runs


def test_what_ended_is_known(queue, store, make_spec, run_serially):
    good, bad = make_spec(), make_spec(seed=1)
    for spec in (good, bad):
        queue.add(spec, 4)
    run_serially([good], store)
    queue.hear(Finished(queue.take(), Summary("cpu", {}, 0)))
    queue.hear(Failed(queue.take(), "out of paper"))
    assert queue.has_failed([good, bad])
    assert not queue.has_failed([good])
    assert not queue.is_under_way([good, bad])


def test_rounds_that_are_forgotten_are_read_again(queue, store, make_spec, run_serially):
    spec = make_spec()
    assert queue.labels(spec) == 0
    run_serially([spec], store)
    assert queue.labels(spec) == 0
    queue.forget([spec])
    assert queue.labels(spec) == 20


def test_rounds_that_grow_are_not_forgotten(queue, make_spec):
    spec = make_spec()
    queue.add(spec, 2)
    queue.forget([spec])
    assert queue.rounds(spec) is queue.take().rounds
