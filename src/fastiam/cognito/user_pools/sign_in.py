"""Sign-in: the first factor by SRP or password, the answers to challenges, and the order of the steps (4.7, 4.8)."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from fastiam.cognito.cognito_errors import CognitoError, NotAuthorizedError
from fastiam.cognito.user_pools import srp
from fastiam.cognito.user_pools.attempt import (
    ADMIN_PASSWORD,
    CUSTOM,
    REFRESH,
    USER_PASSWORD,
    USER_SRP,
    Attempt,
    allowed_flows,
    check_user,
    failed_factor,
    is_reset_without_password,
    next_challenge,
    open_session,
    resume,
    run_pre_authentication,
    srp_challenge,
)
from fastiam.cognito.user_pools.attributes import (
    changed_values,
    listed,
    missing_required,
    read_attributes,
    refused,
    schema_of,
)
from fastiam.cognito.user_pools.calls import WRONG_PASSWORD, Calls, parameter
from fastiam.cognito.user_pools.custom import answer_custom, define, with_step
from fastiam.cognito.user_pools.migration import migrate
from fastiam.cognito.user_pools.operations import operation, plain
from fastiam.cognito.user_pools.passwords import check_policy
from fastiam.cognito.user_pools.refresh import refresh_tokens
from fastiam.cognito.user_pools.sign_in_grants import finish
from fastiam.cognito.user_pools.state import INVALID_SESSION, Json, PoolState
from fastiam.cognito.user_pools.user_mfa import answer_choice, answer_factor, second_factor
from fastiam.credentials.secret import Secret
from fastiam.directory.user_pool_records import Client, Pool, User

_NAMES = {"ADMIN_NO_SRP_AUTH": ADMIN_PASSWORD, "REFRESH_TOKEN": REFRESH}
_PUBLIC, _ADMIN = {USER_SRP, USER_PASSWORD, CUSTOM, REFRESH}, {USER_SRP, ADMIN_PASSWORD, CUSTOM, REFRESH}


class SignInCalls(Calls):
    """InitiateAuth, RespondToAuthChallenge and their admin twins."""

    @operation
    def initiate_auth(
        self,
        *,
        client_id: str,
        auth_flow: str,
        auth_parameters: Mapping[str, str] | None = None,
        client_metadata: Mapping[str, str] | None = None,
        user_context_data: Mapping[str, str] | None = None,
    ) -> Json:
        """Begin to sign in, or refresh tokens. `user_context_data` has no effect: it serves threat protection only."""
        pool, client = self._client(client_id)
        return self._initiate(pool, client, auth_flow, auth_parameters or {}, client_metadata or {}, is_admin=False)

    @operation
    def admin_initiate_auth(
        self,
        *,
        user_pool_id: str,
        client_id: str,
        auth_flow: str,
        auth_parameters: Mapping[str, str] | None = None,
        client_metadata: Mapping[str, str] | None = None,
        context_data: Mapping[str, object] | None = None,
    ) -> Json:
        """Begin to sign a user in from a server. `context_data` has no effect: it serves threat protection only."""
        pool, client = self._client(client_id, user_pool_id)
        return self._initiate(pool, client, auth_flow, auth_parameters or {}, client_metadata or {}, is_admin=True)

    @operation
    def respond_to_auth_challenge(
        self,
        *,
        client_id: str,
        challenge_name: str,
        session: str | None = None,
        challenge_responses: Mapping[str, str] | None = None,
        client_metadata: Mapping[str, str] | None = None,
        user_context_data: Mapping[str, str] | None = None,
    ) -> Json:
        """Answer a challenge. `user_context_data` has no effect."""
        _, client = self._client(client_id)
        return respond(self, client, challenge_name, session, challenge_responses or {}, client_metadata or {}, is_admin=False)

    @operation
    def admin_respond_to_auth_challenge(
        self,
        *,
        user_pool_id: str,
        client_id: str,
        challenge_name: str,
        session: str | None = None,
        challenge_responses: Mapping[str, str] | None = None,
        client_metadata: Mapping[str, str] | None = None,
        context_data: Mapping[str, object] | None = None,
    ) -> Json:
        """Answer a challenge of `admin_initiate_auth`. `context_data` has no effect."""
        _, client = self._client(client_id, user_pool_id)
        return respond(self, client, challenge_name, session, challenge_responses or {}, client_metadata or {}, is_admin=True)

    # -- first factor -----------------------------------------------------------------------------------------------------

    def _initiate(
        self,
        pool: Pool,
        client: Client,
        flow: str,
        given: Mapping[str, str],
        metadata: Mapping[str, str],
        *,
        is_admin: bool,
    ) -> Json:
        flow = _NAMES.get(flow, flow)
        self._state.note(pool=pool.id, flow=flow)
        if flow not in (_ADMIN if is_admin else _PUBLIC):
            raise CognitoError(f"{flow} is not possible in this call", rule="UP40")
        if flow not in allowed_flows(client):
            raise CognitoError(f"{flow} flow not enabled for this client", rule="UP12")
        if flow == REFRESH:
            return refresh_tokens(self, pool, client, given, metadata)
        name = plain(parameter(given, "USERNAME"))
        self._check_hash(client, given.get("SECRET_HASH"), name)
        password = Secret(parameter(given, "PASSWORD")) if flow in (USER_PASSWORD, ADMIN_PASSWORD) else None
        is_srp = flow == USER_SRP or (flow == CUSTOM and given.get("CHALLENGE_NAME") == "SRP_A")
        public = srp.read_public(parameter(given, "SRP_A")) if is_srp else None
        if is_srp and public is None:
            raise CognitoError("SRP_A is not a number that a client may send", rule="UP54")
        user = self._state.store.user(pool.id, name)
        if user is None and password is not None:
            user = migrate(self, pool, client, name, "Authentication", password, metadata)
        if user is None and not client.hides_existence:
            raise self._not_found()
        subject = self._limits.subject(pool, user, name)
        custom: Json | None = {"steps": [], "A": f"{public:x}" if public else ""} if flow == CUSTOM else None
        real = name if user is None else user.username
        attempt = Attempt(
            pool, client, flow, is_admin, user, real, subject, custom, metadata=metadata, mark=self._passwords.mark(user)
        )
        self._limits.check_lock(subject)
        run_pre_authentication(self._state, attempt)
        if password is not None:
            if not self._passwords.matches(pool, user, name, password):
                raise failed_factor(self, attempt)
            return after_password(self, attempt)
        if custom is not None:
            if public is not None:
                attempt = with_step(attempt, {"challengeName": "SRP_A", "challengeResult": True})
            return define(self, attempt)
        assert public is not None
        if is_reset_without_password(self._state, attempt):
            raise CognitoError("Password reset required for the user", code="PasswordResetRequiredException", rule="4.17")
        return srp_challenge(self, attempt, public)


def _answer_srp(
    calls: Calls, client: Client, session: str | None, answers: Mapping[str, str], metadata: Mapping[str, str], *, is_admin: bool
) -> Json:
    """Check the proof of the password."""
    given = parameter(answers, "PASSWORD_CLAIM_SECRET_BLOCK")
    timestamp, proof = plain(parameter(answers, "TIMESTAMP")), parameter(answers, "PASSWORD_CLAIM_SIGNATURE")
    try:
        raw = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    block = calls._state.open("block", base64.urlsafe_b64encode(raw).decode().rstrip("="))
    if block is None or block["c"] != client.id or block["adm"] is not is_admin:
        raise NotAuthorizedError(WRONG_PASSWORD, reason="token_invalid", rule="UP53")
    attempt = resume(calls, block, metadata)
    spend = None
    if block["f"] == CUSTOM:
        spend = open_session(calls._state, session, "PASSWORD_VERIFIER", client.id)
        if (spend["q"], spend["adm"]) != (block["q"], is_admin) or spend["u"]["A"] != block["A"]:
            raise NotAuthorizedError(INVALID_SESSION, reason="token_invalid", rule="UP42")
        attempt = replace(attempt, custom=spend["u"])
    _check_name(calls._state, attempt, block["srp"], answers)
    calls._limits.check_lock(attempt.subject)
    with calls._state.transaction():
        calls._state.spend(block)  # INVARIANT: good for one try, whatever comes of it
    _, verifier, is_real = calls._passwords.verifier_of(attempt.pool, attempt.user, attempt.name)
    shake = srp.resumed(int(block["A"], 16), int(block["b"], 16), int(block["B"], 16))
    is_right = False
    if shake is not None:
        key = srp.session_key(int(block["A"], 16), verifier, shake)
        right = srp.signature(key, attempt.pool.id.partition("_")[2], block["srp"], raw, timestamp)
        is_right = hmac.compare_digest(right, proof.encode("utf-8", "surrogatepass"))
    is_right = is_right and is_real and srp.is_recent(timestamp, calls._state.now())
    if attempt.custom is not None:
        return _after_custom_password(calls, attempt, spend, is_right=is_right)
    if not is_right:
        raise failed_factor(calls, attempt)
    return after_password(calls, attempt)


def _after_custom_password(calls: Calls, attempt: Attempt, spend: Json | None, *, is_right: bool) -> Json:
    """Custom authentication goes on after the password, and after MFA if the pool requires it (UP47)."""
    if not is_right:
        calls._limits.failed(attempt.subject)
    attempt = with_step(attempt, {"challengeName": "PASSWORD_VERIFIER", "challengeResult": is_right})
    if spend is not None:
        with calls._state.transaction():
            calls._limits.check_lock(attempt.subject)
            calls._state.spend(spend)
    if not is_right:
        return define(calls, attempt)
    return after_password(calls, attempt)


# -- the order of steps ------------------------------------------------------------------------------------------------------


def after_password(calls: Calls, attempt: Attempt) -> Json:
    """Steps 2 to 5, after a right password."""
    calls._limits.check_lock(attempt.subject)
    user = check_user(attempt)
    if user.status == "FORCE_CHANGE_PASSWORD":
        return _new_password_challenge(calls._state, attempt, user)
    return _after_new_password(calls, attempt, user)


def _after_new_password(calls: Calls, attempt: Attempt, user: User, source: str = "Authentication") -> Json:
    due = second_factor(calls, attempt, user)
    return _done(calls, attempt, source) if due is None else due


def _done(calls: Calls, attempt: Attempt, source: str = "Authentication", spend: Json | None = None) -> Json:
    """All factors are there: tokens, or the next step of custom authentication."""
    if attempt.custom is None:
        return finish(calls, attempt, source, spend)
    if spend is not None:
        with calls._state.transaction():
            calls._state.spend(spend)
    return define(calls, attempt)


def _new_password_challenge(state: PoolState, attempt: Attempt, user: User) -> Json:
    stored = state.tables.passwords.get(user.key)
    days = timedelta(days=attempt.pool.password.temporary_days)
    if stored is None or (stored.temporary and stored.changed + days <= state.now()):
        message = "Temporary password has expired and must be reset by an administrator."
        raise NotAuthorizedError(message, reason="password_expired", rule="4.8")
    required = [f"userAttributes.{name}" for name in missing_required(attempt.pool, user.attributes)]
    parameters = {
        "USER_ID_FOR_SRP": user.username,
        "userAttributes": json.dumps(dict(user.attributes)),
        "requiredAttributes": json.dumps(required),
    }
    return next_challenge(state, attempt, "NEW_PASSWORD_REQUIRED", parameters)


def _answer_new_password(calls: Calls, attempt: Attempt, user: User, answers: Mapping[str, str], spend: Json) -> Json:
    """Set the new password with the attributes that come with it; nothing is changed if any of it is refused."""
    pool, password = attempt.pool, Secret(parameter(answers, "NEW_PASSWORD"))
    prefix, schema = "userAttributes.", schema_of(pool)
    given = {name.removeprefix(prefix): plain(value) for name, value in answers.items() if name.startswith(prefix)}
    code = "InvalidParameterException"
    values = read_attributes(pool, listed(given), client=attempt.client, user=user, unauthorized=code)
    for name in values:
        if schema[name].required and user.attributes.get(name):
            raise refused(f"Cannot modify an already provided {name}", rule="4.8")
    check_policy(pool.password, password)
    with calls._state.transaction():
        user = calls._state.current(user)
        if user.status != "FORCE_CHANGE_PASSWORD":
            raise NotAuthorizedError(INVALID_SESSION, reason="token_invalid", rule="UP72")
        calls._state.spend(spend)
        attributes = changed_values(user, values, keep_verified=False)
        if missing := missing_required(pool, attributes):
            raise refused(f"Invalid user attributes: {', '.join(missing)}", rule="4.8")
        calls._passwords.set(pool, user, password, temporary=False)
        user = replace(user, status="CONFIRMED", attributes=attributes)
        calls._state.put_user(user)
    attempt = replace(attempt, user=calls._state.current(user), mark=calls._passwords.mark(user))
    return _after_new_password(calls, attempt, user, "NewPasswordChallenge")


# -- answers -----------------------------------------------------------------------------------------------------------------


def _check_name(state: PoolState, attempt: Attempt, name: str, answers: Mapping[str, str]) -> None:
    """The user name of an answer must be that of the session (UP42)."""
    given = plain(parameter(answers, "USERNAME"))
    fold = state.store.fold
    is_same = fold(attempt.pool.id, given) in (fold(attempt.pool.id, name), fold(attempt.pool.id, attempt.name))
    if not is_same and (attempt.user is None or state.store.user_key(attempt.pool.id, given) != attempt.user.key):
        raise NotAuthorizedError(INVALID_SESSION, reason="unknown_principal", rule="UP42")


def respond(
    calls: Calls,
    client: Client,
    challenge: str,
    session: str | None,
    answers: Mapping[str, str],
    metadata: Mapping[str, str],
    *,
    is_admin: bool,
    is_page: bool = False,
) -> Json:
    calls._state.note(pool=client.pool, step=challenge)
    if not is_page:
        calls._check_hash(client, answers.get("SECRET_HASH"), plain(parameter(answers, "USERNAME")))
    if challenge == "PASSWORD_VERIFIER":
        return _answer_srp(calls, client, session, answers, metadata, is_admin=is_admin)
    content = open_session(calls._state, session, challenge, client.id)
    if content["adm"] is not is_admin or (content["o"] is not None) is not is_page:
        raise NotAuthorizedError(INVALID_SESSION, reason="token_invalid", rule="UP43")
    attempt = resume(calls, content, metadata)
    _check_name(calls._state, attempt, attempt.username, answers)
    if challenge == "CUSTOM_CHALLENGE":
        return answer_custom(calls, attempt, answers, content)
    user = check_user(attempt)
    if challenge == "NEW_PASSWORD_REQUIRED":
        return _answer_new_password(calls, attempt, user, answers, content)
    if challenge == "SELECT_MFA_TYPE":
        return answer_choice(calls, attempt, user, answers, content)
    if challenge == "MFA_SETUP":
        if not content.get("done"):
            raise NotAuthorizedError(INVALID_SESSION, reason="token_invalid", rule="4.8")
        return _done(calls, attempt, spend=content)
    answer_factor(calls, attempt, user, challenge, answers, content)
    return _done(calls, attempt)
