import sys

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from strategies.functional import libraries
from strategies.functional.threads import _controller


def threads():
    return [pool["num_threads"] for pool in threadpool_info()]


def test_all_that_is_loaded_has_one_thread_meanwhile():
    with threadpool_limits(2):
        before = threads()
        assert max(before) == 2
        for _ in range(2):  # found, and remembered
            with libraries.one_thread():
                assert set(threads()) == {1}
            assert threads() == before


def test_it_is_put_back_after_an_error():
    before = threads()
    with pytest.raises(np.linalg.LinAlgError), libraries.one_thread():
        np.linalg.inv(np.zeros((2, 2)))
    assert threads() == before


def test_what_is_loaded_is_looked_for_again_when_there_is_more(monkeypatch):
    looked = _controller.cache_info
    libraries.one_thread()
    before = looked().misses
    libraries.one_thread()
    assert looked().misses == before
    monkeypatch.setitem(sys.modules, "a_plug_in", libraries)
    libraries.one_thread()
    assert looked().misses == before + 1
