"""`user`, `role`, `group`, `policy`, `org` and similar groups over a store, verb by verb."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fastiam
from fastiam.cli.main import VERBS, run
from fastiam.cli.main import fastiam as program

A, B = "111111111111", "222222222222"
GROUPS = (
    "account",
    "user",
    "group",
    "role",
    "policy",
    "org",
    "resource",
    "endpoint",
    "instance-profile",
    "saml-provider",
    "oidc-provider",
)
READ = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}})
DENY = READ.replace("Allow", "Deny")
TRUST = json.dumps(
    {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": A}, "Action": "sts:AssumeRole"}}
)
PUBLIC = json.dumps(
    {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}}
)
DENY_ALL = PUBLIC.replace("Allow", "Deny")
Call = Callable[..., tuple[int, str, str]]


def named(name: str, document: str) -> dict[str, Any]:
    return {"name": name, "document": json.loads(document)}


def arn(rest: str, account: str = A) -> str:
    return f"arn:aws:iam::{account}:{rest}"


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command line over a store with one account: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    for name in ("FORCE_COLOR", "FASTIAM_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FASTIAM_STORE", "iam.db")
    Path("read.json").write_text(READ)
    Path("meta.xml").write_bytes("<xml>\u00e9</xml>".encode())

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    assert call("init")[0] == call("account", "create", A)[0] == 0
    return call


# A story is a list of command lines with some of the JSON that each prints; None: it is refused.
EXAMPLES: dict[str, list[tuple[str, dict[str, Any] | None]]] = {
    "account": [
        (f"create {B} --name test --canonical-id 79a5", {"id": B, "name": "test", "canonical_id": "79a5"}),
        (f"show {B}", {"id": B, "name": "test"}),
        ("show 333333333333", None),
        ("create 12", None),
    ],
    "user": [
        ("create ana --path /eng/ --tag team=red", {"arn": arn("user/eng/ana"), "tags": {"team": "red"}}),
        ("create ana", None),
        (f"create {arn('role/ana')}", None),
        ("show ANA", {"arn": arn("user/eng/ana")}),
        ("show bob", None),
        ("attach ana Read", {"attached_policies": [arn("policy/Read")]}),
        ("attach ana Nowhere", None),
        (f"put-policy {arn('user/eng/ana')} own {READ}", {"inline_policies": [named("own", READ)]}),
        ("put-policy ana own read.json", {"inline_policies": [named("own", READ)]}),
        ("put-policy ana own absent.json", None),
        (f"set-boundary ana {arn('policy/Read')}", {"permissions_boundary": [arn("policy/Read")]}),
        ("tag ana cost=7 Team=blue", {"tags": {"Team": "blue", "cost": "7"}}),
        ("untag ana team", {"tags": {"cost": "7"}}),
        ("add-to-group ana admins", {"groups": [arn("group/admins")]}),
        ("rename ana anna --path /", {"arn": arn("user/anna"), "groups": [arn("group/admins")]}),
        ("delete anna", None),
        ("remove-from-group anna admins", {"arn": arn("user/anna")}),
        ("detach anna Read", {"arn": arn("user/anna")}),
        ("delete-policy anna own", {"arn": arn("user/anna")}),
        ("delete-policy anna own", None),
        ("delete-boundary anna", {"arn": arn("user/anna")}),
        ("delete anna", {"deleted": arn("user/anna")}),
        (f"create bo --group admins --policy Read --boundary {READ}", {"groups": [arn("group/admins")]}),
        (f"create bo --account {B}", {"arn": arn("user/bo", B)}),
        ("show bo", None),  # which one?
        (f"show bo --account {B}", {"arn": arn("user/bo", B)}),
    ],
    "role": [
        (f"create dep --trust {TRUST} --max-session-duration 7200", {"max_session_duration": 7200}),
        ("create bad --max-session-duration 60", None),
        (
            f"set-trust dep {TRUST.replace(A, B)}",
            {"trust_policy": named(arn("role/dep"), TRUST.replace(A, B))},
        ),
        (f"set-trust dep {READ}", None),
        ("set-max-session-duration dep 3601", {"max_session_duration": 3601}),
        ("attach dep Read", {"attached_policies": [arn("policy/Read")]}),
        ("detach dep Read", {"arn": arn("role/dep")}),
        (
            "set-boundary dep read.json",
            {"permissions_boundary": [named("permissions_boundary[0]", READ)]},
        ),
        ("delete-boundary dep", {"arn": arn("role/dep")}),
        (f"put-policy dep p {READ}", {"inline_policies": [named("p", READ)]}),
        ("delete-policy dep p", {"arn": arn("role/dep")}),
        ("tag dep a=b", {"tags": {"a": "b"}}),
        ("untag dep a", {"arn": arn("role/dep")}),
        ("show dep", {"arn": arn("role/dep")}),
        ("delete dep", {"deleted": arn("role/dep")}),
    ],
    "group": [
        ("create ops --path /x/ --policy Read", {"arn": arn("group/x/ops"), "attached_policies": [arn("policy/Read")]}),
        ("rename ops sys", {"arn": arn("group/x/sys")}),
        ("detach sys Read", {"arn": arn("group/x/sys")}),
        ("attach sys Read", {"attached_policies": [arn("policy/Read")]}),
        (f"put-policy sys p {READ}", {"inline_policies": [named("p", READ)]}),
        ("delete sys", None),
        ("delete-policy sys p", {"arn": arn("group/x/sys")}),
        ("show admins", {"members": []}),
        ("delete admins", {"deleted": arn("group/admins")}),
    ],
    "policy": [
        (f"create Deny {DENY} --path /p/ --tag a=b", {"arn": arn("policy/p/Deny"), "default_version": "v1", "tags": {"a": "b"}}),
        ("create Broken {}", None),
        (f"create-version Deny {READ}", {"default_version": "v1", "versions": {"v1": json.loads(DENY), "v2": json.loads(READ)}}),
        ("set-default-version Deny v2", {"default_version": "v2"}),
        ("delete-version Deny v2", None),
        ("delete-version Deny v1", {"versions": {"v2": json.loads(READ)}}),
        (f"create-version Deny {READ} --set-as-default", {"default_version": "v3"}),
        ("tag Deny c=d", {"tags": {"a": "b", "c": "d"}}),
        ("untag Deny a", {"tags": {"c": "d"}}),
        ("show Deny", {"attached_to": [], "boundary_of": []}),
        ("delete-version Deny v2", {"default_version": "v3"}),
        ("delete Deny", {"deleted": arn("policy/p/Deny")}),
    ],
    "org": [
        ("show", None),
        (
            "create o-1 --root r-x --management-account 999999999999",
            {"id": "o-1", "root": "r-x"},
        ),
        ("create-unit ou-a", {"organizational_units": {"ou-a": "r-x"}}),
        ("create-unit ou-b --parent ou-a", {"organizational_units": {"ou-a": "r-x", "ou-b": "ou-a"}}),
        (f"move {A} --parent ou-b", {"accounts": {"999999999999": "r-x", A: "ou-b"}}),
        ("delete-unit ou-b", None),
        (f"attach-scp ou-a no {DENY}", {"id": "o-1"}),
        (f"path {A}", {"path": ["r-x", "ou-a", "ou-b", A]}),
        ("path 333333333333", None),
        ("detach-scp ou-a no", {"id": "o-1"}),
        (
            f"attach-rcp ou-a no {DENY_ALL}",
            {"rcps": {"ou-a": [named("no", DENY_ALL)]}},
        ),
        ("detach-rcp ou-a no", {"id": "o-1"}),
        ("disable-scps", {"policy_types": ["RESOURCE_CONTROL_POLICY"]}),
        ("enable-scps", {"policy_types": ["RESOURCE_CONTROL_POLICY", "SERVICE_CONTROL_POLICY"]}),
        ("disable-rcps", {"policy_types": ["SERVICE_CONTROL_POLICY"]}),
        ("enable-rcps", {"policy_types": ["RESOURCE_CONTROL_POLICY", "SERVICE_CONTROL_POLICY"]}),
        (f"register-administrator {A}", {"delegated_administrators": {A: ["iam.amazonaws.com"]}}),
        (f"deregister-administrator {A}", {"id": "o-1"}),
        (f"remove-account {A}", {"accounts": {"999999999999": "r-x"}}),
        ("delete-unit ou-b", {"organizational_units": {"ou-a": "r-x"}}),
        ("show", {"id": "o-1"}),
    ],
    "resource": [
        (
            f"create arn:aws:s3:::b --account {A} --policy {PUBLIC} --tag a=b --restrict-public-buckets",
            {"tags": {"a": "b"}},
        ),
        ("create b", None),
        ("set-policy arn:aws:s3:::b", {"arn": "arn:aws:s3:::b", "account": A}),
        (f"set-policy arn:aws:s3:::b {PUBLIC}", {"policies": [named("arn:aws:s3:::b", PUBLIC)]}),
        ("tag arn:aws:s3:::b c=d", {"tags": {"a": "b", "c": "d"}}),
        ("untag arn:aws:s3:::b a", {"tags": {"c": "d"}}),
        (f"tag {arn('role/app')} c=d", None),  # a record of another kind
        ("show arn:aws:s3:::b", {"account": A}),
        ("delete arn:aws:s3:::b", {"deleted": "arn:aws:s3:::b"}),
        ("show arn:aws:s3:::b", None),
    ],
    "endpoint": [
        (f"create vpce-1 --account {A} --gateway", {"id": "vpce-1", "gateway": True, "account": A}),
        (f"set-policy vpce-1 {PUBLIC}", {"policies": [named("vpce-1", PUBLIC)]}),
        ("set-policy vpce-1", {"id": "vpce-1"}),
        ("show vpce-1", {"id": "vpce-1"}),
        ("delete vpce-1", {"deleted": "vpce-1"}),
        ("show vpce-1", None),
        (f"create vpce-2 --policy {PUBLIC}", {"id": "vpce-2"}),
    ],
    "instance-profile": [
        ("create web --role app --tag a=b", {"arn": arn("instance-profile/web"), "role": arn("role/app")}),
        ("add-role web app", None),
        ("remove-role web", {"arn": arn("instance-profile/web")}),
        ("add-role web app", {"role": arn("role/app")}),
        ("tag web c=d", {"tags": {"a": "b", "c": "d"}}),
        ("untag web a", {"tags": {"c": "d"}}),
        ("delete web", None),
        ("remove-role web", {"arn": arn("instance-profile/web")}),
        ("show web", {"tags": {"c": "d"}}),
        ("delete web", {"deleted": arn("instance-profile/web")}),
    ],
    "saml-provider": [
        ("create corp meta.xml --tag a=b", {"arn": arn("saml-provider/corp"), "metadata": "<xml>\u00e9</xml>"}),
        ("create corp absent.xml", None),
        ("set-metadata corp read.json", {"metadata": READ}),
        ("set-encryption corp --encryption Allowed --keyring keyring.json", None),
        ("set-encryption corp --encryption off --keyring keyring.json", {"arn": arn("saml-provider/corp")}),
        ("tag corp c=d", {"tags": {"a": "b", "c": "d"}}),
        ("untag corp a", {"tags": {"c": "d"}}),
        ("show corp", {"arn": arn("saml-provider/corp")}),
        ("delete corp", {"deleted": arn("saml-provider/corp")}),
    ],
    "oidc-provider": [
        (f"create https://id.example.org/x/1 --client-id app --thumbprint {'a1' * 20} --tag a=b", {"client_ids": ["app"]}),
        (f"create {arn('saml-provider/x')}", None),
        ("show id.example.org/x/1", {"arn": arn("oidc-provider/id.example.org/x/1"), "thumbprints": ["a1" * 20]}),
        ("set id.example.org/x/1 --client-id web", {"client_ids": ["web"], "thumbprints": ["a1" * 20]}),
        ("add-client-id id.example.org/x/1 app", {"client_ids": ["web", "app"]}),
        ("add-client-id id.example.org/x/1 web", {"client_ids": ["web", "app"]}),
        ("remove-client-id id.example.org/x/1 web", {"client_ids": ["app"]}),
        ("remove-client-id id.example.org/x/1 absent", {"client_ids": ["app"]}),
        ("tag id.example.org/x/1 c=d", {"tags": {"a": "b", "c": "d"}}),
        ("untag id.example.org/x/1 a", {"tags": {"c": "d"}}),
        ("delete id.example.org/x/1", {"deleted": arn("oidc-provider/id.example.org/x/1")}),
    ],
}


def words(line: str) -> list[str]:
    """A command line as a shell would cut it; a JSON document is one word."""
    found, rest = [], line
    while rest:
        if rest.startswith("{"):
            _, end = json.JSONDecoder().raw_decode(rest)
        else:
            end = len(rest.split(" ", 1)[0])
        found.append(rest[:end])
        rest = rest[end:].lstrip(" ")
    return found


@pytest.mark.parametrize("group_name", GROUPS)
def test_verbs_of_a_group_do_their_work(group_name: str, call: Call) -> None:
    call("policy", "create", "Read", READ)
    call("group", "create", "admins")
    call("role", "create", "app")
    call("account", "create", B)
    call("sts", "keyring", "keyring.json")
    for line, expected in EXAMPLES[group_name]:
        verb, *more = words(line)
        extra = (
            ["--account", A]
            if "create" == verb
            and group_name in ("user", "role", "group", "policy", "instance-profile", "saml-provider", "oidc-provider")
            else []
        )
        extra = [] if "--account" in more or (more and more[0].startswith("arn:")) else extra
        code, out, err = call(group_name, verb, *more, *extra, "--format", "json")
        if expected is None:
            assert code in (1, 3) and out == "" and "Traceback" not in err, line
        else:
            assert code == 0, (line, err)
            assert json.loads(out).items() >= expected.items(), line


def test_every_verb_has_an_example() -> None:
    for group_name in GROUPS:
        group = program.get_command(None, group_name)  # type: ignore[arg-type]
        covered = {line.split(" ")[0] for line, expected in EXAMPLES[group_name] if expected is not None}
        assert set(group.commands) <= covered | {"list"}, group_name  # type: ignore[union-attr]


LISTS = {
    "account": {"id": A, "name": None, "canonical_id": None, "partition": "aws"},
    "user": {"name": "ana", "arn": arn("user/ana")},
    "role": {"name": "app", "arn": arn("role/app")},
    "group": {"name": "admins", "arn": arn("group/admins")},
    "policy": {"name": "Read", "arn": arn("policy/Read")},
    "resource": {"arn": "arn:aws:s3:::b", "account": A, "policies": 1},
    "endpoint": {"id": "vpce-1", "account": None, "gateway": False, "policies": None},
    "instance-profile": {"name": "web", "arn": arn("instance-profile/web")},
}


@pytest.fixture
def filled(call: Call) -> Call:
    for line in (
        "user create ana",
        "role create app",
        "group create admins",
        f"policy create Read {READ}",
        f"resource create arn:aws:s3:::b --account {A} --policy {PUBLIC}",
        "endpoint create vpce-1",
        "instance-profile create web",
        "user attach ana Read",
    ):
        assert call(*words(line))[0] == 0, line
    return call


@pytest.mark.parametrize("group_name", LISTS)
def test_lists_have_all_formats(group_name: str, filled: Call) -> None:
    code, out, _ = filled(group_name, "list", "--format", "jsonl")
    (row,) = map(json.loads, out.splitlines())
    assert code == 0 and row.items() >= LISTS[group_name].items()
    assert json.loads(filled(group_name, "list", "--format", "json")[1]) == [row]
    assert filled(group_name, "list", "--format", "csv")[1].startswith(",".join(row))
    assert "arn" in filled("user", "list", "--format", "text")[1]


def test_change_looks_up_names_in_the_account_of_the_record(filled: Call) -> None:
    """The record is named by its ARN, and `--account` is another account."""
    assert filled("account", "create", B)[0] == 0
    code, out, _ = filled("user", "attach", arn("user/ana"), "Read", "--account", B, "--format", "json")
    assert code == 0 and json.loads(out)["attached_policies"] == [arn("policy/Read")]


def test_a_list_may_be_of_one_account(filled: Call) -> None:
    filled("user", "create", arn("user/bob", B))
    assert [json.loads(line)["name"] for line in filled("user", "list", "--account", B, "--format", "jsonl")[1].splitlines()] == [
        "bob"
    ]


def test_other_verbs_take_a_store_for_policies(filled: Call) -> None:
    request = arn("user/ana"), "s3:GetObject", "arn:aws:s3:::b/k"
    code, out, _ = filled("explain", "--policies", "iam.db", *request, "--format", "json")
    assert code == 0 and json.loads(out)["decision"]["outcome"] == "ALLOW"
    Path("requests.csv").write_text(f"principal,action,resource\n{arn('user/ana')},s3:GetObject,arn:aws:s3:::b/k\n")
    assert filled("authorize", "--policies", "iam.db", "--requests", "requests.csv", "--out", "out.jsonl")[0] == 0
    assert '"ALLOW"' in Path("out.jsonl").read_text()
    assert filled("who-can", "--policies", "iam.db", "s3:GetObject", "arn:aws:s3:::b/k")[0] == 0


def test_a_store_is_exported_and_imported(filled: Call) -> None:
    code, out, _ = filled("export")
    assert filled("export", "--out", "export.json")[0] == code == 0
    assert Path("export.json").read_text() == out
    assert json.loads(fastiam.load("export.json").to_json()) == json.loads(out)
    code, out, err = filled("import", "export.json", "--store", "other.db", "--format", "json")
    assert (code, err) == (0, "") and json.loads(out)["principals"] == 2
    assert json.loads(filled("export", "--store", "other.db")[1]) == json.loads(Path("export.json").read_text())
    code, _, err = filled("import", "export.json", "--store", "other.db")
    assert code == 0 and "already" in err, "existing records stay, and a finding reports them"
    code, _, err = filled("import", "export.json", "--store", "other.db", "--strict")
    assert code == 1 and "already" in err


def test_store_is_created_once_and_required_otherwise(call: Call) -> None:
    code, _, err = call("init")
    assert code == 1 and "already" in err
    code, _, err = call("user", "list", "--store", "absent.db")
    assert code == 1 and "fastiam init" in err and not Path("absent.db").exists()
    code, _, err = call("user", "list", "--store", "read.json")
    assert code == 1 and "not a store" in err
    assert call("user", "fly")[0] == 64


def test_rejected_document_is_reported_with_its_file(call: Call) -> None:
    Path("broken.json").write_text(READ.replace("Allow", "Alow"))
    code, _, err = call("policy", "create", "Read", "broken.json", "--account", A)
    assert code == 3 and err.startswith("broken.json:1:") and "`Alow` is not an effect" in err
    assert call("policy", "create", "Read", READ.replace("Allow", "Alow"), "--account", A)[2].startswith(
        f"{arn('policy/Read')}:1:"
    )
    both = call("role", "create", "app", "--trust", "broken.json", "--boundary", READ, "--account", A)
    assert both[0] == 3 and "broken.json" not in both[2]  # the finding may be of either


def test_missing_store_is_reported_with_its_variable(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTIAM_STORE")
    assert "Missing option '--store' (env var: 'FASTIAM_STORE')" in call("user", "list")[2]


def test_findings_of_a_written_policy_are_printed(call: Call) -> None:
    old = json.dumps({"Statement": {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}})
    code, out, err = call("policy", "create", "Old", old)
    assert code == 0 and "Version" in err and "Version" not in out
    code, out, err = call("policy", "create", "Bad", READ.replace("s3:Get*", "s3Get"))
    assert code == 3 and out == ""


def test_credentials_follow_a_renamed_user_and_its_deletion(filled: Call) -> None:
    pytest.importorskip("cryptography")
    assert filled("sts", "keyring", "keyring.json")[0] == 0
    code, out, err = filled("key", "create", arn("user/ana"), "--keyring", "keyring.json", "--format", "json")
    assert code == 0, err
    key = json.loads(out)["AccessKeyId"]
    assert filled("user", "rename", "ana", "anna")[0] == 0
    assert key in filled("key", "list", arn("user/anna"), "--keyring", "keyring.json")[1]
    assert filled("user", "detach", "anna", "Read")[0] == filled("user", "delete", "anna")[0] == 0
    assert filled("user", "create", "anna")[0] == 0
    assert key not in filled("key", "list", arn("user/anna"), "--keyring", "keyring.json")[1]


def test_verbs_work_in_a_shell(tmp_path: Path) -> None:
    """Real processes: a document from a pipe, the store from the environment, JSON into a pipe."""
    environment = os.environ | {"FASTIAM_STORE": str(tmp_path / "iam.db"), "FASTIAM_ACCOUNT": A}

    def shell(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "fastiam.cli.main", *arguments]
        return subprocess.run(command, env=environment, input=given, capture_output=True, text=True, timeout=60)

    assert shell("init").returncode == 0
    assert shell("policy", "create", "Read", "-", given=READ).returncode == 0
    done = shell("user", "create", "ana", "--policy", "Read", "--format", "json")
    assert done.returncode == 0 and json.loads(done.stdout)["attached_policies"] == [arn("policy/Read")]
    done = shell("user", "create", "ana")
    assert done.returncode == 1 and done.stdout == "" and done.stderr.startswith("error: a principal of this name already exists")


def test_the_verbs_of_stores_are_listed() -> None:
    assert {*GROUPS, "init", "import", "export"} <= set(VERBS)
