"""Bulk decisions and analyses over a small directory, asked without a socket."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import msgspec
import orjson
import pyarrow as pa
from served_engine import EngineDecider

from fastiam import Directory
from fastiam.server.http import Request, Response
from fastiam.server.identity import USE_SCOPES, Identity
from fastiam.server.protocol import ListenerFacts, Site, StreamAborted, StreamRefused, StreamRoute
from fastiam.server.protocols.bulk import Section, create

ACCOUNT = "111111111111"
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
BOB = f"arn:aws:iam::{ACCOUNT}:user/bob"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/work"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/work/s1"
OBJECT = "arn:aws:s3:::data/a"
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
DEFAULT = frozenset({"assert:tags", "assert:context"})
ARROW = "application/vnd.apache.arrow.stream"
NDJSON = "application/x-ndjson"


def _document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def directory() -> Directory:
    """User `alice` who reads from one network, user `bob` without policies, a role, and a bucket that a service may write."""
    made = Directory(quotas=None)
    made.add_account(ACCOUNT)
    alice = _document(
        {"Sid": "Read", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::data/*"},
        {"Sid": "Mfa", "Effect": "Allow", "Action": "s3:PutObject", "Resource": "*", "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}},  # noqa: E501
        {"Sid": "Net", "Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}},  # noqa: E501
        {"Sid": "Old", "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*", "Condition": {"DateLessThan": {"aws:CurrentTime": "2021-01-01T00:00:00Z"}}},  # noqa: E501
        {"Sid": "Tag", "Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/team": "red"}}},  # noqa: E501
        {"Sid": "Keys", "Effect": "Allow", "Action": "s3:PutObjectAcl", "Resource": "*", "Condition": {"ForAllValues:StringEquals": {"x:keys": ["a", "b"]}, "Null": {"x:keys": "false"}}},  # noqa: E501
    )  # fmt: skip
    made.add_principal(ALICE, identity_policies=[("alice", alice)])
    made.add_principal(BOB)
    role = _document(
        {"Sid": "Mfa", "Effect": "Allow", "Action": "s3:PutObject", "Resource": "*", "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}},  # noqa: E501
        {"Sid": "Red", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": {"StringEquals": {"aws:PrincipalTag/team": "red"}}},  # noqa: E501
    )  # fmt: skip
    trust = _document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}})
    made.add_principal(ROLE, identity_policies=[("role", role)], trust_policy=trust)
    service = {"Service": "lambda.amazonaws.com"}
    policy = _document(
        {"Sid": "Service", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::data/*", "Principal": service}
    )
    made.add_resource("arn:aws:s3:::data", account=ACCOUNT, policy=policy, tags={"team": "blue"})
    return made


def arrow_stream(table: Any, *, options: Any = None, rows: int = 1 << 20) -> bytes:
    """The Arrow IPC stream of a table or batch."""
    written = BytesIO()
    with pa.ipc.new_stream(written, table.schema, options=options) as writer:
        if isinstance(table, pa.RecordBatch):
            writer.write_batch(table)
        else:
            writer.write_table(table, max_chunksize=rows)
    return written.getvalue()


def json_lines(rows: Iterable[Any]) -> bytes:
    """Rows as JSON lines; a text is a line as it is."""
    return b"".join((row.encode() if isinstance(row, str) else json.dumps(row).encode()) + b"\n" for row in rows)


def row(principal: str | None = ALICE, action: str = "s3:GetObject", resource: str = OBJECT, **more: Any) -> dict[str, Any]:
    """A row of a request."""
    members = {"action": action, "resource": resource, **more}
    return members if principal is None else {"principal": principal, **members}


class Reply:
    """What a stream answered: status, bytes, and whether HTTP shows that it is complete."""

    def __init__(self, status: int, body: bytes, *, is_complete: bool = True, record: Any = None) -> None:
        self.status, self.body, self.is_complete, self.record = status, body, is_complete, record

    @property
    def lines(self) -> list[Any]:
        """The JSON lines."""
        return [orjson.loads(line) for line in self.body.splitlines()]

    @property
    def rows(self) -> list[Any]:
        """The answers to rows, without the last line; of an Arrow stream as the lines would be."""
        if self.body[:4] != b"\xff\xff\xff\xff":
            return [line for line in self.lines if "allowed" in line]
        found = pa.ipc.open_stream(self.body).read_all().to_pylist()
        return [_as_line(one) for one in found]

    @property
    def error(self) -> Any:
        """The error of a refused request, or of the last line."""
        return self.lines[-1]["error"]


def _as_line(one: dict[str, Any]) -> dict[str, Any]:
    line = {name: value for name, value in one.items() if value not in (None, [])}
    if "error" in line:
        line["error"] = {"code": line.pop("error_code"), "message": line["error"]}
    return line


class World:
    """The protocol over an engine, asked as an identity."""

    def __init__(
        self, scopes: Iterable[str] = DEFAULT, made: Directory | None = None, *, logs_items: bool = False, **section: Any
    ) -> None:
        self.directory = made or directory()
        self.engine = self.directory.compile()
        self.decider: Any = EngineDecider(self.engine, self.directory)
        listeners = (ListenerFacts("tcp", is_loopback=True, auth="none", is_tls=False),)
        site = Site(listeners, has_directory=True, has_sts=False, logs_items=logs_items)
        self.protocol = create(msgspec.convert(section, Section), site)
        self.routes = {route.path: route for route in self.protocol.routes()}
        self.identity = Identity("pep", frozenset(scopes) | USE_SCOPES)

    def open(self, query: str = "", content_type: str = NDJSON, accept: str | None = None) -> tuple[Response, Any]:
        """The response and the processor of a stream."""
        headers = [(b"content-type", content_type.encode())] + ([] if accept is None else [(b"accept", accept.encode())])
        request = Request("POST", b"/v1/decisions", query.encode(), tuple(headers), identity=self.identity)
        route = self.routes["/v1/decisions"]
        assert isinstance(route, StreamRoute)
        return route.open(request, self.decider, NOW)

    def stream(
        self, body: bytes, query: str = "", content_type: str = NDJSON, accept: str | None = None, piece: int = 1 << 16
    ) -> Reply:
        """The answer to a body that arrives in pieces, as the application gives it."""
        response, processor = self.open(query, content_type, accept)
        if processor is None:
            assert isinstance(response.body, bytes)
            return Reply(response.status, response.body)
        written = b""
        try:
            for at in range(0, len(body), piece):
                for part in processor.feed(body[at : at + piece]):
                    written += part
            for part in processor.finish():
                written += part
        except StreamRefused as refused:
            assert not written and isinstance(refused.response.body, bytes)
            return Reply(refused.response.status, refused.response.body, record=processor.record())
        except StreamAborted as aborted:
            return Reply(200, written + aborted.last, is_complete=False, record=processor.record())
        return Reply(200, written, record=processor.record())

    def decide(self, rows: Sequence[Any], query: str = "", **options: Any) -> list[Any]:
        """The answers to rows as JSON lines."""
        reply = self.stream(json_lines(rows), query, **options)
        assert reply.status == 200 and reply.is_complete, reply.body
        return reply.rows

    def ask(self, name: str, body: Any, accept: str | None = None, content_type: str = "application/json") -> tuple[int, Any]:
        """Status and JSON of the answer to a analysis; of a streamed one its lines."""
        headers = [(b"content-type", content_type.encode())] + ([] if accept is None else [(b"accept", accept.encode())])
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        request = Request("POST", f"/v1/{name}".encode(), b"", tuple(headers), raw, identity=self.identity)
        response = self.routes[f"/v1/{name}"].handler(request, self.decider, NOW)  # type: ignore[union-attr]
        if not isinstance(response.body, bytes):
            return response.status, [orjson.loads(line) for piece in response.body for line in piece.splitlines()]
        return response.status, orjson.loads(response.body)
