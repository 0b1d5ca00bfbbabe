"""What `ntkcpl list` shows of strategies, learners and studies."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from harness.exceptions import SpecError, one_line
from harness.learners import registry as learners
from harness.spec import LearnerSpec
from strategies.exceptions import StrategyError
from strategies.registry import (
    BUILT_IN,
    GROUPS,
    ORACLES,
    SETS,
    first_line,
    make_strategy,
    resolved_parameters,
    strategy_class,
    strategy_names,
    summary,
)
from studies.study import load_study, study_names


def add_strategies(table: Table) -> None:
    """Fill a table with the strategies, grouped by what they need, those of installed packages last."""
    for heading in ("strategy", "what it takes, and its source", "budget", "parameters"):
        table.add_column(heading, no_wrap=not heading.startswith("what"))
    for group, members in GROUPS.items():
        table.add_row(f"[bold]{group}[/]")
        for member, budget in members.items():
            table.add_row(*_row(member.name, budget))
    if others := [name for name in strategy_names() if name not in BUILT_IN]:
        table.add_row("[bold]installed[/]")
        for name in others:
            table.add_row(*_row(name, ""))
    table.caption = (
        f"--strategies recommended stands for {', '.join(SETS['recommended'])}; all for all built-in ones."
        f" --oracle {', '.join(ORACLES)} adds a bound to the figures of accuracy."
    )


def add_learners(table: Table) -> None:
    """Fill a table with the learners, those of installed packages last."""
    for heading in ("learner", "what it is, and its source", "embedding", "gradient", "settings"):
        table.add_column(heading, no_wrap=not heading.startswith("what"))
    settings = "\n".join(f"{key}={value}" for key, value in LearnerSpec().model_dump().items())
    table.add_row(
        learners.MLP,
        "a network with one hidden layer, trained by SGD (the default)\n[dim]Wen et al. 2023, arXiv 2306.04099[/]",
        "hidden layer",
        "yes",
        settings,
    )
    for name in learners.learner_names()[1:]:
        table.add_row(*_learner_row(name))
    table.caption = (
        f"--learner NAME; its settings are given as --set learner.SETTING=VALUE. {_asking('embedding')} look at the"
        f" embedding, {_asking('gradient')} ask for a gradient."
    )


def add_studies(table: Table) -> None:
    """Fill a table with the paper's studies."""
    for heading in ("study", "what it is", "schedule"):
        table.add_column(heading, no_wrap=heading != "what it is")
    for name in study_names():
        study = load_study(name)[1]
        table.add_row(name, escape(study.title), study.schedule)
    table.caption = "`ntkcpl list studies NAME` says what the paper leaves open and what is done differently here."


def study_lines(name: str) -> list[str]:
    """A study, by name or file, in full: what it runs, and each remark on its own line."""
    study = load_study(name)[1]
    return [f"{name}: {study.title}", f"schedule {study.schedule}", *(f"- {remark}" for remark in study.remarks)]


def _row(name: str, budget: str) -> tuple[str, str, str, str]:
    try:
        parameters = resolved_parameters(make_strategy(name))
        found = strategy_class(name)
    except StrategyError as error:  # of an installed package
        return escape(name), escape(one_line(error)), "", ""
    settings = [
        *(f"{key}={value}" for key, value in parameters.items()),
        *(f"preset={preset}" for preset in found.presets),
    ]
    shown = "\n".join(settings)
    return escape(name), f"{escape(summary(found))}\n[dim]{escape(found.source)}[/]", budget, escape(shown)


def _learner_row(name: str) -> tuple[str, ...]:
    try:
        made = learners.make_learner(name)
    except SpecError as error:  # of an installed package
        return escape(name), escape(one_line(error)), "", "", ""
    found = type(made)
    shown = "\n".join(f"{key}={value}" for key, value in resolved_parameters(made).items())
    what = f"{escape(first_line(found, of_module=name in learners.BUILT_IN))}\n[dim]{escape(found.source)}[/]"
    return escape(name), what, "features", "yes" if made.has_gradient else "no", escape(shown)


def _asking(question: str) -> str:
    return ", ".join(name for name, each in {**BUILT_IN, **ORACLES}.items() if question in each.asks)
