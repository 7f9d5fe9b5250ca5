"""`SharedEngine`: one engine for all processes of a job.

It pickles as a path or as the bytes of an engine file, with the SHA-256 of the file. A process that receives it maps the file
once, however many tasks it runs, and shares the memory with the other processes of the machine. Invariant: the engine of a
received `SharedEngine` was made from a file with the digest of its pickle.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from fastiam import __version__
from fastiam.api.engine import Engine
from fastiam.engine.engine_file.engines import engine_bytes, engine_over
from fastiam.engine.engine_file.file import SavedFile
from fastiam.engine.resolving import checked_bytes
from fastiam.errors import RequestValueError, SourceError
from fastiam.kernel.saved.file import layout
from fastiam.model.arguments import as_path, check_type
from fastiam.runtime import forking
from fastiam.runtime.private_files import IS_SUPPORTED, private_file

RECEIVED_CACHE_BYTES = 128 << 20  # several workers of one machine have a cache each
_KEPT = 4  # engines that a process keeps for its next tasks

log = logging.getLogger("fastiam.shared_engine")


@dataclass(frozen=True, eq=False)
class _Loaded:
    """An engine and the content of its file. `stamp` says whether the file at a path was replaced."""

    engine: Engine
    digest: str
    content: memoryview | bytes
    stamp: tuple[int, int, int] | None = None


class _Process:
    """What this process has loaded, by digest and bound of the cache."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.loaded: WeakValueDictionary[tuple[str, int], _Loaded] = WeakValueDictionary()
        self._recent: deque[_Loaded] = deque(maxlen=_KEPT)  # between two tasks nothing else refers to an engine
        self._bytes: WeakKeyDictionary[Engine, tuple[str, bytes]] = WeakKeyDictionary()
        forking.on_fork(self)

    def _forked(self) -> None:
        self.lock = threading.RLock()

    def bytes_of(self, engine: Engine) -> tuple[str, bytes]:
        """The digest and the bytes of an engine, the same each time: new names of requests would change what `save` writes."""
        with self.lock:
            found = self._bytes.get(engine)
            if found is None:
                data = engine_bytes(engine)
                found = self._bytes[engine] = hashlib.sha256(data).hexdigest(), data
            return found

    def found(self, digest: str, cache_bytes: int, load: Callable[[], _Loaded]) -> _Loaded:
        """What is loaded already, or is loaded now; it stays for the next tasks."""
        with self.lock:
            loaded = self.loaded.get((digest, cache_bytes))
            if loaded is None:
                loaded = self.loaded[digest, cache_bytes] = load()
            if loaded in self._recent:
                self._recent.remove(loaded)
            self._recent.append(loaded)
            return loaded


_process = _Process()


