"""TLS and client certificates (G26)."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from echo_server import PLAIN, until
from server_process import Answer, Server, parse, running

SETTINGS = """
[listeners.main]
address = "127.0.0.1:0"
protocols = ["echo"]
auth = "mtls"
tls = { certificate = "server.pem", key = "server.key", client_ca = "ca.pem" }
[listeners.plain]
address = "127.0.0.1:0"
protocols = ["echo"]
tls = { certificate = "server.pem", key = "server.key" }
[ops]
enabled = false
[[auth.mtls]]
prefix = "spiffe://prod.example/ns/orders/"
scopes = ["decide"]
[[auth.mtls]]
name = "client.example"
"""
AUTHORITY, OTHER = trustme.CA(), trustme.CA()


def write_server(folder: Path, authority: trustme.CA) -> None:
    """The files of the server; the last one replaces the others' as a whole."""
    made = authority.issue_cert("localhost", "127.0.0.1")
    for name, blob in (("ca.pem", AUTHORITY.cert_pem), ("server.key", made.private_key_pem), ("server.pem", None)):
        data = b"".join(each.bytes() for each in made.cert_chain_pems) if blob is None else blob.bytes()
        (folder / f"{name}.new").write_bytes(data)
        os.replace(folder / f"{name}.new", folder / name)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, engine_file: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("tls")
    write_server(folder, AUTHORITY)
    with running(folder, engine_file, SETTINGS, "--door", "echo") as server:
        yield server


def ask(server: Server, context: ssl.SSLContext, name: str = "main") -> Answer:
    with server.connect(name) as raw, context.wrap_socket(raw, server_hostname="localhost") as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        data = b""
        while piece := sock.recv(65536):
            data += piece
        return parse(data)


def client(*names: str, authority: trustme.CA = AUTHORITY, common_name: str | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    if names:
        authority.issue_cert(*names, common_name=common_name).configure_cert(context)
    return context


def spiffe(*uris: str) -> ssl.SSLContext:
    """A client certificate with URI names, which trustme does not make."""
    import datetime
    import tempfile

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(AUTHORITY.cert_pem.bytes())
    signer = serialization.load_pem_private_key(AUTHORITY.private_key_pem.bytes(), None)
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "client.example")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris]), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), False)
        .sign(signer, hashes.SHA256())  # type: ignore[arg-type]
    )
    context = client()
    with tempfile.NamedTemporaryFile() as file:
        pem = serialization.Encoding.PEM
        file.write(made.public_bytes(pem))
        file.write(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def test_uri_of_a_certificate_is_the_identity(server: Server) -> None:
    seen = ask(server, spiffe("spiffe://prod.example/ns/orders/sa/web")).json()
    assert seen["identity"] == ["spiffe://prod.example/ns/orders/sa/web", ["decide"]]
    assert seen["tls"] is True and seen["client"] == ["127.0.0.1", True]


def test_dns_name_of_a_certificate_is_the_identity(server: Server) -> None:
    assert ask(server, client("client.example")).json()["identity"][0] == "client.example"


@pytest.mark.parametrize(
    "uris",
    [
        ("spiffe://prod.example/ns/other/sa/web",),
        ("spiffe://prod.example/ns/orders/a", "spiffe://prod.example/ns/orders/b"),
    ],
    ids=["unknown", "several"],
)
def test_certificate_without_an_accepted_name_is_401(server: Server, uris: tuple[str, ...]) -> None:
    assert ask(server, spiffe(*uris)).status == 401


def test_common_name_is_not_an_identity(server: Server) -> None:
    assert ask(server, client("a.example", "b.example", common_name="client.example")).status == 401


@pytest.mark.parametrize("context", [client(), client("client.example", authority=OTHER)], ids=["none", "other-authority"])
def test_connection_without_a_valid_certificate_fails(server: Server, context: ssl.SSLContext) -> None:
    with pytest.raises((ssl.SSLError, ConnectionResetError, ValueError)):
        ask(server, context)


def test_tls_below_1_2_is_refused(server: Server) -> None:
    context = client()
    with pytest.warns(DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        ask(server, context, "plain")


def test_plain_text_on_a_tls_port_is_closed(server: Server) -> None:
    assert b"HTTP/1.1 200" not in server.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", "plain")


def test_new_certificate_is_used_without_a_restart(tmp_path: Path, engine_file: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    write_server(folder, AUTHORITY)
    settings = PLAIN.replace("protocols", 'tls = { certificate = "server.pem", key = "server.key" }\nprotocols')
    with running(folder, engine_file, settings, "--door", "echo") as server:
        assert ask(server, client()).status == 200
        (folder / "server.pem").write_text("broken")
        assert server.log("reload")["result"] == "failure"
        assert ask(server, client()).status == 200, "the last good certificate stays"
        write_server(folder, OTHER)
        trusting = ssl.create_default_context()
        OTHER.configure_trust(trusting)

        def is_new() -> bool:
            try:
                return ask(server, trusting).status == 200
            except ssl.SSLError:
                return False

        until(is_new)
        with pytest.raises(ssl.SSLError):
            ask(server, client())
        assert json.loads(server.ask("GET", "/readyz", name="ops").body)["error"] is None
