"""A local server with the JSON protocol of Cognito user pools, as far as clients in tests need it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cognito_world import World

from fastiam.cognito.user_pools import error_code
from fastiam.sts import StsError

TARGET = "AWSCognitoIdentityProviderService."


def plain(value: Any) -> float:
    """Times as clients expect them."""
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(type(value).__name__)


@contextmanager
def serving(world: World, caller: str | None = None) -> Iterator[str]:
    """The address of a server over the pools of a world. Every call that is not public is made by `caller`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            operation = self.headers["X-Amz-Target"].removeprefix(TARGET)
            try:
                self._answer(200, world.pools.call(operation, body, caller=caller))
            except StsError as error:
                self._answer(400, {"__type": error_code(error), "message": error.message})

        def do_GET(self) -> None:
            """The last code that was sent."""
            self._send(200, world.code().encode(), "text/plain")

        def _answer(self, status: int, content: Any) -> None:
            self._send(status, json.dumps(content, default=plain).encode(), "application/x-amz-json-1.1")

        def _send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
