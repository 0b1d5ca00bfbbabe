import numpy as np
import pytest
from information_density import InformationDensity, mean_similarity
from scipy.spatial.distance import cdist

from strategies.testing import StrategyContract, choose, make_view


class TestInformationDensity(StrategyContract):
    @pytest.fixture(params=[0, 1, 2.5])
    def strategy(self, request):
        return InformationDensity(beta=request.param)


def test_mean_over_pairs():
    features = make_view().features
    expected = 1 - cdist(features, features, "cosine").mean(axis=1) / 2
    np.testing.assert_allclose(mean_similarity(features), expected, rtol=1e-5)


def test_beta_prefers_the_dense():
    view = make_view()
    density = [mean_similarity(view.features)[choose(InformationDensity(beta=b), view).indices].mean() for b in (0, 9)]
    assert density[0] < density[1]
