"""`SharedEngine`: one engine for all processes of a job. Numbers H... are those of docs/frames-spec.md."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import re
import stat
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from forked import Child, Gate
from frame_world import engine, expected, requests

import fastiam
import fastiam.polars
from fastiam import RequestValueError, SharedEngine, SourceError, shared_engine
from fastiam.kernel.saved.file import layout

ASKED = engine()
ROWS = requests(60)
ANSWERS = expected(ASKED, ROWS)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary directory of the test, and a process that has loaded nothing."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    _clear(monkeypatch)
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    saved = tmp_path / "policies.engine"
    ASKED.save(saved)
    return saved


def _clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_engine, "_process", shared_engine._Process())


def _sent(shared: SharedEngine, monkeypatch: pytest.MonkeyPatch) -> SharedEngine:
    """What another process receives."""
    data = pickle.dumps(shared)
    _clear(monkeypatch)
    received: SharedEngine = pickle.loads(data)
    return received


def _allowed(shared: SharedEngine) -> Any:
    return pa.table(shared.decide_frame(ROWS, add=("allowed",), keep=False))["allowed"].to_pylist()


def _files(temporary: Path) -> list[Path]:
    return sorted(temporary.rglob("*.*"))


def _private(temporary: Path, digest: str) -> Path:
    return temporary / f"fastiam-{os.geteuid()}" / f"fastiam-{digest}.engine"


def _other() -> fastiam.Engine:
    return fastiam.Directory().compile()


# -- what is sent and received ----------------------------------------------------------------------------------------------


def test_engine_is_sent_with_its_bytes_and_decides_equally(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    received = _sent(SharedEngine(ASKED), monkeypatch)
    assert _allowed(received) == ANSWERS["allowed"]
    assert received.engine is not ASKED
    assert _files(temporary) == [_private(temporary, received.digest)]


def test_engine_is_sent_as_one_file_whatever_it_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = engine()
    digest = SharedEngine(asked).digest
    asked.decide_many(["arn:aws:iam::222222222222:role/new"], ["ec2:RunInstances"], ["*"], {"aws:RequestTag/new": ["x"]})
    assert SharedEngine(asked).digest == digest
    assert _allowed(_sent(SharedEngine(asked), monkeypatch)) == ANSWERS["allowed"]


def test_bytes_of_an_engine_are_kept_as_long_as_it_lives() -> None:
    SharedEngine(engine())
    gc.collect()
    assert len(shared_engine._process._bytes) == 0


def test_path_is_sent_without_bytes_and_decides_equally(path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = SharedEngine(path)
    assert len(pickle.dumps(shared)) < 1000 + len(str(path))
    assert _allowed(_sent(shared, monkeypatch)) == ANSWERS["allowed"]
    assert _files(temporary) == []


def test_tasks_of_one_process_share_one_engine(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pickle.dumps(SharedEngine(path)), pickle.dumps(SharedEngine(ASKED))
    _clear(monkeypatch)
    by_path, by_bytes = (pickle.loads(each).engine for each in data)
    assert by_path is by_bytes, "both have one digest"
    assert pickle.loads(data[0]).engine is by_path


def test_process_keeps_the_engines_of_the_last_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    data = []
    for number in range(6):
        directory = fastiam.Directory()
        directory.add_principal(f"arn:aws:iam::111111111111:user/u{number}")
        data.append(pickle.dumps(SharedEngine(directory.compile())))
    _clear(monkeypatch)
    for each in data:
        pickle.loads(each).engine  # noqa: B018
    assert len(shared_engine._process.loaded) == 4


def test_received_engine_is_sent_on_before_and_after_its_use(monkeypatch: pytest.MonkeyPatch) -> None:
    received = _sent(SharedEngine(ASKED), monkeypatch)
    before = pickle.dumps(received)
    assert _allowed(received) == ANSWERS["allowed"]
    assert pickle.dumps(received) == before
    assert _allowed(_sent(received, monkeypatch)) == ANSWERS["allowed"]


def test_replaced_file_is_never_taken_for_the_one_sent(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    received = _sent(SharedEngine(path), monkeypatch)
    _other().save(path)
    with pytest.raises(SourceError, match="is not the engine that was sent"):
        received.engine  # noqa: B018


def test_sender_keeps_its_engine_when_the_file_is_replaced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = SharedEngine(path)
    digest = shared.digest
    _other().save(path)
    assert _allowed(shared) == ANSWERS["allowed"] and shared.digest == digest
    assert _allowed(_sent(shared.with_path(None), monkeypatch)) == ANSWERS["allowed"]


def test_bytes_with_another_digest_are_refused(temporary: Path) -> None:
    rebuild, (release, kind, digest, path, data, bound) = SharedEngine(ASKED).__reduce__()
    forged = SharedEngine(_other()).__reduce__()[1][4]
    shared_engine._process.loaded.clear()
    for wrong in (forged, data[:-1], data[:-1] + b"\1", b""):
        with pytest.raises(SourceError, match="its digest is not the one that was sent"):
            rebuild(release, kind, digest, path, wrong, bound).engine  # noqa: B018
    assert _files(temporary) == []


def test_live_engine_is_shared_with_its_current_engine() -> None:
    directory = fastiam.Directory()
    live = fastiam.LiveEngine(directory)
    shared = SharedEngine(live)
    before = live.engine
    directory.add_principal("arn:aws:iam::111111111111:user/ana")
    live.refresh()
    assert shared.engine is before is not live.engine


@pytest.mark.parametrize(
    ("source", "options", "error", "message"),
    [
        (5, {}, RequestValueError, "`source` must be an `Engine`"),
        ("missing.engine", {}, SourceError, "cannot be read: no such file"),
        (ASKED, {"refresh": 1}, RequestValueError, "an engine in memory cannot be read again"),
        ("x.engine", {"refresh": -1}, RequestValueError, "`-1` is not a time"),
        ("x.engine", {"refresh": float("nan")}, RequestValueError, "`nan` is not a time"),
        (ASKED, {"cache_bytes": -1}, RequestValueError, "`-1` is not a number of bytes"),
    ],
)
def test_wrong_argument_is_refused_with_its_name(source: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SharedEngine(source, **options)


def test_lazy_frame_pickles_small_with_a_shared_engine(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """H23: a function of Polars that holds a `SharedEngine` pickles as its path."""
    query = pl.LazyFrame({**ROWS, "principal": ROWS["principal"]}).iam.authorized(SharedEngine(path)).select("id")
    data = pickle.dumps(query)
    assert len(data) < path.stat().st_size // 2
    _clear(monkeypatch)
    assert pickle.loads(data).collect()["id"].to_list() == [row for row, allowed in enumerate(ANSWERS["allowed"]) if allowed]


# -- the private file -------------------------------------------------------------------------------------------------------


def test_h27_two_workers_of_a_machine_write_one_whole_file(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, gate = pickle.dumps(SharedEngine(ASKED)), Gate()
    _clear(monkeypatch)

    def work() -> object:
        gate.wait()
        return _allowed(pickle.loads(data))

    children = [Child(work) for _ in range(2)]
    gate.open()
    gate.open()
    assert [child.result() for child in children] == [ANSWERS["allowed"]] * 2
    (file,) = _files(temporary)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def _short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def _foreign(file: Path) -> None:
    _other().save(file)


def _readable(file: Path) -> None:
    file.chmod(0o644)


def _link(file: Path) -> None:
    target = file.parent.parent / "target"
    file.rename(target)
    file.symlink_to(target)


def _second_name(file: Path) -> None:
    os.link(file, file.parent.parent / "second")


def _fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("change", [_short, _foreign, _readable, _link, _second_name, _fifo])
def test_h27_file_that_is_not_what_it_should_be_is_replaced(
    change: Callable[[Path], None], temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = SharedEngine(ASKED)
    content = bytes(shared.content)
    _sent(shared, monkeypatch).engine  # noqa: B018
    file = _private(temporary, shared.digest)
    before = file.stat().st_ino
    change(file)
    assert _allowed(_sent(shared, monkeypatch)) == ANSWERS["allowed"]
    found = file.lstat()
    assert stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o600 and found.st_ino != before
    assert file.read_bytes() == content


def test_h27_file_with_the_right_digest_is_not_written_again(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = SharedEngine(ASKED)
    _sent(shared, monkeypatch).engine  # noqa: B018
    before = _private(temporary, shared.digest).stat()
    _sent(shared, monkeypatch).engine  # noqa: B018
    after = _private(temporary, shared.digest).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_h27_file_or_folder_of_another_user_is_refused(what: str, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = SharedEngine(ASKED)
    _sent(shared, monkeypatch).engine  # noqa: B018
    file = _private(temporary, shared.digest)
    os.chown(file if what == "file" else file.parent, 12345, -1)
    with pytest.raises(SourceError, match="belongs to another user"):
        _sent(shared, monkeypatch).engine  # noqa: B018


def test_h67_folder_that_others_can_enter_is_refused(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (temporary / f"fastiam-{os.geteuid()}").mkdir(mode=0o755)
    with pytest.raises(SourceError, match="is open to other users"):
        _sent(SharedEngine(ASKED), monkeypatch).engine  # noqa: B018


def test_h67_link_in_place_of_the_folder_is_not_followed(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (temporary / f"fastiam-{os.geteuid()}").symlink_to(elsewhere)
    with pytest.raises(SourceError, match="cannot be used"):
        _sent(SharedEngine(ASKED), monkeypatch).engine  # noqa: B018
    assert list(elsewhere.iterdir()) == []


def test_h67_writer_removes_files_that_no_process_uses(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = SharedEngine(ASKED), SharedEngine(_other()), SharedEngine(engine().updated(fastiam.Directory()))
    used = _sent(first, monkeypatch)
    assert _allowed(used) == ANSWERS["allowed"]
    _sent(second, monkeypatch).engine  # noqa: B018
    shared_engine._process._recent.clear()
    gc.collect()  # an engine refers to itself
    foreign = _private(temporary, first.digest).parent / "notes.txt"
    foreign.write_text("not ours")
    _sent(third, monkeypatch).engine  # noqa: B018
    assert sorted(file.name for file in _files(temporary)) == sorted(
        [f"fastiam-{first.digest}.engine", f"fastiam-{third.digest}.engine", "notes.txt"]
    )
    assert _allowed(used) == ANSWERS["allowed"]


# -- other releases and machines --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_path", [False, True])
def test_h28_pickle_of_another_release_is_refused(by_path: bool, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pickle.dumps(SharedEngine(path if by_path else ASKED))
    _clear(monkeypatch)
    monkeypatch.setattr(shared_engine, "__version__", "99.1.0")
    with pytest.raises(SourceError) as caught:
        pickle.loads(data)
    assert f"fastiam {fastiam.__version__}" in str(caught.value) and "99.1.0" in str(caught.value)


def test_h28_pickle_of_another_kind_of_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pickle.dumps(SharedEngine(ASKED))
    _clear(monkeypatch)
    monkeypatch.setattr(shared_engine, "layout", lambda: "big 64 00000000")
    with pytest.raises(SourceError) as caught:
        pickle.loads(data)
    assert layout() in str(caught.value) and "big 64 00000000" in str(caught.value)


def test_h28_kind_of_machine_names_no_processor_or_system() -> None:
    """A driver on macOS with an ARM processor and workers on Linux with x86-64 have one kind, and map one file."""
    assert re.fullmatch(r"(little|big) (32|64) [0-9a-f]{8}", layout())


# -- refresh ----------------------------------------------------------------------------------------------------------------


def test_h29_refresh_loads_the_file_that_replaced_another(path: Path) -> None:
    shared, pinned = SharedEngine(path, refresh=0), SharedEngine(path)
    rarely = SharedEngine(path, refresh=3600)
    _other().save(path)
    assert not any(_allowed(shared))
    assert _allowed(pinned) == _allowed(rarely) == ANSWERS["allowed"]
    assert shared.digest == SharedEngine(path).digest != pinned.digest


def test_h29_broken_file_leaves_the_engine_and_is_the_error(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shared = SharedEngine(path, refresh=0)
    good = path.read_bytes()
    broken = path.with_suffix(".new")
    broken.write_bytes(good[:-5])
    broken.rename(path)
    assert [_allowed(shared) for _ in range(3)] == [ANSWERS["allowed"]] * 3
    assert "truncated" in str(shared.error) and len(caplog.records) == 1
    path.unlink()
    assert _allowed(shared) == ANSWERS["allowed"] and "No such file" in str(shared.error)
    _other().save(path)
    assert not any(_allowed(shared)) and shared.error is None


def test_h29_rewritten_file_of_one_digest_keeps_the_engine(path: Path) -> None:
    shared = SharedEngine(path, refresh=0)
    before = shared.engine
    os.utime(path, ns=(1, 1))
    assert shared.engine is before and shared.error is None


def test_h29_pickle_has_the_engine_of_the_moment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pickle.dumps(SharedEngine(path, refresh=0))
    _other().save(path)
    _clear(monkeypatch)
    received = pickle.loads(data)
    assert _allowed(received) == ANSWERS["allowed"]
    _other().save(path)
    assert _allowed(received) == ANSWERS["allowed"]


# -- processes --------------------------------------------------------------------------------------------------------------


def test_h30_forked_child_takes_new_locks_and_loads(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mapped, unused = SharedEngine(path), pickle.dumps(SharedEngine(_other()))
    _clear(monkeypatch)
    locked, free = threading.Event(), threading.Event()

    def hold() -> None:
        with shared_engine._process.lock:
            locked.set()
            free.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    locked.wait()
    child = Child(lambda: [_allowed(mapped), _allowed(pickle.loads(unused))])
    try:
        assert child.result() == [ANSWERS["allowed"], [False] * 60]
    finally:
        free.set()
        thread.join()


def test_h30_threads_that_start_together_load_one_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    received = _sent(SharedEngine(ASKED), monkeypatch)
    found: list[fastiam.Engine] = []
    threads = [threading.Thread(target=lambda: found.append(received.engine)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(map(id, found))) == 1


def test_spawned_processes_decide_as_the_sender(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(temporary))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        shared = SharedEngine(ASKED)
        tables = pool.map(shared.decide_frame, [pa.table(ROWS), pa.table(requests(7))], chunksize=1)
    assert tables[0]["allowed"].to_pylist() == ANSWERS["allowed"]
    assert tables[1]["sid"].to_pylist() == expected(ASKED, requests(7))["sid"]
    assert _files(temporary) == [_private(temporary, shared.digest)]


@pytest.mark.parametrize(("given", "bound"), [(None, 128 << 20), (1 << 20, 1 << 20)])
def test_h66_cache_of_a_worker_has_a_bound(given: int | None, bound: int, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for source in (path, ASKED):
        received = _sent(SharedEngine(source, cache_bytes=given), monkeypatch)
        assert received.engine.stats()["cache_limit"] == bound
