"""The process of `fastiam serve`: start, signals, reload, graceful stop (1.3)."""

from __future__ import annotations

import asyncio
import gc
import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import formatdate
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec
import uvicorn

from fastiam.errors import FastiamError, pip_install
from fastiam.runtime.gc_pause import collection_paused, freeze_new
from fastiam.server.asgi import Application
from fastiam.server.audit_log import AuditLog
from fastiam.server.auth import Authenticator, Tokens, authenticator
from fastiam.server.call_log import AuditedCalls
from fastiam.server.companion import MODULES, Companion, Services
from fastiam.server.config import OPS, ConfigError, protocol_module
from fastiam.server.config_sections import Settings
from fastiam.server.connections import Connections, TlsServer, share_descriptors
from fastiam.server.decision_log import DecisionLog
from fastiam.server.decision_source import NoDecider, Source, State, shown
from fastiam.server.identity import Identity
from fastiam.server.ids import Ids
from fastiam.server.listeners import (
    Listening,
    check_permissions,
    facts,
    file_stamp,
    hazards,
    tls_context,
    wanted_connections,
)
from fastiam.server.log_writer import LogWriter
from fastiam.server.protocol import ListenerFacts, ServerProtocol, Site
from fastiam.server.serving import Serving, serving
from fastiam.server.start_checks import check_log, check_reload, prepare, running_tokens
from fastiam.server.thread_pools import Pools
from fastiam.server.uvicorn_protocol import EdgeProtocol, EdgeState

_SWITCH: Final = 0.0005  # seconds; a thread that runs Python code holds up the loop no longer (G8)
_POLL: Final = 1.0  # seconds between two checks of the files of tokens and TLS


