"""What the audit log and the metrics get of calls (G181, G188)."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from aws_world import ADMIN, BO, A, AwsWorld, refused, sign
from botocore import UNSIGNED
from botocore.config import Config
from sts_fixture import ALL, document

from fastiam.credentials.secret import Secret
from fastiam.server.audit_log import AuditLog
from fastiam.server.call_log import AuditedCalls, CallCounts
from fastiam.server.decision_log import Cut, encode
from fastiam.server.decision_records import CallRecord
from fastiam.server.log_writer import LogWriter
from fastiam.server.metrics import Metrics
from fastiam.server.observer import Observer
from fastiam.server.protocols.aws.call_records import is_audited
from fastiam.server.protocols.aws.operations import operations
from fastiam.server.protocols.aws.requests import SERVED

TRUST = document({"Effect": "Allow", "Principal": {"AWS": ADMIN}, "Action": "sts:AssumeRole"})
COGNITO = "cognito-identity.amazonaws.com"
ROLE = f"arn:aws:iam::{A}:role/reader"


class Audit:
    """A log in a file, and the records that went there."""

    def __init__(self, folder: Path) -> None:
        self.log, self.counts = AuditLog(str(folder / "audit")), CallCounts()
        self._calls, self._folder = AuditedCalls(self.log, self.counts), folder
        self.records: list[CallRecord] = []
        self.is_full = False

    def is_open(self) -> bool:
        return self._calls.is_open() and not self.is_full

    def ended(self, record: CallRecord) -> None:
        self.records.append(record)
        self._calls.ended(record)

    def lines(self) -> list[dict[str, Any]]:
        assert self.log.writer.flush(10)
        return [json.loads(line) for line in (self._folder / "audit").read_text().splitlines()]

    def metrics(self) -> str:
        state: Any = {"generation": 1, "loaded_at": 0, "reloads": {}, "reload_error": 0, "pool_queue": 0, "engine": {}}
        return Metrics(Observer(), self.counts, lambda: state, dict).text("")[0].decode()


@pytest.fixture
def audit(world: AwsWorld, tmp_path: Path) -> Any:
    found = Audit(tmp_path)
    world.protocol.calls = found
    yield found
    found.log.writer.close()


def test_write_is_logged_with_caller_resource_and_generations(world: AwsWorld, audit: Audit) -> None:
    world.client("iam").create_user(UserName="eve", Tags=[{"Key": "password", "Value": "hunter2"}])
    [line] = audit.lines()
    assert line.pop("timestamp") and line.pop("request_id")
    assert line.pop("after") > line.pop("before")
    assert line == {
        "event": "aws_call",
        "service": "iam",
        "operation": "CreateUser",
        "principal": ADMIN,
        "access_key_id": world.admin.access_key_id,
        "peer": "203.0.113.9",
        "resources": [f"arn:aws:iam::{A}:user/eve"],
        "result": "success",
    }


def test_denied_write_is_logged_with_its_code(world: AwsWorld, audit: Audit) -> None:
    refused(world.client("iam", world.bo).delete_user, UserName="admin")
    [line] = audit.lines()
    assert (line["operation"], line["principal"], line["result"]) == ("DeleteUser", BO, "AccessDenied")
    assert line["resources"] == [ADMIN] and line["before"] == line["after"]


def test_issued_credentials_are_logged_without_secrets(world: AwsWorld, audit: Audit) -> None:
    world.client("iam").create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(TRUST))
    made = world.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="s1")["Credentials"]
    key = world.client("iam").create_access_key(UserName="bo")["AccessKey"]
    world.client("iam").create_login_profile(UserName="bo", Password="Correct-Horse7!")
    lines = audit.lines()
    assert [line.get("issued") for line in lines] == [None, made["AccessKeyId"], key["AccessKeyId"], None]
    assert lines[1]["resources"] == [ROLE]
    text = json.dumps(lines)
    assert not any(secret in text for secret in (made["SecretAccessKey"], made["SessionToken"], key["SecretAccessKey"], "Horse"))


def test_reads_are_counted_and_not_logged(world: AwsWorld, audit: Audit) -> None:
    world.client("iam").list_users()
    world.client("sts").get_caller_identity()
    refused(world.client("iam", world.bo).list_users)
    assert audit.lines() == [] and len(audit.records) == 3


def test_wrong_signatures_are_logged_ten_times_a_second(world: AwsWorld, audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastiam.server.audit_log.time.monotonic", lambda: 5.0)
    request = sign(world, "Action=CreateUser&Version=2010-05-08&UserName=eve")
    for _ in range(30):
        world.protocol.handle(sign(world, "Action=GetUser&Version=2010-05-08", keys=_wrong(world)), world.decider, world.clock())
    assert len(audit.lines()) == 10 and {line["reason"] for line in audit.lines()} == {"SignatureDoesNotMatch"}
    assert all(line["event"] == "authentication_failed" and line["peer"] == "203.0.113.9" for line in audit.lines())
    assert 'fastiam_signature_failures_total{reason="SignatureDoesNotMatch"} 30.0' in audit.metrics()
    assert world.handle(request).status == 200


def _wrong(world: AwsWorld) -> Any:
    return type(world.admin)(world.admin.access_key_id, "x" * 40)


def test_unknown_operations_have_one_label(world: AwsWorld, audit: Audit) -> None:
    """GC245."""
    for n in range(50):
        world.handle(sign(world, f"Action=Op{n}&Version=2010-05-08"))
    world.handle(sign(world, "Action=ListUsers&Version=2010-05-08"))
    found = [line for line in audit.metrics().splitlines() if line.startswith("fastiam_aws_requests_total")]
    assert found == [
        'fastiam_aws_requests_total{code="2xx",operation="ListUsers",service="iam"} 1.0',
        'fastiam_aws_requests_total{code="400",operation="other",service="iam"} 50.0',
    ]


def test_sessions_are_counted_by_their_call(world: AwsWorld, audit: Audit) -> None:
    sts = world.client("sts")
    sts.get_session_token()
    refused(sts.assume_role, RoleArn=ROLE, RoleSessionName="s1")
    assert 'fastiam_sts_sessions_issued_total{call="GetSessionToken"} 1.0' in audit.metrics()
    assert 'call="AssumeRole"' not in audit.metrics()


def test_id_of_a_guest_is_in_no_line_of_the_log(world: AwsWorld, audit: Audit, caplog: pytest.LogCaptureFixture) -> None:
    """Who knows it is the guest (ID21)."""
    pools, public = world.client("cognito-identity"), world.client("cognito-identity", config=Config(signature_version=UNSIGNED))
    settings = {"IdentityPoolName": "p", "AllowUnauthenticatedIdentities": True, "AllowClassicFlow": True}
    pool = pools.create_identity_pool(**settings)["IdentityPoolId"]
    trust: dict[str, Any] = {"Effect": "Allow", "Principal": {"Federated": COGNITO}, "Action": "sts:AssumeRoleWithWebIdentity"}
    trust |= {"Condition": {"StringEquals": {f"{COGNITO}:aud": pool}}}
    world.directory.add_principal(f"arn:aws:iam::{A}:role/guest", trust_policy=document(trust), identity_policies=[document(ALL)])
    pools.set_identity_pool_roles(IdentityPoolId=pool, Roles={"unauthenticated": f"arn:aws:iam::{A}:role/guest"})
    guest = public.get_id(IdentityPoolId=pool)["IdentityId"]
    with caplog.at_level("INFO"):
        public.get_credentials_for_identity(IdentityId=guest)
        token = public.get_open_id_token(IdentityId=guest)["Token"]
        sts = world.client("sts", config=Config(signature_version=UNSIGNED))
        sts.assume_role_with_web_identity(RoleArn=f"arn:aws:iam::{A}:role/guest", RoleSessionName="s1", WebIdentityToken=token)
    assert guest not in caplog.text and "AssumeRoleWithWebIdentity success" in caplog.text
    lines = audit.lines()
    assert guest not in json.dumps(lines) and token not in json.dumps(lines)
    shown = {line["operation"]: line["resources"] for line in lines}
    assert shown["GetCredentialsForIdentity"] == shown["GetOpenIdToken"]
    assert [text.startswith("hmac:") for text in shown["GetOpenIdToken"]] == [True]


def test_secret_is_hidden_in_each_line_of_a_log(audit: Audit) -> None:
    secret = Secret("hunter2")
    audit.log.event("x", a=secret, b=[secret, secret.encode()], c={"d": secret})
    audit.log.call(has_acted=True, resources=(secret,))
    record = logging.LogRecord("l", logging.ERROR, "", 1, "%s and %r", (secret, secret), None)
    audit.log.handler().handle(record)
    cut = Cut([]).tree({"a": secret, "b": [secret.encode()]}, "/input")
    texts = [json.dumps(line) for line in audit.lines()] + [encode(cut).decode()]
    assert len(texts) == 4 and all("<secret>" in text and "hunter2" not in text for text in texts)


def test_write_without_audit_log_is_refused_before_it_acts(world: AwsWorld, audit: Audit) -> None:
    audit.is_full = True
    error = refused(world.client("iam").create_user, UserName="eve")
    assert (error["Status"], error["Code"]) == (503, "ServiceUnavailable")
    assert refused(world.client("sts").get_session_token)["Code"] == "ServiceUnavailable"
    assert [user["UserName"] for user in world.client("iam").list_users()["Users"]] == ["admin", "bo"]


def test_key_is_disabled_while_the_audit_log_cannot_be_written(world: AwsWorld, audit: Audit) -> None:
    """Its line is written later: a leaked key cannot wait for the disk."""
    audit.is_full = True
    iam, key = world.client("iam"), world.bo.access_key_id
    iam.update_access_key(UserName="bo", AccessKeyId=key, Status="Inactive")
    error = refused(iam.update_access_key, UserName="bo", AccessKeyId=key, Status="Active")
    assert error["Code"] == "ServiceUnavailable"
    iam.delete_access_key(UserName="bo", AccessKeyId=key)
    done = [line["operation"] for line in audit.lines() if line["result"] == "success"]
    assert done == ["UpdateAccessKey", "DeleteAccessKey"]


def test_line_of_a_call_is_kept_where_the_queue_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastiam.server.log_writer._MAX_LINES", 0)
    reading, writing = os.pipe()
    writer = LogWriter(writing)
    assert not writer.put(b"a\n") and writer.put(b"b\n", always=True) and writer.dropped == 1
    writer.close()
    os.close(writing)
    assert os.read(reading, 10) == b"b\n"
    os.close(reading)


def test_refused_calls_do_not_fill_a_queue_that_is_full(world: AwsWorld, audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastiam.server.log_writer._MAX_LINES", 0)
    for _ in range(3):
        assert refused(world.client("iam").create_user, UserName="eve")["Code"] == "ServiceUnavailable"
    assert audit.lines() == [] and audit.log.writer.dropped >= 3


def test_every_operation_that_writes_is_audited() -> None:
    for service in SERVED:
        for name, operation in operations(service).items():
            assert is_audited(name) or not operation.writes, name
    reads = {name for service in SERVED for name in operations(service) if not is_audited(name)}
    assert reads >= {"GetCallerIdentity", "ListUsers", "DescribeOrganization", "SimulatePrincipalPolicy"}
    assert not reads & {"GetSessionToken", "GetFederationToken", "GetTokensFromRefreshToken", "InitiateAuth", "AssumeRole"}
