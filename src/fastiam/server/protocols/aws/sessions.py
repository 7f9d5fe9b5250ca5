"""Sessions: the size of their tokens, and `POST /sessions` of Roles Anywhere, a request that no model of botocore has.

That one is signed by the key of a certificate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fastiam.errors import FastiamError
from fastiam.server.http import Request, Response
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Result
from fastiam.server.protocols.aws.services import Services

SESSIONS: Final = b"/sessions"
CREATE_SESSION: Final = "CreateSession"
MAX_TOKEN: Final = 15 * 1024
"""Characters of a session token. A request that carries it as a header field of more than 16 KiB is refused (1.6)."""


@dataclass(frozen=True, slots=True)
class MadeSession:
    """The answer to CreateSession. `code` is that of the error, else empty; `key` the id of the access key that was issued.

    `resources` are the role and the subject of the certificate.
    """

    response: Response
    code: str = ""
    key: str | None = None
    resources: tuple[str, ...] = ()


def check_token(result: Result) -> None:
    """Refuse a session whose token no request could carry.

    Raises
    ------
    ApiError
        `PackedPolicyTooLarge`, as AWS calls it.
    """
    credentials = result.get("Credentials")
    token = credentials.get("SessionToken") if isinstance(credentials, Mapping) else None
    if token is not None and len(token) > MAX_TOKEN:
        raise ApiError("PackedPolicyTooLarge", f"The session token has {len(token):,} characters, of {MAX_TOKEN:,} at most.")


def is_session_request(request: Request, path: str) -> bool:
    """Whether a request is CreateSession, by method and path below the mount."""
    return request.method == "POST" and path.encode() == SESSIONS


def create_session(request: Request, path: str, services: Services, request_id: str) -> MadeSession:
    """Answer CreateSession. Signature, certificate and trust policy are verified by the library."""
    anywhere = services.roles_anywhere
    from fastiam.rolesanywhere import SignedRequest, error_response, success_response  # PERF: as in `services`

    signed = SignedRequest(
        headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers],
        body=request.body,
        query=request.raw_query.decode("latin-1"),
        method=request.method,
        path=path,
        source=request.client_address or "",
    )
    key: str | None = None
    resources: tuple[str, ...] = ()
    try:
        session = anywhere.create_session(signed)
        made = success_response(session)
        key, resources = session.credentials.access_key_id, (session.role_arn, session.subject_arn)
    except FastiamError as error:
        made = error_response(error)
    headers = {name.lower().encode(): value.encode("latin-1", "replace") for name, value in made.headers.items()}
    content_type = headers.pop(b"content-type").decode()
    more = ((b"x-amzn-requestid", request_id.encode()), (b"cache-control", b"no-store"))
    response = Response(made.status, made.body, content_type, (*headers.items(), *more))
    return MadeSession(response, headers.get(b"x-amzn-errortype", b"").decode("latin-1"), key, resources)
