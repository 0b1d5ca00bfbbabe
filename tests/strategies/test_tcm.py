from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from strategies.margin import Margin
from strategies.tcm import TCM
from strategies.testing import choose, make_view
from strategies.typiclust import TypiClust


@pytest.mark.parametrize("typiclust_labels", [0, 4])
def test_without_labels_typiclust_chooses(typiclust_labels):
    view = make_view(n_labelled=0)
    found = choose(TCM(typiclust_labels=typiclust_labels), view)
    np.testing.assert_array_equal(found.indices, choose(TypiClust(), view).indices)


@pytest.mark.parametrize(("n_labelled", "chooser"), [(8, TypiClust()), (9, Margin()), (20, Margin())])
def test_margin_takes_over_at_so_many_labels_a_class(n_labelled, chooser):
    view = make_view(n_labelled=n_labelled)  # three classes
    found = choose(TCM(typiclust_labels=3), view)
    np.testing.assert_array_equal(found.indices, choose(chooser, view).indices)
    np.testing.assert_array_equal(found.scores, choose(chooser, view).scores)


def test_labels_for_each_class_are_not_rounded():
    view = replace(make_view(n_labelled=55), n_classes=50)  # 1.1 for each; as floats, 1.1 times 50 is more than 55
    found = choose(TCM(typiclust_labels=1.1), view, 2)
    np.testing.assert_array_equal(found.scores, choose(Margin(), view, 2).scores)


def test_the_change_is_validated():
    with pytest.raises(ValidationError):
        TCM(typiclust_labels=-1)


def test_its_version_follows_that_of_typiclust():
    assert (TypiClust.version, TCM.version) == (3, 3)
