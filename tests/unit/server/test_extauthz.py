"""Envoy's external authorization: HTTP form, errors, configuration, signatures."""

from __future__ import annotations

import orjson
import pytest
from authzen_fixture import TRUSTED, document
from extauthz_fixture import ACCOUNT, API, DECISION_ID, ROLE, SPIFFE, World, directory, read_check
from served_engine import EngineDecider

from fastiam import SourceError
from fastiam.model.decision import Outcome
from fastiam.server.config import ConfigError
from fastiam.server.protocol import ListenerFacts, UnmetNeed
from fastiam.server.protocols.extauthz import CheckRequest
from fastiam.server.protocols.extauthz.request_paths import canonical_path

XFCC = {"principal": ["xfcc"], "trust_xfcc": True}
CERTIFICATE = {"host": "orders.example", "x-forwarded-client-cert": f"URI={SPIFFE}"}
OURS = {b"x-fastiam-principal", b"x-fastiam-decision-id"}


def test_http_allow_has_headers_for_the_upstream():  # GC100, G91
    response = World(XFCC).http("GET", "/orders/7?x=1", CERTIFICATE | {"x-fastiam-principal": "admin"})
    headers = dict(response.headers)
    assert response.status == 200 and response.body == b"" and response.content_type is None
    assert headers[b"x-fastiam-principal"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/orders/orders".encode()
    assert headers[b"x-fastiam-decision-id"] == DECISION_ID.encode() and headers[b"x-fastiam-outcome"] == b"ALLOW"
    assert headers[b"x-envoy-auth-headers-to-remove"] == b"x-fastiam-subject,x-fastiam-dry-run,x-fastiam-outcome,x-team,x-user"
    assert response.record.resource == f"{API}/GET/orders/7"


def test_http_denial_has_no_header_of_ours():  # GC101, GC106, G92
    world = World(XFCC | {"www_authenticate": "mTLS", "explain_denied": False})
    denied = world.http("GET", "/admin", CERTIFICATE)
    assert (denied.status, denied.headers, denied.content_type) == (403, (), "application/json")
    assert orjson.loads(denied.body) == {"error": "access_denied", "decision_id": DECISION_ID}
    unknown = world.http("GET", "/admin", {"host": "orders.example"})
    assert (unknown.status, unknown.headers) == (401, ((b"www-authenticate", b"mTLS"),))
    assert orjson.loads(unknown.body) == {"error": "unauthenticated", "decision_id": DECISION_ID}


@pytest.mark.parametrize("target", ["/orders/%2e%2e/a", "/orders//7", "/extauthz/orders/7", "//a", "/a;x", "/a%2f7", "/a\\"])
def test_http_path_is_cut_once_and_may_not_be_ambiguous(target):  # GC108, G80
    assert World(XFCC).http("GET", target, CERTIFICATE).status == 403


DENIES = {
    "IpAddress": {"aws:SourceIp": "10.0.0.0/8"},
    "StringEquals": {"extauthz:header/x-tier": "bronze"},
    "StringLike": {"extauthz:path": "/orders/8"},
}


def denying(scopes: frozenset[str], operator: str) -> World:
    """An Envoy with scopes, and a Deny of the service `orders` on what no request of the test has."""
    world, made = World(scopes=scopes), directory()
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {operator: DENIES[operator]}}
    made.put_inline_policy(f"{ROLE}/k8s/shop/orders", "deny", document(deny))
    world.decider = EngineDecider(made.compile(), made)
    return world


@pytest.mark.parametrize("operator", DENIES)
def test_facts_that_envoy_may_not_state_are_unknown(operator):  # G7, D70
    check = read_check({"source_address": "203.0.113.9", "headers": [["x-tier", "gold"]]})
    assert denying(TRUSTED, operator).check(check).status == 200
    untrusted = denying(frozenset(), operator).check(check)
    assert (untrusted.status, untrusted.record.decision.outcome) == (403, Outcome.DEPENDS)


