"""Real parts: TLS with rotating keys on loopback, a mock provider from PyPI, and where `HttpsFetch` does not go (WI41, IP30)."""

from __future__ import annotations

import socket
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from oidc_world import CALLS, CLIENT, PROVIDER, URL, A, Issuer, OidcWorld, jwk
from sts_fixture import CHEAP, Clock, trusting

import fastiam
from fastiam.federation import Federation, FederationSettings, FetchError, FetchLimits, HttpsFetch
from fastiam.federation.https_fetch import is_public
from fastiam.sts import STS, Keyring

HOST = "oidc.example"
LOCAL = FederationSettings(private_hosts=frozenset((HOST, "mock.example")))


def thumbprint(authority: trustme.CA) -> str:
    certificate = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    return certificate.fingerprint(hashes.SHA1()).hex()


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None], certificate: trustme.LeafCert) -> Iterator[int]:
    """A TLS server on loopback; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: Any, client_address: Any) -> None:
            try:
                with context.wrap_socket(request, server_side=True) as secured:
                    super().finish_request(secured, client_address)
            except OSError:
                pass  # the client has refused the certificate or closed the connection

        def shutdown_request(self, request: Any) -> None:
            request.close()

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def fetching(port: int, authority: trustme.CA | None, tmp_path) -> HttpsFetch:
    """A `HttpsFetch` for which every host is on loopback, and which trusts an authority, or none that is used here."""
    path = tmp_path / f"{port}.pem"
    path.write_bytes((authority or trustme.CA()).cert_pem.bytes())
    return HttpsFetch(trusted=str(path), resolve=lambda host, _: [("127.0.0.1", port)])


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def issuing(issuer: Issuer, certificate: trustme.LeafCert) -> Iterator[int]:
    """The issuer of the tests over TLS."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        assert handler.headers["Host"] == HOST and handler.headers["Cookie"] is None
        result = issuer.fetch(f"https://{HOST}{handler.path}", FetchLimits())
        send(handler, result.body, result.status, Cache_Control="max-age=600")

    with serving(answer, certificate) as port:
        yield port


def test_keys_rotate_at_an_issuer_over_tls(authority, tmp_path):
    issuer = Issuer(URL)
    with issuing(issuer, authority.issue_cert(HOST)) as port:
        world = OidcWorld(issuer=issuer, fetch=fetching(port, authority, tmp_path), settings=LOCAL)
        assert world.outcome() == "OK"
        issuer.keys = [jwk("RSA"), jwk("P-256", "k2")]  # the new key beside the old one
        assert world.outcome(world.token("P-256", {"kid": "k2"})) == "OK"
        issuer.keys = [jwk("P-256", "k2")]
        world.clock.tick(600)
        assert world.outcome() == "InvalidIdentityToken"
        assert world.outcome(world.token("P-256", {"kid": "k2"})) == "OK"
        assert issuer.rounds == 3


def test_thumbprint_counts_where_no_trusted_authority_vouches(authority, tmp_path):
    """F013."""
    issuer, private = Issuer(URL), trustme.CA(parent_cert=trustme.CA())
    world = OidcWorld(issuer=issuer)
    for certificate, trusted, thumbprints, expected in (
        (authority.issue_cert(HOST), authority, ["0" * 40], "OK"),
        (private.issue_cert(HOST), None, [thumbprint(private)], "OK"),
        (private.issue_cert(HOST), None, ["0" * 40, thumbprint(private).upper()], "OK"),
        (private.issue_cert(HOST), None, ["0" * 40], "IDPCommunicationError"),
        (private.issue_cert(HOST), None, [], "IDPCommunicationError"),
        (private.issue_cert("other.example"), None, [thumbprint(private)], "IDPCommunicationError"),
        (authority.issue_cert("other.example"), authority, [], "IDPCommunicationError"),
        (
            private.issue_cert(HOST, not_before=datetime(2020, 1, 1, tzinfo=UTC), not_after=datetime(2021, 1, 1, tzinfo=UTC)),
            None,
            [thumbprint(private)],
            "IDPCommunicationError",
        ),
    ):
        with issuing(issuer, certificate) as port:
            world = OidcWorld(issuer=issuer, fetch=fetching(port, trusted, tmp_path), settings=LOCAL)
            world.federation.oidc_providers.update_thumbprints(PROVIDER, thumbprints)
            assert world.outcome() == expected, (thumbprints, expected)


