"""Engines, directories, stores and STS across `os.fork`, `multiprocessing` and a pre-forking server (docs/concurrency.md)."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from forked import ALL, ASKED, SECONDS, USER, Child, Gate, Source, allowing, until
from seeds import few_or_all

import fastiam
from fastiam import Directory, LiveEngine
from fastiam.runtime import forking
from fastiam.runtime.gc_pause import collection_paused

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),  # of processes with threads, from Python 3.12 on
]


# -- a watched engine ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["store", "files", "saved"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    if request.param != "store":
        pytest.importorskip("watchfiles")
    return Source(request.param, tmp_path)


def test_forked_child_of_a_watched_engine_sees_a_revocation(source: Source) -> None:
    gate = Gate()
    with source.live().watch(debounce=0.05) as live:
        assert live.is_allowed(*ASKED)

        def follow() -> object:
            before = live.is_allowed(*ASKED)
            is_watching, error, age = live.is_watching, live.error, live.age
            gate.wait()
            return before, is_watching, error, age < 10, until(lambda: not live.is_allowed(*ASKED))

        child = Child(follow)
        time.sleep(0.1)
        source.revoke()
        gate.open()
        assert child.result() == [True, True, None, True, True]
        assert until(lambda: not live.is_allowed(*ASKED)) and live.is_watching


@pytest.mark.parametrize("call", ["is_allowed", "decide", "engine", "decide_many"])
def test_first_call_in_a_forked_child_reads_the_source(source: Source, call: str) -> None:
    """The child reads the source before it answers, however long it slept."""
    gate = Gate()
    ask: dict[str, Callable[[LiveEngine], bool]] = {
        "is_allowed": lambda live: live.is_allowed(*ASKED),
        "decide": lambda live: live.decide(*ASKED).allowed,
        "engine": lambda live: live.engine.is_allowed(*ASKED),
        "decide_many": lambda live: bool(live.decide_many([USER], *ASKED[1:]).allowed[0]),
    }
    with source.live().watch() as live:

        def first() -> object:
            gate.wait()
            return ask[call](live)

        child = Child(first)
        source.revoke()
        gate.open()
        assert child.result() is False


def test_grandchild_watches_too(source: Source) -> None:
    with source.live().watch() as live:
        child = Child(lambda: Child(lambda: [live.is_allowed(*ASKED), live.is_watching]).result())
        assert child.result() == [True, True]


def test_child_of_an_engine_without_a_watcher_starts_none(source: Source) -> None:
    live = source.live()
    assert Child(lambda: [live.is_allowed(*ASKED), live.is_watching, threading.active_count()]).result() == [True, False, 1]


def test_child_that_cannot_start_a_watcher_reports_it(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    with source.live().watch() as live:

        def without_threads() -> object:
            def start(self: threading.Thread) -> None:
                raise RuntimeError("can't start new thread")

            works, threading.Thread.start = threading.Thread.start, start  # type: ignore[method-assign]
            answers = [live.is_allowed(*ASKED), live.is_watching, str(live.error), "not watched" in caplog.text]
            with pytest.raises(fastiam.FastiamError, match="can't start new thread"):
                live.watch()
            threading.Thread.start = works  # type: ignore[method-assign]
            live.watch()
            return [*answers, until(lambda: live.is_watching and live.error is None)]

        allowed, is_watching, error, is_logged, is_watching_later = Child(without_threads).result()  # type: ignore[misc]
        assert allowed and not is_watching and is_logged and is_watching_later
        assert error.startswith("the source is not watched: can't start new thread")


def test_fork_during_a_refresh_leaves_refresh_usable() -> None:
    made, is_reading, may_end = [allowing()], threading.Event(), threading.Event()
    parent = os.getpid()

    def read() -> Directory:
        if len(made) > 1 and os.getpid() == parent:
            is_reading.set()
            may_end.wait(SECONDS)
        return made[-1]

    live = LiveEngine(read)
    made.append(Directory())
    thread = threading.Thread(target=live.refresh)
    thread.start()
    assert is_reading.wait(SECONDS)
    child = Child(lambda: [live.is_allowed(*ASKED), live.refresh(), live.is_allowed(*ASKED)])
    may_end.set()
    thread.join()
    assert child.result() == [True, 2, False]
    assert live.generation == 2


@contextmanager
def acquired_by_a_thread(lock: threading.RLock) -> Iterator[None]:
    """Another thread holds a lock, and lets it go a moment after a fork has begun to wait for it."""
    is_acquired = threading.Event()

    def hold() -> None:
        with lock:
            is_acquired.set()
            time.sleep(0.2)

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_acquired.wait(SECONDS)
    yield
    thread.join()


def test_fork_waits_for_locks_so_that_a_child_can_take_them() -> None:
    directory = allowing()
    engine = directory.compile()

    def use() -> object:
        directory.put_inline_policy(USER, "more", ALL)
        return engine.is_allowed("arn:aws:iam::111111111111:role/new", *ASKED[1:]), engine.updated(directory).is_allowed(*ASKED)

    for lock in (engine.resolver.compiler.lock, directory.transaction_manager.lock):
        with acquired_by_a_thread(lock):
            assert Child(use).result() == [False, True]


FORKING_THREADS = """
import os, sys, threading
from fastiam.runtime import forking

