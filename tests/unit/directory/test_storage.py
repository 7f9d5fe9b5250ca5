"""The store: each process reads committed transactions in full; errors are reported."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from directory_changes import WRITES, Writer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import fastiam
from fastiam import Directory, StoreError
from fastiam.directory.records import Account, Tables
from fastiam.policy import document
from fastiam.storage import connection as connection_module
from fastiam.storage import record_codec as rows
from fastiam.storage import schema
from fastiam.storage import sqlite_backend as backend_module

A = "111111111111"
ALLOW = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}


def user(name: object) -> str:
    return f"arn:aws:iam::{A}:user/{name}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "iam.db"


def tables_of(directory: Directory) -> Tables:
    return directory.snapshot().tables


def names(path: Path) -> set[str]:
    with Directory.open(path, create=False, read_only=True) as directory:
        return {entity.name for entity in tables_of(directory).entities.values()}


def run(code: str, *arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, text=True, capture_output=True, timeout=60, **more)


# -- what is written is read back ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_store_reads_back_equal_whatever_was_written(seed: int, path: Path) -> None:
    writer = Writer(seed)
    writer.directory = Directory.open(path, mode="lenient")
    with Directory.open(path) as follower:
        for _ in range(60):
            try:
                writer.write()
            except fastiam.DirectoryError:
                continue
            follower.refresh()
            assert tables_of(follower) == tables_of(writer.directory)
        assert follower.to_json() == writer.directory.to_json(), "in the same order, too"
    writer.directory.close()
    with Directory.open(path) as again:
        tables, written = tables_of(again), tables_of(writer.directory)
        assert tables == written
        assert again.to_json() == writer.directory.to_json()
        for arn, entity in written.entities.items():  # equal stored policies have equal texts: are they read alike?
            assert [p.policy for p in tables.entities[arn].inline] == [p.policy for p in entity.inline]
    assert len(WRITES) > 5


BROKEN = [
    {"Action": "s3GetObject"},
    {"Effect": "Deny", "Action": "s3:*", "Principal": "*", "Unknown": 1},
    {"Action": "s3:*", "Condition": {"StringEqals": {"aws:x": "1"}}},
    {"Action": "s3:*", "Condition": {"Bool": {"nocolon": True}}},
    {"Action": "s3:*", "Condition": {"NumericEquals": {"s3:x": [1.50, 10**30]}}},
    {"Sid": "bad sid!", "NotAction": [], "Resource": "${oops"},
]


@pytest.mark.parametrize("statement", BROKEN, ids=range(len(BROKEN)))
def test_a_policy_that_was_read_leniently_reads_the_same_again(statement: dict[str, Any], path: Path) -> None:
    document = {"Version": "2012-10-17", "Id": "é\ud800", "Statement": {"Effect": "Allow", "Resource": "*"} | statement}
    with Directory.open(path, mode="lenient") as directory:
        directory.add_principal(user("ana"), identity_policies=[("p", document)], tags={"a\ud800": "ü\0"})
        written = tables_of(directory)
    with Directory.open(path) as again:
        assert tables_of(again) == written
        (policy,), (before,) = (tables.entities[user("ana")].inline for tables in (tables_of(again), written))
        assert policy.policy == before.policy
        assert policy.policy.statements, "the policy was not parsed before the first read"


def test_engines_over_a_store_answer_as_those_over_memory(path: Path) -> None:
    with Directory.open(path) as directory:
        directory.set_organization("o-1", accounts={A: "ou-a"}, scps={"ou-a": [ALLOW]})
        directory.add_principal(user("ana"), identity_policies=[("Work", ALLOW)])
    with Directory.open(path) as again:
        decision = again.compile().decide(user("ana"), "s3:GetObject", "arn:aws:s3:::b/k")
        assert decision.allowed and decision.statement.policy == "Work"


def test_policies_of_one_text_are_read_once_and_keep_their_names(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = {**ALLOW, "Id": "of one text"}
    with Directory.open(path) as directory:
        for i in range(3):
            directory.add_principal(user(i), identity_policies=[(f"p{i}", policy)])
        written = [entity.inline[0].policy for entity in tables_of(directory).entities.values()]
    read = []
    original = document.read_policy
    monkeypatch.setattr(document, "read_policy", lambda *given, **more: read.append(given) or original(*given, **more))
    with Directory.open(path) as again:
        policies = [entity.inline[0].policy for entity in tables_of(again).entities.values()]
        assert policies == written and [policy.name for policy in policies] == ["p0", "p1", "p2"]
        assert [policy.origin.child("Statement").position().source for policy in policies] == ["p0", "p1", "p2"]
    assert len(read) == 1


class Color(Enum):
    RED = "r"


@dataclass(frozen=True, slots=True)
class Inner:
    n: int = 0


@dataclass(frozen=True, slots=True)
class Everything:
    """One field of each type that rows hold."""

    text: str
    flag: bool = False
    number: int = 0
    share: float = 0.5
    data: bytes = b""
    at: datetime | None = None
    color: Color = Color.RED
    names: frozenset[str] = frozenset()
    several: tuple[Inner, ...] = ()
    by_name: dict[str, Inner] = field(default_factory=dict)
    levels: tuple[tuple[str, ...], ...] | None = None
    one: Inner | str | None = None


codec = rows.codec_of(Everything)
inner = st.builds(Inner, st.integers(-(2**63), 2**64 - 1))
texts = st.text(st.characters())  # lone surrogates among them


@given(
    st.builds(
        Everything,
        texts,
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.binary(),
        st.none() | st.datetimes(timezones=st.just(UTC)),
        st.just(Color.RED),
        st.frozensets(texts),
        st.lists(inner).map(tuple),
        st.dictionaries(texts, inner),
        st.none() | st.lists(st.lists(texts).map(tuple)).map(tuple),
        st.none() | texts | inner,
    )
)
def test_every_type_of_field_comes_back(record: Everything) -> None:
    assert rows.from_text(codec, rows.to_text(codec, record)) == record


def test_row_omits_defaults_and_missing_fields_get_them() -> None:
    assert rows.to_text(codec, Everything("x")) == '{"text":"x"}'
    assert rows.from_text(codec, '{"text":"x","number":3}') == Everything("x", number=3)


@pytest.mark.parametrize("hint", [complex, dict[int, str], tuple[int, str], str | bytes, list[str]], ids=str)
def test_a_type_that_rows_cannot_hold_is_refused_at_once(hint: Any) -> None:
    with pytest.raises(TypeError):
        rows.codec_of(hint)


def test_record_that_no_row_can_store_is_refused_unwritten(path: Path) -> None:
    with Directory.open(path) as directory:
        with pytest.raises(StoreError) as caught, directory.transaction():
            directory.add_principal(user("ana"))
            directory._store.put("accounts", "\ud800", Account("\ud800", "aws"))
        assert caught.value.reason == "text" and not tables_of(directory).entities
        with pytest.raises(ValueError, match="too large"):
            rows.to_text(codec, Everything("x", number=2**64))
    assert names(path) == set()


# -- transactions -------------------------------------------------------------------------------------------------------


def test_a_write_is_one_commit_and_a_transaction_is_one(path: Path) -> None:
    with Directory.open(path) as directory:
        directory.add_principal(user("ana"))  # and its account
        assert counter(path, "commit") == 1
        with directory.transaction():
            directory.add_principal(user("bob"))
            directory.add_principal(user("cid"))
        assert counter(path, "commit") == 2
        with pytest.raises(fastiam.DirectoryError), directory.transaction():
            directory.add_principal(user("dan"))
            directory.add_principal(user("ana"))
        with directory.transaction():
            pass
        assert counter(path, "commit") == 2
    assert names(path) == {"ana", "bob", "cid"}


def counter(path: Path, name: str) -> int:
    connection = sqlite3.connect(path)
    (value,) = connection.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()
    connection.close()
    return int(value)


def test_a_writer_sees_what_others_wrote_before_it_decides(path: Path) -> None:
    with Directory.open(path) as one, Directory.open(path) as two:
        one.add_principal(user("ana"), tags={"team": "red"})
        with pytest.raises(fastiam.DirectoryError, match="already"):
            two.add_principal(user("ana"), tags={"team": "blue"})
        two.put_inline_policy(user("ana"), "a", ALLOW)
        one.put_inline_policy(user("ana"), "b", ALLOW)
        assert one.refresh() is False and two.refresh() is True and two.refresh() is False
        for directory in (one, two):
            entity = tables_of(directory).entities[user("ana")]
            assert [p.name for p in entity.inline] == ["a", "b"] and entity.tags == {"team": "red"}


def test_many_writers_get_in_line_and_lose_nothing(path: Path) -> None:
    Directory.open(path).close()
    code = """
        import sys, fastiam
        directory = fastiam.Directory.open(sys.argv[1], timeout=30)
        for i in range(15):
            directory.add_principal(f"arn:aws:iam::111111111111:user/{sys.argv[2]}-{i}")
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(path)]
    writers = [subprocess.Popen([*command, str(n)], stderr=subprocess.PIPE) for n in range(3)]
    assert [writer.communicate(timeout=60)[1] for writer in writers] == [b""] * 3
    assert names(path) == {f"{n}-{i}" for n in range(3) for i in range(15)}


