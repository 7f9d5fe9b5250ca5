"""Envoy's external authorization, v3: the checks, and their form over HTTP (docs/envoy.md). `server/grpc.py` has that of gRPC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import orjson

from fastiam.server.config import ConfigError
from fastiam.server.decider import Decider
from fastiam.server.http import JSON, Request, Response
from fastiam.server.identity import DECIDE, Identity
from fastiam.server.listeners import read_address
from fastiam.server.protocol import MIB, Route, Site
from fastiam.server.protocols.extauthz.checks import ALLOWED, Answer, CheckRequest
from fastiam.server.protocols.extauthz.core import Core
from fastiam.server.protocols.extauthz.extauthz_answers import OUTCOME
from fastiam.server.protocols.extauthz.extauthz_section import GrpcSection, Section

__all__ = ["Answer", "CheckRequest", "ExtAuthz", "Section", "create"]

PREFIX: Final = "/extauthz/"
UNAUTHENTICATED: Final = Identity("unauthenticated", frozenset())


class ExtAuthz:
    """The protocol: `core` for gRPC, and the route of HTTP."""

    name = "extauthz"

    def __init__(self, core: Core, timeout: float, timer: Callable[[], int]) -> None:
        self.core = core
        self._timeout_ns, self._timer = round(timeout * 1e9), timer

    def routes(self) -> Sequence[Route]:
        """Every method and path below the prefix."""
        return [
            Route(
                PREFIX,
                self.handle,
                methods=None,
                scope=DECIDE,
                max_body=MIB,
                is_prefix=True,
                checks_host=False,
                errors=edge_error,
            )
        ]

    def handle(self, request: Request, decider: Decider, now: datetime) -> Response:
        """Answer a check that came by HTTP."""
        identity, began = request.identity or UNAUTHENTICATED, self._timer()
        answer = self.core.check(read_check(request), decider, identity, now, request.request_id)
        if self._timer() - began > self._timeout_ns:  # Envoy has taken its own decision by then (G83)
            return edge_error(503, "timeout", "the check took too long")
        return write_answer(answer)


def read_check(request: Request) -> CheckRequest:
    """The check in a request of Envoy: its own target and headers are those of the client."""
    target = request.raw_path[len(PREFIX) - 1 :]
    if request.raw_query:
        target += b"?" + request.raw_query
    host = request.header(b"host")
    # The address of Envoy is not that of the client: it is known only if a trusted proxy states another one.
    is_known = request.client_address is not None and request.client_address != request.peer.address
    return CheckRequest(
        request.method,
        target,
        "" if host is None else host.decode("latin-1"),
        request.headers,
        True,
        request.body,
        source_address=request.client_address if is_known else None,
        is_tls=is_known and request.client_is_tls,
    )


def write_answer(answer: Answer) -> Response:
    """The response to Envoy. Everything in a denial reaches the client (G92)."""
    headers = [(name.encode(), value.encode()) for name, value in answer.headers if name != "content-type"]
    if answer.code != ALLOWED:
        return Response(answer.status, answer.body, JSON, tuple(headers), answer.record)
    if "outcome" in answer.metadata:
        headers.append((OUTCOME.encode(), str(answer.metadata["outcome"]).encode()))
    headers.append((b"x-envoy-auth-headers-to-remove", ",".join(answer.remove).encode()))
    return Response(200, b"", None, tuple(headers), answer.record)


def edge_error(status: int, code: str, message: str) -> Response:
    """An error of the edge without details: the client gets it."""
    return Response(status, orjson.dumps({"error": "access_denied" if status < 500 else "unavailable"}))


def create(section: Section, site: Site) -> ExtAuthz:
    """The protocol of a configuration.

    Raises
    ------
    SourceError, UnmetNeed, ConfigError
        it cannot be served here.
    """
    is_safe = True
    if section.grpc is not None:
        is_safe = check_address(section.grpc)
        if not is_safe:
            site.warn(f"extauthz.grpc: {section.grpc.address} is open to the network without authentication")
    return ExtAuthz(Core(section, site, address_is_safe=is_safe), section.timeout, site.timer)


def check_address(settings: GrpcSection) -> bool:
    """Whether clients of the gRPC address are known: it is local, or they have certificates.

    Raises
    ------
    ConfigError
        they are not, and the configuration does not say that this is meant.
    """
    address = read_address(settings.address)
    is_safe = address.is_unix or address.is_loopback or (settings.tls is not None and settings.tls.client_ca is not None)
    if not is_safe and not settings.insecure:
        hint = "listen on loopback or a unix socket, require certificates by `tls.client_ca`, or set `insecure = true`"
        raise ConfigError(f"extauthz.grpc: {address} is not on loopback, and clients prove nothing\nhelp: {hint}")
    if address.is_unix and settings.tls is not None:
        raise ConfigError("extauthz.grpc: a unix socket has no TLS")
    return is_safe
