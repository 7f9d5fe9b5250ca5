"""Refusals of outside identities, as part of the tree of `fastiam.sts` errors.

    StsError
    ├── ValidationError
    │   └── ProviderError          a write to a provider is wrong: InvalidInput, NoSuchEntity, EntityAlreadyExists, LimitExceeded
    └── AuthenticationError
        ├── IdentityTokenError     InvalidIdentityToken: form, signature, issuer, audience, replay
        ├── ExpiredTokenError      ExpiredTokenException
        ├── RejectedClaimError     IDPRejectedClaim: the identity provider itself reports a failure
        └── CommunicationError     IDPCommunicationError: the identity provider does not answer

Each has AWS's `code` and the `rule` of the specification. Messages never contain an assertion, a token or a key (FD4).
"""

from __future__ import annotations

from fastiam.credentials.sts_errors import AuthenticationError, ValidationError


class IdentityTokenError(AuthenticationError):
    """The assertion or token is not acceptable."""

    code = "InvalidIdentityToken"


class ExpiredTokenError(AuthenticationError):
    """The assertion or token was acceptable earlier."""

    code = "ExpiredTokenException"


class RejectedClaimError(AuthenticationError):
    """The identity provider has refused the user."""

    code = "IDPRejectedClaim"


class CommunicationError(AuthenticationError):
    """The identity provider cannot be reached."""

    code = "IDPCommunicationError"


class ProviderError(ValidationError):
    """A write to an identity provider is refused."""

    code = "InvalidInput"
