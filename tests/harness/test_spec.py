import pytest

from harness.learners.registry import named
from harness.schedule import Schedule
from harness.spec import LearnerSpec, TrajectorySpec, canonical_json

CHANGES = {
    "data_hash": "f" * 64,
    "strategy": "margin",
    "strategy_version": 2,
    "params": {"ridge": 0.5},
    "schedule": "5x5",
    "seed": 1,
    "learner": LearnerSpec(hidden=17, epochs=3),
    "evaluate_on": "tune",
}


@pytest.fixture
def spec(make_spec):
    return make_spec("entropy")


@pytest.mark.parametrize("change", [{"data": "other"}, {"preset": {"paper": ["ridge"]}}], ids=str)
def test_names_are_no_part_of_the_identity(spec, change):
    renamed = TrajectorySpec.model_validate({**spec.model_dump(), **change})
    assert renamed.trajectory_id == spec.trajectory_id
    assert renamed.lineage == spec.lineage


def test_every_other_field_is_tried():
    assert set(CHANGES) == set(TrajectorySpec.model_fields) - {"data", "preset"}


@pytest.mark.parametrize("field", CHANGES)
def test_every_other_field_is_part_of_the_identity(spec, field):
    changed = TrajectorySpec.model_validate({**spec.model_dump(), field: CHANGES[field]})
    assert changed.trajectory_id != spec.trajectory_id
    assert (changed.lineage == spec.lineage) == (field in ("schedule", "params"))


@pytest.mark.parametrize("setting", LearnerSpec.model_fields)
def test_rule_5_every_learner_setting_is_part_of_the_identity(make_spec, setting):
    changes = {
        "hidden": 17,
        "epochs": 4,
        "batch_size": 64,
        "lr": 0.2,
        "momentum": 0.8,
        "weight_decay": 0,
        "scaling": "unit",
    }
    identities = {make_spec(learner=learner).trajectory_id for learner in ({}, {setting: changes[setting]})}
    assert len(identities) == 2


@pytest.mark.parametrize("name", ["linear", "knn", "ridge"])
def test_another_learner_is_another_identity(make_spec, name):
    specs = [make_spec(), make_spec(learner=named(name)), make_spec(learner=named(name, {"scaling": "unit"}))]
    specs.append(make_spec(learner={**named(name).model_dump(), "version": 99}))
    assert len({spec.trajectory_id for spec in specs}) == len({spec.lineage for spec in specs}) == 4


@pytest.mark.parametrize("learner", [LearnerSpec(), named("linear"), named("knn", {"neighbours": 3})], ids=str)
def test_learners_make_the_round_trip(make_spec, learner):
    spec = make_spec(learner=learner)
    read = TrajectorySpec.model_validate_json(canonical_json(spec.model_dump(mode="json")))
    assert read.learner == learner
    assert read.trajectory_id == spec.trajectory_id


def test_equal_schedules_have_one_identity(make_spec):
    specs = [make_spec(schedule=str(Schedule.parse(text))) for text in ("10x5,10x5", "10x10", "10,10x9")]
    assert len({spec.trajectory_id for spec in specs}) == 1


def test_order_of_hyperparameters_is_no_part_of_the_identity(make_spec):
    one, other = ({"a": 1, "b": 2.5}, {"b": 2.5, "a": 1})
    identities = {make_spec().model_copy(update={"params": params}).trajectory_id for params in (one, other)}
    assert len(identities) == 1


def test_json_round_trip(make_spec):
    spec = make_spec("ntkcpl_al", {"candidates": "all", "ridge": 1e-3}, evaluate_on="confirm")
    read = TrajectorySpec.model_validate_json(canonical_json(spec.model_dump(mode="json")))
    assert read.trajectory_id == spec.trajectory_id
    assert read.model_dump() == spec.model_dump()


def test_identity_is_pinned():
    """A change here makes every finished trajectory of every store unknown; raise the schema version with it."""
    spec = TrajectorySpec(
        data="digits",
        data_hash="0" * 64,
        strategy="ntkcpl_al",
        strategy_version=1,
        params={"max_clusters": 100, "ridge": 0.01, "candidates": "all"},
        schedule="20x5,100x4",
        seed=3,
    )
    assert spec.trajectory_id == "4162cc3c6da084a784fe"
    assert spec.lineage == "33cf6e27f54a25dcb9ee"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("linear", "95b007d0bdbe0a221289"), ("knn", "8b1d8ea23d85cae1461c"), ("ridge", "a163de3386e94beb1b8b")],
)
def test_identity_of_other_learners_is_pinned(name, expected):
    """A new setting at its default changes these; leave it out of what is kept, or raise the learner's version."""
    spec = TrajectorySpec(
        data="digits",
        data_hash="0" * 64,
        strategy="random",
        strategy_version=1,
        params={},
        schedule="20x5",
        seed=3,
        learner=named(name),
    )
    assert spec.trajectory_id == expected