class Process:
    """One process.

    Parameters
    ----------
    reread
        reads the configuration again, for a reload.
    """

    def __init__(self, settings: Settings, reread: Callable[[], Settings]) -> None:
        self.settings = settings
        self._reread = reread
        self.state = State()
        self._listening: list[Listening] = []
        self._shares: dict[str, int] = {}  # connections by listener
        self._servers: dict[str, asyncio.Server | TlsServer] = {}
        self._companions: dict[str, Companion] = {}
        self._companion_addresses: dict[str, str] = {}
        self._anonymous: dict[bool, Identity] = {}
        """The identity of a peer without proof, by whether it is local."""
        self._lasting: dict[str, Any] = {}  # what protocols keep over reloads
        self._uvicorn = EdgeState()
        self._warnings: list[str] = []
        self._stop = asyncio.Event()
        self._now = asyncio.Event()
        self._stamps: dict[str, tuple[int, int]] = {}
        self._reported: tuple[int, str | None] = (0, None)  # generation and error of the source, as logged
        self.audit = AuditLog(settings.core.audit_log.path)
        self.pools = Pools(settings.core.limits)
        self.app = Application(
            NoDecider(),
            self.pools,
            self.state.observer,
            new_id=Ids(),
            on_error=self.audit.failed,
            on_refused=self.audit.refused,
            clock=partial(datetime.now, UTC),
        )
        self.state.pools = self.pools
        self.state.max_age = settings.core.ready.max_age
        self._config = uvicorn.Config(
            self.app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=int(settings.core.limits.keep_alive_seconds),
        )
        self._config.load()

    # -- start --------------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Serve until a signal; the exit code."""
        loop = asyncio.get_running_loop()
        sys.setswitchinterval(_SWITCH)
        self.audit.take_logging()
        self._set_log(self.settings)
        try:
            await self._start(loop)
        except BaseException:
            for companion in self._companions.values():
                await companion.stop(0)
            await self._close()
            raise
        tasks = [asyncio.ensure_future(each) for each in (self._tick(), self._follow_files())]
        if OPS in self.settings.sections:
            await loop.run_in_executor(None, self.state.load_metrics)  # PERF: so that the first scrape does not hold up the loop
        await self._stop.wait()
        await self._drain()
        for task in tasks:
            task.cancel()
        await self._close()
        return 0

    def check(self) -> list[str]:
        """Check what a start checks, without binding an address or writing to a log; the warnings of a start.

        Raises
        ------
        ConfigError, FastiamError
            a start would be refused.
        """
        self._add_listeners()
        for listening in self._listening:
            listener = listening.settings
            if listening.address.is_unix:
                check_permissions(listener.mode, listener.owner, listener.group, f"listeners.{listening.name}")
            if listener.tls is not None:
                tls_context(listener.tls)
        self._companions = self._made_companions()
        for companion in self._companions.values():
            companion.check_settings()
        for name, path in (
            ("decision_log", self.settings.core.decision_log.path),
            ("audit_log", self.settings.core.audit_log.path),
        ):
            check_log(name, path)
        source = msgspec.structs.replace(self.settings.core.source, watch=False)
        core = msgspec.structs.replace(self.settings.core, source=source)
        self.state.source = _load(replace(self.settings, core=core))
        self._install(self.settings)
        return list(dict.fromkeys(self._warnings))

    def _add_listeners(self) -> None:
        prepared = prepare(self.settings)
        limits, listeners = self.settings.core.limits, self.settings.listeners
        wanted = {name: wanted_connections(listener, limits) for name, listener in listeners.items()}
        wanted |= {f"{name}.grpc": grpc.connections for name in MODULES if (grpc := self._grpc(name)) is not None}
        self._shares = shares = share_descriptors(wanted, self._warnings.append)
        for name, (address, auth) in prepared.items():
            listener = listeners[name]
            seen = facts(listener, address, auth)
            share = Connections(shares[name], limits.handshakes)
            listening = Listening(name, listener, address, seen, limits, self.state.observer, share, serving=_nothing(auth))
            self._listening.append(listening)
            self._warnings += hazards(name, listener, address)

    async def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._date()
        self._add_listeners()
        for listening in self._listening:
            listening.bind(self._warnings.append)
        early = [each for each in self._listening if each.settings.protocols == (OPS,)]
        for listening in early:
            listening.serving = self._serving(self.settings, listening)
            await self._accept(loop, listening)
        await self._start_companions()
        source = await loop.run_in_executor(None, _load, self.settings)
        self.state.source = source
        self.app.decider = source.decider
        gc.collect()  # full collections become due by the objects that are left, and not by a share of the frozen ones
        self._install(self.settings)
        for listening in self._listening:
            if listening not in early:
                await self._accept(loop, listening)
        for number, handler in (
            (signal.SIGTERM, self._on_stop),
            (signal.SIGINT, self._on_stop),
            (signal.SIGHUP, self._on_hangup),
            (signal.SIGUSR1, self._on_reopen),
        ):
            loop.add_signal_handler(number, handler)
        self._record_files()
        self._reported = source.live.generation, None
        self.audit.event(
            "start",
            source=source.name,
            generation=source.live.generation,
            doors=self.state.doors,
            addresses={each.name: str(each.address) for each in self._listening} | self._companion_addresses,
            pid=os.getpid(),
        )
        for warning in dict.fromkeys(self._warnings):
            self.audit.event("warning", message=warning)

    async def _accept(self, loop: asyncio.AbstractEventLoop, listening: Listening) -> None:
        make = partial(EdgeProtocol, self._config, self._uvicorn, listening, loop)
        assert listening.sock is not None
        sock, backlog = listening.sock.dup(), listening.limits.backlog
        if listening.context is not None:
            self._servers[listening.name] = TlsServer(sock, listening, make)
        elif listening.address.is_unix:
            self._servers[listening.name] = await loop.create_unix_server(make, sock=sock, backlog=backlog)
        else:
            self._servers[listening.name] = await loop.create_server(make, sock=sock, backlog=backlog)

    async def _start_companions(self) -> None:
        """Start what answers beside HTTP, gRPC. It refuses calls until `_install` gives it a protocol."""
        for name, companion in self._made_companions().items():
            self._companion_addresses[name] = await companion.start()
            self._companions[name] = companion

    def _grpc(self, name: str) -> Any:
        """The section of gRPC of a protocol; None if it has none."""
        return getattr(self.settings.sections.get(name), "grpc", None)

    def _made_companions(self) -> dict[str, Companion]:
        services = Services(
            lambda: self.app.decider,
            self.state.observer,
            self.app.clock,
            self.app.new_id,
            self.audit.failed,
            self._warnings.append,
            lambda: self.state.ready()[0],
            self.settings,
            lambda is_local: self._anonymous[is_local],
            self._shares,
        )
        found = {}
        for name, module in MODULES.items():
            if self._grpc(name) is not None:
                try:
                    made = import_module(module)
                except ModuleNotFoundError as error:
                    if error.name is None or error.name.split(".")[0] == "fastiam":
                        raise
                    raise ConfigError(f"{name}.grpc needs the package `{error.name}`\nhelp: {pip_install('grpc')}") from None
                companion = made.companion(self.settings.sections[name], services)
                if companion is not None:
                    found[name] = companion
        return found

    # -- what is served -----------------------------------------------------------------------------------------------

    def _install(self, settings: Settings) -> None:
        """Serve by a configuration; every part is made before the first one is put to use."""
        made = [(listening, self._serving(settings, listening)) for listening in self._listening]
        anonymous = _anonymous(settings)
        for listening, served in made:
            listening.serving = served
            listening.limits = settings.core.limits
            if served.authenticator.accepts_none:
                self.audit.event("warning", message=f"listeners.{listening.name} accepts no client: no one is left in `[auth]`")
        self._anonymous = anonymous
        for name, companion in self._companions.items():
            companion.use(self._protocol(settings, name, None))
        self.pools.limits = settings.core.limits
        self.state.max_age = settings.core.ready.max_age
        self.state.doors = sorted({name for each in self._listening for name in each.settings.protocols or ()})

    def _serving(self, settings: Settings, listening: Listening) -> Serving:
        listener = settings.listeners[listening.name]
        address, core = listening.address, settings.core
        protocols = [self._protocol(settings, name, listening) for name in listener.protocols or ()]
        is_local = address.is_unix or address.is_loopback
        auth = authenticator(listening.facts.auth, core.auth, core.trust, running_tokens(settings), is_local=is_local)
        return serving(listening.name, listener, address, protocols, auth)

    def _protocol(self, settings: Settings, name: str, listening: Listening | None) -> ServerProtocol:
        source = self.state.source
        shared = () if listening is None else listening.settings.protocols or ()
        site = Site(
            self._facts_of(name),
            has_directory=source is not None and source.live.directory is not None,
            has_sts=source is not None and source.sts is not None,
            public_url=settings.core.server.public_url,
            protocols=frozenset(shared),
            status=self.state if name == OPS else None,
            logs_decisions=settings.core.decision_log.mode != "off",
            logs_items=settings.core.decision_log.mode != "off" and settings.core.decision_log.per == "item",
            warn=self._warnings.append,
            calls=AuditedCalls(self.audit, self.state.calls),
            lasting=self._lasting,
        )
        made: ServerProtocol = protocol_module(name).create(settings.sections[name], site)
        return made

    def _facts_of(self, name: str) -> tuple[ListenerFacts, ...]:
        return tuple(each.facts for each in self._listening if name in (each.settings.protocols or ()))

    def _set_log(self, settings: Settings) -> None:
        section = settings.core.decision_log
        old = self.state.logs
        if section.mode == "off":
            self.state.logs, self.state.observer.log = {}, None
        else:
            kind = "stdout" if section.path == "-" else "file"
            writer = old.get(kind)
            target: Path | int = sys.stdout.fileno() if kind == "stdout" else Path(section.path)
            if writer is None or writer.target != target:
                try:
                    writer = LogWriter(target, max_bytes=section.max_bytes if kind == "file" else 0, keep=section.keep)
                except OSError as error:
                    raise ConfigError(f"decision_log: {section.path}: {(error.strerror or str(error)).lower()}") from None
            self.state.logs = {kind: writer}
            self.state.observer.log = DecisionLog(section, writer, partial(datetime.now, UTC), f"{platform.node()}:{os.getpid()}")
        for writer in old.values():
            if writer not in self.state.logs.values():
                writer.close()

    # -- signals and reload -------------------------------------------------------------------------------------------

    def _on_stop(self) -> None:
        if self._stop.is_set():
            self._now.set()
        self._stop.set()

    def _on_hangup(self) -> None:
        asyncio.ensure_future(self.reload("signal"))

    def _on_reopen(self) -> None:
        for writer in (*self.state.logs.values(), self.audit.writer):
            writer.reopen()

    async def reload(self, why: str) -> None:
        """Read configuration, tokens, TLS files and policies again; what cannot be used leaves all as it is."""
        loop = asyncio.get_running_loop()
        source = self.state.source
        assert source is not None
        before = source.live.generation
        try:
            settings = await loop.run_in_executor(None, self._reread)
            check_reload(self.settings, settings)
            contexts = {each.name: tls_context(tls) for each in self._listening if (tls := settings.listeners[each.name].tls)}
            self._install(settings)
            self._set_log(settings)
            self.settings = settings
            for listening in self._listening:
                listening.context = contexts.get(listening.name)
            self._record_files()
            if why == "signal":
                await loop.run_in_executor(None, source.live.refresh)
        except (FastiamError, OSError) as error:
            with suppress(FastiamError, OSError):
                self._install(self.settings)  # as it was, except tokens: they are revoked whatever else is wrong
            # `live.error` shows what is wrong with policies, until a refresh succeeds
            self.state.error = None if error is source.live.error else shown(error)
            self.state.reloads["failure"] += 1
            self.audit.event("reload", why=why, result="failure", error=shown(error), before=before, after=source.live.generation)
            self._reported = source.live.generation, None if source.live.error is None else shown(source.live.error)
        else:
            self._reported = source.live.generation, None
            self.state.error = None
            self.state.reloads["success"] += 1
            self.audit.event("reload", why=why, result="success", before=before, after=source.live.generation)

    def _files(self) -> list[str]:
        found = [self.settings.core.auth.tokens]
        for listener in self.settings.listeners.values():
            if listener.tls is not None:
                found += [listener.tls.certificate, listener.tls.key, listener.tls.client_ca]
        return [path for path in found if path is not None]

    def _record_files(self) -> None:
        self._stamps = {path: file_stamp(path) for path in self._files()}

    async def _follow_files(self) -> None:
        """Reload when tokens or TLS files have changed, and report what became of changes of the source."""
        while True:
            await asyncio.sleep(_POLL)
            self._report_source()
            if any(file_stamp(path) != stamp for path, stamp in self._stamps.items()):
                self._record_files()
                await self.reload("files")

    def _report_source(self) -> None:
        """Log and count the reload of a source that the watcher has followed."""
        source = self.state.source
        assert source is not None
        before, known = self._reported
        after, problem = source.live.generation, source.live.error
        error = None if problem is None else shown(problem)
        self._reported = after, error
        if after != before:
            self.state.reloads["success"] += 1
            self.audit.event("reload", why="source", result="success", before=before, after=after)
            freeze_new()
        if error is not None and error != known:
            self.state.reloads["failure"] += 1
            self.audit.event("reload", why="source", result="failure", error=error, before=after, after=after)

    # -- stop ---------------------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """The graceful stop (G22)."""
        self.state.is_stopping = True
        self.audit.event("stop", in_work=sum(each.in_work for each in self._listening))
        for companion in self._companions.values():
            companion.stopping()
        await self._wait(self.settings.core.stop.delay, lambda: False)
        self.app.is_stopping = True
        for server in self._servers.values():
            server.close()
        stops = [companion.stop(self.settings.core.stop.timeout) for companion in self._companions.values()]
        stopped = asyncio.gather(*stops)
        for connection in [each for listening in self._listening for each in listening.connections.open]:
            connection.shutdown()
        await self._wait(self.settings.core.stop.timeout, lambda: not self._uvicorn.tasks)
        for task in list(self._uvicorn.tasks):
            task.cancel()
        await self._wait(1.0, lambda: not self._uvicorn.tasks)
        await self._wait(0.5, lambda: not any(each.connections.open for each in self._listening))
        if not self._now.is_set():
            await stopped

    async def _wait(self, seconds: float, is_over: Callable[[], bool]) -> None:
        """Wait until something is over, at most so long; a second signal ends it."""
        ends = time.monotonic() + seconds
        while not is_over() and not self._now.is_set() and time.monotonic() < ends:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._now.wait(), 0.02)

    async def _close(self) -> None:
        for listening in self._listening:
            listening.remove()
            if listening.sock is not None:
                listening.sock.close()
        self.pools.close()
        if self.state.source is not None:
            await asyncio.get_running_loop().run_in_executor(None, self.state.source.close)
        for writer in (*self.state.logs.values(), self.audit.writer):
            writer.close()

    # -- small things -------------------------------------------------------------------------------------------------

    def _date(self) -> None:
        date = formatdate(time.time(), usegmt=True).encode()
        self._uvicorn.default_headers = [(b"date", date)]
        self._uvicorn.date = b"date: %b\r\n" % date

    async def _tick(self) -> None:
        while True:
            self._date()
            await asyncio.sleep(1.0 - time.time() % 1.0)


