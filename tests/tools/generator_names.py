"""The small world of the fuzz generator: few names, so that policies often apply to requests.

Every table aims at an edge of the specification; the rule is beside the entries that are there for one.
"""

from __future__ import annotations

from typing import Any

from fastiam.policy.conditions.operators import BASE_OPERATORS

A, B, M, X = "111111111111", "222222222222", "999999999999", "333333333333"
ANA = f"arn:aws:iam::{A}:user/eng/ana"
BO = f"arn:aws:iam::{A}:user/bo"
DEP = f"arn:aws:iam::{A}:role/ops/Dep"
PLAIN_ROLE = f"arn:aws:iam::{A}:role/Dep2"
LINKED = f"arn:aws:iam::{A}:role/aws-service-role/x.amazonaws.com/Linked"
BEN = f"arn:aws:iam::{B}:user/ben"
WORK = f"arn:aws:iam::{B}:role/Work"
XIA = f"arn:aws:iam::{X}:user/xia"
MIA = f"arn:aws:iam::{M}:user/mia"
GOV = f"arn:aws-us-gov:iam::{A}:user/gov"
SERVICES = ("s3.amazonaws.com", "s3.ap-east-1.amazonaws.com", "ec2.amazonaws.com", "delivery.logs.amazonaws.com")
SAML = f"arn:aws:iam::{A}:saml-provider/idp"
OIDC = f"arn:aws:iam::{A}:oidc-provider/oidc.example.org"
POOLS = "cognito-identity.amazonaws.com"
PROVIDERS = (SAML, OIDC, "accounts.google.com", POOLS)
AIDA, AROA = "AIDAANA1234567890", "AROADEP1234567890"
OLD_ID = "AIDAOLD1234567890"  # an id that no principal has (N30)
ROLE_BY_NAME = f"arn:aws:iam::{A}:role/Dep"  # N11: the path is not compared

USERS, ROLES = (ANA, BO, BEN, XIA), (DEP, PLAIN_ROLE, WORK)


def root_of(account: str) -> str:
    return f"arn:aws:iam::{account}:root"


def session_arn(role: str, name: str) -> str:
    return f"arn:aws:sts::{role.split(':')[4]}:assumed-role/{role.rsplit('/', 1)[1]}/{name}"


def federated(account: str, name: str) -> str:
    return f"arn:aws:sts::{account}:federated-user/{name}"


# -- actions and resources -----------------------------------------------------------------------------------------------

BUCKET, QUEUE, KEY = "arn:aws:s3:::bkt", f"arn:aws:sqs:us-east-1:{A}:q", f"arn:aws:kms:us-east-1:{A}:key/k1"
KEY_B, TABLE = f"arn:aws:kms:us-east-1:{B}:key/k2", f"arn:aws:dynamodb:us-east-1:{A}:table/t"
FUNCTION = f"arn:aws:lambda:us-east-1:{A}:function:f"
TOPIC = f"arn:aws:sns:us-east-1:{A}:t"
SECRET = f"arn:aws:secretsmanager:us-east-1:{A}:secret:db-AbCdEf"
GROUP = f"arn:aws:logs:eu-west-1:{A}:log-group:/app/a"
ACCESS_POINT = f"arn:aws:s3:us-east-1:{A}:accesspoint/ap"  # 6.10: an ARN of S3 that has an account

OBJECTS = [
    f"{BUCKET}/{tail}" for tail in ("ana/f", "red/x", "x", "a/b/x", "*/x", "", "ä", "bo/f", "us/x", "Dep/f", "deep/" * 20 + "x")
]

