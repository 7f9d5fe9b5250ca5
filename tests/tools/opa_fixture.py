"""The data API of OPA over a small directory, asked without a socket."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Any

import msgspec
import orjson
from authzen_fixture import TRUSTED, document, merged
from served_engine import EngineDecider

from fastiam import Directory
from fastiam.server.http import Request, Response
from fastiam.server.identity import EXPLAIN, USE_SCOPES, Identity
from fastiam.server.protocol import ListenerFacts, Route, Site
from fastiam.server.protocols.opa import Section, create

ACCOUNT = "111111111111"
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
DECISION_ID = "0193a000-0000-7000-8000-000000000002"
SCHEMA = "arn:aws:trino:::catalog/hive/schema/sales"
CONFIG: dict[str, Any] = {
    "paths": {
        "app/allow": {},
        "app/object": {"result": "object"},
        "app/member": {"result": "allow", "principal": "/who/id", "subject_type": "user", "resource_type": "record"},
        "trino/allow": {"shape": "trino.allow"},
        "trino/batch": {"shape": "trino.batch"},
    },
    "subjects": {"user": {"principal": f"arn:aws:iam::{ACCOUNT}:user/{{id}}"}},
    "resources": {"record": {"resource": "arn:aws:record:::record/{id}", "action_prefix": "record"}},
    "trino": {"principal": f"arn:aws:iam::{ACCOUNT}:user/{{user}}", "row_filters": "none", "column_masks": "none"},
}


_OPS = {"ForAnyValue:StringEquals": {"trino:groups": "ops"}}


def allow(action: str, resource: str, **condition: Any) -> dict[str, Any]:
    """One statement without a Sid."""
    return {"Effect": "Allow", "Action": action, "Resource": resource, **({"Condition": condition} if condition else {})}


def directory() -> Directory:
    """User `alice` with statements for each case; user `a` that may do everything below its own catalog."""
    made = Directory(quotas=None)
    made.add_account(ACCOUNT)
    made.add_principal(
        f"arn:aws:iam::{ACCOUNT}:user/alice",
        identity_policies=[
            (
                "alice",
                document(
                    allow("trino:SelectFromColumns", f"{SCHEMA}/table/orders/column/*"),
                    allow("trino:SelectFromColumns", f"{SCHEMA}/table/orders"),
                    {"Effect": "Deny", "Action": "trino:*", "Resource": f"{SCHEMA}/table/*/column/ssn"},
                    allow("trino:FilterColumns", f"{SCHEMA}/table/orders/column/*"),
                    allow("trino:FilterTables", f"{SCHEMA}/table/t2"),
                    allow("trino:FilterTables", f"{SCHEMA}/table/t4"),
                    allow("trino:RenameTable", f"{SCHEMA}/table/orders"),
                    allow("trino:RenameTable", f"{SCHEMA}/table/archive"),
                    allow("trino:*", f"{SCHEMA}/table/fly"),
                    allow("trino:ExecuteQuery", "*"),
                    allow("trino:ExecuteTableProcedure", f"{SCHEMA}/table/orders/procedure/optimize"),
                    allow("trino:ExecuteFunction", "arn:aws:trino:::function/*"),
                    allow(
                        "trino:ImpersonateUser",
                        "arn:aws:trino:::user/bob",
                        **{"ForAnyValue:StringEquals": {"trino:groups": "ops"}},
                    ),
                    allow("trino:SetTableAuthorization", f"{SCHEMA}/*", StringEquals={"trino:grantee/name": "bob"}),
                    allow("trino:DropTable", f"{SCHEMA}/*", StringEquals={"trino:credential/key": "s3cret"}),
                    {"Sid": "Read"} | allow("record:read", "arn:aws:record:::record/*"),
                    allow("record:write", "*", Bool={"aws:MultiFactorAuthPresent": "true"}),
                    allow("record:list", "*", StringEquals={"opa:context/team": "red"}),
                ),
            )
        ],
    )
    return made


class World:
    """The protocol with a configuration, asked as an identity."""

    def __init__(self, changes: dict[str, Any] | None = None, *, scopes: frozenset[str] = TRUSTED, **site: Any) -> None:
        made = directory()
        self.decider: Any = EngineDecider(made.compile(), made)
        listeners = (ListenerFacts("tcp", is_loopback=True, auth="none", is_tls=False),)
        section = msgspec.convert(merged(CONFIG, changes or {}), Section)
        ticks = count(0, 1_000)
        known = {"has_directory": True, "timer": lambda: next(ticks), **site}
        self.protocol = create(section, Site(listeners, has_sts=False, **known))
        self.identity = Identity("pep", scopes | (USE_SCOPES - {EXPLAIN}))

    def route(self, path: str) -> Route | None:
        """The route of a path, as the application finds it."""
        for route in self.protocol.routes():
            if route.path == path or (route.is_prefix and path.startswith(route.path)):
                return route
        return None

    def send(self, method: str, target: str, body: bytes = b"", content_type: bytes | None = b"application/json") -> Response:
        """The response, as the application gives it: 404 and 405 of the edge too."""
        path, _, query = target.partition("?")
        route = self.route(path)
        if route is None:
            return Response(404)
        if route.methods is not None and method not in route.methods:
            assert route.errors is not None
            return route.errors(405, "bad_method", "the path has no such method")
        headers = () if content_type is None else ((b"content-type", content_type),)
        request = Request(method, path.encode(), query.encode(), headers, body, identity=self.identity, request_id=DECISION_ID)
        return route.handler(request, self.decider, NOW)

    def ask(self, path: str, input_: Any) -> tuple[int, Any]:
        """Status and JSON of an answer of `/v1/data`."""
        response = self.send("POST", f"/v1/data/{path}", orjson.dumps({"input": input_}))
        assert isinstance(response.body, bytes)
        return response.status, orjson.loads(response.body)


def trino(operation: str, user: str = "alice", groups: tuple[str, ...] = (), **action: Any) -> dict[str, Any]:
    """An input of Trino."""
    return {
        "context": {
            "identity": {"user": user, "groups": list(groups)},
            "queryId": "20261129_120000_00001_abcde",
            "softwareStack": {"trinoVersion": "479"},
        },
        "action": {"operation": operation, **action},
    }


def table(name: str, *columns: str | None) -> dict[str, Any]:
    """A table of the schema `sales` as a resource of Trino; without columns the member is left out, None is an empty list."""
    members: dict[str, Any] = {"catalogName": "hive", "schemaName": "sales", "tableName": name}
    if columns:
        members["columns"] = [column for column in columns if column is not None]
    return {"table": members}
