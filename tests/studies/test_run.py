import threading

from harness.learners.registry import named
from harness.plan import Job, Plan
from harness.workers.resources import Resources
from studies.run import describe_resources, loading_meanwhile, unlike

RESOURCES = Resources(workers=2, gpus_per_trajectory=0)


def test_the_time_is_known_from_finished_trajectories_that_are_alike(make_spec):
    jobs = [Job(make_spec(seed=seed)) for seed in range(4)]
    like = {"strategy": "random", "data_hash": jobs[0].spec.data_hash, "schedule": "5x4", "status": "ok"}
    like["spec"] = jobs[0].spec.model_dump_json()
    rows = {
        "a": {**like, "seconds": 20.0},
        "b": {**like, "seconds": 40.0},
        "failed": {**like, "seconds": 1e6, "status": "failed"},
        "other": {**like, "seconds": 1e6, "schedule": "5x9"},
        "another learner": {**like, "seconds": 1e6, "spec": make_spec(learner=named("linear")).model_dump_json()},
    }
    assert describe_resources(RESOURCES, Plan([], jobs, rows)) == "2 at a time, with 1 CPU each; about 60 s"


def test_the_time_of_something_new_is_not(make_spec):
    shown = "2 at a time, with 1 CPU each; no estimate of the time yet"
    assert describe_resources(RESOURCES, Plan([], [Job(make_spec("margin"))], {})) == shown
    assert describe_resources(RESOURCES, Plan([], [], {})) == shown


def test_what_comes_after_the_jobs_is_loaded_while_a_worker_waits(monkeypatch):
    loaded, has_loaded = [], threading.Event()

    def load(module):
        loaded.append(module)
        if module == "two":
            has_loaded.set()

    monkeypatch.setattr("studies.run.import_module", load)
    jobs = loading_meanwhile(iter(["first", None, "second", None]), "one", "two")
    assert next(jobs) == "first"
    assert not loaded
    assert next(jobs) is None
    assert has_loaded.wait(30)
    assert list(jobs) == ["second", None]
    assert loaded == ["one", "two"]


def test_what_comes_after_the_jobs_is_loaded_at_their_end(monkeypatch):
    has_loaded = threading.Event()
    monkeypatch.setattr("studies.run.import_module", lambda module: has_loaded.set())
    assert list(loading_meanwhile(["only"], "one")) == ["only"]
    assert has_loaded.wait(30)


def test_what_no_report_can_show_beside_a_study_is_said(make_spec):
    spec = make_spec()
    like = {"data": spec.data, "data_hash": spec.data_hash, "spec": spec.model_dump_json()}
    like |= {"status": "ok", "strategy": "random"}
    others = [{"data": "another"}, {"status": "failed"}, {"strategy": "boss"}]
    assert unlike([like, *({**like, "data_hash": "else", **each} for each in others)], spec) == []
    (changed,) = unlike([like, {**like, "data_hash": "else"}], spec)
    assert changed.startswith(f"The store has trajectories on other data called `{spec.data}`")
    (learner,) = unlike([{**like, "spec": make_spec(learner=named("linear")).model_dump_json()}], spec)
    assert learner.startswith("The store has trajectories with another learner")