SCENES: tuple[tuple[int, tuple[str, ...], tuple[str, ...]], ...] = (
    # weight, actions, resources
    (12, ("s3:GetObject", "s3:PutObject", "S3:getobject"), tuple(OBJECTS)),
    (
        2,
        ("s3:GetObject", "s3:PutObject"),
        (f"{ACCESS_POINT}/object/x", f"{ACCESS_POINT}/object/ana/f", f"{ACCESS_POINT}2/object/x"),
    ),
    (3, ("s3:ListBucket",), (BUCKET, "arn:aws:s3:::bkt2", "arn:aws:s3:::ana")),
    (2, ("s3:ListAllMyBuckets", "sqs:ListQueues", "kms:ListKeys"), ("*",)),
    (4, ("sqs:SendMessage",), (QUEUE, f"arn:aws:sqs:eu-west-1:{A}:q1", f"arn:aws:sqs:us-east-1:{B}:q")),
    (3, ("kms:Decrypt", "kms:RetireGrant", "kms:DescribeKey"), (KEY, KEY_B)),  # 6.3, D14
    (1, ("kms:UpdateAlias", "kms:Decrypt"), (f"arn:aws:kms:us-east-1:{A}:alias/aws/s3", f"arn:aws:kms:us-east-1:{A}:alias/a")),
    (5, ("sts:AssumeRole",), (DEP, PLAIN_ROLE, WORK, LINKED)),
    (2, ("sts:TagSession", "sts:SetSourceIdentity"), (DEP, WORK)),  # D30, S10
    (1, ("sts:GetCallerIdentity", "sts:GetSessionToken", "sts:GetFederationToken", "sts:AssumeRoot"), ("*",)),  # 6.3, 7.4
    (3, ("iam:PassRole",), (DEP, PLAIN_ROLE, WORK)),  # D19
    (2, ("iam:GetRole",), (DEP, WORK)),
    (2, ("iam:GetUser", "iam:ListUsers"), (f"arn:aws:iam::{A}:user/us/x", ANA, f"arn:aws:iam::{A}:user/x")),  # R9
    (1, ("iam:DeletePolicy", "iam:GetPolicy"), ("arn:aws:iam::aws:policy/P",)),  # D17
    (2, ("iam:AttachRolePolicy", "iam:DeleteRole"), (LINKED, DEP, f"arn:aws:iam::{A}:role/aws-reserved/R")),  # D17
    (4, ("sns:Publish",), (TOPIC, f"arn:aws:sns:us-east-1:{X}:z:{A}:t", f"{TOPIC}:sub")),  # R5
    (2, ("lambda:InvokeFunction",), (FUNCTION, f"{FUNCTION}:7", f"{FUNCTION}:live")),
    (2, ("dynamodb:GetItem",), (TABLE, f"{TABLE}/index/i", f"{TABLE}/stream/s")),
    (1, ("ec2:RunInstances",), (f"arn:aws:ec2:eu-west-1:{A}:instance/i-1",)),  # no RCP support
    (2, ("logs:PutLogEvents",), (f"{GROUP}:log-stream:s", GROUP)),
    (1, ("secretsmanager:GetSecretValue",), (SECRET, SECRET[:-7], f"{SECRET[:-1]}ä", f"{SECRET[:-2]}ä")),  # 6.10
    (3, ("s3:GetObject",), ("arn:aws-cn:s3:::bkt/ana/f", "arn:aws-us-gov:s3:::bkt/x")),  # N16
    (2, ("iam:ListUsers", "iam:GetUser"), ("*", GOV, GOV)),  # K6
)
ALL_ACTIONS = tuple(dict.fromkeys(action for _, actions, _ in SCENES for action in actions))
ALL_RESOURCES = tuple(dict.fromkeys(r for _, _, resources in SCENES for r in resources if r.startswith("arn:")))
CREDENTIAL_SCENE = (("sts:GetSessionToken", "*"), ("sts:GetFederationToken", "*"), ("sts:AssumeRole", DEP), ("iam:GetRole", DEP))
FEDERATION_SCENE = (("sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity"), (DEP, PLAIN_ROLE))
OTHER_ACTIONS = ("ec2:StopInstances", "s3:DeleteObject", "sqs:Get*", "iam:*", "s3:Put*", "kms:Encrypt", "sns:*", "none:*")
BAD_ACTIONS = ("Get*", "s3:GetObject ", "s3:*:*", "iam:Get*, iam:List*", ":x", "s3:", "s3:${aws:username}", "")  # V24

