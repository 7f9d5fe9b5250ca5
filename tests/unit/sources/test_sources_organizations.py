"""Outputs of `aws organizations ...` as a directory: the tree, its policies, and what is missing or contradicts itself."""

from __future__ import annotations

import json
import random

import pytest
from organization_files import (
    DEVS,
    INNER,
    MANAGEMENT,
    NO_DELETE,
    NO_PUT,
    ORGANIZATION,
    PROD,
    RCP,
    ROOT,
    SCP,
    A,
    B,
    C,
    account,
    changed,
    described,
    outputs,
    put,
    summary,
    unit,
)

import fastiam
from fastiam import Outcome, SourceError

EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def export(account_id: str) -> dict:
    """An account in which one role may do everything."""
    return {
        "RoleDetailList": [{
            "Arn": f"arn:aws:iam::{account_id}:role/Admin", "RoleName": "Admin", "RoleId": f"AROA{account_id}", "Path": "/",
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account_id}:root"}, "Action": "sts:AssumeRole"}]},
            "RolePolicyList": [{"PolicyName": "all", "PolicyDocument": EVERYTHING}], "AttachedManagedPolicies": [], "Tags": [],
        }],
    }  # fmt: skip


def scps(directory: fastiam.Directory, account_id: str) -> list[list[str]] | None:
    levels = directory.snapshot().principal(f"arn:aws:iam::{account_id}:role/x").scps
    return None if levels is None else [[policy.name for policy in level] for level in levels]


def codes(directory: fastiam.Directory) -> list[str]:
    return [finding.code for finding in directory.findings]


def decide(directory: fastiam.Directory, account_id: str, action: str):
    return directory.compile().decide(
        f"arn:aws:iam::{account_id}:role/Admin", action, "arn:aws:s3:::b/o", resource_account=account_id
    )


def test_the_outputs_of_all_calls_are_one_organization(tmp_path):
    """D10, D11, D13."""
    directory = fastiam.load(put(tmp_path, outputs()), mode="strict")
    snapshot = directory.snapshot()
    assert directory.findings == ()
    assert snapshot.account_facts(A).org_path == f"{ORGANIZATION}/{ROOT}/{PROD}/{INNER}/"
    assert snapshot.account_facts(C).org_path == f"{ORGANIZATION}/{ROOT}/{DEVS}/"
    assert scps(directory, A) == [["FullAWSAccess"], ["FullAWSAccess", "NoDelete"], ["FullAWSAccess"], ["FullAWSAccess"]]
    assert scps(directory, MANAGEMENT) is None
    assert [[policy.name for policy in level] for level in snapshot.account_facts(B).rcps] == [[], ["NoPut"], []]
    written = json.loads(directory.to_json())
    assert written["organization"]["delegated_administrators"] == {B: ["iam.amazonaws.com"]}
    assert {"id": A, "name": "name-1"} in written["accounts"]


def test_file_order_has_no_effect(tmp_path):
    """Accounts before or after the tree, policies before or after their targets."""
    put(tmp_path, outputs() | {f"{id_}.json": export(id_) for id_ in (A, B, C)})
    paths = sorted(tmp_path.iterdir())
    first = fastiam.load(*paths)
    assert first.findings == ()
    for seed in range(5):
        random.Random(seed).shuffle(paths)
        again = fastiam.load(*paths)
        assert [scps(again, id_) for id_ in (A, B, C)] == [scps(first, id_) for id_ in (A, B, C)]
        assert again.findings == ()
    assert [decide(first, A, action).outcome for action in ("s3:GetObject", "s3:DeleteObject")] == [
        Outcome.ALLOW,
        Outcome.EXPLICIT_DENY,
    ]


def test_control_policy_statements_have_file_and_line(tmp_path):
    policy = {"Policy": {"PolicySummary": summary("p-deny0001"), "Content": NO_DELETE}}
    files = outputs() | {"describe-policy-no-delete.json": policy, "a.json": export(A)}
    decision = decide(fastiam.load(put(tmp_path, files)), A, "s3:DeleteObject")
    assert decision.statement.file == str(tmp_path / "describe-policy-no-delete.json")
    assert (tmp_path / "describe-policy-no-delete.json").read_text().split("\n")[decision.statement.line - 1].strip() == "{"


