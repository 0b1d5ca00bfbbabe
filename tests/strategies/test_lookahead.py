import numpy as np
import pytest

import strategies.kernel_lookahead
from strategies.functional.ntk import draw_network, make_kernel
from strategies.lookahead import LookAhead
from strategies.testing import N_CLASSES, N_LABELLED, LeastSquaresModel, choose, fresh, make_view

N = 12


def regression(strategy, view, monkeypatch):
    """`outputs(rows, labels)` of the whole pool by a direct solve, with the network that the strategy will get."""
    features = view.features.astype(np.float64) / np.sqrt(np.mean(view.features.astype(np.float64) ** 2))
    network = draw_network(
        features.shape[1],
        24,
        N_CLASSES,
        parameterisation=strategy.parameterisation,
        bias=strategy.bias,
        rng=np.random.default_rng(8),
    )
    monkeypatch.setattr(strategies.kernel_lookahead, "draw_network", lambda *args, **options: network)
    matrix = make_kernel(strategy.kernel, network, features)(slice(None), slice(None))
    initial = network.outputs(features, N_CLASSES) * (strategy.initial == "network")
    targets = np.eye(N_CLASSES) - (strategy.targets == "centred") / N_CLASSES

    def outputs(rows, labels):
        gram = matrix[np.ix_(rows, rows)] + strategy.ridge * matrix.diagonal().mean() * np.eye(len(rows))
        return initial + matrix[:, rows] @ np.linalg.solve(gram, targets[labels] - initial[rows])

    return outputs


@pytest.mark.parametrize("guess", ["kernel", "classifier"])
@pytest.mark.parametrize("score", ["change", "flips"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"targets": "centred"},
        {"kernel": "empirical", "initial": "network"},
        {"parameterisation": "standard"},
        {"ridge": 0.3, "bias": False},
    ],
    ids=str,
)
def test_takes_the_largest_scores_of_one_ranking(options, score, guess, monkeypatch):
    view, strategy = make_view(), LookAhead(score=score, guess=guess, **options)
    outputs = regression(strategy, view, monkeypatch)
    before = outputs(view.labelled, view.labels)
    guessed = (before if guess == "kernel" else view.model.probabilities).argmax(axis=1)
    expected = {}
    for index in view.unlabelled:
        after = outputs(np.append(view.labelled, index), np.append(view.labels, guessed[index]))
        flips = np.sum(after.argmax(axis=1) != before.argmax(axis=1))
        expected[index] = flips if score == "flips" else np.linalg.norm(after - before, axis=1).sum()
    selection = choose(strategy, view, N)
    np.testing.assert_allclose(selection.scores, sorted(expected.values(), reverse=True)[:N], rtol=2e-3)
    np.testing.assert_allclose(selection.scores, [expected[index] for index in selection.indices], rtol=2e-3)
    if score == "flips":
        ranking = sorted(expected, key=lambda index: (-expected[index], index))
        np.testing.assert_array_equal(selection.indices, ranking[:N])


class Reversed(LeastSquaresModel):
    """It takes the last class for the first."""

    def _predict(self, features):
        return super()._predict(features)[:, ::-1].copy()


def test_the_guess_of_the_classifier_matters():
    view = make_view()
    model = view.model
    flipped = fresh(view, model=Reversed(model.features, model.labelled, model.labels))
    for guess, is_same in [("kernel", True), ("classifier", False)]:
        one, other = (choose(LookAhead(guess=guess), pool, N).scores for pool in (view, flipped))
        assert np.array_equal(one, other) == is_same


def test_more_picks_are_a_longer_prefix():
    short, long = (choose(LookAhead(candidates=N_LABELLED + 20), make_view(), n).indices for n in (5, 20))
    np.testing.assert_array_equal(short, long[:5])
