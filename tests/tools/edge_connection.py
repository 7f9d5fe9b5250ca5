"""One connection to the application, without a socket."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from itertools import count
from typing import Any

import uvicorn
from served_engine import EngineDecider

import fastiam
from fastiam.server.asgi import Application
from fastiam.server.auth import Authenticator, Tokens, authenticator
from fastiam.server.config_sections import Auth, Limits, Listener, Trust
from fastiam.server.connections import Connections
from fastiam.server.http import Peer
from fastiam.server.listeners import Address, Listening
from fastiam.server.observer import Observer
from fastiam.server.protocol import ListenerFacts, ServerProtocol
from fastiam.server.serving import Serving, serving
from fastiam.server.thread_pools import Pools
from fastiam.server.uvicorn_protocol import CONNECTION, EdgeProtocol, EdgeState


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 5), "sockname": ("127.0.0.1", 6)})
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += b"" if self.is_closed else data

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        """Reading goes on: the test waits for each answer."""

    resume_reading = pause_reading


class Edge:
    """The connection.

    Parameters
    ----------
    access : who may ask; by default every local client.
    decider : by default one without policies.
    peer : the other end; by default one on loopback.
    """

    def __init__(
        self,
        limits: Limits,
        *protocols: ServerProtocol,
        access: Authenticator | None = None,
        decider: Any = None,
        peer: Peer | None = None,
    ) -> None:
        listener = Listener(address="127.0.0.1:0", protocols=tuple(each.name for each in protocols))
        address = Address("127.0.0.1", 1)
        access = access or authenticator("none", Auth(), Trust(), Tokens(), is_local=True)
        self.serving: Serving = serving("main", listener, address, protocols, access)
        facts = ListenerFacts("tcp", True, access.kind, False)
        self.listening = Listening(
            "main", listener, address, facts, limits, Observer(), Connections(100, 10), serving=self.serving
        )
        self.refusals: list[tuple[int, str]] = []
        """Status and code of each request that the application has refused itself."""
        numbers = count()
        self.app = Application(
            decider or EngineDecider(fastiam.Directory().compile()),
            Pools(limits),
            self.listening.observer,
            new_id=lambda: f"id-{next(numbers)}",
            on_error=lambda error, decision_id: None,
            on_refused=lambda connection, status, code: self.refusals.append((status, code)),
            clock=lambda: datetime(2026, 11, 29, tzinfo=UTC),
        )
        settings = uvicorn.Config(
            self.app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False, proxy_headers=False
        )
        settings.load()
        state = EdgeState()
        self.transport = Transport()
        self.protocol = EdgeProtocol(settings, state, self.listening, asyncio.get_running_loop())
        self.protocol.connection_made(self.transport)
        if peer is not None:
            self.protocol._extensions[CONNECTION].peer = peer

    async def send(self, data: bytes, *, waits: bool = True) -> bytes:
        """Send some bytes; what was written at once, or until nothing is in work any more."""
        before = len(self.transport.written)
        if not self.transport.is_closed:
            self.protocol.data_received(data)
        while self.protocol.tasks and waits:
            await asyncio.wait(set(self.protocol.tasks))
        return self.transport.written[before:]

    async def ask(self, method: str, path: str, body: bytes = b"", *fields: tuple[str, str]) -> bytes:
        """Send one request; the answer."""
        lines = [("Host", "localhost"), ("Content-Length", str(len(body))), *fields]
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines) + "\r\n"
        return await self.send(head.encode() + body)
