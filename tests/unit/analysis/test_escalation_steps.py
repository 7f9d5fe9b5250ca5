"""Sure escalation paths work: their steps are taken as writes, and the last principal is allowed anything then."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

import fastiam

A = "111111111111"
IAM = f"arn:aws:iam::{A}:"
ANA, ROLE = f"{IAM}user/ana", f"{IAM}role/app"
EVERYTHING = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}


def document(*actions: str, **more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}]}


def trust(principal: dict[str, str]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]}


def session_of(principal: str) -> str:
    """The caller: a user, or a session of a role."""
    if ":role/" not in principal:
        return principal
    account, name = principal.split(":")[4], principal.rpartition("/")[2]
    return f"arn:aws:sts::{account}:assumed-role/{name}/s"


def last_principal(directory: fastiam.Directory, path: fastiam.EscalationPath) -> str:
    """Take the steps of a path, each of which must be allowed when it is taken; return the principal that has the permissions."""
    current = path.principal
    for step in path.steps:
        caller = session_of(current)
        if step.action == "sts:AssumeRole":
            assert directory.compile().decide(caller, step.action, step.resource, unknown=["*"]).allowed, step
            current = step.resource
            continue
        assert step.principal == current
        assert directory.compile().decide(caller, step.action, step.resource, unknown=["*"]).allowed, step
        match step.action.partition(":")[2]:
            case "AddUserToGroup":
                directory.add_user_to_group(current, step.resource)
            case "PutUserPolicy" | "PutRolePolicy" | "PutGroupPolicy":
                directory.put_inline_policy(step.resource, "more", EVERYTHING)
            case "AttachUserPolicy" | "AttachRolePolicy" | "AttachGroupPolicy":
                directory.attach_policy(step.resource, f"{IAM.replace(A, step.resource.split(':')[4])}policy/everything")
            case "CreatePolicyVersion":
                directory.create_policy_version(step.resource, EVERYTHING, set_as_default=True)
            case "UpdateAssumeRolePolicy":
                directory.set_trust_policy(step.resource, trust({"AWS": caller}))
                if step is path.steps[-1] or path.steps[path.steps.index(step) + 1].action != "sts:AssumeRole":
                    assert directory.compile().decide(caller, "sts:AssumeRole", step.resource, unknown=["*"]).allowed
                    current = step.resource
            case "CreateAccessKey":
                current = step.resource
            case other:
                pytest.fail(f"no write for {other}")
    return current


def is_anything_allowed(directory: fastiam.Directory, principal: str) -> bool:
    return directory.compile().decide(session_of(principal), "zq1:Act", "*", unknown=["*"]).allowed


WORLDS = [  # actions of ana, actions of the group that she may join, and what the role trusts
    (["iam:PutUserPolicy"], [], None),
    (["iam:AddUserToGroup"], ["iam:*"], None),
    (["iam:AddUserToGroup"], ["iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy"], None),
    (["iam:CreatePolicyVersion", "sts:AssumeRole"], [], {"AWS": A}),
    (["iam:CreatePolicyVersion", "iam:UpdateAssumeRolePolicy"], [], None),
    (["iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy"], [], None),
    (["iam:AttachRolePolicy", "iam:UpdateAssumeRolePolicy"], [], None),
    (["iam:PutRolePolicy", "sts:AssumeRole"], [], {"AWS": ANA}),
]


@pytest.mark.parametrize(("actions", "of_group", "trusted"), WORLDS, ids=[" ".join([*own, *group]) for own, group, _ in WORLDS])
def test_sure_path_works_when_its_steps_are_taken(
    actions: list[str], of_group: list[str], trusted: dict[str, str] | None
) -> None:
    directory = fastiam.Directory(quotas=None, mode="lenient")
    directory.add_managed_policy(f"{IAM}policy/everything", EVERYTHING)
    directory.add_managed_policy(f"{IAM}policy/app", document("s3:GetObject"))
    directory.add_group(f"{IAM}group/team", [document(*of_group)] if of_group else [])
    directory.add_principal(
        ROLE, identity_policies=[f"{IAM}policy/app"], trust_policy=trust(trusted or {"Service": "ec2.amazonaws.com"})
    )
    directory.add_principal(ANA, identity_policies=[document(*actions)])
    assert not is_anything_allowed(directory, ANA)
    (path,) = directory.compile().escalations()
    assert path.outcome is fastiam.Outcome.ALLOW
    assert is_anything_allowed(directory, last_principal(directory, path))


@pytest.mark.slow
def test_sure_paths_of_the_lab_account_work(shared: Path) -> None:
    """Paths whose steps are calls of IAM and STS alone; those of the other services need resources that no directory has."""
    lab = fastiam.load(shared / "gaad-lab-account.json.gz")
    lab.mode = "lenient"
    for account in lab.tables.accounts:
        lab.add_managed_policy(f"arn:aws:iam::{account}:policy/everything", EVERYTHING)
    sure = [path for path in lab.compile().escalations() if path.outcome is fastiam.Outcome.ALLOW]
    taken = [
        path
        for path in sure
        if all(step.principal.startswith("arn:") and step.action.startswith(("iam:", "sts:")) for step in path.steps)
        and not any(step.action in ("iam:CreateRole", "iam:CreateUser") for step in path.steps)
    ]
    one_of_each = {path.pattern: path for path in taken}.values()
    assert len(one_of_each) > 10
    for path in one_of_each:
        directory = copy.deepcopy(lab)
        last = last_principal(directory, path)
        assert last == path.target if path.target.startswith("arn:") else is_anything_allowed(directory, last), path
