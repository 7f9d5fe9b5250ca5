"""What Envoy asks and what it gets, as values: the same for gRPC and HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from fastiam.server.decider import Pinned
from fastiam.server.decision_records import Record
from fastiam.server.mapping import KnownRecords, MappingError

ALLOWED: Final = 0
DENIED: Final = 7
UNIDENTIFIED: Final = 16
"""Codes of gRPC."""
_PARTIAL_BODY: Final = b"x-envoy-auth-partial-body"


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """A request of a client, as Envoy describes it. The default is the empty CheckRequest."""

    method: str = ""
    """As sent."""
    target: bytes = b""
    """Path and query string as sent."""
    host: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Lower-case names; pseudo headers are left out."""
    is_merged: bool = False
    """Values of one name may be joined by a comma (G90)."""
    body: bytes = b""
    hides_body: bool = False
    """The request has a body that Envoy did not pass on."""
    source_principal: str = ""
    """Name in the certificate of the client; by gRPC only."""
    source_address: str | None = None
    """IP address of the client."""
    is_tls: bool = False
    """The client uses TLS."""
    jwt: Mapping[str, Any] = field(default_factory=dict)
    """Metadata of Envoy's filter `jwt_authn`: payload name -> claims. By gRPC only."""
    extensions: Mapping[str, str] = field(default_factory=dict)
    """`context_extensions` of the route, by gRPC only."""
    instant: datetime | None = None
    """When Envoy got the request."""

    @property
    def has_whole_body(self) -> bool:
        """Whether `body` is all of the body: with `with_request_body` Envoy says so on each request, by `false`."""
        stated = {value for name, value in self.headers if name == _PARTIAL_BODY}
        return not self.hides_body and stated <= {b"false"}

    def values(self, name: str) -> list[str]:
        """The values of a header in order.

        Raises
        ------
        MappingError
            one is not UTF-8. Left out, it would match no condition, and the upstream gets it all the same (G90).
        """
        wanted = name.encode("ascii", "replace")
        try:
            return [value.decode() for key, value in self.headers if key == wanted]
        except UnicodeDecodeError:
            raise MappingError("bad_character", f"the header `{name}` is not UTF-8", "$.headers") from None

    def single(self, name: str) -> str | None:
        """The value of a header that has one value; None if it is absent.

        Raises
        ------
        MappingError
            it was sent more than once, or is not UTF-8.
        """
        found = self.values(name)
        if len(found) > 1 or (found and self.is_merged and "," in found[0]):
            raise MappingError("two_values", f"the header `{name}` has more than one value", "$.headers")
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What Envoy gets."""

    code: int
    """`ALLOWED`, `DENIED` or `UNIDENTIFIED`."""
    status: int
    """200, 403 or 401."""
    headers: tuple[tuple[str, str], ...] = ()
    """For the upstream if it is allowed, else for the client."""
    remove: tuple[str, ...] = ()
    """Headers that the upstream must not get."""
    body: bytes = b""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    record: Record | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """What sources are read with: one generation and the time."""

    pinned: Pinned
    records: KnownRecords
    now: datetime


class Unidentified(Exception):
    """There is no principal, or one that is not right: 401. No other source is tried then."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)
