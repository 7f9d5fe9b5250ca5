"""A story with boto3 alone, over the socket of `fastiam serve`."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pyotp
import pytest
from aws_world import ADMIN, A, refused
from botocore import UNSIGNED
from botocore.config import Config
from server_process import Server, running
from sts_fixture import ALL, document

import fastiam
from fastiam.sts import STS, Credentials, Keyring

SETTINGS = """
[source]
keyring = "FOLDER/keyring"
[listeners.main]
address = "127.0.0.1:0"
protocols = ["aws"]
[aws]
[listeners.ops]
address = "127.0.0.1:0"
[decision_log]
path = "FOLDER/decisions.jsonl"
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Credentials]]:
    """A server over a store with one user, and the key of that user."""
    folder = tmp_path_factory.mktemp("aws")
    keyring = Keyring.generate()
    keyring.save(folder / "keyring")
    with fastiam.Directory.open(folder / "store.db") as directory:
        directory.add_principal(ADMIN, identity_policies=[("all", document(ALL))])
        admin = STS(directory, keyring).keys.create(ADMIN)
    with running(folder, folder / "store.db", SETTINGS.replace("FOLDER", str(folder))) as server:
        yield server, admin


def client(server: Server, service: str, keys: Any = None) -> Any:
    """A client with keys as `Credentials`, or as an answer has them."""
    if isinstance(keys, dict):
        keys = Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys.get("SessionToken"))
    session = boto3.Session(region_name="eu-west-1")
    return session.client(
        service,
        endpoint_url=f"http://{server.address()}/aws",
        aws_access_key_id=keys and keys.access_key_id,
        aws_secret_access_key=keys and str(keys.secret_access_key),
        aws_session_token=keys and keys.session_token and str(keys.session_token),
        config=Config(retries={"max_attempts": 1}, **({} if keys else {"signature_version": UNSIGNED})),
    )


@pytest.fixture
def signing_clock() -> None:
    """botocore signs with the time of the machine, as the server verifies."""


def test_administrator_sets_up_a_user_and_revokes_it(served):
    """Create user, keys, policy, role; assume with MFA; be denied; simulate; revoke; be refused."""
    server, admin = served
    iam = client(server, "iam", admin)
    iam.create_user(UserName="eve", Tags=[{"Key": "team", "Value": "red"}])
    eve = iam.create_access_key(UserName="eve")["AccessKey"]
    assume = document({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"})
    policy = iam.create_policy(PolicyName="assume", PolicyDocument=json.dumps(assume))["Policy"]["Arn"]
    iam.attach_user_policy(UserName="eve", PolicyArn=policy)
    trust = document(
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{A}:user/eve"},
            "Action": "sts:AssumeRole",
            "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
        }
    )
    role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    read = document({"Effect": "Allow", "Action": ["iam:GetUser", "iam:ListUsers"], "Resource": "*"})
    iam.put_role_policy(RoleName="reader", PolicyName="read", PolicyDocument=json.dumps(read))

    given = {"RoleArn": role, "RoleSessionName": "eve"}
    sts = client(server, "sts", eve)
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{A}:user/eve"
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName="phone")["VirtualMFADevice"]
    totp, now = pyotp.TOTP(device["Base32StringSeed"].decode()), datetime.now(UTC)
    # the steps before, of and after this moment: a device may be enabled with an old code and be used with the next one
    codes = [totp.at(now + timedelta(seconds=30 * step)) for step in (-1, 0, 1)]
    serial = device["SerialNumber"]
    iam.enable_mfa_device(UserName="eve", SerialNumber=serial, AuthenticationCode1=codes[0], AuthenticationCode2=codes[1])
    assert refused(sts.assume_role, **given)["Code"] == "AccessDenied"
    session = sts.assume_role(**given, SerialNumber=serial, TokenCode=codes[2])["Credentials"]

    reader = client(server, "iam", session)
    assert {user["UserName"] for user in reader.list_users()["Users"]} == {"admin", "eve"}
    denied = refused(reader.delete_user, UserName="eve")
    assert denied["Message"] == (
        f"User: arn:aws:sts::{A}:assumed-role/reader/eve is not authorized to perform: iam:DeleteUser on resource:"
        f" arn:aws:iam::{A}:user/eve because no identity-based policy allows the iam:DeleteUser action"
    )
    simulated = iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=["iam:ListUsers", "iam:DeleteUser"])
    assert [each["EvalDecision"] for each in simulated["EvaluationResults"]] == ["allowed", "implicitDeny"]

    deny = document(
        {
            "Effect": "Deny",
            "Action": "*",
            "Resource": "*",
            "Condition": {"DateLessThan": {"aws:TokenIssueTime": "2100-01-01T00:00:00Z"}},
        }
    )
    iam.put_role_policy(RoleName="reader", PolicyName="revoke", PolicyDocument=json.dumps(deny))
    assert "with an explicit deny in an identity-based policy" in refused(reader.list_users)["Message"]
    iam.update_access_key(UserName="eve", AccessKeyId=eve["AccessKeyId"], Status="Inactive")
    assert refused(sts.get_caller_identity)["Code"] == "InvalidClientTokenId"

    assert policy == iam.list_policies(Scope="Local")["Policies"][0]["Arn"]
    secrets = [eve["SecretAccessKey"], session["SecretAccessKey"], session["SessionToken"], device["Base32StringSeed"].decode()]
    log = _log_with(server, "iam:ListUsers")  # the last denied call
    assert "iam:DeleteUser" in log and not any(secret in log for secret in secrets)