def test_readers_see_whole_transactions_and_no_write_is_lost(path: Path) -> None:
    with Directory.open(path) as directory, directory.transaction():
        for i in range(20):
            directory.add_principal(user(i), tags={"n": "0"})
    code = """
        import os, sys, fastiam
        path, users = sys.argv[1], [f"arn:aws:iam::111111111111:user/{i}" for i in range(20)]
        def count(directory):
            (n,) = {directory.snapshot().tables.entities[arn].tags["n"] for arn in users}  # one number, or it fails
            return int(n)
        if os.fork() == 0 or os.fork() == 0:
            with fastiam.Directory.open(path, timeout=30) as directory:
                for _ in range(20):
                    with directory.transaction():
                        n = count(directory) + 1
                        for arn in users:
                            directory.tag(arn, {"n": str(n)})
            os._exit(0)
        with fastiam.Directory.open(path, read_only=True) as directory:
            last = 0
            while last < 40:
                directory.refresh()
                n = count(directory)
                assert n >= last
                last = n
        print({os.wait()[1] for _ in range(2)}, last)
    """
    done = run(code, path)
    assert (done.stdout, done.stderr) == ("{0} 40\n", "")


def test_threads_of_one_directory_write_one_after_the_other(path: Path) -> None:
    with Directory.open(path) as directory:

        def write(n: int) -> None:
            for i in range(20):
                directory.add_principal(user(f"{n}-{i}"))

        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(names(path)) == 80


