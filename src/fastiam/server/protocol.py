"""What the application asks of a protocol module: its routes and a handler."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from fastiam.server.decider import Decider
from fastiam.server.http import Request, Response

MIB = 1 << 20


class Place(Enum):
    """Where a handler runs (G14)."""

    LOOP = "loop"
    """On the event loop: single decisions and small batches."""
    POOL = "pool"
    """In the bounded thread pool: batches over 5,000 items, password and token checks."""
    SLOW = "slow"
    """In at most one thread of the pool: searches, questions, playground; counted by identity (1.6)."""
    WRITER = "writer"
    """On the one writer thread: AWS calls that write."""


Handler = Callable[[Request, Decider, datetime], Response]


@dataclass(frozen=True, slots=True)
class Route:
    """One path of a protocol. Paths match the raw bytes of the request line (GC21)."""

    path: str
    """For example `/access/v1/evaluation`; a prefix route ends with `/` and matches everything below it."""
    handler: Handler
    methods: frozenset[str] | None = frozenset({"POST"})
    """None: every method (but TRACE and CONNECT); else others get 405 with `Allow`."""
    scope: str | None = None
    """The scope that the identity needs (403 without it); None: none, or the protocol authenticates by itself."""
    max_body: int = MIB
    """Bytes; more is 413."""
    place: Place | Callable[[Request], Place] = Place.LOOP
    is_prefix: bool = False
    checks_host: bool = True
    """False for Envoy, which sends the `Host` of its client (G32)."""
    authenticates: bool = True
    """False where the protocol authenticates by itself (AWS signatures); `Request.identity` is then None."""
    errors: Callable[[int, str, str], Response] | None = None
    """Answers of the edge in the protocol's form: status, code, message -> response; None: `{"error": {"code", "message"}}`."""


class ServerProtocol(Protocol):
    """A protocol: built once from its configuration, without I/O."""

    @property
    def name(self) -> str:
        """`authzen`, `extauthz`, `opa`, `aws`, `bulk`, `ops` or `playground`."""

    def routes(self) -> Sequence[Route]:
        """Its paths; two protocols with one path make the start fail (G12)."""


class BodyProcessor(Protocol):
    """The work on one streamed body (bulk): bytes in, bytes out, bounded memory (G163)."""

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        """Take the next bytes of the request; give what can be answered now."""

    def finish(self) -> Iterable[bytes]:
        """The end of the request's body; the rest of the answer."""


@dataclass(frozen=True, slots=True)
class StreamRoute:
    """A path whose body is processed while it arrives.

    `open` answers with a response to send at once (an error), or with the head of the answer and the processor. The application
    calls the processor in the pool.
    """

    path: str
    open: Callable[[Request, Decider, datetime], tuple[Response, BodyProcessor | None]]
    scope: str | None = None
    methods: frozenset[str] = frozenset({"POST"})
