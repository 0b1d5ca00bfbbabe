"""Suggestions depend on the number of the trial and on the finished trials, and on nothing else."""

import contextlib
import sqlite3
from dataclasses import replace

import optuna
import pytest

from harness.exceptions import StoreError, StoreWriteError
from studies.sweeps.search import Told, mirror, propose
from studies.sweeps.space import make_space

N_TRIALS = 16


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    path = tmp_path_factory.mktemp("space") / "space.yaml"
    path.write_text("ridge: {type: float, low: 1e-4, high: 0.1, log: true}")
    return make_space("5..50", "10x2;5x4", path)


def objective(values):
    return -abs(values["max_clusters"] - 20) / 50 + (0.1 if values["schedule"] == "10x2" else 0)


def run(space, sampler, told, n_trials=N_TRIALS):
    """Search on, one trial at a time, after the trials in `told`."""
    told = list(told)
    for number in range(len(told), n_trials):
        values = propose(space, sampler, 7, number, told)
        told.append(Told(number, values, "complete", (objective(values), 1.0)))
    return told


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_an_interrupted_search_goes_on_as_if_it_had_not_been(space, sampler):
    undisturbed = run(space, sampler, [])
    for n_finished in (1, 5, 13):
        assert run(space, sampler, undisturbed[:n_finished]) == undisturbed
    assert len({repr(told.values) for told in undisturbed}) > N_TRIALS / 2


def test_the_order_in_which_trials_are_told_does_not_matter(space):
    told = run(space, "tpe", [])
    assert propose(space, "tpe", 7, 16, told) == propose(space, "tpe", 7, 16, told[::-1])


def test_a_random_search_does_not_depend_on_other_trials(space):
    assert propose(space, "random", 7, 3, []) == propose(space, "random", 7, 3, run(space, "random", [], 2))
    assert propose(space, "random", 7, 3, []) != propose(space, "random", 8, 3, [])


def test_tpe_learns(space):
    late = run(space, "tpe", [], 40)[25:]
    assert sum(told.values["schedule"] == "10x2" for told in late) > 0.7 * len(late)


def test_gp_proposes_within_the_space(space):
    values = propose(space, "gp", 0, 12, run(space, "random", [], 12))
    assert 5 <= values["max_clusters"] <= 50
    assert 1e-4 <= values["ridge"] <= 0.1


@pytest.mark.parametrize("status", ["stopped", "failed", "running"])
def test_what_is_not_complete_has_no_objective(space, status, tmp_path):
    told = Told(0, propose(space, "random", 0, 0, []), status, (), ((10, 0.3), (15, 0.4)))
    assert propose(space, "tpe", 0, 1, [told])
    mirror(tmp_path / "optuna.db", "study", space, [told])
    (trial,) = optuna.load_study(study_name="study", storage=f"sqlite:///{tmp_path / 'optuna.db'}").trials
    assert trial.state.name == {"stopped": "PRUNED", "failed": "FAIL", "running": "RUNNING"}[status]
    assert trial.intermediate_values == ({10: 0.3, 15: 0.4} if status == "stopped" else {})


def test_two_objectives(space):
    told = run(space, "random", [], 12)
    assert propose(space, "tpe", 0, 12, told, n_objectives=2) != propose(space, "tpe", 0, 13, told, n_objectives=2)


def test_the_mirror_grows_and_keeps_what_it_has(space, tmp_path):
    path, told = tmp_path / "deep" / "optuna.db", run(space, "random", [], 5)
    mirror(path, "study", space, told[:3])
    mirror(path, "study", space, told)
    mirror(path, "other", space, told[:1])
    study = optuna.load_study(study_name="study", storage=f"sqlite:///{path}")
    assert [trial.params for trial in study.trials] == [each.values for each in told]
    assert study.best_value == max(objective(each.values) for each in told)


def test_a_mirror_that_is_something_else_is_refused(space, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("mine, and not a data base " * 100)
    with pytest.raises(StoreError, match=r"Cannot write optuna's trials to .*notes\.txt"):
        mirror(path, "study", space, [])
    assert path.read_text().startswith("mine")


@pytest.mark.parametrize("name", ["what?.db", "a%20b.db", "ü #x.db"])
def test_a_mirror_is_where_it_was_asked_for(space, tmp_path, name):
    mirror(tmp_path / name, "study", space, [])
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_mirror_of_a_grid_that_is_given_a_second_objective_goes_on(space, tmp_path):
    path, told = tmp_path / "optuna.db", run(space, "random", [], 2)
    mirror(path, "study", space, told[:1])
    mirror(path, "study", space, [replace(each, objectives=(0.5, 1.0)) for each in told], n_objectives=2)
    found = optuna.load_study(study_name="study-seconds", storage=f"sqlite:///{path}").trials
    assert [trial.values for trial in found] == [[0.5, 1.0]] * 2


def test_a_mirror_of_another_optuna_is_refused(space, tmp_path):
    path = tmp_path / "optuna.db"
    mirror(path, "study", space, [])
    with contextlib.closing(sqlite3.connect(path)) as base:
        base.execute("update alembic_version set version_num = 'v0.9.0.a'")
        base.commit()
    with pytest.raises(StoreError, match=r"Cannot write optuna's trials to .*no longer compatible"):
        mirror(path, "study", space, [])


def test_a_mirror_that_somebody_keeps_locked_cannot_be_written(space, tmp_path):
    path = tmp_path / "optuna.db"
    mirror(path, "study", space, [])
    with contextlib.closing(sqlite3.connect(path)) as base:
        base.execute("begin exclusive")
        with pytest.raises(StoreWriteError, match=r"optuna\.db`: database is locked"):
            mirror(path, "study", space, [])
