"""A document that cannot be read is one finding, and denies all that it could deny; everything beside it loads (spec F5)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import fastiam
from fastiam import Outcome, PolicyError, SourceError
from fastiam.policy.substitutes import NOT_READ

A = "111111111111"
ANA, BOB, DEP = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:user/bob", f"arn:aws:iam::{A}:role/Dep"
GROUP, MANAGED = f"arn:aws:iam::{A}:group/Eng", f"arn:aws:iam::{A}:policy/P"
OBJECT = "arn:aws:s3:::b/k"


def allow(**more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*"} | more]}


ALLOW = allow(Resource="*")
TO_ALL = allow(Resource="*", Principal="*")
TRUST = allow(Principal={"AWS": A})

STATEMENTS = [{"Effect": "Deny", "Action": "ec2:*", "Resource": "*"}]
UNREADABLE = {
    "statement": {"Version": "2012-10-17", "statement": STATEMENTS},
    "statements": {"Statements": STATEMENTS},
    "empty list": {"Version": "2012-10-17", "Statement": [], "Statements": STATEMENTS},
    "wrapped": {"PolicyDocument": {"Version": "2012-10-17", "Statement": STATEMENTS}},
    "wrapped text": json.dumps({"Document": json.dumps({"Version": "2012-10-17", "Statement": STATEMENTS})}),
    "null in a list": {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": [None]}]},
    "no effect": {"Version": "2012-10-17", "Statement": [{"Action": "*", "Resource": "*"}]},
    "unknown version": ALLOW | {"Version": "2013-10-17"},
    "cut text": '{"Version": "2012-10-17", "Statement": [{"Effect": "De',
    "one name twice": '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Effect": "Allow", "Action": "*"}]}',
    "empty text": "",
    "null": None,
    "a number": 7,
    "a list": [ALLOW],
}


def export() -> dict[str, Any]:
    """An account in which ana, bob and the role may do everything, and hold every kind of document."""
    user = {"UserPolicyList": [{"PolicyName": "own", "PolicyDocument": ALLOW}]}
    return {
        "UserDetailList": [
            user | {"Arn": BOB, "UserId": "AIDABOB"},
            user
            | {"Arn": ANA, "UserId": "AIDAANA", "GroupList": ["Eng"]}
            | {"AttachedManagedPolicies": [{"PolicyName": "P", "PolicyArn": MANAGED}]},
        ],
        "GroupDetailList": [
            {"Arn": GROUP, "GroupId": "AGPAENG", "GroupPolicyList": [{"PolicyName": "shared", "PolicyDocument": ALLOW}]}
        ],
        "RoleDetailList": [
            {"Arn": DEP, "RoleId": "AROADEP", "AssumeRolePolicyDocument": TRUST}
            | {"RolePolicyList": [{"PolicyName": "deploy", "PolicyDocument": ALLOW}]}
            | {"PermissionsBoundary": {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": MANAGED}}
        ],
        "Policies": [
            {"Arn": MANAGED, "PolicyName": "P", "DefaultVersionId": "v1"}
            | {"PolicyVersionList": [{"VersionId": "v1", "IsDefaultVersion": True, "Document": ALLOW}]}
        ],
    }


def native() -> dict[str, Any]:
    """What an export does not hold: SCPs, RCPs, a bucket's policy, an endpoint's."""
    return {
        "format": "fastiam-directory",
        "version": 1,
        "accounts": [{"id": A, "scps": [[ALLOW]], "rcps": [[TO_ALL]]}],
        "users": [{"arn": user, "inline_policies": [ALLOW]} for user in (ANA, BOB)],
        "resources": [{"arn": "arn:aws:s3:::b", "account": A, "policies": TO_ALL}],
        "endpoints": [{"id": "vpce-1", "account": A, "policies": TO_ALL}],
    }


CASES: list[tuple[str, Any, tuple[str | int, ...], str, list[str], list[str]]] = [
    # what is unreadable; in which file; where; how the document is called; who is denied; who is not
    ("inline", export, ("UserDetailList", 1, "UserPolicyList", 0, "PolicyDocument"), "own", [ANA], [BOB, DEP]),
    ("of a group", export, ("GroupDetailList", 0, "GroupPolicyList", 0, "PolicyDocument"), "shared", [ANA], [BOB, DEP]),
    ("of a role", export, ("RoleDetailList", 0, "RolePolicyList", 0, "PolicyDocument"), "deploy", [DEP], [ANA, BOB]),
    ("managed", export, ("Policies", 0, "PolicyVersionList", 0, "Document"), MANAGED, [ANA, DEP], [BOB]),
    ("boundary", native, ("users", 0, "permissions_boundary"), "permissions_boundary", [ANA], [BOB]),
    ("scp", native, ("accounts", 0, "scps", 0, 0), "scps[0]", [ANA, BOB], []),
    ("rcp", native, ("accounts", 0, "rcps", 0, 0), "rcps[0]", [ANA, BOB, "*"], []),
    ("bucket", native, ("resources", 0, "policies"), "arn:aws:s3:::b", [ANA, BOB, "*", "ec2.amazonaws.com"], []),
    ("endpoint", native, ("endpoints", 0, "policies"), "vpce-1", [ANA, BOB], []),
]  # fmt: skip


def put(folder: Path, whole: dict[str, Any], steps: tuple[str | int, ...], value: Any) -> Path:
    whole = json.loads(json.dumps(whole))
    at: Any = whole
    for step in steps[:-1]:
        at = at[step]
    at[steps[-1]] = value
    path = folder / "file.json"
    path.write_text(json.dumps(whole, indent=1))
    return path


def decide(directory: fastiam.Directory, principal: str) -> fastiam.Decision:
    engine, context = directory.compile(), {"aws:SourceVpce": "vpce-1"} if directory.tables.endpoints else {}
    decision = engine.decide(principal, "s3:GetObject", OBJECT, context, resource_account=A)
    assert engine.explain(principal, "s3:GetObject", OBJECT, context, resource_account=A).decision == decision
    assert engine.decide_many([principal], "s3:GetObject", OBJECT, context, resource_accounts=A)[0].outcome is decision.outcome
    return decision


@pytest.mark.parametrize("document", UNREADABLE)
@pytest.mark.parametrize(("made", "steps", "name", "denied", "others"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_unreadable_document_denies_what_it_could_deny(tmp_path, made, steps, name, denied, others, document):
    if made is native and steps[0] in ("resources", "endpoints", "users") and document in ("null", "a list"):
        pytest.skip("the format says: no policy, and a list of policies")
    directory = fastiam.load(put(tmp_path, made(), steps, UNREADABLE[document]))
    assert all(decide(fastiam.load(put(tmp_path, made(), steps[:1], made()[steps[0]])), who).allowed for who in denied)
    for principal in denied:
        decision = decide(directory, principal)
        assert decision.outcome is Outcome.EXPLICIT_DENY and decision.indeterminate
        assert decision.statement is not None and (decision.statement.policy, decision.statement.sid) == (name, NOT_READ)
    assert all(decide(directory, principal).allowed for principal in others)
    (finding,) = [f for f in directory.findings if f.code == "POLICY-NOT-READ"]
    assert f"`{name}`" in finding.message and finding.line > 0 and finding.source == str(tmp_path / "file.json")


@pytest.mark.parametrize("document", [name for name, value in UNREADABLE.items() if value is not None])
def test_role_with_an_unreadable_trust_policy_is_not_assumed(tmp_path, document):
    steps = ("RoleDetailList", 0, "AssumeRolePolicyDocument")
    ask = (ANA, "sts:AssumeRole", DEP)
    assert fastiam.load(put(tmp_path, export(), steps, TRUST)).compile().is_allowed(*ask)
    decision = fastiam.load(put(tmp_path, export(), steps, UNREADABLE[document])).compile().decide(*ask)
    assert decision.outcome is Outcome.EXPLICIT_DENY and decision.statement.sid == NOT_READ


@pytest.mark.parametrize("document", UNREADABLE)
def test_strict_loading_refuses_an_unreadable_document(tmp_path, document):
    path = put(tmp_path, export(), CASES[0][2], UNREADABLE[document])
    with pytest.raises((PolicyError, SourceError), match="PolicyDocument"):
        fastiam.load(path, mode="strict")


def test_unreadable_document_has_two_located_findings(tmp_path):
    directory = fastiam.load(put(tmp_path, export(), CASES[0][2], UNREADABLE["null in a list"]))
    where = "$.UserDetailList[1].UserPolicyList[0].PolicyDocument"
    assert [(f.code, f.path, f.fatal) for f in directory.findings] == [
        ("V1", f"{where}.Statement[0].Resource[0]", True),
        ("POLICY-NOT-READ", where, False),
    ]


def test_unreadable_document_is_denied_in_all_formats(tmp_path):
    path = put(tmp_path, export(), CASES[0][2], UNREADABLE["cut text"])
    with fastiam.Directory.open(tmp_path / "store.db", mode="lenient") as store:
        fastiam.load(path, into=store)
    (tmp_path / "written.json").write_text(fastiam.load(path).to_json())
    fastiam.load(path).compile().save(tmp_path / "engine.fi")
    engines = [fastiam.load(tmp_path / name).compile() for name in ("store.db", "written.json")]
    for engine in [*engines, fastiam.Engine.load(tmp_path / "engine.fi")]:
        assert not engine.is_allowed(ANA, "s3:GetObject", OBJECT)
        assert engine.decide(ANA, "s3:GetObject", OBJECT).statement.sid == NOT_READ
        assert engine.is_allowed(BOB, "s3:GetObject", OBJECT)


@pytest.mark.parametrize("document", ["statement", "statements", "empty list", "wrapped", "wrapped text"])
def test_lenient_write_of_a_document_without_statement_denies(tmp_path, document):
    with fastiam.Directory.open(tmp_path / "store.db", mode="lenient") as store:
        store.add_principal(ANA, identity_policies=[("all", ALLOW), ("own", UNREADABLE[document])])
        assert "POLICY-NOT-READ" in [finding.code for finding in store.findings]
        written = store.to_json()
    (tmp_path / "written.json").write_text(written)
    with fastiam.Directory.open(tmp_path / "store.db", mode="lenient") as store:
        engines = [store.compile(), fastiam.load(tmp_path / "written.json").compile()]
    for engine in engines:
        decision = engine.decide(ANA, "s3:GetObject", OBJECT)
        assert (decision.outcome, decision.statement.sid, decision.indeterminate) == (Outcome.EXPLICIT_DENY, NOT_READ, True)
    with pytest.raises(PolicyError):
        fastiam.Directory().add_principal(ANA, identity_policies=[UNREADABLE[document]])


def test_unreadable_version_denies_only_in_force(tmp_path):
    whole = export()
    whole["Policies"][0]["PolicyVersionList"].append({"VersionId": "v0", "IsDefaultVersion": False, "Document": "{"})
    directory = fastiam.load(put(tmp_path, whole, ("IsTruncated",), False))
    assert decide(directory, ANA).allowed
    directory.set_default_policy_version(MANAGED, "v0")
    assert not decide(directory, ANA).allowed


@pytest.mark.parametrize("content", ["", "{", '{"Version": "2012-10-17"} {"Version": "2012-10-17"}', "\xff"])
@pytest.mark.parametrize("file", ["role/Dep/inline-policies.json", "role/Dep/trust-policy.json", "policy/P/current-policy.json"])
def test_broken_file_of_one_document_affects_only_it(tmp_path, file, content):
    folder = tmp_path / "aws/aws/accounts" / A / "iam/global"
    files: dict[str, Any] = {
        "role/Dep/metadata.json": {"arn": DEP},
        "role/Dep/inline-policies.json": {"own": ALLOW},
        "role/Dep/managed-policies.json": [MANAGED],
        "role/Dep/trust-policy.json": allow(Principal={"AWS": DEP}),
        "policy/P/metadata.json": {"arn": MANAGED, "defaultVersionId": "v1"},
        "policy/P/current-policy.json": ALLOW,
    }
    for name, value in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(value))
    ask = (DEP, "sts:AssumeRole", DEP)
    assert fastiam.load(tmp_path).compile().is_allowed(*ask)
    (folder / file).write_bytes(content.encode("latin-1"))
    directory = fastiam.load(tmp_path)
    assert [finding.code for finding in directory.findings] == ["POLICY-NOT-READ"]
    assert directory.compile().decide(*ask).statement.sid == NOT_READ
    with pytest.raises(SourceError):
        fastiam.load(tmp_path, mode="strict")


def test_policy_without_document_denies_in_each_format(tmp_path):
    """The policy is attached, and no file has its text."""
    whole = export()
    whole["Policies"] = []
    (tmp_path / "export.json").write_text(json.dumps(whole))
    described = {"PolicyArn": MANAGED, "PolicyVersion": {"VersionId": "v1", "IsDefaultVersion": False, "Document": ALLOW}}
    collected = tmp_path / "aws/aws/accounts" / A / "iam/global/policy/P/metadata.json"
    collected.parent.mkdir(parents=True)
    for path, content, code in (
        (tmp_path / "export.json", whole, "GAAD-NO-POLICY"),
        (tmp_path / "get-policy-version.json", described, "POLICY-NO-DEFAULT"),
        (collected, {"arn": MANAGED}, "COLLECT-NO-DOCUMENT"),
    ):
        path.write_text(json.dumps(content))
        directory = fastiam.load(tmp_path)
        decision = decide(directory, ANA)
        assert (decision.statement.policy, decision.statement.sid, decision.indeterminate) == (MANAGED, NOT_READ, True)
        assert directory.findings[0].code == code and decide(directory, BOB).allowed
        if content is not whole:
            path.unlink()
