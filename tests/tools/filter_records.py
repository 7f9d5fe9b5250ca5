"""Records of all services with rules for governing resources (6.10), with policies, and ARNs at the edges of these rules."""

from __future__ import annotations

import random
from typing import Any

import generator_names as v
from generator_names import A, B

import fastiam
from fastiam.errors import FastiamError

RECORDS = (
    "arn:aws:s3:::data",
    "arn:aws:s3:::data2",
    f"arn:aws:s3:us-east-1:{A}:accesspoint/ap",
    f"arn:aws:lambda:us-east-1:{A}:function:f",
    f"arn:aws:lambda:us-east-1:{A}:function:f:live",
    f"arn:aws:dynamodb:us-east-1:{A}:table/t",
    f"arn:aws:dynamodb:us-east-1:{A}:table/t/stream/s",
    f"arn:aws:kms:us-east-1:{A}:key/k",
    f"arn:aws:sns:us-east-1:{A}:topic",
    f"arn:aws:logs:us-east-1:{A}:*",
    f"arn:aws:logs:us-east-1:{A}:log-group:g",
    f"arn:aws:kinesis:us-east-1:{A}:stream/s",
    "arn:aws:apigateway:us-east-1::/restapis/api",
    f"arn:aws:es:us-east-1:{A}:domain/d",
    f"arn:aws:codeartifact:us-east-1:{A}:domain/d",
    f"arn:aws:codeartifact:us-east-1:{A}:repository/d/r",
    f"arn:aws:acm-pca:us-east-1:{A}:certificate-authority/c",
    f"arn:aws:glue:us-east-1:{A}:catalog",
    f"arn:aws:secretsmanager:us-east-1:{A}:secret:db-AbCdEf",
    f"arn:aws:sqs:us-east-1:{A}:q",
)
ENDS = (
    "",
    "/",
    ":",
    "/x",
    ":x",
    "/x/",
    "/x/y",
    ":*",
    "/index/i",
    "/index",
    "/export/e",
    "/stream/s",
    "/object/o",
    "/consumer/c",
    ":log-stream:s",
    ":log-stream",
    "/certificate/c",
    "x",
    "/object",
)
OTHERS = (
    f"arn:aws:execute-api:us-east-1:{A}:api",
    f"arn:aws:execute-api:us-east-1:{B}:api/prod/GET/x",
    "arn:aws:execute-api:us-east-1::api/",
    f"arn:aws:execute-api:us-east-1:{A}:apix/prod",
    f"arn:aws:execute-api:eu-west-1:{A}:api/prod",
    "arn:aws:s3:::data3/x",
    f"arn:aws:codeartifact:us-east-1:{A}:package/d/r/npm/n/p",
    f"arn:aws:codeartifact:us-east-1:{A}:package/d/other/npm/n/p",
    f"arn:aws:codeartifact:us-east-1:{A}:package/d//x",
    f"arn:aws:codeartifact:us-east-1:{A}:package/d/r",
    f"arn:aws:codeartifact:us-east-1:{A}:package-group/d/x",
    f"arn:aws:codeartifact:us-east-1:{A}:package-group/d",
    f"arn:aws:glue:us-east-1:{A}:database/x",
    f"arn:aws:glue:us-east-1:{A}:table/d/t",
    f"arn:aws:glue:us-east-1:{A}:crawler/x",
    f"arn:aws:glue:us-east-1:{A}:userDefinedFunction/d/f",
    f"arn:aws:glue:us-east-1:{A}:connection/x",
    f"arn:aws:glue:us-east-1:{A}:database",
    f"arn:aws:logs:us-east-1:{A}:log-group:other",
    f"arn:aws:logs:us-east-1:{A}:log-group:other:*",
    f"arn:aws:logs:us-east-1:{A}:log-group:",
    f"arn:aws:logs:us-east-1:{A}:log-group:other:log-stream:s:t",
    f"arn:aws:logs:us-east-1:{A}:log-group:other:x",
    f"arn:aws:logs:eu-west-1:{A}:log-group:other",
    f"arn:aws:secretsmanager:us-east-1:{A}:secret:db",
    f"arn:aws:secretsmanager:us-east-1:{A}:secret:d",
    f"arn:aws:kms:us-east-1:{A}:alias/a",
    "arn:aws:s3:::",
    "arn:aws:sns:us-east-1::x",
)

