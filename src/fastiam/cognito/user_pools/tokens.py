"""Tokens of a pool: ID and access tokens as signed JWTs, refresh tokens as opaque strings, and their verification (4.14)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import jwt

from fastiam.cognito.cognito_errors import NotAuthorizedError
from fastiam.cognito.user_pools import keys
from fastiam.cognito.user_pools.attributes import BOOLEANS, can_read
from fastiam.cognito.user_pools.overrides import override_claims
from fastiam.cognito.user_pools.state import Json, PoolState, millis_of
from fastiam.credentials.secret import Secret
from fastiam.directory.user_pool_records import Client, Pool, SignIn, SigningKey, User
from fastiam.federation.federation_errors import IdentityTokenError
from fastiam.federation.jwks import VerificationKey
from fastiam.federation.oidc_token import Token, read_token

API_SCOPE = "aws.cognito.signin.user.admin"
MAX_TOKEN = 65_536  # characters
_SCOPED = {"email": ("email", "email_verified"), "phone": ("phone_number", "phone_number_verified")}


@dataclass(frozen=True, slots=True)
class Access:
    """A verified access token: the caller of a pool's own API."""

    pool: Pool
    client: Client
    user: User
    sign_in: SignIn
    sign_in_key: str
    claims: Mapping[str, Any]

    @property
    def scopes(self) -> list[str]:
        """The scopes of the token."""
        return str(self.claims.get("scope", "")).split()


@dataclass(frozen=True, slots=True)
class NewSignIn:
    """A sign-in that is about to be recorded, and the tokens for it. `nonce` is that of OAuth."""

    key: str
    record: SignIn
    nonce: str = ""


def role_claims(state: PoolState, user: User) -> Json:
    """`cognito:groups`, `cognito:roles` and `cognito:preferred_role` (UP66)."""
    groups = state.store.groups(user)
    claims: Json = {"cognito:groups": [group.name for group in groups]} if groups else {}
    with_role = [group for group in groups if group.role]
    if with_role:
        claims["cognito:roles"] = list(dict.fromkeys(group.role for group in with_role))
        best = {group.role for group in with_role if group.precedence == with_role[0].precedence}
        if len(best) == 1:
            claims["cognito:preferred_role"] = best.pop()
    return claims


def readable_attributes(client: Client, user: User, scopes: Collection[str] | None = None) -> dict[str, str]:
    """The attributes that a client may read; with OAuth only those of the scopes (UP93)."""
    found = {name: value for name, value in user.attributes.items() if can_read(client, name) and not name.startswith("dev:")}
    if scopes is None:
        return found
    if "openid" not in scopes:
        return {}
    named = {name for scope, names in _SCOPED.items() if scope in scopes for name in names}
    special = {name for names in _SCOPED.values() for name in names}
    return {name: value for name, value in found.items() if name in named or ("profile" in scopes and name not in special)}


def at_hash(access_token: str) -> str:
    """The claim `at_hash` of an ID token (OIDC core 3.1.3.6)."""
    half = hashlib.sha256(access_token.encode()).digest()[:16]
    return base64.urlsafe_b64encode(half).decode().rstrip("=")