NOT_UTF_8 = {
    "condition key": ([["x-tier", "gold\xff"]], 403),
    "second field of a condition key": ([["x-tier", "gold"], ["x-tier", "\xff"]], 403),
    "user agent": ([["user-agent", "bot \xff"]], 403),
    "referer": ([["referer", "\xc0\xae"]], 403),
    "header that is not read": ([["x-other", "\xff"], ["cookie", "\xff"]], 200),
    "address of clients before": ([["x-forwarded-for", "\xff"]], 200),
}


@pytest.mark.parametrize("headers, status", NOT_UTF_8.values(), ids=NOT_UTF_8)
def test_header_that_is_not_utf_8_refuses_what_reads_it(headers, status):  # G90
    answer = World().check(read_check({"headers": headers}))
    assert answer.status == status
    assert answer.record.error == (None if status == 200 else "bad_character")


@pytest.mark.parametrize("fields", [["alice\xff"], ["alice", "admin\xff"], ["\xff", "alice"], ["alice", "alice"]])
def test_identity_header_that_is_not_utf_8_is_401(fields):  # G90, G85
    settings = {
        "principal": ["header", "anonymous"],
        "trust_header": True,
        "header": {"name": "x-user", "principal": f"arn:aws:iam::{ACCOUNT}:user/{{value}}"},
    }
    check = read_check({"headers": [["x-user", value] for value in fields], "is_merged": False})
    assert World(settings).check(check).status == 401


def test_certificate_header_that_is_not_utf_8_is_401():  # G90, G85
    settings = {"principal": ["xfcc", "spiffe"], "trust_xfcc": True}
    check = read_check({"headers": [["x-forwarded-client-cert", f"URI={SPIFFE}\xff"]]})
    assert World(settings).check(check).status == 401


def test_address_that_envoy_does_not_report_is_unknown():  # D70: the client has one
    check = read_check({"source_address": None})
    assert denying(TRUSTED, "IpAddress").check(check).status == 403
    assert denying(TRUSTED, "StringLike").check(check).status == 200


def test_http_route_takes_each_method_and_checks_no_host():
    [route] = World(XFCC).protocol.routes()
    assert route.methods is None and not route.checks_host and route.is_prefix and route.path == "/extauthz/"
    refused = route.errors(503, "overload", "x")
    assert refused.status == 503 and b"overload" not in refused.body and not refused.headers


def test_http_sources_of_grpc_are_absent():
    headers = {"host": "orders.example", "x-envoy-peer-metadata": "x"}
    assert World().http("GET", "/orders/7", headers).status == 401


def test_http_address_of_envoy_is_not_that_of_the_client():  # G89
    world = World(XFCC)
    assert world.http("GET", "/ip", CERTIFICATE, client="10.1.2.3").status == 200
    refused = world.http("GET", "/ip", CERTIFICATE)
    assert refused.status == 403 and "aws:SourceIp" not in refused.record.context


@pytest.mark.parametrize(("value", "status"), [("a,b", 401), ("a", 403)])
def test_http_headers_with_two_values_are_not_one(value, status):  # GC113, G90
    header = {"name": "x-user", "principal": f"arn:aws:iam::{ACCOUNT}:user/{{value}}"}
    world = World({"principal": ["header"], "trust_header": True, "header": header})
    assert world.http("GET", "/orders/7", {"host": "orders.example", "x-user": value}).status == status


def test_exception_of_the_engine_is_not_an_answer():  # GC117
    class Broken:
        def pin(self):
            raise ZeroDivisionError

    world = World()
    world.decider = Broken()
    with pytest.raises(ZeroDivisionError):
        world.check(read_check({}))


def test_exception_in_the_engine_is_not_an_answer():  # GC117
    class Failing:
        def __init__(self, engine):
            self._engine = engine

        def __getattr__(self, name):
            return getattr(self._engine, name)

        def decide(self, *args, **named):
            raise MemoryError

    world = World()
    pinned = world.decider.pin()
    fake = type("Pinned", (), {"engine": Failing(pinned.engine), "generation": 1, "sts": None, "directory": None})()
    world.decider = type("Decider", (), {"pin": lambda self: fake})()
    with pytest.raises(MemoryError):
        world.check(read_check({}))


