"""What is registered before a study runs, what is refused, and how the command line says it."""

from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest
import yaml

from analysis.registration import Registration
from harness.exceptions import SpecError
from harness.store.writing import Store
from studies.register import Terms, beyond, of_comparison, register
from studies.study import load_study, registered_terms


@pytest.fixture
def specs(make_spec):
    return [make_spec(name, seed=seed) for seed in range(2) for name in ("random", "margin")]


def wanted(specs, terms=None, n_begun=0):
    return of_comparison(specs, terms or Terms(), study="compare-x", n_begun=n_begun, command="ntkcpl compare")


def test_a_comparison_says_what_it_will_show(specs, make_spec):
    found = wanted([*specs, make_spec("boss")], Terms(baseline="margin", metric="macro_f1", window=(10, 20)))
    assert str(found) == "2 configurations, seeds 0 and 1, area of macro-F1 over 10 to 20 labels, compared with margin"
    assert set(found.trajectory_ids) == {spec.trajectory_id for spec in specs}
    assert wanted(specs).window == (5, 20)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (Terms(baseline="badge"), "baseline `badge` among those to be registered, but got random, margin"),
        (Terms(window=(5, 25)), "a window within 5 to 20 labels, but got 5 to 25"),
        (Terms(window=(10, 10)), "but got 10 to 10"),
    ],
)
def test_what_cannot_be_shown_is_refused(specs, terms, message):
    with pytest.raises(SpecError, match=message):
        wanted(specs, terms)


def test_a_registration_comes_first_and_stays(specs, tmp_path):
    store = Store(tmp_path)
    assert register(wanted(specs), store, 4, keep=False).startswith("To be registered: 2 configurations")
    with pytest.raises(SpecError, match="all its trajectories have begun"):
        register(wanted(specs, n_begun=4), store, 4, keep=True)
    with store.writing():
        said = register(wanted(specs), store, 4, keep=True)
        assert said.startswith("Registered on ")
        assert register(wanted(specs, n_begun=4), store, 4, keep=True) == said
        with pytest.raises(SpecError, match=r"but this command differs in its window; run it with --no-register"):
            register(wanted(specs, Terms(window=(10, 20))), store, 4, keep=True)
    (row,) = store.registrations()
    assert Registration.of_row(row).sentence == said
    data_hash = specs[0].data_hash
    assert beyond(store, "compare", data_hash, "compare-x") is None
    assert beyond(store, "sweep of margin", data_hash, "sweep-x") is None
    assert "the report calls it exploratory" in beyond(store, "compare", data_hash, "compare-y")


def test_another_one_never_replaces_a_registration(specs, tmp_path):
    store, first = Store(tmp_path), wanted(specs)
    with store.writing():
        store.write_registration(first.row())
        store.write_registration(replace(first, registered_at=datetime(2026, 1, 1, tzinfo=UTC)).row())
    assert [row["registered_at"] for row in store.registrations()] == [
        datetime(2026, 1, 1, tzinfo=UTC),
        first.registered_at,
    ]


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", None),
        ("registration: true", Terms()),
        ("registration: {metric: macro_f1, window: [10, 20]}", Terms(metric="macro_f1", window=(10, 20))),
    ],
)
def test_a_study_file_says_it(tmp_path, text, terms):
    (tmp_path / "mine.yaml").write_text(
        f"title: mine\ndata: digits\nfeatures: {{recipe: simsiam_cpu}}\nstrategies: [random]\nschedule: 5x2\n{text}\n"
    )
    study = load_study(str(tmp_path / "mine.yaml"))
    assert registered_terms(study, None) == terms
    assert registered_terms(study, False) is None
    assert registered_terms(study, True) == (terms or Terms())


def test_a_study_file_with_another_word_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "title: mine\ndata: digits\nfeatures: {recipe: simsiam_cpu}\nstrategies: [random]\nschedule: 5x2\n"
        "registration: {basline: random}\n"
    )
    with pytest.raises(SpecError, match="basline"):
        load_study(str(tmp_path / "mine.yaml"))