def _log_with(server: Server, text: str) -> str:
    """The decision log, once it contains a text: lines are written up to 0.2 seconds later."""
    ends = time.monotonic() + 20
    while text not in (log := (server.folder / "decisions.jsonl").read_text()) and time.monotonic() < ends:
        time.sleep(0.05)
    return log


def test_write_is_in_the_audit_log_and_the_metrics(served):
    """G181, G188."""
    server, admin = served
    client(server, "iam", admin).create_group(GroupName="audited")
    while (line := server.log("aws_call"))["operation"] != "CreateGroup":
        pass
    assert (line["principal"], line["resources"], line["result"]) == (ADMIN, [f"arn:aws:iam::{A}:group/audited"], "success")
    assert line["after"] > line["before"] and line["peer"] == "127.0.0.1"
    metrics = server.ask("GET", "/metrics", name="ops").body.decode()
    assert 'fastiam_aws_requests_total{code="2xx",operation="CreateGroup",service="iam"} 1.0' in metrics


def test_writes_over_the_network_are_strict(served):
    """What AWS refuses is an error, whatever mode files are read in."""
    server, admin = served
    iam = client(server, "iam", admin)
    assert refused(iam.create_user, UserName="admin")["Code"] == "EntityAlreadyExists"
    policy = document({"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"})
    error = refused(iam.put_user_policy, UserName="admin", PolicyName="p", PolicyDocument=json.dumps(policy))
    assert error["Code"] == "MalformedPolicyDocument"
    wrong = document({"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{A}:user/none"}, "Action": "sts:AssumeRole"})
    error = refused(iam.create_role, RoleName="r", AssumeRolePolicyDocument=json.dumps(wrong))
    assert error["Code"] == "MalformedPolicyDocument" and "Invalid principal in policy" in error["Message"]


def test_read_sees_the_write_before_it_on_another_connection(served):
    """G16."""
    server, admin = served
    writer, reader = client(server, "iam", admin), client(server, "iam", admin)
    for count in map(str, range(20)):
        writer.tag_user(UserName="admin", Tags=[{"Key": "count", "Value": count}])
        assert reader.list_user_tags(UserName="admin")["Tags"] == [{"Key": "count", "Value": count}]


def test_read_beside_a_waiting_write_holds_up_nothing(served):
    """G14: another process has locked the store, so that the write waits, and the read waits for the write."""
    server, admin = served
    iam = client(server, "iam", admin)
    iam.get_user(UserName="admin")
    with ThreadPoolExecutor() as threads, fastiam.Directory.open(server.folder / "store.db") as store:
        with store.transaction():
            write = threads.submit(iam.create_user, UserName="late")
            reads = [threads.submit(client(server, "iam", admin).get_user, UserName="admin") for _ in range(4)]
            assert {server.ask("GET", "/nothing").status for _ in range(20)} == {404}
            assert not write.done()
        assert write.result()["User"]["UserName"] == "late"
        assert {read.result()["User"]["UserName"] for read in reads} == {"admin"}


def test_request_that_is_too_large_is_refused_in_xml(served):
    server, _ = served
    answer = server.ask("POST", "/aws", b"", {"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 403 and b"<Code>MissingAuthenticationToken</Code>" in answer.body
    large = server.ask("POST", "/aws", b"a=" + b"x" * (2 << 20))
    assert large.status == 413 and b"<Code>RequestEntityTooLarge</Code>" in large.body


def test_caller_of_a_web_identity_needs_no_signature(served):
    server, _ = served
    call = client(server, "sts").assume_role_with_web_identity
    error = refused(call, RoleArn=f"arn:aws:iam::{A}:role/none", RoleSessionName="s1", WebIdentityToken="x.y.z")
    assert error["Code"] in ("InvalidIdentityToken", "AccessDenied")


def test_reload_does_not_start_the_rates_of_unsigned_calls_again(tmp_path: Path):
    Keyring.generate().save(tmp_path / "keyring")
    with fastiam.Directory.open(tmp_path / "store.db") as directory:
        directory.add_principal(ADMIN)
    settings = SETTINGS.replace("FOLDER", str(tmp_path)).replace(
        "[aws]", "[aws]\nunsigned_burst = 1\nunsigned_per_second = 0.001"
    )
    with running(tmp_path, tmp_path / "store.db", settings) as server:
        sts = client(server, "sts")
        token = {"RoleArn": f"arn:aws:iam::{A}:role/r", "RoleSessionName": "s1", "WebIdentityToken": "x.y.z"}
        assert refused(sts.assume_role_with_web_identity, **token)["Code"] == "InvalidIdentityToken"
        server.signal(signal.SIGHUP)
        assert server.log("reload")["result"] == "success"
        assert refused(sts.assume_role_with_web_identity, **token)["Code"] == "Throttling"


def test_server_without_a_keyring_refuses_to_start(tmp_path: Path):
    """G15."""
    with fastiam.Directory.open(tmp_path / "store.db") as directory:
        directory.add_principal(ADMIN)
    settings = SETTINGS.replace('keyring = "FOLDER/keyring"', "").replace("FOLDER", str(tmp_path))
    with pytest.raises(AssertionError, match="keyring"), running(tmp_path / "run", tmp_path / "store.db", settings):
        pass
