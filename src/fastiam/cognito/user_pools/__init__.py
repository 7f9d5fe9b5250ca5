"""Cognito user pools: users, sign-up, sign-in and tokens (docs/federation.md). Needs the extra `federation`."""

from __future__ import annotations

from fastiam.errors import missing_package

try:
    import jwt as _jwt  # noqa: F401
except ModuleNotFoundError as error:
    raise missing_package("running user pools", error, "federation") from None

from fastiam.cognito.cognito_errors import CognitoError, NotAuthorizedError
from fastiam.cognito.user_pools.codes import CodeMessage, FileSender
from fastiam.cognito.user_pools.oauth_requests import OAuthAnswer, OAuthError
from fastiam.cognito.user_pools.operations import error_code
from fastiam.cognito.user_pools.senders import CommandSender, LogSender
from fastiam.cognito.user_pools.state import Settings
from fastiam.cognito.user_pools.user_pools_service import UserPools

__all__ = [
    "CodeMessage",
    "CognitoError",
    "CommandSender",
    "FileSender",
    "LogSender",
    "NotAuthorizedError",
    "OAuthAnswer",
    "OAuthError",
    "Settings",
    "UserPools",
    "error_code",
]
