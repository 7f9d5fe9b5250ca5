"""Credentials and sessions: authentication of callers, and calls that issue sessions (spec section 7).

Needs the extra `sts`; a program that only decides over a `fastiam.Session` does not.
"""

from __future__ import annotations

from fastiam.errors import missing_package

try:
    import argon2 as _argon2  # noqa: F401
    import cryptography as _cryptography  # noqa: F401
    import pyotp as _pyotp  # noqa: F401
except ModuleNotFoundError as error:
    raise missing_package("issuing sessions", error, "sts") from None

from fastiam.credentials.credential_records import AccessKey, Event, MfaDevice, PasswordPolicy, Status
from fastiam.credentials.keyring import Keyring, KeyringError
from fastiam.credentials.mfa import NewMfaDevice
from fastiam.credentials.results import (
    Assertion,
    AssumedRole,
    Caller,
    CallerIdentity,
    Credentials,
    FederatedUser,
    IssuedSession,
)
from fastiam.credentials.root_recovery import Proof
from fastiam.credentials.secret import Secret
from fastiam.credentials.sts_errors import AccessDeniedError, AuthenticationError, StsError, ValidationError
from fastiam.sts.sts_service import STS

__all__ = [
    "STS",
    "AccessDeniedError",
    "AccessKey",
    "Assertion",
    "AssumedRole",
    "AuthenticationError",
    "Caller",
    "CallerIdentity",
    "Credentials",
    "Event",
    "FederatedUser",
    "IssuedSession",
    "Keyring",
    "KeyringError",
    "MfaDevice",
    "NewMfaDevice",
    "PasswordPolicy",
    "Proof",
    "Secret",
    "Status",
    "StsError",
    "ValidationError",
]