BAD_RESOURCES = (  # V25, V26, V27, V28, V29
    "bkt/*", "arn:aws:s3", "arn:aws:sqs:*:q1", "Arn:aws:s3:::bkt/*", "arn:AWS:s3:::bkt/*", f"{BUCKET}/${{aws:username",
    f"{BUCKET}/${{}}", f"{BUCKET}/${{aws:username,'x'}}", f"{BUCKET}/${{aws:PrincipalTag/no, ''}}*",
    "arn:aws:sqs:us-east-1:${aws:PrincipalAccount}:q", "arn:aws:sns", "",
)  # fmt: skip
OTHER_RESOURCES = ("arn:aws:s3:::other/*", f"arn:aws:sqs:*:{X}:*", "arn:aws-cn:s3:::bkt/*", f"arn:aws:iam::{B}:*",
    f"{BUCKET}/nothing",
                   f"arn:aws:iam::{A}:us?r/y", "arn:aws:ec2:*:*:instance/*")  # fmt: skip

# -- conditions -----------------------------------------------------------------------------------------------------------

OPERATORS = tuple(BASE_OPERATORS)
FAMILY = {name: operator.family for name, operator in BASE_OPERATORS.items()}
QUALIFIERS = ("", "ForAllValues:", "ForAnyValue:")
BAD_OPERATORS = (
    "StringEqual",
    "NullIfExists",
    "ForSomeValues:StringEquals",
    "stringequals",
    "forallvalues:stringlike",
)  # V15, 1.3

# Values of the request and of policies by family; those in BAD are good in a request and need lenient mode in a policy.
VALUES: dict[str, tuple[str, ...]] = {
    "string": ("a", "b", "A", "ab", "a*", "", "red", "ana", "abc", "a?c", "ß", "aXc", "ä", "Ä", "é", "É",
               "a/b/c", "red/ab", "deep/" * 14 + "x"),
    "numeric": ("0", "10", "10.0", "-1", "9007199254740993", "9007199254740992", "0.1", "0.10000000000000001", "-0.0", "11"),
    "date": ("2024-05-06T00:00:00Z", "2024-05-06", "1714953600", "2024-05-06T02:00:00+02:00",
             "2024-05-05T22:00:00-02:00", "2024-05", "+1714953600", "2024-05-06T00:00:00.0000000009Z",
             "9999-12-31", "2024-05-06T00:00:00.000000001Z", "2030-01-01T00:00:00Z"),
    "bool": ("true", "false", "TRUE"),
    "binary": ("QUJD", "QUI=", "QUJ=", "AA==", ""),
    "ip": ("203.0.113.7", "203.0.113.200", "2001:db8::1", "::ffff:203.0.113.7", "10.0.0.1", "2001:DB8:0:0::1"),
    "arn": (TOPIC, BUCKET, f"arn:aws:logs:us-east-1:{A}:log-group:g:log-stream:s", DEP,
    f"arn:aws:svc:us-east-1:{X}:store/a:{A}:fin/d"),
}  # fmt: skip
RANGES = ("203.0.113.77/24", "203.0.113.7", "2001:DB8::/32", "::ffff:203.0.113.0/120", "::/0", "0.0.0.0/0", "10.0.0.0/8",
    "203.0.113.7/32",
          "::ffff:203.0.113.7", "2001:db8::1/128", "::ffff:0:0/95", "203.0.113.77/25", "2001:db8::/33")  # fmt: skip
ARN_PATTERNS = ("arn:aws:sns:*:*:*", "arn:aws:s3:::*", f"arn:aws:logs:*:{A}:log-group:*", f"arn:aws:svc:*:{A}:fin/*",
    "arn:*:iam::*:role/*",
                f"arn:aws:iam::{A}:role/ops/${{aws:PrincipalTag/role}}", "arn:aws:s3:::b?t",
                "${aws:PrincipalTag/src}")  # fmt: skip
BAD: dict[str, tuple[str, ...]] = {
    "numeric": ("ten", "5abc", " 1", "1e3", "+1", ".5", "", "${aws:EpochTime}"),
    "date": ("2024", "2024", "1970", "2024-05-06T00:00:00", "2024-05-06T00:00:60Z", "tomorrow", "2023-02-29", "9" * 30),
    "bool": ("yes", "0", "", "${aws:username}"),
    "binary": ("QUJ", "!!", "QU JD"),
    "ip": ("10.0.0.0/33", "10.0.0.01", "10.1", "fe80::1%eth0", "::ffff:1.2.3.4/200", "x"),
    "arn": ("*", "s3:::bkt", "arn:aws:s3", "x", "*:aws:s3:::bkt", "ARN:aws:s3:::bkt"),
    "string": ("${aws:username", "${}", "a${*", "ẞ"),
}
STRING_PATTERNS = ("a*", "*", "?", "a?c", "*b*", "${aws:username}", "${aws:PrincipalTag/team}", "${aws:PrincipalTag/no, 'red'}",
    "a${*}", "${?}", "100${$}", "x${aws:PrincipalTag/team}*", "${AWS:UserName}",
    "${aws:PrincipalTag/no}", "${app:str, 'red'}", "r*d", "a/*", "a/b/*", "red/*", "*/c", "*ab",
    "deep/" * 13 + "*", "${app:list}", "${aws:TagKeys, 'red'}")  # fmt: skip

