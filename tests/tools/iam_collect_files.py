"""Folders in the format of iam-collect, for tests of sources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from account_exports import A

ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
OPEN = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": A}, "Action": "sts:AssumeRole"}]}
HERE = f"aws/aws/accounts/{A}"
DEP = f"arn:aws:iam::{A}:role/ops/Dep"


def collected() -> dict[str, Any]:
    """Folders of iam-collect: a role with a policy, a user in a group, a bucket, and an organisation."""
    iam, ou, org = f"{HERE}/iam/global", "ou-abcd-prod0001", "aws/aws/organizations/o-abcdefghij"
    managed, full = f"arn:aws:iam::{A}:policy/P", "p-FullAWSAccess"
    return {
        f"{iam}/policy/p/metadata.json": {"arn": managed, "name": "P", "defaultVersionId": "v2"},
        f"{iam}/policy/p/current-policy.json": ALLOW,
        f"{iam}/role/dep/metadata.json": {"arn": DEP, "id": "AROADEP", "permissionBoundary": managed},
        f"{iam}/role/dep/trust-policy.json": TRUST,
        f"{iam}/role/dep/inline-policies.json": [{"PolicyName": "own", "PolicyDocument": ALLOW}],
        f"{iam}/role/dep/managed-policies.json": [managed],
        f"{iam}/role/dep/tags.json": {"team": "red"},
        f"{iam}/group/eng/metadata.json": {"arn": f"arn:aws:iam::{A}:group/Eng"},
        f"{iam}/group/eng/inline-policies.json": {"own": ALLOW},
        f"{iam}/user/ana/metadata.json": {"arn": f"arn:aws:iam::{A}:user/ana", "id": "AIDAANA"},
        f"{iam}/user/ana/groups.json": [f"arn:aws:iam::{A}:group/Eng"],
        f"{HERE}/s3/us-east-1/bucket/b/metadata.json": {"arn": "arn:aws:s3:::b"},
        f"{HERE}/s3/us-east-1/bucket/b/policy.json": OPEN,
        f"{org}/metadata.json": {"id": "o-abcdefghij", "rootId": "r-abcd", "managementAccountId": "9" * 12},
        f"{org}/structure.json": {
            "r-abcd": {"scps": [full], "rcps": [], "children": {
                ou: {"scps": ["p-abcdefgh"], "rcps": [], "accounts": {A: {"scps": [full], "rcps": []}}}
            }},
        },
        f"{org}/scps/p-abcdefgh/policy.json": ALLOW,
    }  # fmt: skip


def write(folder: Path, files: dict[str, Any]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
