"""Whether a bucket policy is public (spec D33)."""

from __future__ import annotations

import pytest

from fastiam import Directory
from fastiam.model.policy import PolicyKind
from fastiam.policy.document import read_policy
from fastiam.resolve.public_access import is_public

A = "111111111111"


def is_public_with(condition=None, *, mode="strict", **elements):
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"} | elements
    if condition is not None:
        statement["Condition"] = condition
    if "NotPrincipal" in statement:
        del statement["Principal"]
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return is_public(read_policy(document, PolicyKind.RESOURCE, mode=mode))


ACCESS_POINT = "s3:DataAccessPointArn"
ROWS = [
    ("no condition", None, True),
    ("a fixed account", {"StringEquals": {"aws:PrincipalAccount": A}}, False),
    ("key and case do not matter", {"StringEquals": {"AWS:principalorgid": "o-1"}}, False),
    ("StringLike with a fixed value", {"StringLike": {"aws:PrincipalOrgID": "o-1"}}, False),
    ("a wildcard", {"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/x"}}, True),
    (
        "one value of two has a wildcard",
        {"ArnLike": {"aws:PrincipalArn": [f"arn:aws:iam::{A}:role/x", "arn:aws:iam::*:root"]}},
        True,
    ),
    ("a variable", {"StringEquals": {"aws:PrincipalAccount": "${aws:ResourceAccount}"}}, True),
    ("a negated operator", {"StringNotEquals": {"aws:PrincipalAccount": A}}, True),
    ("IfExists", {"StringEqualsIfExists": {"aws:PrincipalAccount": A}}, True),
    ("ForAllValues", {"ForAllValues:StringEquals": {"aws:PrincipalAccount": A}}, True),
    ("ForAnyValue", {"ForAnyValue:StringEquals": {"aws:PrincipalAccount": A}}, False),
    ("a key that limits no principal", {"StringEquals": {"aws:UserAgent": "x"}}, True),
    ("Null is not a positive String operator", {"Null": {"aws:PrincipalAccount": "false"}}, True),
    ("IPv4 /8", {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, False),
    ("IPv4 /7", {"IpAddress": {"aws:SourceIp": "10.0.0.0/7"}}, True),
    ("an IPv4 host", {"IpAddress": {"aws:SourceIp": "203.0.113.7"}}, False),
    ("IPv6 /32", {"IpAddress": {"aws:SourceIp": "2001:db8::/32"}}, False),
    ("IPv6 /31", {"IpAddress": {"aws:SourceIp": "2001:db8::/31"}}, True),
    ("IPv4 in IPv6, /96 is all of it", {"IpAddress": {"aws:SourceIp": "::ffff:0.0.0.0/96"}}, True),
    ("IPv4 in IPv6, /104 is a /8", {"IpAddress": {"aws:SourceIp": "::ffff:10.0.0.0/104"}}, False),
    ("one wide CIDR of two", {"IpAddress": {"aws:SourceIp": ["203.0.113.0/24", "0.0.0.0/1"]}}, True),
    ("an access point", {"ArnEquals": {ACCESS_POINT: f"arn:aws:s3:eu-west-1:{A}:accesspoint/ap"}}, False),
    ("any access point of an account", {"ArnLike": {ACCESS_POINT: f"arn:aws:s3:eu-west-1:{A}:accesspoint/*"}}, False),
    ("an access point of any account", {"ArnLike": {ACCESS_POINT: "arn:aws:s3:eu-west-1:*:accesspoint/ap"}}, True),
    ("an access point of any Region", {"ArnLike": {ACCESS_POINT: f"arn:aws:s3:*:{A}:accesspoint/ap"}}, True),
    ("userid of a role", {"StringLike": {"aws:userid": "AROADEP:*"}}, True),
    ("userid, fixed", {"StringEquals": {"aws:userid": "AROADEP:run1"}}, False),
    ("one entry of two holds", {"StringEquals": {"aws:UserAgent": "x", "aws:SourceVpce": "vpce-1"}}, False),
]


@pytest.mark.parametrize(("condition", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_allow_is_public_unless_fixed_values_limit_it(condition, expected):
    assert is_public_with(condition) is expected


@pytest.mark.parametrize(
    ("elements", "mode", "expected"),
    [
        ({"Principal": {"AWS": "*"}}, "strict", True),
        ({"Principal": {"AWS": A}}, "strict", False),
        ({"Principal": {"Service": "s3.amazonaws.com"}}, "strict", False),
        ({"Principal": {"AWS": [A, "*"]}}, "strict", True),
        ({"Effect": "Deny"}, "strict", False),
        ({"NotPrincipal": {"AWS": A}}, "lenient", True),
        ({"Principal": {"Federated": f"arn:aws:iam::{A}:saml-provider/idp"}}, "lenient", True),
    ],
)
def test_public_access_depends_on_effect_and_principal(elements, mode, expected):
    assert is_public_with(mode=mode, **elements) is expected


def test_allow_with_an_empty_list_of_values_is_public():
    assert is_public_with({"StringEquals": {"aws:PrincipalAccount": []}}, mode="lenient") is True


@pytest.mark.parametrize(
    ("restrict", "principal", "blocked"), [(True, "*", True), (False, "*", False), (True, {"AWS": A}, False)]
)
def test_objects_of_a_restricted_public_bucket_are_blocked(restrict, principal, blocked):
    directory = Directory()
    statement = {"Effect": "Allow", "Principal": principal, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    directory.add_resource("arn:aws:s3:::b", account=A, policy=policy, restrict_public_buckets=restrict)
    assert directory.snapshot().facts("arn:aws:s3:::b/key").blocks_public is blocked
