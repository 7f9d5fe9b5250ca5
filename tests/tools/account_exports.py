"""Account exports (`get-account-authorization-details`), for tests of sources."""

from __future__ import annotations

import json
from pathlib import Path

import fastiam

A, B = "111111111111", "222222222222"
ANA, DEP = f"arn:aws:iam::{A}:user/eng/ana", f"arn:aws:iam::{A}:role/ops/Dep"
MANAGED, AWS = f"arn:aws:iam::{A}:policy/P", "arn:aws:iam::aws:policy/ReadOnlyAccess"
ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": ANA}, "Action": "sts:AssumeRole"}]}


def managed(arn: str, document: object = ALLOW, **more) -> dict:
    versions = [
        {"VersionId": "v1", "IsDefaultVersion": False},
        {"VersionId": "v2", "IsDefaultVersion": True, "Document": document},
    ]
    return {"Arn": arn, "PolicyName": arn.rsplit("/", 1)[1], "DefaultVersionId": "v2", "PolicyVersionList": versions} | more


def attached(*arns: str) -> list[dict]:
    return [{"PolicyName": arn.rsplit("/", 1)[1], "PolicyArn": arn} for arn in arns]


def export(form=lambda document: document) -> dict:
    """An export of one account in which everything occurs; `form` writes the documents."""
    return {
        "UserDetailList": [{
            "Arn": ANA, "UserName": "ana", "UserId": "AIDAANA", "Path": "/eng/", "CreateDate": "2026-01-01T00:00:00Z",
            "UserPolicyList": [{"PolicyName": "own", "PolicyDocument": form(ALLOW)}],
            "GroupList": ["Eng"], "AttachedManagedPolicies": attached(MANAGED),
            "PermissionsBoundary": {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": MANAGED},
            "Tags": [{"Key": "Team", "Value": "r"}],
        }],
        "GroupDetailList": [{
            "Arn": f"arn:aws:iam::{A}:group/Eng", "GroupName": "Eng", "GroupId": "AGPAENG", "Path": "/",
            "GroupPolicyList": [{"PolicyName": "of-group", "PolicyDocument": form(ALLOW)}],
            "AttachedManagedPolicies": attached(AWS),
        }],
        "RoleDetailList": [{
            "Arn": DEP, "RoleName": "Dep", "RoleId": "AROADEP", "Path": "/ops/", "AssumeRolePolicyDocument": form(TRUST),
            "RolePolicyList": [{"PolicyName": "deploy", "PolicyDocument": form(ALLOW)}],
            "AttachedManagedPolicies": [], "Tags": [], "MaxSessionDuration": 7200,
            "InstanceProfileList": [{"Arn": f"arn:aws:iam::{A}:instance-profile/web", "InstanceProfileId": "AIPAWEB"}],
        }],
        "Policies": [managed(MANAGED, form(ALLOW)), managed(AWS, form(ALLOW))],
    }  # fmt: skip


def write(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2))
    return path


def codes(directory: fastiam.Directory) -> list[str]:
    return [finding.code for finding in directory.findings]


def names(directory: fastiam.Directory, arn: str) -> list[str]:
    return [policy.name for policy in directory.snapshot().principal(arn).identity_policies]