@pytest.mark.parametrize("text", ["/a-b_c.d~e", "/", "/a/", "/a:b@c!d$e&f'g(h)i*j+k,l=m", "/%20/%25", "/a%3Bb", "/%C3%A9"])
def test_canonical_path_is_its_own_canonical_form(text):
    assert canonical_path(text.encode()) == text


def test_paths_with_one_meaning_have_one_text():
    for byte in range(0x21, 0x7F):
        if chr(byte) in "%/\\.;?#":
            continue
        escapes = f"/a%{byte:02x}b", f"/a%{byte:02X}b", f"/a{chr(byte)}b"
        assert len({canonical_path(text.encode()) for text in escapes}) == 1, escapes


def test_role_of_another_path_is_not_the_role():
    """The ARN of a session has no path: `role/k8s/shop/orders` and `role/k8s/evil/orders` would have the same sessions."""
    answer = World().check(read_check({"source_principal": "spiffe://prod.example/ns/evil/sa/orders"}))
    assert answer.code == 16 and answer.record.error == "unknown_subject"


def test_workload_whose_role_is_removed_has_no_principal():  # G3
    world = World()
    assert [world.check(read_check({})).status for _ in range(2)] == [200, 200]
    changed, role = directory(), f"{ROLE}/k8s/shop/orders"
    changed.delete_inline_policy(role, "orders")
    changed.delete_principal(role)
    world.decider = EngineDecider(changed.compile(), changed, generation=2)
    answer = world.check(read_check({}))
    assert answer.status == 401 and answer.record.error == "unknown_subject"


def test_explained_denial_names_no_policy():  # G92
    body = orjson.loads(World().check(read_check({"target": "/orders/secret:1"})).body)
    assert body == {"error": "access_denied", "decision_id": DECISION_ID, "layer": "identity", "reason": "EXPLICIT_DENY"}


def test_metadata_has_the_decision():  # G93
    metadata = World().check(read_check({})).metadata
    assert metadata["outcome"] == "ALLOW" and metadata["policy"] == "orders" and metadata["generation"] == 1
    assert metadata["principal"].endswith("assumed-role/orders/orders") and metadata["decision_id"] == DECISION_ID


def test_authorization_is_removed_where_configured():
    assert "authorization" in World({"strip_authorization": True}).check(read_check({})).remove
    assert "authorization" not in World().check(read_check({})).remove


def test_start_warns_of_what_is_believed():  # G95, G93
    world = World(XFCC | {"dry_run": True})
    assert len(world.warnings) == 2 and "SANITIZE_SET" in world.warnings[0] and "dry run" in world.warnings[1]
    assert World().warnings == []


@pytest.mark.parametrize(
    ("listener", "is_refused"),
    [
        (ListenerFacts("tcp", is_loopback=False, auth="bearer", is_tls=True), True),
        (ListenerFacts("tcp", is_loopback=False, auth="none", is_tls=False), True),
        (ListenerFacts("tcp", is_loopback=False, auth="mtls", is_tls=True), False),
        (ListenerFacts("unix", is_loopback=False, auth="none", is_tls=False), False),
        (ListenerFacts("unix", is_loopback=False, auth="bearer", is_tls=False), False),
    ],
)
def test_believed_headers_need_a_listener_of_envoy_alone(listener, is_refused):  # G95
    header = {"principal": ["header"], "trust_header": True, "header": {"name": "x-user", "principal": f"{ROLE}/x"}}
    for changes in (XFCC, header):
        if is_refused:
            with pytest.raises(UnmetNeed, match="believes each client"):
                World(changes, listeners=(listener,))
        else:
            World(changes, listeners=(listener,))
    World(listeners=(listener,))


@pytest.mark.parametrize(("milliseconds", "status"), [(99, 200), (101, 503)])
def test_answer_after_the_timeout_is_an_error(milliseconds: int, status: int):  # G83
    """Envoy has decided by itself then; 503 lets it follow its failure mode."""
    ticks = iter([0, milliseconds * 1_000_000])
    world = World(XFCC, timer=lambda: next(ticks))
    response = world.http("GET", "/orders/7", {"host": "orders.example", "x-forwarded-client-cert": f"URI={SPIFFE}"})
    assert response.status == status
    assert status == 200 or response.body == b'{"error":"unavailable"}'


