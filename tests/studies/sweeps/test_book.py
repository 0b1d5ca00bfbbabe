"""The trial book: what is asked of it from two threads, without Ray."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue

import pytest

from harness.store.writing import Store
from studies.sweeps import book as module
from studies.sweeps.book import SweepRun, TrialBook
from studies.sweeps.space import Categorical, Space, make_space
from studies.sweeps.trials import Sweep, make_record

FAST = {"learner": {"epochs": "3", "hidden": "16"}}


@pytest.fixture
def searched():
    return Sweep("ntkcpl_al", make_space("3..9", "5x4", None), (0, 1), FAST, {}, search="tpe", n_trials=8)


@pytest.fixture
def book(searched, pool, tmp_path):
    return TrialBook(searched, pool, Store(tmp_path), SweepRun())


def end(book, number, status="stopped"):
    specs = book.specs(number)
    return book.record(number, specs, [[] for _ in specs], status, 0)


def test_a_grid_is_known_from_the_start(pool, tmp_path):
    book = TrialBook(
        Sweep("ntkcpl_al", make_space("3,6", "5x4", None), (0,), FAST, {}), pool, Store(tmp_path), SweepRun()
    )
    assert [book.configure(number) for number in book.pending] == list(book.sweep.space.grid())
    assert (book.n_trials, len(book.plan().jobs)) == (2, 2)


def test_a_grid_that_was_begun_in_another_order_has_each_point_once(pool, tmp_path):
    ridges, risks = Categorical(choices=(0.1, 0.2)), Categorical(choices=("zero_one", "squared"))
    sweep = Sweep("ntkcpl_al", Space({"ridge": ridges, "risk": risks}, ("5x4",)), (0,), FAST, {})
    other = Sweep("ntkcpl_al", Space({"risk": risks, "ridge": ridges}, ("5x4",)), (0,), FAST, {})
    assert sweep.study(pool) == other.study(pool)
    assert list(sweep.space.grid()) == list(other.space.grid())
    points, store = list(sweep.space.grid()), Store(tmp_path)
    # Trials 0 to 2 as an older version left them: 1 and 2 exchanged, and one of them twice.
    earlier = {0: points[0], 1: points[2], 2: points[2], 7: points[3]}
    specs = {number: sweep.specs(values, pool) for number, values in earlier.items()}
    records = [make_record(sweep, number, earlier[number], specs[number], [[]], "stopped", 0) for number in earlier]
    with store.writing():
        store.write_trials(sweep.study(pool), [record.row(sweep.study(pool), sweep) for record in records])
    book = TrialBook(sweep, pool, store, SweepRun())
    assert [book.configure(number) for number in range(4)] == [points[0], points[2], points[1], points[3]]
    assert book.n_trials == 4


@pytest.mark.parametrize(
    ("search", "scheduler", "expected"),
    [("grid", "none", True), ("random", "none", True), ("grid", "asha", False), ("tpe", "none", False)],
)
def test_trials_run_anyway_where_no_result_changes_the_next_one(searched, pool, tmp_path, search, scheduler, expected):
    space = make_space("3,6", "5x4", None) if search == "grid" else searched.space
    sweep = replace(searched, space=space, search=search, scheduler=scheduler)
    assert TrialBook(sweep, pool, Store(tmp_path), SweepRun()).runs_anyway == expected


def test_a_trial_whose_rounds_are_run_again_has_not_ended(book, searched, pool, run_serially):
    store, specs = book._store, book.specs(0)
    run_serially(specs, store)
    book.record(0, specs, [store.rounds(spec.trajectory_id)[0] for spec in specs], "complete", 20)
    with store.writing():
        book.save()
    assert list(TrialBook(searched, pool, store, SweepRun()).records) == [0]
    with store.writing():
        rounds, _, queries = store.rounds(specs[1].trajectory_id)
        store.forget(specs[1].trajectory_id)
        store.write_rounds(specs[1].trajectory_id, rounds[:2], queries[:2])
    assert list(TrialBook(searched, pool, store, SweepRun()).records) == []


@pytest.mark.parametrize("search", ["random", "tpe"])
def test_what_has_begun_before_a_registration_is_counted(searched, pool, tmp_path, run_serially, search):
    searched, store, options = replace(searched, search=search), Store(tmp_path), SweepRun(register=True)
    book = TrialBook(searched, pool, store, options)
    assert "before any of it" not in book.registering(keep=False)
    run_serially(book.specs(0)[:1], store, n_rounds=1)
    with store.writing():
        book.join(book.specs(0))
        said = TrialBook(searched, pool, store, options).registering(keep=True)
    assert "when 1 trajectory of it had begun" in said
    assert [row["n_begun"] for row in store.registrations()] == [1]


def test_two_threads_that_ask_for_one_trial_get_one_configuration(book, monkeypatch):
    """Both have found that there is none yet before either proposes one."""
    both, proposals = threading.Barrier(2, timeout=10), iter([{"max_clusters": 3}, {"max_clusters": 9}])

    def propose(*args, **options):
        both.wait()
        return next(proposals)

    monkeypatch.setattr(module, "propose", propose)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(book.configure, [1, 1])
    assert first == second == book.configure(1)


def test_a_proposal_holds_up_nobody(book, monkeypatch):
    asked, recorded = threading.Event(), threading.Event()

    def propose(*args, **options):
        asked.set()
        assert recorded.wait(10)
        return {"max_clusters": 3}

    first = book.specs(0)
    monkeypatch.setattr(module, "propose", propose)
    with ThreadPoolExecutor(1) as tune:
        proposed = tune.submit(book.configure, 1)
        assert asked.wait(10)
        book.record(0, first, [[], []], "failed", 0)
        recorded.set()
        assert proposed.result(10) == {"max_clusters": 3}
    assert (list(book.records), book.pending[0]) == ([0], 1)


def test_a_sampler_is_told_of_all_that_began_before_while_others_end(book, monkeypatch):
    """Tune's thread goes through the trials; the driver ends each as soon as it has begun."""
    told, begun = {}, SimpleQueue()

    def propose(space, search, seed, number, others, n_objectives):
        told.setdefault(number, sorted(each.number for each in others))
        return {"max_clusters": 3 + number % 7, "schedule": "5x4"}

    def ask():
        for number in range(8):
            book.configure(number)
            begun.put(number)

    monkeypatch.setattr(module, "propose", propose)
    with ThreadPoolExecutor(1) as tune:
        asked = tune.submit(ask)
        for _ in range(8):
            end(book, begun.get(timeout=10))
        asked.result(10)
    assert told == {number: list(range(number)) for number in range(1, 8)}  # the book itself asked for the first
    assert not book.pending


def test_what_has_ended_is_in_the_store_and_failures_are_tried_again(book, searched, pool):
    for number, status in enumerate(("stopped", "failed")):
        end(book, number, status)
    again = TrialBook(searched, pool, Store(book._store.root), SweepRun())
    assert [row["status"] for row in again._store.trials(again.study)] == ["stopped", "failed"]
    assert again.records == {}  # their rounds are not there
    assert [again.configure(number) for number in (0, 1)] == [book.configure(number) for number in (0, 1)]
