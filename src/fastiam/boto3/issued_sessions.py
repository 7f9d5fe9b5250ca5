"""The AWS sessions that calls of STS issue, from the parameters and the answer of the call."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastiam.model.arn import split_arn
from fastiam.model.profile import PrincipalKind
from fastiam.model.session import Session

_EMPTY: Mapping[str, str] = {}
_SERVICE_LINKED = ":role/aws-service-role/"


def issued_session(
    operation: str, parameters: Mapping[str, Any], answer: Mapping[str, Any], caller: str | Session | None, now: datetime
) -> tuple[tuple[str, str], Session] | None:
    """Return the access key and token of issued credentials with their session.

    None if the call issued none, or if its session is not known: the claims of the tokens of AssumeRoleWithSAML and
    AssumeRoleWithWebIdentity, and AssumeRoot.
    """
    credentials = answer.get("Credentials")
    if not isinstance(credentials, Mapping):
        return None
    key = (str(credentials.get("AccessKeyId") or ""), str(credentials.get("SessionToken") or ""))
    if operation == "AssumeRole":
        return key, _role_session(parameters, caller, now)
    if operation == "GetSessionToken" and caller is not None:
        return key, _user_session(parameters, caller, now)
    if operation == "GetFederationToken" and isinstance(caller, str):
        return key, _federated_user(parameters, caller, now)
    return None


def _role_session(parameters: Mapping[str, Any], caller: str | Session | None, now: datetime) -> Session:
    role = str(parameters.get("RoleArn") or "")
    arn = split_arn(role)
    account, partition = (arn.account, arn.partition) if arn else ("", "aws")
    name = f"{role.rpartition('/')[2]}/{parameters.get('RoleSessionName')}"
    inherited = _inherited(caller)
    tags = {**inherited, **_tags_of(parameters)}
    transitive = {str(key).lower() for key in parameters.get("TransitiveTagKeys") or ()} | {key.lower() for key in inherited}
    source = parameters.get("SourceIdentity") or (caller.source_identity if isinstance(caller, Session) else None)
    return Session(
        f"arn:{partition}:sts::{account}:assumed-role/{name}",
        kind=PrincipalKind.SLR if _SERVICE_LINKED in role else PrincipalKind.ROLE,
        issuer=role,
        policies=_policies_of(parameters) or None,
        tags=tags,
        transitive_tags=tuple(key for key in tags if key.lower() in transitive),
        issued_at=now,
        source_identity=source,
        context={"aws:MultiFactorAuthPresent": bool(parameters.get("SerialNumber"))},
    )


def _inherited(caller: str | Session | None) -> Mapping[str, str]:
    """Return the transitive tags of the caller, which a session of a role inherits (S24)."""
    if not isinstance(caller, Session) or caller.kind is not PrincipalKind.ROLE:
        return _EMPTY
    return {key: value for key, value in caller.tags.items() if key in caller.transitive_tags}


def _user_session(parameters: Mapping[str, Any], caller: str | Session, now: datetime) -> Session:
    issuer = caller if isinstance(caller, str) else caller.arn
    kind = PrincipalKind.ROOT if issuer.endswith(":root") else PrincipalKind.USER
    return Session(issuer, kind=kind, issuer=issuer, issued_at=now, mfa_at=now if parameters.get("SerialNumber") else None)


def _federated_user(parameters: Mapping[str, Any], caller: str, now: datetime) -> Session:
    arn = split_arn(caller)
    account, partition = (arn.account, arn.partition) if arn else ("", "aws")
    return Session(
        f"arn:{partition}:sts::{account}:federated-user/{parameters.get('Name')}",
        kind=PrincipalKind.FED,
        issuer=caller,
        policies=_policies_of(parameters) or None,
        tags=_tags_of(parameters),
        issued_at=now,
    )


def _policies_of(parameters: Mapping[str, Any]) -> list[str]:
    inline = parameters.get("Policy")
    return [*([inline] if inline else []), *(str(item["arn"]) for item in parameters.get("PolicyArns") or () if "arn" in item)]


def _tags_of(parameters: Mapping[str, Any]) -> dict[str, str]:
    return {str(tag["Key"]): str(tag["Value"]) for tag in parameters.get("Tags") or ()}
