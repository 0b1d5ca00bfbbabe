"""Every strategy on every learner that answers it, through whole trajectories."""

from dataclasses import replace

import numpy as np
import pytest

from harness.learners.registry import BUILT_IN as LEARNERS
from harness.learners.registry import named
from harness.record import History
from harness.trajectory import run_trajectory
from strategies.exceptions import InvalidQuestionError
from strategies.registry import BUILT_IN

PARAMETERS = {"refine": {"n_batches": 9, "n_filters": 1}}
PAIRS = [
    (learner, strategy)
    for learner, made in LEARNERS.items()
    for strategy, each in BUILT_IN.items()
    if made.has_gradient or "gradient" not in each.asks
]


def told(records):
    return [(record.picks.tolist(), record.accuracy) for record in records]


@pytest.mark.parametrize(("learner", "strategy"), PAIRS)
def test_labels_that_are_not_bought_change_nothing_and_a_resumed_one_goes_on(pool, make_spec, learner, strategy):
    spec = make_spec(strategy, PARAMETERS.get(strategy), learner=named(learner), schedule="5x3")
    records = list(run_trajectory(spec, pool))
    assert 0.2 < records[-1].accuracy <= 1
    history = History([record.picks for record in records[:2]], records[1].accuracy)
    assert told(run_trajectory(spec, pool, history=history)) == told(records[2:])
    unbought = np.setdiff1d(np.arange(len(pool.y_train)), np.concatenate([record.picks for record in records]))
    changed = pool.y_train.copy()
    changed[unbought] = (changed[unbought] + 1) % pool.n_classes
    assert told(run_trajectory(spec, replace(pool, y_train=changed))) == told(records)


@pytest.mark.parametrize("learner", LEARNERS)
def test_first_rounds_are_those_of_the_network(pool, make_spec, learner):
    """Seeds are paired across learners as well."""
    specs = make_spec("entropy", schedule="5"), make_spec("entropy", schedule="5", learner=named(learner))
    first, other = (next(run_trajectory(spec, pool)) for spec in specs)
    np.testing.assert_array_equal(first.picks, other.picks)


def test_a_strategy_that_asks_for_a_gradient_fails_in_one_line(pool, make_spec):
    with pytest.raises(InvalidQuestionError, match="Expected a learner with a gradient, but `knn` has none"):
        list(run_trajectory(make_spec("alfamix", learner=named("knn")), pool))
