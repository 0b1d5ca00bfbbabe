"""Studies as data: the paper's five, and your own in YAML files of the same form."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.exceptions import SpecError, one_line
from harness.learners.registry import MLP
from harness.pools import PoolSpec
from harness.schedule import Schedule, parse_seeds
from strategies.exceptions import did_you_mean
from strategies.registry import describe_error, parameter_names, strategy_class
from studies.compare import LEARNER, NAME, Comparison, parse_oracle, parse_settings, parse_strategies
from studies.register import Terms
from studies.sweeps.space import SpaceFile
from studies.yaml_files import read_yaml

if TYPE_CHECKING:
    from harness.features.recipes import Recipe

FEATURES = "features"


class FeatureStage(BaseModel):
    """From images to features.

    Attributes:
        recipe: of the pre-training.
        settings: of the recipe, by name, where they differ from it.
        pretrain_on: images to pre-train on, if not the study's own.
        checkpoint: an encoder to take instead of pre-training one, as `features extract --checkpoint` takes it.
        backbone: its architecture, where it does not name it.
        limit: use a random subset of this many images a split.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str
    settings: dict[str, Any] = {}
    pretrain_on: str | None = None
    checkpoint: str | None = None
    backbone: str | None = None
    limit: Annotated[int | None, Field(ge=10)] = None

    def changed(self, changes: Mapping[str, str]) -> FeatureStage:
        """The stage with settings of its own or of its recipe replaced."""
        own = {key: value for key, value in changes.items() if key in FeatureStage.model_fields and key != "settings"}
        others = {key: value for key, value in changes.items() if key not in own}
        if "backbone" in own and "checkpoint" not in own and self.checkpoint is None:
            others["backbone"] = own.pop("backbone")
        try:
            return FeatureStage.model_validate({**self.model_dump(), **own, "settings": {**self.settings, **others}})
        except ValidationError as error:
            raise SpecError(describe_error(FEATURES, error)) from error

    def made_recipe(self) -> Recipe:
        """The recipe with its settings; what it says has no effect beside a checkpoint.

        Raises:
            SpecError: an unknown recipe or setting, or settings beside a checkpoint.
        """
        from harness.features.recipes import make_recipe  # late: a comparison on features needs none

        if self.checkpoint is not None and self.settings:
            unused = ", ".join(self.settings)
            raise SpecError(
                f"Expected no settings for pre-training together with features.checkpoint, but got {unused}."
            )
        return make_recipe(self.recipe, self.settings)


class Configuration(BaseModel):
    """A strategy, with parameters of its own or the name of a preset: a name, or `{name: ..., PARAMETER: VALUE}`.

    Attributes:
        name: of the strategy.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str

    @model_validator(mode="before")
    @classmethod
    def _of_a_name(cls, value: Any) -> Any:
        if not isinstance(value, str | dict | Configuration):
            raise ValueError("is neither a name nor {name: ..., PARAMETER: VALUE}")
        return {"name": value} if isinstance(value, str) else value

    @property
    def parameters(self) -> dict[str, Any]:
        """All but the name."""
        return dict(self.model_extra or {})


class Searched(BaseModel):
    """What `ntkcpl sweep --study` searches; the strategy is the study's first.

    Attributes:
        space: hyperparameters by name, as in a --space file.
        objective_from: label count from which on the objective looks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: SpaceFile = SpaceFile()
    objective_from: int | None = None


