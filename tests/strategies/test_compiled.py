import numba.core.caching
import numpy as np

from strategies.functional.compiled import compiled


def total(values):
    result = 0.0
    for value in values:
        result += value
    return result


def test_without_a_folder_to_write_it_is_compiled_all_the_same(monkeypatch):
    class Nowhere:
        @classmethod
        def from_function(cls, function, path):
            return None

    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [Nowhere])
    assert compiled(total)(np.arange(4.0)) == 6


def test_it_divides_as_numpy_does():
    with np.errstate(divide="ignore"):
        assert compiled(lambda a, b: a / b)(1.0, 0.0) == np.inf
