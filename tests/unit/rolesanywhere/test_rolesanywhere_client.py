"""A client that others wrote, `iam-rolesanywhere-session`, over TLS against `RolesAnywhere`: bytes in, credentials out.

The server of this test is as small as can be: it hands the bytes of the request over, and sends the answer back.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sts_fixture import START, A
from x509_world import HOST, REGION, Identity, World, issue

from fastiam.errors import FastiamError
from fastiam.rolesanywhere import SignedRequest, error_response, success_response
from fastiam.sts import Credentials

client = pytest.importorskip("iam_rolesanywhere_session")
AGE = int((datetime.now(UTC) - START).total_seconds())  # the client has the clock of the machine
DATES = {"start": AGE - 3600, "end": AGE + 86_400}


class Handler(BaseHTTPRequestHandler):
    world: World

    def do_POST(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = SignedRequest(
            headers=self.headers.items(), body=body, query=query, method=self.command, path=path, source=self.client_address[0]
        )
        try:
            answer = success_response(self.world.anywhere.create_session(request))
        except FastiamError as error:
            answer = error_response(error)
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


class Server:
    """An HTTPS server on the loopback interface, with a certificate of a `trustme` authority."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca_file = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(self.ca_file)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self.world = World(root=issue("Root", ca=True, **DATES))
        self.world.clock.now = datetime.now(UTC)
        handler = type("BoundHandler", (Handler,), {"world": self.world})
        self.http = HTTPServer(("127.0.0.1", 0), handler)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()

    def session(self, identity: Identity, chain: tuple[Identity, ...] = (), **more: Any) -> Any:
        """The session of the client."""
        key = identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return client.IAMRolesAnywhereSession(
            self.world.profile,
            HOST,
            self.world.anchor,
            identity.pem.encode(),
            key,
            region=REGION,
            endpoint=f"127.0.0.1:{self.http.server_port}",
            verify=self.ca_file,
            **({"certificate_chain": "".join(each.pem for each in chain).encode()} if chain else {}),
            **more,
        )


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("HTTPS_PROXY", "https_proxy", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    made = Server(tmp_path)
    yield made
    made.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("key", ["ec", "p384", "rsa2048"])
@pytest.mark.parametrize("hash", ["sha256", "sha512"])
def test_the_client_gets_credentials_that_authenticate(server, key, hash):
    """It calls the algorithm after the hash of the certificate, whatever it signs with (X15)."""
    host = issue("host1", server.world.root, key=key, hash=hash, **DATES)
    found = server.session(host).get_refreshable_credentials().get_frozen_credentials()
    caller = server.world.sts.authenticate(Credentials(found.access_key, found.secret_key, found.token))
    assert caller.arn.startswith(f"arn:aws:sts::{A}:assumed-role/Host/")
    assert server.world.events[-1].source == "127.0.0.1"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_client_sends_intermediates_names_and_durations(server):
    world = server.world
    world.objects.update_profile(world.profile, accept_role_session_name=True)
    intermediate = issue("Intermediate", world.root, ca=True, **DATES)
    host = issue("host1", intermediate, **DATES)
    more = {"role_session_name": "run1", "session_duration": 900, "instance_properties": {"rack": "7"}}
    found = server.session(host, (intermediate,), **more).get_refreshable_credentials().get_frozen_credentials()
    caller = world.sts.authenticate(Credentials(found.access_key, found.secret_key, found.token))
    assert caller.arn == f"arn:aws:sts::{A}:assumed-role/Host/run1"
    assert (caller.expires_at - world.clock.now).total_seconds() <= 900
    assert world.objects.subjects()[0].instance_properties[0].properties == {"rack": "7"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_client_reports_a_refusal(server):
    stranger = issue("host1", issue("Stranger", ca=True, **DATES), **DATES)
    with pytest.raises(client.CredentialsRetrievalError) as caught:
        server.session(stranger).get_refreshable_credentials().get_frozen_credentials()
    assert (caught.value.status_code, server.world.events[-1].rule) == (403, "RW32")
    assert "untrusted signing certificate" in caught.value.message