_PRINCIPALS: tuple[Any, ...] = (
    "*",
    {"AWS": v.A},
    {"AWS": v.DEP},
    {"AWS": v.ANA},
    {"AWS": v.B},
    {"Service": "s3.amazonaws.com"},
    {"AWS": [v.BEN, v.PLAIN_ROLE]},
    {"AWS": v.AIDA},
    {"AWS": v.AROA},
)
_CONDITIONS: tuple[dict[str, Any], ...] = (
    {"StringEquals": {"aws:ResourceAccount": v.A}},
    {"StringEquals": {"aws:ResourceAccount": "${aws:PrincipalAccount}"}},
    {"StringLike": {"aws:ResourceAccount": "1*"}},
    {"Null": {"aws:ResourceOrgID": "true"}},
    {"StringEquals": {"aws:ResourceTag/env": "a"}},
    {"StringNotEquals": {"aws:ResourceTag/env": "a"}},
    {"StringEquals": {"aws:PrincipalTag/team": "${aws:ResourceTag/env}"}},
    {"StringEquals": {"aws:SourceVpce": "vpce-1"}},
    {"Bool": {"aws:SecureTransport": "false"}},
    {"StringEquals": {"aws:RequestedRegion": "us-east-1"}},
    {"StringNotLike": {"aws:RequestedRegion": "eu-*"}},
    {"ForAnyValue:StringLike": {"aws:ResourceOrgPaths": "o-1/*"}},
)
ACTIONS = ("s3:GetObject", "logs:PutLogEvents", "sqs:SendMessage", "lambda:InvokeFunction", "glue:GetTable", "execute-api:Invoke")
PRINCIPALS = (v.ANA, v.DEP, v.PLAIN_ROLE, v.BEN, v.root_of(v.A), "s3.amazonaws.com", "*")


def add_records(rng: random.Random, directory: fastiam.Directory) -> None:
    """Add some of the records, with owners, tags and policies by chance; those that a directory refuses are left out."""
    for arn in RECORDS:
        if rng.random() < 0.6:
            policy = _policy(rng) if rng.random() < 0.8 else None
            tags = rng.choice(({}, {"env": "a"}, {"env": "red", "team": "us"}))
            try:
                directory.add_resource(arn, account=rng.choice((None, v.A, v.A, v.B, v.X)), policy=policy, tags=tags)
            except FastiamError:
                continue
    for id_ in ("vpce-1", "vpce-2") if rng.random() < 0.5 else ():
        try:
            directory.add_endpoint(id_, account=rng.choice((None, v.A, v.B)), policy=_policy(rng) if rng.random() < 0.6 else None)
        except FastiamError:
            continue


def settings(rng: random.Random) -> dict[str, Any]:
    """Options of `compile`."""
    return {
        "unknown_owner": rng.choice(("principal", "principal", "deny")),
        "settings": fastiam.Settings(
            resource_policy_services=frozenset(rng.choice(((), ("sqs",), ("logs", "s3")))),
            anonymous_services=frozenset(rng.choice((("s3",), ("s3", "sqs", "sns", "logs")))),
            global_services=frozenset(rng.choice((("iam",), ("iam", "s3")))),
        ),
        "context_defaults": rng.choice(
            ({}, {"app:str": "a"}, {"aws:SecureTransport": True, "aws:SourceVpce": "vpce-1"}, {"aws:ResourceTag/env": "a"})
        ),
    }


def requests(rng: random.Random, count: int) -> list[dict[str, Any]]:
    """Requests on the records and near them."""
    return [
        {"principal": rng.choice(PRINCIPALS), "action": rng.choice(ACTIONS), "resource": arn(rng), "context": {}}
        for _ in range(count)
    ]


def arn(rng: random.Random) -> str:
    """An ARN of a record, below one, or at the edge of a rule."""
    found = rng.choice((*RECORDS, *OTHERS)) if rng.random() < 0.8 else rng.choice(OTHERS)
    found += rng.choice(ENDS) if rng.random() < 0.7 else ""
    if rng.random() < 0.1:
        fields = found.split(":")
        fields[4] = rng.choice((v.A, v.B, v.X, "", "9" * 12))
        found = ":".join(fields)
    return found


def _policy(rng: random.Random) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [_statement(rng) for _ in range(rng.choice((1, 1, 2, 3)))]}


def _statement(rng: random.Random) -> dict[str, Any]:
    effect = rng.choice(("Allow", "Allow", "Deny"))
    action = rng.choice(("*", "*", "s3:*", "logs:*", "sqs:SendMessage", rng.choice(v.ALL_ACTIONS)))
    statement: dict[str, Any] = {"Effect": effect, "Action": action}
    if effect == "Deny" and rng.random() < 0.2:
        statement["NotPrincipal"] = {"AWS": [v.A, v.DEP]}
    else:
        statement["Principal"] = rng.choice(_PRINCIPALS)
    near = rng.choice(RECORDS) + rng.choice(("", "*", "/*", ":*"))
    kind = rng.random()
    if kind < 0.1:
        statement["NotResource"] = near
    else:
        statement["Resource"] = "*" if kind < 0.5 else near if kind < 0.7 else f"arn:aws:*:*:{rng.choice(('*', v.A))}:*"
    if rng.random() < 0.4:
        statement["Condition"] = rng.choice(_CONDITIONS)
    return statement
