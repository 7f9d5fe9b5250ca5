"""A local object store: the two calls of S3 that readers of Parquet make, over the files of a folder. It checks no signature."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_DATE = "2026-11-25T09:00:00.000Z"


@contextmanager
def object_store(root: Path) -> Iterator[str]:
    """Serve the folders below `root` as buckets; yields the endpoint."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _answer(self) -> None:
            url = urlsplit(self.path)
            bucket, _, key = unquote(url.path).lstrip("/").partition("/")
            if not key:
                self._send(200, _listing(root / bucket, parse_qs(url.query).get("prefix", [""])[0]), {})
            elif (path := root / bucket / key).is_file():
                self._send_range(path.read_bytes())
            else:
                self._send(404, b"<Error><Code>NoSuchKey</Code></Error>", {})

        def _send_range(self, data: bytes) -> None:
            asked = self.headers.get("Range")
            if not asked:
                self._send(200, data, {"ETag": '"1"', "Last-Modified": "Wed, 25 Nov 2026 09:00:00 GMT"})
                return
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start = int(first) if first else max(len(data) - int(last), 0)
            end = min(int(last), len(data) - 1) if first and last else len(data) - 1
            where = {"Content-Range": f"bytes {start}-{end}/{len(data)}", "ETag": '"1"'}
            self._send(206, data[start : end + 1], {**where, "Last-Modified": "Wed, 25 Nov 2026 09:00:00 GMT"})

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _listing(bucket: Path, prefix: str) -> bytes:
    keys = sorted(str(path.relative_to(bucket)) for path in bucket.rglob("*") if path.is_file())
    found = [key for key in keys if key.startswith(prefix)]
    items = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>{_DATE}</LastModified><ETag>1</ETag>"
        f"<Size>{(bucket / key).stat().st_size}</Size></Contents>"
        for key in found
    )
    return f"<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated>{items}</ListBucketResult>".encode()
