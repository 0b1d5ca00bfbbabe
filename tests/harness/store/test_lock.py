"""The lock of an address: refused, stale, lost. That of a folder is tested with the store."""

import errno
import json
import os
import socket
import time

import pytest
from s3_server import FAIL

from harness.exceptions import StoreError, StoreWriteError
from harness.store import location, lock
from harness.store.location import LONGEST_SECONDS, locate
from harness.store.lock import STALE_SECONDS, is_held, take
from harness.store.writing import Store

STRANGER = {"process": 7, "host": "elsewhere", "token": "x"}


@pytest.fixture
def root(s3_address):
    return locate(s3_address)


def put(root, age, **changes):
    (root / ".lock").write_bytes(json.dumps(STRANGER | {"renewed": time.time() - age} | changes).encode())


def test_it_says_who_holds_it_and_goes_at_the_end(root):
    held = take(root)
    found = json.loads((root / ".lock").read_bytes())
    assert (found["process"], found["host"]) == (os.getpid(), socket.gethostname())
    assert is_held(root)
    held.check()
    held.release()
    assert not is_held(root)
    assert list(root.glob("*")) == []


def test_a_fresh_one_is_refused_with_its_holder_and_what_to_do(root):
    put(root, age=STALE_SECONDS - 20)
    assert is_held(root)
    with pytest.raises(StoreError, match=r"process 7 on elsewhere writes to it; .* try again in (20|19) s"):
        take(root)
    assert json.loads((root / ".lock").read_bytes())["token"] == "x"


def test_a_stale_one_is_taken_over(root):
    put(root, age=STALE_SECONDS + 1)
    assert not is_held(root)
    with Store(root).writing(), pytest.raises(StoreError, match=f"process {os.getpid()} on"):
        take(root)


def test_a_folder_without_locks_is_no_second_writer(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", no_locks)
    with (
        pytest.raises(StoreError, match=f"Cannot write to `{tmp_path}`: No locks available"),
        Store(tmp_path).writing(),
    ):
        pass


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"process":1,"host":"a","token":"b","renewed":null}'])
def test_one_that_cannot_be_read_is_refused(root, content):
    (root / ".lock").write_bytes(content)
    with pytest.raises(StoreError, match="remove it if no command runs"):
        take(root)


def test_it_is_renewed(root, monkeypatch):
    monkeypatch.setattr(lock, "STALE_SECONDS", 0.06)
    held = take(root)
    first = (root / ".lock").read_bytes()
    deadline = time.monotonic() + 30
    while (root / ".lock").read_bytes() == first:
        assert time.monotonic() < deadline
    held.release()


@pytest.mark.parametrize("first_error", [None, KeyError])
def test_at_the_end_a_dead_server_is_not_waited_for_long(root, s3_server, monkeypatch, first_error):
    monkeypatch.setattr(location, "_HASTY_ATTEMPTS", 1)

    def study():
        with Store(root).writing():
            s3_server.well()
            s3_server.fault = lambda method, path: FAIL
            if first_error:
                raise first_error

    told = "lock`: it cannot be removed, and holds until it is 300 s old"
    with pytest.raises(first_error or StoreWriteError, match=None if first_error else told):
        study()
    assert len(s3_server.requests) == 1
    s3_server.well()
    assert is_held(root)


def test_a_write_ends_before_its_lock_is_stale():
    assert STALE_SECONDS / 2 + LONGEST_SECONDS < STALE_SECONDS


def test_of_two_at_once_the_last_to_write_has_it(root, monkeypatch):
    monkeypatch.setattr(lock.Lease, "_write", lambda self, path: put(root, age=0))
    with pytest.raises(StoreError, match="process 7 on elsewhere"):
        take(root)


@pytest.mark.parametrize("is_gone", [False, True])
def test_who_has_lost_it_writes_no_more(root, monkeypatch, is_gone):
    monkeypatch.setattr(lock, "STALE_SECONDS", 0.06)
    store = Store(root)
    with store.writing():
        with store._lock._renewing:  # else a renewal under way would come after
            if is_gone:
                (root / ".lock").unlink()
            else:
                put(root, age=-3600)
        store._lock._thread.join()  # the next renewal finds it
        holder = "somebody" if is_gone else "process 7 on elsewhere"
        for action in (lambda: store.write_study("s", "c", ["a"]), lambda: store.forget("a")):
            with pytest.raises(StoreWriteError, match=f": {holder} has taken its lock. What"):
                action()
    assert store.studies() == {}
    assert (root / ".lock").exists() is not is_gone  # the other's is left alone


def test_who_has_slept_looks_before_it_writes(root, monkeypatch):
    with Store(root).writing():
        store = Store(root)
        store._lock = held = lock.Lease.__new__(lock.Lease)
        vars(held).update(
            _path=root / ".lock", _stale_seconds=60, _own=STRANGER, _lost_to=None, _renewed=time.time() - 31
        )
        held._renewing = lock.threading.Lock()
        with pytest.raises(StoreWriteError, match=f"process {os.getpid()} on"):
            store.write_study("s", "c", ["a"])
