"""The certification scenario of AuthZEN (2.2): two users, two records, and requests in short form."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson
from served_engine import EngineDecider

from fastiam import Directory, Engine
from fastiam.server.http import Request, Response
from fastiam.server.identity import EXPLAIN, TRUST_SCOPES, USE_SCOPES, Identity
from fastiam.server.protocol import ListenerFacts, Site
from fastiam.server.protocols.authzen import AuthZen, Section, create

ACCOUNT = "000000000000"
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
CONFIG: dict[str, Any] = {
    "subjects": {"user": {"principal": f"arn:aws:iam::{ACCOUNT}:user/{{id}}", "known": True}},
    "resources": {
        "record": {
            "known": True,
            "resource": "arn:aws:record:::record/{id}",
            "action_prefix": "record",
            "actions": ["read", "write", "delete"],
        }
    },
}
DECISION_ID = "0193a000-0000-7000-8000-000000000001"
TRUSTED = frozenset({"assert:tags", "assert:context"})
"""The trust scopes of an anonymous identity on loopback (G28)."""


def allow(action: str, resource: str = "arn:aws:record:::record/*", **condition: Any) -> dict[str, Any]:
    """One statement."""
    statement: dict[str, Any] = {
        "Sid": action.partition(":")[2].title(),
        "Effect": "Allow",
        "Action": action,
        "Resource": resource,
    }
    if condition:
        statement["Condition"] = condition
    return statement


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    """A policy of statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def directory(*, policies: bool = True) -> Directory:
    """Users `alice` and `bob`, records `record-1` and `record-2`, a role `people`; without policies all is denied."""
    made = Directory()
    made.add_account(ACCOUNT)
    everyone = document(
        allow("record:read"),
        allow("record:write", StringEquals={"aws:PrincipalTag/role": "admin", "aws:ResourceTag/status": "archived"}),
    )
    alice = document(
        allow("record:write", StringNotEquals={"aws:ResourceTag/status": "archived"}),
        allow("record:delete", Bool={"authzen:action/soft": "true"}),
        allow("record:list", IpAddress={"aws:SourceIp": "10.0.0.0/8"}),
        allow("record:purge", Bool={"aws:MultiFactorAuthPresent": "true"}),
        allow("record:sign", StringEquals={"aws:PrincipalOrgID": "o-x"}),
        allow("record:past", DateLessThan={"aws:CurrentTime": "2021-01-01T00:00:00Z"}),
        allow("record:own", "arn:aws:other:::thing/*"),
    )
    made.add_principal(
        f"arn:aws:iam::{ACCOUNT}:user/alice",
        unique_id="AIDAALICE",
        identity_policies=[("everyone", everyone), ("alice", alice)] if policies else (),
    )
    made.add_principal(
        f"arn:aws:iam::{ACCOUNT}:user/bob",
        unique_id="AIDABOB",
        tags={"role": "admin"},
        identity_policies=[("everyone", everyone)] if policies else (),
    )
    people = document(*everyone["Statement"], allow("record:purge", Bool={"aws:MultiFactorAuthPresent": "true"}))
    made.add_principal(f"arn:aws:iam::{ACCOUNT}:role/people", unique_id="AROAPEOPLE", identity_policies=[("people", people)])
    made.add_resource("arn:aws:record:::record/record-1", account=ACCOUNT, tags={"status": "active"})
    made.add_resource("arn:aws:record:::record/record-2", account=ACCOUNT, tags={"status": "archived"})
    return made


class World:
    """The fixture's protocol with a configuration, asked as an identity."""

    def __init__(
        self,
        changes: dict[str, Any] | None = None,
        *,
        scopes: frozenset[str] = TRUSTED | {EXPLAIN},
        public_url: str | None = None,
        engine: Engine | None = None,
        logs_items: bool = False,
    ) -> None:
        made = directory()
        self.decider = EngineDecider(engine or made.compile(), made)
        listeners = (ListenerFacts("tcp", is_loopback=True, auth="none", is_tls=False),)
        site = Site(listeners, has_directory=True, has_sts=False, public_url=public_url, logs_items=logs_items)
        protocol = create(self.section(changes), site)
        assert isinstance(protocol, AuthZen)
        self.protocol = protocol
        self.routes = {route.path: route for route in protocol.routes()}
        self.identity = Identity("pep", scopes | (USE_SCOPES - {EXPLAIN}))

    @staticmethod
    def section(changes: dict[str, Any] | None = None) -> Section:
        """The fixture's section of the configuration, with changes."""
        return msgspec.convert(merged(CONFIG, changes or {}), Section)

    def send(
        self,
        path: str,
        body: bytes,
        content_type: bytes | None = b"application/json",
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> Response:
        """The response to a body at an endpoint, such as `evaluation`."""
        if content_type is not None:
            headers = ((b"content-type", content_type), *headers)
        request = Request(
            "POST", f"/access/v1/{path}".encode(), headers=headers, body=body, identity=self.identity, request_id=DECISION_ID
        )
        return self.routes[f"/access/v1/{path}"].handler(request, self.decider, NOW)

    def ask(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and JSON of the response."""
        response = self.send(path, orjson.dumps(body))
        assert isinstance(response.body, bytes)
        return response.status, orjson.loads(response.body)


ALL_SCOPES = TRUST_SCOPES | {EXPLAIN}


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A configuration with changes; null removes a member."""
    made = copy.deepcopy(base)
    for name, value in changes.items():
        if value is None:
            made.pop(name, None)
        elif isinstance(value, dict) and isinstance(made.get(name), dict):
            made[name] = merged(made[name], value)
        else:
            made[name] = value
    return made


def entities(subject: str | None, action: str | None, resource: str | None) -> dict[str, Any]:
    """The entities of a request with the fixture's types; None is left out."""
    body: dict[str, Any] = {}
    if subject is not None:
        body["subject"] = {"type": "user", "id": subject}
    if action is not None:
        body["action"] = {"name": action}
    if resource is not None:
        body["resource"] = {"type": "record", "id": resource}
    return body


TOML = f"""
[server]
public_url = "https://pdp.example"
[authzen.subjects.user]
principal = "{CONFIG["subjects"]["user"]["principal"]}"
known = true
[authzen.resources.record]
known = true
resource = "arn:aws:record:::record/{{id}}"
action_prefix = "record"
actions = ["read", "write", "delete"]
"""
"""The fixture's configuration for `fastiam serve`."""