def test_compare_registers_before_it_runs(ntkcpl_without_ray, command, tmp_path):
    words = command(tmp_path / "out", register=True)
    planned = ntkcpl_without_ray(*words, "--dry-run")
    assert "To be registered: 2 configurations, seeds 0 and 1" in " ".join(planned.stderr.split())
    assert not (tmp_path / "out").exists()
    result = ntkcpl_without_ray(*words)
    assert result.exit_code == 0, result.stderr
    (row,) = Store(tmp_path / "out").registrations()
    assert row["n_begun"] == 0
    assert row["registered_at"] < pd.read_parquet(tmp_path / "out" / "trajectories")["started_at"].min()
    assert ntkcpl_without_ray(*words).exit_code == 0
    refused = ntkcpl_without_ray(*command(tmp_path / "out", register=True, seeds=3))
    assert refused.exit_code == 2
    assert "but this command differs in its seeds" in refused.stderr
    assert len(Store(tmp_path / "out").registrations()) == 1
    more = ntkcpl_without_ray(*command(tmp_path / "out", seeds=3))
    assert "the report calls it exploratory" in " ".join(more.stderr.split())
    assert ntkcpl_without_ray("report", tmp_path / "out", "--format", "html").exit_code == 0
    page = (tmp_path / "out" / "report" / "index.html").read_text()
    assert "As registered" in page
    assert "this section has entropy (seed 2) and random (seed 2)" in page
    assert ntkcpl_without_ray("store", "check", tmp_path / "out").stdout.endswith("0 problems\n")


def test_all_pools_of_a_study_are_registered_before_the_first_runs(ntkcpl_without_ray, command, pool_file, tmp_path):
    study = {
        "title": "Harder",
        "data": "pool",
        "features": {"recipe": "simsiam_cifar"},
        "strategies": ["random"],
        "schedule": "5x2",
        "seeds": 2,
        "learner": {"epochs": 3, "hidden": 16},
        "pools": [{}, {"pool": "longtail:4"}],
        "registration": True,
    }
    (tmp_path / "hard.yaml").write_text(yaml.safe_dump(study))
    words = ["compare", "--study", tmp_path / "hard.yaml", "--data", pool_file, "--out"]
    assert ntkcpl_without_ray(*words, tmp_path / "out").exit_code == 0
    rows = Store(tmp_path / "out").registrations()
    assert [(row["data"], row["n_begun"]) for row in rows] == [("pool", 0), ("pool[longtail:4]", 0)]
    trajectories = pd.read_parquet(tmp_path / "out" / "trajectories")
    assert max(row["registered_at"] for row in rows) < trajectories["started_at"].min()
    assert ntkcpl_without_ray(*words, tmp_path / "out").exit_code == 0
    assert ntkcpl_without_ray(*command(tmp_path / "other", register=True, pool="longtail:4")).exit_code == 0
    refused = ntkcpl_without_ray(*words, tmp_path / "other")
    assert (refused.exit_code, "but this command differs in its configurations" in refused.stderr) == (2, True)
    assert set(pd.read_parquet(tmp_path / "other" / "trajectories")["data"]) == {"pool[longtail:4]"}


@pytest.mark.ray
def test_sweep_registers_and_counts_its_looks(ntkcpl_on_tune, sweep_command, tmp_path):
    quick = {"max_clusters": "3,6", "schedules": "5x2", "seeds": 2, "confirm_seeds": 2}
    result = ntkcpl_on_tune(*sweep_command(tmp_path, **quick, register=True))
    assert result.exit_code == 0, result.stderr
    (row,) = Store(tmp_path).registrations()
    assert (row["subject"], row["n_trials"], row["confirm_seeds"]) == ("sweep of ntkcpl_al", 2, [2, 3])
    assert set(pd.read_parquet(tmp_path / "trials")["maximised"]) == {"area"}
    refused = ntkcpl_on_tune(*sweep_command(tmp_path, **(quick | {"confirm_seeds": 3}), register=True))
    assert "differs in its seeds of the confirmation" in refused.stderr
    assert ntkcpl_on_tune(*sweep_command(tmp_path, **(quick | {"confirm_seeds": 3}))).exit_code == 0
    assert ntkcpl_on_tune("report", tmp_path, "--format", "html").exit_code == 0
    page = (tmp_path / "report" / "index.html").read_text()
    assert "looked at 2 times: seeds 2 and 3 (once), seeds 2 to 4 (once)" in page
    assert "a confirmation had other seeds than those that were registered, 2 and 3" in page
