"""Where a store is: a local folder, or an address on any filesystem that pyarrow knows. Nothing else tells them apart.

A local file is written under a name that begins with a dot, flushed and renamed. Elsewhere it is built in memory and
handed over in one piece: object stores show a file when the whole of it has arrived. What an object store does not
answer is asked again a few times, and then an error of `UNREACHABLE`.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import BinaryIO, TypeAlias, TypeVar
from urllib.parse import parse_qsl

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from harness.exceptions import DamagedFileError, SpecError, StoreError, StoreWriteError, reason

T = TypeVar("T")
Buffer: TypeAlias = bytes | memoryview

CONNECT_SECONDS = 5
REQUEST_SECONDS = 5
"""Seconds without any answer after which a request is made again."""
ATTEMPTS = 8
"""Attempts at a request to S3, with pauses that double from about a second: a minute, or more than two
if each one stalls."""
LONGEST_SECONDS = 140.0
"""Seconds that a write takes to fail on a server that stalls all along, as measured."""
_HASTY_ATTEMPTS = 6
"""Attempts at a request that is given up within a minute; a server that fails now and then gets its chance."""
_GCS_SECONDS = LONGEST_SECONDS / 2 / ATTEMPTS
"""Seconds for an attempt at a request to Google's store, which counts seconds instead."""
UNREACHABLE = (OSError, pa.ArrowException)
"""What pyarrow raises where a server does not answer."""
_SMALL_BYTES = 2**20
"""A file that is read at once; of a larger one only what is asked for."""
_GROUP_ROWS = 50_000
"""Rows of a table that are read together; a trajectory in a merged file costs the reading of a group or two."""
_PASSWORD = re.compile(r":/+[^@]*:[^@]*@")
_SECRET = re.compile(r"secret|password|token|key|credential|sas\b", re.IGNORECASE)


@dataclass(frozen=True)
class Address:
    """A file or folder on a filesystem of pyarrow, with as much of `pathlib.Path` as a store needs.

    Attributes:
        base: the address without its options, such as `s3://bucket/folder`.
        options: what follows a question mark, such as `endpoint_override=localhost:9000&scheme=http`.
        path: the same place, as the filesystem calls it.
        filesystem: where it is.
    """

    base: str
    options: str
    path: str
    filesystem: fs.FileSystem = field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.base}?{self.options}" if self.options else self.base

    def __truediv__(self, name: str) -> Address:
        return replace(self, base=f"{self.base}/{name}", path=f"{self.path}/{name}")

    @property
    def name(self) -> str:
        """The last part."""
        return PurePosixPath(self.path).name

    @property
    def stem(self) -> str:
        """The last part without its suffix."""
        return PurePosixPath(self.path).stem

    @property
    def suffix(self) -> str:
        """What follows the last dot, with it."""
        return PurePosixPath(self.path).suffix

    @property
    def parent(self) -> Address:
        """The folder around."""
        return replace(self, base=self.base.rpartition("/")[0], path=self.path.rpartition("/")[0])

    def exists(self) -> bool:
        """Whether there is a file or a folder."""
        return bool(self._type != fs.FileType.NotFound)

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return bool(self._type == fs.FileType.Directory)

    def glob(self, pattern: str) -> Iterator[Address]:
        """What in this folder has such a name; nothing where there is no folder."""
        listing = self.filesystem.get_file_info(fs.FileSelector(self.path, allow_not_found=True))
        return (self / entry.base_name for entry in listing if fnmatchcase(entry.base_name, pattern))

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Make the folder and those around it, there or not."""
        self.filesystem.create_dir(self.path, recursive=True)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove a file."""
        with suppress(*[FileNotFoundError] if missing_ok else []):
            self.filesystem.delete_file(self.path)

    def read_bytes(self) -> bytes:
        """The content of a file."""
        with self.filesystem.open_input_file(self.path) as file:
            content: bytes = file.read()
        return content

    def write_bytes(self, content: bytes | pa.Buffer) -> None:
        """Put a file in its place: it is seen when the whole of it has arrived."""
        try:
            stream = self.filesystem.open_output_stream(self.path)
        except FileNotFoundError:  # of a filesystem that wants the folder first, unlike an object store
            self.parent.mkdir()
            stream = self.filesystem.open_output_stream(self.path)
        # Not in a `with`: after an error it would close the stream, and so show what has arrived.
        stream.write(content)
        stream.close()

    @property
    def _type(self) -> fs.FileType:
        return self.filesystem.get_file_info(self.path).type