# context key -> family of its values, and whether it takes several
KEYS: dict[str, tuple[str, bool]] = {
    "app:str": ("string", False), "s3:prefix": ("string", False), "aws:RequestTag/team": ("string", False),
    "aws:PrincipalTag/team": ("string", False), "aws:ResourceTag/env": ("string", False), "app:list": ("string", True),
    "aws:TagKeys": ("string", True), "aws:CalledVia": ("string", True), "sts:ExternalId": ("string", False),
    "aws:UserAgent": ("string", False), "s3:max-keys": ("numeric", False), "app:num": ("numeric", False), "app:nums": ("numeric",
    True),
    "aws:MultiFactorAuthAge": ("numeric", False), "app:date": ("date", False), "app:dates": ("date", True),
    "aws:TokenIssueTime": ("date", False), "aws:SecureTransport": ("bool", False), "app:bool": ("bool", False),
    "aws:MultiFactorAuthPresent": ("bool", False), "app:bin": ("binary", False), "aws:SourceIp": ("ip", False),
    "app:ips": ("ip", True),
    "aws:SourceArn": ("arn", False), "app:arns": ("arn", True), "aws:SourceAccount": ("string", False),
    "aws:RequestedRegion": ("string", False), "iam:PassedToService": ("string", False), "aws:ViaAWSService": ("bool", False),
    "aws:CurrentTime": ("date", False), "aws:EpochTime": ("numeric", False),
}  # fmt: skip
# keys that many requests of a directory say, so that many statements are about them, and one value comes again and again
USUAL = ("app:str", "app:num", "app:bool", "aws:SourceIp", "aws:RequestTag/team")
# keys whose values mean something to the engine beyond being compared
KEY_VALUES: dict[str, tuple[str, ...]] = {
    "aws:SourceAccount": (A, B, X), "aws:RequestedRegion": ("us-east-1", "eu-west-1"),
    "aws:CalledVia": ("a", "b"),
    "aws:CurrentTime": ("2030-01-01T00:00:00Z", "2029-12-31T23:00:00Z", "2030-01-01T00:00:00.5Z", "1893456001", "soon"),
    "aws:EpochTime": ("1893456000", "1893456001", "2029-12-31T23:00:00Z", "soon"),
}  # fmt: skip
SENSITIVE = frozenset({"aws:PrincipalAccount", "aws:PrincipalOrgID", "aws:ResourceAccount", "aws:ResourceOrgID",
    "aws:SourceOrgID", "aws:VpceAccount", "aws:SourceAccount",
    "aws:ResourceOrgPaths", "aws:SourceOrgPaths", "aws:VpceOrgID"})  # fmt: skip
