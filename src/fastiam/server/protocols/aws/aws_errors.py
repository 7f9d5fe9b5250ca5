"""Errors of the AWS protocols: codes, HTTP statuses and messages."""

from __future__ import annotations

import re
from typing import Final

from fastiam.aws_data.service_models import QUERY, REST_JSON, Service
from fastiam.credentials.sts_errors import AccessDeniedError, AuthenticationError, StsError, ValidationError
from fastiam.errors import DirectoryError, FastiamError, PolicyError, RequestValueError, StoreError
from fastiam.model.decision import Decision
from fastiam.sts.signed_calls import CallDeniedError, denial_text

# The code of the query protocol: HTTP status, code of the JSON protocols.
COMMON: Final[dict[str, tuple[int, str]]] = {
    "MissingAuthenticationToken": (403, "MissingAuthenticationTokenException"),
    "IncompleteSignature": (400, "IncompleteSignatureException"),
    "InvalidClientTokenId": (403, "UnrecognizedClientException"),
    "SignatureDoesNotMatch": (403, "InvalidSignatureException"),
    "ExpiredToken": (403, "ExpiredTokenException"),
    "AccessDenied": (403, "AccessDeniedException"),
    "InvalidAction": (400, "UnknownOperationException"),
    "MissingAction": (400, "UnknownOperationException"),
    "NotImplemented": (501, "NotImplementedException"),
    "ValidationError": (400, "ValidationException"),
    "InvalidQueryParameter": (400, "SerializationException"),
    "ServiceUnavailable": (503, "ServiceUnavailableException"),
    "ServiceFailure": (500, "InternalFailure"),
    "InternalFailure": (500, "InternalFailure"),
    "Throttling": (400, "ThrottlingException"),
    "UnknownOperationException": (404, "UnknownOperationException"),  # of a protocol that is not served
    "MethodNotAllowed": (405, "UnknownOperationException"),
    "RequestEntityTooLarge": (413, "RequestEntityTooLargeException"),
}
_IDENTITY = frozenset(
    {
        "MissingAuthenticationToken",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "AccessDenied",
    }
)
# The code of Cognito and Organizations for a request that is not valid.
_INVALID = ("InvalidParameterException", "InvalidInputException")
_SERVER_ERROR = 500

# What AWS says of quotas (of a `DirectoryError`, which names the quota) and of documents, by rule and beginning of our message.
_QUOTAS: Final[dict[str, str]] = {
    "managed_policies_per_user": "PoliciesPerUser",
    "managed_policies_per_group": "PoliciesPerGroup",
    "managed_policies_per_role": "PoliciesPerRole",
    "groups_per_user": "GroupsPerUser",
    "managed_policy_size": "PolicySize",
    "trust_policy_size": "ACLSizePerRole",
    "users_per_account": "UsersPerAccount",
    "groups_per_account": "GroupsPerAccount",
    "roles_per_account": "RolesPerAccount",
    "policies_per_account": "PoliciesPerAccount",
}
_OF_QUOTA = re.compile(r"of ([0-9,]+) at most \(quota `([a-z_]+)`\)")
_DOCUMENTS: Final = (
    ("V9", "the statement has no `Resource`", "Policy statement must contain resources."),
    ("V7", "the statement has neither", "Policy statement must contain actions."),
    ("V9", "an identity policy cannot have `Principal`", "Policy document should not specify a principal."),
    ("V9", "an identity policy cannot have `NotPrincipal`", "Policy document should not specify a principal."),
)

# Rules of `DirectoryError`. A test keeps the table complete.
DIRECTORY: Final[dict[str, str]] = {
    "": "InvalidInput",
    "1.1": "InvalidInput",
    "1.7": "LimitExceeded",
    "5.2": "InvalidInput",
    "6.10": "InvalidInput",
    "D1": "InvalidInput",
    "D6": "InvalidInput",
    "D11": "InvalidInput",
    "D33": "InvalidInput",
    "DIR-EXISTS": "EntityAlreadyExists",
    "DIR-FOREIGN": "InvalidInput",
    "DIR-IN-USE": "DeleteConflict",
    "DIR-LINKED": "UnmodifiableEntity",
    "DIR-NAME": "ValidationError",
    "DIR-NO-ANCHOR": "NoSuchEntity",
    "DIR-NO-BOUNDARY": "NoSuchEntity",
    "DIR-NO-GROUP": "NoSuchEntity",
    "DIR-NO-POLICY": "NoSuchEntity",
    "DIR-NO-ROLE": "NoSuchEntity",
    "DIR-QUOTA": "LimitExceeded",
    "DIR-TAG": "InvalidInput",
    "N32": "MalformedPolicyDocument",
    "V1": "MalformedPolicyDocument",
}


class ApiError(FastiamError):
    """What a client gets in place of a result: `code` as in the query protocol or in the model of the service, and a message."""

    def __init__(self, code: str, message: str, reason: str = "") -> None:
        self.code, self.message, self.reason = code, message, reason
        super().__init__(message)

    def __reduce__(self) -> tuple[type[ApiError], tuple[str, str, str]]:
        return type(self), (self.code, self.message, self.reason)


