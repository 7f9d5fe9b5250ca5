"""`LiveEngine`: the current engine of a service, replaced while it serves.

Invariant: at every moment there is one complete engine of one generation. A change that cannot be read or compiled leaves the
last good engine in place and is stored as `error`. There is never a gap, and never half of a change.

A forked child has no watcher, since a fork copies one thread. So the first use of a watched `LiveEngine` in a child reads the
source and starts a watcher there.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, NoReturn, ParamSpec, Self, TypeVar

from fastiam.api.engine import Engine
from fastiam.errors import FastiamError, missing_package
from fastiam.live.source import Location, folders_of, followed_directory, reader_of, saved_engine, stamps_of
from fastiam.model.arguments import as_path
from fastiam.model.profile import CACHE_BYTES, Settings
from fastiam.model.request import Context
from fastiam.resolve.snapshot import UnknownOwner
from fastiam.runtime import forking

if TYPE_CHECKING:  # PERF: a program that answers by a saved engine reads no policies
    from fastiam.api.directory import Directory
    from fastiam.directory.stored_policies import Mode

P = ParamSpec("P")
R = TypeVar("R")

_CHECK_EVERY = 1000  # milliseconds after which the files are checked even without a notification
_POLL = 0.02  # seconds between two checks of a directory; one takes some 30 microseconds
_SHARE = 10  # a source that cannot be read is read again after this many times the time that it took
_REST = 1.0  # seconds until the next try, after a source could not be read or watched
_STALE = 5.0  # seconds without a check after which a watcher counts as stopped; it checks at least every two seconds

_BOUND = ("is_allowed", "decide")

log = logging.getLogger("fastiam.live")


def _of_engine(method: Callable[Concatenate[Engine, P], R]) -> Callable[Concatenate[LiveEngine, P], R]:
    """Return the method for the current engine."""

    @wraps(method)
    def ask(live: LiveEngine, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(live.engine, *args, **kwargs)

    return ask


@dataclass(frozen=True, slots=True)
class Generation:
    """One state of a `LiveEngine`. Its parts always belong together, since one assignment replaces them all."""

    generation: int
    """1 for the first engine, one more for each that took its place."""
    engine: Engine
    """The engine of this generation; it goes on answering when it is no longer the current one."""
    directory: Directory | None
    """The directory that it was compiled from; None where the source is a saved engine."""
    loaded_at: datetime
    """When it took its place."""


class LiveEngine:
    """Holds the current engine, replaces it atomically, keeps the last good one.

    It answers like an `Engine`. For several questions that must be answered by one generation, take `live.engine` once and ask
    that.

    Parameters
    ----------
    source
        a `Directory` that goes on being written, by whatever process if it is kept in a store; a store by its path; files or
        folders as `fastiam.load` takes them; a saved engine; or a function that gives a `Directory`. It is read at once, and
        again with each `refresh`, of a store just what has changed. A saved engine is mapped again when it was replaced.
    mode, resource_of, skip_unknown
        how files are read, as in `fastiam.load`.
    unknown_owner, context_defaults, settings
        as in `Directory.compile`; a saved engine has its own.
    cache_bytes
        as in `Directory.compile`; None: its default, or the value of a saved engine.

    Raises
    ------
    FastiamError
        the source cannot be read now, so that there is no good engine to begin with; options for a saved engine.
    """

    _current: Generation

    def __init__(
        self,
        source: Directory | Location | Sequence[Location] | Callable[[], Directory],
        *,
        mode: Mode = "lenient",
        resource_of: Mapping[Location, str] = {},
        skip_unknown: bool = False,
        unknown_owner: UnknownOwner = "principal",
        context_defaults: Context = {},  # noqa: B006  (a mapping that is only read)
        settings: Settings = Settings(),  # noqa: B008  (frozen)
        cache_bytes: int | None = None,
    ) -> None:
        self._cache_bytes = cache_bytes
        self._saved = saved_engine(source)
        self._kept = None if self._saved else followed_directory(source, mode)
        self._is_owner = self._kept is not source
        absolute = {as_path(path, "resource_of").absolute(): arn for path, arn in resource_of.items()}
        reading = {"mode": mode, "resource_of": absolute, "skip_unknown": skip_unknown}
        self._paths, self._read = reader_of(self._saved or self._kept or source, reading)
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._follow: Callable[[threading.Event], None] | None = None  # run by a watcher; None: not wanted
        self._follow_in_child: Callable[[threading.Event], None] | None = None  # the same in a forked child, if it differs
        self._watcher: threading.Thread | None = None
        self._must_resume = False  # in a forked child whose parent was watching, until it does so itself
        self._error: Exception | None = None
        self._lost: Exception | None = None
        self._retry_at, self._logged = 0.0, ""
        self._beat = 0.0  # when the watcher ended its last check; infinite during a check
        began = time.monotonic()
        self._seen = stamps_of(self._paths)
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
        self._checked = began
        forking.on_fork(self)

    def __repr__(self) -> str:
        if not hasattr(self, "_current"):  # a traceback shows an object whose construction failed
            return "<LiveEngine>"
        watches, error = self._watches(), self._error or self._failure()
        state = f"generation {self._current.generation}, {'watching' if watches else 'not watching'}"
        state += f", {type(error).__name__}" if error is not None else ""
        return f"<LiveEngine: {state}, {self._current.directory or self._saved!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a LiveEngine does not pickle; make one in each process")

    # -- what is current ----------------------------------------------------------------------------------------------

    @property
    def current(self) -> Generation:
        """The current generation: number, engine and directory, read together."""
        self._resume()
        return self._current

    @property
    def engine(self) -> Engine:
        """The current engine; it goes on answering when it no longer is."""
        self._resume()
        return self._current.engine

    @property
    def directory(self) -> Directory | None:
        """The directory that was compiled last, with its findings; None where the source is a saved engine."""
        self._resume()
        return self._current.directory

    @property
    def generation(self) -> int:
        """1 for the first engine, one more for each that took its place."""
        self._resume()
        return self._current.generation

    @property
    def loaded_at(self) -> datetime:
        """When the current engine took its place."""
        self._resume()
        return self._current.loaded_at

    @property
    def age(self) -> float:
        """Seconds since the source was last known to contain what the current engine was made from.

        It stays below a few seconds while the source is watched and can be read.
        """
        self._resume()
        return time.monotonic() - self._checked

    @property
    def is_watching(self) -> bool:
        """Whether a watcher of this process follows the source now: it runs, and has checked the source in the last 5 seconds."""
        self._resume()
        return self._watches()

    @property
    def error(self) -> Exception | None:
        """Why the last refresh failed, or why the source is not watched though `watch` was called; else None."""
        self._resume()
        return self._error or self._failure()

    def _watches(self) -> bool:
        return self._watcher is not None and self._watcher.is_alive() and self._failure() is None

    def _failure(self) -> Exception | None:
        """Why the source is not watched though `watch` was called; else None."""
        if self._lost is None and self._watcher is not None and time.monotonic() - self._beat > _STALE:
            message = f"the watcher has not checked the source for {time.monotonic() - self._beat:.0f} seconds"
            return FastiamError(f"{message}\nhelp: call `refresh`, or restart the process")
        return self._lost

    is_allowed = _of_engine(Engine.is_allowed)
    decide = _of_engine(Engine.decide)
    are_allowed = _of_engine(Engine.are_allowed)
    decide_each = _of_engine(Engine.decide_each)
    decide_many = _of_engine(Engine.decide_many)
    decide_frame = Engine.decide_frame  # a lazy frame takes the engine of the moment at which it is collected
    decide_frame_with_summary = Engine.decide_frame_with_summary
    filter = _of_engine(Engine.filter)
    explain = _of_engine(Engine.explain)
    who_can = _of_engine(Engine.who_can)
    what_can = _of_engine(Engine.what_can)
    escalations = _of_engine(Engine.escalations)
    administrators = _of_engine(Engine.administrators)
    replay = _of_engine(Engine.replay)
    stats = _of_engine(Engine.stats)

    # -- replacement --------------------------------------------------------------------------------------------------

    def refresh(self) -> int:
        """Read the source again, and use an engine over what it says now; the generation.

        Raises
        ------
        FastiamError
            the source cannot be read, or does not compile. The engine stays as it is; `error` says why.
        """
        with self._lock:
            began = time.monotonic()
            try:
                self._seen = stamps_of(self._paths)
                directory, engine = self._renewed()
            except Exception as error:
                self._error = error
                ended = time.monotonic()
                self._retry_at = ended + max(_REST, _SHARE * (ended - began))
                raise
            self._use(directory, engine)
            self._checked = began
            return self._current.generation

    def catch_up(self) -> Generation:
        """Refresh if the source has changed; the current generation, which contains every change that was made before the call.

        Raises
        ------
        FastiamError
            as `refresh`.
        """
        with self._lock:
            if not self._is_current():
                self.refresh()
            return self._current

    def _renewed(self) -> tuple[Directory | None, Engine]:
        if self._saved is not None:
            return None, Engine.load(self._saved, cache_bytes=self._cache_bytes)
        directory = self._read()
        return directory, self._current.engine.updated(directory)

    def _use(self, directory: Directory | None, engine: Engine) -> None:
        number = self._current.generation + 1 if hasattr(self, "_current") else 1
        self._bind(engine)
        # last: a program that has read the number is answered by this generation from then on
        self._current, self._error = Generation(number, engine, directory, datetime.now(UTC)), None

    def _bind(self, engine: Engine) -> None:
        # PERF: a bound method of the engine itself; through the class, a call would cost twice as much
        if not self._must_resume:
            for name in _BOUND:
                self.__dict__[name] = getattr(engine, name)

    def watch(self, *, debounce: float = 0.2) -> Self:
        """Refresh whenever the source changes, until `close`; in a thread of its own.

        A directory, in a store or not, is checked every 20 ms; files need the package `watchfiles`. A watcher that fails is
        logged, kept as `error`, and tried again each second; another call starts one where none is running. A process that is
        forked afterwards reads the source at its first question, and watches it from then on.

        Parameters
        ----------
        debounce
            seconds of quiet to wait for, so that a file is read when it is written to the end.

        Raises
        ------
        FastiamError
            the source is a function, or the package `watchfiles` is not installed.
        """
        if self._kept is None and not self._paths:
            raise FastiamError("the source is a function, so there is nothing to watch\nhelp: call `refresh` after a change")
        if self._kept is not None:
            follow = partial(self._follow_directory, self._kept)
        elif forking.is_forked():
            follow = partial(self._follow_stamps, debounce)
        else:
            try:
                import watchfiles
            except ModuleNotFoundError as error:
                raise missing_package("watching files", error, "live") from None
            follow = partial(self._follow_files, watchfiles, debounce)
            self._follow_in_child = partial(self._follow_stamps, debounce)
        with self._lock:
            self._resume()
            if self._watcher is None or not self._watcher.is_alive():
                self._follow = follow
                self._start()
        if self._watcher is None:
            raise FastiamError(f"the source cannot be watched: {self._lost}")
        return self

    def _start(self) -> None:
        """Start a watcher; without one the reason is kept as `error`."""
        self._stop, self._lost, self._beat = threading.Event(), None, time.monotonic()
        watcher = threading.Thread(target=self._watch, args=(self._stop,), name="fastiam-live", daemon=True)
        try:
            watcher.start()
        except RuntimeError as error:  # no more threads
            self._watcher = None
            self._lose(error)
        else:
            self._watcher = watcher

    def _watch(self, stop: threading.Event) -> None:
        """What a watcher does: follow the source; where that fails, say so and try again."""
        follow = self._follow
        while follow is not None and not stop.is_set():
            try:
                follow(stop)
            except Exception as error:
                self._lose(error)
            except BaseException as error:
                self._lose(error)
                raise
            if not stop.wait(_REST):
                self._check()

    def _lose(self, error: BaseException) -> None:
        if self._lost is None:
            log.error("the source is not watched: %s", error)
        self._lost = FastiamError(f"the source is not watched: {error}\nhelp: `watch` starts a watcher again")

    def _follow_directory(self, directory: Directory, stop: threading.Event) -> None:
        self._lost = None
        while not stop.wait(_POLL if self._error is None else _REST):
            self._check()

    def _follow_files(self, watchfiles: Any, debounce: float, stop: threading.Event) -> None:
        quiet = max(1, round(debounce * 1000))
        events = {"debounce": max(quiet, 1600), "step": quiet, "rust_timeout": _CHECK_EVERY, "yield_on_timeout": True}
        for _ in watchfiles.watch(*folders_of(self._paths), stop_event=stop, raise_interrupt=False, **events):
            self._lost = None
            self._check()  # what came before the watch began, or by no event, is seen too

    def _follow_stamps(self, debounce: float, stop: threading.Event) -> None:
        """Follow files without `watchfiles`, in a forked child.

        Its native code has locks for its own initialisation. One that a thread of the parent had locked at the fork is never
        released in the child, where `watchfiles.watch` then waits forever.
        """
        self._lost = None
        pause = debounce
        while not stop.wait(pause):
            began, stamps = time.monotonic(), stamps_of(self._paths)
            while stamps != self._seen and not stop.wait(debounce) and stamps != (now := stamps_of(self._paths)):
                stamps = now  # a file is still being written
            self._check()
            pause = max(debounce, _SHARE * (time.monotonic() - began))

    def _check(self) -> None:
        """Refresh if the source has changed."""
        self._beat = math.inf
        try:
            self._check_source()
        finally:
            self._beat = time.monotonic()

    def _check_source(self) -> None:
        began = time.monotonic()
        try:
            is_current = self._is_current()
        except Exception:
            is_current = False  # `refresh` fails in the same way, and records it
        if not is_current:
            self._refresh_quietly()
            return
        if self._kept is not None:
            self._error = None  # it can be read again, and has not changed meanwhile
        if self._error is None:
            self._checked = began

    def _is_current(self) -> bool:
        if self._kept is None:
            must_retry = self._error is not None and time.monotonic() >= self._retry_at  # the cause may be outside of the files
            return not must_retry and stamps_of(self._paths) == self._seen
        self._kept.refresh()
        return self._kept.snapshot() is self._current.engine.snapshot

    def _refresh_quietly(self) -> None:
        try:
            self.refresh()
        except Exception as error:  # whatever it is, the last good engine answers
            if str(error) != self._logged:  # once, not with each try
                log.error("generation %d stays, the change cannot be used: %s", self._current.generation, error)
                self._logged = str(error)
        else:
            self._logged = ""
            log.info("generation %d: %r", self._current.generation, self._current.directory)

    # -- after a fork -------------------------------------------------------------------------------------------------

    def _forked(self) -> None:
        """In a child: no thread of the parent is here to release the locks."""
        self._lock, self._stop, self._watcher = threading.RLock(), threading.Event(), None
        self._must_resume = self._follow is not None
        if self._must_resume:
            self._follow = self._follow_in_child or self._follow
            for name in _BOUND:  # the first question has to pass `_resume`
                self.__dict__.pop(name, None)

    def _resume(self) -> None:
        """In a forked child: bring the engine up to date, and watch again."""
        if not self._must_resume:
            return
        with self._lock:
            if self._must_resume:
                self._check()
                self._start()
                self._must_resume = False
                self._bind(self._current.engine)

    def close(self) -> None:
        """Stop watching, and let go of a store that was given by its path. The engine goes on answering."""
        self._follow, self._must_resume = None, False
        self._bind(self._current.engine)
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None
        self._lost = None
        if self._is_owner and self._kept is not None:
            self._kept.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
