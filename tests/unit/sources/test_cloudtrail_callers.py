"""CloudTrail records: the caller of a call, its context keys, and its logged outcome."""

from __future__ import annotations

import pytest
from cloudtrail_calls import calls_of, keys_of
from cloudtrail_records import ACCOUNT, ANA, OPS, SESSION, assume_role, record, session, temporary, user, write_log

import fastiam
from fastiam.model.logged_calls import LoggedOutcome
from fastiam.model.session import Session
from fastiam.sources.cloudtrail.outcomes import logged_of

# -- callers ----------------------------------------------------------------------------------------------------------


ROOT = f"arn:aws:iam::{ACCOUNT}:root"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/idp.example"
CALLERS = [
    # userIdentity, whom it shows, whom the engine is asked about
    (user(), ANA, ANA),
    ({"type": "Root", "arn": ROOT, "accountId": ACCOUNT}, ROOT, ROOT),
    ({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}, "ec2.amazonaws.com", "ec2.amazonaws.com"),
    ({"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}, "*", "*"),
    ({"type": "WebIdentityUser", "identityProvider": PROVIDER, "userName": "u"}, PROVIDER, PROVIDER),
    ({"type": "WebIdentityUser", "identityProvider": "accounts.google.com"}, "accounts.google.com", "accounts.google.com"),
    (session(), OPS, SESSION),
    ({"type": "AWSAccount", "principalId": "AROAX:s", "accountId": "222222222222"}, "AWSAccount AROAX:s", None),
    ({"type": "SAMLUser", "principalId": "p:ana", "identityProvider": "p="}, "SAMLUser p:ana", None),
    ({"type": "Unknown", "principalId": "x"}, "Unknown x", None),
    ({"accountId": ACCOUNT, "invokedBy": "config.amazonaws.com"}, f"no type {ACCOUNT}", None),
    ({"type": "AssumedRole", "arn": SESSION}, f"AssumedRole {SESSION}", None),
    ({"type": "IAMUser"}, "IAMUser", None),
    ({}, "no type", None),
    (None, "no type", None),
    ([], "no type", None),
]  # fmt: skip


@pytest.mark.parametrize(("identity", "shown", "principal"), CALLERS, ids=[str(i)[:50] for i, _, _ in CALLERS])
def test_user_identity_determines_the_principal(tmp_path, identity, shown, principal):
    call = record("s3:ListBuckets") | {"userIdentity": identity}
    (caller,) = calls_of(tmp_path, call).callers
    assert (caller.shown, caller.principal) == (shown, principal)


def test_session_without_its_issue_may_have_policies(tmp_path):
    log = write_log(tmp_path / "l.json", record("s3:ListBuckets", session()))
    assert [a.may_have_policies for calls in fastiam.read_cloudtrail(log) for a in calls.callers] == [True]
    assumed = fastiam.read_cloudtrail(log, assume_no_session_policies=True)
    assert [a.may_have_policies for calls in assumed for a in calls.callers] == [False]


def test_issuing_call_determines_session_policies_and_tags(tmp_path):
    policy = '{"Version": "2012-10-17", "Statement": []}'
    issued = assume_role(policy=policy, policyArns=[{"arn": "arn:aws:iam::aws:policy/X"}], tags=[{"key": "t", "value": "v"}])
    _, caller = calls_of(tmp_path, issued, record("s3:ListBuckets", session())).callers
    assert not caller.may_have_policies and isinstance(caller.principal, Session)
    assert caller.principal.policies == (policy, "arn:aws:iam::aws:policy/X")
    assert (caller.principal.tags, caller.principal.issuer) == ({"t": "v"}, OPS)


def test_chained_session_inherits_transitive_tags_only(tmp_path):
    tags = [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]
    first = assume_role("ASIA2", tags=tags, transitiveTagKeys=["A"], sourceIdentity="ana")
    second = assume_role("ASIA3", session(key="ASIA2"))
    *_, caller = calls_of(tmp_path, first, second, record("s3:ListBuckets", session(key="ASIA3"))).callers
    assert (caller.principal.tags, caller.principal.source_identity) == ({"a": "1"}, "ana")


def test_session_issued_by_a_service_has_unknown_keys(tmp_path):
    """The session of an instance carries keys that no log shows, so only its policies are known."""
    service = {"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}
    calls = calls_of(tmp_path, assume_role(caller=service), record("s3:ListBuckets", session(ec2RoleDelivery="2.0")))
    caller = calls.callers[1]
    assert (caller.principal, caller.may_have_policies) == (SESSION, False)
    assert keys_of(calls, 1)["ec2:RoleDelivery"] == "2.0"


def test_failed_issuing_call_is_ignored(tmp_path):
    failed = {**assume_role(), "errorCode": "AccessDenied"}
    caller = next(a for a in calls_of(tmp_path, failed, record("s3:ListBuckets", session())).callers if a.shown == OPS)
    assert caller.may_have_policies


@pytest.mark.parametrize(
    "call",
    [
        {"tags": [{"key": "HIDDEN_DUE_TO_SECURITY_REASONS", "value": "HIDDEN_DUE_TO_SECURITY_REASONS"}]},
        {"tags": {"team": "red"}},
        {"omitted": True, "originalSize": 200_000, "reason": "too large"},
    ],
    ids=["hidden", "no list", "left out"],
)
def test_hidden_values_of_an_issuing_call_are_unknown(tmp_path, call):
    *_, caller = calls_of(tmp_path, assume_role(**call), record("s3:ListBuckets", session())).callers
    assert caller.principal == SESSION and caller.may_have_policies == ("omitted" in call)


def test_issuing_call_applies_to_later_calls_only(tmp_path):
    use = record("s3:ListBuckets", session())
    calls = calls_of(tmp_path, use, assume_role(), use)
    assert [calls.callers[code].may_have_policies for code in calls.caller] == [True, False, False]


def test_temporary_user_credentials_have_an_unknown_kind(tmp_path):
    """7.4 limits those of GetSessionToken, not those of a sign-in."""
    issue = record("sts:GetSessionToken", None, {}, responseElements={"credentials": {"accessKeyId": "ASIA1"}})
    use = record("iam:ListUsers", user(**temporary("true")))
    assert calls_of(tmp_path, use).callers[0].has_unknown_kind
    caller = calls_of(tmp_path, issue, use).callers[1]
    assert not caller.has_unknown_kind and caller.principal.kind == "USER" and caller.principal.mfa_at is not None
    console = use | {"sessionCredentialFromConsole": "true"}
    assert calls_of(tmp_path, issue, console).callers[1].has_unknown_kind


def test_federated_user_has_known_or_unknown_policies(tmp_path):
    arn = f"arn:aws:sts::{ACCOUNT}:federated-user/guest"
    identity = {"type": "FederatedUser", "arn": arn, "accountId": ACCOUNT} | temporary(key="ASIA9")
    identity["sessionContext"]["sessionIssuer"] = {"type": "IAMUser", "arn": ANA}
    issue = record(
        "sts:GetFederationToken",
        None,
        {"name": "guest", "policy": "{}"},
        responseElements={"credentials": {"accessKeyId": "ASIA9"}},
    )
    open_, known = (calls_of(tmp_path, *log, record("s3:ListBuckets", identity)).callers[-1] for log in ([], [issue]))
    assert open_.may_have_policies and open_.principal.issuer == ANA
    assert not known.may_have_policies and known.principal.policies == ("{}",)


# -- context ----------------------------------------------------------------------------------------------------------


MFA, IP, VPCE = "aws:MultiFactorAuthPresent", "aws:SourceIp", "aws:SourceVpce"
OPEN = "open"  # not in the log
CONTEXT = [
    # what the record has besides, key, value
    ({}, IP, "198.51.100.7"),
    ({}, VPCE, None),
    ({}, "aws:ViaAWSService", "false"),
    ({}, "aws:CalledVia", None),
    ({}, "aws:RequestedRegion", "eu-west-1"),
    ({}, "aws:UserAgent", "aws-cli/2.15"),
    ({}, "aws:SecureTransport", OPEN),
    ({"userAgent": "[S3Console/0.4]"}, "aws:UserAgent", "S3Console/0.4"),
    ({"tlsDetails": {"tlsVersion": "TLSv1.3"}}, "aws:SecureTransport", "true"),
    ({"additionalEventData": {"CipherSuite": "X"}}, "aws:SecureTransport", "true"),
    ({"vpcEndpointId": "vpce-1", "sourceIPAddress": "10.0.0.1"}, VPCE, "vpce-1"),
    ({"vpcEndpointId": "vpce-1", "sourceIPAddress": "10.0.0.1"}, IP, None),
    ({"vpcEndpointId": "vpce-1", "sourceIPAddress": "10.0.0.1"}, "aws:VpcSourceIp", "10.0.0.1"),
    ({"vpcEndpointId": "vpce-1", "sourceIPAddress": "10.0.0.1"}, "aws:SourceVpc", OPEN),
    ({"sourceIPAddress": "AWS Internal", "userAgent": "AWS Internal"}, IP, OPEN),
    ({"sourceIPAddress": "athena.amazonaws.com"}, IP, OPEN),
    ({"userIdentity": user(invokedBy="athena.amazonaws.com")}, "aws:ViaAWSService", "true"),
    ({"userIdentity": user(invokedBy="athena.amazonaws.com")}, IP, OPEN),
    ({"userIdentity": user(invokedBy="AWS Internal")}, "aws:ViaAWSService", OPEN),
    ({"userIdentity": session() | {"invokedBy": "athena.amazonaws.com"}}, "aws:ViaAWSService", OPEN),
    ({}, MFA, None),
    ({"userIdentity": session()}, MFA, OPEN),
    ({"userIdentity": session(mfa="true")}, MFA, "true"),
    ({"userIdentity": session()}, "aws:MultiFactorAuthAge", None),
    ({"userIdentity": session()}, "aws:TokenIssueTime", "2026-03-01T08:00:00Z"),
    ({"userIdentity": session(sourceIdentity="ana")}, "aws:SourceIdentity", "ana"),
    ({"userIdentity": session()}, "aws:SourceIdentity", None),
    ({"userIdentity": session(webIdFederationData={"federatedProvider": "idp"})}, "aws:FederatedProvider", "idp"),
    ({"userIdentity": session(webIdFederationData={"federatedProvider": "idp"})}, MFA, None),
]  # fmt: skip


@pytest.mark.parametrize(("more", "key", "value"), CONTEXT, ids=[f"{k} {str(m)[:50]}" for m, k, _ in CONTEXT])
def test_context_key_is_known_absent_or_unknown(tmp_path, more, key, value):
    assert keys_of(calls_of(tmp_path, record("s3:ListBuckets", **more) | more)).get(key, OPEN) == value


def test_mfa_code_applies_to_its_call(tmp_path):
    """7.6."""
    known = keys_of(calls_of(tmp_path, assume_role(serialNumber="arn:aws:iam::1:mfa/ana")))
    assert (known[MFA], known["aws:MultiFactorAuthAge"]) == ("true", "0")


# -- what became of it ------------------------------------------------------------------------------------------------


OUTCOMES = {
    LoggedOutcome.DENIED: "AccessDenied AccessDeniedException Client.UnauthorizedOperation UnauthorizedOperation "
    "UnauthorizedAccess AuthorizationError NotAuthorizedException",
    LoggedOutcome.ALLOWED: "NoSuchBucketPolicy ResourceNotFoundException Client.InvalidParameterValue BucketNotEmpty"
    " Client.DryRunOperation",
    LoggedOutcome.UNKNOWN: "ThrottlingException Throttling RequestLimitExceeded InternalError ServiceUnavailable "
    "ExpiredToken SlowDown",
}


@pytest.mark.parametrize(("expected", "code"), [(o, code) for o, codes in OUTCOMES.items() for code in codes.split()])
def test_error_code_determines_the_logged_outcome(expected, code):
    assert logged_of(code) is expected
