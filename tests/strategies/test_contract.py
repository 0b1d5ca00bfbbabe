import pytest
from contract import StrategyContract

from strategies.badge import Badge
from strategies.badge_partition import BadgePartition
from strategies.coreset_al import CoresetAL
from strategies.coreset_self import CoresetSelf
from strategies.entropy import Entropy
from strategies.margin import Margin
from strategies.probcover import ProbCover
from strategies.random import Random
from strategies.typiclust import TypiClust

STRATEGIES = [Random, Entropy, Margin, CoresetSelf, CoresetAL, Badge, BadgePartition, TypiClust, ProbCover]


@pytest.mark.parametrize("make", STRATEGIES, ids=lambda make: make.name, scope="class")
class TestContract(StrategyContract):
    @pytest.fixture
    def strategy(self, make):
        return make()
