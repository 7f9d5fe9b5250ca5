"""One attempt to sign in, from step to step. Between steps its whole state is in the sealed `Session` string (UP41)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastiam.cognito.errors import CognitoError, NotAuthorizedError
from fastiam.cognito.user_pools.calls import WRONG_PASSWORD, Calls
from fastiam.cognito.user_pools.state import INVALID_SESSION, Json
from fastiam.cognito.user_pools.triggers import attributes_of, run_trigger
from fastiam.credentials.secret import Secret
from fastiam.directory.user_pool_records import Client, Pool, User

USER_SRP, USER_PASSWORD, ADMIN_PASSWORD, CUSTOM = "USER_SRP_AUTH", "USER_PASSWORD_AUTH", "ADMIN_USER_PASSWORD_AUTH", "CUSTOM_AUTH"
REFRESH = "REFRESH_TOKEN_AUTH"
MAX_SESSION = 4096  # characters
_OLD = {"ADMIN_NO_SRP_AUTH": ADMIN_PASSWORD, "USER_PASSWORD_AUTH": USER_PASSWORD}


def allowed_flows(client: Client) -> set[str]:
    """The flows that a client allows."""
    new = {flow.removeprefix("ALLOW_") for flow in client.flows if flow.startswith("ALLOW_")}
    if new:
        return new
    if "CUSTOM_AUTH_FLOW_ONLY" in client.flows:
        return {CUSTOM, REFRESH}
    return {USER_SRP, CUSTOM, REFRESH} | {_OLD[flow] for flow in client.flows if flow in _OLD}


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to sign in.

    Attributes
    ----------
    user
        None for an unknown name, in pools that hide it.
    name
        the user name as given; of a user its real one.
    subject
        under which attempts are counted.
    custom
        the state of custom authentication, None in other flows.
    oauth
        the authorization request that a sign-in on a page is for, None for sign-in by the API.
    metadata
        `ClientMetadata`, for triggers.
    mark
        that of the password with which it began.
    """

    pool: Pool
    client: Client
    flow: str
    is_admin: bool
    user: User | None
    name: str
    subject: str
    custom: Json | None = None
    oauth: Json | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    mark: str = ""

    @property
    def username(self) -> str:
        """The user name, in triggers."""
        return self.name if self.user is None else self.user.username

    @property
    def content(self) -> Json:
        """The attempt in a `Session` string or secret block, for `_resume`."""
        return {
            "p": self.pool.id,
            "c": self.client.id,
            "s": "" if self.user is None else self.user.sub,
            "n": self.name,
            "q": self.subject,
            "f": self.flow,
            "adm": self.is_admin,
            "w": self.mark,
        }


