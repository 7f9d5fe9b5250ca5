"""The pages of the playground and their routes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, Final
from urllib.parse import urlsplit

from fastiam.aws_data.catalog import AwsData
from fastiam.errors import FastiamError, RequestValueError, did_you_mean
from fastiam.model.request import shorten
from fastiam.server.decider import Decider, Pinned
from fastiam.server.http import Request, Response
from fastiam.server.identity import EXPLAIN, PLAYGROUND
from fastiam.server.protocol import Place, Route
from fastiam.server.protocols.playground.deciding import KIND_NAMES, changed, decided, findings_of
from fastiam.server.protocols.playground.forms import LAYERS, MAX_CHARACTERS, DecideForm, FormError, context_of, fields_of
from fastiam.server.protocols.playground.rendering import Renderer

BASE: Final = "/playground/"
MAX_ROWS: Final = 200
_MAX_BODY: Final = 16 << 20  # 32 documents of 131,072 characters, percent-encoded (GC241)
_GET: Final = frozenset({"GET", "HEAD"})
_POST: Final = frozenset({"POST"})
_SAME_SITE: Final = (b"same-origin", b"none")

_EXAMPLE: Final = DecideForm(
    principal="arn:aws:iam::111111111111:user/ana",
    action="s3:GetObject",
    resource="arn:aws:s3:::reports/ana/may.csv",
    resource_account="111111111111",
    context="aws:SourceIp = 203.0.113.9",
    documents={
        "identity": """{
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "ReadOwn", "Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::reports/${aws:username}/*"},
    {"Sid": "OfficeOnly", "Effect": "Deny", "Action": "s3:*", "Resource": "*",
     "Condition": {"NotIpAddress": {"aws:SourceIp": "198.51.100.0/24"}}}
  ]
}
"""
    },
)

_Page = Callable[[Request, Decider, datetime], Response]


class Playground:
    """Pages Decide, Explore, Change and Findings. Pages of the loaded directory need the scope `explain` (G202)."""

    name = "playground"

    def __init__(self, renderer: Renderer, *, has_directory: bool) -> None:
        self._renderer, self._has_directory = renderer, has_directory

    def routes(self) -> Sequence[Route]:
        """Pages by GET, forms by POST in the slow part of the pool, and the static files by a fixed table."""
        pages: list[tuple[str, frozenset[str], _Page]] = [
            ("", _GET, self._decide_page),
            ("decide", _POST, self._decide),
            ("change", _GET, self._change_page),
            ("change", _POST, self._change),
            ("findings", _GET, self._findings_page),
            ("findings", _POST, self._findings),
        ]
        if self._has_directory:
            pages += [
                ("explore", _GET, self._explore_page),
                ("who-can", _POST, self._who_can),
                ("what-can", _POST, self._what_can),
            ]
        by_path: dict[str, dict[str, _Page]] = {}
        for path, methods, page in pages:
            for method in methods:
                by_path.setdefault(path, {})[method] = page
        routes = [self._route(BASE + path, by_method) for path, by_method in by_path.items()]
        routes += [
            Route(f"{BASE}static/{name}", partial(_static, response), _GET, PLAYGROUND)
            for name, response in self._renderer.static.items()
        ]
        return [*routes, Route(BASE[:-1], _moved, _GET, PLAYGROUND)]

    def _route(self, path: str, by_method: dict[str, _Page]) -> Route:
        def handler(request: Request, decider: Decider, now: datetime) -> Response:
            if request.method == "POST" and not is_own(request):
                return self._message(403, "This form was sent from another site.")
            return by_method[request.method](request, decider, now)

        def place(request: Request) -> Place:
            return Place.SLOW if request.method == "POST" else Place.LOOP

        return Route(
            path,
            handler,
            frozenset(by_method),
            PLAYGROUND,
            max_body=_MAX_BODY,
            place=place,
            errors=lambda status, code, message: self._message(status, _EDGE.get(status, message)),
        )

    def _render(self, template: str, status: int = 200, **values: Any) -> Response:
        return self._renderer.page(template, status, base=BASE, has_directory=self._has_directory, **values)

    def _message(self, status: int, message: str) -> Response:
        return self._render("message.html", status, title="Not answered", message=message)

    # -- Decide ---------------------------------------------------------------------------------------------------------

    def _decide_page(self, request: Request, decider: Decider, now: datetime) -> Response:
        return self._decide_form(_EXAMPLE)

    def _decide(self, request: Request, decider: Decider, now: datetime) -> Response:
        try:
            form = DecideForm.of(fields_of(request.body))
        except FormError as error:
            return self._message(400, str(error))
        try:
            return self._decide_form(form, verdict=decided(form, now))
        except FormError as error:
            return self._decide_form(form, status=400, error=str(error))
        except FastiamError as error:
            return self._decide_form(form, error=str(error))

    def _decide_form(self, form: DecideForm, status: int = 200, verdict: Any = None, error: str | None = None) -> Response:
        return self._render(
            "decide.html", status, title="Decide", form=form, layers=LAYERS, verdict=verdict, error=error, limit=MAX_CHARACTERS
        )

    # -- Explore --------------------------------------------------------------------------------------------------------

    def _explore_page(self, request: Request, decider: Decider, now: datetime) -> Response:
        return self._explore(request, decider)

    def _explore(self, request: Request, decider: Decider, **answer: Any) -> Response:
        if request.identity is None or not request.identity.has(EXPLAIN):
            return self._message(403, "Pages about the loaded directory need the scope `explain`.")
        directory = decider.pin().directory
        if directory is None:
            return self._message(404, "The server has no directory.")
        principals, resources = directory.principals(), directory.resources()
        values = {"who": None, "what": None, "error": None, "asked": {}, **answer}
        return self._render(
            "explore.html",
            title="Explore",
            principals=list(islice(principals, MAX_ROWS)),
            n_principals=len(principals),
            resources=list(islice(resources, MAX_ROWS)),
            n_resources=len(resources),
            most=MAX_ROWS,
            **values,
        )

    def _who_can(self, request: Request, decider: Decider, now: datetime) -> Response:
        def ask(pinned: Pinned, fields: dict[str, str]) -> dict[str, Any]:
            found = pinned.engine.who_can(
                fields["action"], fields["resource"], context_of(fields.get("context", "")), unknown=("*",), now=now
            )
            return {"who": found[:MAX_ROWS], "n_who": len(found)}

        return self._asked(request, decider, ("action", "resource"), ask)

    def _what_can(self, request: Request, decider: Decider, now: datetime) -> Response:
        def ask(pinned: Pinned, fields: dict[str, str]) -> dict[str, Any]:
            principal = fields["principal"]
            found = pinned.engine.what_can(principal, None, context_of(fields.get("context", "")))
            if not found and pinned.directory is not None and principal not in (known := pinned.directory.principals()):
                hint = did_you_mean(principal, known)
                raise RequestValueError(f"the directory has no record of `{shorten(principal)}`", column="principal", hint=hint)
            return {"what": found[:MAX_ROWS], "n_what": len(found)}

        return self._asked(request, decider, ("principal",), ask)

    def _asked(
        self,
        request: Request,
        decider: Decider,
        needed: tuple[str, ...],
        ask: Callable[[Pinned, dict[str, str]], dict[str, Any]],
    ) -> Response:
        if request.identity is None or not request.identity.has(EXPLAIN):
            return self._message(403, "Pages about the loaded directory need the scope `explain`.")
        try:
            fields = {name: value.strip() for name, value in fields_of(request.body).items()}
            asked = {name: fields.get(name, "") for name in (*needed, "context")}
            return self._explore(request, decider, asked=asked, **ask(decider.pin(), asked))
        except FormError as error:
            return self._message(400, str(error))
        except FastiamError as error:
            return self._explore(request, decider, asked=asked, error=str(error))

    # -- Change and Findings --------------------------------------------------------------------------------------------

    def _change_page(self, request: Request, decider: Decider, now: datetime) -> Response:
        return self._change_form({"before": "", "after": "", "side": "identity"})

    def _change(self, request: Request, decider: Decider, now: datetime) -> Response:
        fields, problem = self._texts(request, ("before", "after"))
        if problem is not None:
            return problem
        fields["side"] = "scp" if fields.get("side") == "scp" else "identity"
        try:
            groups, rows, unseen = changed(fields["before"], fields["after"], fields["side"])
        except FastiamError as error:
            return self._change_form(fields, error=str(error))
        return self._change_form(fields, groups=groups, rows=rows, unseen=unseen)

    def _change_form(self, fields: dict[str, str], **answer: Any) -> Response:
        values = {"groups": None, "rows": 0, "unseen": (), "error": None, **answer}
        return self._render("change.html", title="Change", fields=fields, **values)

    def _findings_page(self, request: Request, decider: Decider, now: datetime) -> Response:
        return self._render("findings.html", title="Findings", text="", kind="identity", kinds=KIND_NAMES, findings=None)

    def _findings(self, request: Request, decider: Decider, now: datetime) -> Response:
        fields, problem = self._texts(request, ("text",))
        if problem is not None:
            return problem
        kind = fields.get("kind", "identity")
        if kind not in KIND_NAMES:
            return self._message(400, "The form names no kind of policy.")
        found = findings_of(fields["text"], kind)
        values: dict[str, Any] = {"kind": kind, "kinds": KIND_NAMES, "findings": found, "data_date": AwsData.installed().date}
        return self._render("findings.html", title="Findings", text=fields["text"], **values)

    def _texts(self, request: Request, names: tuple[str, ...]) -> tuple[dict[str, str], Response | None]:
        """The fields of a form with text areas, or the page that says why it is refused."""
        try:
            fields = fields_of(request.body)
        except FormError as error:
            return {}, self._message(400, str(error))
        for name in names:
            if len(fields.setdefault(name, "")) > MAX_CHARACTERS:
                return {}, self._message(400, f"A text has more than {MAX_CHARACTERS:,} characters.")
        return fields, None


def is_own(request: Request) -> bool:
    """Whether a form was sent by a page of this server (G205); `Host` is checked by the application (G32)."""
    origins, sites, hosts = (request.header_values(name) for name in (b"origin", b"sec-fetch-site", b"host"))
    if len(origins) > 1 or len(sites) > 1 or len(hosts) != 1:
        return False
    if not origins:
        return bool(sites) and sites[0] in _SAME_SITE
    if origins[0] == b"null":  # what browsers send with a form of a page whose referrer policy is `no-referrer`, ours too
        return sites == [b"same-origin"]
    try:
        origin = urlsplit(origins[0].decode("ascii"))
    except ValueError:
        return False
    scheme = "https" if request.is_tls else "http"
    return origin.scheme == scheme and origin.netloc.lower().encode() == hosts[0].lower() and not origin.path.strip("/")


_EDGE: Final = {
    503: "This took too long and was given up, or the server is busy. Try a smaller policy, or try again.",
    413: "The form is too large.",
}


def _static(response: Response, request: Request, decider: Decider, now: datetime) -> Response:
    return response


def _moved(request: Request, decider: Decider, now: datetime) -> Response:
    return Response(308, b"", None, ((b"location", BASE.encode()),))