Location: TypeAlias = Path | Address


def locate(text: str) -> Location:
    """A folder from its path or its address.

    Raises:
        SpecError: an address with a secret in it, or one that pyarrow does not understand; or no text at all.
    """
    if not text.strip():
        raise SpecError("Expected a folder, or an address such as s3://bucket/folder, but got an empty text.")
    if ":/" not in text:
        return Path(text)
    base, _, options = text.partition("?")
    secrets = [name for name, _ in parse_qsl(options) if _SECRET.search(name)]
    if _PASSWORD.search(text) or secrets:
        found = secrets[0] if secrets else "user:...@"
        raise SpecError(
            f"Expected an address without a password or key, but got one with `{found}`; put credentials into the "
            "environment or a credentials file."
        )
    try:
        filesystem, path = fs.FileSystem.from_uri(text)
        if not path or "://" not in text:
            raise ValueError("it names no folder")
    except (ValueError, ImportError, OSError, pa.ArrowException) as error:
        raise SpecError(
            f"Expected a folder, or an address such as s3://bucket/folder, but got `{base}`: {reason(error)}."
        ) from error
    if isinstance(filesystem, fs.LocalFileSystem):
        return Path(path)
    return Address(base.rstrip("/"), options, path.rstrip("/"), _with_limits(filesystem, ATTEMPTS))


def require_folder(place: Location) -> None:
    """Raise StoreError where a file is in the way of a folder; it may not exist yet."""
    for part in (place, *place.parents) if isinstance(place, Path) else (place,):
        if part.exists() and not part.is_dir():
            raise StoreError(f"Expected `{part}` to be a folder, but it is a file; choose another folder.")


def hasty(address: Address) -> Address:
    """The same place, whose requests are given up sooner."""
    return replace(address, filesystem=_with_limits(address.filesystem, _HASTY_ATTEMPTS))


def _with_limits(filesystem: fs.FileSystem, attempts: int) -> fs.FileSystem:
    """Let requests to S3 end and repeat as said above, and a file of up to 10 MB take one request.

    Only an address and `AWS_ENDPOINT_URL` together say where the server is, and pyarrow alone reads both.
    """
    if isinstance(filesystem, fs.GcsFileSystem):
        _, (options,) = filesystem.__reduce__()
        return fs.GcsFileSystem(**options | {"retry_time_limit": timedelta(seconds=attempts * _GCS_SECONDS)})
    if not isinstance(filesystem, fs.S3FileSystem):
        return filesystem
    _, (options,) = filesystem.__reduce__()
    limits = {
        "connect_timeout": CONNECT_SECONDS,
        "request_timeout": REQUEST_SECONDS,
        "retry_strategy": fs.AwsStandardS3RetryStrategy(max_attempts=attempts),
        "allow_delayed_open": True,
    }
    return fs.S3FileSystem(**options | limits)


def local(location: Location, remedy: str) -> Path:
    """The location as a local folder.

    Raises:
        SpecError: it is an address; ends with the remedy.
    """
    if isinstance(location, Address):
        raise SpecError(f"Expected a local folder, but got `{location}`; {remedy}.")
    return location


def require_local(path: Path) -> None:
    """Refuse a file that is given by an address, which would be written below a folder such as `s3:`.

    Raises:
        SpecError: it is an address.
    """
    if ":/" in str(path):
        address = str(path).replace(":/", "://", 1)
        raise SpecError(f"Expected a local file, but got the address `{address}`; write it here, then copy it there.")


def list_files(folder: Location, pattern: str) -> list[Location]:
    """What in a folder has such a name, sorted; nothing where there is no folder."""
    return sorted(folder.glob(pattern), key=lambda path: path.name)


def source(path: Location, whole: bool = False) -> pa.NativeFile:
    """A file to read, a small one at once; the `whole` of a large one on a server in one request.

    Raises:
        FileNotFoundError: it has gone.
        OSError: the server does not answer.
    """
    if isinstance(path, Path):
        file = pa.OSFile(str(path))
        whole = False
    else:
        file = path.filesystem.open_input_file(path.path)
    return pa.BufferReader(file.read_buffer()) if whole or file.size() <= _SMALL_BYTES else file


