"""Envoy's checks over a small directory, without a socket."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from authzen_fixture import TRUSTED, document, merged
from opa_fixture import allow
from served_engine import EngineDecider

from fastiam import Directory
from fastiam.server.http import Peer, Request, Response
from fastiam.server.identity import EXPLAIN, USE_SCOPES, Identity
from fastiam.server.protocol import ListenerFacts, Site
from fastiam.server.protocols.extauthz import Answer, CheckRequest, ExtAuthz, Section, create

ACCOUNT = "111111111111"
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
DECISION_ID = "0193a000-0000-7000-8000-000000000003"
API = f"arn:aws:execute-api:eu-west-1:{ACCOUNT}:orders/prod"
ISSUER = "https://idp.example"
SPIFFE = "spiffe://prod.example/ns/shop/sa/orders"
ROLE = f"arn:aws:iam::{ACCOUNT}:role"
CONFIG: dict[str, Any] = {
    "principal": ["spiffe", "jwt"],
    "spiffe": {"spiffe://prod.example/ns/{ns}/sa/{sa}": {"role": f"{ROLE}/k8s/{{ns}}/{{sa}}", "session": "{sa}"}},
    "jwt": {"issuer": ISSUER, "role": f"{ROLE}/people", "session": "{sub}", "tags": {"team": "team", "groups": "groups"}},
    "route": [
        {"host": "orders.example", "prefix": "/", "api": API},
        {
            "host": "files.example",
            "match": "GET /{bucket}/{key...}",
            "action": "s3:GetObject",
            "resource": "arn:aws:s3:::{bucket}/{key}",
        },
        {"host": "*.tenants.example", "match": "* /{id}", "action": "tenant:Use", "resource": "arn:aws:tenant:::{host}/{id}"},
        {"host": "raw.example", "path": "raw", "api": f"arn:aws:execute-api:eu-west-1:{ACCOUNT}:raw/prod"},
        {
            "host": "grpc.example",
            "match": "POST /shop.Orders/{method_name}",
            "action": "shop:{method_name}",
            "resource": "arn:aws:shop:::orders",
            "body": {"order": "/order/id"},
        },
    ],
    "headers": ["x-tier"],
    "query": ["tag"],
    "add": {"x-team": "{tag.team}", "x-user": "user {claim.sub}"},
    "explain_denied": True,
}


def directory() -> Directory:
    """Roles `k8s/shop/orders` and `people`, and users `gateway` and `alice`, with statements for each case."""
    made = Directory(quotas=None)
    made.add_account(ACCOUNT)
    orders = document(
        allow("execute-api:Invoke", f"{API}/GET/orders/*"),
        allow("execute-api:Invoke", f"{API}/FOO/*"),
        allow("execute-api:Invoke", f"{API}/GET/a%3Bb/c*d"),
        allow("execute-api:Invoke", f"{API}/GET/ip", IpAddress={"aws:SourceIp": "10.0.0.0/8"}),
        allow("execute-api:Invoke", f"{API}/GET/secure", Bool={"aws:SecureTransport": "true"}),
        allow("execute-api:Invoke", f"{API}/GET/tier", StringEquals={"extauthz:header/x-tier": "gold"}),
        allow("execute-api:Invoke", f"{API}/GET/tags", **{"ForAnyValue:StringEquals": {"extauthz:query/tag": "b"}}),
        allow("execute-api:Invoke", f"{API}/GET/ext", StringEquals={"extauthz:ext/zone": "a"}),
        allow("execute-api:Invoke", f"{API}/GET/past", DateLessThan={"aws:CurrentTime": "2026-11-29T12:00:00Z"}),
        allow("execute-api:Invoke", f"{API}/GET/mfa", Bool={"aws:MultiFactorAuthPresent": "true"}),
        allow("execute-api:Invoke", f"arn:aws:execute-api:eu-west-1:{ACCOUNT}:raw/prod/GET/a/../b"),
        allow("s3:GetObject", "arn:aws:s3:::docs/*"),
        allow("tenant:Use", "arn:aws:tenant:::a.tenants.example/*"),
        allow("shop:Buy", "arn:aws:shop:::orders", NumericLessThan={"extauthz:body/order": "100"}),
        {"Effect": "Deny", "Action": "execute-api:Invoke", "Resource": f"{API}/GET/orders/secret:1"},
    )
    made.add_principal(f"{ROLE}/k8s/shop/orders", identity_policies=[("orders", orders)])
    people = document(
        allow("execute-api:Invoke", f"{API}/GET/team", StringEquals={"aws:PrincipalTag/team": "red"}),
        allow("execute-api:Invoke", f"{API}/GET/groups", StringLike={"aws:PrincipalTag/groups": "*ops*"}),
        allow("execute-api:Invoke", f"{API}/GET/claim", **{"ForAnyValue:StringEquals": {"extauthz:claim/groups": "ops"}}),
    )
    made.add_principal(f"{ROLE}/people", identity_policies=[("people", people)])
    mine = document(allow("execute-api:Invoke", f"{API}/GET/mine"))
    made.add_principal(f"arn:aws:iam::{ACCOUNT}:user/alice", identity_policies=[("mine", mine)])
    return made


LOOPBACK = ListenerFacts("tcp", is_loopback=True, auth="none", is_tls=False)


class World:
    """The protocol with a configuration, asked by an Envoy with scopes."""

    def __init__(self, changes: dict[str, Any] | None = None, *, scopes: frozenset[str] = TRUSTED, **site: Any) -> None:
        made = directory()
        self.decider: Any = EngineDecider(made.compile(), made)
        self.warnings: list[str] = []
        section = msgspec.convert(merged(CONFIG, changes or {}), Section)
        known = {"listeners": (LOOPBACK,), "has_directory": True, "has_sts": False, "warn": self.warnings.append, **site}
        self.protocol: ExtAuthz = create(section, Site(**known))
        self.identity = Identity("envoy", scopes | (USE_SCOPES - {EXPLAIN}))

    def check(self, check: CheckRequest) -> Answer:
        """The answer of the core."""
        return self.protocol.core.check(check, self.decider, self.identity, NOW, DECISION_ID)

    def http(self, method: str, target: str, headers: dict[str, str], body: bytes = b"", client: str = "127.0.0.1") -> Response:
        """The response to Envoy over HTTP; `target` is that of the client, `client` its address by a trusted proxy."""
        path, _, query = target.partition("?")
        request = Request(
            method,
            b"/extauthz" + path.encode(),
            query.encode(),
            tuple((name.encode(), value.encode("latin-1")) for name, value in headers.items()),
            body,
            Peer("tcp", "127.0.0.1"),
            client_address=client,
            identity=self.identity,
            request_id=DECISION_ID,
        )
        [route] = self.protocol.routes()
        return route.handler(request, self.decider, NOW)


def read_check(members: dict[str, Any]) -> CheckRequest:
    """The check of a case, by default a request of the service `orders`; `target` and `headers` (pairs) are text."""
    members = dict(members)
    if members.pop("empty", False):
        return CheckRequest()
    headers = tuple((name.encode(), value.encode("latin-1")) for name, value in members.pop("headers", []))
    instant = members.pop("instant", None)
    jwt = members.pop("claims", None)
    known: dict[str, Any] = {"method": "GET", "host": "orders.example", "source_principal": SPIFFE, "is_merged": True}
    return CheckRequest(
        **known | {name: value for name, value in members.items() if name not in ("target", "body", "payload")},
        target=members.get("target", "/orders/7").encode("latin-1"),
        headers=headers,
        body=members.get("body", "").encode(),
        instant=None if instant is None else datetime.fromisoformat(instant),
        jwt={} if jwt is None else {members.get("payload", "jwt_payload"): jwt},
    )