sys.setswitchinterval(1e-5)
kept = [forking.new_lock(i % 4) for i in range(200)]
is_done = threading.Event()

def make_locks():
    while not is_done.is_set():
        made = [forking.new_lock(i % 4) for i in range(50)]

def fork():
    for _ in range(int(sys.argv[1])):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

threads = [threading.Thread(target=fork) for _ in range(2)]
threading.Thread(target=make_locks, daemon=True).start()
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
is_done.set()
"""


def test_threads_that_fork_while_locks_are_made_do_not_deadlock() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "ignore", "-c", FORKING_THREADS, str(few_or_all(100, 300))]
    ended = subprocess.run(command, env=environment, stderr=subprocess.PIPE, timeout=4 * SECONDS, check=True)
    assert ended.stderr == b""


@pytest.mark.parametrize("order", [forking.STS, forking.DIRECTORY, forking.TABLES, forking.LEAF])
def test_lock_of_every_order_is_free_in_a_child(order: int) -> None:
    lock = forking.new_lock(order)
    with acquired_by_a_thread(lock):
        assert Child(lambda: lock.acquire(timeout=1)).result() is True
    with lock:  # acquired by the thread that forks, it stays so in the child
        assert Child(lambda: lock.release()).result() is None


class Slow:
    def __init__(self) -> None:
        self.is_computing, self.may_end = threading.Event(), threading.Event()

    @forking.cached_property
    def value(self) -> int:
        self.is_computing.set()
        self.may_end.wait(SECONDS)
        return 7


def test_cached_property_in_computation_is_free_in_a_child() -> None:
    slow, quick = Slow(), Slow()
    quick.may_end.set()
    thread = threading.Thread(target=lambda: slow.value)
    thread.start()
    assert slow.is_computing.wait(SECONDS)
    child = Child(lambda: quick.value)
    slow.may_end.set()
    thread.join()
    assert child.result() == 7 and slow.value == 7


def test_child_drops_plans_that_a_parent_thread_was_building() -> None:
    compiler = allowing().compile().resolver.compiler
    is_building, may_end = threading.Event(), threading.Event()

    def build() -> None:
        with compiler.building():
            is_building.set()
            may_end.wait(SECONDS)

    thread = threading.Thread(target=build)
    thread.start()
    assert is_building.wait(SECONDS)
    child = Child(lambda: compiler._n_building)
    may_end.set()
    thread.join()
    assert child.result() == 0 and compiler._n_building == 0


def test_child_collects_garbage_that_a_parent_thread_paused() -> None:
    is_paused, may_end = threading.Event(), threading.Event()

    def pause() -> None:
        with collection_paused():
            is_paused.set()
            may_end.wait(SECONDS)

    thread = threading.Thread(target=pause)
    thread.start()
    assert is_paused.wait(SECONDS) and not gc.isenabled()
    child = Child(gc.isenabled)
    may_end.set()
    thread.join()
    assert child.result() is True and gc.isenabled()


# -- stores and STS -----------------------------------------------------------------------------------------------------------


def test_directory_in_a_store_is_written_on_both_sides_of_a_fork(tmp_path: Path) -> None:
    with Directory.open(tmp_path / "iam.db") as directory:
        directory.add_principal(USER)

        def write() -> None:
            directory.put_inline_policy(USER, "child", ALL)

        child = Child(write)
        directory.put_inline_policy(USER, "parent", ALL)
        child.result()
        directory.refresh()
        names = {stored.name for stored in directory.tables.entities[USER].inline}
        assert names == {"parent", "child"}


def test_sts_serves_on_both_sides_of_a_fork(tmp_path: Path) -> None:
    sts_of = pytest.importorskip("fastiam.sts")
    role = "arn:aws:iam::111111111111:role/app"
    trust = {**ALL, "Statement": {"Effect": "Allow", "Principal": {"AWS": USER}, "Action": "sts:AssumeRole"}}
    with Directory.open(tmp_path / "iam.db") as directory:
        directory.add_principal(USER, identity_policies=[("own", ALL)])
        directory.add_principal(role, trust_policy=trust)
        sts = sts_of.STS(directory, sts_of.Keyring.generate())
        credentials = sts.assume_role(USER, role, "before").credentials
        with acquired_by_a_thread(sts._state._lock), acquired_by_a_thread(sts._tokens._lock):
            child = Child(lambda: [sts.get_caller_identity(credentials).arn, sts.assume_role(USER, role, "in-child").session.arn])
        assert [str(arn).rpartition("/")[2] for arn in child.result()] == ["before", "in-child"]  # type: ignore[attr-defined]
        directory.set_trust_policy(role, {**trust, "Statement": {**trust["Statement"], "Effect": "Deny"}})

        def refused() -> bool:
            try:
                sts.assume_role(USER, role, "late")
            except sts_of.AccessDeniedError:
                return True
            return False

        assert Child(refused).result() is True


# -- multiprocessing ----------------------------------------------------------------------------------------------------------


def ask_engine(engine: fastiam.Engine) -> bool:
    return engine.is_allowed(*ASKED)


def ask_directory(directory: Directory) -> bool:
    return directory.compile().is_allowed(*ASKED)


def ask_source(path: Path) -> list[object]:
    with LiveEngine(path).watch() as live:
        return [live.is_allowed(*ASKED), live.is_watching]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_worker_processes_take_engines_directories_and_paths(method: str, tmp_path: Path) -> None:
    source, directory = Source("store", tmp_path), allowing()
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(ask_engine, (directory.compile(),))
        assert pool.apply(ask_directory, (directory,))
        assert pool.apply(ask_source, (source.path,)) == [True, True]
        with LiveEngine(source.path) as live, pytest.raises(TypeError, match="make one in each process"):
            pool.apply(ask_engine, (live,))
        pool.close()
        pool.join()


# -- gunicorn -----------------------------------------------------------------------------------------------------------------

APP = """
import json, os, time
import fastiam

