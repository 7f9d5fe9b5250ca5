"""The logic of the authorization endpoint with its pages (4.16). A server adds HTTP, HTML and cookies (`OAuthAnswer`)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

from fastiam.cognito.errors import NotAuthorizedError
from fastiam.cognito.user_pools.attempt import USER_PASSWORD, Attempt
from fastiam.cognito.user_pools.calls import WRONG_PASSWORD
from fastiam.cognito.user_pools.migration import migrate
from fastiam.cognito.user_pools.oauth_requests import (
    OAuthAnswer,
    OAuthError,
    Parameters,
    read_parameters,
    read_request,
    redirect,
    still_allowed,
)
from fastiam.cognito.user_pools.oauth_tokens import OAuthTokenCalls
from fastiam.cognito.user_pools.sign_in import SignInCalls
from fastiam.cognito.user_pools.state import Json
from fastiam.credentials.secret import Secret, hidden, takes_secrets
from fastiam.directory.user_pool_records import Client, Pool, User

CODE_SECONDS, PAGE_SECONDS, COOKIE_SECONDS = 300, 900, 3600


class OAuthCalls(SignInCalls, OAuthTokenCalls):
    """`/oauth2/authorize` with its pages, and `/logout`."""

    # -- authorize --------------------------------------------------------------------------------------------------------

    @takes_secrets("cookie")
    def oauth_authorize(self, parameters: Parameters, *, cookie: str | None = None) -> OAuthAnswer:
        """`/oauth2/authorize`: the sign-in page, a redirect with a code if the session cookie is good, or an error.

        Parameters
        ----------
        parameters
            of the query.
        cookie
            the session cookie.
        """
        with self._state.event("OAuthAuthorize"):
            try:
                given = read_parameters(parameters)
            except OAuthError as error:
                return OAuthAnswer(kind="error", message=error.message)
            found = self._redirect_of(given)
            if isinstance(found, OAuthAnswer):
                return found
            pool, client, address = found
            self._state.note(pool=pool.id, client=client.id)
            try:
                request = read_request(client, given, address)
                provider = self._provider_of(pool, client, given)
            except OAuthError as error:
                return self._refusal(error.code, given.get("state", ""), address, given.get("response_type") == "token")
            signed_in = self._signed_in(pool, client, cookie)
            if signed_in is not None and provider is None:
                user, made, origin = signed_in
                return OAuthAnswer(kind="redirect", location=self._grant(pool, client, user, {**request, **origin}, made))
            browser = Secret(self._state.new_id())
            request = {**request, "c": client.id, "p": pool.id, "browser": _digest(browser)}
            sealed = self._state.seal("page", request, PAGE_SECONDS)
            if provider is not None:
                return self._start_provider(pool, client, provider, sealed, browser)
            return OAuthAnswer(kind="sign_in", request=sealed, browser=browser)

    def _redirect_of(self, given: Json) -> tuple[Pool, Client, str] | OAuthAnswer:
        """Client and redirect address; an error page if one of them is not known. It never redirects."""
        client = self._state.tables.clients.get(given.get("client_id", ""))
        if client is None:
            return OAuthAnswer(kind="error", message="the client is not known")
        address = given.get("redirect_uri")
        if address is None and len(client.providers) <= 1:
            address = client.default_redirect or None
        if address is None or address not in client.callbacks:
            return OAuthAnswer(kind="error", message="the redirect address is not registered")
        return self._state.pool(client.pool), client, address

    def _refusal(self, code: str, state: str, address: str, is_fragment: bool) -> OAuthAnswer:
        self._state.note(refused=code)
        location = redirect(address, {"error": code, "state": state}, fragment=is_fragment)
        return OAuthAnswer(kind="redirect", location=location)

    def _provider_of(self, pool: Pool, client: Client, given: Json) -> str | None:
        """The outside provider that a request names."""
        name, identifier = given.get("identity_provider"), given.get("idp_identifier")
        if name is not None and identifier is not None:
            raise OAuthError("the request names two providers", code="invalid_request", rule="UP90")
        if identifier is not None:
            names = [p.name for p in self._state.store.providers(pool.id) if identifier in p.identifiers]
            name = names[0] if names else ""
        if name in (None, "COGNITO"):
            return None
        if name not in client.providers:
            raise OAuthError("the client does not allow this provider", code="invalid_request", rule="UP90")
        return str(name)

    def _start_provider(self, pool: Pool, client: Client, name: str, request: Secret, browser: Secret) -> OAuthAnswer:
        """Send the browser to an outside provider."""
        raise NotImplementedError

    # -- sign-in on a page ------------------------------------------------------------------------------------------------

    def _open_page(self, request: str, browser: str | None) -> Json:
        """The authorization request that a page is for; of this browser.

        Raises
        ------
        NotAuthorizedError
            another text, over, or another browser.
        """
        content = self._state.open("page", request)
        is_own = content is not None and browser is not None and hmac.compare_digest(content["browser"], _digest(browser))
        if content is None or not is_own or self._state.is_over(content) or self._state.is_spent(content):
            raise NotAuthorizedError("the page has expired, start again", reason="token_invalid", rule="UP96")
        client = self._state.tables.clients.get(content["c"])
        flow = "code" if content["kind"] == "code" else "implicit"
        if client is None or not client.oauth or flow not in client.oauth_flows or not still_allowed(client, content):
            raise NotAuthorizedError("the client has changed, start again", reason="token_invalid", rule="UP96")
        return content

    @takes_secrets("request", "browser", "password")
    def oauth_sign_in(self, *, request: str, browser: str | None, username: str, password: str) -> OAuthAnswer:
        """The sign-in form: a redirect with a code, or the next challenge.

        Raises
        ------
        NotAuthorizedError, CognitoError
            as `initiate_auth` with a password.
        """
        with self._state.event("OAuthSignIn"):
            content = self._open_page(request, browser)
            pool, client = self._client(content["c"])
            user = self._state.store.user(pool.id, username)
            if user is None:
                user = migrate(self, pool, client, username, "Authentication", hidden(password), {})
            if user is None and not client.hides_existence:
                raise self._not_found()
            if client.providers and "COGNITO" not in client.providers:
                raise NotAuthorizedError(WRONG_PASSWORD, reason="not_allowed", rule="UP90")
            subject = self._limits.subject(pool, user, username)
            real = username if user is None else user.username
            attempt = Attempt(pool, client, USER_PASSWORD, False, user, real, subject, oauth=content, mark=self._mark(user))
            self._limits.check_lock(subject)
            self._run_pre_authentication(attempt)
            if not self._passwords.matches(pool, user, username, hidden(password)):
                raise self._fail(attempt)
            return self._answer_page(self._after_password(attempt))

    @takes_secrets("request", "browser", "session", forms=("answers",))
    def oauth_answer(
        self, *, request: str, browser: str | None, session: str, challenge_name: str, answers: Parameters
    ) -> OAuthAnswer:
        """The form of a challenge.

        Raises
        ------
        NotAuthorizedError, CognitoError
            as `respond_to_auth_challenge`.
        """
        with self._state.event("OAuthAnswer"):
            content = self._open_page(request, browser)
            _, client = self._client(content["c"])
            given = read_parameters(answers)
            answered = self._open_session(session, challenge_name, client.id)
            if answered["o"] is None or answered["o"]["id"] != content["id"]:
                raise NotAuthorizedError("the page has expired, start again", reason="token_invalid", rule="UP96")
            return self._answer_page(self._respond(client, challenge_name, session, given, {}, is_admin=False, is_page=True))

    def _answer_page(self, answer: Json) -> OAuthAnswer:
        if "ChallengeName" in answer:
            return OAuthAnswer(kind="challenge", challenge=answer)
        return OAuthAnswer(kind="redirect", location=answer["Location"], cookie=answer["Cookie"])

    def _finish_page(self, attempt: Attempt, user: User, spend: Json | None) -> Json:
        """All factors are there: a code or, in the implicit flow, tokens; and the session cookie."""
        assert attempt.oauth is not None
        self._run_post_authentication(attempt, user)
        with self._state.transaction():
            self._succeed(attempt, user, spend)
            self._state.spend(attempt.oauth)
        made = self._state.millis()
        origin = self._origin(user, "")
        location = self._grant(attempt.pool, attempt.client, user, {**attempt.oauth, **origin}, made)
        return {"Location": location, "Cookie": self._cookie(attempt.pool, user, made, origin)}

    def _cookie(self, pool: Pool, user: User, made: int, origin: Json) -> Secret:
        """The session cookie; `origin` is what `_origin` gave."""
        return self._state.seal("cookie", {"p": pool.id, "s": user.sub, "m": made, **origin}, COOKIE_SECONDS)

    def _signed_in(self, pool: Pool, client: Client, cookie: str | None) -> tuple[User, int, Json] | None:
        """The user of a session cookie, when it signed in, and by what, which the client allows."""
        content = None if not cookie else self._state.open("cookie", cookie)
        if content is None or content["p"] != pool.id or self._state.is_over(content):
            return None
        known = [provider.name for provider in self._state.store.providers(pool.id) if provider.unique_id == content["i"]]
        name = "COGNITO" if content["i"] == "" else known[0] if known else None
        if name not in (client.providers or ("COGNITO",)):
            return None
        user = self._state.tables.users.get(f"{pool.id}/{content['s']}")
        if user is None or not self._goes_on(user, content["m"], content):
            return None
        return user, content["m"], {name: content[name] for name in ("i", "w")}

    def _grant(self, pool: Pool, client: Client, user: User, request: Json, made: int) -> Secret:
        """The redirect with a code, or with tokens in the implicit flow. The request has what `_origin` gave."""
        if request["kind"] == "code":
            content = {
                **{name: request[name] for name in ("redirect", "scopes", "nonce", "challenge", "i", "w")},
                "c": client.id,
                "p": pool.id,
                "s": user.sub,
                "m": made,
            }
            code = self._state.seal("code", content, CODE_SECONDS)
            return redirect(request["redirect"], {"code": code, "state": request["state"]})
        tokens = self._issue_oauth(pool, client, user, request, made, with_refresh=False)
        names = ("id_token", "access_token", "token_type")
        values = {name: tokens[name] for name in names if name in tokens} | {"expires_in": str(tokens["expires_in"])}
        return redirect(request["redirect"], {**values, "state": request["state"]}, fragment=True)

    def oauth_logout(self, parameters: Parameters) -> OAuthAnswer:
        """`/logout`: clears the session cookie, and goes to a registered sign-out address or back to the sign-in page."""
        with self._state.event("OAuthLogout"):
            try:
                given = read_parameters(parameters)
            except OAuthError as error:
                return OAuthAnswer(kind="error", message=error.message)
            client = self._state.tables.clients.get(given.get("client_id", ""))
            address = given.get("logout_uri")
            if client is not None and address is not None and address in client.logouts:
                return OAuthAnswer(kind="redirect", location=Secret(address), cookie=Secret())
            if address is None and client is not None and "redirect_uri" in given:
                return replace(self.oauth_authorize(given), cookie=Secret())
            return OAuthAnswer(kind="error", message="the sign-out address is not registered")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
