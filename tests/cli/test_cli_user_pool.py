"""`fastiam user-pool`: the verbs and options of `aws cognito-idp` over a store."""

from __future__ import annotations

import json

import pytest

from fastiam.cli.main import run as run_main
from fastiam.sts import Keyring


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Keyring.generate().save("keyring")
    for name, value in (("STORE", "store.db"), ("KEYRING", "keyring"), ("CODES", "codes.jsonl")):
        monkeypatch.setenv(f"FASTIAM_{name}", value)

    def call(*args: str, code: int = 0):
        done = run_main([*args])
        output = capsys.readouterr()
        assert done == code, output
        return json.loads(output.out) if code == 0 and args[-1] == "json" else output.out + output.err

    call("init")
    call("account", "create", "111111111111")
    return call


def test_verbs_lead_from_a_pool_to_tokens(run, tmp_path):
    def pool(verb: str, *args: str):
        return run("user-pool", verb, *args, "--format", "json")

    made = pool("create-user-pool", "--pool-name", "demo", "--auto-verified-attributes", "email")["UserPool"]
    assert made["Arn"].startswith("arn:aws:cognito-idp:us-east-1:111111111111:userpool/")
    flows = ["--explicit-auth-flows", "ALLOW_USER_PASSWORD_AUTH", "--explicit-auth-flows", "ALLOW_REFRESH_TOKEN_AUTH"]
    client = pool("create-user-pool-client", "--user-pool-id", made["Id"], "--client-name", "web", *flows)["UserPoolClient"]
    (tmp_path / "password").write_text("Correct-Horse7\n")
    person = ["--client-id", client["ClientId"], "--username", "ana"]
    pool("sign-up", *person, "--password", "password", "--user-attributes", "Name=email,Value=ana@x.example")
    code = json.loads((tmp_path / "codes.jsonl").read_text())["code"]
    pool("confirm-sign-up", *person, "--confirmation-code", code)
    (tmp_path / "given").write_text('{"USERNAME": "ana", "PASSWORD": "Correct-Horse7"}')
    answer = pool("initiate-auth", *person[:2], "--auth-flow", "USER_PASSWORD_AUTH", "--auth-parameters", "given")[
        "AuthenticationResult"
    ]
    assert answer["IdToken"].count(".") == 2
    users = pool("list-users", "--user-pool-id", made["Id"])["Users"]
    assert [(user["Username"], user["UserStatus"]) for user in users] == [("ana", "CONFIRMED")]
    assert len(pool("get-jwks", "--user-pool-id", made["Id"])["keys"]) == 2
    assert len(pool("rotate-signing-keys", "--user-pool-id", made["Id"])["keys"]) == 4
    mfa = ["--software-token-mfa-configuration", "Enabled=true", "--mfa-configuration", "OPTIONAL"]
    assert pool("set-user-pool-mfa-config", "--user-pool-id", made["Id"], *mfa)["MfaConfiguration"] == "OPTIONAL"


def test_rotation_warns_about_refresh_tokens_of_a_removed_key(run, tmp_path):
    """ST13: clients keep refresh tokens, which `sts reseal` cannot reach."""
    made = run("user-pool", "create-user-pool", "--pool-name", "demo", "--format", "json")["UserPool"]["Id"]
    flows = ["--explicit-auth-flows", "ALLOW_USER_PASSWORD_AUTH", "--explicit-auth-flows", "ALLOW_REFRESH_TOKEN_AUTH"]
    given = ["--user-pool-id", made, "--client-name", "web", *flows, "--format", "json"]
    client = run("user-pool", "create-user-pool-client", *given)["UserPoolClient"]["ClientId"]
    (tmp_path / "password").write_text("Correct-Horse7\n")
    run("user-pool", "sign-up", "--client-id", client, "--username", "ana", "--password", "password")
    run("user-pool", "admin-confirm-sign-up", "--user-pool-id", made, "--username", "ana")
    rotate = ["sts", "keyring", "keyring", "--rotate"]
    assert "warning" not in run(*rotate, "--keep", "1") + run("sts", "reseal") + run(*rotate, "--keep", "1")
    run("sts", "reseal")
    (tmp_path / "given").write_text('{"USERNAME": "ana", "PASSWORD": "Correct-Horse7"}')
    run("user-pool", "initiate-auth", "--client-id", client, "--auth-flow", "USER_PASSWORD_AUTH", "--auth-parameters", "given")
    assert "warning" not in run(*rotate)
    assert "warning: refresh tokens of user pools last until 20" in run(*rotate, "--keep", "1")


def test_tokens_are_written_to_a_file_of_the_owner(run, tmp_path):
    made = run("user-pool", "create-user-pool", "--pool-name", "demo", "--format", "json")["UserPool"]["Id"]
    given = ["--user-pool-id", made, "--client-name", "web", "--generate-secret", "--out", "client"]
    run("user-pool", "create-user-pool-client", *given)
    assert (tmp_path / "client").stat().st_mode & 0o077 == 0 and "ClientSecret" in (tmp_path / "client").read_text()


@pytest.mark.parametrize("out", ["password", "keyring", "store.db"])
def test_output_does_not_replace_a_file_that_is_read(run, tmp_path, out):
    (tmp_path / "password").write_text("Correct-Horse7\n")
    content = (tmp_path / out).read_bytes()
    person = ("--client-id", "a", "--username", "ana", "--password", "password")
    assert f"would replace `{out}`" in run("user-pool", "sign-up", *person, "--out", out, code=1)
    assert (tmp_path / out).read_bytes() == content


def test_errors_are_messages(run):
    assert "does not exist" in run("user-pool", "describe-user-pool", "--user-pool-id", "us-east-1_x", code=1)
    wrong = ["--pool-name", "x", "--policies", "{"]
    assert "not JSON" in run("user-pool", "create-user-pool", *wrong, code=1)
    assert "No such command" in run("user-pool", "create-terms", code=64)


def test_reseal_covers_user_pools(run):
    run("user-pool", "create-user-pool", "--pool-name", "demo")
    Keyring.load("keyring").rotated().save("keyring")
    assert run("sts", "reseal", "--format", "json") == {"Resealed": 3}
