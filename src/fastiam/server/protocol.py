"""What the application asks of a protocol module: its routes and a handler."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from time import perf_counter_ns
from typing import Any, Protocol

import msgspec

from fastiam.errors import FastiamError
from fastiam.server.decider import Decider
from fastiam.server.decision_records import CallLog, Item, NoCallLog, Record
from fastiam.server.http import Request, Response

MIB = 1 << 20


class Place(Enum):
    """Where a handler runs (G14). Each place outside of the loop has threads and a queue of its own."""

    LOOP = "loop"
    """On the event loop: single decisions and small batches."""
    POOL = "pool"
    """Batches over 5,000 items, and bodies that are processed while they arrive."""
    SLOW = "slow"
    """One thread: searches, questions, playground; counted by identity (1.6)."""
    READER = "reader"
    """One thread: signed calls of AWS services."""
    UNSIGNED = "unsigned"
    """Calls of AWS services without credentials: tokens, passwords, certificates."""
    WAITING = "waiting"
    """Calls that may wait for an identity provider, or for what another process writes."""
    WRITER = "writer"
    """One thread: AWS calls that write."""


Handler = Callable[[Request, Decider, datetime], Response]


class Elsewhere(Exception):
    """Raised by a handler outside of the loop: the rest of its work runs at another place.

    Parameters
    ----------
    call
        the rest; it may raise this again.
    is_known
        whether the caller has shown credentials.
    """

    def __init__(self, place: Place, call: Callable[[], Response], *, is_known: bool) -> None:
        self.place, self.call, self.is_known = place, call, is_known
        super().__init__(place)


@dataclass(frozen=True, slots=True)
class Route:
    """One path of a protocol. Paths match the raw bytes of the request line (GC21)."""

    path: str
    """For example `/access/v1/evaluation`; a prefix route ends with `/` and matches everything below it."""
    handler: Handler
    methods: frozenset[str] | None = frozenset({"POST"})
    """None: every method (but TRACE and CONNECT); else others get 405 with `Allow`."""
    scope: str | None = None
    """The scope that the identity needs (403 without it); None: none."""
    max_body: int = MIB
    """Bytes; more is 413."""
    place: Place | Callable[[Request], Place] = Place.LOOP
    at_once: Callable[[Request, Decider, datetime], Response | None] | None = None
    """Answers short requests on the event loop, whatever `place` says. None: the request would wait or take long, so the handler
    answers it in a thread; nothing was done yet."""
    is_prefix: bool = False
    checks_host: bool = True
    """False for Envoy, which sends the `Host` of its client (G32)."""
    authenticates: bool = True
    """False where the protocol authenticates by itself (AWS signatures): no token is read, and `Request.identity` is None. A
    listener of `unix` or `mtls` still admits only the peers that have `scope`."""
    errors: Callable[[int, str, str], Response] | None = None
    """Answers of the edge in the protocol's form: status, code, message -> response; None: `{"error": {"code", "message"}}`."""
    echoes_request_id: bool = False
    """Each answer, also of the edge, has `x-request-id`: that of the request, or its decision id (G45). More than 512 bytes, or
    the field twice, is 400."""
    time: float | None = None
    """Seconds that a handler outside of the loop may take before the client gets 503; None: as configured."""


class ServerProtocol(Protocol):
    """A protocol: built once from its configuration, without I/O."""

    @property
    def name(self) -> str:
        """`authzen`, `extauthz`, `opa`, `aws`, `bulk`, `ops` or `playground`."""

    def routes(self) -> Sequence[Route | StreamRoute]:
        """Its paths; two protocols with one path make the start fail (G12)."""


class StreamAborted(Exception):
    """Raised by a `BodyProcessor`: the answer ends as incomplete, without the final chunk (G165)."""

    def __init__(self, last: bytes = b"") -> None:
        self.last = last
        """Bytes to send before the connection is closed."""
        super().__init__(last)


