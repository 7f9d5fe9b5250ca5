"""A directory that Terraform plans change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from terraform_plans import change, plan

import fastiam
from fastiam.api.planned_changes import PlannedChange, read_change

A = "111111111111"
ANA, APP, TEAM = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:role/service/app", f"arn:aws:iam::{A}:group/team"
BASE, ADMIN = f"arn:aws:iam::{A}:policy/base", "arn:aws:iam::aws:policy/AdministratorAccess"
BUCKET, KEY = "arn:aws:s3:::data", "arn:aws:s3:::data/k"


def document(*actions: str, effect: str = "Allow", resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": list(actions), "Resource": resource, **more}]}


def text(*actions: str, **more: Any) -> str:
    return json.dumps(document(*actions, **more))


TRUST: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}],
}


def directory() -> fastiam.Directory:
    out = fastiam.Directory("lenient")
    out.add_managed_policy(BASE, document("s3:GetObject"))
    out.add_managed_policy(ADMIN, document("*"))
    out.add_group(TEAM)
    out.add_principal(ANA, identity_policies=[BASE], groups=[TEAM])
    out.add_principal(APP, trust_policy=TRUST, identity_policies=[("own", document("s3:ListBucket"))])
    out.add_resource(BUCKET, account=A)
    return out


class Planned:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, *changes: dict[str, Any], references: Any = None, more: Any = None, **options: Any) -> PlannedChange:
        path = self._folder / "plan.json"
        path.write_text(plan(*changes, references=references or {}, **(more or {})))
        return read_change(directory(), terraform=[path], **options)


def outcomes(found: PlannedChange, principal: str, action: str, resource: str = KEY) -> tuple[str, str]:
    old, new = (side.decide(principal, action, resource, unknown=found.unknown) for side in (found.old, found.new))
    return old.outcome.name, new.outcome.name


def policy(before: Any, after: Any, name: str = "base") -> dict[str, Any]:
    known = {"name": name, "path": "/", "arn": f"arn:aws:iam::{A}:policy/{name}"}
    sides = [None if side is None else {**known, "policy": side} for side in (before, after)]
    return change(f"aws_iam_policy.{name}", *sides)


PUBLIC = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}
)


def organization() -> fastiam.Directory:
    out = directory()
    out.set_organization("o-1", accounts={A: None}, management_account="999999999999")
    return out
