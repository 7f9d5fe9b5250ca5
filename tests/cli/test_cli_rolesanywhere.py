"""`trust-anchor`, `profile`, `crl` and `rolesanywhere` over a store."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sts_fixture import START, A, document
from x509_world import HOST, READ, REGION, crl, issue, trust_policy

import fastiam
from fastiam.cli.main import fastiam as program
from fastiam.cli.main import run
from fastiam.errors import pip_install
from fastiam.sts import STS, Credentials, Keyring

AGE = int((datetime.now(UTC) - START).total_seconds())  # certificates are made relative to the clock of other tests
DATES = {"start": AGE - 3600, "end": AGE + 86_400}
ROOT = issue("Root", ca=True, **DATES)
Call = Callable[..., Any]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command line over a store with role `Host`; gives the JSON that it prints, or the exit code and its message."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTIAM_STORE", "iam.db")
    monkeypatch.setenv("FASTIAM_KEYRING", "keyring.json")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.delenv("FASTIAM_ACCOUNT", raising=False)
    Keyring.generate().save("keyring.json")
    with fastiam.Directory.open("iam.db") as directory:
        directory.add_principal(HOST, trust_policy=trust_policy(), identity_policies=[document(READ)])
    Path("root.pem").write_text(ROOT.pem)
    Path("host.pem").write_text(issue("host1", ROOT, serial=291, **DATES).pem)
    key = issue("host1", ROOT, **DATES).key
    Path("host.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    Path("policy.json").write_text(json.dumps(document(READ)))
    Path("crl.pem").write_text(crl(ROOT, [77], this_update=AGE - 60, next_update=AGE + 3600, number=1))
    Path("newer.pem").write_text(crl(ROOT, [291], this_update=AGE - 30, next_update=AGE + 3600, number=2))
    capsys.readouterr()

    def called(line: str) -> Any:
        code = run([*line.split(), *([] if "credential-process" in line else ["--format", "json"])])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return json.loads(printed.out) if code == 0 else (code, printed.err)

    return called


EXAMPLES = {
    "trust-anchor": [
        ("create ca root.pem --tag a=b", {"name": "ca", "tags": {"a": "b"}, "certificates": ROOT.pem}),
        ("create broken policy.json", "RW11"),
        ("set ca --name corp", {"name": "corp"}),
        ("enable corp", {"enabled": True}),
        ("disable corp", None),
        ("tag corp c=d", {"tags": {"a": "b", "c": "d"}}),
        ("untag corp a", {"tags": {"c": "d"}}),
        ("show corp", {"name": "corp"}),
        ("show corps", "did you mean"),
        ("delete corp", None),
    ],
    "profile": [
        (
            "create hosts --role Host --duration-seconds 900 --session-policy policy.json --accept-role-session-name --enabled",
            {"role_arns": [HOST], "duration_seconds": 900, "accept_role_session_name": True, "enabled": True},
        ),
        ("create long --role Host --duration-seconds 60", "RW12"),
        ("create ghosts --role Ghost", "there is no role"),
        ("create bare", {"name": "bare"}),
        ("set hosts --duration-seconds 1800 --no-accept-role-session-name", {"duration_seconds": 1800}),
        ("put-attribute-mapping hosts x509SAN DNS Name", {"attribute_mappings": {
            "x509Subject": ["*"], "x509Issuer": ["*"], "x509SAN": ["DNS", "Name/*"]}}),
        ("put-attribute-mapping hosts x509SAN *", "RW50"),
        ("delete-attribute-mapping hosts x509SAN DNS", None),
        ("delete-attribute-mapping hosts x509Issuer", {"attribute_mappings": {
            "x509Subject": ["*"], "x509Issuer": [], "x509SAN": ["Name/*"]}}),
        ("enable hosts", {"enabled": True}),
        ("disable hosts", None),
        ("tag hosts c=d", {"tags": {"c": "d"}}),
        ("untag hosts c", None),
        ("show hosts", {"name": "hosts"}),
        ("delete hosts", None),
    ],
    "crl": [
        ("import list crl.pem --trust-anchor anchor --enabled", {"name": "list", "enabled": True}),
        ("import list root.pem --trust-anchor anchor", "RW13"),
        ("import list crl.pem --trust-anchor none", "there is no trust-anchor"),
        ("update list newer.pem", None),
        ("update list crl.pem", "RW13"),
        ("disable list", None),
        ("enable list", {"enabled": True}),
        ("tag list c=d", {"tags": {"c": "d"}}),
        ("untag list c", None),
        ("show list", {"name": "list"}),
        ("delete list", None),
    ],
}  # fmt: skip


@pytest.mark.parametrize("group_name", EXAMPLES)
def test_verbs_of_a_group_do_their_work(group_name: str, call: Call) -> None:
    """An expected text is part of the message of a refusal; None expects any record."""
    call("trust-anchor create anchor root.pem")
    for line, expected in EXAMPLES[group_name]:
        found = call(f"{group_name} {line}")
        if isinstance(expected, str):
            code, message = found
            assert code == 1 and expected in message, line
        else:
            assert isinstance(found, dict) and found.items() >= (expected or {}).items(), (line, found)


def test_every_verb_has_an_example() -> None:
    for group_name, story in EXAMPLES.items():
        group = program.get_command(None, group_name)  # type: ignore[arg-type]
        done = {line.split(" ")[0] for line, expected in story if not isinstance(expected, str)}
        assert set(group.commands) == done | {"list"}, group_name  # type: ignore[union-attr]


def test_a_list_shows_names(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    made = call("trust-anchor create ca root.pem")
    assert run(["trust-anchor", "list", "--format", "csv"]) == 0
    assert f"ca,,{made['arn']}" in capsys.readouterr().out
    assert call(f"trust-anchor show {made['arn']}") == made


def test_a_name_that_two_objects_have_needs_the_arn(call: Call) -> None:
    call("trust-anchor create ca root.pem")
    call("trust-anchor create ca root.pem")
    code, message = call("trust-anchor show ca")
    assert code == 1 and "several ARNs" in message


def process(call: Call, anchor: str, profile: str, more: str = "") -> Any:
    files = "--certificate host.pem --private-key host.key"
    arns = f"--trust-anchor-arn {anchor} --profile-arn {profile} --role-arn {HOST}"
    return call(f"rolesanywhere credential-process {files} {arns} {more}")


def test_credential_process_prints_credentials_that_authenticate(call: Call) -> None:
    anchor = call("trust-anchor create ca root.pem --enabled")["arn"]
    profile = call("profile create hosts --role Host --enabled")["arn"]
    printed = process(call, anchor, profile, "--session-duration 900")
    assert printed["Version"] == 1
    with fastiam.Directory.open("iam.db") as directory:
        sts = STS(directory, Keyring.load("keyring.json"))
        caller = sts.authenticate(Credentials(printed["AccessKeyId"], printed["SecretAccessKey"], printed["SessionToken"]))
    assert caller.arn == f"arn:aws:sts::{A}:assumed-role/Host/0123"
    assert process(call, anchor, profile, "--role-session-name run1")[0] == 1  # the profile does not accept it
    with fastiam.Directory.open("iam.db") as directory:
        directory.set_trust_policy(HOST, trust_policy({"StringEquals": {"sts:SourceIdentity": "CN=host2"}}))
    code, message = process(call, anchor, profile)
    assert code == 2 and "unable to assume role" in message
    call("trust-anchor disable ca")
    assert process(call, anchor, profile)[0] == 1


def test_credential_process_refuses_another_private_key(call: Call) -> None:
    anchor = call("trust-anchor create ca root.pem --enabled")["arn"]
    profile = call("profile create hosts --role Host --enabled")["arn"]
    other = issue("other", ROOT, **DATES)
    Path("host.key").write_bytes(other.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    code, message = process(call, anchor, profile)
    assert code == 1 and "not the RSA or EC key of the certificate" in message
    Path("host.key").write_text("secret")
    code, message = process(call, anchor, profile)
    assert code == 1 and "cannot be read" in message and "secret" not in message


def test_missing_extra_is_named(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jwt", None)
    for name in [name for name in sys.modules if name.startswith(("fastiam.federation", "fastiam.rolesanywhere"))]:
        monkeypatch.delitem(sys.modules, name)
    code, message = call("trust-anchor create ca root.pem")
    assert code == 1 and pip_install("federation") in message
    code, message = process(call, "arn:aws:x", "arn:aws:y")
    assert code == 1 and pip_install("federation") in message


def test_export_and_import_keep_the_objects_and_no_subjects(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    anchor = call("trust-anchor create ca root.pem --enabled --tag a=b")["arn"]
    profile = call("profile create hosts --role Host --enabled")["arn"]
    list_ = call("crl import list crl.pem --trust-anchor ca --enabled")["arn"]
    process(call, anchor, profile)
    assert run(["export", "--out", "out.json"]) == 0
    text = Path("out.json").read_text()
    assert ":subject/" not in text and "PRIVATE" not in text
    assert run(["import", "out.json", "--store", "second.db"]) == 0
    with fastiam.Directory.open("iam.db") as first, fastiam.Directory.open("second.db") as second:
        for table, arn in (("trust_anchors", anchor), ("roles_anywhere_profiles", profile), ("revocation_lists", list_)):
            assert getattr(second.tables, table) == getattr(first.tables, table) and arn in getattr(first.tables, table)
