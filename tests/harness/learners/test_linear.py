import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression

from harness.learner import one_thread
from harness.learners.linear import MOST_FOLDS, PENALTIES, WITHOUT_A_CHOICE, Linear, choose_penalty, held_out
from harness.learners.testing import FEATURES, LABELLED, TRUTH, fitted
from strategies.functional.scaling import fit_scaling
from strategies.testing import DIM, N_CLASSES

SCALED = fit_scaling(FEATURES, "rms")(FEATURES).astype(np.float64) / np.sqrt(DIM)


def regression(points, labels, penalty, *, intercept=False):
    with one_thread():
        c = (2 if len(np.unique(labels)) == 2 else 1) / penalty
        return LogisticRegression(C=c, tol=1e-8, max_iter=10_000, fit_intercept=intercept).fit(points, labels)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("penalty", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("classes", [[0, 1, 2], [0, 2]], ids=str)
def test_agrees_with_scikit_learn(penalty, classes, intercept):
    labelled = LABELLED[np.isin(TRUTH[LABELLED], classes)]
    found = fitted(Linear(penalty=penalty, intercept=intercept), labelled)
    centred = SCALED - SCALED[labelled].mean(axis=0)
    model = regression(centred[labelled], TRUTH[labelled], penalty, intercept=intercept)
    expected = np.zeros((len(FEATURES), N_CLASSES))
    expected[:, classes] = model.predict_proba(centred)
    np.testing.assert_allclose(found.probabilities, expected, atol=2e-3)
    np.testing.assert_array_equal(found.probabilities[:, np.setdiff1d(range(N_CLASSES), classes)], 0)


@pytest.mark.parametrize("classes", [[0, 1, 2], [0, 2]], ids=str)
def test_is_the_minimum_that_the_description_names(classes):
    labelled = LABELLED[np.isin(TRUTH[LABELLED], classes)]
    weights = (
        Linear(penalty=0.5).fit(FEATURES[labelled], TRUTH[labelled], N_CLASSES, rng=np.random.default_rng(0)).weights
    )
    points = FEATURES[labelled] - FEATURES[labelled].mean(axis=0)
    targets = np.searchsorted(classes, TRUTH[labelled])

    def loss(flat):
        logits = points @ flat.reshape(len(classes), DIM).T / np.sqrt(DIM)
        own = logits[np.arange(len(points)), targets]
        return (logsumexp(logits, axis=1) - own).sum() + 0.25 * (flat**2).sum()

    expected = minimize(loss, np.zeros(len(classes) * DIM)).x.reshape(len(classes), DIM)
    np.testing.assert_allclose(weights[classes] * np.sqrt(DIM), expected, atol=1e-3)


@pytest.mark.parametrize("intercept", [False, True])
def test_the_penalty_is_the_best_on_held_out_labels(intercept):
    points, targets = SCALED[LABELLED] - SCALED[LABELLED].mean(axis=0), TRUTH[LABELLED]
    losses = np.zeros(len(PENALTIES))
    for left in held_out(targets, np.random.default_rng(3)):
        for position, penalty in enumerate(PENALTIES):
            model = regression(points[~left], targets[~left], penalty, intercept=intercept)
            likelihood = model.predict_proba(points[left])[range(left.sum()), targets[left]]
            losses[position] -= np.log(likelihood).sum()
    chosen = choose_penalty(points, targets, np.random.default_rng(3), intercept=intercept)
    assert chosen == PENALTIES[int(np.argmin(losses))]
    assert chosen not in (PENALTIES[0], PENALTIES[-1])


def test_a_class_that_was_bought_twice_is_not_predicted_everywhere():
    """Where second labels are of another mode of their class, the held-out ones ask for the strongest penalty."""
    rng = np.random.default_rng(0)
    modes, bought, there = rng.normal(size=(80, 20)), np.arange(50), np.arange(80).repeat(5)
    points, others = (modes[each] + rng.normal(0, 0.5, (len(each), 20)) for each in (bought, there))
    models = [each.fit(points, bought % 40, 40, rng=rng) for each in (Linear(), Linear(intercept=True))]
    right, with_intercept = ((model.predict_proba(others).argmax(axis=1) == there % 40).mean() for model in models)
    assert right > 0.45 > 0.35 > with_intercept


@pytest.mark.parametrize("seed", range(20))
def test_folds_leave_of_every_class_something_to_learn(seed):
    rng = np.random.default_rng(seed)
    targets = np.concatenate([np.full(rng.integers(1, 9), label) for label in range(rng.integers(1, 6))])
    counts = np.bincount(targets)
    folds = list(held_out(targets, rng))
    assert len(folds) == (0 if counts.max() == 1 else min(MOST_FOLDS, counts.max()))
    for left in folds:
        assert (np.bincount(targets[~left], minlength=len(counts)) > 0).all()
    n_held_out = np.sum(folds, axis=0) if folds else np.zeros(len(targets))
    np.testing.assert_array_equal(n_held_out, counts[targets] > 1)


def test_nothing_is_chosen_where_nothing_can_be_held_out():
    assert choose_penalty(SCALED[:3], np.arange(3), np.random.default_rng(0)) == WITHOUT_A_CHOICE


def test_the_embedding_is_the_scaled_features_and_cannot_be_written_to():
    embedding = fitted(Linear()).embedding
    np.testing.assert_array_equal(embedding, fit_scaling(FEATURES, "rms")(FEATURES))
    with pytest.raises(ValueError, match="read-only"):
        embedding[:] = 0


def test_the_folds_come_from_the_stream_of_the_training():
    """One seed gives one penalty; another may give another, and with a given penalty no seed matters."""
    one, other = (fitted(Linear(penalty=0.1), seed=seed).probabilities for seed in (0, 1))
    np.testing.assert_array_equal(one, other)


def test_says_nothing_of_many_classes_with_a_label_or_two():
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 30
    found = Linear().fit(rng.normal(size=(40, 5)), labels, 30, rng=rng)  # a warning is an error in the tests
    assert found.predict_proba(np.zeros((1, 5))).shape == (1, 30)
