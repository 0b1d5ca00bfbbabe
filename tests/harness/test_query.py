"""`harness.select` refuses in one line what does not fit; that its picks are a study's is in tests/studies."""

import numpy as np
import pytest

from harness import DataError, select
from strategies import make_strategy

FEATURES = np.random.default_rng(0).normal(size=(20, 3))


def test_lists_and_double_precision_do():
    first, model = select(make_strategy("typiclust"), 3, FEATURES.tolist(), 2)
    assert model is None
    assert len(first.indices) == 3
    second, model = select(make_strategy("margin"), 2, FEATURES, 2, first.indices, [0, 1, 0], [3])
    assert model is not None
    assert not set(first.indices) & set(second.indices)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((FEATURES[0], 2), "2 dimensions"),
        ((FEATURES * np.nan, 2), "finite numbers"),
        ((FEATURES, 2, [0, 20], [0, 1], [2]), r"`labelled` in \[0, 20\), but got 20"),
        ((FEATURES, 2, [0, 1], [0, 2], [2]), r"`labels` in \[-1, 2\), but got 2"),
        ((FEATURES, 2, [0, 1], [0], [2]), "1 for 2 points"),
        ((FEATURES, 2, [0, 0], [0, 1], [2]), "once"),
        ((FEATURES, 2, [0, 1], ["a", "b"], [2]), "a row of integers"),
        ((FEATURES, 2, [0, 1], [0, 1]), r"sum to the 2 labelled points, but got \[\]"),
    ],
)
def test_what_does_not_fit(arguments, message):
    with pytest.raises(DataError, match=message):
        select(make_strategy("random"), 1, *arguments)
