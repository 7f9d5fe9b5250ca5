"""`key`, `mfa`, `sts` and `whoami`: a store from the command line, up to the credentials that the AWS SDK takes from it."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest
from sts_fixture import ALL, ANA, BO, DEP, document, trusting

import fastiam
from fastiam.cli.entity_commands import find_credential_owner
from fastiam.cli.main import run
from fastiam.errors import pip_install

Call = Callable[..., tuple[int, str, str]]
SHOWN_NOWHERE = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYxx"
VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "FASTIAM_STORE", "FASTIAM_KEYRING", "FORCE_COLOR")


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command line over a store with a user and a role: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    directory = fastiam.Directory.open("iam.db")
    directory.add_principal(ANA, unique_id="AIDAANA", identity_policies=[document(ALL)])
    directory.add_principal(BO)
    directory.add_principal(DEP, unique_id="AROADEP", trust_policy=trusting(ANA, actions="sts:*"))
    directory.close()
    assert run(["sts", "keyring", "keyring.json"]) == 0
    assert capsys.readouterr().out.startswith("Keyring: keyring.json\nKeys: ")
    monkeypatch.setenv("FASTIAM_STORE", "iam.db")
    monkeypatch.setenv("FASTIAM_KEYRING", "keyring.json")

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def key(call: Call) -> Path:
    """A file with a long-term key of `ana`."""
    code, out, _ = call("key", "create", ANA, "--format", "json")
    assert code == 0
    Path("ana.json").write_text(out)
    return Path("ana.json")


def assume(call: Call, *more: str) -> tuple[int, str, str]:
    return call("sts", "assume-role", "--role-arn", DEP, "--role-session-name", "run1", "--credentials", "ana.json", *more)


@pytest.mark.parametrize("file", ["policy.json", "ana.json", "keyring.json", "iam.db"])
def test_output_does_not_replace_a_file_that_is_read(call, key, file):
    Path("policy.json").write_text(json.dumps(document(ALL)))
    content = Path(file).read_bytes()
    code, out, err = assume(call, "--policy", "policy.json", "--out", file)
    assert (code, out) == (1, "") and f"would replace `{file}`" in err and Path(file).read_bytes() == content


def test_assume_role_prints_what_credential_process_takes(call, key):
    code, out, err = assume(call, "--tag", "team=blue", "--transitive-tag-key", "team", "--source-identity", "ana")
    assert (code, err) == (0, "")
    printed = json.loads(out)
    assert sorted(printed) == ["AccessKeyId", "Expiration", "SecretAccessKey", "SessionToken", "Version"]
    Path("run1.json").write_text(out)
    code, out, _ = call("whoami", "--credentials", "run1.json", "--format", "json")
    who = json.loads(out)
    assert code == 0 and who["Arn"].endswith(":assumed-role/Dep/run1") and who["UserId"] == "AROADEP:run1"
    assert datetime.fromisoformat(who["Expiration"]) == datetime.fromisoformat(printed["Expiration"])


def test_botocore_takes_the_credentials(call, key, tmp_path, monkeypatch):
    """The real client: its parser, and its check of the form."""
    pytest.importorskip("botocore", reason="botocore is not installed")
    from botocore.session import Session

    command = (
        f"{sys.executable} -m fastiam.cli.main sts assume-role --role-arn {DEP} --role-session-name run1 --credentials ana.json"
    )
    (tmp_path / "config").write_text(f"[profile dep]\ncredential_process = {command}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    found = Session(profile="dep").get_credentials()
    assert found.method == "custom-process"
    frozen = found.get_frozen_credentials()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", frozen.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", frozen.secret_key)
    monkeypatch.setenv("AWS_SESSION_TOKEN", frozen.token)
    code, out, _ = call("whoami")
    assert code == 0 and "assumed-role/Dep/run1" in out


def test_a_refusal_is_a_denial_that_names_layer_and_rule(call, key):
    code, out, err = call("sts", "get-federation-token", "--name", "kio", "--credentials", "ana.json")
    assert code == 0
    Path("kio.json").write_text(out)
    code, out, err = assume(call, "--credentials", "kio.json")
    assert (code, out) == (2, "")
    assert "layer `credential` [7.4]" in err


def test_wrong_calls_and_wrong_credentials_fail(call, key):
    assert assume(call, "--duration-seconds", "1")[0] == 1
    Path("wrong.json").write_text(json.dumps(json.loads(key.read_text()) | {"SecretAccessKey": "x" * 40}))
    code, out, err = call("whoami", "--credentials", "wrong.json")
    assert (code, out) == (1, "") and "not the secret" in err and "x" * 40 not in err
    for text in ("", "[]", "{}", '{"AccessKeyId": 1, "SecretAccessKey": 2}'):
        Path("none.json").write_text(text)
        code, _, err = call("whoami", "--credentials", "none.json")
        assert code == 1 and "`none.json`" in err
    code, _, err = call("whoami")
    assert code == 1 and "AWS_ACCESS_KEY_ID" in err
    assert call("whoami", "--store", "other.db", "--credentials", "ana.json")[0] == 1
    assert not Path("other.db").exists()
    assert call("key", "create")[0] == 64


def test_keys_are_listed_disabled_and_deleted(call, key):
    id_ = json.loads(key.read_text())["AccessKeyId"]
    assert call("key", "deactivate", id_)[:2] == (0, f"AccessKeyId: {id_}\nStatus: Inactive\n")
    rows = [json.loads(line) for line in call("key", "list", ANA, "--format", "jsonl")[1].splitlines()]
    assert [(row["id"], row["status"], row["last_used"]) for row in rows] == [(id_, "Inactive", None)]
    code, _, err = call("whoami", "--credentials", "ana.json")
    assert code == 1 and "inactive" in err
    assert call("key", "activate", id_)[0] == 0
    assert call("whoami", "--credentials", "ana.json")[0] == 0
    assert call("key", "delete", id_)[0] == 0
    assert call("key", "list", ANA, "--format", "jsonl")[1] == ""
    assert call("key", "delete", id_)[0] == 1


def test_a_principal_is_a_user_by_name_or_the_root(call):
    assert call("key", "create", "bo")[0] == 0
    assert call("key", "create", "root")[0] == 0
    assert call("key", "create", BO.replace("user/bo", "root"), "--account", "111111111111")[0] == 0
    assert len(call("key", "list", "root", "--format", "jsonl")[1].splitlines()) == 2
    for verb in ("list", "create"):
        code, out, err = call("key", verb, "root", "--account", "222222222222")
        assert (
            code == 1
            and not out
            and "there is no account `222222222222`" in err
            and "`fastiam account create 222222222222`" in err
        )
    assert call("mfa", "create", "nobody", "phone")[0] == 1
    directory = fastiam.Directory.open("iam.db")
    directory.add_account("222222222222")
    directory.close()
    code, _, err = call("key", "create", "root")
    assert code == 1 and "--account" in err
    with pytest.raises(fastiam.DirectoryError, match="the store has no account(.|\n)*fastiam account create"):
        find_credential_owner(fastiam.Directory(), "root", None)


def test_a_device_is_made_enabled_and_used(call, key):
    made = json.loads(call("mfa", "create", ANA, "phone", "--format", "json")[1])
    totp, now = pyotp.TOTP(made["Seed"]), datetime.now(UTC)
    before = [totp.at(now - timedelta(seconds=seconds)) for seconds in (60, 30)]
    assert call("mfa", "enable", made["SerialNumber"], *before)[0] == 0
    rows = [json.loads(line) for line in call("mfa", "list", ANA, "--format", "jsonl")[1].splitlines()]
    assert [(row["serial"], row["enabled"]) for row in rows] == [(made["SerialNumber"], True)]
    token = ("sts", "get-session-token", "--credentials", "ana.json", "--serial-number", made["SerialNumber"])
    code = totp.at(datetime.now(UTC))
    assert call(*token, "--token-code", code)[0] == 0
    assert call(*token, "--token-code", code)[0] == 2  # used
    assert call("mfa", "delete", made["SerialNumber"])[0] == 0
    assert call("mfa", "list", ANA, "--format", "jsonl")[1] == ""


def test_a_keyring_is_written_once_and_rotated(call, key):
    path = Path("keyring.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_text()
    code, _, err = call("sts", "keyring", "keyring.json")
    assert code == 1 and "--rotate" in err and path.read_text() == before
    assert call("sts", "keyring", "keyring.json", "--rotate")[0] == 0
    assert call("whoami", "--credentials", "ana.json")[0] == 0
    assert json.loads(call("sts", "reseal", "--format", "json")[1]) == {"Resealed": 1}
    assert call("sts", "keyring", "keyring.json", "--rotate", "--keep", "1")[0] == 0
    assert len(json.loads(path.read_text())) == 2
    assert call("whoami", "--credentials", "ana.json")[0] == 0


def test_sessions_of_a_role_are_revoked(call, key):
    code, out, _ = call("sts", "revoke-sessions", "Dep", "--format", "json")
    assert code == 0 and json.loads(out)["Role"] == DEP
    assert call("sts", "revoke-sessions", ANA)[0] == 1


def test_missing_extra_message_names_the_package(call, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("fastiam.sts")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyotp", None)
    code, _, err = call("key", "list", ANA)
    assert code == 1 and pip_install("sts") in err


@pytest.mark.parametrize("debug", [(), ("--debug",)])
@pytest.mark.parametrize(
    "content", ["[SECRET]", '"SECRET"', "SECRET", '{"AccessKeyId": "SECRET"}', '{"SecretAccessKey": "SECRET"}']
)
def test_credentials_without_a_key_are_not_shown(call, content, debug):
    Path("broken.json").write_text(content.replace("SECRET", SHOWN_NOWHERE))
    code, out, err = call("whoami", "--credentials", "broken.json", *debug)
    assert code == 1 and err and SHOWN_NOWHERE not in out + err


@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_key_in_the_keyring_variable_is_not_shown(call, monkeypatch, debug):
    monkeypatch.setenv("FASTIAM_KEYRING", SHOWN_NOWHERE)
    code, out, err = call("key", "create", ANA, *debug)
    assert code == 1 and "FASTIAM_KEYRING names cannot be read" in err and SHOWN_NOWHERE not in out + err


@pytest.mark.parametrize("verb", ["deactivate", "delete"])
def test_secret_as_a_key_id_is_not_shown(call, verb):
    code, out, err = call("key", verb, SHOWN_NOWHERE)
    assert code == 1 and "access key not found" in err and SHOWN_NOWHERE not in out + err
