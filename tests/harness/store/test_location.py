"""An address is as good as a folder: one request a file, nothing half-written, and a server that fails now and then."""

import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from s3_server import FAIL, STALL

from harness.exceptions import SpecError, StoreError, StoreWriteError
from harness.store import location, schema
from harness.store.location import Address, list_files, locate, only_maker, replace_file, source, write
from harness.store.reading import read_file
from harness.store.writing import Store

TABLE = schema.QUERIES.empty_table()


@pytest.fixture
def folder(s3_address):
    return locate(s3_address)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(location, "ATTEMPTS", 2)


class TestLocate:
    @pytest.mark.parametrize("text", ["runs/mine", "/runs/mine", "with:colon"])
    def test_a_path_is_a_folder(self, text):
        assert locate(text) == Path(text)

    def test_an_address_of_a_local_folder_is_one(self, tmp_path):
        assert locate(f"file://{tmp_path}") == tmp_path

    @pytest.mark.parametrize("options", ["?region=eu-west-1", "?endpoint_override=127.0.0.1:9&scheme=http"])
    def test_an_address_can_be_copied_from_what_is_printed(self, options):
        address = locate(f"s3://bucket/folder/{options}")
        assert str(address) == f"s3://bucket/folder{options}"
        below = address / "rounds" / "a.parquet"
        assert str(below) == f"s3://bucket/folder/rounds/a.parquet{options}"
        assert (below.path, below.name, below.stem, below.suffix) == (
            "bucket/folder/rounds/a.parquet",
            "a.parquet",
            "a",
            ".parquet",
        )
        assert below.parent.parent == address == locate(str(address))

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("foo://bucket/folder", "Unrecognized filesystem"),
            ("s3://", "names no folder"),
            ("s3:/bucket/folder", "such as s3://bucket/folder"),
            ("s3://bucket/folder?colour=red", "colour"),
        ],
    )
    def test_what_pyarrow_does_not_know_is_one_line(self, text, words):
        with pytest.raises(SpecError, match=words) as caught:
            locate(text)
        assert len(str(caught.value).splitlines()) == 1

    @pytest.mark.parametrize(
        "text",
        [
            "s3://me:hidden@bucket/folder",
            "s3://me:hid/den@bucket/folder",
            "abfs://container@account.dfs.core.windows.net/folder?client_secret=hidden",
        ],
    )
    def test_a_secret_is_refused_and_not_repeated(self, text):
        with pytest.raises(SpecError, match="credentials into the environment") as caught:
            locate(text)
        assert "hid" not in str(caught.value)


class TestFiles:
    @pytest.mark.parametrize("content", [TABLE, b"content"], ids=["table", "bytes"])
    def test_one_request_puts_a_file(self, s3_server, folder, content):
        s3_server.well()
        write(folder / "queries" / "a.parquet", content)
        assert s3_server.requests == [("PUT", "/" + (folder / "queries" / "a.parquet").path)]

    def test_round_trip(self, place):
        path = place / "queries" / "a.parquet"
        assert not path.exists()
        assert list_files(path.parent, "*") == []
        write(path, TABLE)
        assert read_file(path).equals(TABLE)
        assert list_files(path.parent, "*.parquet") == [path]
        assert place.is_dir()
        path.unlink()
        path.unlink(missing_ok=True)
        for gone in (path.unlink, path.read_bytes, lambda: source(path)):
            with pytest.raises(FileNotFoundError):
                gone()

    def test_folders_are_made_where_a_filesystem_wants_them_first(self, tmp_path):
        path = locate(f"fsspec+file://{tmp_path}") / "queries" / "a.parquet"
        write(path, TABLE)
        assert read_file(path).equals(TABLE)
        (tmp_path / "file").touch()
        with pytest.raises(StoreWriteError, match="Cannot write `fsspec"):
            write(locate(f"fsspec+file://{tmp_path}") / "file" / "a.parquet", TABLE)

    def test_a_large_file_is_read_in_parts(self, folder):
        content = bytes(range(256)) * 2**13
        write(folder / "large", content)
        with source(folder / "large") as file:
            file.seek(2**20)
            assert file.read(100) == content[2**20 : 2**20 + 100]

    @pytest.mark.parametrize("size", [100, 12_000_000], ids=["one request", "in parts"])
    def test_an_upload_that_fails_leaves_the_file_as_it_was(self, s3_server, impatient, s3_address, size):
        path = locate(s3_address) / "a"
        write(path, b"before")
        n_sent = 0

        def fault(method: str, path: str) -> str | None:
            nonlocal n_sent
            n_sent += method == "PUT"
            return FAIL if n_sent > size // 10_000_000 and method == "PUT" else None  # the last part, or the only one

        s3_server.fault = fault
        with pytest.raises(StoreWriteError, match=r"Cannot write `s3://.*`: .*AWS Error") as caught:
            write(path, b"x" * size)
        assert len(str(caught.value).splitlines()) == 1
        s3_server.well()
        assert path.read_bytes() == b"before"
        assert [file.name for file in path.parent.glob("*")] == ["a"]


