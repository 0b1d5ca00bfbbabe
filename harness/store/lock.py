"""One writer at a time: a file lock in a local folder, and elsewhere an object that its holder renews.

The second is best effort. Servers have no lock that pyarrow can take, so who looks, finds none and writes its own may
find later that another did the same at that moment; and clocks of two machines must agree to within half of
`STALE_SECONDS`. The loser learns of it at its next renewal or write, and stops.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from harness.exceptions import StoreError, StoreWriteError
from harness.store.location import UNREACHABLE, Address, Location, hasty

STALE_SECONDS = 300.0
"""Without a renewal, after which an address's lock is taken over. A write starts while the lock is at most half as
old and may take, with all its attempts, `harness.store.location.LONGEST_SECONDS`: it must have ended by then."""
_RENEWALS = 6
"""In that time."""
_ATTEMPTS = 5
"""At a lock that `ntkcpl store check` may look at."""
_PAUSE_SECONDS = 0.05
_NAME = ".lock"


class Lock(Protocol):
    """A lock that is held."""

    def check(self) -> None:
        """Raise OSError where another process has taken it over."""

    def release(self) -> None:
        """Give it up."""


def take(root: Location) -> Lock:
    """Become the only writer of a store.

    Args:
        root: its folder, which exists.

    Raises:
        StoreError: another process is; names it.
        OSError: the folder cannot be written.
    """
    return FileLock(root) if isinstance(root, Path) else Lease(root, STALE_SECONDS)


def is_held(root: Location) -> bool:
    """Whether a process writes to a store."""
    if isinstance(root, Address):
        try:
            holder = _holder(root / _NAME)
        except StoreError:  # none of ours, and so none of a writer; whoever wants to write is told
            return False
        return holder is not None and _age(holder) < STALE_SECONDS
    try:
        lock = os.open(root / _NAME, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def warning(root: Location) -> str | None:
    """What a user must know of the lock; nothing of one that holds whatever happens."""
    if isinstance(root, Path):
        return None
    return (
        f"The lock of {root} is best effort, as an object store allows no better: do not start two commands on it at "
        f"once. If a command is killed, the next one can take over its lock after {STALE_SECONDS:g} s."
    )


class FileLock:
    """`flock`: it ends with its process, so none is ever stale."""

    def __init__(self, root: Path) -> None:
        self._file = os.open(root / _NAME, os.O_RDWR | os.O_CREAT, 0o644)
        if not self._is_taken():
            holder = os.pread(self._file, 200, 0).decode(errors="replace").strip() or "another process"
            os.close(self._file)
            raise StoreError(
                f"Expected to be the only writer of `{root}`, but {holder} writes to it; wait until it has ended."
            )
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)

    def check(self) -> None:
        """It cannot be lost."""

    def release(self) -> None:
        """Give it up."""
        os.close(self._file)

    def _is_taken(self) -> bool:
        for _ in range(_ATTEMPTS):
            with suppress(BlockingIOError):
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            time.sleep(_PAUSE_SECONDS)
        return False


class Lease:
    """An object that says who writes and when it was renewed last; a thread renews it.

    Args:
        root: the folder of the store.
        stale_seconds: age from which somebody else's is taken over.

    Raises:
        StoreError: another process holds it.
        OSError: the server does not answer.
    """

    def __init__(self, root: Address, stale_seconds: float) -> None:
        self._path = root / _NAME
        self._hasty_path = hasty(self._path)
        self._stale_seconds = stale_seconds
        self._own = {"process": os.getpid(), "host": socket.gethostname(), "token": uuid.uuid4().hex}
        self._lost_to: str | None = None
        self._renewed = time.time()
        self._renewing, self._released = threading.Lock(), threading.Event()
        for is_mine in (False, True):  # of two that start at once, the last to write has it
            holder = _holder(self._path)
            if holder is not None and holder["token"] != self._own["token"] and _age(holder) < stale_seconds:
                raise StoreError(
                    f"Expected to be the only writer of `{root}`, but {_named(holder)} writes to it; if it was "
                    f"killed, try again in {stale_seconds - _age(holder):.0f} s, when its lock is stale."
                )
            if not is_mine:
                self._write(self._path)
        self._thread = threading.Thread(target=self._keep, name="store-lock", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise OSError where another process has taken it over; looks itself if the last renewal is long ago."""
        if time.time() - self._renewed > self._stale_seconds / 2:
            self._renew(self._path)
        if self._lost_to is not None:
            raise OSError(f"{self._lost_to} has taken its lock")

    def release(self) -> None:
        """Remove it, if it is still there and one's own; a dead server is not waited for long.

        Raises:
            StoreWriteError: it cannot be removed, and so becomes stale.
        """
        self._released.set()
        self._thread.join()
        try:
            if self._lost_to is None and self._is_own(_holder(self._hasty_path)):
                self._hasty_path.unlink(missing_ok=True)
        except (*UNREACHABLE, StoreError) as error:
            kept = OSError(f"it cannot be removed, and holds until it is {self._stale_seconds:g} s old")
            raise StoreWriteError(self._path, kept) from error

    def _keep(self) -> None:
        while self._lost_to is None and not self._released.wait(self._stale_seconds / _RENEWALS):
            with suppress(*UNREACHABLE, StoreError):  # tried again; the next write says so if it lasts
                self._renew(self._hasty_path)

    def _renew(self, path: Address) -> None:
        with self._renewing:
            holder = _holder(path)
            if self._is_own(holder):
                self._write(path)
            else:
                self._lost_to = "somebody" if holder is None else _named(holder)

    def _write(self, path: Address) -> None:
        now = time.time()  # before a request that may take long; of a clock that goes on while a machine sleeps
        path.write_bytes(json.dumps(self._own | {"renewed": now}).encode())
        self._renewed = now

    def _is_own(self, holder: dict[str, Any] | None) -> bool:
        return holder is not None and bool(holder["token"] == self._own["token"])


def _holder(path: Address) -> dict[str, Any] | None:
    """What a lock says; None where there is none.

    Raises:
        StoreError: it is none of ours.
    """
    try:
        holder = json.loads(path.read_bytes())
        return {name: holder[name] for name in ("process", "host", "token")} | {"renewed": float(holder["renewed"])}
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"Expected a lock in `{path}`, but cannot read it; remove it if no command runs.") from error


def _named(holder: dict[str, Any]) -> str:
    return f"process {holder['process']} on {holder['host']}"


def _age(holder: dict[str, Any]) -> float:
    return time.time() - float(holder["renewed"])
