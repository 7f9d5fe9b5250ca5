"""`LiveEngine`: the current engine of a service, replaced while it serves.

Law: at every moment there is one engine, whole, of one generation. A change that cannot be read or does not compile leaves the
last good engine in place and is kept as `error`. Never a gap, never half of a change.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from fastiam.account.documents import Mode
from fastiam.account.snapshot import UnknownOwner
from fastiam.directory import Directory
from fastiam.engine import Engine
from fastiam.errors import FastiamError
from fastiam.profile import CACHE_BYTES, Settings
from fastiam.request import Context
from fastiam.saved import is_saved
from fastiam.sources import load
from fastiam.storage import is_sqlite

P = ParamSpec("P")
R = TypeVar("R")
Location = str | os.PathLike[str]

_LOOK = 1000  # milliseconds after which the files are looked at though nothing was heard of them
_POLL = 0.02  # seconds between two looks at a directory; one takes some 30 microseconds
_REST = 1.0  # seconds until the next look at a store that cannot be read

log = logging.getLogger("fastiam.live")


def _of_engine(method: Callable[Concatenate[Engine, P], R]) -> Callable[Concatenate[LiveEngine, P], R]:
    """The same method of whatever engine is current."""

    @wraps(method)
    def ask(live: LiveEngine, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(live.engine, *args, **kwargs)

    return ask


class LiveEngine:
    """Holds the current engine, replaces it atomically, keeps the last good one.

    It answers like an `Engine`. For several questions that must be answered by one generation, take `live.engine` once and ask
    that.

    Parameters
    ----------
    source : a `Directory` that goes on being written, by whatever process if it is kept in a store; a store by its path; files or
        folders as `fastiam.load` takes them; a saved engine; or a function that gives a `Directory`. It is read at once, and
        again with each `refresh`, of a store just what has changed. A saved engine is mapped again when it was replaced.
    mode : how files are read, as in `fastiam.load`.
    unknown_owner, context_defaults, settings : as in `Directory.compile`; a saved engine has its own.
    cache_bytes : as in `Directory.compile`; None: what it takes unless told otherwise, or what a saved engine has.

    Raises
    ------
    FastiamError: the source cannot be read now, so that there is no good engine to begin with; options for a saved engine.
    """

    def __init__(
        self,
        source: Directory | Location | Sequence[Location] | Callable[[], Directory],
        *,
        mode: Mode = "lenient",
        unknown_owner: UnknownOwner = "principal",
        context_defaults: Context = {},  # noqa: B006  (a mapping that is only read)
        settings: Settings = Settings(),  # noqa: B008  (frozen)
        cache_bytes: int | None = None,
    ) -> None:
        self._cache_bytes = cache_bytes
        self._saved = _saved(source)
        self._kept = None if self._saved else _kept(source, mode)
        self._is_owner = self._kept is not source
        self._paths, self._read = _reader(self._kept or source, mode)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None
        self._error: Exception | None = None
        self._generation = 0
        self._seen = _stamps(self._paths)
        if self._saved is None:
            directory = self._read()
            engine = directory.compile(
                unknown_owner=unknown_owner,
                context_defaults=context_defaults,
                settings=settings,
                cache_bytes=CACHE_BYTES if cache_bytes is None else cache_bytes,
            )
            self._use(directory, engine)
        else:
            if unknown_owner != "principal" or context_defaults or settings != Settings():
                raise FastiamError("a saved engine has the options that it was compiled with\nhelp: compile it with others")
            self._use(None, Engine.load(self._saved, cache_bytes=cache_bytes))

    def __repr__(self) -> str:
        return f"<LiveEngine: generation {self._generation}, {self._directory or self._saved!r}>"

    # -- what is current ----------------------------------------------------------------------------------------------

    @property
    def engine(self) -> Engine:
        """The current engine; it goes on answering when it no longer is."""
        return self._engine

    @property
    def directory(self) -> Directory | None:
        """The directory that was compiled last, with its findings; None where the source is a saved engine."""
        return self._directory

    @property
    def generation(self) -> int:
        """1 for the first engine, one more for each that took its place."""
        return self._generation

    @property
    def loaded_at(self) -> datetime:
        """When the current engine took its place."""
        return self._loaded_at

    @property
    def error(self) -> Exception | None:
        """Why the last refresh failed; None once one has succeeded."""
        return self._error

    is_allowed = _of_engine(Engine.is_allowed)
    decide = _of_engine(Engine.decide)
    are_allowed = _of_engine(Engine.are_allowed)
    decide_each = _of_engine(Engine.decide_each)
    decide_many = _of_engine(Engine.decide_many)
    explain = _of_engine(Engine.explain)
    who_can = _of_engine(Engine.who_can)
    what_can = _of_engine(Engine.what_can)
    replay = _of_engine(Engine.replay)
    stats = _of_engine(Engine.stats)

    # -- replacement --------------------------------------------------------------------------------------------------

    def refresh(self) -> int:
        """Read the source again, and use an engine over what it says now; the generation.

        Raises
        ------
        FastiamError: the source cannot be read, or does not compile. The engine stays as it is; `error` says why.
        """
        with self._lock:
            try:
                self._seen = _stamps(self._paths)
                directory, engine = self._renewed()
            except Exception as error:
                self._error = error
                raise
            self._use(directory, engine)
        return self._generation

    def _renewed(self) -> tuple[Directory | None, Engine]:
        if self._saved is not None:
            return None, Engine.load(self._saved, cache_bytes=self._cache_bytes)
        directory = self._read()
        return directory, self._engine.updated(directory)

    def _use(self, directory: Directory | None, engine: Engine) -> None:
        self._directory, self._engine, self._error = directory, engine, None
        # PERF: a bound method of the engine itself; through the class, a call would cost twice as much
        for name in ("is_allowed", "decide"):
            self.__dict__[name] = getattr(engine, name)
        self._loaded_at = datetime.now(UTC)
        self._generation += 1  # last: whoever reads it is answered by this generation from then on

    def watch(self, *, debounce: float = 0.2) -> Self:
        """Refresh whenever the source changes, until `close`; in a thread of its own.

        A directory, in a store or not, is looked at every 20 ms; files need the package `watchfiles`.

        Parameters
        ----------
        debounce : seconds of quiet to wait for, so that a file is read when it is written to the end.

        Raises
        ------
        FastiamError: the source is a function, or the package `watchfiles` is not installed.
        """
        if self._kept is not None:
            return self._watch(self._follow_directory, self._kept)
        if not self._paths:
            raise FastiamError("the source is a function, so there is nothing to watch\nhelp: call `refresh` after a change")
        try:
            import watchfiles
        except ModuleNotFoundError:
            raise FastiamError("watching files needs the package `watchfiles`\nhelp: pip install 'fastiam[live]'") from None
        return self._watch(self._follow_files, watchfiles, debounce)

    def _watch(self, follow: Callable[..., None], *arguments: object) -> Self:
        if self._watcher is None:
            self._stop.clear()
            self._watcher = threading.Thread(target=follow, args=arguments, name="fastiam-live", daemon=True)
            self._watcher.start()
        return self

    def _follow_directory(self, directory: Directory) -> None:
        pause = _POLL
        while not self._stop.wait(pause):
            try:
                directory.refresh()
                is_current = directory.snapshot() is self._engine.snapshot
            except Exception:
                is_current = False  # `refresh` meets it again, and tells it
            if not is_current:
                self._refresh_quietly()
            pause = _POLL if self._error is None else _REST

    def _follow_files(self, watchfiles: Any, debounce: float) -> None:
        quiet = max(1, round(debounce * 1000))
        events = {"debounce": max(quiet, 1600), "step": quiet, "rust_timeout": _LOOK, "yield_on_timeout": True}
        for _ in watchfiles.watch(*_folders(self._paths), stop_event=self._stop, raise_interrupt=False, **events):
            if _stamps(self._paths) != self._seen:  # what came before the watch began, or by no event, is seen too
                self._refresh_quietly()

    def _refresh_quietly(self) -> None:
        try:
            self.refresh()
        except Exception as error:  # whatever it is, the last good engine answers
            log.error("generation %d stays, the change cannot be used: %s", self._generation, error)
        else:
            log.info("generation %d: %r", self._generation, self._directory)

    def close(self) -> None:
        """Stop watching, and let go of a store that was given by its path. The engine goes on answering."""
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None
        if self._is_owner and self._kept is not None:
            self._kept.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _saved(source: object) -> Path | None:
    """The file of a saved engine, where the source is one."""
    if isinstance(source, (list, tuple)) and len(source) == 1:
        source = source[0]
    return Path(source).absolute() if isinstance(source, (str, os.PathLike)) and is_saved(source) else None


def _kept(source: object, mode: Mode) -> Directory | None:
    """The directory that is followed from change to change: the one given, or that of a store."""
    if isinstance(source, Directory):
        return source
    if isinstance(source, (list, tuple)) and len(source) == 1:
        source = source[0]
    if isinstance(source, (str, os.PathLike)) and is_sqlite(source):
        return Directory.open(source, mode=mode, read_only=True)
    return None


def _refreshed(directory: Directory) -> Directory:
    directory.refresh()
    return directory


def _reader(source: object, mode: Mode) -> tuple[tuple[Path, ...], Callable[[], Directory]]:
    """The files to watch, and what reads the source."""
    if isinstance(source, Directory):
        return (), lambda: _refreshed(source)
    if callable(source):
        return (), source
    given: Iterable[Location] = (source,) if isinstance(source, (str, os.PathLike)) else source  # type: ignore[assignment]
    paths = tuple(Path(path).absolute() for path in given)
    return paths, lambda: load(*paths, mode=mode)


def _folders(paths: Iterable[Path]) -> set[Path]:
    """What to watch: the folder of a file, since a file that is replaced as a whole is another file."""
    return {path if path.is_dir() else path.parent for path in paths}


def _stamps(paths: Iterable[Path]) -> dict[Path, tuple[int, int, int]]:
    """What tells that a file is another one than before."""
    found = {}
    for path in paths:
        for file in path.rglob("*") if path.is_dir() else (path,):
            try:
                stat = file.stat()
            except OSError:  # gone, or not there yet
                continue
            found[file] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    return found
