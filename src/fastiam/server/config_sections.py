"""What can be configured: one type for each section of the server. The protocols have types of their own.

Names, types, defaults and descriptions are here; `config` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from fastiam.server.protocol import Section

FIXED_LIMITS: Final = (
    "threads",
    "unsigned_threads",
    "waiting_threads",
    "connections",
    "handshakes",
    "backlog",
    "keep_alive_seconds",
)
"""Those of `Limits` that a reload cannot change."""

_MIB = 1 << 20
Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section, or a table in one."""


class Source(Part, frozen=True, kw_only=True):
    """What the engine is made from. Not reloadable."""

    paths: tuple[str, ...] = ()
    """A folder, files, a store, or a saved engine."""
    keyring: str | None = None
    """File with the keyring of a store; with it there is STS."""
    root_sessions: bool = False
    """Whether the organization has centralized root access, so that AssumeRoot is served."""
    mode: Literal["strict", "lenient"] = "lenient"
    resource_of: dict[str, str] = {}
    """The resources that have the policies in some files."""
    skip_unknown: bool = False
    """Skip files that are not understood, although they may contain a Deny."""
    unknown_owner: Literal["principal", "deny"] = "principal"
    cache_bytes: Annotated[int, msgspec.Meta(ge=_MIB)] = 256 * _MIB
    """Memory for what requests add to the engine: names and plans of principals and resources that have no record."""
    watch: bool = True


class Server(Part, frozen=True, kw_only=True):
    """The server as a whole."""

    public_url: str | None = None
    """The URL that clients use; nothing is ever built from `Host` (G33)."""


class Tls(Part, frozen=True, kw_only=True):
    """TLS of a listener (G26). The files are read again when they change."""

    certificate: str
    """PEM file with the chain of the server."""
    key: str
    """PEM file with its key."""
    client_ca: str | None = None
    """PEM file with the authorities of client certificates; with it each client must have one."""


class Listener(Part, frozen=True, kw_only=True):
    """One socket. Not reloadable, but `hosts`, `trusted_proxies` and `client_address`."""

    address: str | None = None
    """`127.0.0.1:8380`, `[::1]:8380`, or `unix:/run/fastiam/pdp.sock`."""
    protocols: tuple[str, ...] | None = None
    """Names of the protocols that it serves; None: all that no `exclusive` listener names."""
    exclusive: bool = False
    """Whether no listener without `protocols` serves those of this one."""
    auth: Literal["none", "bearer", "unix", "mtls"] | None = None
    """None: `none` on loopback and unix sockets, and refused elsewhere."""
    insecure: bool = False
    """TCP beyond loopback without TLS (G27)."""
    tls: Tls | None = None
    hosts: tuple[str, ...] = ()
    """Values of `Host` that are accepted, without the port (G32)."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses, networks or `unix`: peers whose `client_address` header is believed (G36)."""
    client_address: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    mode: str = "0660"
    """Of a unix socket, in octal."""
    owner: str | None = None
    group: str | None = None
    connections: Count | None = None
    """Connections at a time; None: `limits.connections`, and 256 for a listener of `ops` alone."""


class UnixPeer(Part, frozen=True, kw_only=True):
    """Peers of unix sockets that may ask, by user or group."""

    uid: int | None = None
    gid: int | None = None
    name: str | None = None
    """For logs."""
    scopes: tuple[str, ...] | None = None
    """None: those of an anonymous peer of a unix socket."""


class CertificatePeer(Part, frozen=True, kw_only=True):
    """Client certificates that may ask, by the name in them (G26)."""

    name: str | None = None
    """The whole URI or DNS name."""
    prefix: str | None = None
    """Or how it begins."""
    scopes: tuple[str, ...] | None = None
    """None: those of an anonymous peer of a unix socket."""


class Auth(Part, frozen=True, kw_only=True):
    """Who may ask (1.5). Reloadable."""

    tokens: str | None = None
    """File with lines `name scopes sha256`; scopes are separated by commas."""
    unix: tuple[UnixPeer, ...] = ()
    mtls: tuple[CertificatePeer, ...] = ()


