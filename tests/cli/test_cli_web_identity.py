"""`sts assume-role-with-web-identity` over a store with an OIDC provider that has pinned keys."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from oidc_world import CALLS, CLIENT, URL, WEB, A, OidcWorld, jwk
from sts_fixture import document

from fastiam.cli.main import run


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A store that the command line has made: the provider, and a role that trusts its subject `u1`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTIAM_STORE", "iam.db")
    monkeypatch.setenv("FASTIAM_KEYRING", "keyring.json")
    Path("jwks.json").write_text(json.dumps({"keys": [jwk("RSA 2")]}))
    who = {"Effect": "Allow", "Principal": {"Federated": f"arn:aws:iam::{A}:oidc-provider/oidc.example"}, "Action": CALLS[0]}
    role = {"arn": WEB, "trust_policy": document(who | {"Condition": {"StringEquals": {"oidc.example:sub": "u1"}}})}
    Path("role.json").write_text(json.dumps({"format": "fastiam-directory", "version": 1, "roles": [role]}))
    assert run(["sts", "keyring", "keyring.json"]) == 0
    assert run(["import", "role.json"]) == 0
    made = ["oidc-provider", "create", URL, "--client-id", CLIENT, "--keys", "jwks.json", "--account", A, "--format", "json"]
    assert run(made) == 0
    capsys.readouterr()


def assume(token: str, *more: str) -> int:
    Path("token.txt").write_text(token + "\n")
    return run(["sts", "assume-role-with-web-identity", "--role-arn", WEB, "--role-session-name", "run1",
                "--web-identity-token", "token.txt", *more])  # fmt: skip


def token(key: str, **changes: object) -> str:
    world = OidcWorld()
    world.clock.now = datetime.now(UTC)
    return world.token(key, **changes)


def test_id_token_in_a_file_gives_credentials(capsys):
    assert assume(token("RSA 2"), "--duration-seconds", "900") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["Version"] == 1 and printed["AccessKeyId"].startswith("ASIA")
    assert assume(token("RSA 2", sub="u2")) == 2
    assert "not authorized" in capsys.readouterr().err
    assert assume(token("RSA")) == 1
    assert "WI44" in capsys.readouterr().err


def test_pinned_keys_are_replaced(capsys):
    Path("jwks.json").write_text(json.dumps({"keys": [jwk("RSA")]}))
    assert run(["oidc-provider", "set", "oidc.example", "--keys", "jwks.json", "--account", A]) == 0
    assert assume(token("RSA")) == 0
