"""MFA: software tokens (TOTP, by pyotp), codes by SMS and e-mail, and the choice among them (4.8, UP46)."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace

import pyotp

from fastiam.cognito.cognito_errors import CognitoError, NotAuthorizedError
from fastiam.cognito.user_pools.attempt import Attempt, next_challenge, open_session, resume, session_string
from fastiam.cognito.user_pools.calls import Calls, parameter
from fastiam.cognito.user_pools.codes import MFA, mask
from fastiam.cognito.user_pools.operations import operation
from fastiam.cognito.user_pools.state import INVALID_SESSION, Json, PoolState
from fastiam.credentials.secret import Secret
from fastiam.directory.user_pool_records import Pool, SoftwareToken, User

TOTP, SMS, EMAIL = "SOFTWARE_TOKEN_MFA", "SMS_MFA", "EMAIL_OTP"
CODE_OF = {TOTP: "SOFTWARE_TOKEN_MFA_CODE", SMS: "SMS_MFA_CODE", EMAIL: "EMAIL_OTP_CODE"}
ATTRIBUTE_OF = {SMS: "phone_number", EMAIL: "email"}
SETTINGS = {"sms_mfa_settings": SMS, "software_token_mfa_settings": TOTP, "email_mfa_settings": EMAIL}
_STEP, _DRIFT, _SECRET_BYTES = 30, 1, 20


class MfaCalls(Calls):
    """Challenges for a second factor, and the calls that set factors up."""

    def _check_totp_allowed(self, pool: Pool) -> None:
        if TOTP not in pool.factors:
            message = "Software Token MFA is not enabled by the userPool."
            raise CognitoError(message, code="SoftwareTokenMFANotFoundException", rule="UP46")

    @operation
    def associate_software_token(self, *, access_token: str | None = None, session: str | None = None) -> Json:
        """A new TOTP secret, with an access token or the `Session` of `MFA_SETUP`. It counts once it is verified."""
        seed = Secret(base64.b32encode(self._state.random(_SECRET_BYTES)).decode())
        if (access_token is None) == (session is None):
            raise CognitoError("pass either `AccessToken` or `Session`", rule="UP46")
        if access_token is not None:
            access = self._access(access_token)
            self._check_totp_allowed(access.pool)
            key = f"{access.user.key}/new"
            with self._state.transaction():
                self._state.current(access.user)
                sealed = self._state.sealed("software_tokens", key, seed.encode())
                self._state.put("software_tokens", key, SoftwareToken(sealed, self._state.now()))
            return {"SecretCode": seed}
        content = open_session(self._state, session, "MFA_SETUP")
        attempt = resume(self, content)
        self._check_totp_allowed(attempt.pool)
        return {"SecretCode": seed, "Session": session_string(self._state, attempt, "MFA_SETUP", seed=seed, done=False)}

    @operation
    def verify_software_token(
        self,
        *,
        user_code: str,
        access_token: str | None = None,
        session: str | None = None,
        friendly_device_name: str = "",
    ) -> Json:
        """Prove a new TOTP secret by a code. It replaces the one before it."""
        if (access_token is None) == (session is None):
            raise CognitoError("pass either `AccessToken` or `Session`", rule="UP46")
        if access_token is not None:
            user = self._access(access_token).user
            self._check_totp_allowed(self._state.pool(user.pool))
            self._limits.check_lock(user.key)
            stored = self._state.tables.software_tokens.get(f"{user.key}/new")
            if stored is None:
                raise CognitoError("no software token is associated", code="SoftwareTokenMFANotFoundException", rule="UP46")
            seed = self._state.opened("software_tokens", f"{user.key}/new", stored.sealed).decode()
            if (step := _step_of(self._state, seed, user_code)) is None:
                self._limits.failed(user.key)
                raise CognitoError("Code mismatch", code="EnableSoftwareTokenMFAException", rule="UP46")
            with self._state.transaction():
                self._limits.check_lock(user.key)
                if self._state.tables.software_tokens.get(f"{user.key}/new") is not stored:
                    raise CognitoError("Code mismatch", code="EnableSoftwareTokenMFAException", rule="UP46")
                self._set_token(self._state.current(user), seed, step, friendly_device_name)
            return {"Status": "SUCCESS"}
        content = open_session(self._state, session, "MFA_SETUP")
        attempt = resume(self, content)
        if not content.get("seed") or attempt.user is None:
            raise NotAuthorizedError(INVALID_SESSION, reason="token_invalid", rule="UP46")
        self._limits.check_lock(attempt.subject)
        if (step := _step_of(self._state, content["seed"], user_code)) is None:
            self._limits.failed(attempt.subject)
            raise CognitoError("Code mismatch", code="CodeMismatchException", rule="UP46")
        with self._state.transaction():
            self._limits.check_lock(attempt.subject)
            self._state.spend(content)
            user = self._state.current(attempt.user)
            if TOTP in user.factors:
                raise NotAuthorizedError(INVALID_SESSION, reason="token_invalid", rule="UP46")  # set up meanwhile by another
            self._set_token(user, content["seed"], step, friendly_device_name)
            user = self._state.current(user)
            self._state.put_user(replace(user, factors=(*user.factors, TOTP)))
        return {"Status": "SUCCESS", "Session": session_string(self._state, attempt, "MFA_SETUP", done=True)}

    def _set_token(self, user: User, seed: str, step: int, name: str) -> None:
        sealed = self._state.sealed("software_tokens", user.key, Secret(seed).encode())
        self._state.put("software_tokens", user.key, SoftwareToken(sealed, self._state.now(), name, step))
        self._state.put("software_tokens", f"{user.key}/new", None)

    # -- preferences ------------------------------------------------------------------------------------------------------

    @operation
    def set_user_mfa_preference(
        self,
        *,
        access_token: str,
        sms_mfa_settings: Mapping[str, bool] | None = None,
        software_token_mfa_settings: Mapping[str, bool] | None = None,
        email_mfa_settings: Mapping[str, bool] | None = None,
    ) -> Json:
        """Turn factors of the caller on and off, and say which one is asked for first."""
        access = self._access(access_token)
        settings = {SMS: sms_mfa_settings, TOTP: software_token_mfa_settings, EMAIL: email_mfa_settings}
        return self._prefer(access.pool, access.user, settings)

    @operation
    def admin_set_user_mfa_preference(
        self,
        *,
        user_pool_id: str,
        username: str,
        sms_mfa_settings: Mapping[str, bool] | None = None,
        software_token_mfa_settings: Mapping[str, bool] | None = None,
        email_mfa_settings: Mapping[str, bool] | None = None,
    ) -> Json:
        """Turn factors of a user on and off, and say which one is asked for first."""
        pool = self._state.pool(user_pool_id)
        settings = {SMS: sms_mfa_settings, TOTP: software_token_mfa_settings, EMAIL: email_mfa_settings}
        return self._prefer(pool, self._state.user(pool, username), settings)

    def _prefer(self, pool: Pool, user: User, settings: Mapping[str, Mapping[str, bool] | None]) -> Json:
        if sum(bool(given and given.get("PreferredMfa")) for given in settings.values()) > 1:
            raise CognitoError("only one factor can be preferred", rule="4.8")
        with self._state.transaction():
            user = self._state.current(user)
            factors, preferred = [*user.factors], user.preferred
            for factor, given in settings.items():
                if given is None:
                    continue
                is_enabled, is_preferred = given.get("Enabled", False), given.get("PreferredMfa", False)
                if is_preferred and not is_enabled:
                    raise CognitoError("a factor that is not enabled cannot be preferred", rule="4.8")
                if is_enabled:
                    self._check_ready(user, factor)
                factors = [stored for stored in factors if stored != factor] + ([factor] if is_enabled else [])
                preferred = factor if is_preferred else "" if preferred == factor else preferred
            self._state.put_user(replace(user, factors=tuple(factors), preferred=preferred))
        return {}

    def _check_ready(self, user: User, factor: str) -> None:
        if factor == TOTP:
            if user.key not in self._state.tables.software_tokens:
                raise CognitoError("User has not verified software token mfa", rule="UP46")
        elif user.attributes.get(f"{ATTRIBUTE_OF[factor]}_verified") != "true":
            raise CognitoError(f"User does not have a verified {ATTRIBUTE_OF[factor]}", rule="UP46")

    @operation
    def admin_delete_software_token(self, *, user_pool_id: str, username: str) -> Json:
        """Remove the TOTP secret of a user who has lost the device."""
        pool = self._state.pool(user_pool_id)
        user = self._state.user(pool, username)
        with self._state.transaction():
            user = self._state.current(user)
            if user.key not in self._state.tables.software_tokens:
                raise CognitoError("no software token", code="ResourceNotFoundException", rule="UP46")
            self._state.put("software_tokens", user.key, None)
            self._state.put("software_tokens", f"{user.key}/new", None)
            factors = tuple(factor for factor in user.factors if factor != TOTP)
            self._state.put_user(replace(user, factors=factors, preferred="" if user.preferred == TOTP else user.preferred))
        return {}


# -- challenges --------------------------------------------------------------------------------------------------------------


def second_factor(calls: Calls, attempt: Attempt, user: User) -> Json | None:
    """Step 4: the challenge that is due; None if there is none."""
    pool = attempt.pool
    factors = [factor for factor in user.factors if factor in pool.factors] if pool.mfa != "OFF" else []
    if pool.mfa == "OFF" or (pool.mfa == "OPTIONAL" and not factors):
        return None
    if not factors:
        return next_challenge(calls._state, attempt, "MFA_SETUP", {"MFAS_CAN_SETUP": json.dumps(list(pool.factors))})
    if len(factors) == 1 or user.preferred in factors:
        return _factor_challenge(calls, attempt, user, factors[0] if len(factors) == 1 else user.preferred)
    return next_challenge(calls._state, attempt, "SELECT_MFA_TYPE", {"MFAS_CAN_CHOOSE": json.dumps(factors)})


def _factor_challenge(calls: Calls, attempt: Attempt, user: User, factor: str) -> Json:
    """The challenge for one factor; its code is sent."""
    if factor == TOTP:
        token = calls._state.tables.software_tokens.get(user.key)
        return next_challenge(
            calls._state, attempt, TOTP, {"FRIENDLY_DEVICE_NAME": token.name if token and token.name else "TOTP device"}
        )
    attribute = ATTRIBUTE_OF[factor]
    with calls._state.transaction():
        code = calls._codes.make(attempt.pool, user, MFA, attribute, seconds=attempt.client.session_validity)
    calls._codes.send(attempt.pool, user, "Authentication", attribute, code, client_id=attempt.client.id)
    medium = "SMS" if factor == SMS else "EMAIL"
    parameters = {
        "CODE_DELIVERY_DELIVERY_MEDIUM": medium,
        "CODE_DELIVERY_DESTINATION": mask(attribute, user.attributes.get(attribute, "")),
    }
    return next_challenge(calls._state, attempt, factor, parameters)


def answer_factor(calls: Calls, attempt: Attempt, user: User, factor: str, answers: Mapping[str, str], spend: Json) -> None:
    """Check the code of a factor, and spend the `Session` string.

    Raises
    ------
    CognitoError
        CodeMismatchException, ExpiredCodeException.
    NotAuthorizedError
        locked.
    """
    code, wrong = parameter(answers, CODE_OF[factor]), None
    with calls._state.transaction():
        calls._limits.check_lock(attempt.subject)
        user = calls._state.current(user)
        try:
            if factor == TOTP:
                _use_step(calls._state, attempt.pool, user, code)
            else:
                calls._codes.use(attempt.pool, user, MFA, ATTRIBUTE_OF[factor], code)
        except CognitoError as error:
            wrong = error
            if error.code == "CodeMismatchException":
                calls._limits.failed(attempt.subject)  # INVARIANT: counted before another answer is checked
        else:
            calls._state.spend(spend)
    if wrong is not None:
        raise wrong


def answer_choice(calls: Calls, attempt: Attempt, user: User, answers: Mapping[str, str], spend: Json) -> Json:
    """The challenge for the factor that the user chose."""
    factor = parameter(answers, "ANSWER")
    if factor not in user.factors or factor not in attempt.pool.factors:
        raise CognitoError("the answer is not one of the factors", rule="4.8")
    with calls._state.transaction():
        calls._state.spend(spend)
    return _factor_challenge(calls, attempt, user, factor)


def _use_step(state: PoolState, pool: Pool, user: User, code: str) -> None:
    """Check a TOTP code and use up its step, inside a transaction."""
    stored = state.tables.software_tokens.get(user.key)
    if stored is None or TOTP not in pool.factors:
        raise CognitoError("no software token", code="SoftwareTokenMFANotFoundException", rule="UP46")
    seed = state.opened("software_tokens", user.key, stored.sealed).decode()
    step = _step_of(state, seed, code)
    if step is None:
        raise CognitoError("Invalid code received for user", code="CodeMismatchException", rule="UP46")
    if step <= stored.last_step:
        message = "Your software token has already been used once."
        raise CognitoError(message, code="ExpiredCodeException", rule="UP46")
    state.put("software_tokens", user.key, replace(stored, last_step=step))


def _step_of(state: PoolState, seed: str, code: str) -> int | None:
    """The step that a code belongs to: now, or one step before or after."""
    totp, now = pyotp.TOTP(seed, interval=_STEP), int(state.now().timestamp()) // _STEP
    raw = code.encode("utf-8", "surrogatepass")
    steps = [step for step in range(now - _DRIFT, now + _DRIFT + 1) if hmac.compare_digest(totp.generate_otp(step).encode(), raw)]
    return steps[-1] if steps else None
