import pytest

from strategies.registry import BUILT_IN, make_strategy
from strategies.testing import StrategyContract

STRATEGIES = [
    *((name, {}) for name in BUILT_IN if name != "refine"),
    ("refine", {"n_batches": 9, "n_filters": 2}),
    ("coverherding", {"candidates": 30}),
    ("graphherding", {"candidates": 30, "neighbours": 3, "stay": 0.5}),
    ("graphherding", {"handover": 1}),
    ("dcom", {"candidates": 30}),
    ("uherding", {"candidates": 30, "quantile": 0.1}),
    ("bait_binary", {"oversampling": 1}),
    ("ntkcpl_self", {"risk": "squared"}),
    ("ntkcpl_self", {"kernel": "empirical", "initial": "network"}),
    ("ntkcpl_self", {"bias": False}),
    ("ntkcpl_al", {"candidates": 30, "risk": "mixed"}),
    ("ntkcpl_al", {"cluster_on": "pool", "initial_clusters": "query", "targets": "centred"}),
    ("ntkcpl_self", {"initial_clusters": "initial_query", "cluster_rule": "half_query"}),
    ("ntkcpl_al", {"preset": "paper", "candidates": 30}),
    ("lookahead", {"score": "flips"}),
    ("lookahead", {"kernel": "empirical", "initial": "network", "guess": "classifier"}),
    ("lookahead", {"candidates": 30}),
]


@pytest.mark.parametrize(("name", "parameters"), STRATEGIES, ids=str, scope="class")
class TestContract(StrategyContract):
    @pytest.fixture
    def strategy(self, name, parameters):
        return make_strategy(name, parameters)
