import gc

from harness.workers.collector import collect_rarely


def test_garbage_is_looked_for_less_often():
    before = gc.get_threshold()
    try:
        collect_rarely()
        assert gc.get_threshold()[0] > 10 * before[0]
    finally:
        gc.set_threshold(*before)
