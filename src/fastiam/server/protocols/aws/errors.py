"""Errors of the AWS protocols: codes, HTTP statuses and messages."""

from __future__ import annotations

from typing import Final

from fastiam.credentials.errors import AccessDeniedError, AuthenticationError, StsError, ValidationError
from fastiam.errors import DirectoryError, FastiamError, PolicyError, RequestValueError, StoreError
from fastiam.server.protocols.aws.models import QUERY, REST_JSON, Service

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

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)

    def __reduce__(self) -> tuple[type[ApiError], tuple[str, str]]:
        return type(self), (self.code, self.message)


def wire_error(error: ApiError, service: Service | None, protocol: str) -> tuple[int, str]:
    """HTTP status and code of an error in a protocol."""
    modelled = None if service is None else service.errors.get(error.code)
    if modelled is not None:
        return modelled.status, modelled.code
    own = next((code for code in _INVALID if service is not None and code in service.errors), None)
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
        case AccessDeniedError():
            return ApiError(error.code, error.message)
        case AuthenticationError() | ValidationError() | StsError():
            return ApiError(error.code, _sentence(error.message, error.hint))
        case StoreError():
            return _store_error(error)
        case DirectoryError(rule="N32"):
            return ApiError("MalformedPolicyDocument", f"Invalid principal in policy: {error.message}")
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


def _sentence(message: str, hint: str) -> str:
    return f"{message} ({hint})" if hint else message


def _first_finding(error: PolicyError) -> str:
    """What is wrong with a document, and where."""
    if not error.findings:
        return "The policy is not valid."
    finding = error.findings[0]
    place = f", line {finding.line}, column {finding.column}" if finding.line else ""
    return f"{finding.message} - at {finding.path}{place}"
