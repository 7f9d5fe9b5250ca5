"""`POST /v1/diff`: what two versions of some policies decide differently (G166)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson

from fastiam.analysis.access.diff import diff
from fastiam.api.directory import Directory
from fastiam.api.engine import Engine
from fastiam.errors import FastiamError, RequestValueError
from fastiam.server.http import Request, Response
from fastiam.server.mapping import MappingError, read_instant
from fastiam.server.protocols.bulk.analyses import read_body
from fastiam.server.protocols.bulk.stream import error, refusal
from fastiam.server.reasons import client_form

MAX_DOCUMENTS: Final = 32
MAX_DOCUMENT: Final = 131_072  # characters
USER: Final = "arn:aws:iam::000000000000:user/user"
"""The principal that has the documents as its policies."""


def answer_diff(request: Request) -> Response:
    """Answer `POST /v1/diff`. Only the documents of the request are read, never those that are served."""
    try:
        body = read_body(request, frozenset({"before", "after", "now"}))
        instant = None if body.get("now") is None else read_instant(body["now"], "$.now")
        before, after = (_documents(body, name) for name in ("before", "after"))
        if len(before) + len(after) > MAX_DOCUMENTS:
            raise MappingError("too_many", f"more than {MAX_DOCUMENTS} documents", "$")
        found = diff(_engine(before, "before"), _engine(after, "after"), now=instant)
    except MappingError as fault:
        return error(415, fault.code, fault.message) if fault.code == "bad_content_type" else refusal(fault)
    except RequestValueError as fault:
        return error(400, "bad_value", fault.message)
    return Response(200, orjson.dumps(client_form(found)))


def _documents(body: dict[str, Any], name: str) -> list[str]:
    raw = body.get(name)
    if raw is None:
        raise MappingError("missing", f"`{name}` is missing", f"$.{name}")
    documents = raw if type(raw) is list else [raw]
    texts: list[str] = []
    for at, document in enumerate(documents):
        if type(document) not in (dict, str):
            raise MappingError("bad_type", "a policy is an object, or its text", f"$.{name}[{at}]")
        text = document if type(document) is str else orjson.dumps(document).decode()
        if len(text) > MAX_DOCUMENT:
            raise MappingError("too_long", f"a policy of more than {MAX_DOCUMENT} characters", f"$.{name}[{at}]")
        texts.append(text)
    return texts


def _engine(documents: Sequence[str], name: str) -> Engine:
    directory = Directory(quotas=None)
    try:
        policies = [(f"{name}[{at}]", document) for at, document in enumerate(documents)]
        directory.add_principal(USER, identity_policies=policies)
        return directory.compile()
    except FastiamError as fault:
        # the document is that of the client, so the message may show parts of it
        raise MappingError("bad_policy", str(fault).partition("\n")[0][:500], f"$.{name}") from None
