import sys
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from strategies.base import PoolView, Strategy
from strategies.exceptions import InvalidSelectionError, no_exit


@dataclass(frozen=True)
class Exits(Strategy):
    name: ClassVar[str] = "exits"
    source: ClassVar[str] = "tests"
    chooses_first_round: ClassVar[bool] = True

    def _select(self, view, n, *, rng):
        sys.exit(0)


def test_a_strategy_that_exits_broke_the_contract():
    none = np.empty(0, np.int64)
    view = PoolView(np.eye(3, dtype=np.float32), none, none, 2)
    with pytest.raises(InvalidSelectionError, match=r"^Expected a Selection from `exits`, but it called sys\.exit\.$"):
        Exits().select(view, 1, rng=np.random.default_rng(0))


def test_a_signal_by_which_ray_ends_a_worker_is_none_of_ours():
    ended = SystemExit(1)
    ended.ray_terminate_msg = "The process receives a SIGTERM."
    with pytest.raises(SystemExit), no_exit(ValueError, "a number"):
        raise ended