class Tokens:
    """Issue and verify tokens."""

    def __init__(self, state: PoolState) -> None:
        self._state = state

    # -- sign-ins ---------------------------------------------------------------------------------------------------------

    def new_sign_in(
        self, pool: Pool, client: Client, user: User, *, scopes: tuple[str, ...] | None = None, nonce: str = ""
    ) -> NewSignIn:
        """A sign-in that is not recorded yet. `scopes` None is a sign-in by the API."""
        state = self._state
        until = state.now() + timedelta(seconds=client.refresh_validity)
        granted = (API_SCOPE,) if scopes is None else scopes
        record = SignIn(pool.id, client.id, user.sub, state.millis(), until, state.new_id(), granted, scopes is not None)
        return NewSignIn(f"{pool.id}/{state.new_id()}", record, nonce)

    def refresh_token(self, pool: Pool, client: Client, sign_in: NewSignIn) -> tuple[Secret, NewSignIn]:
        """A refresh token of a sign-in, and the sign-in as it is with it."""
        state, record = self._state, sign_in.record
        seconds = (record.until - state.now()).total_seconds()
        token_id = state.new_id()
        content = {"id": token_id, "p": pool.id, "c": client.id, "s": record.sub, "k": sign_in.key}
        token = state.seal("refresh", content, seconds)
        if client.grace is None:
            return token, sign_in
        live = replace(record, live={**record.live, token_id: 0})
        return token, NewSignIn(sign_in.key, live, sign_in.nonce)

    def issue(
        self,
        pool: Pool,
        client: Client,
        user: User,
        sign_in: NewSignIn,
        source: str,
        metadata: Mapping[str, str] | None = None,
    ) -> Json:
        """ID and access token for a sign-in, as `AuthenticationResult`. Runs PreTokenGeneration, so outside any transaction."""
        record, now = sign_in.record, int(self._state.now().timestamp())
        common = {
            "sub": user.sub,
            "iss": pool.issuer,
            "auth_time": record.made // 1000,
            "event_id": sign_in.key.partition("/")[2],
            "iat": now,
        }
        if client.revocation:
            common["origin_jti"] = record.origin
        roles = role_claims(self._state, user)
        id_claims: Json = {
            **self._attribute_claims(client, user, record.scopes if record.is_oauth else None),
            **common,
            **roles,
            "cognito:username": user.username,
            "aud": client.id,
            "token_use": "id",
            "exp": now + client.id_validity,
            "jti": self._state.new_id(),
        }
        identities = [
            {
                "userId": identity.value,
                "providerName": identity.provider_name,
                "providerType": identity.provider_type,
                "issuer": identity.issuer or None,
                "primary": "false" if identity.linked else "true",
                "dateCreated": str(millis_of(identity.created)),
            }
            for _, identity in self._state.store.identities(user)
            if identity.attribute == "Cognito_Subject"
        ]
        if identities:
            id_claims["identities"] = identities
        if sign_in.nonce:
            id_claims["nonce"] = sign_in.nonce
        access_claims: Json = {
            **common,
            **({"cognito:groups": roles["cognito:groups"]} if "cognito:groups" in roles else {}),
            "username": user.username,
            "client_id": client.id,
            "token_use": "access",
            "scope": " ".join(record.scopes),
            "exp": now + client.access_validity,
            "jti": self._state.new_id(),
            **({"version": 2} if record.is_oauth else {}),
        }
        id_claims, access_claims = override_claims(
            self._state, pool, client, user, source, id_claims, access_claims, dict(metadata or {})
        )
        access = self.sign(pool, "access", access_claims)
        result: Json = {"AccessToken": access, "ExpiresIn": client.access_validity, "TokenType": "Bearer"}
        if not record.is_oauth or "openid" in record.scopes:
            if record.is_oauth:
                id_claims["at_hash"] = at_hash(access)
            result["IdToken"] = self.sign(pool, "id", id_claims)
        self._state.note(sub=user.sub, client=client.id, pool=pool.id, origin_jti=record.origin)
        return result

    def _attribute_claims(self, client: Client, user: User, scopes: tuple[str, ...] | None) -> Json:
        values: Json = dict(readable_attributes(client, user, scopes))
        for name in BOOLEANS & values.keys():
            values[name] = values[name] == "true"
        return values

    def sign(self, pool: Pool, use: str, claims: Json) -> Secret:
        """A signed token."""
        kid, private = keys.signer(self._state, pool, use)
        return Secret(jwt.encode(claims, private, algorithm="RS256", headers={"kid": kid, "typ": None}))

    def overridden_client_claims(self, pool: Pool, client: Client, claims: Json) -> Json:
        """The claims of a token for a client itself; PreTokenGeneration changes them in version V3_0."""
        if pool.token_version != "V3_0":
            return claims
        return override_claims(self._state, pool, client, None, "ClientCredentials", {}, claims, {})[1]

    # -- verification -----------------------------------------------------------------------------------------------------

    def read(self, token: str) -> tuple[Token, SigningKey] | None:
        """A token that names a key of a pool, and that key; None for another text. Its signature is not verified."""
        with suppress(IdentityTokenError):
            found = read_token(token) if len(token) <= MAX_TOKEN else None
            record = None if found is None or found.key_id is None else self._state.store.signing_key(found.key_id)
            if found is not None and record is not None and found.algorithm == "RS256":
                return found, record
        return None

    def claims_of(self, token: str, use: str) -> tuple[Pool, Json]:
        """The claims of a token of a kind, and its pool: own key of that kind, own issuer, not expired (UP81).

        Raises
        ------
        NotAuthorizedError
            any other token.
        """
        found = self.read(token)
        record = None if found is None else found[1]
        claims: Json = {}
        if found is not None and found[1].use == use and keys.is_usable(self._state, found[1]):
            key = VerificationKey(found[1].kid, "RSA", "", "RS256", keys.public_key(found[1]))
            with suppress(IdentityTokenError):
                claims = found[0].verify([key])
        if claims.get("token_use") != use or not isinstance(claims.get("exp"), int):
            claims = {}
        pool = None if record is None else self._state.tables.pools.get(record.pool)
        if pool is None or claims.get("iss") != pool.issuer:
            kind = "ID" if use == "id" else "Access"
            raise NotAuthorizedError(f"Could not verify signature for {kind} Token", reason="token_invalid", rule="UP81")
        if claims["exp"] <= self._state.now().timestamp():
            kind = "ID" if use == "id" else "Access"
            raise NotAuthorizedError(f"{kind} Token has expired", reason="expired", rule="UP81")
        return pool, claims

    def access(self, token: str, scope: str | None = API_SCOPE) -> Access:
        """The caller of a pool's own API by its access token.

        Raises
        ------
        NotAuthorizedError
            another token, expired, revoked, without the scope, or the user is gone or disabled.
        """
        pool, claims = self.claims_of(token, "access")
        client = self._state.tables.clients.get(claims.get("client_id", ""))
        access = self._current(pool, client, claims)
        if scope is not None and scope not in access.scopes:
            raise NotAuthorizedError("Access Token does not have required scopes", reason="token_invalid", rule="UP81")
        self._state.note(pool=pool.id, client=access.client.id, sub=access.user.sub, origin_jti=access.sign_in.origin)
        return access

    def id_token(self, token: str, *, user_pool_id: str, client_id: str, is_revocable: bool = False) -> Json:
        """The claims of an ID token of a pool and client; with `is_revocable` user and sign-in are checked too (ID14).

        Raises
        ------
        NotAuthorizedError
            any other token; the client does not exist; or revoked, if that is checked.
        """
        pool, claims = self.claims_of(token, "id")
        client = self._state.tables.clients.get(client_id)
        if pool.id != user_pool_id or claims.get("aud") != client_id or client is None or client.pool != pool.id:
            raise NotAuthorizedError("the ID token is for another user pool or client", reason="token_invalid", rule="UP81")
        if is_revocable:
            self._current(pool, client, claims)
        return claims

    def _current(self, pool: Pool, client: Client | None, claims: Json) -> Access:
        """Check that user and sign-in of a token are still good."""
        user = self._state.tables.users.get(f"{pool.id}/{claims.get('sub')}")
        key = f"{pool.id}/{claims.get('event_id')}"
        sign_in = self._state.tables.sign_ins.get(key)
        if client is None or client.pool != pool.id or user is None or sign_in is None or sign_in.client != client.id:
            raise NotAuthorizedError("Access Token has been revoked", reason="token_invalid", rule="UP81")
        self.check_sign_in(user, sign_in, "Access Token has been revoked")
        return Access(pool, client, user, sign_in, key, claims)

    def check_sign_in(self, user: User, sign_in: SignIn, message: str) -> None:
        """Check that a sign-in goes on (UP84).

        Raises
        ------
        NotAuthorizedError
            revoked, signed out, or the user is disabled.
        """
        if not user.enabled:
            raise NotAuthorizedError("User is disabled.", reason="token_invalid", rule="UP84")
        if sign_in.sub != user.sub or sign_in.revoked or sign_in.made <= user.signed_out:
            raise NotAuthorizedError(message, reason="token_invalid", rule="UP84")
