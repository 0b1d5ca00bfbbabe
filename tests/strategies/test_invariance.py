"""What must hold for every strategy, whatever it takes: the order of the pool, and the number of classes."""

import numpy as np
import pytest
from scipy.special import softmax

from strategies.registry import BUILT_IN, make_strategy
from strategies.testing import HIDDEN, N_CLASSES, FakeModel, LeastSquaresModel, choose, fresh, make_view

# Without DCoM, whose densities are counts, and tie.
DRAWS_NOTHING = [
    "entropy",
    "margin",
    "least_confidence",
    "maxherding",
    "uherding",
    "bait_binary",
    "coreset_self",
    "coreset_al",
]
PARAMETERS = {"refine": {"n_batches": 9, "n_filters": 1}}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", DRAWS_NOTHING)
def test_the_order_of_the_pool_permutes_the_picks(name, seed):
    rng = np.random.default_rng(seed)
    view = make_view(seed, n_pool=300)
    probabilities = softmax(rng.normal(size=(300, N_CLASSES)), axis=1).astype(np.float32)
    embedding = rng.normal(size=(300, HIDDEN)).astype(np.float32)
    view = fresh(view, model=FakeModel(probabilities, embedding))  # the other model ties where all activations are 0
    order = rng.permutation(300)
    permuted = fresh(
        view,
        features=view.features[order],
        labelled=np.argsort(order)[view.labelled],
        model=FakeModel(probabilities[order], embedding[order]),
    )
    picks = choose(make_strategy(name), permuted, 5).indices
    np.testing.assert_array_equal(order[picks], choose(make_strategy(name), view, 5).indices)


class ManyClasses(LeastSquaresModel):
    """A classifier of other classes, by random directions."""

    n_classes = 1000

    def _predict(self, features):
        directions = np.random.default_rng(1).normal(size=(features.shape[1], self.n_classes))
        return softmax(features @ directions, axis=1).astype(np.float32)

    def gradient(self, features, classes):
        return np.ones_like(features)

    def refit(self, positions):
        return self


class TwoClasses(ManyClasses):
    n_classes = 2


@pytest.mark.parametrize("kind", [TwoClasses, ManyClasses])
@pytest.mark.parametrize("name", BUILT_IN)
def test_two_classes_and_a_thousand(name, kind):
    view = make_view()
    labels = np.random.default_rng(2).integers(kind.n_classes, size=len(view.labelled))
    model = kind(view.features, view.labelled, labels)
    pool = fresh(view, labels=labels, n_classes=kind.n_classes, model=model)
    choose(make_strategy(name, PARAMETERS.get(name)), pool, 20)
