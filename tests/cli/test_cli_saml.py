"""`sts assume-role-with-saml` and `sts reseal` over a store with a SAML provider."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from saml_world import CORP, DEV, OPS, good, metadata, rsa_key, trust
from sts_fixture import A

import fastiam
from fastiam.cli.main import run
from fastiam.credentials.federation_records import FederationStore
from fastiam.errors import pip_install
from fastiam.federation import Federation
from fastiam.sts import STS, Keyring

NOW = datetime.now(UTC).replace(microsecond=0)
BOTH = [f"{DEV},{CORP}", f"{OPS},{CORP}"]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store with provider Corp, a role that trusts it and one that does not."""
    monkeypatch.chdir(tmp_path)
    ring = Keyring.generate()
    ring.save("keyring.json")
    directory = fastiam.Directory.open("iam.db")
    federation = Federation(STS(directory, ring))
    federation.saml_providers.create(A, "Corp", metadata(), encryption="Allowed", private_key=rsa_key("sp").pem)
    directory.add_principal(DEV, trust_policy=trust(CORP))
    directory.add_principal(OPS, trust_policy=trust(CORP + "2"))
    directory.close()
    monkeypatch.setenv("FASTIAM_STORE", "iam.db")
    monkeypatch.setenv("FASTIAM_KEYRING", "keyring.json")


def assume(role: str = DEV, *more: str) -> int:
    file = ("--principal-arn", CORP, "--saml-assertion", "response.txt")
    return run(["sts", "assume-role-with-saml", "--role-arn", role, *file, *more])


def test_saml_response_in_a_file_gives_credentials_once(capsys):
    Path("response.txt").write_text(good(NOW, roles=BOTH) + "\n")
    assert assume(OPS) == 2  # the trust policy refuses, which does not spend the response
    assert "not authorized" in capsys.readouterr().err
    assert assume() == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["Version"] == 1 and printed["AccessKeyId"].startswith("ASIA")
    assert assume() == 1
    assert "redeemed already" in capsys.readouterr().err


def test_reseal_covers_the_keys_of_providers(capsys, monkeypatch):
    assert run(["sts", "keyring", "keyring.json", "--rotate"]) == 0
    capsys.readouterr()
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "fastiam.federation", None)
        assert run(["sts", "reseal"]) == 0
        out, err = capsys.readouterr()
        assert out == "Resealed: 0\n" and pip_install("federation") in err
    assert run(["sts", "reseal"]) == 0
    assert capsys.readouterr().out == "Resealed: 1\n"


def test_missing_extra_is_named(capsys, monkeypatch):
    Path("response.txt").write_text(good(NOW))
    monkeypatch.setitem(sys.modules, "lxml", None)
    for name in [name for name in sys.modules if name.startswith("fastiam.federation")]:
        monkeypatch.delitem(sys.modules, name)
    assert assume() == 1
    assert pip_install("federation") in capsys.readouterr().err


# -- encrypted assertions -------------------------------------------------------------------------------------------------


def provider(capsys, *arguments: str) -> dict[str, object]:
    """The provider as a verb prints it."""
    assert run(["saml-provider", *arguments, "--format", "json"]) == 0
    printed: dict[str, object] = json.loads(capsys.readouterr().out)
    return printed


def test_provider_with_a_private_key_decrypts_assertions(capsys):
    Path("meta.xml").write_text(metadata())
    Path("key.pem").write_text(rsa_key("sp").pem)
    made = provider(capsys, "create", "Corp2", "meta.xml", "--account", A, "--encryption", "Required", "--private-key", "key.pem")
    assert made["encryption"] == "Required" and len(made["private_keys"]) == 1
    assert "PRIVATE" not in json.dumps(made)
    pair, recipient = f"{OPS},{CORP}2", f"https://signin.aws.amazon.com/saml/acs/{made['uuid']}"
    changes = {"recipient": recipient, "destination": recipient, "roles": [pair]}
    Path("response.txt").write_text(good(NOW, encrypt={}, **changes))
    out = ["sts", "assume-role-with-saml", "--role-arn", OPS, "--principal-arn", CORP + "2", "--saml-assertion", "response.txt"]
    assert run(out) == 0
    assert json.loads(capsys.readouterr().out)["Version"] == 1


def test_private_keys_of_a_provider_rotate(capsys):
    Path("key.pem").write_text(rsa_key("sp2").pem)
    (old,) = provider(capsys, "show", "Corp")["private_keys"]
    both = provider(capsys, "set-encryption", "Corp", "--add-private-key", "key.pem")["private_keys"]
    assert len(both) == 2 and old in both
    (new,) = provider(capsys, "set-encryption", "Corp", "--remove-private-key", old)["private_keys"]
    assert new in both and new != old
    assert run(["saml-provider", "set-encryption", "Corp", "--remove-private-key", new]) == 1
    assert "needs a private key" in capsys.readouterr().err
    shown = provider(capsys, "set-encryption", "Corp", "--encryption", "off")
    assert not shown.get("encryption") and "private_keys" in shown
    assert "private_keys" not in provider(capsys, "set-encryption", "Corp", "--remove-private-key", new)


def test_deleted_provider_takes_its_private_keys_along(capsys):
    assert run(["saml-provider", "delete", "Corp"]) == 0
    with fastiam.Directory.open("iam.db") as directory:
        assert directory.join(FederationStore()).tables.saml_keys == {}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--encryption", "Required"], "needs a private key"),
        (["--private-key", "meta.xml"], "not an RSA key"),
        (["--private-key", "absent.pem"], "absent.pem"),
    ],
)
def test_wrong_encryption_of_a_new_provider_is_refused(arguments, why, capsys):
    Path("meta.xml").write_text(metadata())
    assert run(["saml-provider", "create", "New", "meta.xml", "--account", A, *arguments]) in (1, 3)
    assert why in capsys.readouterr().err
    assert run(["saml-provider", "show", "New"]) == 1
