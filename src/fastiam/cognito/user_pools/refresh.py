"""Refresh tokens, their rotation, and revocation (UP82 to UP84)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fastiam.cognito.cognito_errors import CognitoError, NotAuthorizedError
from fastiam.cognito.user_pools.attempt import REFRESH, allowed_flows
from fastiam.cognito.user_pools.calls import Calls, parameter
from fastiam.cognito.user_pools.operations import operation, plain
from fastiam.cognito.user_pools.state import Json, PoolState
from fastiam.cognito.user_pools.tokens import NewSignIn
from fastiam.credentials.secret import Secret
from fastiam.directory.user_pool_records import Client, Pool, SignIn, User

MAX_LIVE = 100  # refresh tokens of one sign-in, with rotation
_REVOKED, _INVALID = "Refresh Token has been revoked", "Invalid Refresh Token"


def _invalid(message: str = _INVALID, reason: str = "token_invalid") -> NotAuthorizedError:
    return NotAuthorizedError(message, reason=reason, rule="UP83")


def _with_scopes_of(client: Client, record: SignIn) -> SignIn:
    """A sign-in with those of its scopes that the client still has (UP83).

    Raises
    ------
    NotAuthorizedError
        it has none of them, or `openid` is gone, which the others need.
    """
    if not record.is_oauth:
        return record
    scopes = tuple(scope for scope in record.scopes if scope in client.oauth_scopes)
    if not scopes or ("openid" in record.scopes) > ("openid" in scopes):
        raise _invalid(_REVOKED)
    return replace(record, scopes=scopes)


class RefreshCalls(Calls):
    """Refresh and revoke."""

    @operation
    def get_tokens_from_refresh_token(
        self,
        *,
        refresh_token: str,
        client_id: str,
        client_secret: str | None = None,
        client_metadata: Mapping[str, str] | None = None,
    ) -> Json:
        """New tokens for a refresh token; with rotation a new refresh token as well."""
        pool, client = self._client(client_id)
        if not self._is_secret(client, client_secret):
            message = f"Unable to verify the secret of client {client.id}"
            raise NotAuthorizedError(message, reason="wrong_secret", rule="UP10")
        if client.grace is None and REFRESH not in allowed_flows(client):
            raise CognitoError(f"{REFRESH} flow not enabled for this client", rule="UP12")
        content = self._state.open("refresh", refresh_token)
        if client.grace is not None:
            return rotated_tokens(self, pool, client, content, client.grace, client_metadata or {})
        user, key, record = opened_sign_in(self, client, content)
        return renewed_tokens(self, pool, client, user, key, record, client_metadata or {})

    # -- revocation -------------------------------------------------------------------------------------------------------

    @operation
    def revoke_token(
        self, *, token: str, client_id: str, client_secret: str | None = None, revoke_associated_sessions: str = "NONE"
    ) -> Json:
        """Revoke a refresh token with all tokens of its sign-in."""
        _, client = self._client(client_id)
        if revoke_associated_sessions != "NONE":
            raise CognitoError("only `NONE` is supported for `RevokeAssociatedSessions`", rule="4.1")
        if not self._is_secret(client, client_secret):
            message = f"Unable to verify the secret of client {client.id}"
            raise CognitoError(message, code="UnauthorizedException", rule="UP10")
        revoke_sign_in(self, client, Secret(token))
        return {}

    @operation
    def global_sign_out(self, *, access_token: str) -> Json:
        """End every sign-in of the caller."""
        access = self._access(access_token)
        with self._state.transaction():
            sign_out(self._state, access.user)
        return {}

    @operation
    def admin_user_global_sign_out(self, *, user_pool_id: str, username: str) -> Json:
        """End every sign-in of a user."""
        user = self._state.user(self._state.pool(user_pool_id), username)
        with self._state.transaction():
            sign_out(self._state, user)
        return {}


def refresh_tokens(calls: Calls, pool: Pool, client: Client, given: Mapping[str, str], metadata: Mapping[str, str]) -> Json:
    """`REFRESH_TOKEN_AUTH`."""
    token = parameter(given, "REFRESH_TOKEN")
    content, names = calls._state.open("refresh", token), [plain(given["USERNAME"])] if given.get("USERNAME") else []
    user = None if content is None else calls._state.tables.users.get(f"{pool.id}/{content['s']}")
    if not names and user is not None:
        names = [user.username, user.sub]
    calls._check_hash(client, given.get("SECRET_HASH"), *names)
    if client.grace is not None:
        raise _invalid("refresh tokens of this client rotate, call GetTokensFromRefreshToken")
    user, key, record = opened_sign_in(calls, client, content)
    if given.get("USERNAME") and calls._state.store.user_key(pool.id, names[0]) != user.key:
        raise _invalid()
    return renewed_tokens(calls, pool, client, user, key, record, metadata)


def opened_sign_in(calls: Calls, client: Client, content: Json | None) -> tuple[User, str, SignIn]:
    """The sign-in of a refresh token, if it goes on.

    Raises
    ------
    NotAuthorizedError
        another token, expired, revoked, or the user is disabled or gone.
    """
    if content is None or content["c"] != client.id or content["p"] != client.pool:
        raise _invalid()
    user = calls._state.tables.users.get(f"{content['p']}/{content['s']}")
    record = calls._state.tables.sign_ins.get(content["k"])
    if user is None:
        raise _invalid(_REVOKED, "unknown_principal")
    if calls._state.is_over(content) or record is None or record.until <= calls._state.now():
        raise _invalid("Refresh Token has expired", "expired")
    calls._tokens.check_sign_in(user, record, _REVOKED)
    if client.grace is None and record.live and record.live.get(content["id"]) != 0:
        raise _invalid(_REVOKED)  # replaced while the client rotated
    calls._state.note(sub=user.sub, origin_jti=record.origin)
    return user, content["k"], record


def renewed_tokens(
    calls: Calls, pool: Pool, client: Client, user: User, key: str, record: SignIn, metadata: Mapping[str, str]
) -> Json:
    sign_in = NewSignIn(key, _with_scopes_of(client, record))
    result = calls._tokens.issue(pool, client, user, sign_in, "RefreshTokens", metadata)
    return {"AuthenticationResult": result, "ChallengeParameters": {}}


def rotated_tokens(
    calls: Calls, pool: Pool, client: Client, content: Json | None, grace: int, metadata: Mapping[str, str]
) -> Json:
    """A new refresh token in place of one; a replaced one counts for `grace` seconds longer, then revokes the sign-in."""
    user, key, record = opened_sign_in(calls, client, content)
    assert content is not None
    answer = renewed_tokens(calls, pool, client, user, key, record, metadata)
    is_reused = False
    with calls._state.transaction():
        opened_sign_in(calls, client, content)
        record, now = calls._state.tables.sign_ins[key], calls._state.millis()
        replaced = record.live.get(content["id"]) if record.live else 0  # empty: made before the client rotated
        if replaced is None or (replaced and now >= replaced + grace * 1000):
            is_reused = True
            calls._state.put("sign_ins", key, replace(record, revoked=True))
        else:
            live = {id_: at for id_, at in record.live.items() if not at or now < at + grace * 1000}
            if len(live) >= MAX_LIVE:
                raise _invalid("too many refresh tokens of this sign-in")
            live[content["id"]] = replaced or now
            sign_in = NewSignIn(key, replace(record, live=live))
            token, sign_in = calls._tokens.refresh_token(pool, client, sign_in)
            calls._state.put("sign_ins", key, sign_in.record)
    if is_reused:
        raise CognitoError("Refresh Token has been used already", code="RefreshTokenReuseException", rule="UP83")
    answer["AuthenticationResult"]["RefreshToken"] = token
    return answer


def revoke_sign_in(calls: Calls, client: Client, token: Secret) -> None:
    """Revoke, for the API and for OAuth.

    Raises
    ------
    CognitoError
        UnsupportedOperationException, UnsupportedTokenTypeException, UnauthorizedException, or InvalidParameterException.
    """
    if not client.revocation:
        message = "Revocation is not enabled for this client"
        raise CognitoError(message, code="UnsupportedOperationException", rule="UP84")
    content = calls._state.open("refresh", token)
    if content is None:
        if calls._tokens.read(token) is not None:
            raise CognitoError("only refresh tokens can be revoked", code="UnsupportedTokenTypeException", rule="UP84")
        raise CognitoError("the token cannot be read", rule="UP84")
    if content["c"] != client.id:
        message = "the token was issued to another client"
        raise CognitoError(message, code="UnauthorizedException", rule="UP84")
    with calls._state.transaction():
        record = calls._state.tables.sign_ins.get(content["k"])
        if record is not None and not record.revoked:
            calls._state.put("sign_ins", content["k"], replace(record, revoked=True))
            calls._state.note(sub=record.sub, origin_jti=record.origin)


def sign_out(state: PoolState, user: User) -> User:
    """End every sign-in of a user made up to now, inside a transaction."""
    user = replace(state.current(user), signed_out=max(state.millis(), user.signed_out))
    state.put_user(user)
    return user