live = fastiam.LiveEngine(os.environ["SOURCE"]).watch(debounce=0.05)  # in the parent, which forks the workers

def app(environ, start_response):
    allowed = live.is_allowed({asked})
    time.sleep(0.05)  # so that requests of one moment come to both workers
    state = {{"is_watching": live.is_watching, "error": str(live.error)}}
    answers = {{"pid": os.getpid(), "allowed": allowed, **state}}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answers).encode()]
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.parametrize("source", ["store"], indirect=True)  # that a forked child follows the others is tested above
def test_workers_of_gunicorn_with_preload_see_a_revocation(source: Source, tmp_path: Path) -> None:
    pytest.importorskip("gunicorn")
    (tmp_path / "service.py").write_text(APP.format(asked=", ".join(map(repr, ASKED))))
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--bind", f"127.0.0.1:{port}", "service:app"]
    environment = os.environ | {
        "SOURCE": str(source.path),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
        "GUNICORN_CMD_ARGS": "--no-control-socket" if _has_control_socket() else "",
    }
    log = (tmp_path / "log").open("wb")
    server = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log)
    answers: dict[int, dict[str, object]] = {}

    def ask(_: object = None) -> None:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            found: dict[str, object] = json.load(answer)
            answers[int(str(found["pid"]))] = found

    def all_are(allowed: bool) -> bool:
        list(pool.map(ask, range(4)))
        return [found["allowed"] for found in answers.values()] == [allowed, allowed]

    pool = ThreadPoolExecutor(4)
    try:
        assert until(lambda: all_are(True)), (tmp_path / "log").read_text()
        assert all(found["is_watching"] and found["error"] == "None" for found in answers.values())
        assert server.pid not in answers
        source.revoke()
        assert until(lambda: all_are(False)), answers
    finally:
        pool.shutdown()
        server.terminate()
        server.wait(SECONDS)
        log.close()


def _has_control_socket() -> bool:
    from gunicorn.config import KNOWN_SETTINGS

    return any("--no-control-socket" in (setting.cli or ()) for setting in KNOWN_SETTINGS)
