import json

import pandas as pd
import pytest

from harness.plan import Job, make_plan
from harness.spec import TrajectorySpec
from harness.store.writing import Store

WHAT_MAY_DIFFER = ["trajectory_id", "select_seconds", "train_seconds", "stats"]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@pytest.fixture
def undisturbed(run_serially, tmp_path_factory):
    """Rounds and queries of a spec that was run in one go."""

    def run(spec):
        store = Store(tmp_path_factory.mktemp("undisturbed"))
        run_serially([spec], store)
        return results(store, spec)

    return run


def results(store, spec):
    rounds, _, queries = store.rounds(spec.trajectory_id)
    assert {row["trajectory_id"] for rows in (rounds, *queries) for row in rows} == {spec.trajectory_id}
    return pd.DataFrame(rounds).drop(columns=WHAT_MAY_DIFFER).to_dict("records"), queries


def origins(plan):
    return [(job.origin, len(job.rounds)) for job in plan.jobs]


def fail(store, spec, message="out of memory"):
    """Mark a trajectory as failed."""
    row = {name: getattr(spec, name) for name in ("data", "data_hash", "strategy", "seed", "schedule", "evaluate_on")}
    row |= {"params": spec.params_json, "spec": spec.model_dump_json()}
    row |= store.trajectories().get(spec.trajectory_id, {})
    store.write_trajectory({**row, "trajectory_id": spec.trajectory_id, "status": "failed", "message": message})


def test_all_is_new_in_an_empty_store(store, make_spec):
    plan = make_plan([make_spec(), make_spec(seed=1)], store)
    assert plan.done == []
    assert origins(plan) == [("new", 0), ("new", 0)]
    assert plan.jobs[0].history is None


def test_known_rows_are_not_read_again(store, make_spec, run_serially, monkeypatch):
    run_serially([make_spec()], store)
    rows = store.trajectories()
    monkeypatch.setattr(Store, "trajectories", None)
    plan = make_plan([make_spec()], store, rows)
    assert plan.done == [make_spec()]
    assert plan.known is rows


def test_what_is_finished_is_done(store, make_spec, run_serially):
    run_serially([make_spec()], store)
    plan = make_plan([make_spec(), make_spec(seed=1), make_spec("margin")], store)
    assert plan.done == [make_spec()]
    assert [job.spec for job in plan.jobs] == [make_spec(seed=1), make_spec("margin")]


@pytest.mark.parametrize("name", ["random", "ntkcpl_al"])
def test_an_interrupted_trajectory_is_resumed(store, make_spec, run_serially, undisturbed, name):
    spec = make_spec(name)
    run_serially([spec], store, n_rounds=2)
    (job,) = make_plan([spec], store).jobs
    assert job.origin == "resumed"
    assert [len(picks) for picks in job.history.picks] == [5, 5]
    assert job.history.accuracy == job.rounds[1]["accuracy"]
    (job,) = run_serially([spec], store).jobs
    assert (job.rounds, job.queries, job.history) == ([], [], None)  # they are in the store
    assert results(store, spec) == undisturbed(spec)
    assert store.trajectories()[spec.trajectory_id]["status"] == "ok"


def test_a_failed_trajectory_is_retried_from_its_last_round(store, make_spec, run_serially, undisturbed):
    spec = make_spec("entropy")
    run_serially([spec], store, n_rounds=3)
    fail(store, spec)
    assert origins(make_plan([spec], store)) == [("retried", 3)]
    run_serially([spec], store)
    assert results(store, spec) == undisturbed(spec)
    row = store.trajectories()[spec.trajectory_id]
    assert (row["status"], row["message"]) == ("ok", None)


def test_one_that_failed_in_its_first_round_is_retried(store, make_spec):
    with store.writing():
        fail(store, make_spec())
    assert origins(make_plan([make_spec()], store)) == [("retried", 0)]


