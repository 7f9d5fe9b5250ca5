"""Refusals of Cognito calls, as part of the tree of `fastiam.sts` errors.

    StsError
    ├── ValidationError
    │   └── CognitoError           the call is refused, with AWS's `code`; InvalidParameterException if it is wrong in itself
    └── AuthenticationError
        └── NotAuthorizedError     NotAuthorizedException: a credential, token or session is not acceptable

Each has the `rule` of the specification. Messages never contain a password, code, token or key (FD4).
"""

from __future__ import annotations

from fastiam.credentials.sts_errors import AuthenticationError, ValidationError


class CognitoError(ValidationError):
    """A call is refused; `code` is AWS's."""

    code = "InvalidParameterException"


class NotAuthorizedError(AuthenticationError):
    """A credential, token or session is not acceptable. `reason` is one word, for logs."""

    code = "NotAuthorizedException"

    def __init__(self, message: str, *, reason: str, rule: str = "", hint: str = "", code: str = "") -> None:
        super().__init__(message, reason=reason, rule=rule, hint=hint, code=code)
