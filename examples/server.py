"""A server that decides over a store: `gunicorn --preload examples.server:app` reads it once and forks its workers.

A request names principal, action and resource in its query. A real server verifies credentials first (docs/sts.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

import fastiam

live = fastiam.LiveEngine(os.environ["FASTIAM_STORE"]).watch()


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer with the outcome and the layer of the decision."""
    query = parse_qs(environ["QUERY_STRING"])
    decision = live.decide(query["principal"][0], query["action"][0], query["resource"][0])
    start_response("200 OK" if decision.allowed else "403 Forbidden", [("Content-Type", "text/plain")])
    return [f"{decision.outcome.name} {decision.layer}, decided by process {os.getpid()}\n".encode()]
