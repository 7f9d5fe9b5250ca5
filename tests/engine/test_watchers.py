"""Watchers of `LiveEngine` that fail or die, and what a health check reads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from forked import ASKED, Child, Gate, Source, until

from fastiam import Directory

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of processes with threads, from Python 3.12 on


@pytest.mark.slow
def test_failed_watcher_is_reported_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watchfiles = pytest.importorskip("watchfiles")
    works = watchfiles.watch
    source = Source("files", tmp_path)
    is_broken = threading.Event()
    is_broken.set()

    def watch(*paths: object, **options: object) -> Iterator[object]:
        if is_broken.is_set():
            raise OSError(24, "Too many open files")
        return iter(works(*paths, **options))

    monkeypatch.setattr(watchfiles, "watch", watch)
    with source.live().watch(debounce=0.05) as live:
        assert until(lambda: live.error is not None)
        assert not live.is_watching and "Too many open files" in str(live.error) and "Too many open files" in caplog.text
        source.revoke()  # seen without events too
        assert until(lambda: not live.is_allowed(*ASKED))
        assert caplog.text.count("not watched") == 1
        is_broken.clear()
        assert until(lambda: live.is_watching) and live.error is None


def test_dead_watcher_is_started_again_by_watch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = Source("store", tmp_path)
    live = source.live()
    monkeypatch.setattr(threading, "excepthook", lambda answers: None)

    def end() -> None:
        raise SystemExit("the thread ends")

    monkeypatch.setattr(live, "_check", end)
    live.watch()
    assert until(lambda: not live.is_watching) and "the thread ends" in str(live.error)
    monkeypatch.undo()
    live.watch()
    assert until(lambda: live.is_watching) and live.error is None
    source.revoke()
    assert until(lambda: not live.is_allowed(*ASKED))
    live.close()
    assert not live.is_watching and live.error is None


def test_age_grows_while_the_source_cannot_be_read(tmp_path: Path) -> None:
    source = Source("store", tmp_path)
    with source.live() as live:
        first = live.age
        time.sleep(0.05)
        assert live.age > first, "without a watcher"
        live.watch()
        assert until(lambda: live.age < 0.05)
        source.path.rename(tmp_path / "elsewhere")
        assert until(lambda: live.error is not None)
        oldest = live.age
        time.sleep(0.05)
        assert live.age > oldest
        (tmp_path / "elsewhere").rename(source.path)
        assert until(lambda: live.error is None and live.age < 0.05)


def test_source_that_failed_for_a_moment_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files have not changed since, so that no event comes."""
    pytest.importorskip("watchfiles")
    source = Source("files", tmp_path)
    live = source.live()
    reads, is_broken = live._read, threading.Event()
    is_broken.set()

    def read() -> Directory:
        if is_broken.is_set():
            raise OSError(24, "Too many open files")
        return reads()

    monkeypatch.setattr(live, "_read", read)
    with live.watch(debounce=0.05):
        source.revoke()
        assert until(lambda: live.error is not None)
        is_broken.clear()
        assert until(lambda: not live.is_allowed(*ASKED)) and live.error is None


def _waits_forever(*paths: object, **options: object) -> Iterator[object]:
    threading.Event().wait(60)
    yield from ()


def test_watcher_that_makes_no_check_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytest.importorskip("watchfiles"), "watch", _waits_forever)
    monkeypatch.setattr("fastiam.live._STALE", 0.05)
    live = Source("files", tmp_path).live().watch()
    assert until(lambda: not live.is_watching)
    assert "has not checked the source" in str(live.error) and "not watching" in repr(live)


@pytest.mark.parametrize("kind", ["files", "saved"])
def test_forked_child_follows_files_without_native_locks(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock inside of `watchfiles` that a thread of the parent owned at the fork is never released in the child."""
    source, gate = Source(kind, tmp_path), Gate()
    with source.live().watch(debounce=0.05) as live:
        monkeypatch.setattr(pytest.importorskip("watchfiles"), "watch", _waits_forever)

        def follow() -> object:
            before = live.is_allowed(*ASKED)
            gate.wait()
            return before, until(lambda: not live.is_allowed(*ASKED)), live.is_watching

        child = Child(follow)
        time.sleep(0.2)
        source.revoke()
        gate.open()
        assert child.result() == [True, True, True]
