"""STS operations. The library decides each call by itself (spec 7.2); this module adds the condition keys of the request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastiam.credentials.results import AssumedRole, IssuedSession
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.documents import document, without_nones
from fastiam.server.protocols.aws.operations import Operation
from fastiam.server.protocols.aws.permissions import tags_of

_UNSIGNED: Final = ("aws:RequestedRegion",)  # no signature says for which Region an unsigned call is


_REFUSED: Final[Mapping[str, str]] = {  # parameters that change a session in a way that the library has not
    "ProvidedContexts": "Context assertions, which AWS STS alone can read, are not supported.",
    "MinimumSessionTokenSize": "Session tokens are not padded.",
}
_NAMES: Final[Mapping[str, str]] = {  # parameters of the library by AWS's names
    "RoleArn": "role",
    "RoleSessionName": "session_name",
    "DurationSeconds": "duration",
    "ExternalId": "external_id",
    "TransitiveTagKeys": "transitive_tag_keys",
    "SourceIdentity": "source_identity",
    "SerialNumber": "mfa_serial",
    "TokenCode": "mfa_code",
    "PrincipalArn": "provider",
    "SAMLAssertion": "response",
    "WebIdentityToken": "token",
    "ProviderId": "provider_id",
    "TargetPrincipal": "target",
    "Name": "name",
}


def assume_role(call: Call) -> Result:
    """AssumeRole."""
    return _assumed(call.sts.assume_role(_caller(call), **_given(call), context=call.context))


def assume_role_with_saml(call: Call) -> Result:
    """AssumeRoleWithSAML."""
    made = call.verifiers.assume_role_with_saml(**_given(call), **_origin(call))
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
    made = call.verifiers.assume_role_with_web_identity(**_given(call), **_origin(call))
    return _assumed(made) | without_nones(
        {"SubjectFromWebIdentityToken": made.subject, "Audience": made.audience, "Provider": made.provider}
    )


def assume_root(call: Call) -> Result:
    """AssumeRoot."""
    task = call.parameters["TaskPolicyArn"].get("arn", "")
    return _credentials(call.sts.assume_root(_caller(call), task_policy_arn=task, **_given(call), context=call.context))


def get_session_token(call: Call) -> Result:
    """GetSessionToken."""
    return _credentials(call.sts.get_session_token(_caller(call), **_given(call), context=call.context))


def get_federation_token(call: Call) -> Result:
    """GetFederationToken."""
    made = call.sts.get_federation_token(_caller(call), **_given(call), context=call.context)
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
    return _credentials(call.sts.get_scoped_credentials(call.credentials, **_given(call), context=call.context))


def decode_authorization_message(_: Call) -> Result:
    """DecodeAuthorizationMessage: no message was issued by this server."""
    raise ApiError("InvalidAuthorizationMessageException", "The message is not one that this server has encoded.")


# -- parameters of the library --------------------------------------------------------------------------------------------


def _caller(call: Call) -> Any:
    assert call.caller is not None
    return call.caller


def _given(call: Call) -> dict[str, Any]:
    """The parameters of a call.

    Raises
    ------
    ApiError
        an entry of `PolicyArns` without an ARN, a document that is not one, a tag key that is given twice, or a parameter that
        is not supported.
    """
    sent = call.parameters
    for name, reason in _REFUSED.items():
        if sent.get(name):
            raise ApiError("NotImplemented", f"{name} is not supported. {reason}")
    given = {_NAMES[name]: value for name, value in sent.items() if name in _NAMES}
    if "Policy" in sent:
        given["policy"] = document(call, "Policy")
    if "PolicyArns" in sent:
        given["policy_arns"] = tuple(each.get("arn") for each in sent["PolicyArns"])
        if not all(given["policy_arns"]):
            raise ApiError("ValidationException", "An entry of PolicyArns has no arn.")
    if "Tags" in sent:
        given["tags"] = tags_of(call)
    return given


def _origin(call: Call) -> dict[str, Any]:
    """What an unsigned call adds."""
    return {"source": call.context.get("aws:SourceIp", ""), "context": call.context, "unknown": _UNSIGNED}


# -- members of the output shapes -----------------------------------------------------------------------------------------


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
