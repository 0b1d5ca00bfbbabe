"""What `ntkcpl list strategies` shows."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from strategies.exceptions import StrategyError
from strategies.registry import (
    BUILT_IN,
    GROUPS,
    ORACLES,
    SETS,
    make_strategy,
    resolved_parameters,
    strategy_class,
    strategy_names,
    summary,
)


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
    table.caption_justify = "left"


def _row(name: str, budget: str) -> tuple[str, str, str, str]:
    try:
        parameters = resolved_parameters(make_strategy(name))
        found = strategy_class(name)
    except StrategyError as error:  # of an installed package
        return escape(name), escape(" ".join(str(error).split())), "", ""
    settings = [
        *(f"{key}={value}" for key, value in parameters.items()),
        *(f"preset={preset}" for preset in found.presets),
    ]
    shown = "\n".join(settings)
    return escape(name), f"{escape(summary(found))}\n[dim]{escape(found.source)}[/]", budget, escape(shown)