def _anonymous(settings: Settings) -> dict[bool, Identity]:
    """The identity of a peer without proof of a companion, by whether it is local."""
    core = settings.core
    scopes = {
        is_local: authenticator("none", core.auth, core.trust, Tokens(), is_local=is_local).anonymous
        for is_local in (True, False)
    }
    return {is_local: Identity("local" if is_local else "remote", each, is_anonymous=True) for is_local, each in scopes.items()}


def _load(settings: Settings) -> Source:
    with collection_paused(freeze=True):  # PERF: no collection ever scans the policies (G221)
        return Source(settings)


def _nothing(auth: str) -> Serving:
    """What a listener serves before the policies are loaded."""
    return Serving({}, (), Authenticator(auth, Tokens(), frozenset()), frozenset())


def serve(settings: Settings, reread: Callable[[], Settings]) -> int:
    """Serve until a signal; the exit code.

    Raises
    ------
    ConfigError, FastiamError
        the start is refused.
    """
    factory = uvicorn.Config(_no_app, loop="auto", log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(_main(settings, reread))


def check_start(settings: Settings) -> list[str]:
    """Check what a start checks, except whether addresses are free; the warnings of a start.

    Raises
    ------
    ConfigError, FastiamError
        a start would be refused.
    """
    audit = msgspec.structs.replace(settings.core.audit_log, path=os.devnull)
    process = Process(replace(settings, core=msgspec.structs.replace(settings.core, audit_log=audit)), lambda: settings)
    process.settings = settings
    return process.check()


async def _main(settings: Settings, reread: Callable[[], Settings]) -> int:
    return await Process(settings, reread).run()


async def _no_app(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("only the loop of this configuration is used")