class Trust(Part, frozen=True, kw_only=True):
    """What an anonymous peer may state (G28). Reloadable."""

    anonymous: tuple[str, ...] | None = None
    """None: `assert:tags` and `assert:context` on loopback and unix sockets, nothing elsewhere."""


class Limits(Part, frozen=True, kw_only=True):
    """Limits of the process (1.6). Each listener has its own share of connections.

    Reloadable, but `FIXED_LIMITS`.
    """

    in_work: Count = 256
    """Requests of one listener that a thread works on, or that wait for one. The event loop answers others without a wait."""
    body_bytes: Count = 128 * _MIB
    """Bytes of bodies of one listener that are not complete, or in work; clients without credentials have half of them. Bodies of
    up to 64 KiB are always taken."""
    writes: Count = 32
    """AWS calls that write, in work or waiting; half of them at most of callers without credentials."""
    queue: Count = 64
    """Calls of each other kind that wait for a thread."""
    queue_per_client: Count = 32
    """AWS calls of each kind of one client, in work or waiting."""
    slow_per_client: Count = 4
    """Searches and questions of one client, in work or waiting."""
    threads: Count = 2
    """Threads for large batches and streams, one of them for searches and questions."""
    unsigned_threads: Count = 2
    """Threads for AWS calls without credentials."""
    waiting_threads: Count = 4
    """Threads for AWS calls that may wait for an identity provider, or for what another process writes."""
    connections: Count = 4096
    """Connections of one listener at a time, from accept to close. If another client comes, connections end on which the server
    waits for a client without credentials, those first on which it has waited longest."""
    handshakes: Count = 256
    """TLS handshakes of one listener at a time, a part of its connections. If another client comes, the longest one ends."""
    backlog: Count = 2048
    """Connections of one listener that the system has opened and that wait to be accepted; it may allow fewer (`somaxconn`)."""
    handshake_seconds: Seconds = 10.0
    """A TLS handshake is complete within this time."""
    head_seconds: Seconds = 10.0
    body_seconds: Seconds = 10.0
    handler_seconds: Seconds = 5.0
    keep_alive_seconds: Seconds = 75.0
    write_seconds: Seconds = 30.0
    """A client that does not read its answer for so long is disconnected."""


class Stop(Part, frozen=True, kw_only=True):
    """The graceful stop (G22), in seconds."""

    delay: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Between readiness 503 and the end of accepting."""
    timeout: Annotated[float, msgspec.Meta(ge=0)] = 10.0


class Ready(Part, frozen=True, kw_only=True):
    """`/readyz`."""

    max_age: Seconds | None = None
    """Seconds after which policies are too old to be ready; None: never."""


class DecisionLogSection(Part, frozen=True, kw_only=True):
    """The decision log (G184 to G187). Reloadable."""

    mode: Literal["off", "denied", "all", "sampled"] = "denied"
    sample: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.01
    per: Literal["request", "item"] = "request"
    """Whether a batch is one line, or one for each item."""
    path: str = "-"
    """A file; `-` is standard output."""
    on_full: Literal["drop", "deny"] = "drop"
    erase: tuple[str, ...] = ()
    """Places as `/input/context/aws:UserAgent`."""
    labels: dict[str, str] = {}
    max_bytes: Count = 100 * _MIB
    keep: Annotated[int, msgspec.Meta(ge=0)] = 10


class AuditLogSection(Part, frozen=True, kw_only=True):
    """The audit log (G188)."""

    path: str = "-"
    """A file; `-` is standard error."""


class CoreSettings(Part, frozen=True, kw_only=True):
    source: Source = Source()
    server: Server = Server()
    listeners: dict[str, Listener] = {}
    auth: Auth = Auth()
    trust: Trust = Trust()
    limits: Limits = Limits()
    stop: Stop = Stop()
    ready: Ready = Ready()
    decision_log: DecisionLogSection = DecisionLogSection()
    audit_log: AuditLogSection = AuditLogSection()


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration in force."""

    core: CoreSettings
    listeners: Mapping[str, Listener]
    """Every listener, the default ones too, each with its address and its protocols."""
    sections: Mapping[str, Section]
    """Sections of the protocols that are on, by name."""
    secrets: frozenset[str]
    """Values that were read from files of secrets."""
