"""The story of an administrator and a user with the `aws` command, over TLS."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest
from aws_server import REGION, A, AwsServer, aws_server
from sts_fixture import document

from fastiam.sts import Credentials

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the packages of the command
    clidriver = pytest.importorskip("awscli.clidriver", reason="the `aws` command is not installed")

Aws = Callable[..., Any]


@pytest.fixture
def signing_clock() -> None:
    """The command and the server have the clock of the machine."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsServer]:
    with aws_server(tmp_path_factory.mktemp("aws")) as running:
        yield running


@pytest.fixture
def aws(server: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Aws:
    """Runs `aws` in this process, with some credentials: the JSON of its output, or the text of its error.

    A process takes a second to start. Each caller has one driver of the command, which reads the models of the services once.
    """
    drivers: dict[str, Any] = {}
    for name in ("HTTPS_PROXY", "https_proxy", "AWS_PROFILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "absent"))
    monkeypatch.setenv("AWS_CA_BUNDLE", server.ca_file)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    options = ["--endpoint-url", f"https://{server.endpoint}", "--region", REGION, "--output", "json"]

    def run(keys: Any, *arguments: object) -> Any:
        values = keys if isinstance(keys, dict) else _members(keys)
        for name, key in (
            ("ACCESS_KEY_ID", "AccessKeyId"),
            ("SECRET_ACCESS_KEY", "SecretAccessKey"),
            ("SESSION_TOKEN", "SessionToken"),
        ):
            if values.get(key) is None:
                monkeypatch.delenv(f"AWS_{name}", raising=False)
            else:
                monkeypatch.setenv(f"AWS_{name}", values[key])
        texts = [json.dumps(each) if isinstance(each, dict) else str(each) for each in arguments]
        caller = values["AccessKeyId"]
        if caller not in drivers:
            drivers[caller] = clidriver.create_clidriver()
        code = drivers[caller].main([*texts, *options])
        captured = capsys.readouterr()
        if code:
            return captured.err.strip()
        return json.loads(captured.out) if captured.out else None

    return run


def _members(keys: Credentials) -> dict[str, str]:
    return {"AccessKeyId": keys.access_key_id, "SecretAccessKey": str(keys.secret_access_key)}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the packages of the command
def test_command_sets_up_a_user_and_revokes_it(server: AwsServer, aws: Aws, tmp_path: Path) -> None:
    """Create user, keys, policy, role; assume with MFA; be denied; simulate; revoke; be refused."""
    admin, user = server.admin, f"arn:aws:iam::{A}:user/eve"
    made = aws(admin, "iam", "create-user", "--user-name", "eve", "--tags", "Key=team,Value=red")["User"]
    assert made["Arn"] == user and made["UserId"].startswith("AIDA")
    eve = aws(admin, "iam", "create-access-key", "--user-name", "eve")["AccessKey"]
    assume = document({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"})
    policy = aws(admin, "iam", "create-policy", "--policy-name", "assume", "--policy-document", assume)["Policy"]["Arn"]
    assert aws(admin, "iam", "attach-user-policy", "--user-name", "eve", "--policy-arn", policy) is None
    condition = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    trust = document({"Effect": "Allow", "Principal": {"AWS": user}, "Action": "sts:AssumeRole", "Condition": condition})
    role = aws(admin, "iam", "create-role", "--role-name", "reader", "--assume-role-policy-document", trust)["Role"]
    assert role["AssumeRolePolicyDocument"] == trust
    read = document({"Effect": "Allow", "Action": "iam:ListUsers", "Resource": "*"})
    named = ["--role-name", "reader", "--policy-name", "read"]
    assert aws(admin, "iam", "put-role-policy", *named, "--policy-document", read) is None

    seed = tmp_path / "seed"
    device = ["--virtual-mfa-device-name", "phone", "--bootstrap-method", "Base32StringSeed", "--outfile", seed]
    serial = aws(admin, "iam", "create-virtual-mfa-device", *device)["VirtualMFADevice"]["SerialNumber"]
    totp, now = pyotp.TOTP(seed.read_text()), datetime.now(UTC)
    before, code, after = (totp.at(now + timedelta(seconds=30 * step)) for step in (-1, 0, 1))
    codes = ["--authentication-code1", before, "--authentication-code2", code]
    assert aws(admin, "iam", "enable-mfa-device", "--user-name", "eve", "--serial-number", serial, *codes) is None

    assuming = ["sts", "assume-role", "--role-arn", role["Arn"], "--role-session-name", "eve"]
    assert "(AccessDenied)" in aws(eve, *assuming)
    session = aws(eve, *assuming, "--serial-number", serial, "--token-code", after)["Credentials"]
    assert [each["UserName"] for each in aws(session, "iam", "list-users")["Users"]] == ["admin", "eve"]
    assert "is not authorized to perform: iam:DeleteUser" in aws(session, "iam", "delete-user", "--user-name", "eve")
    asked = ["--policy-source-arn", role["Arn"], "--action-names", "iam:ListUsers", "iam:DeleteUser"]
    simulated = aws(admin, "iam", "simulate-principal-policy", *asked)["EvaluationResults"]
    assert [each["EvalDecision"] for each in simulated] == ["allowed", "implicitDeny"]

    key = ["--user-name", "eve", "--access-key-id", eve["AccessKeyId"]]
    assert aws(admin, "iam", "update-access-key", *key, "--status", "Inactive") is None
    assert "(InvalidClientTokenId)" in aws(eve, "sts", "get-caller-identity")
