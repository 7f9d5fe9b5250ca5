"""The metadata document of the decision point (G74)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import orjson

from fastiam.server.http import Response
from fastiam.server.mapping import config_error

WELL_KNOWN: Final = "/.well-known/authzen-configuration"
ENDPOINTS: Final = {
    "/access/v1/evaluation": "access_evaluation_endpoint",
    "/access/v1/evaluations": "access_evaluations_endpoint",
    "/access/v1/search/subject": "search_subject_endpoint",
    "/access/v1/search/resource": "search_resource_endpoint",
    "/access/v1/search/action": "search_action_endpoint",
}


def well_known_path(public_url: str, *, allow_http: bool) -> str:
    """The path of the document for a public URL: its own path follows the well-known one.

    Raises
    ------
    SourceError
        the URL is not https, or has a query, fragment or user.
    """
    parts = urlsplit(public_url)
    schemes = ("https", "http") if allow_http else ("https",)
    if parts.scheme not in schemes or not parts.hostname or "?" in public_url or "#" in public_url or "@" in parts.netloc:
        raise config_error(
            f"`{public_url}` is not a URL of https without query and fragment", "public_url", "write `https://pdp.example`"
        )
    return WELL_KNOWN + parts.path.rstrip("/")


def document(public_url: str, paths: Sequence[str]) -> Response:
    """The document with the endpoints of these paths."""
    base = public_url.rstrip("/")
    members = {"policy_decision_point": public_url} | {ENDPOINTS[path]: base + path for path in paths}
    return Response(200, orjson.dumps(members), headers=((b"cache-control", b"max-age=300"),))
