import sys
from importlib.metadata import EntryPoint, EntryPoints
from types import ModuleType

import pytest

from harness.exceptions import SpecError
from harness.learners import registry
from harness.learners.knn import KNN
from harness.learners.registry import BUILT_IN, has_gradient, learner_class, learner_names, make_learner, named
from harness.spec import LearnerSpec
from strategies import registry as of_strategies


class Mine(KNN):
    name = "mine"
    version = 3


@pytest.fixture
def installed(monkeypatch):
    """A package that registers learners, one of them under a name that is taken."""
    module = ModuleType("a_package")
    module.Mine, module.number = Mine, 3
    monkeypatch.setitem(sys.modules, "a_package", module)
    points = EntryPoints(
        EntryPoint(name, f"a_package:{value}", registry.ENTRY_POINT_GROUP)
        for name, value in [("mine", "Mine"), ("knn", "Mine"), ("gone", "Gone"), ("number", "number")]
    )
    for module in (registry, of_strategies):
        monkeypatch.setattr(module, "installed", lambda group: points.select(group=group))


def test_names(installed):
    assert learner_names() == ["mlp", "linear", "knn", "ridge", "gone", "mine", "number"]
    assert learner_class("mine") is Mine
    assert learner_class("knn") is KNN
    assert learner_class("harness.learners.knn:KNN") is KNN


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ridg", "mlp, linear, knn, ridge, gone, mine, number or `module:Class`, but got `ridg`. Did you mean `ridge`"),
        ("gone", "importable learner, but `gone` gave"),
        ("number", "`number` to be a subclass of harness.learners.Learner"),
        ("harness.learners.base:Learner", "is abstract"),
        ("strategies.random:Random", "to be a subclass of harness.learners.Learner"),
    ],
)
def test_what_is_no_learner_is_refused_in_one_line(installed, name, said):
    with pytest.raises(SpecError) as caught:
        make_learner(name)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"neighbors": 3}, "Did you mean `neighbours`?"),
        ({"neighbours": 0}, "Expected a valid `knn.neighbours`, but got 0"),
        ({"temperature": "inf"}, "knn.temperature"),
        ({"temperature": 1e-50}, "knn.temperature"),
        ({"scaling": "best"}, "knn.scaling"),
    ],
)
def test_settings_that_do_not_fit_are_refused(parameters, said):
    with pytest.raises(SpecError) as caught:
        make_learner("knn", parameters)
    assert said in str(caught.value)


def test_what_a_trajectory_keeps(installed):
    found = named("mine", {"neighbours": "7"})
    assert (found.name, found.version) == ("mine", 3)
    assert found.params == {"scaling": "rms", "neighbours": 7, "temperature": 0.07}
    assert found.scaling == "rms"


def test_who_has_a_gradient():
    assert [has_gradient(spec) for spec in (LearnerSpec(), *map(named, BUILT_IN))] == [True, True, False, False]