class Study(BaseModel):
    """What a study runs.

    Attributes:
        title: for `ntkcpl list studies`.
        source: where it is published.
        data: images, as `features extract --data` takes them; None where --data gives features.
        features: how they become features.
        strategies: names, or configurations; a strategy may have several.
        schedule: labels per round.
        seeds: a count, or a range or list as text.
        max_clusters, candidates: for the strategies that have them.
        learner: its name, or settings that differ from the default, with a `name` where it is not the network.
        oracle: name of a bound that is run beside the strategies.
        pools: what is made of the data, each a comparison of its own in the same store; none takes it as it is.
        sweep: what `ntkcpl sweep` searches.
        registration: whether the study is registered before it runs, or what it will show.
        not_stated: what the source leaves open, and what was chosen.
        deviations: what the study does differently from the source.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    source: str = ""
    data: str | None = None
    features: FeatureStage | None = None
    strategies: tuple[Configuration, ...]
    schedule: str
    seeds: int | str = 5
    max_clusters: int | None = None
    candidates: int | Literal["all"] | None = None
    learner: str | dict[str, Any] = {}
    oracle: str | None = None
    pools: tuple[PoolSpec, ...] = ()
    sweep: Searched = Searched()
    registration: bool | Terms = False
    not_stated: dict[str, str] = {}
    deviations: dict[str, str] = {}

    def learner_with(self, typed: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of the learner as they would be typed, and those that were, whose `name` may take another one."""
        own = {NAME: self.learner} if isinstance(self.learner, str) else self.learner
        planned = own.get(NAME, MLP)
        kept = own if typed.get(NAME, planned) == planned else {}
        return {**{key: str(value) for key, value in kept.items()}, **typed}

    @property
    def remarks(self) -> list[str]:
        """`not_stated` and `deviations` in a line each."""
        open_ = [f"Not stated by the source ({key}): {text}" for key, text in self.not_stated.items()]
        return open_ + [f"Different from the source ({key}): {text}" for key, text in self.deviations.items()]


@dataclass(frozen=True)
class AskedComparison:
    """What the command line says of a comparison; None where it says nothing.

    Attributes:
        strategies, schedule, seeds, max_clusters, candidates: as they were typed.
        settings: texts of `--set`.
        oracle: name of an oracle.
        learner: name of a learner.
    """

    strategies: str | None
    schedule: str | None
    seeds: str | None
    max_clusters: int | None
    candidates: str | None
    settings: Sequence[str]
    oracle: str | None = None
    learner: str | None = None

    def comparison(self, study: tuple[str, Study] | None) -> Comparison:
        """The comparison: what was typed, else what the study says, else defaults.

        Raises:
            SpecError, StrategyError: an option is missing or does not parse.
        """
        plan = study[1] if study else None
        missing = [name for name in ("strategies", "schedule") if plan is None and getattr(self, name) is None]
        if missing:
            listed, those = " and ".join(f"--{name}" for name in missing), "it" if len(missing) == 1 else "them"
            raise SpecError(f"Expected {listed}, or a --study with {those}, but got neither.")
        typed: dict[str, Any] = {"max_clusters": self.max_clusters, "candidates": self.candidates}
        overruled = {key for key, value in typed.items() if value is not None}
        variants = _variants(plan.strategies, overruled) if plan and self.strategies is None else {}
        names = parse_strategies(self.strategies or ",".join(variants))
        known = {parameter for name in names for parameter in parameter_names(strategy_class(name))}
        planned = {key: getattr(plan, key) for key in typed if plan and key in known}
        shared = {key: planned.get(key) if value is None else value for key, value in typed.items()}
        own = own_settings(self.settings)
        asked = self.oracle or (plan.oracle if plan else None)
        oracle = None if asked is None else parse_oracle(asked)
        settings = parse_settings(own, names if oracle is None else (*names, oracle), self.learner)
        if plan and plan.learner:
            settings[LEARNER] = plan.learner_with(settings.get(LEARNER, {}))
        return Comparison(
            strategies=names,
            schedule=Schedule.parse(self.schedule or (plan.schedule if plan else "")),
            seeds=parse_seeds(str(plan.seeds if plan else 5) if self.seeds is None else self.seeds),
            settings=settings,
            shared={key: value for key, value in shared.items() if value is not None},
            kind=study[0] if study else "compare",
            variants=variants,
            oracle=oracle,
        )


def feature_changes(settings: Sequence[str]) -> dict[str, str]:
    """The settings of the owner `features` among texts of `--set`."""
    found = {}
    for text in settings:
        if text.startswith(f"{FEATURES}."):
            key, equals, value = (part.strip() for part in text.removeprefix(f"{FEATURES}.").partition("="))
            if not (key and equals and value):
                raise SpecError(f"Expected a setting such as `features.epochs=100`, but got `{text}`.")
            found[key] = value
    return found