@pytest.mark.slow
def test_killed_writer_keeps_acknowledged_transactions(path: Path) -> None:
    """A hundred kills; the writers are forked from one that has imported all, so that it takes seconds."""
    code = """
        import os, random, signal, sys, time, fastiam
        from fastiam import storage
        path, rng = sys.argv[1], random.Random(7)
        fastiam.Directory.open(path).close()
        n = 0
        for round in range(100):
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                directory = fastiam.Directory.open(path, quotas=None)
                while True:
                    with directory.transaction():
                        for side in ("left", "right"):
                            directory.add_principal(f"arn:aws:iam::111111111111:user/{n}-{side}", tags={"x": "y" * 3000})
                    os.write(writing, b"%d\\n" % n)
                    n += 1
            os.close(writing)
            time.sleep(0.012 + rng.random() * 0.03)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            acknowledged = os.read(reading, 1 << 20).split()
            os.close(reading)
            with fastiam.Directory.open(path) as directory:
                there = {entity.name for entity in directory.snapshot().tables.entities.values()}
            n = len(there) // 2
            wanted = {f"{i}-{side}" for i in range(n) for side in ("left", "right")}
            assert there == wanted, "half a transaction"
            assert not acknowledged or n > int(acknowledged[-1]), "an acknowledged write is lost"
        print(n)
    """
    done = run(code, path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20, "some of the writers came to write"
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_interrupt_after_a_commit_leaves_memory_equal_to_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = backend_module.SqliteBackend.commit

    def commit(backend: backend_module.SqliteBackend, changes: Any) -> None:
        original(backend, changes)
        raise KeyboardInterrupt

    with Directory.open(path) as directory:
        directory.add_principal(user("ana"))
        with monkeypatch.context() as patched:
            patched.setattr(backend_module.SqliteBackend, "commit", commit)
            with pytest.raises(KeyboardInterrupt):
                directory.add_principal(user("bob"))
        assert directory.refresh() and list(tables_of(directory).entities) == [user("ana"), user("bob")]
        with pytest.raises(fastiam.DirectoryError, match="already"):
            directory.add_principal(user("bob"))


# -- what changed only --------------------------------------------------------------------------------------------------


def test_a_refresh_reads_the_changed_records_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = backend_module.from_text
    monkeypatch.setattr(backend_module, "from_text", lambda codec, text: read.append(text) or original(codec, text))
    with Directory.open(path) as writer:
        with writer.transaction():
            for i in range(50):
                writer.add_principal(user(i))
        with Directory.open(path, read_only=True) as reader:
            read.clear()
            writer.put_inline_policy(user(7), "p", ALLOW)
            assert reader.refresh() and len(read) == 1
            engine = reader.compile()
            writer.put_inline_policy(user(8), "p", ALLOW)
            reader.refresh()
            assert engine.updated(reader).is_allowed(user(8), "s3:GetObject", "arn:aws:s3:::b/k")


def test_joined_record_store_reads_rows_and_follows_changes(path: Path) -> None:
    from badge_store import ANA, Badge, Badges

    with Directory.open(path) as one, Directory.open(path) as two, Directory.open(path) as three:
        badges = one.join(Badges())
        with one.transaction():
            one.add_principal(ANA, tags={"team": "red"})
            badges.put("badges", "7", Badge("7", ANA, color="blue"))
            badges.put("printer", "", Badge("p", ANA))
        assert two.refresh(), "a directory without the record store skips its rows"
        late = two.join(Badges())
        assert late.tables == badges.tables and late.of_owner == {ANA: {"7"}}
        with one.transaction():
            badges.put("badges", "7", None)
            badges.put("printer", "", None)
        assert two.refresh() and late.tables == badges.tables and late.of_owner == {ANA: set()}
        with three.transaction():
            assert three.join(Badges()).tables == badges.tables


def test_removed_record_is_deleted_everywhere_and_purged(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from badge_store import Badge, Badges

    monkeypatch.setattr(backend_module, "_KEEP_REMOVED", 8)
    with Directory.open(path) as writer, Directory.open(path) as near, Directory.open(path) as far:
        badges = [directory.join(Badges()) for directory in (writer, near, far)]

        def put(key: str, badge: Badge | None) -> None:
            with writer.transaction():
                badges[0].put("badges", key, badge)

        put("a", Badge("a", "x"))
        far.refresh()
        put("a", None)
        for i in range(40):
            put("b", Badge("b", str(i)))
            near.refresh()
        assert counter(path, "horizon") > 0
        assert sqlite3.connect(path).execute("SELECT count(*) FROM records WHERE body IS NULL").fetchone() == (0,)
        far.refresh()
        assert badges[0].tables == badges[1].tables == badges[2].tables
        put("a", Badge("a", "y"))
    with Directory.open(path) as again:
        assert list(again.join(Badges()).tables.badges) == ["b", "a"], "what comes again comes last"


def test_a_backup_put_in_the_place_of_the_file_is_noticed(path: Path, tmp_path: Path) -> None:
    with Directory.open(path) as directory:
        directory.add_principal(user("ana"))
    shutil.copy(path, tmp_path / "backup.db")
    with Directory.open(path) as directory, Directory.open(path) as reader:
        directory.add_principal(user("bob"))
        assert reader.refresh()
        for rest in ("-wal", "-shm"):  # required when a backup of SQLite is restored
            os.unlink(f"{path}{rest}")
        os.replace(tmp_path / "backup.db", path)
        assert reader.refresh() and list(tables_of(reader).entities) == [user("ana")]
        directory.add_principal(user("cid"))
    assert names(path) == {"ana", "cid"}


def test_store_replaced_during_a_write_is_not_written(path: Path, tmp_path: Path) -> None:
    with Directory.open(tmp_path / "other.db") as other:
        other.add_principal(user("zoe"))
    with Directory.open(path) as directory:
        directory.add_principal(user("ana"))
        with pytest.raises(StoreError) as caught, directory.transaction():
            directory.add_principal(user("bob"))
            for rest in ("-wal", "-shm"):
                os.unlink(f"{path}{rest}")
            os.replace(tmp_path / "other.db", path)
        assert caught.value.reason == "gone" and list(tables_of(directory).entities) == [user("ana")]
        directory.add_principal(user("cid"))
        assert list(tables_of(directory).entities) == [user("zoe"), user("cid")]
    assert names(path) == {"zoe", "cid"}


def test_write_to_a_deleted_store_is_refused(path: Path) -> None:
    with Directory.open(path) as directory:
        directory.add_principal(user("ana"))
        path.unlink()
        for write in (lambda: directory.add_principal(user("bob")), directory.refresh):
            with pytest.raises(StoreError) as caught:
                write()
            assert caught.value.reason == "absent"
        assert list(tables_of(directory).entities) == [user("ana")]


def test_a_store_is_its_owner_s_alone(path: Path) -> None:
    with Directory.open(path) as directory:
        directory.add_principal(user("ana"))
        for name in ("iam.db", "iam.db-wal", "iam.db-shm"):
            assert path.with_name(name).stat().st_mode & 0o077 == 0


# -- errors are reported, and no data is lost ---------------------------------------------------------------------------


def refused(reason: str, path: Path, **options: Any) -> str:
    with pytest.raises(StoreError) as caught:
        Directory.open(path, **options)
    assert caught.value.reason == reason
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.fixture
def filled(path: Path) -> Path:
    with Directory.open(path) as directory, directory.transaction():
        for i in range(200):
            directory.add_principal(user(i), identity_policies=[(f"p{i}", ALLOW)])
    return path


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
        import os, sys, fastiam, fastiam.api.directory, fastiam.storage
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
        import os, sys, fastiam, fastiam.api.directory, fastiam.storage
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


# -- forks --------------------------------------------------------------------------------------------------------------


def test_after_a_fork_both_sides_go_on(filled: Path) -> None:
    code = """
        import os, sys, fastiam
        directory = fastiam.Directory.open(sys.argv[1])
        directory.add_principal("arn:aws:iam::111111111111:user/before")
        child = os.fork()
        directory.add_principal("arn:aws:iam::111111111111:user/" + ("parent" if child else "child"))
        if child:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            directory.refresh()
            assert "arn:aws:iam::111111111111:user/child" in directory.snapshot().tables.entities
        inner = 1
        try:
            with directory.transaction():
                inner = os.fork()
                directory.add_principal(f"arn:aws:iam::111111111111:user/{'outer' if inner else 'inner'}-{child == 0}")
        except fastiam.StoreError as error:
            assert inner == 0 and error.reason == "forked"
        else:
            assert inner and os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]) == 0
    """
    done = run(code, filled)
    assert done.returncode == 0, done.stderr
    assert {"before", "parent", "child", "outer-True", "outer-False"} == {name for name in names(filled) if not name.isdigit()}


def test_every_reason_is_documented() -> None:
    root = Path(__file__).resolve().parents[3]
    sources = [*(root / "src/fastiam/storage").glob("*.py"), root / "src/fastiam/cli/init.py"]
    code = "".join(source.read_text() for source in sources)
    reasons = (
        set(re.findall(r'\.error\(\s*"(\w+)"', code))
        | {reason for reason, *_ in connection_module._REASONS.values()}
        | {"exists"}
    )
    page, docstring = (root / "docs/store.md").read_text(), StoreError.__doc__ or ""
    assert len(reasons) > 10
    assert {reason for reason in reasons if f"`{reason}`" not in page or f"`{reason}`" not in docstring} == set()


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