def test_thumbprint_of_the_leaf_vouches_for_nothing(authority, tmp_path):
    """IP30: it is one of a CA certificate."""
    leaf = trustme.CA().issue_cert(HOST)
    raw = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
    with serving(lambda handler: send(handler, b"{}"), leaf) as port, pytest.raises(FetchError, match="not trusted"):
        limits = FetchLimits(hosts=frozenset((HOST,)), thumbprints=(raw.fingerprint(hashes.SHA1()).hex(),))
        fetching(port, None, tmp_path)(f"https://{HOST}/", limits)


# -- limits of a read -----------------------------------------------------------------------------------------------------

ALLOWED = FetchLimits(hosts=frozenset((HOST,)))


def test_redirect_is_returned_and_not_followed(authority, tmp_path):
    seen = []

    def answer(handler):
        seen.append(handler.path)
        send(handler, b"", 302, Location=f"https://{HOST}/other")

    with serving(answer, authority.issue_cert(HOST)) as port:
        assert fetching(port, authority, tmp_path)(f"https://{HOST}/a?b=c", ALLOWED).status == 302
    assert seen == ["/a?b=c"]


def test_body_over_the_limit_is_refused(authority, tmp_path):
    with serving(lambda handler: send(handler, b"a" * 65_537), authority.issue_cert(HOST)) as port:
        with pytest.raises(FetchError, match="more than 65,536 bytes") as error:
            fetching(port, authority, tmp_path)(f"https://{HOST}/", ALLOWED)
        assert error.value.is_reachable
        result = fetching(port, authority, tmp_path)(f"https://{HOST}/", FetchLimits(size=65_537, hosts=ALLOWED.hosts))
        assert len(result.body) == 65_537


@pytest.mark.parametrize("is_closed_by_tls", [True, False])
@pytest.mark.parametrize("length", [2, 3, 60_000, None])
def test_answer_that_is_cut_off_is_refused(authority, tmp_path, length, is_closed_by_tls):
    """Shorter than its `Content-Length`; without one it ends where TLS says so."""

    def answer(handler):
        handler.send_response(200)
        if length is not None:
            handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(b"{}")
        if is_closed_by_tls:
            handler.connection.unwrap()

    with serving(answer, authority.issue_cert(HOST)) as port:
        fetch = fetching(port, authority, tmp_path)
        if length == 2 or (length is None and is_closed_by_tls):
            assert fetch(f"https://{HOST}/", ALLOWED).body == b"{}"
        else:
            with pytest.raises(FetchError) as error:
                fetch(f"https://{HOST}/", ALLOWED)
            assert not error.value.is_reachable


@pytest.mark.parametrize("where", ["headers", "body"])
def test_server_that_sends_byte_after_byte_is_cut_off(authority, tmp_path, where):
    """The limit is on the whole read, not on each part of it."""
    stop = threading.Event()

    def answer(handler):
        if where == "body":
            handler.send_response(200)
            handler.send_header("Content-Length", "60000")
            handler.end_headers()
        else:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        while not stop.wait(0.02):
            try:
                handler.wfile.write(b" ")
                handler.wfile.flush()
            except OSError:
                return

    with serving(answer, authority.issue_cert(HOST)) as port:
        try:
            with pytest.raises(FetchError) as error:
                fetching(port, authority, tmp_path)(f"https://{HOST}/", FetchLimits(seconds=0.4, hosts=ALLOWED.hosts))
            assert not error.value.is_reachable
        finally:
            stop.set()


def test_resolver_that_does_not_answer_is_given_up():
    stop = threading.Event()
    fetch = HttpsFetch(resolve=lambda host, port: [("192.0.2.1", port)] if stop.wait(30) else [])
    with pytest.raises(FetchError, match="no address") as error:
        fetch(f"https://{HOST}/", FetchLimits(seconds=0.05))
    stop.set()
    assert not error.value.is_reachable


