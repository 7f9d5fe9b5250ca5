"""What the audit log and the metrics get of a call of an AWS service (G181, G188)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastiam.credentials.results import Caller
from fastiam.server.decision_records import CallRecord
from fastiam.server.protocols.aws.calls import Call

OTHER: Final = "other"
SESSIONS: Final = frozenset(
    {
        "AssumeRole",
        "AssumeRoleWithSAML",
        "AssumeRoleWithWebIdentity",
        "AssumeRoot",
        "CreateSession",
        "GetCredentialsForIdentity",
        "GetFederationToken",
        "GetScopedCredentials",
        "GetSessionToken",
    }
)
"""Operations that issue credentials of a session."""
_ISSUES = SESSIONS | {"GetId", "GetOpenIdToken", "GetTokensFromRefreshToken"}  # reads by their names
_REVOKES = frozenset({"AdminDisableUser", "AdminUserGlobalSignOut", "DeleteAccessKey", "DeleteLoginProfile", "RevokeToken"})
_READS = ("Decode", "Describe", "Get", "List", "Simulate")
SIGNATURE_FAULTS: Final = frozenset(
    {"ExpiredToken", "IncompleteSignature", "InvalidClientTokenId", "MissingAuthenticationToken", "SignatureDoesNotMatch"}
)
_NAMES = ("RoleArn", "TargetPrincipal", "IdentityPoolId", "UserPoolId", "ClientId")
_IDENTITY = "IdentityId"


def revokes(operation: str, parameters: Mapping[str, Any]) -> bool:
    """Whether a call takes credentials away. It does not wait for the audit log, which gets its line once it can be written."""
    return operation in _REVOKES or (operation == "UpdateAccessKey" and parameters.get("Status") == "Inactive")


def is_audited(operation: str) -> bool:
    """Whether an operation writes or issues credentials, by its name."""
    return operation in _ISSUES or not operation.startswith(_READS)


def named(call: Call) -> tuple[str, ...]:
    """What a call names that the library decides, such as the role of AssumeRole. No other parameters: some are secrets.

    The id of a guest is one too: a client that knows it is the guest (ID21).
    """
    given = call.parameters
    found = [str(given[name]) for name in _NAMES if name in given]
    return (*found, call.services.identity_pools.logged_id(str(given[_IDENTITY]))) if _IDENTITY in given else tuple(found)


def issued(result: Mapping[str, Any]) -> str | None:
    """The id of the access key in an answer that has credentials."""
    for name in ("Credentials", "AccessKey"):
        if name in result and isinstance(made := result[name], Mapping) and "AccessKeyId" in made:
            return str(made["AccessKeyId"])
    return None


def call_record(
    service: str,
    operation: str,
    *,
    request_id: str,
    status: int,
    code: str = "",
    caller: Caller | None = None,
    client: str | None = None,
    resources: tuple[str, ...] = (),
    issued: str | None = None,
    before: int = 0,
    after: int = 0,
) -> CallRecord:
    """The record of a call that has ended."""
    return CallRecord(
        request_id,
        service,
        operation,
        status,
        code,
        operation != OTHER and is_audited(operation),
        not code and operation in SESSIONS,
        code if caller is None and code in SIGNATURE_FAULTS else "",
        None if caller is None else caller.arn,
        None if caller is None else caller.access_key_id,
        client,
        resources,
        issued,
        before,
        after,
    )
