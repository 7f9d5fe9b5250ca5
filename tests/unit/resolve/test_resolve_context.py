"""Whose context wins over a directory: a value that contradicts what is known is an error (spec K1)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fastiam import Directory, RequestValueError, Session
from fastiam.model.request import read_context

A, B, M, X = "111111111111", "222222222222", "999999999999", "333333333333"
ROOT, ANA, DEP = f"arn:aws:iam::{A}:root", f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:role/Dep"
ROOT_X, NO_ID = f"arn:aws:iam::{X}:root", f"arn:aws:iam::{A}:user/no-id"
RUN1, SERVICE = f"arn:aws:sts::{A}:assumed-role/Dep/run1", "ec2.amazonaws.com"
BKT, FREE, ALIEN = "arn:aws:s3:::bkt", "arn:aws:s3:::free", f"arn:aws:sqs:us-east-1:{X}:q"
LONELY = f"arn:aws:sqs:us-east-1:{B}:q"
SESSION = Session(RUN1, kind="ROLE", issuer=DEP, issued_at=datetime(2026, 1, 1, tzinfo=UTC), tags={"team": "s"})
UNDATED = Session(RUN1, kind="ROLE", issuer=DEP)
TOKEN = Session(ANA, kind="USER", mfa_at=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def snapshot():
    directory = Directory()
    directory.set_organization("o-1", management_account=M, accounts={A: "ou-a"})
    directory.add_account(B)
    directory.add_principal(ANA, unique_id="AIDAANA", tags={"team": "r"})
    directory.add_principal(NO_ID)
    directory.add_principal(DEP, unique_id="AROADEP", tags={"team": "r"})
    directory.add_resource(BKT, account=A, tags={"env": "a"})
    directory.add_endpoint("vpce-1", account=A)
    directory.add_endpoint("vpce-2", account=B)
    return directory.snapshot()


ACCEPTED = [
    # who, resource, context
    (ANA, BKT, {}),
    (ANA, BKT, {"aws:PrincipalAccount": A, "aws:USERNAME": "ana", "aws:userid": "AIDAANA", "aws:PrincipalTag/TEAM": "r"}),
    (ANA, BKT, {"aws:PrincipalOrgPaths": ["o-1/r-1/ou-a/"]}),
    (ANA, BKT, {"aws:MultiFactorAuthPresent": True, "aws:MultiFactorAuthAge": 0}),
    (ANA, BKT, {"aws:CurrentTime": "2030-01-01T00:00:00Z", "aws:EpochTime": 1}),
    (ANA, BKT, {"aws:SourceIp": "203.0.113.7", "any:Key": "x", "aws:RequestTag/a": "b", "aws:TagKeys": ["a"]}),
    (NO_ID, BKT, {"aws:userid": "AIDAX"}),
    (RUN1, BKT, {"aws:TokenIssueTime": "2026-01-01T00:00:00Z", "aws:SourceIdentity": "x", "saml:sub": "s"}),
    (RUN1, BKT, {"aws:MultiFactorAuthPresent": True, "aws:FederatedProvider": "accounts.google.com"}),
    (RUN1, BKT, {"aws:PrincipalTag/other": "x"}),
    (DEP, BKT, {"aws:userid": "AROADEP:run2"}),
    (SESSION, BKT, {"aws:TokenIssueTime": datetime(2026, 1, 1, tzinfo=UTC), "aws:PrincipalTag/Team": "s"}),
    (UNDATED, BKT, {"aws:TokenIssueTime": "2026-01-01T00:00:00Z"}),
    (TOKEN, BKT, {"aws:MultiFactorAuthPresent": "true", "aws:MultiFactorAuthAge": "17"}),
    (SERVICE, BKT, {"aws:PrincipalServiceNamesList": [SERVICE, "ec2.eu-west-1.amazonaws.com"]}),
    ("rolesanywhere.amazonaws.com", DEP, {"aws:PrincipalTag/x509Subject/CN": "host1"}),
    (ROOT_X, BKT, {"aws:PrincipalOrgID": "o-9"}),
    (ANA, FREE, {"aws:ResourceAccount": B, "aws:ResourceOrgID": "o-9"}),
    (ANA, ALIEN, {"aws:ResourceOrgID": "o-9"}),
    (ANA, BKT, {"aws:ResourceTag/env": "a", "aws:ResourceTag/more": "x"}),
    (ANA, BKT, {"aws:SourceAccount": A, "aws:SourceOrgID": "o-1"}),
    (ANA, BKT, {"aws:SourceAccount": X, "aws:SourceOrgID": "o-9"}),
    (ANA, BKT, {"aws:SourceVpce": "vpce-1", "aws:VpceAccount": A}),
    (f"arn:aws:iam::{A}:user/nobody", BKT, {"aws:username": "somebody"}),
]


@pytest.mark.parametrize(("who", "resource", "context"), ACCEPTED)
def test_context_without_contradiction_is_accepted(snapshot, who, resource, context):
    action = "sts:AssumeRole" if resource == DEP else "s3:GetObject"
    principal, _, _ = snapshot.profiles(who, action, resource, read_context(context))
    assert principal.name


REFUSED = [
    # who, resource, context, the key that is named
    (ANA, BKT, {"aws:PrincipalAccount": B}, "aws:PrincipalAccount"),
    (ANA, BKT, {"AWS:username": "bo"}, "AWS:username"),
    # conditions on text would read another spelling, in place of what is known
    (ANA, BKT, {"aws:PrincipalIsAWSService": "FALSE"}, "aws:PrincipalIsAWSService"),
    (SESSION, BKT, {"aws:TokenIssueTime": "2026-01-01T01:00:00+01:00"}, "aws:TokenIssueTime"),
    (SESSION, BKT, {"aws:TokenIssueTime": 1767225600}, "aws:TokenIssueTime"),
    # only sessions of roles that were issued for web identities keep their claims (S43)
    (ANA, BKT, {"accounts.google.com:sub": "7"}, "accounts.google.com:sub"),
    (ANA, BKT, {"cognito-identity.amazonaws.com:amr": ["authenticated"]}, "cognito-identity.amazonaws.com:amr"),
    (SESSION, BKT, {"Graph.facebook.com:id": "7"}, "Graph.facebook.com:id"),
    (ANA, BKT, {"aws:SourceAccount": B, "aws:SourceOrgID": "o-1"}, "aws:SourceOrgID"),
    (ANA, BKT, {"aws:SourceAccount": B, "aws:SourceOrgPaths": ["o-1/r-1/ou-a/"]}, "aws:SourceOrgPaths"),
    (ANA, BKT, {"aws:SourceVpce": "vpce-2", "aws:VpceOrgID": "o-1"}, "aws:VpceOrgID"),
    (ANA, BKT, {"aws:userid": "AIDABO"}, "aws:userid"),
    (ANA, BKT, {"aws:PrincipalArn": DEP}, "aws:PrincipalArn"),
    (ANA, BKT, {"aws:PrincipalTag/team": "x"}, "aws:PrincipalTag/team"),
    (ANA, BKT, {"aws:PrincipalTag/other": "x"}, "aws:PrincipalTag/other"),
    (ANA, BKT, {"aws:PrincipalTag/other/": "x"}, "aws:PrincipalTag/other/"),
    (ANA, BKT, {"aws:PrincipalOrgID": "o-2"}, "aws:PrincipalOrgID"),
    (ANA, BKT, {"aws:PrincipalOrgPaths": ["o-1/r-1/ou-a/", "o-1/r-1/"]}, "aws:PrincipalOrgPaths"),
    (ANA, BKT, {"aws:PrincipalServiceName": SERVICE}, "aws:PrincipalServiceName"),
    (ANA, BKT, {"aws:TokenIssueTime": "2026-01-01T00:00:00Z"}, "aws:TokenIssueTime"),
    (ANA, BKT, {"aws:SourceIdentity": "x"}, "aws:SourceIdentity"),
    (ANA, BKT, {"aws:OriginIdentity/x": "y"}, "aws:OriginIdentity/x"),
    (ROOT, BKT, {"aws:username": "root"}, "aws:username"),
    (ROOT, BKT, {"aws:AssumedRoot": True}, "aws:AssumedRoot"),
    (RUN1, BKT, {"aws:username": "Dep"}, "aws:username"),
    (RUN1, BKT, {"aws:userid": "AROADEP:run2"}, "aws:userid"),
    (RUN1, BKT, {"aws:PrincipalTag/team": "s"}, "aws:PrincipalTag/team"),
    (RUN1, BKT, {"aws:PrincipalArn": RUN1}, "aws:PrincipalArn"),
    (SESSION, BKT, {"aws:TokenIssueTime": "2026-01-01T00:00:01Z"}, "aws:TokenIssueTime"),
    (SESSION, BKT, {"aws:MultiFactorAuthPresent": True}, "aws:MultiFactorAuthPresent"),
    (SESSION, BKT, {"aws:PrincipalTag/team": "r"}, "aws:PrincipalTag/team"),
    (SESSION, BKT, {"aws:SourceIdentity": "x"}, "aws:SourceIdentity"),
    (SERVICE, BKT, {"aws:PrincipalArn": ANA}, "aws:PrincipalArn"),
    (SERVICE, BKT, {"aws:PrincipalOrgID": "o-1"}, "aws:PrincipalOrgID"),
    (SERVICE, BKT, {"aws:PrincipalTag/x": "y"}, "aws:PrincipalTag/x"),
    ("*", BKT, {"aws:PrincipalOrgID": "o-1"}, "aws:PrincipalOrgID"),
    ("*", BKT, {"aws:PrincipalIsAWSService": False}, "aws:PrincipalIsAWSService"),
    (ANA, BKT, {"aws:ResourceAccount": B}, "aws:ResourceAccount"),
    (ANA, ALIEN, {"aws:ResourceAccount": A}, "aws:ResourceAccount"),
    (ANA, LONELY, {"aws:ResourceOrgID": "o-9"}, "aws:ResourceOrgID"),
    (ANA, BKT, {"aws:ResourceTag/ENV": "b"}, "aws:ResourceTag/ENV"),
    (ANA, ANA, {"iam:ResourceTag/team": "b"}, "iam:ResourceTag/team"),
    (ANA, BKT, {"aws:SourceAccount": A, "aws:SourceOrgID": "o-9"}, "aws:SourceOrgID"),
    (ANA, BKT, {"aws:SourceVpce": "vpce-1", "aws:VpceAccount": B}, "aws:VpceAccount"),
]


@pytest.mark.parametrize(("who", "resource", "context", "column"), REFUSED)
def test_context_that_contradicts_the_record_names_the_key(snapshot, who, resource, context, column):
    """K1, E198."""
    with pytest.raises(RequestValueError) as error:
        snapshot.profiles(who, "s3:GetObject", resource, read_context(context))
    assert error.value.column == column


def test_all_names_of_a_service_are_its_names(snapshot):
    """N12: the primary one first."""
    context = read_context({"aws:PrincipalServiceNamesList": ["ec2.eu-west-1.amazonaws.com", SERVICE]})
    principal, _, _ = snapshot.profiles(SERVICE, "s3:GetObject", BKT, context)
    assert principal.service_names == (SERVICE, "ec2.eu-west-1.amazonaws.com")


NO_SESSION_KEYS = (
    "aws:SourceAccount aws:CalledVia aws:currenttime aws:EpochTime aws:RequestTag/Team aws:ResourceTag/env iam:ResourceTag/env"
    " aws:PrincipalTag/team aws:PrincipalArn aws:ResourceOrgID aws:RequestedRegion aws:SourceIp sts:ExternalId saml:iss"
)


@pytest.mark.parametrize("key", NO_SESSION_KEYS.split(), ids=str.lower)
def test_session_with_a_key_of_another_class_is_refused(key: str) -> None:
    """K3, 5.3: a session holds keys of class S alone. In a batch it is an error of its rows."""
    role = f"arn:aws:iam::{A}:role/carrier"
    made = Directory(quotas=None)
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    made.add_principal(role, identity_policies=[{"Version": "2012-10-17", "Statement": allow}])
    engine = made.compile()
    session = Session(f"arn:aws:sts::{A}:assumed-role/carrier/run", kind="ROLE", issuer=role, context={key: "1"})
    for ask in (engine.is_allowed, engine.decide, engine.explain):
        with pytest.raises(RequestValueError, match=f"cannot carry `{key}`"):
            ask(session, "s3:GetObject", "arn:aws:s3:::b/k")
    found = engine.decide_many(["run", role], "s3:GetObject", "arn:aws:s3:::b/k", sessions={"run": session}, on_error="deny")
    assert found.allowed.tolist() == [False, True] and list(found.errors) == [0]