class StreamRefused(Exception):
    """Raised by a `BodyProcessor` that has given no bytes yet: this response is the answer, and the body is dropped."""

    def __init__(self, response: Response) -> None:
        self.response = response
        super().__init__(response.status)


class BodyProcessor(Protocol):
    """The work on one streamed body (bulk): bytes in, bytes out, bounded memory (G163)."""

    @property
    def missing(self) -> int:
        """Bytes of the request without which the next calls of `feed` have nothing to do; at most 1: each piece is wanted."""

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        """Take the next bytes of the request; give what can be answered now."""

    def finish(self) -> Iterable[bytes]:
        """The end of the request's body; the rest of the answer."""

    def abort(self, code: str) -> bytes:
        """The last bytes of an answer that ends early: `timeout`, `stopping`, `disconnected`. No other call follows."""

    def take_items(self) -> Sequence[Item]:
        """The items that were decided since the last call, for a decision log of items. Called before their answers are sent."""

    def record(self) -> Record | None:
        """What the decision log and the metrics get; called once, after `finish` or `abort`."""


@dataclass(frozen=True, slots=True)
class StreamRoute:
    """A path whose body is processed while it arrives.

    `open` answers with a response to send at once (an error), or with the head of the answer and the processor. The application
    calls the processor in the pool.
    """

    path: str
    """As in `Route`."""
    open: Callable[[Request, Decider, datetime], tuple[Response, BodyProcessor | None]]
    scope: str | None = None
    """As in `Route`."""
    methods: frozenset[str] | None = frozenset({"POST"})
    time: float = 300.0
    """Seconds for the whole request."""
    errors: Callable[[int, str, str], Response] | None = None
    """As in `Route`."""
    echoes_request_id: bool = False
    """As in `Route`."""


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of the section of a protocol in the configuration. Tables in it are Structs with `forbid_unknown_fields` too."""

    enabled: bool = True


@dataclass(frozen=True, slots=True)
class ListenerFacts:
    """What a protocol may know of a listener that serves it."""

    kind: str
    """`tcp` or `unix`."""
    is_loopback: bool
    """False for a unix socket."""
    auth: str
    """`none`, `bearer`, `unix` or `mtls`."""
    is_tls: bool


class Status(Protocol):
    """The state of the process, for `ops`."""

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether the process is ready, and the members of `/readyz` (G180)."""

    def version(self) -> dict[str, Any]:
        """The members of `/version`."""

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """The metrics in the form that `Accept` asks for, and its content type."""


def _no_warning(message: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Site:
    """What a protocol is built from besides its own section."""

    listeners: tuple[ListenerFacts, ...]
    """The listeners that serve this protocol."""
    has_directory: bool
    """False over a saved engine (G15)."""
    has_sts: bool
    """True over a store with a keyring."""
    public_url: str | None = None
    """The URL that clients use (G33); None if it is not configured."""
    protocols: frozenset[str] = frozenset()
    """Names of the protocols that share a listener with this one, itself among them."""
    status: Status | None = None
    """Only for `ops`."""
    logs_decisions: bool = False
    """Whether there is a decision log."""
    logs_items: bool = False
    """Whether it has a line for each item of a batch."""
    warn: Callable[[str], None] = _no_warning
    """Gets what is logged at each start."""
    calls: CallLog = field(default_factory=NoCallLog)
    """Gets the calls of AWS services."""
    lasting: dict[str, Any] = field(default_factory=dict)
    """What protocols keep over reloads, and share over listeners, by names of their own."""
    timer: Callable[[], int] = perf_counter_ns
    """Nanoseconds of a clock that only goes forward, for durations."""


class UnmetNeed(FastiamError):
    """A protocol cannot be served here: it needs more than the source has, or a safer listener. The start is refused."""


# A module `protocols/NAME.py`, or package `protocols/NAME/`, is a protocol if it has `Section`, a subclass of the one above, and
# `create(section: Section, site: Site) -> ServerProtocol`. `create` raises `UnmetNeed`, does no I/O, and a reload calls it again.
