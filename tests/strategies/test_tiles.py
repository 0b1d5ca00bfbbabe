import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from strategies.functional import libraries
from strategies.functional.tiles import TILE_ROWS, map_each, map_tiles, slices


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 50), st.integers(0, 100), st.integers(1, 30))
def test_slices_cover_the_range_once_in_order(first, n, size):
    parts = slices(first, first + n, size)
    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(first, first + n))
    assert all(part.stop - part.start == size for part in parts[:-1])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 100), st.integers(1, 30), st.integers(1, 4))
def test_results_come_in_the_order_of_the_rows(n, tile_rows, n_threads):
    found = map_tiles(lambda tile: (tile.start, tile.stop), n, tile_rows=tile_rows, n_threads=n_threads)
    assert found == [(start, min(start + tile_rows, n)) for start in range(0, n, tile_rows)]


def test_tiles_have_a_fixed_size():
    assert map_tiles(lambda tile: tile.stop, 2 * TILE_ROWS + 1) == [TILE_ROWS, 2 * TILE_ROWS, 2 * TILE_ROWS + 1]


@pytest.mark.parametrize("n_threads", [1, 3])
def test_the_first_exception_is_raised(n_threads):
    def work(tile):
        if tile.start >= 20:
            raise ValueError(tile.start)

    with pytest.raises(ValueError, match=r"^20$"):
        map_tiles(work, 60, tile_rows=10, n_threads=n_threads)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_each_item_has_its_result(n_threads):
    assert map_each(str.upper, ["b", "a", "c"], n_threads=n_threads) == ["B", "A", "C"]
    assert map_each(str.upper, [], n_threads=n_threads) == []


def test_libraries_have_one_openmp_thread_in_each():
    """Sums of several threads differ in their last bits."""
    with threadpool_limits(2), libraries.one_thread():
        found = map_each(lambda _: {pool["num_threads"] for pool in threadpool_info()}, range(4), n_threads=2)
    assert found == [{1}] * 4


def test_threads_work_at_once():
    meeting = threading.Barrier(3, timeout=30)
    map_tiles(lambda tile: meeting.wait(), 3, tile_rows=1, n_threads=3)
