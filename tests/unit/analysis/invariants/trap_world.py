"""The organization of the trap cases: accounts A and B of it, its management account M, and X outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import fastiam

A, B, M, X = "111111111111", "222222222222", "999999999999", "333333333333"
ANA, BO, MAX = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:user/bo", f"arn:aws:iam::{M}:user/max"
DEP = f"arn:aws:iam::{A}:role/ops/Dep"
RUN1 = f"arn:aws:sts::{A}:assumed-role/Dep/run1"
DEP_ID = "AROA" + "DEP" * 5 + "XX"
SLR = f"arn:aws:iam::{A}:role/aws-service-role/config.amazonaws.com/AWSServiceRoleForConfig"
BKT, BKT_B = "arn:aws:s3:::bkt", "arn:aws:s3:::bktB"
QUEUE = f"arn:aws:sqs:eu-west-1:{A}:queue"
KEY = f"arn:aws:kms:eu-west-1:{A}:key/00000000-0000-0000-0000-000000000001"
Document = Mapping[str, Any]


def document(*statements: Document) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: Any = "*", resource: Any = "*", when: Any = None, **more: Any) -> dict[str, Any]:
    condition = {} if when is None else {"Condition": when}
    return {"Effect": "Allow", "Action": action, "Resource": resource, **condition, **more}


def deny(action: Any = "*", resource: Any = "*", when: Any = None, **more: Any) -> dict[str, Any]:
    return {**allow(action, resource, when, **more), "Effect": "Deny"}


def grant(principal: Any, action: Any, resource: Any, when: Any = None) -> dict[str, Any]:
    return allow(action, resource, when, Principal=principal)


FULL = allow()


def world(
    *,
    ana: Sequence[Document] = (),
    bo: Sequence[Document] = (),
    dep: Sequence[Document] = (),
    max_: Sequence[Document] = (),
    slr: Sequence[Document] | None = None,
    boundaries: Mapping[str, Sequence[Document]] = {},
    tags: Mapping[str, Mapping[str, str]] = {},
    trust: Sequence[Document] | None = None,
    scps: Mapping[str, Sequence[Document]] = {},
    rcps: Mapping[str, Sequence[Document]] = {},
    bucket: Sequence[Document] = (),
    bucket_b: Sequence[Document] = (),
    queue: Sequence[Document] = (),
    key: Sequence[Document] | None = None,
    endpoint: Sequence[Document] | None = None,
    roles: Mapping[str, Sequence[Document]] = {},
    more: Mapping[str, Mapping[str, Any]] = {},
) -> fastiam.Engine:
    """Return an engine over the organization."""
    made = fastiam.Directory()
    made.set_organization(
        "o-1",
        management_account=M,
        organizational_units={"ou-a": "r-1", "ou-b": "r-1"},
        accounts={A: "ou-a", B: "ou-b"},
        scps={name: [document(*found)] for name, found in scps.items()},
        rcps={name: [document(*found)] for name, found in rcps.items()},
    )
    for arn, own in ((ANA, ana), (BO, bo), (DEP, dep), (MAX, max_)):
        options: dict[str, Any] = {"tags": tags.get(arn, {})}
        if arn == DEP:
            options |= {"unique_id": DEP_ID, "trust_policy": None if trust is None else document(*trust)}
        if arn in boundaries:
            options["permissions_boundary"] = document(*boundaries[arn])
        made.add_principal(arn, identity_policies=[document(*own)] if own else [], **options)
    for name, own in roles.items():
        made.add_principal(f"arn:aws:iam::{A}:role/{name}", identity_policies=[document(*own)])
    if slr is not None:
        made.add_principal(SLR, identity_policies=[document(*slr)])
    made.add_resource(BKT, account=A, policy=document(*bucket) if bucket else None)
    made.add_resource(BKT_B, account=B, policy=document(*bucket_b) if bucket_b else None)
    if queue:
        made.add_resource(QUEUE, account=A, policy=document(*queue))
    if key is not None:
        made.add_resource(KEY, account=A, policy=document(*key) if key else None)
    if endpoint is not None:
        made.add_endpoint("vpce-1", policy=document(*endpoint))
    for arn, record in more.items():
        made.add_resource(arn, **record)
    return made.compile()
