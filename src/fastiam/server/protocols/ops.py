"""Health, version and metrics of the process (G180, G181)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import orjson

from fastiam.server import protocol
from fastiam.server.decider import Decider
from fastiam.server.http import Request, Response
from fastiam.server.identity import METRICS
from fastiam.server.protocol import Route, Site, Status

_GET = frozenset({"GET", "HEAD"})


class Section(protocol.Section, frozen=True, kw_only=True):
    """`[ops]`."""


class Ops:
    """`/livez`, `/readyz`, `/version` and `/metrics`.

    Over a listener beyond loopback that asks for no proof, nothing is shown but whether the process is ready, and the metrics.
    """

    name = "ops"

    def __init__(self, status: Status) -> None:
        self._status = status

    def routes(self) -> Sequence[Route]:
        """The four paths. Probes of an orchestrator do not send our `Host`."""
        return (
            Route("/livez", self.live, _GET, checks_host=False),
            Route("/readyz", self.ready, _GET, checks_host=False),
            Route("/version", self.version, _GET),
            Route("/metrics", self.metrics, _GET),
        )

    def live(self, request: Request, decider: Decider, now: datetime) -> Response:
        """The process answers."""
        return Response(200, b"ok", "text/plain; charset=utf-8")

    def ready(self, request: Request, decider: Decider, now: datetime) -> Response:
        """Whether policies are loaded and the process is not stopping."""
        is_ready, members = self._status.ready()
        if request.identity is None or not request.identity.has(METRICS):
            members = {key: members[key] for key in ("ready", "stopping")}
        return Response(200 if is_ready else 503, orjson.dumps(members))

    def version(self, request: Request, decider: Decider, now: datetime) -> Response:
        """What runs here."""
        identity = request.identity
        if identity is None or not identity.has(METRICS):
            is_hidden = identity is not None and identity.is_anonymous
            return _error(404, "not_found", "no such path") if is_hidden else _error(403, "no_scope", "the scope is missing")
        return Response(200, orjson.dumps(self._status.version()))

    def metrics(self, request: Request, decider: Decider, now: datetime) -> Response:
        """The metrics, as text or OpenMetrics by `Accept`."""
        identity = request.identity
        if identity is not None and not identity.is_anonymous and not identity.has(METRICS):
            return _error(403, "no_scope", "the scope is missing")
        accept = request.header(b"accept") or b""
        body, content_type = self._status.metrics(accept.decode("latin-1"))
        return Response(200, body, content_type)


def create(section: Section, site: Site) -> Ops:
    """The protocol from its section."""
    assert site.status is not None
    return Ops(site.status)


def _error(status: int, code: str, message: str) -> Response:
    return Response(status, orjson.dumps({"error": {"code": code, "message": message}}))