class ConstraintError(ApiError):
    """Parameters that break constraints of the model. `reason` is the first kind of them, in the words of Organizations."""


# What Organizations answers for a broken constraint: of which kind it is, and not where.
_REASONS: Final[dict[str, str]] = {
    "INPUT_REQUIRED": "You must include a value for all required parameters.",
    "INVALID_ENUM": "You specified an invalid value.",
    "INVALID_PATTERN": "You provided a value that does not match the required pattern.",
    "MAX_LENGTH_EXCEEDED": "You provided a string parameter that is longer than allowed.",
    "MIN_LENGTH_EXCEEDED": "You provided a string parameter that is shorter than allowed.",
    "MAX_VALUE_EXCEEDED": "You provided a numeric parameter that has a larger value than allowed.",
    "MIN_VALUE_EXCEEDED": "You provided a numeric parameter that has a smaller value than allowed.",
}


def in_words_of(error: ApiError, service: Service | None) -> ApiError:
    """The error with the message that a service has for it."""
    if isinstance(error, ConstraintError) and service is not None and service.name == "organizations":
        return ApiError(error.code, _REASONS.get(error.reason, error.message), error.reason)
    return error


def wire_error(error: ApiError, service: Service | None, protocol: str) -> tuple[int, str]:
    """HTTP status and code of an error in a protocol."""
    modelled = None if service is None else service.errors.get(error.code)
    if modelled is not None:
        return modelled.status, modelled.code
    own = next((code for code in _INVALID if service is not None and code in service.errors), None)
    if isinstance(error, ConstraintError) and service is not None and service.name == "cognito-identity":
        own = None  # its own checks answer InvalidParameterException
    if service is not None and own is not None and error.code in ("ValidationError", "InvalidInput"):
        return service.errors[own].status, own
    status, json_code = COMMON.get(error.code, (400, error.code))
    if protocol == QUERY:
        return status, error.code
    if protocol != REST_JSON and error.code in _IDENTITY:
        status = 400
    if protocol == REST_JSON and error.code in _IDENTITY:
        status = 403
    return status, json_code


def is_server_error(status: int) -> bool:
    """Whether the fault is the server's: `Receiver` in the query protocol."""
    return status >= _SERVER_ERROR


def api_error(error: Exception) -> ApiError:
    """What a client gets for an exception of the library. Unforeseen ones become a failure without any detail."""
    match error:
        case ApiError():
            return error
        case PolicyError():
            return ApiError("MalformedPolicyDocument", _first_finding(error))
        case CallDeniedError() | AccessDeniedError(decision=None):
            return ApiError("AccessDenied", error.message)
        case AccessDeniedError(decision=Decision() as decision):
            return ApiError("AccessDenied", denial_text(error.principal, error.action, error.resource, decision))
        case AuthenticationError() | ValidationError() | StsError():
            return ApiError(error.code, _sentence(error.message, error.hint))
        case StoreError():
            return _store_error(error)
        case DirectoryError(rule="N32"):
            return ApiError("MalformedPolicyDocument", f"Invalid principal in policy: {error.message}")
        case DirectoryError(rule="DIR-QUOTA"):
            return ApiError(DIRECTORY[error.rule], _of_quota(error.message))
        case DirectoryError():
            return ApiError(DIRECTORY[error.rule], _sentence(error.message, ""))
        case RequestValueError():
            return ApiError("ValidationError", _sentence(error.message, error.hint))
        case _:
            return ApiError("ServiceFailure", "The request could not be processed because of an internal failure.")


def _store_error(error: StoreError) -> ApiError:
    """A store that is busy is worth another try; no detail of the file leaves the server."""
    if error.reason == "busy":
        return ApiError("ServiceUnavailable", "Another writer has locked the store. Try again.")
    return ApiError("ServiceFailure", "The store cannot be written or read.")


def _of_quota(message: str) -> str:
    """The sentence of AWS about a quota, else our own."""
    found = _OF_QUOTA.search(message)
    if found is None:
        return message
    limit, name = found[1].replace(",", ""), found[2]
    if name == "versions_per_policy":
        remedy = "Before you create a new version, you must delete an existing version."
        return f"A managed policy can have up to {limit} versions. {remedy}"
    return f"Cannot exceed quota for {_QUOTAS[name]}: {limit}" if name in _QUOTAS else message


def _sentence(message: str, hint: str) -> str:
    return f"{message} ({hint})" if hint else message


def _first_finding(error: PolicyError) -> str:
    """What is wrong with a document, and where."""
    if not error.findings:
        return "The policy is not valid."
    finding = error.findings[0]
    for code, beginning, sentence in _DOCUMENTS:
        if finding.code == code and finding.message.startswith(beginning):
            return sentence
    place = f", line {finding.line}, column {finding.column}" if finding.line else ""
    return f"{finding.message} - at {finding.path}{place}"
