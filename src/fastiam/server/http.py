"""Requests and responses as values. No module below `protocols/` sees a socket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from fastiam.server.decision_records import Record
    from fastiam.server.identity import Identity

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of the connection."""

    kind: str = "tcp"
    """`tcp` or `unix`."""
    address: str | None = None
    """IP address of a TCP peer; None for a unix socket."""
    uid: int | None = None
    gid: int | None = None
    pid: int | None = None
    """Of a unix peer, by `SO_PEERCRED`."""
    certificate_names: tuple[str, ...] = ()
    """URI names, else DNS names of the verified client certificate."""


class Request(msgspec.Struct, frozen=True):  # PERF: made for each request, several times as fast as a frozen dataclass
    """One HTTP request with its whole body; trailer fields are not part of `headers` (G11)."""

    method: str
    """The method token as sent."""
    raw_path: bytes
    """Path of the request line as sent, without the query."""
    raw_query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Lower-case names and values in the order sent; a name may occur more than once."""
    body: bytes = b""
    peer: Peer = Peer()
    is_tls: bool = False
    """Whether the connection of `peer` has TLS."""
    client_address: str | None = None
    """IP address of the end client (G36): that of the peer, or what a trusted proxy states; None if it is not known."""
    client_is_tls: bool = False
    """Whether the end client used TLS, by the same rule."""
    identity: Identity | None = None
    """Who the listener or protocol authenticated; None where the protocol authenticates by itself (AWS)."""
    request_id: str = ""
    """Decision id of this request (UUIDv7), made by the application."""

    @property
    def path(self) -> str:
        """The raw path as text; bytes outside ASCII are refused at the edge."""
        return self.raw_path.decode("ascii", "replace")

    def header(self, name: bytes) -> bytes | None:
        """The only field of that lower-case name; None if it is absent or sent more than once."""
        found = [value for key, value in self.headers if key == name]
        return found[0] if len(found) == 1 else None

    def header_values(self, name: bytes) -> list[bytes]:
        """All fields of that lower-case name, in order."""
        return [value for key, value in self.headers if key == name]


@dataclass(slots=True)
class Response:
    """What a protocol answers. The application adds `date`, `content-length` and the request id where its route says so."""

    status: int
    body: bytes | Iterator[bytes] = b""
    content_type: str | None = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Further fields; names in lower case."""
    record: Record | None = None
    """What the decision log and the metrics get; None if nothing was decided."""
    close: bool = False
    """Close the connection after this answer."""


def merged(headers: tuple[tuple[bytes, bytes], ...], more: Mapping[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
    """Header fields with some added or replaced."""
    return (*(pair for pair in headers if pair[0] not in more), *more.items())