SAME = [
    # the same organisation in other outputs: removed files, added files
    {f"list-accounts-for-parent-{INNER}.json": None, "moved.json": {"ParentId": INNER, "Accounts": [account(A)]}},
    {f"list-accounts-for-parent-{INNER}.json": None, f"list-parents-{A}.json": {"Parents": [{"Id": INNER}]}},
    {f"list-accounts-for-parent-{INNER}.json": None, "x.json": {"ChildId": A, "Parents": [{"Id": INNER}]}},
    {f"list-accounts-for-parent-{INNER}.json": None, f"list-children-{INNER}.json": {"Children": [{"Id": A, "Type": "ACCOUNT"}]}},
    {f"list-accounts-for-parent-{INNER}.json": None, "list-accounts.json": {"Accounts": [
        account(A, Paths=[f"{ORGANIZATION}/{ROOT}/{PROD}/{INNER}/{A}/"])]}},
    {f"list-organizational-units-for-parent-{PROD}.json": None, "describe-organizational-unit.json": {
        "OrganizationalUnit": unit(INNER) | {"Path": f"{ORGANIZATION}/{ROOT}/{PROD}/{INNER}/"}}},
    {"describe-organization.json": None, "list-accounts.json": None},
    {f"list-policies-for-target-{PROD}-scp.json": None, "prod.json": {
        "TargetId": PROD, "Policies": [summary("p-FullAWSAccess"), summary("p-deny0001")]}},
    {"list-policies-for-target-*": None,
     "list-policies-scp.json": {"Policies": [summary("p-FullAWSAccess"), summary("p-deny0001")]},
     "list-policies-rcp.json": {"Policies": [summary("p-RCPFullAWSAccess", RCP), summary("p-rcp00001", RCP)]},
     "list-targets-for-policy-p-deny0001.json": {"Targets": [{"TargetId": PROD, "Type": "ORGANIZATIONAL_UNIT"}]},
     "list-targets-for-policy-p-rcp00001.json": {"Targets": [{"TargetId": DEVS}]},
     "list-targets-for-policy-p-RCPFullAWSAccess.json": {"Targets": []},
     "list-targets-for-policy-p-FullAWSAccess.json": {"Targets": [{"TargetId": e} for e in (ROOT, PROD, INNER, DEVS, A, B, C)]}},
    {"list-roots.json": None, "roots.json": [{"Roots": outputs()["list-roots.json"]["Roots"], "NextToken": "t"}, {"Roots": []}]},
    {"list-accounts.json": "\n".join(json.dumps({"Accounts": [account(id_)]}) for id_ in (A, B))},
    {"list-tag-policies-for-target-r-abcd.json": {"Policies": [summary("p-tag00001", "TAG_POLICY")]}},
]  # fmt: skip


@pytest.mark.parametrize("changes", SAME, ids=lambda changes: list(changes)[-1])
def test_equivalent_outputs_give_the_same_organization(tmp_path, changes):
    same = fastiam.load(put(tmp_path / "same", changed(changes)), mode="strict")
    usual = fastiam.load(put(tmp_path / "usual", outputs()))
    for id_ in (MANAGEMENT, A, B, C):
        assert scps(same, id_) == scps(usual, id_)
        assert same.snapshot().account_facts(id_) == usual.snapshot().account_facts(id_)


TARGET = f"list-policies-for-target-{PROD}-scp.json"
LOST, FAR = "p-lost0001", "555555555555"
MISSING = [
    # what is left out or comes instead; the code; what the finding names; the accounts in which everything is denied then
    ({"list-roots.json": None}, "ORG-NO-TYPES", "policy types", []),
    ({f"list-accounts-for-parent-{INNER}.json": None}, "ORG-NO-PARENT", A, [A]),
    ({f"list-organizational-units-for-parent-{PROD}.json": None}, "ORG-NO-PARENT", INNER, [A]),
    ({f"list-parents-{A}.json": {"Parents": [{"Id": DEVS}]}}, "ORG-PARENTS", A, [A]),
    ({"describe-policy-no-delete.json": None}, "ORG-NO-POLICY", "p-deny0001", [A]),
    ({"describe-policy-no-put.json": None}, "ORG-NO-POLICY", "p-rcp00001", [B]),
    ({TARGET: None}, "ORG-NO-POLICIES", PROD, [A]),
    ({TARGET: None, f"list-policies-for-target-{PROD}.json": {"Policies": []}}, "ORG-NO-POLICIES", PROD, [A]),
    ({"list-policies-for-target-*": None}, "ORG-NO-POLICIES", "the organization", [A, B]),
    ({f"list-policies-for-target-{DEVS}-rcp.json": None}, "ORG-NO-POLICIES", DEVS, [B]),
    ({"list-policies-for-target-ou-abcd-gone0001.json": {"Policies": [summary("p-deny0001")]}}, "ORG-NO-TARGET", "gone0001", []),
    ({"list-targets-for-policy-p-deny0001.json": {"Targets": [{"TargetId": FAR}]}}, "ORG-NO-TARGET", FAR, [FAR]),
    ({f"list-targets-for-policy-{LOST}.json": {"Targets": [{"TargetId": A}]}}, "ORG-NO-TYPE", LOST, [A]),
    ({f"list-delegated-services-for-account-{B}.json": None}, "ORG-NO-SERVICES", B, []),
    ({f"services-{FAR}.json": {"DelegatedServices": [{"ServicePrincipal": "iam.amazonaws.com"}]}}, "ORG-NO-ACCOUNT", FAR, []),
    ({"second.json": described("p-deny0001", SCP, "NoDelete", EVERYTHING)}, "ORG-EXISTS", "p-deny0001", []),
    ({"list-accounts.json": {"Accounts": [account(C)], "NextToken": "t"}}, "ORG-TRUNCATED", "last page", []),
    ({"list-accounts.json": {"Accounts": [account(C, State="SUSPENDED")]}}, "ORG-NOT-ACTIVE", C, []),
    ({"outside.json": export(FAR)}, "ORG-OUTSIDE", FAR, []),
]


