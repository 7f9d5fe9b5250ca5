"""The logic of the authorization endpoint with its pages (4.16). A server adds HTTP, HTML and cookies (`OAuthAnswer`)."""

from __future__ import annotations

from dataclasses import replace

from fastiam.cognito.cognito_errors import NotAuthorizedError
from fastiam.cognito.user_pools.attempt import (
    USER_PASSWORD,
    Attempt,
    failed_factor,
    open_session,
    run_pre_authentication,
)
from fastiam.cognito.user_pools.calls import WRONG_PASSWORD, Calls
from fastiam.cognito.user_pools.federated import start_provider
from fastiam.cognito.user_pools.migration import migrate
from fastiam.cognito.user_pools.oauth_requests import (
    OAuthAnswer,
    OAuthError,
    Parameters,
    digest,
    open_page,
    read_parameters,
    read_request,
    redirect_of,
    refusal,
)
from fastiam.cognito.user_pools.sign_in import after_password, respond
from fastiam.cognito.user_pools.sign_in_grants import goes_on, grant_redirect
from fastiam.cognito.user_pools.state import Json
from fastiam.credentials.secret import Secret, hidden, takes_secrets
from fastiam.directory.user_pool_records import Client, Pool, User

PAGE_SECONDS = 900


class OAuthCalls(Calls):
    """`/oauth2/authorize` with its pages, and `/logout`."""

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
            found = redirect_of(self._state, given)
            if isinstance(found, OAuthAnswer):
                return found
            pool, client, address = found
            self._state.note(pool=pool.id, client=client.id)
            try:
                request = read_request(client, given, address)
                provider = self._provider_of(pool, client, given)
            except OAuthError as error:
                return refusal(self._state, error, given, address)
            signed_in = self._signed_in(pool, client, cookie)
            if signed_in is not None and provider is None:
                user, made, origin = signed_in
                return OAuthAnswer(
                    kind="redirect", location=grant_redirect(self, pool, client, user, {**request, **origin}, made)
                )
            browser = Secret(self._state.new_id())
            request = {**request, "c": client.id, "p": pool.id, "browser": digest(browser)}
            sealed = self._state.seal("page", request, PAGE_SECONDS)
            if provider is not None:
                return start_provider(self._state, pool, client, provider, sealed, browser)
            return OAuthAnswer(kind="sign_in", request=sealed, browser=browser)

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

    # -- sign-in on a page ------------------------------------------------------------------------------------------------

    @takes_secrets("request", "browser", "password")
    def oauth_sign_in(self, *, request: str, browser: str | None, username: str, password: str) -> OAuthAnswer:
        """The sign-in form: a redirect with a code, or the next challenge.

        Raises
        ------
        NotAuthorizedError, CognitoError
            as `initiate_auth` with a password.
        """
        with self._state.event("OAuthSignIn"):
            content = open_page(self._state, request, browser)
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
            attempt = Attempt(
                pool, client, USER_PASSWORD, False, user, real, subject, oauth=content, mark=self._passwords.mark(user)
            )
            self._limits.check_lock(subject)
            run_pre_authentication(self._state, attempt)
            if not self._passwords.matches(pool, user, username, hidden(password)):
                raise failed_factor(self, attempt)
            return _answer_page(after_password(self, attempt))

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
            content = open_page(self._state, request, browser)
            _, client = self._client(content["c"])
            given = read_parameters(answers)
            answered = open_session(self._state, session, challenge_name, client.id)
            if answered["o"] is None or answered["o"]["id"] != content["id"]:
                raise NotAuthorizedError("the page has expired, start again", reason="token_invalid", rule="UP96")
            return _answer_page(respond(self, client, challenge_name, session, given, {}, is_admin=False, is_page=True))

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
        if user is None or not goes_on(self, user, content["m"], content):
            return None
        return user, content["m"], {name: content[name] for name in ("i", "w")}

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


def _answer_page(answer: Json) -> OAuthAnswer:
    if "ChallengeName" in answer:
        return OAuthAnswer(kind="challenge", challenge=answer)
    return OAuthAnswer(kind="redirect", location=answer["Location"], cookie=answer["Cookie"])
