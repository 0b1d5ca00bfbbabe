"""Names of learners, and learners from names and settings."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from harness.exceptions import SpecError
from harness.learners.base import Learner
from harness.learners.knn import KNN
from harness.learners.linear import Linear
from harness.learners.ridge import KernelRidge
from harness.spec import AnyLearner, LearnerSpec, NamedLearner
from strategies.exceptions import InvalidParameterError
from strategies.registry import build, find_class, installed, resolved_parameters

ENTRY_POINT_GROUP = "ntkcpl.learners"
MLP = "mlp"
"""The network of `harness.learner`: the default, whose settings are `LearnerSpec`."""

BUILT_IN: dict[str, type[Learner]] = {each.name: each for each in (Linear, KNN, KernelRidge)}


def learner_names() -> list[str]:
    """All names: the network first, then the other built-in ones, then those of installed packages."""
    own = [MLP, *BUILT_IN]
    return [*own, *sorted(set(installed(ENTRY_POINT_GROUP).names) - set(own))]


def learner_class(name: str) -> type[Learner]:
    """The class of a name but `mlp`, of an entry point or an importable `module:Class`.

    Raises:
        SpecError: there is none, or what is there is no learner.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    return find_class(name, "learner", Learner, ENTRY_POINT_GROUP, learner_names(), SpecError)


def make_learner(name: str, parameters: Mapping[str, Any] | None = None) -> Learner:
    """Build a learner but `mlp`; values may be text, as on the command line.

    Raises:
        SpecError: no such learner or hyperparameter, or its value is not allowed.
    """
    cls = learner_class(name)
    if inspect.isabstract(cls):
        raise SpecError(f"Expected a learner that can be built, but `{name}` is abstract.")
    try:
        return build(cls, name, parameters or {})
    except InvalidParameterError as error:
        raise SpecError(str(error)) from error


def named(name: str, parameters: Mapping[str, Any] | None = None) -> NamedLearner:
    """What a trajectory keeps of a learner but `mlp`: its name, version and all its hyperparameters.

    Raises:
        SpecError: as `make_learner`.
    """
    learner = make_learner(name, parameters)
    return NamedLearner(name=name, version=learner.version, params=resolved_parameters(learner))


def has_gradient(spec: AnyLearner) -> bool:
    """Whether the classifiers of a learner answer `strategies.Model.gradient`."""
    return isinstance(spec, LearnerSpec) or learner_class(spec.name).has_gradient