def test_believed_headers_need_a_local_address_of_grpc():  # G95, G27
    address = {"grpc": {"address": "0.0.0.0:8381"}}
    with pytest.raises(ConfigError, match="not on loopback"):
        World(address)
    address["grpc"]["insecure"] = True
    assert "without authentication" in World(address).warnings[0]
    with pytest.raises(UnmetNeed, match="believes each client"):
        World(XFCC | address)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"principal": []}, "no source of the principal"),
        ({"principal": ["xfcc"]}, "believes the header"),
        ({"principal": ["header"]}, "needs a name"),
        ({"principal": ["header"], "header": {"name": "x-user", "principal": f"{ROLE}/x"}}, "believes the header"),
        ({"principal": ["header"], "trust_header": True, "header": {"name": "Authorization", "principal": "x"}}, "cannot name"),
        ({"principal": ["header"], "trust_header": True, "header": {"name": "x-forwarded-for", "principal": "x"}}, "cannot name"),
        ({"spiffe": None}, "maps no id"),
        ({"spiffe": {"spiffe://a/{x}-{y}": {"role": f"{ROLE}/x", "session": "{x}"}}}, "not separated"),
        ({"spiffe": {"spiffe://a/{x}": {"role": f"{ROLE}/x", "session": "{y}"}}}, "not a placeholder"),
        ({"spiffe": {"spiffe://a/{x}": {"role": f"{ROLE}/x"}}}, "belong together"),
        ({"jwt": None}, "needs an issuer"),
        ({"route": []}, "no route"),
        ({"route": [{"api": "orders"}]}, "is not a resource"),
        ({"route": [{"prefix": "/a"}]}, "one of `api`"),
        ({"route": [{"prefix": "/a/../b", "api": API}]}, "plain form"),
        ({"route": [{"prefix": "/%41", "api": API}]}, "plain form"),
        ({"route": [{"host": "Orders.example", "api": API}]}, "not a host"),
        ({"route": [{"host": "a*.example", "api": API}]}, "not a host"),
        ({"route": [{"match": "/a", "api": API}]}, "not a method and a path"),
        ({"route": [{"match": "GET /{a...}/b", "api": API}]}, "not at the end"),
        ({"route": [{"match": "GET /x{a}", "api": API}]}, "not a whole segment"),
        ({"route": [{"match": "GET /{a}/{a}", "api": API}]}, "given twice"),
        ({"route": [{"match": "GET /{a...}", "action": "a:b", "resource": "arn:aws:s3:::{a}/{method}"}]}, "at the end"),
        ({"route": [{"match": "GET /{a}", "action": "a:b", "resource": "arn:aws:s3:::{b}"}]}, "not a placeholder"),
        ({"route": [{"match": "GET /{a}", "action": "a", "resource": "arn:aws:s3:::{a}"}]}, "not an action"),
        ({"route": [{"api": API, "body": {"a": "b"}}]}, "not a JSON pointer"),
        ({"add": {"X-Team": "a"}}, "not a header"),
        ({"add": {"x-fastiam-principal": "a"}}, "not a header"),
        ({"add": {"x-team": "{claims.a}"}}, "unknown placeholder"),
        ({"headers": ["x tier"]}, "condition key"),
        ({"www_authenticate": "a\r\nb"}, "cannot be sent"),
    ],
)
def test_configuration_that_cannot_be_served_is_refused(changes, message):
    with pytest.raises(SourceError, match=message):
        World(changes)


def test_signatures_need_a_store_and_its_keyring():
    with pytest.raises(UnmetNeed, match="needs a store"):
        World({"principal": ["sigv4"]})


@pytest.mark.parametrize("raw", [{"method": "\udcff"}, {"host": "\udcff"}, {"source_principal": "\udcff"}, {"host": "[::1"}])
def test_odd_text_is_denied_without_exception(raw):
    known = {"method": "GET", "target": b"/orders/7", "host": "orders.example", "source_principal": SPIFFE}
    assert World().check(CheckRequest(**known | raw)).code in (7, 16)