class AttemptCalls(Calls):
    """Steps that all flows share."""

    # -- session strings --------------------------------------------------------------------------------------------------

    def _session(self, attempt: Attempt, step: str, **extra: Any) -> Secret:
        """The `Session` string for the next step."""
        content = {**attempt.content, "u": attempt.custom, "o": attempt.oauth, "step": step, **extra}
        session = self._state.seal("session", content, attempt.client.session_validity)
        if len(session) > MAX_SESSION and attempt.oauth is None:
            raise CognitoError("the challenge is too large", code="InvalidLambdaResponseException", rule="UP41")
        return session

    def _challenge(self, attempt: Attempt, step: str, parameters: Json, **extra: Any) -> Json:
        """The answer with the next challenge."""
        self._state.note(step=step)
        return {
            "ChallengeName": step,
            "Session": self._session(attempt, step, **extra),
            "ChallengeParameters": parameters,
        }

    def _open_session(self, session: str | None, step: str, client_id: str | None = None) -> Json:
        """The content of a `Session` string for a step; of a client, if the call names one.

        Raises
        ------
        NotAuthorizedError
            unknown, altered, spent, expired, of another client or for another step.
        """
        content = None if session is None else self._state.open("session", session)
        if content is None or content["step"] != step or client_id not in (None, content["c"]) or self._state.is_spent(content):
            raise NotAuthorizedError(INVALID_SESSION, reason="token_invalid", rule="UP41")
        if self._state.is_over(content):
            raise NotAuthorizedError("Invalid session for the user, session is expired.", reason="expired", rule="UP41")
        return content

    def _resume(self, content: Json, metadata: Mapping[str, str] | None = None) -> Attempt:
        """The attempt that a `Session` string or secret block continues.

        Raises
        ------
        NotAuthorizedError
            user, client or pool are gone, or the user has another password.
        """
        tables = self._state.tables
        pool, client = tables.pools.get(content["p"]), tables.clients.get(content["c"])
        user = tables.users.get(f"{content['p']}/{content['s']}") if content["s"] else None
        if pool is None or client is None or (content["s"] and user is None):
            raise NotAuthorizedError(INVALID_SESSION, reason="unknown_principal", rule="UP41")
        if content.get("w") != self._mark(user):
            raise NotAuthorizedError(INVALID_SESSION, reason="token_invalid", rule="UP72")
        self._state.note(sub=content["s"], flow=content["f"])
        return Attempt(
            pool,
            client,
            content["f"],
            content["adm"],
            user,
            content["n"],
            content["q"],
            content.get("u"),
            content.get("o"),
            metadata or {},
            content["w"],
        )

    def _mark(self, user: User | None) -> str:
        """What differs for each password that a user has had."""
        return "" if user is None else self._passwords.mark(user)

    # -- 4.8 --------------------------------------------------------------------------------------------------------------

    def _run_pre_authentication(self, attempt: Attempt) -> None:
        """PreAuthentication may refuse, before the password is checked."""
        request: Json = {"userAttributes": {}, "validationData": dict(attempt.metadata)}
        if attempt.user is not None:
            request["userAttributes"] = attributes_of(attempt.user)
        if attempt.client.hides_existence:
            request["userNotFound"] = attempt.user is None
        run_trigger(
            self._state,
            attempt.pool,
            "PreAuthentication",
            "Authentication",
            username=attempt.username,
            client_id=attempt.client.id,
            request=request,
            response={},
        )

    def _check_user(self, attempt: Attempt) -> User:
        """Step 2: the state of a user whose first factor was right.

        Raises
        ------
        NotAuthorizedError
            disabled.
        CognitoError
            UserNotConfirmedException, PasswordResetRequiredException.
        """
        user = attempt.user
        if user is None:
            raise NotAuthorizedError(WRONG_PASSWORD, reason="wrong_password", rule="4.17")
        if not user.enabled:
            message = WRONG_PASSWORD if attempt.client.hides_existence else "User is disabled."
            raise NotAuthorizedError(message, reason="wrong_password", rule="4.4")
        if user.status == "UNCONFIRMED":
            raise CognitoError("User is not confirmed.", code="UserNotConfirmedException", rule="4.4")
        if user.status == "RESET_REQUIRED":
            raise CognitoError("Password reset required for the user", code="PasswordResetRequiredException", rule="4.4")
        return user

    def _is_reset_without_password(self, attempt: Attempt) -> bool:
        """Whether the user came by import and must set a password first; only clients that do not hide users say so (4.17)."""
        user = attempt.user
        return (
            user is not None
            and user.status == "RESET_REQUIRED"
            and user.key not in self._state.tables.passwords
            and not attempt.client.hides_existence
        )

    def _fail(self, attempt: Attempt, message: str = WRONG_PASSWORD) -> NotAuthorizedError:
        """Count a failed first factor; the error to raise."""
        if self._is_reset_without_password(attempt):
            raise CognitoError("Password reset required for the user", code="PasswordResetRequiredException", rule="4.17")
        self._limits.failed(attempt.subject)
        return NotAuthorizedError(message, reason="wrong_password", rule="UP100")

    def _finish(self, attempt: Attempt, source: str = "Authentication", spend: Json | None = None) -> Json:
        """Step 5: tokens. `spend` is a `Session` string that this answers.

        Raises
        ------
        NotAuthorizedError
            the user was disabled, deleted or signed out or got another password meanwhile, or the string was used meanwhile.
        CognitoError
            a trigger refuses.
        """
        state, pool, client, user = self._state, attempt.pool, attempt.client, self._check_user(attempt)
        if attempt.oauth is not None:
            return self._finish_page(attempt, user, spend)
        refresh, sign_in = self._tokens.refresh_token(pool, client, self._tokens.new_sign_in(pool, client, user))
        result = self._tokens.issue(pool, client, user, sign_in, source, attempt.metadata)
        self._run_post_authentication(attempt, user)
        with state.transaction():
            self._succeed(attempt, user, spend)
            state.put("sign_ins", sign_in.key, sign_in.record)
        return {"AuthenticationResult": {**result, "RefreshToken": refresh}, "ChallengeParameters": {}}

    def _finish_page(self, attempt: Attempt, user: User, spend: Json | None) -> Json:
        """Step 5 of a sign-in on a page."""
        raise NotImplementedError

    def _run_post_authentication(self, attempt: Attempt, user: User) -> None:
        """PostAuthentication observes; its error refuses the tokens."""
        run_trigger(
            self._state,
            attempt.pool,
            "PostAuthentication",
            "Authentication",
            username=user.username,
            client_id=attempt.client.id,
            request={"userAttributes": attributes_of(user), "newDeviceUsed": False, "clientMetadata": dict(attempt.metadata)},
            response={},
        )

    def _succeed(self, attempt: Attempt, user: User, spend: Json | None) -> None:
        """The last check of a sign-in, inside the transaction that records it: nothing has changed meanwhile (UP72)."""
        self._limits.check_lock(attempt.subject)
        current = self._state.current(user)
        is_same = current.enabled and current.status == user.status and self._mark(current) == attempt.mark
        if not is_same or self._state.millis() <= current.signed_out:
            raise NotAuthorizedError(INVALID_SESSION, reason="token_invalid", rule="UP72")
        if spend is not None:
            self._state.spend(spend)
        self._limits.succeeded(attempt.subject)
