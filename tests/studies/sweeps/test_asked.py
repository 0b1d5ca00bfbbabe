import pytest
import yaml

from harness.exceptions import SpecError
from harness.spec import LearnerSpec
from studies.study import load_study
from studies.sweeps.asked import AskedSweep
from studies.sweeps.space import Categorical


@pytest.fixture
def study(tmp_path):
    """`study(strategies=[...], ...)`: cifar10_clusters with some of it changed."""

    def of(**changes):
        whole = load_study("cifar10_clusters")[1].model_dump(mode="json", exclude_none=True)
        whole["sweep"] = {"space": {"max_clusters": [3, 6]}, "objective_from": 400}
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(whole | changes))
        return load_study(str(tmp_path / "mine.yaml"))

    return of


def test_the_sweep_of_the_paper():
    found = AskedSweep(None).sweep(load_study("cifar10_clusters"))
    assert (found.strategy, found.kind, found.seeds) == ("ntkcpl_al", "cifar10_clusters", (0, 1, 2, 3, 4))
    assert found.space.parameters == {"max_clusters": Categorical(choices=(10, 50, 100, 200))}
    assert found.space.window == (400, 2000)
    assert found.space.schedules == ("20x5,100x4,500x3",)
    assert found.shared == {"candidates": 10000}
    assert found.settings == {"learner": {"hidden": "512"}}


def test_what_is_typed_wins_over_the_study(study, pool):
    asked = AskedSweep("ntkcpl_self", "5,9", "10x4;20x2", seeds="2", candidates="50", objective_from=30)
    found = asked.sweep(study())
    assert (found.strategy, found.seeds, found.space.window) == ("ntkcpl_self", (0, 1), (30, 40))
    assert [spec.params["candidates"] for spec in found.specs(next(found.space.grid()), pool)] == [50, 50]
    assert len(list(found.space.grid())) == 4
    assert AskedSweep(None, settings=["learner.hidden=8"]).sweep(study()).settings["learner"]["hidden"] == "8"


def test_a_space_of_ones_own_replaces_the_studys(study, tmp_path):
    (tmp_path / "space.yaml").write_text("ridge: [0.01, 0.1]")
    found = AskedSweep(None, space=tmp_path / "space.yaml").sweep(study(max_clusters=7))
    assert list(found.space.parameters) == ["ridge"]
    assert found.shared == {"max_clusters": 7, "candidates": 10000}
    assert found.space.schedules == ("20x5,100x4,500x3",)


def test_parameters_of_the_studys_strategy_count(study):
    found = AskedSweep(None).sweep(study(strategies=[{"name": "ntkcpl_al", "preset": "paper", "candidates": 9}]))
    assert found.settings["ntkcpl_al"] == {"preset": "paper", "candidates": 9}
    assert found.shared == {}


def test_final_accuracy_has_no_start(study):
    assert AskedSweep(None, objective="final").sweep(study()).space.start is None
    with pytest.raises(SpecError, match="Expected --objective-from only with an area"):
        AskedSweep(None, objective="final", objective_from=500).sweep(study())


@pytest.mark.parametrize(
    ("learner", "expected"), [("linear", {"name": "linear"}), ("mlp", {"name": "mlp", "hidden": "512"})]
)
def test_a_learner_that_is_named_wins_over_the_studys(learner, expected):
    found = AskedSweep(None, learner=learner).sweep(load_study("cifar10_clusters"))
    assert found.settings["learner"] == expected


def test_any_study_gives_data_schedule_and_learner():
    found = AskedSweep("ntkcpl_al", "5,9").sweep(load_study("cifar10"))
    assert found.shared == {"candidates": 10000}
    assert found.space.window == (20, 2000)


@pytest.mark.parametrize(
    ("asked", "name", "complaint"),
    [
        (AskedSweep(None), None, "Expected --strategy, or a --study that has one"),
        (AskedSweep(None), "cifar10", "Expected --strategy, or one of the study's random, entropy"),
        (AskedSweep("random,ntkcpl_al"), None, "Expected one strategy to sweep"),
        (AskedSweep("ntkcpl_al"), None, "Expected schedules such as"),
        (AskedSweep(None, objective_from=10), "cifar10_clusters", "Expected an objective from 20 labels"),
        (
            AskedSweep(None, schedules="20x3"),
            "cifar10_clusters",
            "below the budget of 60, but got 400. The study cifar10_clusters has objective_from: 400; --objective-from",
        ),
        (AskedSweep(None, objective_from=2000), "cifar10_clusters", "below the budget of 2000, but got 2000"),
        (
            AskedSweep(None, settings=["ntkcpl_al.max_clusters=3"]),
            "cifar10_clusters",
            "searched or set, but it is both",
        ),
    ],
)
def test_what_is_missing_or_does_not_fit_is_said(asked, name, complaint):
    with pytest.raises(SpecError, match=complaint):
        asked.sweep(None if name is None else load_study(name))


def test_without_a_study_there_are_three_seeds_and_the_name_of_before(pool):
    found = AskedSweep("ntkcpl_al", "3,6", "5x4;10x2", settings=["learner.epochs=2"]).sweep(None)
    assert (found.seeds, found.space.window) == ((0, 1, 2), (10, 20))
    assert found.specs(next(found.space.grid()), pool)[0].learner == LearnerSpec(epochs=2)
    assert found.study(pool).startswith("sweep-")
    assert found.space.describe().keys() == {"max_clusters", "schedules"}