def test_server_that_is_not_there_and_one_without_http(authority, tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(FetchError) as error:
            fetching(closed.getsockname()[1], authority, tmp_path)(f"https://{HOST}/", ALLOWED)
    assert not error.value.is_reachable
    with serving(lambda handler: handler.wfile.write(b"hello\r\n\r\n"), authority.issue_cert(HOST)) as port:
        with pytest.raises(FetchError, match="no HTTP") as error:
            fetching(port, authority, tmp_path)(f"https://{HOST}/", ALLOWED)
    assert error.value.is_reachable


@pytest.mark.parametrize(
    "url",
    ["http://oidc.example/", "ftp://oidc.example/", "https://", "https://me@oidc.example/", "https://127.0.0.1/", "https://[::1]/",
     "https://2130706433/", "https://0x7f000001/", "https://127.1/", "https://oidc.example:99999/", "https://oidc.example/a b",
     "https://oidc.example/\r\nX: y", "https://169.254.169.254/latest", "https://[fe80::1%25eth0]/", "//oidc.example/"],
)  # fmt: skip
def test_url_other_than_https_by_host_name_is_never_contacted(url):
    connected = []
    fetch = HttpsFetch(resolve=lambda host, port: connected.append(host) or [("127.0.0.1", 1)])
    with pytest.raises(FetchError) as error:
        fetch(url, FetchLimits())
    assert error.value.is_reachable and connected == []


PRIVATE = """127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1 255.255.255.255 192.0.2.1
 ::1 :: fe80::1 fe80::1%eth0 fc00::1 fd00:ec2::254 ff02::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe
 2002:7f00:1::1 2001:db8::1 nonsense fec0::1 64:ff9b:1::a00:1 64:ff9b:1::808:808 ::ffff:0:a00:1 ::ffff:0:808:808 ::10.0.0.1
 ::8.8.8.8 100::1 4000::1 5f00::1 8000::1 c000::1 f000::1 2001::1 2001:0:a00:1::1""".split()


@pytest.mark.parametrize("address", PRIVATE)
def test_private_address_of_an_issuer_is_not_connected_to(address):
    """SSRF by issuer: also if only one of its addresses is private."""
    assert not is_public(address)
    issuer = Issuer(URL)
    fetch = HttpsFetch(resolve=lambda host, port: [("8.8.8.8", port), (address, port)])
    world = OidcWorld(issuer=issuer, fetch=fetch)
    assert world.outcome() == "InvalidIdentityToken"
    assert world.events[-1].rule == "WI41"


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_public_addresses_are_known_as_such(address):
    assert is_public(address)


# -- a mock provider from PyPI --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mock_app():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import oidc_provider_mock

    return oidc_provider_mock.app(require_client_registration=False)


def token_of_mock(app: Any, subject: str) -> str:
    """The ID token of a code flow at the mock provider, as the client `app1`."""
    import warnings

    client, base = app.test_client(), "https://mock.example"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        query = urllib.parse.urlencode(
            {"client_id": CLIENT, "redirect_uri": "https://client.example/cb", "response_type": "code", "scope": "openid email"}
        )
        answer = client.post(f"/oauth2/authorize?{query}", base_url=base, data={"sub": subject})
        code = urllib.parse.parse_qs(urllib.parse.urlsplit(answer.headers["Location"]).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": "https://client.example/cb"}
        answer = client.post("/oauth2/token", base_url=base, data=form | {"client_id": CLIENT, "client_secret": "s"})
    return answer.get_json()["id_token"]


def test_token_of_a_mock_provider_becomes_a_session(mock_app, authority, tmp_path):
    """Its tokens have no `kid`, and discovery and JWKS come over TLS."""
    import warnings

    def answer(handler):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = mock_app.test_client().get(handler.path, base_url=f"https://{handler.headers['Host']}")
        send(handler, result.data, result.status_code, Content_Type="application/json")

    host, role = "mock.example", f"arn:aws:iam::{A}:role/Mock"
    directory, events = fastiam.Directory(), []
    token = token_of_mock(mock_app, "ana@x.example")
    clock = Clock(datetime.now(UTC))
    with serving(answer, authority.issue_cert(host)) as port:
        sts = STS(directory, Keyring.generate(), clock=clock, hasher=CHEAP)
        federation = Federation(sts, fetch=fetching(port, authority, tmp_path), settings=LOCAL, audit=events.append)
        arn = federation.oidc_providers.create(A, f"https://{host}", client_ids=[CLIENT]).arn
        trust = trusting(actions=CALLS, StringEquals={f"{host}:sub": "ana@x.example"})
        trust["Statement"][0]["Principal"] = {"Federated": arn}
        directory.add_principal(role, trust_policy=trust)
        made = federation.assume_role_with_web_identity(role, "run1", token)
        assert (made.subject, made.provider) == ("ana@x.example", f"https://{host}")
        with pytest.raises(fastiam.sts.AccessDeniedError):
            federation.assume_role_with_web_identity(role, "run1", token_of_mock(mock_app, "bo@x.example"))
    assert [(event.kind[:10], event.outcome) for event in events[1:]] == [("AssumeRole", "success"), ("AssumeRole", "refused")]
