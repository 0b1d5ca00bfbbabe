"""Errors of the strategies package.

StrategyError
├── UnknownStrategyError     no strategy of that name
├── InvalidParameterError    a hyperparameter that does not exist or does not fit
├── InvalidQuestionError     features or labelled points that the classifier cannot be asked about
├── PoolExhaustedError       more labels asked for than there are unlabelled points
└── InvalidSelectionError    a strategy broke the contract of `Strategy.select`
"""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_MOST_SHOWN = 200
"""Characters."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the known one that is most like it, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean `{close[0]}`?" if close else ""


def shown(value: object) -> str:
    """A value as Python writes it, for a message; of a long one its beginning."""
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]} ..."


class StrategyError(Exception):
    """Root of all errors that a strategy raises on purpose; its message is one line for a user."""


class UnknownStrategyError(StrategyError, ValueError):
    """The name is neither built in, nor registered, nor an importable `module:Class`."""


class InvalidParameterError(StrategyError, ValueError):
    """A hyperparameter is unknown or its value is not allowed."""


class InvalidQuestionError(StrategyError, ValueError):
    """Features or positions that are given to a `Model` do not fit it."""


class PoolExhaustedError(StrategyError, ValueError):
    """The query asks for more points than are unlabelled."""


class InvalidSelectionError(StrategyError, RuntimeError):
    """A strategy returned something else than `n` distinct unlabelled points."""


@contextmanager
def no_exit(error: type[Exception], wanted: str) -> Iterator[None]:
    """Raise an error where code of others calls `sys.exit`: the process would end as if it were done, or died."""
    try:
        yield
    except SystemExit as found:
        if hasattr(found, "ray_terminate_msg"):  # so Ray ends a worker on SIGTERM
            raise
        raise error(f"Expected {wanted}, but it called sys.exit.") from found
