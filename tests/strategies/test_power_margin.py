from itertools import permutations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from strategies.functional.uncertainty import margin
from strategies.power_margin import PowerMargin
from strategies.testing import FakeModel, choose, fresh, make_view


@pytest.mark.parametrize("beta", [0.5, 1, 3])
def test_draws_are_proportional_to_the_power_of_the_uncertainty(beta):
    view = make_view(n_pool=13, n_labelled=9)
    uncertainty = (1 - margin(view.model.probabilities[view.unlabelled])) ** beta
    pairs = list(permutations(range(4), 2))
    total = uncertainty.sum()
    expected = [uncertainty[i] / total * uncertainty[j] / (total - uncertainty[i]) for i, j in pairs]
    drawn = [tuple(choose(PowerMargin(beta=beta), view, 2, seed).indices) for seed in range(1500)]
    counts = [drawn.count((view.unlabelled[i], view.unlabelled[j])) for i, j in pairs]
    assert sum(counts) == 1500
    likely = np.array(expected) * 1500 > 5
    found, wanted = np.array(counts)[likely], np.array(expected)[likely] * 1500
    assert stats.chisquare(found, wanted * found.sum() / wanted.sum()).pvalue > 0.001


@pytest.mark.parametrize("beta", [1e-3, 1, 100])
def test_certain_points_come_last_in_random_order(beta):
    view = make_view()
    probabilities = np.eye(3, dtype=np.float32)[np.zeros(60, dtype=int)]
    uncertain = view.unlabelled[[4, 9]]
    probabilities[uncertain] = [0.5, 0.4, 0.1]
    view = fresh(view, model=FakeModel(probabilities, view.model.embedding))
    first, second = (choose(PowerMargin(beta=beta), view, 51, seed).indices for seed in (1, 2))
    assert set(first[:2]) == set(second[:2]) == set(uncertain)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("beta", [0, -1, float("inf")])
def test_beta_is_validated(beta):
    with pytest.raises(ValidationError):
        PowerMargin(beta=beta)
