"""AuthZEN Authorization API 1.0: evaluations, searches and metadata (docs/authzen.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from fastiam.server.decider import Decider
from fastiam.server.http import Request, Response
from fastiam.server.identity import DECIDE, SEARCH, Identity
from fastiam.server.mapping import EntityMapping
from fastiam.server.protocol import Place, Route, ServerProtocol, Site
from fastiam.server.protocols.authzen.authzen_answers import Reasons, View
from fastiam.server.protocols.authzen.authzen_search import Kind, answer_search
from fastiam.server.protocols.authzen.authzen_section import Section
from fastiam.server.protocols.authzen.candidates import Candidates
from fastiam.server.protocols.authzen.evaluation import answer_evaluation, answer_evaluations
from fastiam.server.protocols.authzen.metadata import document, well_known_path

__all__ = ["AuthZen", "Section", "create"]

_Answering = Callable[[View, Request, Identity, Reasons, datetime], Response]
_KINDS: Final[tuple[Kind, ...]] = ("subject", "resource", "action")
_SMALL: Final = 64 * 1024  # bytes of a body: 100 items written out in full have some 40 KiB
_PLAIN: Final = 128 * 1024  # the same without properties: 1,000 items with defaults have some 96 KiB, and take 0.5 ms
UNAUTHENTICATED: Final = Identity("unauthenticated", frozenset())


def _place(request: Request) -> Place:
    """The loop, except for large batches and those of several hundred items with properties: session tags take 0.1 ms an item."""
    size = len(request.body)
    is_fast = size <= _SMALL or (size <= _PLAIN and b'"properties"' not in request.body)
    return Place.LOOP if is_fast else Place.POOL


class AuthZen:
    """The protocol over one mapping. Each request is answered by one generation (G3)."""

    name = "authzen"

    def __init__(self, mapping: EntityMapping, site: Site, section: Section) -> None:
        self._mapping, self._reasons = mapping, section.reasons
        self._site, self._allows_http = site, section.metadata_http
        self._view: View | None = None
        self._candidates: Candidates | None = None
        self._routes = self._make_routes()

    def routes(self) -> Sequence[Route]:
        """The endpoints: searches over a directory only, metadata with a public URL only."""
        return self._routes

    def _make_routes(self) -> list[Route]:
        routes = [
            self._route("/access/v1/evaluation", partial(self._answer, answer_evaluation), DECIDE),
            self._route("/access/v1/evaluations", partial(self._answer, answer_evaluations), DECIDE),
        ]
        if self._site.has_directory:
            routes += [self._route(f"/access/v1/search/{kind}", partial(self._search, kind), SEARCH) for kind in _KINDS]
        if self._site.public_url is not None:
            path = well_known_path(self._site.public_url, allow_http=self._allows_http)
            describe = partial(document, self._site.public_url, [route.path for route in routes])
            methods = frozenset({"GET", "HEAD"})
            routes.append(Route(path, lambda *_: describe(), methods, authenticates=False, echoes_request_id=True))
        return routes

    @staticmethod
    def _route(path: str, handler: Callable[[Request, Decider, datetime], Response], scope: str) -> Route:
        place = Place.SLOW if scope == SEARCH else _place
        return Route(path, handler, scope=scope, place=place, echoes_request_id=True)

    def _pinned(self, decider: Decider) -> View:
        pinned, view = decider.pin(), self._view
        if view is None or view.engine is not pinned.engine or view.generation != pinned.generation:
            # Two threads may do this at the same time. Each uses the view that it made.
            self._view = view = View(pinned, self._mapping, logs_items=self._site.logs_items)
        return view

    def _answer(self, answering: _Answering, request: Request, decider: Decider, now: datetime) -> Response:
        return answering(self._pinned(decider), request, request.identity or UNAUTHENTICATED, self._reasons, now)

    def _search(self, kind: Kind, request: Request, decider: Decider, now: datetime) -> Response:
        view = self._pinned(decider)
        candidates = self._candidates
        if candidates is None or candidates.view is not view:
            self._candidates = candidates = Candidates(view)
        return answer_search(kind, view, candidates, request, request.identity or UNAUTHENTICATED, self._reasons, now)


def create(section: Section, site: Site) -> ServerProtocol:
    """The protocol of a configuration.

    Raises
    ------
    SourceError
        a template, name or value of the section, or the public URL, is wrong.
    """
    return AuthZen(section.mapping(has_directory=site.has_directory), site, section)
