from dataclasses import replace

import pytest

from strategies.registry import BUILT_IN, make_strategy
from strategies.testing import choose, make_view

PARAMETERS = {"refine": {"n_batches": 9, "n_filters": 1}}


class Listening:
    """A classifier that keeps which of the questions it was asked not every learner answers."""

    def __init__(self, whole, asked):
        self._whole, self._asked = whole, asked

    def __getattr__(self, name):
        if name in ("embedding", "gradient"):
            self._asked.add(name)
        return getattr(self._whole, name)

    def refit(self, positions):
        return Listening(self._whole.refit(positions), self._asked)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_strategy_says_what_it_asks(name):
    view, asked = make_view(), set()
    strategy = make_strategy(name, PARAMETERS.get(name))
    choose(strategy, replace(view, model=Listening(view.model, asked)))
    assert asked == strategy.asks
