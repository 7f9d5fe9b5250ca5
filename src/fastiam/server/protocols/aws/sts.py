"""STS operations. The library decides each call by itself (spec 7.2); this module adds the condition keys of the request."""

from __future__ import annotations

from typing import Any, Final

from fastiam.credentials.results import AssumedRole, IssuedSession
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.documents import document, without_nones
from fastiam.server.protocols.aws.errors import ApiError
from fastiam.server.protocols.aws.operations import Operation
from fastiam.server.protocols.aws.permissions import tags_of

_UNSIGNED: Final = ("aws:RequestedRegion",)  # no signature says for which Region an unsigned call is


def assume_role(call: Call) -> Result:
    """AssumeRole."""
    given = call.parameters
    made = call.sts.assume_role(
        _caller(call),
        given["RoleArn"],
        given["RoleSessionName"],
        duration=given.get("DurationSeconds"),
        external_id=given.get("ExternalId"),
        policy=_policy(call),
        policy_arns=_policy_arns(call),
        tags=tags_of(call),
        transitive_tag_keys=given.get("TransitiveTagKeys", ()),
        source_identity=given.get("SourceIdentity"),
        mfa_serial=given.get("SerialNumber"),
        mfa_code=given.get("TokenCode"),
        context=call.context,
    )
    return _assumed(made)


def assume_role_with_saml(call: Call) -> Result:
    """AssumeRoleWithSAML."""
    given = call.parameters
    made = call.verifiers.assume_role_with_saml(
        given["RoleArn"],
        given["PrincipalArn"],
        given["SAMLAssertion"],
        duration=given.get("DurationSeconds"),
        policy=_policy(call),
        policy_arns=_policy_arns(call),
        source=call.context.get("aws:SourceIp", ""),
        context=call.context,
        unknown=_UNSIGNED,
    )
    return _assumed(made) | without_nones(
        {
            "Subject": made.subject,
            "SubjectType": made.subject_type,
            "Issuer": made.issuer,
            "Audience": made.audience,
            "NameQualifier": made.name_qualifier,
        }
    )


def assume_role_with_web_identity(call: Call) -> Result:
    """AssumeRoleWithWebIdentity."""
    given = call.parameters
    made = call.verifiers.assume_role_with_web_identity(
        given["RoleArn"],
        given["RoleSessionName"],
        given["WebIdentityToken"],
        provider_id=given.get("ProviderId"),
        duration=given.get("DurationSeconds"),
        policy=_policy(call),
        policy_arns=_policy_arns(call),
        source=call.context.get("aws:SourceIp", ""),
        context=call.context,
        unknown=_UNSIGNED,
    )
    return _assumed(made) | without_nones(
        {"SubjectFromWebIdentityToken": made.subject, "Audience": made.audience, "Provider": made.provider}
    )


def assume_root(call: Call) -> Result:
    """AssumeRoot."""
    given = call.parameters
    made = call.sts.assume_root(
        _caller(call),
        given["TargetPrincipal"],
        given["TaskPolicyArn"].get("arn", ""),
        duration=given.get("DurationSeconds"),
        context=call.context,
    )
    return _credentials(made)


def get_session_token(call: Call) -> Result:
    """GetSessionToken."""
    given = call.parameters
    made = call.sts.get_session_token(
        _caller(call),
        duration=given.get("DurationSeconds"),
        mfa_serial=given.get("SerialNumber"),
        mfa_code=given.get("TokenCode"),
        context=call.context,
    )
    return _credentials(made)


def get_federation_token(call: Call) -> Result:
    """GetFederationToken."""
    given = call.parameters
    made = call.sts.get_federation_token(
        _caller(call),
        given["Name"],
        duration=given.get("DurationSeconds"),
        policy=_policy(call),
        policy_arns=_policy_arns(call),
        tags=tags_of(call),
        context=call.context,
    )
    return _credentials(made) | {
        "FederatedUser": {"FederatedUserId": made.user_id, "Arn": made.arn},
        "PackedPolicySize": made.packed_policy_size,
    }


def get_caller_identity(call: Call) -> Result:
    """GetCallerIdentity."""
    known = call.sts.get_caller_identity(_caller(call))
    return without_nones({"UserId": known.user_id, "Account": known.account, "Arn": known.arn})


def get_access_key_info(call: Call) -> Result:
    """GetAccessKeyInfo."""
    return {"Account": call.sts.get_access_key_info(_caller(call), call.parameters["AccessKeyId"], context=call.context)}


def get_scoped_credentials(call: Call) -> Result:
    """GetScopedCredentials."""
    assert call.credentials is not None
    made = call.sts.get_scoped_credentials(
        call.credentials,
        duration=call.parameters.get("DurationSeconds"),
        policy=_policy(call),
        context=call.context,
    )
    return _credentials(made)


def decode_authorization_message(_: Call) -> Result:
    """DecodeAuthorizationMessage: no message was issued by this server."""
    raise ApiError("InvalidAuthorizationMessageException", "The message is not one that this server has encoded.")


# -- members of the output shapes -----------------------------------------------------------------------------------------


def _caller(call: Call) -> Any:
    assert call.caller is not None
    return call.caller


def _policy(call: Call) -> str | None:
    return document(call, "Policy") if "Policy" in call.parameters else None


def _policy_arns(call: Call) -> tuple[str, ...]:
    """The ARNs of session policies. An entry without one is refused."""
    arns = tuple(each.get("arn") for each in call.parameters.get("PolicyArns", ()))
    if not all(arns):
        raise ApiError("ValidationError", "An entry of PolicyArns has no arn.")
    return arns


def _assumed(made: AssumedRole) -> dict[str, Any]:
    return _credentials(made) | {
        "AssumedRoleUser": without_nones({"AssumedRoleId": made.role_id, "Arn": made.arn}),
        "PackedPolicySize": made.packed_policy_size,
    }


def _credentials(made: IssuedSession) -> dict[str, Any]:
    issued = made.credentials
    members: dict[str, Any] = {
        "Credentials": {
            "AccessKeyId": issued.access_key_id,
            "SecretAccessKey": issued.secret_access_key,
            "SessionToken": issued.session_token,
            "Expiration": issued.expiration,
        }
    }
    if made.session.source_identity is not None:
        members["SourceIdentity"] = made.session.source_identity
    return members


OPERATIONS = {
    "AssumeRole": Operation(assume_role, library_decides=True),
    "AssumeRoleWithSAML": Operation(assume_role_with_saml, library_decides=True, own_transactions=True),
    "AssumeRoleWithWebIdentity": Operation(assume_role_with_web_identity, library_decides=True, may_fetch=True),
    "AssumeRoot": Operation(assume_root, library_decides=True),
    "DecodeAuthorizationMessage": Operation(decode_authorization_message, library_decides=True),
    "GetAccessKeyInfo": Operation(get_access_key_info, library_decides=True, is_short=True),
    "GetCallerIdentity": Operation(get_caller_identity, library_decides=True, is_short=True),
    "GetFederationToken": Operation(get_federation_token, library_decides=True),
    "GetScopedCredentials": Operation(get_scoped_credentials, library_decides=True),
    "GetSessionToken": Operation(get_session_token, library_decides=True),
}
