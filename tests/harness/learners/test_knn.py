import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from harness.learners.knn import KNN
from harness.learners.testing import FEATURES, LABELLED, OTHERS, TRUTH, fitted


@pytest.mark.parametrize("neighbours", [1, 5, 20])
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_agrees_with_scikit_learn(neighbours, temperature):
    reference = KNeighborsClassifier(
        neighbours, metric="cosine", weights=lambda distances: np.exp(-distances / temperature)
    ).fit(FEATURES[LABELLED], TRUTH[LABELLED])
    found = fitted(KNN(neighbours=neighbours, temperature=temperature))
    np.testing.assert_allclose(found.probabilities, reference.predict_proba(FEATURES), atol=1e-4)
    np.testing.assert_allclose(found.predict_proba(OTHERS), reference.predict_proba(OTHERS), atol=1e-4)


def test_all_vote_where_there_are_fewer():
    few, all_ = (fitted(KNN(neighbours=k), LABELLED[:5]).probabilities for k in (5, 50))
    np.testing.assert_array_equal(few, all_)


def test_points_as_near_as_the_last_one_vote_too():
    features = np.repeat(np.eye(3, dtype=np.float32), 20, axis=0)
    found = fitted(KNN(neighbours=1), [0, 1, 20], np.array([0, 1, 2]), features=features)
    np.testing.assert_allclose(found.probabilities[[0, 20]], [[0.5, 0.5, 0], [0, 0, 1]], atol=1e-6)


def test_all_copies_of_the_last_one_vote_wherever_they_are():
    """The cosines of two copies differ in their last bits, by where the product of two matrices has them."""
    rng = np.random.default_rng(0)
    points = rng.standard_normal((31, 209)).astype(np.float32)
    order = rng.permutation(62)
    learner = KNN(neighbours=1)
    predictor = learner.fit(np.tile(points, (2, 1))[order], np.repeat([0, 1], 31)[order], 2, rng=rng)
    np.testing.assert_allclose(predictor.predict_proba(points), 0.5, atol=1e-4)
