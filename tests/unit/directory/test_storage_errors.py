"""Errors of a store are reported, and no data is lost (docs/store.md)."""

from __future__ import annotations

import pickle
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from store_world import ALLOW, counter, names, run, tables_of, user

import fastiam
from fastiam import Directory, StoreError
from fastiam.storage import schema
from fastiam.storage import sqlite_backend as backend_module

# -- errors are reported, and no data is lost ---------------------------------------------------------------------------


def refused(reason: str, path: Path, **options: Any) -> str:
    with pytest.raises(StoreError) as caught:
        Directory.open(path, **options)
    assert caught.value.reason == reason
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_store_that_is_not_there_is_made_or_missed(path: Path) -> None:
    assert "the file does not exist" in refused("absent", path, create=False)
    assert "the file does not exist" in refused("absent", path, read_only=True)
    refused("absent", path / "no" / "folder")
    refused("unreadable", path.parent)


def test_a_store_of_a_newer_release_is_left_alone(filled: Path) -> None:
    connection = sqlite3.connect(filled)
    connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    connection.close()
    before = filled.read_bytes()
    assert f"version {len(schema.MIGRATIONS) + 1}" in refused("newer", filled)
    assert filled.read_bytes() == before


def test_format_change_while_a_store_is_open_is_detected(filled: Path) -> None:
    with Directory.open(filled) as directory, Directory.open(filled) as other:
        connection = sqlite3.connect(filled)
        connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
        connection.close()
        with pytest.raises(StoreError) as caught:
            directory.add_principal(user("new"))
        assert caught.value.reason == "newer" and user("new") not in tables_of(directory).entities
        assert not other.refresh()


NEWER = {
    "a field": 'UPDATE records SET body = \'{"id":"x","shoe":1}\' WHERE id = 1',
    "a table": "INSERT INTO tables VALUES (99, 'directory.shoes'); UPDATE records SET table_id = 99 WHERE id = 5",
}


@pytest.mark.parametrize("what", NEWER)
def test_rows_of_a_newer_release_are_not_passed_over(what: str, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = sqlite3.connect(filled)
    connection.executescript(NEWER[what])
    connection.close()
    monkeypatch.setattr(backend_module, "_checksum", lambda name, key, body: _stored_checksum(filled, key))
    assert "shoe" in refused("newer", filled)


def _stored_checksum(path: Path, key: str) -> int:
    connection = sqlite3.connect(path)
    (found,) = connection.execute("SELECT checksum FROM records WHERE key = ?", (key,)).fetchone()
    connection.close()
    return int(found)


def test_a_store_of_an_older_release_is_brought_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Directory.open(path) as directory:
        directory.add_principal(user("ana"))
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, ("CREATE TABLE extra (x) ",)))
    monkeypatch.setattr("fastiam.storage.connection.MIGRATIONS", schema.MIGRATIONS)
    assert "for writing" in refused("older", path, read_only=True)
    with Directory.open(path) as directory:
        assert list(tables_of(directory).entities) == [user("ana")]
    assert sqlite3.connect(path).execute("PRAGMA user_version").fetchone() == (2,)


def test_a_migration_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Directory.open(path) as directory:
        directory.add_principal(user("ana"))
    broken = (*schema.MIGRATIONS, ("CREATE TABLE extra (x)", "DELETE FROM records", "CREATE TABLE nonsense"))
    with monkeypatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", broken)
        patched.setattr("fastiam.storage.connection.MIGRATIONS", broken)
        refused("corrupt", path)
    assert names(path) == {"ana"}


NOT_A_DATABASE = {"empty": b"", "json": b"{}", "short": b"SQLite format 3\x00 and no more", "noise": bytes(range(256)) * 40}


