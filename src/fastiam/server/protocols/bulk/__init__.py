"""Bulk decisions, and analyses about who can do what (docs/bulk.md)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from fastiam.server.decider import Decider
from fastiam.server.http import Request, Response
from fastiam.server.identity import BULK, EXPLAIN, PLAYGROUND, SEARCH, Identity
from fastiam.server.mapping import MappingError, RequestRefused
from fastiam.server.protocol import Place, Route, ServerProtocol, Site, StreamRoute
from fastiam.server.protocols.bulk import analyses
from fastiam.server.protocols.bulk.bulk_section import Section
from fastiam.server.protocols.bulk.gate import Principals
from fastiam.server.protocols.bulk.parameters import Form, read_parameters
from fastiam.server.protocols.bulk.stream import Processor, Slots, error, refusal

__all__ = ["Bulk", "Section", "create"]

_UNAUTHENTICATED = Identity("unauthenticated", frozenset())


class Bulk:
    """The protocol. Each request is answered by one generation (G3)."""

    name = "bulk"

    def __init__(self, section: Section, site: Site) -> None:
        self._threads, self._logs_items = section.threads, site.logs_items
        self._principals = Principals()
        self._slots = Slots(section.streams)

    def routes(self) -> Sequence[Route | StreamRoute]:
        """Streams of decisions, and the analyses."""
        asked = {
            "who-can": (analyses.answer_who_can, SEARCH),
            "what-can": (analyses.answer_what_can, SEARCH),
            "explain": (analyses.answer_explain, EXPLAIN),
        }
        return [
            StreamRoute("/v1/decisions", self.open, scope=BULK),
            *(
                Route(f"/v1/{name}", partial(self._answer, answering), scope=scope, place=Place.SLOW)
                for name, (answering, scope) in asked.items()
            ),
            Route("/v1/diff", self._compare, scope=PLAYGROUND, place=Place.SLOW),
        ]

    def _answer(self, answering: analyses.Answering, request: Request, decider: Decider, now: datetime) -> Response:
        return answering(request, request.identity or _UNAUTHENTICATED, decider.pin(), now)

    @staticmethod
    def _compare(request: Request, decider: Decider, now: datetime) -> Response:
        from fastiam.server.protocols.bulk.comparison import answer_diff  # PERF: it needs what reads and compares policies

        return answer_diff(request)

    def open(self, request: Request, decider: Decider, now: datetime) -> tuple[Response, Processor | None]:
        """Begin to answer `POST /v1/decisions`."""
        identity = request.identity or _UNAUTHENTICATED
        try:
            parameters = read_parameters(request, identity, now, self._threads)
        except RequestRefused as refused:
            return error(refused.status, refused.code, refused.message), None
        except MappingError as fault:
            return refusal(fault), None
        pinned = decider.pin()
        try:
            processor = Processor(pinned, parameters, identity, self._principals, self._slots, logs_items=self._logs_items)
        except ModuleNotFoundError as missing:
            if missing.name != "pyarrow":
                raise
            status = 415 if parameters.source is Form.ARROW else 406
            return error(status, "bad_content_type", "the server has no library for Arrow"), None
        headers = ((b"x-fastiam-generation", b"%d" % pinned.generation),)
        return Response(200, content_type=parameters.answer.types[0], headers=headers), processor


def create(section: Section, site: Site) -> ServerProtocol:
    """The protocol of a configuration."""
    return Bulk(section, site)