def own_settings(settings: Sequence[str]) -> list[str]:
    """The texts of `--set` without those of the owner `features`."""
    return [text for text in settings if not text.startswith(f"{FEATURES}.")]


def _variants(configurations: Sequence[Configuration], overruled: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """Parameters of each configuration by the name of its strategy, less those that the command line overrules."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in configurations:
        if configurations.count(each) > 1:
            raise SpecError(
                f"Expected configurations that differ, but got `{each.name}` twice with the same parameters."
            )
        own = {key: value for key, value in each.parameters.items() if key not in overruled}
        found.setdefault(each.name, []).append(own)
    return found


def asked_pools(
    study: tuple[str, Study] | None, pool: str | None, label_noise: str | None, ood: str | None, pool_seed: int
) -> tuple[PoolSpec, ...]:
    """What is to be made of the data: what was typed, else what the study lists, else nothing.

    Raises:
        SpecError: pools that are equal, or one that does not parse.
    """
    typed = PoolSpec(pool=pool, label_noise=label_noise, ood=ood, pool_seed=pool_seed)
    listed = study[1].pools if study and typed == PoolSpec() else ()
    if repeated := [each for each in listed if listed.count(each) > 1]:
        found = repeated[0].model_dump_json(exclude_defaults=True)
        raise SpecError(f"Expected pools that differ, but got {found} twice.")
    asked = listed or (typed,)
    for each in asked:
        each.check()
    return asked


def registered_terms(study: tuple[str, Study] | None, asked: bool | None) -> Terms | None:
    """What to register: where the command line asks for it, or else the study does.

    Args:
        study: name and study, if there is one.
        asked: `--register`, `--no-register`, or None for neither.
    """
    planned = study[1].registration if study else False
    wanted = bool(planned) if asked is None else asked
    return (planned if isinstance(planned, Terms) else Terms()) if wanted else None


def feature_path(data: str, out: Path) -> Path:
    """Where a study keeps its features; its name is the data set's."""
    return out / "features" / f"{Path(data).stem}.npz"


def encoder_path(data: str, out: Path) -> Path:
    """Where a study keeps the encoder that it trains."""
    return feature_path(data, out).with_name("encoder.pt")


def load_study(source: str) -> tuple[str, Study]:
    """A study and its name.

    Args:
        source: a name in `study_names()`, or the path of a YAML file.

    Raises:
        SpecError: there is no such study, or the file does not describe one or has the name of the paper's.
    """
    if source in study_names():
        text, name = _folder().joinpath(f"{source}.yaml").read_text(encoding="utf-8"), source
    else:
        path = Path(source)
        if path.suffix not in (".yaml", ".yml") or not path.is_file():
            raise SpecError(
                f"Expected a study among {', '.join(study_names())} or a YAML file, but got `{source}`."
                + did_you_mean(source, study_names())
            )
        if path.stem in study_names():  # the report would show it as the paper's
            raise SpecError(f"Expected a name that is none of the paper's studies', but got `{path.name}`; rename it.")
        if path.name.startswith("."):
            raise SpecError(f"Expected the name of a study without a dot before it, but got `{path.name}`; rename it.")
        try:
            text, name = path.read_text(encoding="utf-8"), path.stem
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError(f"Expected a readable YAML file in {source}, but got: {error}.") from error
    try:
        read = read_yaml(text, source)
        known = list(Study.model_fields)
        if isinstance(read, dict) and (unknown := [str(key) for key in read if key not in known]):
            raise SpecError(
                f"Expected parts of a study among {', '.join(known)}, but got `{unknown[0]}` in {source}."
                + did_you_mean(unknown[0], known)
            )
        return name, Study.model_validate(read)
    except yaml.YAMLError as error:
        raise SpecError(f"Expected YAML in {source}, but got: {one_line(error)}.") from error
    except ValidationError as error:
        raise SpecError(describe_error(name, error)) from error


def study_names() -> list[str]:
    """Names of the paper's studies, sorted."""
    files = (entry.name for entry in _folder().iterdir())
    return sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml"))


def _folder() -> Any:
    return resources.files("studies").joinpath("paper")
