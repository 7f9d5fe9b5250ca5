"""What a complete sign-in gives: tokens; on a page a code or tokens in a redirect, and the session cookie."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from fastiam.cognito.user_pools.attempt import Attempt, check_user, run_post_authentication, succeed
from fastiam.cognito.user_pools.attributes import can_read
from fastiam.cognito.user_pools.calls import Calls
from fastiam.cognito.user_pools.oauth_requests import OAuthError, redirect
from fastiam.cognito.user_pools.state import Json
from fastiam.credentials.secret import Secret
from fastiam.directory.user_pool_records import Client, Pool, User

CODE_SECONDS, COOKIE_SECONDS = 300, 3600
_GRANT = "invalid_grant"


def finish(calls: Calls, attempt: Attempt, source: str = "Authentication", spend: Json | None = None) -> Json:
    """Step 5: tokens. `spend` is a `Session` string that this answers.

    Raises
    ------
    NotAuthorizedError
        the user was disabled, deleted or signed out or got another password meanwhile, or the string was used meanwhile.
    CognitoError
        a trigger refuses.
    """
    state, pool, client, user = calls._state, attempt.pool, attempt.client, check_user(attempt)
    if attempt.oauth is not None:
        return _finish_page(calls, attempt, user, spend)
    refresh, sign_in = calls._tokens.refresh_token(pool, client, calls._tokens.new_sign_in(pool, client, user))
    result = calls._tokens.issue(pool, client, user, sign_in, source, attempt.metadata)
    run_post_authentication(calls._state, attempt, user)
    with state.transaction():
        succeed(calls, attempt, user, spend)
        state.put("sign_ins", sign_in.key, sign_in.record)
    return {"AuthenticationResult": {**result, "RefreshToken": refresh}, "ChallengeParameters": {}}


def goes_on(calls: Calls, user: User | None, made: int, origin: Json) -> bool:
    """Whether a sign-in on a page, that made a code or a session cookie, goes on (UP96).

    Parameters
    ----------
    made
        when the user signed in, in milliseconds.
    origin
        what the sign-in rested on then. A password may be reset or replaced meanwhile.
    """
    if user is None or not user.enabled or made <= user.signed_out:
        return False
    return bool(origin["i"]) or (user.status == "CONFIRMED" and origin["w"] == calls._passwords.mark(user))


def issue_oauth(
    calls: Calls,
    pool: Pool,
    client: Client,
    user: User,
    request: Json,
    made: int,
    *,
    with_refresh: bool,
    spend: Json | None = None,
) -> Json:
    """Record a sign-in and give its tokens, in OAuth's form. `spend` is the authorization code."""
    scopes = tuple(request["scopes"])
    for scope, attribute in (("email", "email"), ("phone", "phone_number")):
        if scope in scopes and not can_read(client, attribute):
            raise OAuthError("the client cannot read an attribute of a scope", code=_GRANT)
    sign_in = calls._tokens.new_sign_in(pool, client, user, scopes=scopes, nonce=request["nonce"])
    until = datetime.fromtimestamp(made / 1000, UTC) + timedelta(seconds=client.refresh_validity)
    sign_in = replace(sign_in, record=replace(sign_in.record, made=made, until=until))
    refresh = None
    if with_refresh:
        refresh, sign_in = calls._tokens.refresh_token(pool, client, sign_in)
    result = calls._tokens.issue(pool, client, user, sign_in, "HostedAuth")
    with calls._state.transaction():
        if not goes_on(calls, calls._state.tables.users.get(user.key), made, request):
            raise OAuthError("the user has signed out", code=_GRANT)
        if spend is not None:
            calls._state.spend(spend, sign_in.key)
        calls._state.put("sign_ins", sign_in.key, sign_in.record)
    return as_oauth(result) | ({} if refresh is None else {"refresh_token": refresh})


def _finish_page(calls: Calls, attempt: Attempt, user: User, spend: Json | None) -> Json:
    """All factors are there: a code or, in the implicit flow, tokens; and the session cookie."""
    assert attempt.oauth is not None
    run_post_authentication(calls._state, attempt, user)
    with calls._state.transaction():
        succeed(calls, attempt, user, spend)
        calls._state.spend(attempt.oauth)
    location, cookie = signed_in_on_page(calls, attempt.pool, attempt.client, user, attempt.oauth)
    return {"Location": location, "Cookie": cookie}


def signed_in_on_page(
    calls: Calls, pool: Pool, client: Client, user: User, request: Json, provider: str = ""
) -> tuple[Secret, Secret]:
    """The redirect and the session cookie. Both rest on an outside provider, by its unique id, or on the password of the user."""
    made, origin = calls._state.millis(), {"i": provider, "w": "" if provider else calls._passwords.mark(user)}
    location = grant_redirect(calls, pool, client, user, {**request, **origin}, made)
    cookie = {"p": pool.id, "s": user.sub, "m": made, **origin}
    return location, calls._state.seal("cookie", cookie, COOKIE_SECONDS)


def grant_redirect(calls: Calls, pool: Pool, client: Client, user: User, request: Json, made: int) -> Secret:
    """The redirect with a code, or with tokens in the implicit flow. The request has what it rests on."""
    if request["kind"] == "code":
        content = {
            **{name: request[name] for name in ("redirect", "scopes", "nonce", "challenge", "i", "w")},
            "c": client.id,
            "p": pool.id,
            "s": user.sub,
            "m": made,
        }
        code = calls._state.seal("code", content, CODE_SECONDS)
        return redirect(request["redirect"], {"code": code, "state": request["state"]})
    tokens = issue_oauth(calls, pool, client, user, request, made, with_refresh=False)
    names = ("id_token", "access_token", "token_type")
    values = {name: tokens[name] for name in names if name in tokens} | {"expires_in": str(tokens["expires_in"])}
    return redirect(request["redirect"], {**values, "state": request["state"]}, fragment=True)


def as_oauth(result: Json) -> Json:
    """`AuthenticationResult` with the names of OAuth."""
    names = {"AccessToken": "access_token", "IdToken": "id_token", "ExpiresIn": "expires_in", "TokenType": "token_type"}
    return {names[name]: value for name, value in result.items() if name in names}
