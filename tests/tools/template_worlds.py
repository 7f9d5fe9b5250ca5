"""Random small organizations for the templates of invariants: with SCPs, RCPs and endpoints of a data perimeter, or nearly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from small_worlds import (
    BUCKET,
    BUCKET_B,
    DEP,
    EVERYTHING,
    KEY,
    OF_POLICIES,
    OPS,
    QUEUE,
    STRANGE_ROLE,
    STRANGER,
    A,
    B,
    Caller,
    M,
    SmallWorld,
    X,
)

import fastiam
from fastiam.testing.templates import find_template

MEMBERS = frozenset((A, B, M))
BUCKET_X = "arn:aws:s3:::xb"
QUEUE_X = f"arn:aws:sqs:eu-west-1:{X}:queue"
KEY_X = f"arn:aws:kms:eu-west-1:{X}:key/00000000-0000-0000-0000-000000000002"
OWNERS_OF_BUCKETS = {BUCKET: A, BUCKET_B: B, BUCKET_X: X}
PERIMETER = ["s3:*", "kms:*", "sqs:*", "sns:*", "secretsmanager:*"]
TRAIL = ["cloudtrail:StopLogging", "cloudtrail:DeleteTrail", "cloudtrail:UpdateTrail", "cloudtrail:PutEventSelectors"]
_NETWORKS = {
    "NotIpAddressIfExists": {"aws:SourceIp": "198.51.100.0/24"},
    "StringNotEqualsIfExists": {"aws:SourceVpc": "vpc-1"},
    "BoolIfExists": {"aws:ViaAWSService": "false"},
}
_NOT_OF_SERVICES = {"BoolIfExists": {"aws:ViaAWSService": "false", "aws:PrincipalIsAWSService": "false"}}
_FOREIGN = {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}, "BoolIfExists": {"aws:PrincipalIsAWSService": "false"}}
_OWN = {"StringEquals": {"aws:PrincipalOrgID": "o-1", "aws:ResourceOrgID": "o-1"}}


def _deny(actions: Any, condition: Any = None, **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": actions, "Resource": "*", **more, **({"Condition": condition} if condition else {})}


def _scps() -> list[dict[str, Any]]:
    regions = find_template("baseline/regions")
    assert regions is not None
    elsewhere = {"StringNotEquals": {"aws:RequestedRegion": ["eu-west-1"]}}
    return [
        _deny(TRAIL, {"ArnNotLike": {"aws:PrincipalArn": DEP}}),
        _deny("organizations:LeaveOrganization"),
        {"Effect": "Deny", "NotAction": regions.defaults["global_actions"], "Resource": "*", "Condition": elsewhere},
        _deny(PERIMETER, {"StringNotEqualsIfExists": {"aws:ResourceOrgID": "o-1"}}),
        _deny(PERIMETER, _NETWORKS),
        _deny("*", {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:root"}}),
        _deny("iam:PassRole", Resource="arn:aws:iam::*:role/*dmin*"),
        _deny(["iam:*", "kms:*", "organizations:*"], {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}),
    ]


def _rcps() -> list[dict[str, Any]]:
    found = (_deny(PERIMETER, _FOREIGN), _deny(PERIMETER, {**_NETWORKS, **_NOT_OF_SERVICES}))
    return [{**one, "Principal": "*"} for one in found]


class TemplateWorld(SmallWorld):
    """A small organization whose policies are about what templates are about."""

    requests: Mapping[str, tuple[str, ...]] = {
        "s3:GetObject": (f"{BUCKET}/ana", f"{BUCKET_B}/x", "arn:aws:s3:::other/x", f"{BUCKET_X}/x"),
        "sqs:SendMessage": (QUEUE, QUEUE_X),
        "kms:Decrypt": (KEY, KEY_X),
        "cloudtrail:StopLogging": tuple(f"arn:aws:cloudtrail:eu-west-1:{one}:trail/t" for one in (A, B)),
        "organizations:LeaveOrganization": ("*",),
        "iam:PassRole": tuple(f"arn:aws:iam::{one}:role/Admin" for one in (A, B)),
        "iam:CreateUser": (f"arn:aws:iam::{A}:user/new",),
    }
    actions = ("*", "*", "s3:*", "iam:*", ["cloudtrail:*", "organizations:*"], "kms:*", ["s3:GetObject", "sqs:*"], "iam:PassRole")
    values: Mapping[str, tuple[str, ...]] = {
        "aws:RequestedRegion": ("eu-west-1", "us-east-1"),
        "aws:SourceVpce": ("vpce-1", "vpce-9"),
        "aws:SourceVpc": ("vpc-1", "vpc-2"),
        "aws:SourceIp": ("198.51.100.7", "10.0.0.1"),
        "aws:ViaAWSService": ("true", "false"),
        "aws:SourceAccount": (A, X),
    }
    of_policies: Mapping[str, tuple[str, ...]] = {**OF_POLICIES, **values}

    members = MEMBERS

    def _draw_keys(self) -> list[str]:
        more = ["aws:PrincipalOrgID", "aws:PrincipalArn", "aws:MultiFactorAuthPresent", "aws:ResourceAccount",
                "aws:ResourceOrgID", "aws:PrincipalIsAWSService", "aws:PrincipalAccount", "aws:username"]  # fmt: skip
        return [*self.values, *self.random.sample(more, 2)]

    # -- policies -----------------------------------------------------------------------------------------------------

    def _guard(self, scps: dict[str, Any], rcps: dict[str, Any]) -> None:
        """Add most statements of a perimeter, some of them weaker, some at one unit only."""
        for target, statements in ((scps, _scps()), (rcps, _rcps())):
            for statement in statements:
                if self._maybe(0.25):
                    continue
                made = self._weaker(statement) if self._maybe(0.2) else statement
                place = "ou-a" if self._maybe(0.1) else "r-1"
                # more than the five policies of AWS, so that each is one of its own
                target.setdefault(place, [] if target is rcps else [EVERYTHING]).append(
                    {"Version": "2012-10-17", "Statement": [made]}
                )

    def _weaker(self, statement: dict[str, Any]) -> dict[str, Any]:
        made = deepcopy(statement)
        condition = made.get("Condition")
        if condition and self._maybe(0.7):
            operator = self.random.choice(sorted(condition))
            entry = condition.pop(operator)
            if self._maybe(0.7):
                condition[operator.removesuffix("IfExists")] = entry
            if not condition:
                del made["Condition"]
        elif isinstance(made.get("Action"), list):
            made["Action"] = made["Action"][1:]
        else:
            made["Condition"] = {"StringEquals": {"aws:RequestedRegion": "us-east-1"}}
        return made

    def _draw_directory(self) -> None:
        super()._draw_directory()
        if self.has_endpoint and self._maybe(0.6):
            self._steps.pop()
            one = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*", "Condition": _OWN}
            self._add("add_endpoint", "vpce-1", policy={"Version": "2012-10-17", "Statement": [one]})

    # -- the universe -------------------------------------------------------------------------------------------------

    def everyone(self) -> Iterator[Caller]:
        """Yield all principals, those of the account without a record too."""
        yield from self.callers()
        yield from self.strangers()

    def engine_with_strangers(self) -> fastiam.Engine:
        """Return an engine that has records of the strangers and of their resources, which any caller may use."""
        made = self._directory()
        for arn in (STRANGER, f"arn:aws:iam::{X}:user/sam", STRANGE_ROLE):
            made.add_principal(arn, identity_policies=[EVERYTHING])
        opened = {"Version": "2012-10-17", "Statement": {**EVERYTHING["Statement"], "Principal": "*"}}
        for arn in (BUCKET_X, QUEUE_X, KEY_X):
            resources = {"Resource": [arn, f"{arn}/*"]} if arn == BUCKET_X else {}
            policy = {**opened, "Statement": {**opened["Statement"], **resources}}
            made.add_resource(arn, account=X, policy=policy)
        return made.compile()

    @staticmethod
    def _is_sent(caller: Caller, context: Mapping[str, Any], read: list[str]) -> bool:
        if "aws:RequestedRegion" not in context or "aws:ViaAWSService" not in context:
            return False
        if "aws:SourceAccount" in context and caller.kind != "SVC":
            return False
        is_forwarded = context["aws:ViaAWSService"] == "true"
        if is_forwarded and caller.kind in ("SVC", "ANON"):
            return False
        n_networks = sum(key in context for key in ("aws:SourceVpce", "aws:SourceVpc"))
        if "aws:SourceIp" in context:
            return n_networks == 0
        return n_networks == 2 or n_networks == 0 and (caller.kind in ("SVC", "SLR") or is_forwarded)

    # -- templates ----------------------------------------------------------------------------------------------------

    def parameters(self, name: str) -> dict[str, Any]:
        """Return values of the parameters of a template."""
        draw, template = self.random, find_template(name)
        assert template is not None
        wanted: dict[str, Any] = {
            "regions": ["eu-west-1"],
            "break_glass": draw.choice([[DEP], [OPS]]),
            "admin_roles": ["arn:aws:iam::*:role/Admin"],
            "administrators": draw.choice([[], ["arn:aws:iam::*:user/ana"]]),
            "endpoints": ["vpce-1"],
            "ranges": draw.choice([["198.51.100.0/24"], []]),
            "vpcs": draw.choice([["vpc-1"], []]),
            "exempt": draw.choice([[], [DEP]]),
            "trusted": draw.choice([[], [STRANGE_ROLE]]),
            "partners": draw.choice([[], [X]]),
            "unsourced": draw.choice([[], [{"Null": {"aws:SourceAccount": "true"}}]]),
            "public": draw.choice([[], [f"{BUCKET}/*"]]),
            "trusted_resources": draw.choice([[], [f"account:{X}"]]),
        }
        of_organization = {"org": "o-1", "management": M, "source_arns": [f"arn:*:*:*:{one}:*" for one in (A, B)]}
        return {
            **of_organization,
            **template.defaults,
            **{key: value for key, value in wanted.items() if key in template.parameters},
        }
