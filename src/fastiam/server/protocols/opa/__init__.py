"""The data API of OPA over IAM policies, with the requests of Trino (docs/opa.md)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import orjson

from fastiam.errors import FastiamError
from fastiam.server.decider import Decider
from fastiam.server.decision_records import Record
from fastiam.server.http import Request, Response
from fastiam.server.identity import DECIDE, Identity
from fastiam.server.mapping import EntityMapping, FactRules, RequestRefused, config_error
from fastiam.server.protocol import MIB, Place, Route, ServerProtocol, Site
from fastiam.server.protocols.opa.deciding import GenericPath, Path, TrinoAllow, TrinoBatch, View, joined
from fastiam.server.protocols.opa.generic import BARE, Generic
from fastiam.server.protocols.opa.opa_answers import UNDEFINED, Call, Form, edge_error, error, read_call, undefined_document
from fastiam.server.protocols.opa.opa_section import PathSection, Section
from fastiam.server.protocols.opa.trino import COLUMN_MASK, ROW_FILTERS, Trino, operation_of

__all__ = ["Opa", "Section", "create"]

_PATH = re.compile(r"[\w.~-]+(/[\w.~-]+)*", re.ASCII)
_V1: Final = "/v1/data/"
_V0: Final = "/v0/data/"
_LARGE: Final = 256 * 1024  # bytes: a larger body takes milliseconds to read, so it is read in a thread
_UNAUTHENTICATED: Final = Identity("unauthenticated", frozenset())


class Opa:
    """The protocol over configured paths. Each request is answered by one generation (G3)."""

    name = "opa"

    def __init__(self, paths: Mapping[str, Path], mapping: EntityMapping, section: Section, site: Site) -> None:
        self._paths, self._mapping, self._below = paths, mapping, _parents(paths)
        self._default = section.default_decision
        self._form, self._timer, self._logs_items = Form(site.logs_decisions), site.timer, site.logs_items
        self._view: View | None = None

    def routes(self) -> Sequence[Route]:
        """The data API, health, and the default decision if there is one."""
        return [
            self._route(_V1, partial(self._answer, _V1, False), {"GET", "POST"}),
            self._route(_V0, partial(self._answer, _V0, True), {"POST"}),
            self._route(_V1[:-1], partial(self._answer, _V1[:-1], False), {"GET", "POST"}),
            self._route(_V0[:-1], partial(self._answer, _V0[:-1], True), {"POST"}),
            Route("/health", self.health, frozenset({"GET"}), errors=edge_error),
            *([] if self._default is None else [self._route("/", self._answer_default, {"POST"})]),
        ]

    @staticmethod
    def _route(path: str, handler: Callable[[Request, Decider, datetime], Response], methods: set[str]) -> Route:
        return Route(
            path,
            handler,
            frozenset(methods),
            scope=DECIDE,
            max_body=16 * MIB,
            place=_place,
            is_prefix=path in (_V0, _V1),
            errors=edge_error,
        )

    def health(self, request: Request, decider: Decider, now: datetime) -> Response:
        """Whether the process answers; with `bundles` or `plugins` whether policies are loaded (G106)."""
        names = {part.partition(b"=")[0] for part in request.raw_query.split(b"&")}
        if names & {b"bundles", b"plugins"}:
            try:
                decider.pin()
            except FastiamError:
                return Response(500, orjson.dumps({"error": "no policies are loaded"}))
        return Response(200, b"{}")

    def _answer_default(self, request: Request, decider: Decider, now: datetime) -> Response:
        assert self._default is not None
        return self._answer_path(self._default, True, request, decider, now)

    def _answer(self, prefix: str, is_bare: bool, request: Request, decider: Decider, now: datetime) -> Response:
        return self._answer_path(request.path.removeprefix(prefix), is_bare, request, decider, now)

    def _answer_path(self, name: str, is_bare: bool, request: Request, decider: Decider, now: datetime) -> Response:
        began = self._timer()
        try:
            call = read_call(request, name, is_bare=is_bare)
            path = self._paths.get(name)
            if not (path is not None and path.is_trino) and operation_of(call.input) in (ROW_FILTERS, COLUMN_MASK):
                raise undefined_document("row filters and column masks are not configured at this path")
            view, read = self._pinned(decider), self._timer()
            identity = request.identity or _UNAUTHENTICATED
            if path is None:
                result, record = self._decide_below(call, view, identity, now)
            else:
                result, record = path.decide(call, view, identity, now)
            return self._finish(call, result, record, view, began, read)
        except RequestRefused as refused:
            return error(refused.status, refused.code, refused.message)

    def _decide_below(self, call: Call, view: View, identity: Identity, now: datetime) -> tuple[Any, Record | None]:
        """The document of a path that has others below it, as packages of OPA have rules; undefined if there are none."""
        below = self._below.get(call.path)
        if below is None:
            return UNDEFINED, None
        document: dict[str, Any] = {}
        records: list[Record] = []
        for names, path in below:
            try:
                result, record = path.decide(call, view, identity, now)
            except RequestRefused:
                continue  # undefined for this input
            at = document
            for name in names[:-1]:
                at = at.setdefault(name, {})
            at[names[-1]] = result
            records += [] if record is None else [record]
        return document, joined(f"opa/{call.path}", records, logs_items=view.logs_items)

    def _finish(self, call: Call, result: Any, record: Any, view: View, began: int, read: int) -> Response:
        ended = self._timer()
        return self._form.answer(call, result, view.generation, (ended - began, ended - read), record)

    def _pinned(self, decider: Decider) -> View:
        pinned, view = decider.pin(), self._view
        if view is None or view.engine is not pinned.engine or view.generation != pinned.generation:
            # Two threads may do this at the same time. Each uses the view that it made.
            self._view = view = View(pinned, self._mapping, logs_items=self._logs_items)
        return view


def _parents(paths: Mapping[str, Path]) -> dict[str, list[tuple[list[str], Path]]]:
    """The paths below each path, by the names that lead to them; "" is above all."""
    found: dict[str, list[tuple[list[str], Path]]] = {}
    for name, path in paths.items():
        names = name.split("/")
        for depth in range(len(names)):
            found.setdefault("/".join(names[:depth]), []).append((names[depth:], path))
    return found


def _place(request: Request) -> Place:
    return Place.POOL if len(request.body) > _LARGE else Place.LOOP


def create(section: Section, site: Site) -> ServerProtocol:
    """The protocol of a configuration.

    Raises
    ------
    SourceError
        a path, pointer, template or name of the section is wrong.
    """
    mapping = EntityMapping.of(
        section.subjects,
        section.resources,
        section.actions,
        has_directory=site.has_directory,
        at="opa",
    )
    rules = FactRules(section.context, BARE, allow_now=section.allow_now, at="opa.context")
    trino = None if section.trino is None else Trino(section.trino, has_directory=site.has_directory)
    paths = {name: _path(name, one, mapping, rules, trino) for name, one in section.paths.items()}
    for name in paths:
        above = next((parent for parent in paths if name.startswith(f"{parent}/")), None)
        if above is not None:
            raise config_error(f"`{above}` is a decision, and no path can be below it", f"opa.paths.{name}", "rename one of them")
    if section.default_decision is not None and section.default_decision not in paths:
        hint = f'add `[opa.paths."{section.default_decision}"]`'
        raise config_error(f"`{section.default_decision}` is not configured", "opa.default_decision", hint)
    return Opa(paths, mapping, section, site)


def _path(name: str, section: PathSection, mapping: EntityMapping, rules: FactRules, trino: Trino | None) -> Path:
    at = f"opa.paths.{name}"
    if not _PATH.fullmatch(name):
        raise config_error(f"`{name}` is not a path", at, "write it without `/v1/data/`, for example `trino/allow`")
    if section.shape == "generic":
        return GenericPath(f"opa/{name}", Generic(section, mapping, rules, at), section.result)
    if trino is None:
        raise config_error(f"shape `{section.shape}` needs a mapping of users", at, "add `[opa.trino]`")
    other = [field for field in PathSection.__struct_fields__ if field != "shape" and getattr(section, field) != _PLAIN[field]]
    if other:
        raise config_error(f"shape `{section.shape}` has no `{other[0]}`", f"{at}.{other[0]}", "leave it out")
    return (TrinoBatch if section.shape == "trino.batch" else TrinoAllow)(f"opa/{name}", trino)


_PLAIN: Final = {field: getattr(PathSection(), field) for field in PathSection.__struct_fields__}