class SharedEngine:
    """One engine for all processes of a job: Spark, Dask, Ray, `multiprocessing`.

    Parameters
    ----------
    source
        the path of an engine file that every process can read, or an `Engine` (of a `LiveEngine` its current one). An engine
        pickles with its bytes, which a receiver writes once to a private file of the temporary directory.
    refresh
        seconds after which the file at the path is checked again. A file that was replaced is loaded; one that cannot be read
        leaves the engine as it is, and `error` says why. A pickle has the engine of the moment and no `refresh`, so that all
        tasks of a job decide by one engine.
    cache_bytes
        bound on the run-time cache in each process that loads the file, as in `Directory.compile`; None: 128 MiB.

    Raises
    ------
    RequestValueError
        `refresh` or `cache_bytes` is not a number, or `refresh` is given without a path.
    SourceError
        the file is not a saved engine of this release.
    """

    def __init__(
        self, source: str | os.PathLike[str] | Engine | Any, *, refresh: float | None = None, cache_bytes: int | None = None
    ) -> None:
        if refresh is not None and (isinstance(refresh, bool) or not isinstance(refresh, (int, float)) or not refresh >= 0):
            raise RequestValueError(f"`{refresh}` is not a time", column="refresh", hint="pass seconds, 0 or more")
        bound = checked_bytes(RECEIVED_CACHE_BYTES if cache_bytes is None else cache_bytes)
        if isinstance(source, (str, os.PathLike)):
            path: str | None = os.path.abspath(as_path(source, "source"))
            loaded = _of_path(str(path), bound)
        else:
            path, engine = None, getattr(source, "engine", source)
            check_type(engine, Engine, "source", "an `Engine`, a `LiveEngine` or the path of an engine file")
            if refresh is not None:
                hint = "save the engine, and pass the path of the file"
                raise RequestValueError("an engine in memory cannot be read again", column="refresh", hint=hint)
            digest, data = _process.bytes_of(engine)
            loaded = _Loaded(engine, digest, data)
        self._begin(loaded.digest, path, None, bound, loaded, refresh)

    def _begin(
        self,
        digest: str,
        path: str | None,
        data: bytes | None,
        bound: int,
        loaded: _Loaded | None,
        refresh: float | None = None,
    ) -> None:
        self._digest, self._path, self._data, self._cache_bytes, self._loaded = digest, path, data, bound, loaded
        self._refresh = refresh
        self._next = math.inf if refresh is None else time.monotonic() + refresh  # when to read the file again
        self._error: Exception | None = None
        if loaded is not None:
            with _process.lock:
                _process.loaded.setdefault((digest, bound), loaded)

    def __repr__(self) -> str:
        return f"<SharedEngine: {self.digest[:12]}, {self._path or 'in memory'}>"

    def __reduce__(self) -> tuple[Any, ...]:
        data, loaded = self._data, self._loaded  # in this order: what is loaded is stored before `_data` is removed
        digest = self._digest if loaded is None else loaded.digest
        if self._path is not None and self._refresh is None:
            data = None
        elif loaded is not None:  # a path whose file is replaced from time to time may have another one soon
            data = bytes(loaded.content)
        return _received, (__version__, layout(), digest, self._path if data is None else None, data, self._cache_bytes)

    @property
    def engine(self) -> Engine:
        """The engine of this process, loaded at the first use.

        Raises
        ------
        SourceError
            it cannot be loaded here; the file at the path is not the one that was pickled.
        """
        if self._refresh is not None and time.monotonic() >= self._next:  # PERF: no clock without `refresh`
            self._read_again()
        return self._here().engine

    @property
    def digest(self) -> str:
        """The SHA-256 of the engine file, in hexadecimal."""
        loaded = self._loaded
        return self._digest if loaded is None else loaded.digest

    @property
    def path(self) -> str | None:
        """The absolute path of the engine file; None if pickles have its content."""
        return self._path

    @property
    def error(self) -> Exception | None:
        """Why the file could not be read again; None if it could."""
        return self._error

    @property
    def content(self) -> memoryview:
        """The bytes of the engine file."""
        return memoryview(self._here().content)

    decide_frame = Engine.decide_frame  # a bound method pickles as the object does: a function for `map_partitions`
    decide_frame_with_summary = Engine.decide_frame_with_summary

    def with_path(self, path: str | None) -> SharedEngine:
        """The engine of the moment, which pickles as this path of the engine file, or with None as the bytes of the file."""
        loaded = self._here() if path is None else self._loaded
        return _made(self.digest if loaded is None else loaded.digest, path, None, self._cache_bytes, loaded)

    def _here(self) -> _Loaded:
        loaded = self._loaded
        if loaded is None:
            loaded = self._loaded = _process.found(self._digest, self._cache_bytes, self._load)
            self._data = None
        return loaded

    def _load(self) -> _Loaded:
        if self._path is not None:
            return _of_path(self._path, self._cache_bytes, self._digest)
        assert self._data is not None  # INVARIANT: without a path there are bytes until they are loaded
        return _of_bytes(self._data, self._digest, self._cache_bytes)

    def _read_again(self) -> None:
        """Load the file at the path again if it was replaced. Other threads go on with the engine that they have."""
        if not _process.lock.acquire(blocking=False):
            return
        try:
            assert self._path is not None and self._loaded is not None  # INVARIANT: `refresh` is of a path that was loaded
            if _stamp(os.stat(self._path)) != self._loaded.stamp:
                self._loaded = _of_path(self._path, self._cache_bytes, present=self._loaded)
            self._error = None
        except Exception as error:
            if str(error) != str(self._error):
                log.error("the engine %s stays: %s", self.digest[:12], error)
            self._error = error
        finally:
            self._next = time.monotonic() + (self._refresh or 0)
            _process.lock.release()


def _made(digest: str, path: str | None, data: bytes | None, cache_bytes: int, loaded: _Loaded | None) -> SharedEngine:
    shared = SharedEngine.__new__(SharedEngine)
    shared._begin(digest, path, data, cache_bytes, loaded)
    return shared


def _received(release: str, kind: str, digest: str, path: str | None, data: bytes | None, cache_bytes: int) -> SharedEngine:
    """Unpickle. Two releases may decide one request differently, so another one is refused before anything is loaded (H28)."""
    if release != __version__:
        message = f"the engine was sent by fastiam {release}, and this process has {__version__}"
        raise SourceError(message, source="SharedEngine", path="", hint="install one release in all processes")
    if kind != layout():
        message = f"the engine was sent by another kind of machine or another build, `{kind}`, and this is `{layout()}`"
        raise SourceError(message, source="SharedEngine", path="", hint="compile the directory on this kind of machine")
    return _made(digest, path, data, cache_bytes, None)


def _of_path(path: str, cache_bytes: int, digest: str | None = None, present: _Loaded | None = None) -> _Loaded:
    """Load the file at a path; with `digest` that very file. The engine of `present` is kept if it has the same content."""
    with SavedFile.open(path) as file:
        found, stamp = hashlib.sha256(file.data).hexdigest(), _stamp(os.fstat(file.descriptor))
        if digest is not None and found != digest:
            hint = "write a new engine to a new path, or pass the `Engine`, whose bytes are sent"
            message = f"is not the engine that was sent: its digest is `{found}`, not `{digest}`"
            raise SourceError(message, source=path, path="", hint=hint)
        if present is not None and found == present.digest:
            return _Loaded(present.engine, found, present.content, stamp)
        return _Loaded(engine_over(Engine, file, {"cache_bytes": cache_bytes}), found, file.data, stamp)


def _of_bytes(data: bytes, digest: str, cache_bytes: int) -> _Loaded:
    """Load the bytes of an engine file, by a private file where the system has them."""
    options = {"cache_bytes": cache_bytes}
    if hashlib.sha256(data).hexdigest() != digest:
        hint = "send it again"
        raise SourceError("is damaged: its digest is not the one that was sent", source="SharedEngine", path="", hint=hint)
    if not IS_SUPPORTED:
        file = SavedFile(memoryview(data), "a pickled engine")
        return _Loaded(engine_over(Engine, file, options), digest, data)
    with private_file(digest, lambda: data) as (descriptor, path):
        file = SavedFile.mapped(descriptor, path)
        return _Loaded(engine_over(Engine, file, options), digest, file.data)  # the mapping keeps the lock


def _stamp(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_mtime_ns, found.st_size, found.st_ino