class TestFaults:
    def test_a_request_that_fails_is_made_again(self, s3_server, folder):
        path = folder / "queries" / "a.parquet"
        actions = {lambda: write(path, TABLE): FAIL, lambda: read_file(path): FAIL, lambda: path.exists(): STALL}
        for action, fault in actions.items():
            left = [fault]
            s3_server.fault = lambda method, path, left=left: left.pop() if left else None
            action()
            assert not left

    def test_a_server_that_fails_is_no_damaged_file(self, s3_server, impatient, s3_address):
        path = locate(s3_address) / "queries" / "a.parquet"
        write(path, TABLE)
        s3_server.fault = lambda method, path: FAIL
        with pytest.raises(OSError, match="AWS Error"):
            read_file(path)
        s3_server.well()
        path.write_bytes(b"PAR1")
        with pytest.raises(StoreError, match="Expected a Parquet file"):
            read_file(path)

    @pytest.mark.parametrize(
        ("address", "words"),
        [
            ("s3://bucket/folder?endpoint_override=127.0.0.1:1&scheme=http", "Expected to reach a store in `s3://"),
            ("s3://other/folder", "Cannot write to `s3://other/folder`: .*other"),
        ],
        ids=["no server", "no bucket"],
    )
    def test_a_store_that_cannot_be_reached_is_one_line(self, s3_server, impatient, address, words):
        with pytest.raises(StoreError, match=words) as caught, Store(locate(address)).writing():
            pass
        assert not isinstance(caught.value, StoreWriteError)
        assert len(str(caught.value).splitlines()) == 1


def test_a_folder_named_like_an_address_is_compared_by_it():
    one, other = (locate("fsspec+memory:///a/b") for _ in range(2))
    assert isinstance(one, Address)
    assert one == other
    assert len({one, other}) == 1


def test_an_outage_is_not_taken_for_damage(monkeypatch):
    path = locate("fsspec+memory:///outage/table.parquet")
    path.write_bytes(b"whole")

    def fails(path):
        raise OSError("no answer")

    monkeypatch.setattr(location, "source", fails)
    assert location.parsed(path, lambda content: content.read()) == b"whole"
    with pytest.raises(StoreError, match="remove it to go on"):
        location.parsed(path, lambda content: int(content.read()))
    monkeypatch.setattr(location.Address, "read_bytes", fails)
    with pytest.raises(OSError, match="no answer"):
        location.parsed(path, lambda content: content.read())


def test_two_that_write_one_file_at_once_write_it_one_after_the_other(tmp_path, monkeypatch):
    path, begun, go_on, pour = tmp_path / "results.csv", Event(), Event(), location._pour

    def slowly(content, file):
        pour(content[:10], file)
        file.flush()
        begun.set()
        if content.startswith(b"first"):
            go_on.wait()
        pour(content[10:], file)

    monkeypatch.setattr(location, "_pour", slowly)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(write, path, b"first " * 100)
        begun.wait()
        second = threads.submit(write, path, b"second " * 100)
        time.sleep(0.2)
        is_early = path.exists()
        go_on.set()
        first.result()
        second.result()
    assert not is_early
    assert path.read_bytes() == b"second " * 100
    assert list(tmp_path.iterdir()) == [path]


def test_an_interruption_leaves_nothing_of_a_file_that_was_being_written(tmp_path, monkeypatch):
    path = tmp_path / "pool.npz"
    replace_file(path, b"before")

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        replace_file(path, b"after")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"before"


class TestOnlyMaker:
    def test_another_is_refused_with_the_name_of_the_first_until_that_has_ended(self, tmp_path):
        path = tmp_path / "new" / "c.pt"
        with only_maker(path), only_maker(path.with_name("other.pt")):
            with pytest.raises(StoreError, match=f"only one that makes `.*c.pt`, but process {os.getpid()} on "):
                only_maker(path).__enter__()
            assert path.with_name(".c.pt.lock").exists()
        with only_maker(path), pytest.raises(StoreError), only_maker(path):
            pass
        assert list(path.parent.iterdir()) == []

    def test_one_that_was_killed_stops_nobody(self, tmp_path):
        (tmp_path / ".c.pt.lock").write_text("process 7 on elsewhere")
        with only_maker(tmp_path / "c.pt"):
            pass
        assert list(tmp_path.iterdir()) == []

    def test_where_there_are_no_locks_it_keeps_nobody(self, tmp_path, monkeypatch):
        def no_locks(*_):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(location.fcntl, "flock", no_locks)
        with only_maker(tmp_path / "c.pt"), only_maker(tmp_path / "c.pt"):
            pass

    def test_nothing_is_wanted_of_a_folder_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").touch()
        with only_maker(tmp_path / "file" / "c.pt"):
            pass