@pytest.mark.parametrize(
    ("finished", "wanted", "n_rounds"),
    [("5x2", "5x4", 2), ("5x4", "5x2", 2), ("5x3,10", "5x5", 3), ("5,7", "5x3", 1), ("5", "5x2", 1)],
)
def test_a_schedule_that_begins_alike_is_continued(
    store, make_spec, run_serially, undisturbed, finished, wanted, n_rounds
):
    donor, spec = (make_spec("ntkcpl_self", schedule=schedule) for schedule in (finished, wanted))
    run_serially([donor], store)
    kept = results(store, donor)
    assert origins(make_plan([spec], store)) == [("continued", n_rounds)]
    run_serially([spec], store)
    assert results(store, spec) == undisturbed(spec)
    assert results(store, donor) == kept
    assert make_plan([donor, spec], store).jobs == []


def test_the_longest_beginning_wins(store, make_spec, run_serially):
    for schedule in ("5x2", "5x3,9", "5"):
        run_serially([make_spec(schedule=schedule)], store)
    assert origins(make_plan([make_spec(schedule="5x6")], store)) == [("continued", 3)]


def test_own_rounds_win_where_no_other_has_more(store, make_spec, run_serially):
    run_serially([make_spec(schedule="5x2")], store)
    run_serially([make_spec(schedule="5x6")], store, n_rounds=1)
    assert origins(make_plan([make_spec(schedule="5x6")], store)) == [("resumed", 3)]


@pytest.mark.parametrize(
    "other",
    [
        {"params": {"ridge": 0.1}},
        {"seed": 1},
        {"evaluate_on": "tune"},
        {"learner": {"hidden": 17, "epochs": 3}},
        {"strategy_version": 2},
        {"data_hash": "0" * 64},
        {"schedule": "4x9"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_one_that_differs_otherwise_is_not_continued(store, make_spec, run_serially, other):
    run_serially([make_spec("ntkcpl_self", schedule="5x2")], store)
    wanted = make_spec("ntkcpl_self", **{"schedule": "5x4", **other})
    assert origins(make_plan([wanted], store)) == [("new", 0)]


def test_one_that_failed_is_not_continued(store, make_spec, run_serially):
    short = make_spec(schedule="5x2")
    run_serially([short], store)
    fail(store, short)
    assert origins(make_plan([make_spec()], store)) == [("new", 0)]


def test_data_of_another_name_is_done_and_continued_under_its_new_name(store, make_spec, run_serially):
    run_serially([make_spec(schedule="5x2")], store)
    assert make_plan([make_spec(schedule="5x2", data="moved")], store).jobs == []
    (job,) = make_plan([make_spec(data="moved")], store).jobs
    assert {row["data"] for row in job.rounds} == {"moved"}


@pytest.mark.parametrize(("fingerprints", "expected"), [("ff", "f"), ("fg", None), ("", None)])
def test_fingerprint_of_a_job_is_the_one_of_all_its_rounds(make_spec, fingerprints, expected):
    rows = [{"stats": json.dumps({"fingerprint": value})} for value in fingerprints]
    assert Job(make_spec(), rounds=rows).fingerprint == expected
    assert Job(make_spec(), rounds=[*rows, {"stats": "{}"}]).fingerprint is None


@pytest.mark.parametrize(("cap", "n_rounds"), [(2, 1), (7, 3), (9, 3), (30, 4)])
def test_configurations_that_begin_alike_share_these_rounds(store, make_spec, run_serially, undisturbed, cap, n_rounds):
    """Rounds of 5 labels ask for 5, 5, 7 and 10 clusters, the first without a cap."""
    donor, spec = (make_spec("ntkcpl_self", {"max_clusters": most}, schedule="5x4") for most in (10, cap))
    run_serially([donor], store)
    assert origins(make_plan([spec], store)) == [("continued", n_rounds)]
    run_serially([spec], store)
    assert results(store, spec) == undisturbed(spec)


def test_what_is_not_of_one_lineage_begins_like_nothing(make_spec):
    spec = make_spec("ntkcpl_self")
    for other in (make_spec("ntkcpl_al"), make_spec("ntkcpl_self", seed=1), make_spec("ntkcpl_self", {"ridge": 0.1})):
        assert spec.n_alike(other) == 0
    refused = {**spec.params, "ridge": 1e-9}
    unknown = TrajectorySpec.model_validate({**spec.model_dump(), "params": refused})
    assert spec.n_alike(unknown) == 0
    assert unknown.n_alike(unknown) == len(spec.queries)
