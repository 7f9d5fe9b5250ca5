"""`fastiam identity-pool` over a store: pools, identities and the calls of clients, verb by verb."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from identity_world import COGNITO, CORP
from saml_world import good, metadata
from sts_fixture import A, document

import fastiam
from fastiam.cli.main import run
from fastiam.cli.verbs.identity_pool import command
from fastiam.federation import Federation
from fastiam.sts import STS, Keyring

AUTH, GUEST = f"arn:aws:iam::{A}:role/Auth", f"arn:aws:iam::{A}:role/Guest"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store with one account, a SAML provider and two roles for every identity pool."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AWS_REGION", raising=False)
    ring = Keyring.generate()
    ring.save("keyring.json")
    directory = fastiam.Directory.open("iam.db", mode="lenient")
    Federation(STS(directory, ring)).saml_providers.create(A, "Corp", metadata())
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": COGNITO},
        "Action": ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"],
    }
    for role in (AUTH, GUEST):
        directory.add_principal(role, trust_policy=document(trust))
    directory.close()
    monkeypatch.setenv("FASTIAM_STORE", "iam.db")
    monkeypatch.setenv("FASTIAM_KEYRING", "keyring.json")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a verb: the JSON that it prints, or the exit code and standard error."""

    def made(verb: str, *arguments: str) -> Any:
        takes_form = any(param.name == "form" for param in command.commands[verb].params)
        code = run(["identity-pool", verb, *arguments, *(["--format", "json"] if takes_form else [])])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return json.loads(out) if code == 0 else (code, err)

    return made


@pytest.fixture
def pool(call: Any) -> str:
    """A pool with guests, a SAML provider and a developer provider, and its roles."""
    options = ("--guests", "--classic-flow", "--saml-provider", CORP, "--developer-provider", "login.app", "--tag", "a=b")
    made = call("create", "app", "--region", "eu-west-1", *options)
    assert made["arn"] == f"arn:aws:cognito-identity:eu-west-1:{A}:identitypool/{made['identity_pool_id']}"
    shown = call("set-roles", "app", "--authenticated", AUTH, "--unauthenticated", GUEST)
    assert shown["roles"] == {"authenticated": AUTH, "unauthenticated": GUEST}
    return str(made["identity_pool_id"])


def saml(file: str, **changes: Any) -> str:
    """A login option with a response in a file."""
    Path(file).write_text(good(datetime.now(UTC).replace(microsecond=0), **changes))
    return f"{CORP}={file}"


def test_verbs_of_a_pool(call, pool):
    assert call("show", "app") == call("show", pool)
    assert call("tag", "app", "c=d")["identity_pool_tags"] == {"a": "b", "c": "d"}
    assert call("untag", "app", "a")["identity_pool_tags"] == {"c": "d"}
    Path("mappings.json").write_text(
        json.dumps(
            {
                CORP: {
                    "Type": "Rules",
                    "AmbiguousRoleResolution": "Deny",
                    "RulesConfiguration": {"Rules": [{"Claim": "mail", "MatchType": "Contains", "Value": "@x", "RoleARN": AUTH}]},
                }
            }
        )
    )
    shown = call("set-roles", "app", "--authenticated", AUTH, "--role-mappings", "mappings.json")
    assert shown["role_mappings"][CORP]["rules"][0]["claim"] == "mail" and "unauthenticated" not in shown["roles"]
    assert call("set-principal-tags", "app", CORP, "--tag", "team=group")["tag_maps"] == {
        CORP: {"principal_tags": {"team": "group"}}
    }
    assert "tag_maps" not in call("set-principal-tags", "app", CORP)
    updated = call("update", "app", "--name", "web", "--no-guests")
    assert updated["identity_pool_name"] == "web" and updated["developer_provider_name"] == "login.app"
    assert "saml_provider_arns" not in updated and not updated["allow_unauthenticated_identities"]
    assert call("list") == [{"name": "web", "id": pool, "account": A}]
    assert call("delete", "web") == {"deleted": pool}
    assert call("list") == []


