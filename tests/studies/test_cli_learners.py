"""`--learner`, from the command to the store."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis import load
from analysis.exceptions import MixedSettingsError
from harness.learners.registry import named
from harness.query import select
from harness.store.writing import Store
from harness.trajectory import run_trajectory
from strategies.registry import make_strategy

ON = {
    "compare": ["--strategies", "random,alfamix", "--schedule", "5x2", "--seeds", "1"],
    "sweep": ["--strategy", "alfamix", "--schedules", "5x2", "--space", "SPACE"],
}


@pytest.fixture
def pool_without_labels(pool, tmp_path):
    np.save(tmp_path / "pool.npy", pool.x_train)
    return tmp_path / "pool.npy"


@pytest.mark.ray
def test_compare_on_a_learner_of_ones_own(ntkcpl_on_ray, pool_file, tmp_path):
    learner, settings = "plugins:NearestMean", {"sharpness": 2.0}
    options = [word for key, value in settings.items() for word in ("--set", f"learner.{key}={value}")]
    words = ["compare", "--data", pool_file, "--strategies", "random,badge", "--schedule", "5x2", "--seeds", "1"]
    words += ["--learner", learner, *options, "--out", tmp_path / "out"]
    first = ntkcpl_on_ray(*words)
    assert first.exit_code == 0, first.stderr
    assert f"learner: {learner} with scaling=rms, " in first.stderr
    assert f"badge: {learner} has no layer before the last, so its embedding is the features." in first.stderr
    rows = pd.read_parquet(tmp_path / "out" / "trajectories")
    assert set(rows["status"]) == {"ok"}
    expected = {"name": learner, "version": 1, "params": {"scaling": "rms", **settings}}
    assert [json.loads(text)["learner"] for text in rows["spec"]] == [expected] * 2
    assert "2 trajectories: 2 already done" in ntkcpl_on_ray(*words).stderr


@pytest.mark.ray
def test_sweep(ntkcpl_on_tune, pool_file, tmp_path):
    words = ["sweep", "--data", pool_file, "--strategy", "ntkcpl_al", "--max-clusters", "3,6", "--schedules", "5x2"]
    words += ["--seeds", "1", "--learner", "ridge", "--out", tmp_path / "out"]
    result = ntkcpl_on_tune(*words)
    assert result.exit_code == 0, result.stderr
    assert "learner: ridge with scaling=rms, ridge=chosen, bias=True" in result.stderr
    specs = pd.read_parquet(tmp_path / "out" / "trajectories")["spec"]
    assert {json.loads(text)["learner"]["name"] for text in specs} == {"ridge"}


@pytest.mark.parametrize("name", ["random", "badge", "ntkcpl_al"])
def test_select_picks_what_a_study_with_the_learner_would(pool, make_spec, name):
    spec, labelled = make_spec(name, schedule="5x3", learner=named("linear")), np.empty(0, dtype=np.int64)
    for round_, record in enumerate(run_trajectory(spec, pool)):
        found, _ = select(
            make_strategy(name),
            5,
            pool.x_train,
            pool.n_classes,
            labelled,
            pool.y_train[labelled],
            [5] * round_,
            learner=spec.learner,
        )
        np.testing.assert_array_equal(found.indices, record.picks)
        labelled = np.concatenate([labelled, record.picks])


def test_select(ntkcpl, pool_without_labels, tmp_path):
    words = ["select", "--data", pool_without_labels, "--strategy", "random", "-n", 5, "--classes", "a,b"]
    result = ntkcpl(*words, "--learner", "knn", "--set", "learner.neighbours=3", "--out", tmp_path / "picks.csv")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines() == ["learner: knn with scaling=rms, neighbours=3, temperature=0.07"]


def test_select_says_what_stands_for_an_embedding(ntkcpl, pool_without_labels, tmp_path):
    words = ["select", "--data", pool_without_labels, "--strategy", "badge", "-n", 5, "--classes", "a,b"]
    result = ntkcpl(*words, "--learner", "linear", "--out", tmp_path / "picks.csv")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines()[1:] == [
        "badge: linear has no layer before the last, so its embedding is the features."
    ]
    assert "badge chose 5 points" in result.stdout
    assert ntkcpl(*words, "--out", tmp_path / "others.csv").stderr == ""


@pytest.mark.parametrize("command", ON)
@pytest.mark.parametrize("learner", ["knn", "ridge"])
def test_a_strategy_that_asks_for_a_gradient_is_refused(ntkcpl, pool_file, tmp_path, command, learner):
    (tmp_path / "space.yaml").write_text("epsilon: [0.1, 0.2]")
    words = [tmp_path / "space.yaml" if word == "SPACE" else word for word in ON[command]]
    result = ntkcpl(command, "--data", pool_file, *words, "--learner", learner, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"Error: Expected a learner with a gradient for alfamix (--learner mlp or linear), but `{learner}` has none."
    ]
    assert not (tmp_path / "out").exists()


def test_select_refuses_it_too(ntkcpl, pool_without_labels, tmp_path):
    words = ["select", "--data", pool_without_labels, "--strategy", "refine", "-n", 5, "--classes", "a,b"]
    result = ntkcpl(*words, "--learner", "knn", "--out", tmp_path / "picks.csv")
    assert result.exit_code == 2
    assert "Expected a learner with a gradient for refine" in result.stderr


def test_an_oracle_asks_as_well(ntkcpl, command, pool_file, tmp_path):
    words = ["compare", "--data", pool_file, "--strategies", "random", "--schedule", "5x2", "--oracle", "boss"]
    result = ntkcpl(*words, "--learner", "ridge", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "for boss" in result.stderr


def test_rule_5_learners_are_never_averaged(run_serially, make_spec, tmp_path):
    specs = [make_spec(schedule="5x2"), make_spec(schedule="5x2", learner=named("linear"))]
    run_serially(specs, Store(tmp_path))
    with pytest.raises(MixedSettingsError, match=r"one learner .* got learner=(linear|mlp) and learner=(mlp|linear)\."):
        load(tmp_path)