@pytest.mark.parametrize(("changes", "code", "named", "denied"), MISSING, ids=[f"{row[1]} {row[2]}" for row in MISSING])
def test_missing_or_contradicting_facts_never_allow(tmp_path, changes, code, named, denied):
    files = changed(changes) | {f"{id_}.json": export(id_) for id_ in {A, B, *denied}}
    directory = fastiam.load(put(tmp_path, files))
    found = [finding for finding in directory.findings if finding.code == code]
    assert any(named in finding.message for finding in found)
    assert all(finding.line > 0 and finding.source.startswith(str(tmp_path)) for finding in found)
    for id_ in {A, B, *denied}:
        decision = decide(directory, id_, "s3:GetObject")
        assert (decision.allowed, decision.indeterminate) == ((False, True) if id_ in denied else (True, False))


def test_element_without_control_policies_allows_nothing(tmp_path):
    """D10: an empty list that says of which type it is says that there are none."""
    files = changed({TARGET: {"Policies": []}, "other.json": {"TargetId": DEVS, "Filter": RCP, "Policies": []}})
    directory = fastiam.load(put(tmp_path, files | {"a.json": export(A)}))
    assert directory.findings == ()
    assert scps(directory, A)[1] == []
    assert not decide(directory, A, "s3:GetObject").allowed


@pytest.mark.parametrize("changes", [row[0] for row in MISSING if row[1] not in ("ORG-NOT-ACTIVE", "ORG-OUTSIDE")])
def test_strict_loading_refuses_what_is_missing(tmp_path, changes):
    with pytest.raises(SourceError, match=r"\[ORG-"):
        fastiam.load(put(tmp_path, changed(changes)), mode="strict")


BROKEN = [
    # what comes instead; what the error says; where
    ({"z.json": {"Organization": {"Id": "o-zzzzzzzzzz"}}}, "cannot both be the organization", "$.Organization"),
    ({"z.json": {"Roots": [{"Id": "r-zzzz"}]}}, "cannot both be the root", "$.Roots[0]"),
    ({"a.json": {"Accounts": [{"Id": "12"}]}}, "not a root, organizational unit or account", "$.Accounts[0]"),
    ({"a.json": {"Accounts": [{}]}}, "`Id` is missing", "$.Accounts[0]"),
    ({"a.json": {"Accounts": [7]}}, "expected an object", "$.Accounts[0]"),
    ({"a.json": {"Accounts": {"Id": A}}}, "expected a list", "$.Accounts"),
    ({"a.json": {"Accounts": [account(A, Paths=["x/y"])]}}, "not a path of an organization", "$.Accounts[0].Paths[0]"),
    ({"parents.json": {"Parents": [{"Id": ROOT}]}}, "does not have the `ChildId`", "$"),
    ({"targets.json": {"Targets": []}}, "does not have the `PolicyId`", "$"),
    ({f"list-parents-{A}-{B}.json": {"Parents": [{"Id": ROOT}]}}, "has several ids", "$"),
    ({f"list-parents-{PROD}.json": {"Parents": [{"Id": INNER}]}, f"list-organizational-units-for-parent-{ROOT}.json": {
        "OrganizationalUnits": [unit(DEVS)]}}, "is below itself", "$"),
    ({f"list-parents-{A}.json": {"Parents": [{"Id": B}]}}, "cannot be below", "$.Parents[0]"),
    ({"a.json": {"format": "fastiam-directory", "version": 1, "organization": {"id": "o-1"}}}, "another file has", "$"),
    ({"describe-*": None, "list-*": None, "a.json": {"Accounts": [{"Id": A}]}}, "id of the organization", "$"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message", "path"), BROKEN, ids=[row[1] for row in BROKEN])
def test_broken_output_is_one_located_error(tmp_path, changes, message, path):
    with pytest.raises(SourceError, match=message) as error:
        fastiam.load(put(tmp_path, changed(changes)))
    assert error.value.path.startswith(path)
    assert error.value.line > 0


def test_strict_error_of_a_control_policy_names_its_file(tmp_path):
    files = changed({"a.json": described("p-x0000001", RCP, "x", NO_PUT | {"Version": "2013"})})
    with pytest.raises(fastiam.PolicyError) as error:
        fastiam.load(put(tmp_path, files), mode="strict")
    assert error.value.findings[0].code == "V10"
    assert error.value.findings[0].source == str(tmp_path / "a.json")
