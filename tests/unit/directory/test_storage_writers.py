"""Several writers and readers of one store: transactions, threads, forks, killed processes."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from store_world import ALLOW, counter, names, run, tables_of, user

import fastiam
from fastiam import Directory, StoreError
from fastiam.storage import connection as connection_module
from fastiam.storage import sqlite_backend as backend_module

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


@pytest.fixture
def other(path: Path) -> Iterator[sqlite3.Connection]:
    """Another process in the middle of a write."""
    Directory.open(path).close()
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


def test_readers_do_not_wait_for_a_writer_that_waits(path: Path, other: sqlite3.Connection) -> None:
    with Directory.open(path, timeout=60) as directory:
        writer = threading.Thread(target=directory.add_principal, args=(user("ana"),))
        writer.start()
        for _ in range(20):
            assert directory.refresh() is False and tables_of(directory).entities == {}
            with directory.transaction_manager.lock:  # a reader of several tables
                assert writer.is_alive()
            time.sleep(0.005)
        other.execute("ROLLBACK")
        writer.join(60)
        assert user("ana") in tables_of(directory).entities
    assert names(path) == {"ana"}


def test_threads_that_wait_for_another_process_write_one_by_one(path: Path, other: sqlite3.Connection) -> None:
    with Directory.open(path, timeout=60) as directory:
        with directory.transaction_manager.lock:  # none can begin: each waits for the lock or for the file
            writers = [threading.Thread(target=directory.add_principal, args=(user(f"u{i}"),)) for i in range(8)]
            for writer in writers:
                writer.start()
        other.execute("ROLLBACK")
        for writer in writers:
            writer.join(60)
    assert names(path) == {f"u{i}" for i in range(8)} and counter(path, "commit") == 8


def test_transaction_that_does_not_wait_is_refused_at_once(path: Path, other: sqlite3.Connection) -> None:
    with Directory.open(path, timeout=1_000_000) as directory:
        with pytest.raises(StoreError) as caught, directory.transaction_manager.transaction([], waits=False):
            pytest.fail("it began")
        assert caught.value.reason == "busy"
        other.execute("ROLLBACK")
        directory.add_principal(user("ana"))
    assert names(path) == {"ana"}


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
        import os, random, select, signal, sys, time, fastiam
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
            if round % 4 == 0:  # on a machine with much to do, too, some writers come to write
                select.select([reading], [], [], 60)
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
    sources = [*(root / "src/fastiam/storage").glob("*.py"), root / "src/fastiam/cli/verbs/init.py"]
    code = "".join(source.read_text() for source in sources)
    reasons = (
        set(re.findall(r'\.error\(\s*"(\w+)"', code))
        | {reason for reason, *_ in connection_module._REASONS.values()}
        | {"exists"}
    )
    page, docstring = (root / "docs/store.md").read_text(), StoreError.__doc__ or ""
    assert len(reasons) > 10
    assert {reason for reason in reasons if f"`{reason}`" not in page or f"`{reason}`" not in docstring} == set()
