"""One attempt to sign in, from step to step. Between steps its whole state is in the sealed `Session` string (UP41)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastiam.cognito.cognito_errors import CognitoError, NotAuthorizedError
from fastiam.cognito.user_pools import srp
from fastiam.cognito.user_pools.attributes import alias_kind
from fastiam.cognito.user_pools.calls import WRONG_PASSWORD, Calls
from fastiam.cognito.user_pools.state import INVALID_SESSION, Json, PoolState
from fastiam.cognito.user_pools.triggers import attributes_of, run_trigger
from fastiam.credentials.secret import Secret
from fastiam.directory.user_pool_records import Client, Pool, User

USER_SRP, USER_PASSWORD, ADMIN_PASSWORD, CUSTOM = "USER_SRP_AUTH", "USER_PASSWORD_AUTH", "ADMIN_USER_PASSWORD_AUTH", "CUSTOM_AUTH"
REFRESH = "REFRESH_TOKEN_AUTH"
MAX_SESSION = 4096  # characters
BLOCK_SECONDS = 60
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
        """The attempt in a `Session` string or secret block, for `resume`."""
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


def session_string(state: PoolState, attempt: Attempt, step: str, **extra: Any) -> Secret:
    """The `Session` string for the next step."""
    content = {**attempt.content, "u": attempt.custom, "o": attempt.oauth, "step": step, **extra}
    session = state.seal("session", content, attempt.client.session_validity)
    if len(session) > MAX_SESSION and attempt.oauth is None:
        raise CognitoError("the challenge is too large", code="InvalidLambdaResponseException", rule="UP41")
    return session


def next_challenge(state: PoolState, attempt: Attempt, step: str, parameters: Json, **extra: Any) -> Json:
    """The answer with the next challenge."""
    state.note(step=step)
    return {
        "ChallengeName": step,
        "Session": session_string(state, attempt, step, **extra),
        "ChallengeParameters": parameters,
    }


def open_session(state: PoolState, session: str | None, step: str, client_id: str | None = None) -> Json:
    """The content of a `Session` string for a step; of a client, if the call names one.

    Raises
    ------
    NotAuthorizedError
        unknown, altered, spent, expired, of another client or for another step.
    """
    content = None if session is None else state.open("session", session)
    if content is None or content["step"] != step or client_id not in (None, content["c"]) or state.is_spent(content):
        raise NotAuthorizedError(INVALID_SESSION, reason="token_invalid", rule="UP41")
    if state.is_over(content):
        raise NotAuthorizedError("Invalid session for the user, session is expired.", reason="expired", rule="UP41")
    return content


def resume(calls: Calls, content: Json, metadata: Mapping[str, str] | None = None) -> Attempt:
    """The attempt that a `Session` string or secret block continues.

    Raises
    ------
    NotAuthorizedError
        user, client or pool are gone, or the user has another password.
    """
    tables = calls._state.tables
    pool, client = tables.pools.get(content["p"]), tables.clients.get(content["c"])
    user = tables.users.get(f"{content['p']}/{content['s']}") if content["s"] else None
    if pool is None or client is None or (content["s"] and user is None):
        raise NotAuthorizedError(INVALID_SESSION, reason="unknown_principal", rule="UP41")
    if content.get("w") != calls._passwords.mark(user):
        raise NotAuthorizedError(INVALID_SESSION, reason="token_invalid", rule="UP72")
    calls._state.note(sub=content["s"], flow=content["f"])
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


def run_pre_authentication(state: PoolState, attempt: Attempt) -> None:
    """PreAuthentication may refuse, before the password is checked."""
    pool, client = attempt.pool, attempt.client
    request: Json = {"userAttributes": {}, "validationData": dict(attempt.metadata)}
    if attempt.user is not None:
        request["userAttributes"] = attributes_of(attempt.user)
    if client.hides_existence:
        request["userNotFound"] = attempt.user is None
    run_trigger(
        state, pool, "PreAuthentication", "Authentication", username=attempt.username, client_id=client.id, request=request
    )


def check_user(attempt: Attempt) -> User:
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


def is_reset_without_password(state: PoolState, attempt: Attempt) -> bool:
    """Whether the user came by import and must set a password first; only clients that do not hide users say so (4.17)."""
    user = attempt.user
    return (
        user is not None
        and user.status == "RESET_REQUIRED"
        and user.key not in state.tables.passwords
        and not attempt.client.hides_existence
    )


def failed_factor(calls: Calls, attempt: Attempt, message: str = WRONG_PASSWORD) -> NotAuthorizedError:
    """Count a failed first factor; the error to raise."""
    if is_reset_without_password(calls._state, attempt):
        raise CognitoError("Password reset required for the user", code="PasswordResetRequiredException", rule="4.17")
    calls._limits.failed(attempt.subject)
    return NotAuthorizedError(message, reason="wrong_password", rule="UP100")


def run_post_authentication(state: PoolState, attempt: Attempt, user: User) -> None:
    """PostAuthentication observes; its error refuses the tokens."""
    pool, client = attempt.pool, attempt.client
    request = {"userAttributes": attributes_of(user), "newDeviceUsed": False, "clientMetadata": dict(attempt.metadata)}
    run_trigger(state, pool, "PostAuthentication", "Authentication", username=user.username, client_id=client.id, request=request)


def succeed(calls: Calls, attempt: Attempt, user: User, spend: Json | None) -> None:
    """The last check of a sign-in, inside the transaction that records it: nothing has changed meanwhile (UP72)."""
    calls._limits.check_lock(attempt.subject)
    current = calls._state.current(user)
    is_same = current.enabled and current.status == user.status and calls._passwords.mark(current) == attempt.mark
    if not is_same or calls._state.millis() <= current.signed_out:
        raise NotAuthorizedError(INVALID_SESSION, reason="token_invalid", rule="UP72")
    if spend is not None:
        calls._state.spend(spend)
    calls._limits.succeeded(attempt.subject)


def _srp_name(state: PoolState, attempt: Attempt) -> str:
    """`USER_ID_FOR_SRP`: the real user name; for an unknown one what cannot be distinguished from it (UP56)."""
    if attempt.user is not None:
        return attempt.user.username
    pool, folded = attempt.pool, state.store.fold(attempt.pool.id, attempt.name)
    if not pool.username_attributes and alias_kind(attempt.name) not in pool.alias_attributes:
        return folded
    raw = bytearray(state.keyed_hash(pool, "srp name", folded)[:16])
    raw[6], raw[8] = raw[6] & 0x0F | 0x40, raw[8] & 0x3F | 0x80
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def srp_challenge(calls: Calls, attempt: Attempt, public: int) -> Json:
    """The challenge `PASSWORD_VERIFIER`; its state is in the secret block (UP53)."""
    salt, verifier, _ = calls._passwords.verifier_of(attempt.pool, attempt.user, attempt.name)
    while (shake := srp.answer(public, verifier, int.from_bytes(calls._state.random(32)))) is None:
        pass
    name = _srp_name(calls._state, attempt)
    numbers = {"A": f"{public:x}", "b": f"{shake.b:x}", "B": f"{shake.public:x}"}
    content = {**attempt.content, "srp": name, **numbers}
    block = calls._state.seal("block", content, BLOCK_SECONDS)
    parameters = {
        "SALT": f"{salt:x}",
        "SRP_B": f"{shake.public:x}",
        "SECRET_BLOCK": base64.b64encode(base64.urlsafe_b64decode(block + "=" * (-len(block) % 4))).decode(),
        "USERNAME": name,
        "USER_ID_FOR_SRP": name,
    }
    if attempt.custom is not None:
        return next_challenge(calls._state, attempt, "PASSWORD_VERIFIER", parameters)
    calls._state.note(step="PASSWORD_VERIFIER")
    return {"ChallengeName": "PASSWORD_VERIFIER", "ChallengeParameters": parameters}


def password_challenge(calls: Calls, attempt: Attempt) -> Json:
    """The same inside of custom authentication."""
    assert attempt.custom is not None
    return srp_challenge(calls, attempt, int(attempt.custom["A"], 16))