def parsed(path: Location, parse: Callable[[pa.NativeFile], T], whole: bool = False) -> T:
    """What `parse` makes of a file, which is read as `source` says.

    What fails on a server is tried once more on the whole of the file, so that an outage is not taken for damage.

    Raises:
        DamagedFileError: the file is damaged.
        StoreError: `parse` says that something else is wrong with it.
        FileNotFoundError: it has gone.
        OSError: the server does not answer.
    """
    try:
        with source(path, whole) as content:
            return parse(content)
    except (FileNotFoundError, StoreError) as error:
        if isinstance(error, FileNotFoundError) and isinstance(path, Path) and path.is_symlink():
            raise unreadable(path, error) from error  # what it leads to has gone, and not to another file of the table
        raise
    except Exception as error:  # a damaged file gives errors of many unrelated types
        if isinstance(path, Path):
            raise unreadable(path, error) from error
    content = pa.BufferReader(path.read_bytes())
    try:
        return parse(content)
    except StoreError:
        raise
    except Exception as error:
        raise unreadable(path, error) from error


def unreadable(path: Location, error: Exception) -> DamagedFileError:
    """What to raise for a damaged file, given what reading it raised."""
    return DamagedFileError(f"Expected a Parquet file, but cannot read `{path}` ({reason(error)}); remove it to go on.")


@contextmanager
def first_look(root: Location) -> Iterator[None]:
    """Raise StoreError where a store cannot be reached at the start; later, OSError is left as it is."""
    try:
        yield
    except UNREACHABLE as error:
        raise StoreError(f"Expected to reach a store in `{root}`, but got: {reason(error)}.") from error


def write(path: Location, content: bytes | pa.Table) -> None:
    """Put a file in its place in one step; nothing is left of one that cannot be written.

    Args:
        path: the file; folders around it are made.
        content: its bytes, or a table that becomes a Parquet file with page checksums.

    Raises:
        StoreWriteError: the disk is full, writing is not allowed (any more), or the server does not answer.
    """
    try:
        if isinstance(path, Path):
            replace_file(path, content)
        else:
            buffer = pa.BufferOutputStream()
            _pour(content, buffer)
            path.write_bytes(buffer.getvalue())
    except UNREACHABLE as error:
        raise StoreWriteError(str(path), error) from error


def flush(folder: Location) -> None:
    """Make the names in a folder last; on a server they do from the start."""
    if isinstance(folder, Path):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def replace_file(path: Path, content: Buffer | pa.Table) -> None:
    """Write a local file under a hidden name, flush and rename it: a reader sees all of it or none.

    Of two processes that write one file at the same time, the second waits for the first.

    Raises:
        OSError: it cannot be written; nothing is left of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}")
    with _held(hidden) as file:
        try:
            _pour(content, file)
            file.flush()
            os.fsync(file.fileno())
            hidden.replace(path)
        except BaseException:  # such as an interruption
            with suppress(OSError):
                hidden.unlink(missing_ok=True)
            raise
        flush(path.parent)


@contextmanager
def only_maker(path: Path) -> Iterator[None]:
    """Keep a second process from making the same local file, which takes long, at the same time.

    Raises:
        StoreError: another process makes it; names it.
    """
    hidden = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _held(hidden, waits=False)
    except BlockingIOError as error:
        holder = ""
        with suppress(OSError):
            holder = hidden.read_text(errors="replace").strip()
        raise StoreError(
            f"Expected to be the only one that makes `{path}`, but {holder or 'another process'} makes it; wait until "
            "it has ended, or choose another name."
        ) from error
    except OSError:  # nothing can be written here, and nothing need be where the file is there
        yield
        return
    with file:
        try:
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            file.flush()
            yield
        finally:
            hidden.unlink(missing_ok=True)


def _held(hidden: Path, *, waits: bool = True) -> BinaryIO:
    """An empty file of this name that no other process writes to until it is closed.

    Raises:
        BlockingIOError: another process does, and this one does not wait.
    """
    while True:
        file = os.fdopen(os.open(hidden, os.O_WRONLY | os.O_CREAT, 0o666), "wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise
        except OSError:  # of a filesystem without locks
            pass
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(hidden), os.fstat(file.fileno())):
                file.truncate(0)
                return file
        file.close()  # whoever held it has given it its name


def _pour(content: Buffer | pa.Table, file: BinaryIO | pa.NativeFile) -> None:
    if isinstance(content, pa.Table):
        is_large = content.num_rows > _GROUP_ROWS  # otherwise nothing can be skipped, and a dictionary reads slowly
        pq.write_table(
            content,
            file,
            use_dictionary=is_large,
            write_statistics=is_large,
            write_page_checksum=True,
            row_group_size=_GROUP_ROWS,
        )
    else:
        file.write(content)