@pytest.mark.parametrize("content", NOT_A_DATABASE.values(), ids=NOT_A_DATABASE)
def test_file_that_is_not_a_database_is_refused(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    reason = "foreign" if not content else "corrupt"
    refused(reason, path, read_only=True)
    if content:
        refused(reason, path)
        assert path.read_bytes() == content
    else:
        Directory.open(path).close()  # an empty file is an empty store, as `mktemp` makes one


def test_a_database_of_something_else_is_left_alone(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE cookies (name); INSERT INTO cookies VALUES ('x')")
    connection.close()
    before = path.read_bytes()
    assert "not a store of fastiam" in refused("foreign", path)
    assert path.read_bytes() == before


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(at=0.02734375, bits=128)  # the name of a table is not valid text
@given(at=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255))
def test_a_flipped_byte_is_found_or_harmless(at: float, bits: int, filled: Path) -> None:
    """No byte of the file can change what is read without an error."""
    whole = filled.read_bytes()
    with Directory.open(filled, read_only=True) as directory:
        written = tables_of(directory)
    flipped = bytearray(whole)
    flipped[int(at * len(whole))] ^= bits
    broken = filled.with_name("broken.db")
    broken.write_bytes(flipped)
    try:
        with Directory.open(broken, read_only=True) as directory:
            assert tables_of(directory) == written
    except StoreError as error:
        assert error.reason in ("corrupt", "newer", "foreign", "older", "read_only", "unreadable")


def test_a_file_cut_short_is_corrupt(filled: Path) -> None:
    whole = filled.read_bytes()
    filled.write_bytes(whole[: len(whole) // 2])
    refused("corrupt", filled)


def test_a_store_opened_for_reading_is_not_written(filled: Path) -> None:
    with Directory.open(filled, read_only=True) as directory:
        with pytest.raises(StoreError) as caught:
            directory.add_principal(user("new"))
        assert caught.value.reason == "read_only" and user("new") not in tables_of(directory).entities


@pytest.fixture
def seen(filled: Path) -> Iterator[Path]:
    """The store where another user comes to see it; the folders of pytest are private."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(shutil.copy(filled, folder))
        Path(folder).chmod(0o755)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_read_only_file_or_folder_refuses_writes_unchanged(what: str, seen: Path) -> None:
    seen.chmod(0o444 if what == "file" else 0o666)
    seen.parent.chmod(0o777 if what == "file" else 0o555)
    code = """
        import os, sys, fastiam, fastiam.api.directory, fastiam.storage.sqlite_backend
        if os.getuid() == 0:
            os.setuid(65534)  # root may write anything
        try:
            directory = fastiam.Directory.open(sys.argv[1])
            directory.add_principal("arn:aws:iam::111111111111:user/new")
        except fastiam.StoreError as error:
            print(error.reason)
    """
    done = run(code, seen)
    seen.parent.chmod(0o755)
    assert done.stdout.strip() in ("read_only", "unreadable"), done.stderr
    assert len(names(seen)) == 200


def test_store_in_a_read_only_folder_is_read_and_followed(seen: Path) -> None:
    """As on a read-only mount; here another user, root or the owner, writes now and then all the same."""
    code = """
        import os, sys, fastiam, fastiam.api.directory, fastiam.storage.sqlite_backend
        path = sys.argv[1]
        if os.getuid() == 0:
            os.setuid(65534)
        directory = fastiam.Directory.open(path, read_only=True)
        print(len(directory.tables.entities), directory.refresh(), flush=True)
        input()
        print(directory.refresh(), len(directory.tables.entities), directory.refresh())
    """
    seen.chmod(0o644)
    seen.parent.chmod(0o555)
    command = [sys.executable, "-c", textwrap.dedent(code), str(seen)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdin is not None and reader.stdout is not None
        assert reader.stdout.readline() == "200 False\n"
        seen.parent.chmod(0o755)
        with Directory.open(seen) as directory:
            directory.add_principal(user("new"))
        seen.parent.chmod(0o555)
        assert reader.communicate("\n", timeout=60)[0] == "True 201 False\n"
    seen.parent.chmod(0o755)


def test_a_full_disk_loses_nothing(filled: Path) -> None:
    code = """
        import resource, signal, sys, fastiam
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        directory = fastiam.Directory.open(sys.argv[1], quotas=None)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
        try:
            with directory.transaction():
                for i in range(1000):
                    directory.add_principal(f"arn:aws:iam::111111111111:user/new{i}", tags={"x": "y" * 2000})
        except fastiam.StoreError as error:
            print(error.reason, error)
        assert len(directory.snapshot().tables.entities) == 200
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        directory.add_principal("arn:aws:iam::111111111111:user/after")
    """
    done = run(code, filled)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] in ("full", "disk")
    assert len(names(filled)) == 201 and "after" in names(filled)


def test_record_can_be_changed_on_a_full_disk(tmp_path: Path) -> None:
    """A leaked key can be disabled; what only adds records is refused."""
    code = """
        import os, sys, fastiam
        store, filler = sys.argv[1] + "/store", sys.argv[1] + "/filler"
        directory = fastiam.Directory.open(store)
        directory.add_account("111111111111")
        user = "arn:aws:iam::111111111111:user/u"
        directory.add_principal(user)
        directory.transaction_manager.backend.keep_reserve()
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        for i in range(3):
            try:
                with directory.transaction():
                    for j in range(200):
                        directory.add_principal(f"arn:aws:iam::111111111111:user/new{i}-{j}", tags={"x": "y" * 200})
            except fastiam.StoreError as error:
                print(error.reason)
        for i in range(20):
            directory.tag(user, {"state": f"disabled{i}"})
        directory.delete_principal(user)
        os.unlink(filler)
        directory.add_principal(user)
        print(sorted(os.listdir(sys.argv[1])))
    """
    disk = tmp_path / "disk"
    disk.mkdir()
    file = tmp_path / "code.py"
    file.write_text(textwrap.dedent(code))
    mount = f"mount -t tmpfs -o size=3m tmpfs {disk} && exec {sys.executable} {file} {disk}"
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("no file systems of its own")
    done = subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == ["full"] * 3 and "store.reserve" in lines[3]


def test_full_database_raises_store_error(filled: Path) -> None:
    with Directory.open(filled, quotas=None) as directory:
        with directory.transaction_manager.backend._connection.use() as connection:
            connection.execute("PRAGMA max_page_count = 30")
        with pytest.raises(StoreError) as caught, directory.transaction():
            for i in range(1000):
                directory.add_principal(user(f"new{i}"), tags={"x": "y" * 2000})
        assert caught.value.reason == "full"
        assert len(tables_of(directory).entities) == 200
    assert len(names(filled)) == 200


def test_lock_timeout_raises_store_error(filled: Path) -> None:
    other = sqlite3.connect(filled, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with Directory.open(filled, timeout=0.05) as directory:
        with pytest.raises(StoreError) as caught:
            directory.add_principal(user("new"))
        assert caught.value.reason == "busy" and user("new") not in tables_of(directory).entities
        other.execute("ROLLBACK")
        other.close()
        directory.add_principal(user("new"))
    assert "new" in names(filled)


def test_a_closed_directory_reads_on_and_does_not_write(filled: Path) -> None:
    directory = Directory.open(filled)
    directory.close()
    assert len(tables_of(directory).entities) == 200
    for write in (lambda: directory.add_principal(user("new")), directory.refresh):
        with pytest.raises(StoreError) as caught:
            write()
        assert caught.value.reason == "closed"


def test_directory_with_a_store_is_not_pickled_engines_are(filled: Path) -> None:
    with Directory.open(filled) as directory:
        with pytest.raises(TypeError, match="store"):
            pickle.dumps(directory)
        snapshot = pickle.loads(pickle.dumps(directory.snapshot()))
        assert snapshot.tables == tables_of(directory)
    error = StoreError("no", source="x.db", reason="busy", hint="wait")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.reason) == (str(error), "busy")


# -- stores and files ---------------------------------------------------------------------------------------------------


def test_a_store_loads_like_a_file_and_stays_as_it_is(filled: Path) -> None:
    directory = fastiam.load(filled)
    directory.add_principal(user("new"))
    assert len(tables_of(directory).entities) == 201 and len(names(filled)) == 200
    assert not directory.refresh()
    pickle.dumps(directory)


def test_a_store_is_not_mixed_with_files(filled: Path, tmp_path: Path) -> None:
    (tmp_path / "more.json").write_text(fastiam.Directory().to_json())
    with pytest.raises(fastiam.SourceError, match="cannot be combined"):
        fastiam.load(tmp_path / "more.json", filled)


def test_files_are_loaded_into_a_store_whole_or_not_at_all(filled: Path, tmp_path: Path) -> None:
    more = fastiam.Directory()
    more.add_principal(user("new"), identity_policies=[("p", ALLOW)])
    (tmp_path / "more.json").write_text(more.to_json())
    more.add_principal(user(7))  # is there already
    (tmp_path / "clash.json").write_text(more.to_json())
    with Directory.open(filled) as directory:
        with pytest.raises(fastiam.SourceError, match="already"):
            fastiam.load(tmp_path / "clash.json", into=directory)
        assert len(tables_of(directory).entities) == 200
        assert fastiam.load(tmp_path / "more.json", into=directory) is directory
        assert counter(filled, "commit") == 2
    assert "new" in names(filled)
