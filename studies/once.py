"""Commands whose options are given once: a second value is refused instead of taking the first one's place."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperOption

from studies.ending import BAD_INPUT


class OnceCommand(TyperCommand):
    """A command that ends with a line and exit code 2 if an option of one value is given twice."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Count the options, then read them."""
        *_, given = self.make_parser(ctx).parse_args(args=list(args))
        for option in given:
            is_single = isinstance(option, TyperOption) and not (option.multiple or option.is_flag)
            if is_single and given.count(option) > 1:
                typer.echo(
                    f"Error: Expected {option.opts[0]} once, but it is given {given.count(option)} times; one option "
                    "has all values.",
                    err=True,
                )
                raise typer.Exit(BAD_INPUT)
        return super().parse_args(ctx, args)
