import numpy as np
import pytest
from pydantic import ValidationError

from strategies.alfamix import AlfaMix
from strategies.functional.clustering import central_points
from strategies.functional.distances import normalise_rows
from strategies.testing import FakeModel, choose, fresh, make_view


def candidates_of(view, epsilon):
    """The definition, point by point and class by class, in float64."""
    features = view.features.astype(np.float64)
    found = []
    for i in view.unlabelled:
        z, predicted = features[i], view.model.probabilities[i].argmax()
        g = view.model.gradient(view.features[i, None], np.array([predicted]))[0].astype(np.float64)
        for label in np.unique(view.labels) if g.any() else []:
            anchor = features[view.labelled[view.labels == label]].mean(axis=0)
            length = np.linalg.norm(anchor - z)
            alpha = epsilon / np.sqrt(len(z)) * length * g / (np.linalg.norm(g) * (anchor - z))
            mixed = alpha * anchor + (1 - alpha) * z
            if view.model.predict_proba(mixed[None].astype(np.float32)).argmax() != predicted:
                found.append(i)
                break
    return np.array(found, dtype=np.int64)


@pytest.mark.parametrize("epsilon", [0.05, 0.2, 1.0])
def test_clusters_the_points_that_change_class(epsilon):
    view = make_view()
    candidates = candidates_of(view, epsilon)
    assert 0 < len(candidates) < len(view.unlabelled)
    selection = choose(AlfaMix(epsilon=epsilon), view, 4, seed=3)
    seed = int(np.random.default_rng(3).integers(2**31))
    rows = central_points(normalise_rows(view.features[candidates]), 4, seed=seed)
    assert selection.stats["n_candidates"] == len(candidates)
    np.testing.assert_array_equal(selection.indices[: len(rows)], candidates[rows])
    assert selection.stats["n_random"] == 4 - len(rows)


def test_a_feature_that_equals_the_mean_is_not_mixed():
    view = make_view(n_labelled=1)
    features = view.features.copy()
    features[:, 0] = features[view.labelled[0], 0]
    seen = []

    class Listens(type(view.model)):
        def predict_proba(self, features):
            seen.append(features)
            return super().predict_proba(features)

    choose(AlfaMix(), fresh(view, features=features, model=Listens(features, view.labelled, view.labels)))
    mixed = np.concatenate(seen)
    assert (mixed[:, 0] == features[0, 0]).all()
    assert (mixed[:, 1:] != 0).any()


def test_points_without_a_gradient_are_drawn_at_random():
    view = make_view()
    model = FakeModel(view.model.probabilities, view.model.embedding)  # its gradient is 0
    selection = choose(AlfaMix(), fresh(view, model=model), 5)
    assert selection.stats == {"n_candidates": 0, "n_random": 5}


@pytest.mark.parametrize("wrong", [0, -1, 11])
def test_hyperparameters_are_validated(wrong):
    with pytest.raises(ValidationError):
        AlfaMix(epsilon=wrong)