# keys of the registry that have one value; now and then a caller gives a list
LISTED = frozenset({"aws:SourceIp", "aws:RequestTag/team", "aws:SecureTransport", "sts:ExternalId"})
# keys that an engine over a directory derives; only `simulate` takes them from its caller (K1)
AD_HOC_ONLY = frozenset(
    {"aws:PrincipalTag/team", "aws:TokenIssueTime", "aws:MultiFactorAuthAge", "aws:MultiFactorAuthPresent", "aws:ViaAWSService"}
)
# keys that a session may carry (5.3, K3)
CARRIED: dict[str, tuple[str, ...]] = {
    "app:str": ("a", "ab", "red", 1, True), "app:num": ("10", "11", 0.0, -0.0),
    "app:bool": ("true", "false"), "app:date": ("2024-05-06", "2024-05"),
}  # fmt: skip
# keys that no request sets: derived or absent ones
DERIVED_KEYS: dict[str, tuple[str, tuple[str, ...], bool]] = {
    "aws:PrincipalArn": (
        "arn",
        (ANA, DEP, f"arn:aws:iam::{A}:role/*", "arn:aws:iam::*:root", f"arn:aws:iam::{A}:user/*"),
        False,
    ),
    "aws:PrincipalAccount": ("string", (A, B, "anonymous"), False),
    "aws:PrincipalType": ("string", ("User", "AssumedRole", "Account", "FederatedUser", "Anonymous"), False),
    "aws:username": ("string", ("ana", "bo", "ana*"), False),
    "aws:userid": ("string", (AIDA, f"{AROA}:run1", f"{AROA}:*", "anonymous", A), False),
    "aws:PrincipalOrgID": ("string", ("o-1", "o-2"), False),
    "aws:PrincipalOrgPaths": ("string", ("o-1/r-1/ou-a/", "o-1/r-1/*", "o-1/*"), True),
    "aws:PrincipalIsAWSService": ("bool", ("true", "false"), False),
    "aws:PrincipalServiceName": ("string", SERVICES, False),
    "aws:ResourceAccount": ("string", (A, B), False),
    "aws:ResourceOrgID": ("string", ("o-1",), False),
    "aws:CurrentTime": ("date", ("2030-01-01T00:00:00Z", "2024-05-06"), False),
    "aws:EpochTime": ("numeric", ("1893456000", "1893456001"), False),
    "aws:CalledViaFirst": ("string", ("a", "b"), False),
    "aws:CalledViaLast": ("string", ("a", "b"), False),
    "aws:RequestedRegion": ("string", ("us-east-1", "eu-west-1"), False),
    "aws:ResourceTag/env": ("string", ("a", "red", "ana", "${aws:PrincipalTag/team}"), False),
    "aws:ResourceTag/team": ("string", ("red", "us", "${aws:PrincipalTag/team}"), False),
    "iam:ResourceTag/team": ("string", ("red", "us"), False),
    "iam:ResourceTag/env": ("string", ("a", "red"), False),
    "aws:ResourceOrgPaths": ("string", ("o-1/r-1/ou-a/", "o-1/*"), True),
    "aws:SourceOrgPaths": ("string", ("o-1/r-1/ou-a/", "o-1/*"), True),
    "aws:VpceOrgID": ("string", ("o-1",), False),
    "aws:SourceOrgID": ("string", ("o-1",), False),
    "aws:AssumedRoot": ("bool", ("true",), False),
    "aws:Nope": ("string", ("a",), False),  # V40
    "aws:VpceAccount": ("string", (A,), False),
}

# what a policy often asks about where the request has this key, this action or this kind of caller: what is derived from it
RELATED: dict[str, tuple[str, ...]] = {
    "aws:SourceAccount": ("aws:SourceOrgID", "aws:SourceOrgPaths"),
    "aws:CalledVia": ("aws:CalledViaFirst", "aws:CalledViaLast", "aws:ViaAWSService"),
    "aws:CurrentTime": ("aws:EpochTime",),
    "aws:EpochTime": ("aws:CurrentTime",),
    "aws:RequestTag/team": ("aws:TagKeys", "aws:RequestTag/team"),
    "aws:SourceVpce": ("aws:VpceOrgID", "aws:VpceAccount"),
    "aws:SourceIp": ("aws:SourceIp",),
    "app:ips": ("app:ips",),
    "app:dates": ("app:dates",),
    "app:arns": ("app:arns",),
    "app:nums": ("app:nums",),
    "aws:ResourceTag/env": ("aws:ResourceTag/env", "iam:ResourceTag/env"),
    "iam:PassRole": ("aws:ResourceTag/team", "iam:ResourceTag/team", "aws:ResourceTag/env"),  # D19
    "iam": ("aws:RequestedRegion", "aws:RequestedRegion", "aws:ResourceTag/team", "iam:ResourceTag/team"),
    "sts": ("aws:RequestedRegion",),
    "s3": ("aws:ResourceTag/env", "iam:ResourceTag/env"),
    "TOKEN": ("aws:MultiFactorAuthAge", "aws:MultiFactorAuthAge", "aws:MultiFactorAuthPresent"),
}

Json = Any