def test_calls_about_identities(call, pool):
    guest = call("get-id", "app")["IdentityId"]
    made = call("get-credentials-for-identity", guest)
    assert made["AccessKeyId"].startswith("ASIA")
    login = saml("response.txt")
    identity = call("get-id", "app", "--login", login)["IdentityId"]
    assert call("get-credentials-for-identity", identity, "--login", login, "--custom-role-arn", AUTH)["Version"] == 1
    token = call("get-open-id-token", identity, "--login", login)
    assert token["IdentityId"] == identity
    Path("classic.txt").write_text(token["Token"])
    names = ("--role-arn", AUTH, "--role-session-name", "run1", "--web-identity-token", "classic.txt", "--out", "classic.json")
    assert run(["sts", "assume-role-with-web-identity", *names]) == 0
    developer = call("get-open-id-token-for-developer-identity", "app", "ana", "--identity", guest, "--principal-tag", "a=b")
    assert developer["IdentityId"] == guest
    Path("token.txt").write_text(developer["Token"])
    assert call("get-credentials-for-identity", guest, "--login", f"{COGNITO}=token.txt")["AccessKeyId"]
    listed = call("list-identities", "app", "--hide-disabled")
    assert {row["id"]: row["logins"] for row in listed} == {guest: "login.app", identity: CORP}
    assert call("unlink-identity", identity, "--login", login, "--remove", CORP)["identity_id"] == identity
    assert call("describe-identity", identity)["logins"] == []
    assert call("delete-identities", guest, identity) == {"deleted": [guest, identity]}
    assert call("list-identities", "app") == []


def test_calls_about_developer_identities(call, pool):
    ids = [call("get-open-id-token-for-developer-identity", "app", user)["IdentityId"] for user in ("ana", "ben")]
    assert call("lookup-developer-identity", "app", "--user", "ana")["IdentityId"] == ids[0]
    assert call("merge-developer-identities", "app", "ben", "ana") == {"IdentityId": ids[0]}
    shown = call("lookup-developer-identity", "app", "--identity", ids[0])
    assert shown == {"IdentityId": ids[0], "DeveloperUserIdentifierList": ["ana", "ben"]}
    assert call("unlink-developer-identity", "app", ids[0], "ben")["logins"] == ["login.app"]
    assert call("lookup-developer-identity", "app", "--identity", ids[0])["DeveloperUserIdentifierList"] == ["ana"]
    for arguments in (
        ("lookup-developer-identity", "app", "--user", "ben"),
        ("lookup-developer-identity", "app"),
        ("merge-developer-identities", "app", "ben", "ana"),
        ("unlink-developer-identity", "app", ids[0], "ben"),
    ):
        code, err = call(*arguments)
        assert code == 1 and ("not found" in err or "give an identity" in err)
    call("create", "plain", "--region", "eu-west-1", "--guests")
    assert "no developer provider" in call("merge-developer-identities", "plain", "ben", "ana")[1]


def test_credentials_go_to_a_file_of_the_owner(call, pool, capsys):
    guest = call("get-id", "app")["IdentityId"]
    assert run(["identity-pool", "get-credentials-for-identity", guest, "--out", "made.json"]) == 0
    assert capsys.readouterr().out == "" and Path("made.json").stat().st_mode & 0o077 == 0
    assert json.loads(Path("made.json").read_text())["SessionToken"]


def test_refusals_are_messages(call, pool):
    for arguments, text in (
        (("get-id", "app", "--login", saml("evil.txt", issuer="https://evil.example")), "invalid login token"),
        (("get-id", "app", "--login", "oidc.example=evil.txt"), "not configured"),
        (("show", "absent"), "identity pool not found"),
        (("describe-identity", "x"), "is not an id"),
        (("set-roles", "app", "--role-mappings", "evil.txt"), "is not JSON"),
        (("create", "b", "--region", "nowhere"), "is not a region"),
        (("get-open-id-token-for-developer-identity", "app", ""), "text of 1 to"),
    ):
        code, err = call(*arguments)
        assert code == 1 and text in err, arguments
    assert call("create", "app")[0] == 64
    call("create", "app", "--region", "eu-west-1", "--account", A)
    assert "several identity pools" in call("show", "app")[1]


def test_every_verb_is_called():
    assert isinstance(command, click.Group)
    source = Path(__file__).read_text()
    assert not [verb for verb in command.commands if f'call("{verb}"' not in source]
