"""A directory with one record of each kind, and requests for it, for tests of engine files."""

from __future__ import annotations

from datetime import UTC, datetime

import fastiam
from fastiam import Engine, PrincipalKind, Session

A, B = "111111111111", "222222222222"
ANA, APP = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:role/app"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
OBJECT = "arn:aws:s3:::b/ana/k"
SESSION = Session(
    f"arn:aws:sts::{A}:assumed-role/app/run",
    kind=PrincipalKind.ROLE,
    issuer=APP,
    policies=[
        {"Version": "2012-10-17", "Statement": [{"Sid": "Narrow", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
    ],
    tags={"team": "blue"},
)


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def make_directory() -> fastiam.Directory:
    """One of each: users, roles, groups, managed policies, boundaries, SCPs, RCPs, buckets, queues, keys, endpoints, tags."""
    directory = fastiam.Directory(mode="lenient")
    no_tags = {"Sid": "NoTags", "Effect": "Deny", "Action": "*:Tag*", "Resource": "*"}
    directory.set_organization(
        "o-1",
        management_account=B,
        organizational_units={"ou-1": "r-1"},
        accounts={A: "ou-1"},
        scps={"r-1": [("Top", document(allow("*")))], "ou-1": [("Unit", document(allow("*"), no_tags))]},
    )
    directory.add_managed_policy(f"arn:aws:iam::{A}:policy/M", document(allow(["s3:List*", "sqs:*"])))
    directory.add_group(f"arn:aws:iam::{A}:group/g", [f"arn:aws:iam::{A}:policy/M"])
    own = allow("s3:Get*", "arn:aws:s3:::b/${aws:username}/*", Sid="Own")
    office = {
        "Sid": "Office",
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
    }
    directory.add_principal(ANA, identity_policies=[("Work", document(own, office))], groups=["g"], tags={"team": "red"})
    trust = {"Effect": "Allow", "Principal": {"AWS": ANA}, "Action": "sts:AssumeRole"}
    directory.add_principal(
        APP, identity_policies=[document(allow("*"))], permissions_boundary=document(allow("s3:*")), trust_policy=document(trust)
    )
    public = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/public/*"}
    directory.add_resource("arn:aws:s3:::b", account=A, policy=document(public), tags={"team": "red"})
    directory.add_resource(f"arn:aws:sqs:eu-west-1:{A}:q", policy=document({**public, "Action": "sqs:*", "Resource": "*"}))
    directory.add_resource(f"arn:aws:lambda:eu-west-1:{A}:function:f", tags={"team": "red"})
    directory.add_endpoint("vpce-1", policy=document({**public, "Action": "*", "Resource": "*"}), account=A)
    return directory


WHO = [ANA, APP, SESSION, SESSION.arn, "*", "s3.amazonaws.com", f"arn:aws:iam::{A}:user/nobody", f"arn:aws:iam::{B}:root"]
WHAT = ["s3:GetObject", "s3:ListBucket", "sqs:SendMessage", "iam:TagUser", "sts:AssumeRole", "lambda:InvokeFunction"]
WHERE = [OBJECT, "arn:aws:s3:::b/public/x", f"arn:aws:sqs:eu-west-1:{A}:q", APP, f"arn:aws:lambda:eu-west-1:{A}:function:f", "*"]
CONTEXTS = [{"aws:SourceIp": "10.1.2.3"}, {"aws:SourceIp": "8.8.8.8", "aws:SourceVpce": "vpce-1"}, {"aws:SourceVpce": "vpce-9"}]
ASKED = [(who, what, where, context) for who in WHO for what in WHAT for where in WHERE for context in CONTEXTS]


def all_answers(engine: Engine, asked=ASKED) -> list[object]:
    decisions = [engine.decide(*request, now=NOW) for request in asked]
    return [(d, d.statement and d.statement.position) for d in decisions]
