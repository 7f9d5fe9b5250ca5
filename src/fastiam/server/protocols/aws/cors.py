"""Calls of Cognito by web pages, such as those of Amplify: `cors_origins` names their origins (G32)."""

from __future__ import annotations

from typing import Final

from fastiam.server.http import Request, Response

_TARGET: Final = b"AWSCognitoIdentity"  # both services of Cognito
_HEADERS: Final = (
    b"amz-sdk-invocation-id, amz-sdk-request, authorization, cache-control, content-type, x-amz-content-sha256, x-amz-date,"
    b" x-amz-security-token, x-amz-target, x-amz-user-agent"
)
_SECONDS: Final = b"600"


def preflight(request: Request, origins: tuple[str, ...]) -> Response | None:
    """The answer to a browser that asks whether a page may call; None if it may not."""
    origin = _allowed(request, origins)
    if origin is None or request.header(b"access-control-request-method") != b"POST":
        return None
    fields = ((b"access-control-allow-methods", b"POST"), (b"access-control-allow-headers", _HEADERS))
    return Response(204, b"", None, (*_shared(origin), *fields, (b"access-control-max-age", _SECONDS)))


def share(request: Request, response: Response, origins: tuple[str, ...]) -> None:
    """Let the page that has sent a call of Cognito read the answer."""
    origin = _allowed(request, origins)
    if origin is not None and (request.header(b"x-amz-target") or b"").startswith(_TARGET):
        response.headers += (*_shared(origin), (b"access-control-expose-headers", b"x-amzn-requestid, x-amzn-errortype"))


def _allowed(request: Request, origins: tuple[str, ...]) -> bytes | None:
    origin = request.header(b"origin")
    return origin if origin is not None and origin.decode("latin-1") in origins else None


def _shared(origin: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"access-control-allow-origin", origin), (b"vary", b"origin"))
