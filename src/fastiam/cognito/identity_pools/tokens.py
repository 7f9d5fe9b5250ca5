"""Tokens of identity pools: what they contain, and what a developer token says when it comes back (5.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fastiam.cognito.identity_pools.parameters import AUTHENTICATED, OWN, UNAUTHENTICATED
from fastiam.cognito.identity_pools.token_keys import ALGORITHM, TokenKeys
from fastiam.cognito.identity_pools.verified import VerifiedLogin
from fastiam.credentials.secret import Secret
from fastiam.directory.identity_pool_records import IdentityPool
from fastiam.federation.federation_errors import IdentityTokenError
from fastiam.federation.jwks import read_jwks
from fastiam.federation.oidc_claims import read_session_claims
from fastiam.federation.oidc_token import MAX_TOKEN, check_times, read_token

ISSUER = f"https://{OWN}"
TAGS = "https://aws.amazon.com/tags"


@dataclass(frozen=True, slots=True)
class DeveloperToken:
    """A verified token of GetOpenIdTokenForDeveloperIdentity."""

    identity_id: str
    developer_user: str
    claims: Mapping[str, Any] = field(repr=False)
    tags: Mapping[str, str] = field(default_factory=dict)


def amr_of(logins: Sequence[VerifiedLogin]) -> list[str]:
    """The values of `amr`: the logins that were given in this call."""
    if not logins:
        return [UNAUTHENTICATED]
    return [AUTHENTICATED, *(value for login in logins for value in login.amr)]


class Tokens:
    """Issues tokens, and reads developer tokens."""

    def __init__(self, keys: TokenKeys) -> None:
        self._keys = keys

    def issue(
        self,
        pool: IdentityPool,
        identity_id: str,
        logins: Sequence[VerifiedLogin],
        tags: Mapping[str, str],
        seconds: int,
        now: datetime,
    ) -> Secret:
        """A token for an identity."""
        issued = int(now.timestamp())
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": pool.identity_pool_id,
            "sub": identity_id,
            "amr": amr_of(logins),
            "iat": issued,
            "exp": issued + seconds,
        }
        if tags:
            claims[TAGS] = {"principal_tags": {key: [value] for key, value in tags.items()}}
        return Secret(self._keys.sign(pool.region, claims, now))

    def verify(self, pool: IdentityPool, text: str, now: datetime) -> DeveloperToken:
        """A developer token of the pool. Only keys of our own verify it, whatever keys STS accepts.

        Raises
        ------
        AuthenticationError
            it is not one, is altered or has expired.
        """
        if len(text) > MAX_TOKEN:
            raise _refused("the token is too long")
        token = read_token(text)
        if token.issuer != ISSUER or token.algorithm != ALGORITHM or token.key_id is None:
            raise _refused("the token is not of an identity pool")
        keys = read_jwks(self._keys.jwks(now).encode())
        claims = token.verify(keys.candidates(token.key_id, token.algorithm))
        check_times(claims, now, 0)
        if claims.get("aud") != pool.identity_pool_id:
            raise _refused("the token is of another identity pool")
        return DeveloperToken(claims["sub"], _developer_user(pool, claims["amr"]), claims, read_session_claims(claims).tags)


def _developer_user(pool: IdentityPool, amr: Sequence[str]) -> str:
    """The user whom the backend vouched for. A token of GetOpenIdToken has none, and is not a login."""
    name = pool.developer_provider_name
    prefix = f"{name}:{pool.identity_pool_id}:"
    if name and amr[:2] == [AUTHENTICATED, name] and amr[2].startswith(prefix):
        return amr[2].removeprefix(prefix)
    raise _refused("the token is not one of a developer identity")


def _refused(message: str) -> IdentityTokenError:
    return IdentityTokenError(message, reason="token_invalid", rule="5.5")
