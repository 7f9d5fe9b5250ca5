"""What directories of plain statements are made of: principals, places, entries of conditions, and columns."""

from __future__ import annotations

import re
from typing import Any

import generator_names as v

Json = Any
GONE = f"arn:aws:iam::{v.A}:role/Gone"  # not stored
COPIES = [v.session_arn(v.DEP, name) for name in ("run1", "run2", "t1", "t2", "ana", "bo")]
FOREIGN = re.compile(f"{v.B}|{v.X}|:::bkt2")
STRANGERS = [f"arn:aws:iam::{v.A}:user/u{n}" for n in range(6)]
CALLERS: tuple[tuple[int, tuple[str, ...]], ...] = (  # weight, and who
    (6, (v.ANA, v.BO)), (2, (v.BEN, v.XIA)), (5, tuple(COPIES)), (2, (v.session_arn(v.PLAIN_ROLE, "run1"),
    v.session_arn(v.WORK, "run1"))),
    (2, (v.DEP, v.PLAIN_ROLE, v.WORK)), (2, v.SERVICES), (1, ("*",)), (0.5, tuple(STRANGERS)), (1, (v.root_of(v.A),
    v.root_of(v.B))),
    (1, (v.session_arn(GONE, "run1"), v.session_arn(v.LINKED, "s"))), (0.5, v.PROVIDERS), (0.5, (v.federated(v.A, "kio"),)),
)  # fmt: skip
OTHER_QUEUES = [f"arn:aws:sqs:eu-west-1:{account}:{name}" for account in (v.A, v.B, v.X) for name in ("q", "prod")]
SECOND_KEY = f"arn:aws:kms:us-east-1:{v.A}:key/k9"  # not stored
SECRET_PART = v.SECRET[:-7]
PLACES: tuple[tuple[int, tuple[str, ...], tuple[str, ...]], ...] = (  # weight, actions, resources
    (6, ("sqs:SendMessage", "sqs:ReceiveMessage"), (v.QUEUE, *OTHER_QUEUES)),
    (6, ("s3:GetObject", "s3:PutObject"), (f"{v.BUCKET}/ana/f", f"{v.BUCKET}/red/x", "arn:aws:s3:::bkt2/k",
    "arn:aws:s3:::none/k")),
    (2, ("s3:ListBucket",), (v.BUCKET, "arn:aws:s3:::bkt2", "arn:aws:s3:::a")),
    (3, ("kms:Decrypt", "kms:CreateGrant"), (v.KEY, v.KEY_B, SECOND_KEY)),
    (3, ("sts:AssumeRole", "sts:TagSession"), (v.DEP, v.PLAIN_ROLE, v.WORK, v.LINKED, GONE)),
    (1, ("sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity"), (v.DEP, v.PLAIN_ROLE)),
    (3, ("iam:PassRole", "iam:GetRole", "iam:DeleteRole"), (v.DEP, v.PLAIN_ROLE, v.WORK, v.LINKED, GONE)),
    (2, ("iam:GetGroup", "iam:ListUsers", "sqs:ListQueues", "s3:ListAllMyBuckets"), ("*", f"arn:aws:iam::{v.A}:group/g")),
    (2, ("logs:PutLogEvents", "logs:CreateLogStream"), (v.GROUP, f"{v.GROUP}:log-stream:s", f"{v.GROUP}b")),
    (2, ("secretsmanager:GetSecretValue",), (v.SECRET, SECRET_PART, f"{SECRET_PART}-ghijkl", f"{v.SECRET[:-1]}é")),
    (1, ("s3:GetObject",), (f"{v.ACCESS_POINT}/object/x", f"{v.ACCESS_POINT}2/object/x", v.ACCESS_POINT)),
    (1, ("lambda:InvokeFunction",), (v.FUNCTION, f"{v.FUNCTION}:7", f"{v.FUNCTION}:live")),
    (1, ("dynamodb:GetItem", "sns:Publish"), (v.TABLE, f"{v.TABLE}/index/i", v.TOPIC, f"{v.TOPIC}:sub")),
)  # fmt: skip
# entries of conditions, each an operator with a key and its values
ENTRIES: tuple[tuple[str, str, Json], ...] = (
    ("StringEquals", "aws:PrincipalOrgID", "o-1"), ("StringNotEqualsIfExists", "aws:PrincipalOrgID", "o-1"),
    ("Bool", "aws:PrincipalIsAWSService", "true"), ("BoolIfExists", "aws:PrincipalIsAWSService", "false"),
    ("StringEquals", "aws:PrincipalTag/team", "red"), ("StringNotEquals", "aws:PrincipalTag/team", ["red", "us"]),
    ("Null", "aws:PrincipalTag/team", "true"), ("ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::*:user/*/ana"),
    ("ArnLike", "aws:PrincipalArn", ["arn:aws:iam::*:role/*/Dep", "arn:aws:iam::*:user/u1*"]),
    ("StringEquals", "aws:PrincipalAccount", v.A), ("StringEquals", "aws:PrincipalType", ["User", "Account"]),
    ("StringLike", "aws:userid", "*:t*"), ("StringNotLikeIfExists", "aws:userid", "*:${aws:username}"),
    ("StringLike", "aws:username", "an*"), ("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", "o-1/r-1/ou-a/*"),
    ("StringEquals", "aws:ResourceAccount", v.A), ("StringNotEquals", "aws:ResourceAccount", [v.A, v.B]),
    ("StringEquals", "aws:ResourceAccount", "${aws:PrincipalAccount}"), ("StringEquals", "aws:ResourceOrgID", "o-1"),
    ("StringNotEqualsIfExists", "aws:ResourceOrgID", "${aws:PrincipalOrgID}"), ("Null", "aws:ResourceOrgID", "true"),
    ("ForAllValues:StringLike", "aws:ResourceOrgPaths", "o-1/r-1/ou-b/*"),
    ("StringEquals", "aws:ResourceTag/env", "red"), ("StringNotEqualsIfExists", "aws:ResourceTag/env", "a"),
    ("Null", "aws:ResourceTag/env", "true"), ("Null", "aws:ResourceTag/team", "false"),
    ("StringEquals", "aws:ResourceTag/env", "${aws:PrincipalTag/team}"), ("StringNotEquals", "aws:ResourceTag/team", "red"),
    ("StringEquals", "aws:RequestedRegion", "us-east-1"), ("StringNotEquals", "aws:RequestedRegion", "eu-west-1"),
    ("IpAddress", "aws:SourceIp", ["10.0.0.0/8", "2001:db8::/32"]), ("NotIpAddressIfExists", "aws:SourceIp", "10.0.0.0/8"),
    ("Bool", "aws:SecureTransport", "false"), ("BoolIfExists", "aws:SecureTransport", "true"),
    ("StringEquals", "aws:SourceVpce", "vpce-1"), ("StringNotEqualsIfExists", "aws:SourceVpce", ["vpce-1", "vpce-2"]),
    ("StringEquals", "aws:VpceAccount", v.A), ("StringNotEqualsIfExists", "aws:VpceOrgID", "o-1"),
    ("Null", "aws:SourceAccount", "false"), ("StringNotEqualsIfExists", "aws:SourceAccount", v.A),
    ("StringEquals", "aws:SourceOrgID", "o-1"), ("Bool", "aws:ViaAWSService", "true"),
    ("BoolIfExists", "aws:ViaAWSService", "false"),
    ("StringEquals", "aws:CalledViaFirst", "a"), ("ForAnyValue:StringEquals", "aws:CalledVia", ["a", "c"]),
    ("Bool", "aws:MultiFactorAuthPresent", "true"), ("BoolIfExists", "aws:MultiFactorAuthPresent", "false"),
    ("Null", "aws:MultiFactorAuthPresent", "true"),
    ("NumericLessThan", "aws:MultiFactorAuthAge", "5000"), ("NumericGreaterThanIfExists", "aws:MultiFactorAuthAge", "5000"),
    ("DateLessThan", "aws:TokenIssueTime", "2029-12-31T12:00:00Z"),
    ("StringEquals", "app:str", "red"), ("StringLike", "app:str", ["${aws:PrincipalTag/team}*", "b*"]),
    ("StringNotEquals", "app:str", ["${aws:PrincipalTag/team, 'none'}", "ana"]), ("NumericLessThan", "app:str", "5"),
    ("StringEquals", "app:str", "${aws:username}"), ("StringEqualsIfExists", "app:str", "${app:word}"),
    ("StringEquals", "app:word", "${aws:userid}"), ("StringEqualsIgnoreCase", "app:word", "RED"), ("Null", "app:word", "true"),
    ("NumericEquals", "app:num", "10"), ("NumericGreaterThan", "app:num", "4"), ("Bool", "app:bool", "true"),
    ("ForAnyValue:StringEquals", "app:list", ["a", "red"]), ("ForAllValues:StringLike", "app:list", "r*"),
    ("StringEquals", "aws:RequestTag/team", ["red", "us"]), ("StringNotEquals", "aws:RequestTag/team",
    "${aws:PrincipalTag/team}"),
    ("ForAnyValue:StringEquals", "aws:TagKeys", ["team", "x"]), ("ForAllValues:StringLike", "aws:TagKeys", "t*"),
    ("DateLessThan", "aws:CurrentTime", "2030-01-01T00:00:01Z"), ("NumericLessThan", "aws:EpochTime", "1893456000"),
    ("StringEquals", "nobody:says", "x"), ("StringNotEquals", "nobody:says", "${aws:username}"),
    ("StringEquals", "aws:PrincipalServiceName", "s3.amazonaws.com"),
    ("ForAnyValue:StringEquals", "aws:PrincipalServiceNamesList", "delivery.logs.amazonaws.com"),
)  # fmt: skip
# patterns with variables, by the service
WITH_VARIABLES = {
    "s3": (f"{v.BUCKET}/${{aws:username}}/*", f"{v.BUCKET}/${{app:str}}/*", f"{v.BUCKET}/${{aws:PrincipalTag/team}}/*"),
    "sqs": ("arn:aws:sqs:*:*:${app:word}", "arn:aws:sqs:*:*:${app:str, 'q'}"),
}
LENIENT_ENTRIES = (("StringEqual", "app:str", "red"), ("ArnEqual", "app:word", "x"), ("StringEquals", "app:list", "a"))
# the columns of a case, and what they hold
GIVEN: dict[str, tuple[Json, ...]] = {
    "aws:SourceIp": ("10.0.0.1", "192.0.2.7", "2001:db8::1", None), "aws:SecureTransport": ("true", "false", None),
    "aws:SourceVpce": ("vpce-1", "vpce-1", "vpce-2", "vpce-3", None), "aws:RequestedRegion": ("eu-west-1", "us-east-1", None),
    "aws:CalledVia": (["a"], ["a", "b"], ["b", "c"], None), "aws:SourceAccount": (v.A, v.B, v.X, None),
    "app:str": ("red", "ana", "bo", "b", "5", "many", "", "red" * 30, None),
    "app:word": ("red", "ana", "x:t1", "x" * 56, "x" * 57, None),
    "app:num": ("10", "10.0", "3", "many", None), "app:bool": ("true", "false", "yes", None),
    "app:list": (["a"], ["b"], ["red", "r"], [], ["a", "red", "b"], None), "aws:RequestTag/team": ("red", "us", "ana", None),
    "aws:UserAgent": ("ana", "x" * 60, None), "aws:EpochTime": ("1893456000", "1893455999", None),
    "aws:ResourceTag/env": ("red", "a", None), "aws:ResourceTag/team": ("red", "us", None),
}  # fmt: skip
FROM_OTHERS = ("aws:username", "aws:PrincipalAccount", "aws:ResourceAccount", "aws:PrincipalOrgID", "aws:ResourceOrgID",
               "aws:PrincipalTag/team", "aws:PrincipalType", "aws:PrincipalArn", "aws:ResourceOrgPaths", "aws:PrincipalOrgPaths",
               "aws:userid", "aws:PrincipalIsAWSService", "aws:ViaAWSService", "aws:MultiFactorAuthPresent", "aws:VpceAccount",
               "aws:VpceOrgID")  # fmt: skip
ALL: Json = {"Effect": "Allow", "Action": "*", "Resource": "*"}
TEAMS = ({"team": "red"}, {"team": "us"}, {}, {"team": "ana", "other": "x"})
ENVS = ({"env": "red"}, {"env": "a"}, {}, {"env": "red", "team": "us"}, {"team": "red"})
NARROW: tuple[Json, ...] = (
    "*",
    "*",
    "*",
    ["arn:aws:s3:::*", "arn:aws:sqs:*:*:*"],
    ["arn:aws:sqs:us-east-1:*:q*", "arn:aws:s3:::bkt*"],
)
