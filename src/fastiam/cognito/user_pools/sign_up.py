"""Sign-up, confirmation and recovery of a lost password: the calls of people who are not signed in (4.6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

from fastiam.cognito.cognito_errors import CognitoError, NotAuthorizedError
from fastiam.cognito.user_pools.attempts import CONFIRM_LIMIT, RECOVERY_LIMIT, SEND_LIMIT
from fastiam.cognito.user_pools.attributes import VERIFIABLE, missing_required, read_attributes, refused
from fastiam.cognito.user_pools.calls import Calls
from fastiam.cognito.user_pools.codes import RECOVER, SIGN_UP, delivery_details
from fastiam.cognito.user_pools.migration import migrate
from fastiam.cognito.user_pools.naming import new_user, take_aliases
from fastiam.cognito.user_pools.operations import operation
from fastiam.cognito.user_pools.passwords import check_policy
from fastiam.cognito.user_pools.refresh import sign_out
from fastiam.cognito.user_pools.state import Json, PoolState
from fastiam.cognito.user_pools.triggers import PRE_SIGN_UP, attributes_of, flag, run_trigger
from fastiam.credentials.secret import Secret
from fastiam.directory.user_pool_records import Client, Pool, User

Given = Sequence[Mapping[str, str]]
TOO_MANY = "TooManyFailedAttemptsException"
_REMOVED = 2  # users that make room for one: deleting a user reads whole tables


class SignUpCalls(Calls):
    """SignUp, ConfirmSignUp, ResendConfirmationCode, ForgotPassword, ConfirmForgotPassword."""

    @operation
    def sign_up(
        self,
        *,
        client_id: str,
        username: str,
        password: str | None = None,
        secret_hash: str | None = None,
        user_attributes: Given = (),
        validation_data: Given = (),
        client_metadata: Mapping[str, str] | None = None,
        user_context_data: Mapping[str, str] | None = None,
    ) -> Json:
        """Make a user that has to be confirmed by a code."""
        pool, client = self._client(client_id)
        self._check_hash(client, secret_hash, username)
        if pool.admin_only:
            raise NotAuthorizedError("SignUp is not permitted for this user pool", reason="not_allowed", rule="4.2")
        if password is None:
            raise CognitoError("Password is missing: sign-up without password is not supported", rule="4.1")
        check_policy(pool.password, password)
        values = read_attributes(pool, user_attributes, client=client, user=None)
        values = {name: value for name, value in values.items() if value}
        if "preferred_username" in values and "preferred_username" in pool.alias_attributes:
            raise refused("preferred_username can be set only after confirmation", rule="UP22")
        user = new_user(self._state, pool, username, values, "UNCONFIRMED")
        if missing := missing_required(pool, user.attributes):
            raise refused(
                f"Attributes did not conform to the schema: {', '.join(missing)}: The attribute is required", rule="4.6"
            )
        user, is_forced = self._pre_sign_up(pool, client, user, "SignUp", validation_data, client_metadata or {})
        sends = next((a for a in VERIFIABLE if a in pool.auto_verified and user.attributes.get(a)), None)
        sends = None if user.status == "CONFIRMED" else sends
        with self._state.transaction():
            if self._state.store.user_key(pool.id, username) is not None:
                raise CognitoError("User already exists", code="UsernameExistsException", rule="UP20")
            if is_forced:
                take_aliases(self._state, user)
            if user.status == "UNCONFIRMED":
                self._make_room(pool)
            self._state.put_user(user)
            self._passwords.set(pool, user, Secret(password), temporary=False)
            code = self._codes.make(pool, user, SIGN_UP, sends) if sends else None
        self._state.note(sub=user.sub)
        answer: Json = {"UserConfirmed": user.status == "CONFIRMED", "UserSub": user.sub}
        if code is not None and sends:
            with first_message(self._state, user):
                answer["CodeDeliveryDetails"] = self._codes.send(pool, user, "SignUp", sends, code, client_id=client.id)
        if user.status == "CONFIRMED":
            post_confirmation(self._state, pool, client.id, user, "ConfirmSignUp", client_metadata)
        return answer

    def _make_room(self, pool: Pool) -> None:
        """Make room for one more user that has not confirmed, inside a transaction (UP27).

        Raises
        ------
        CognitoError
            LimitExceededException: the pool has as many as it may have, and none is old enough to go.
        """
        settings, unconfirmed = self._state.settings, self._state.store.unconfirmed(pool.id)
        number = len(unconfirmed)
        if number < settings.unconfirmed_users:
            return
        for key in list(islice(unconfirmed, _REMOVED)):
            user = self._state.tables.users[key]
            if self._state.now() - user.created > settings.unconfirmed_age:
                self._state.store.delete_user(user)
                number -= 1
        if number >= settings.unconfirmed_users:
            message = f"the user pool has {number} users who have not confirmed"
            raise CognitoError(message, code="LimitExceededException", rule="UP27")

    def _pre_sign_up(
        self, pool: Pool, client: Client, user: User, source: str, validation: Given, metadata: Mapping[str, str]
    ) -> tuple[User, bool]:
        """The user as PreSignUp leaves it, and whether its verified aliases are taken from other users."""
        request = {
            "userAttributes": dict(user.attributes),
            "validationData": {entry["Name"]: entry.get("Value", "") for entry in validation},
            "clientMetadata": dict(metadata),
        }
        answered = run_trigger(
            self._state,
            pool,
            "PreSignUp",
            source,
            username=user.username,
            client_id=client.id,
            request=request,
            response=PRE_SIGN_UP,
        )
        values, is_forced = dict(user.attributes), False
        for name, attribute in (("autoVerifyEmail", "email"), ("autoVerifyPhone", "phone_number")):
            if flag(answered or {}, name, "PreSignUp"):
                if not values.get(attribute):
                    raise refused(f"`{name}` is set, but the user has no `{attribute}`", rule="4.12")
                values[f"{attribute}_verified"], is_forced = "true", True
        is_confirmed = flag(answered or {}, "autoConfirmUser", "PreSignUp")
        return replace(user, attributes=values, status="CONFIRMED" if is_confirmed else user.status), is_forced

    def _find_user(self, client_id: str, secret_hash: str | None, username: str) -> tuple[Pool, Client, User | None]:
        """Pool, client and user of a call that a client makes with a user name. The secret hash is checked."""
        pool, client = self._client(client_id)
        self._check_hash(client, secret_hash, username)
        return pool, client, self._state.store.user(pool.id, username)

    @operation
    def confirm_sign_up(
        self,
        *,
        client_id: str,
        username: str,
        confirmation_code: str,
        secret_hash: str | None = None,
        force_alias_creation: bool = False,
        client_metadata: Mapping[str, str] | None = None,
        user_context_data: Mapping[str, str] | None = None,
    ) -> Json:
        """Confirm a user by the code of the sign-up."""
        pool, client, user = self._find_user(client_id, secret_hash, username)
        self._limits.count(self._limits.subject(pool, user, username), "confirm", CONFIRM_LIMIT, TOO_MANY)
        if user is None:
            if not client.hides_existence:
                raise self._not_found()
            raise _expired_code()
        attribute = next((a for a in VERIFIABLE if f"{user.key}/{SIGN_UP}/{a}" in self._state.tables.codes), "")
        with self._state.transaction():
            user = self._state.current(user)
            if user.status != "UNCONFIRMED":
                message = f"User cannot be confirmed. Current status is {user.status}"
                raise NotAuthorizedError(message, reason="not_allowed", rule="4.6")
            self._codes.use(pool, user, SIGN_UP, attribute, confirmation_code)
            values = {**user.attributes, f"{attribute}_verified": "true"}
            user = replace(user, status="CONFIRMED", attributes=values)
            if force_alias_creation:
                take_aliases(self._state, user)
            self._state.put_user(user)
        self._state.note(sub=user.sub)
        post_confirmation(self._state, pool, client.id, user, "ConfirmSignUp", client_metadata)
        return {}

    @operation
    def resend_confirmation_code(
        self,
        *,
        client_id: str,
        username: str,
        secret_hash: str | None = None,
        client_metadata: Mapping[str, str] | None = None,
        user_context_data: Mapping[str, str] | None = None,
    ) -> Json:
        """Send a new code for a sign-up; it voids the one before it."""
        pool, client, user = self._find_user(client_id, secret_hash, username)
        self._limits.count(self._limits.subject(pool, user, username), "resend", SEND_LIMIT)
        if user is None:
            return self._simulated(pool, client, username)
        attribute = next((a for a in VERIFIABLE if a in pool.auto_verified and user.attributes.get(a)), None)
        if user.status != "UNCONFIRMED":
            raise CognitoError("User is already confirmed.", rule="4.6")
        if attribute is None:
            raise CognitoError("Cannot resend codes. Auto verification not turned on.", rule="4.6")
        with self._state.transaction():
            self._state.current(user)
            code = self._codes.make(pool, user, SIGN_UP, attribute)
        details = self._codes.send(pool, user, "ResendCode", attribute, code, client_id=client.id)
        return {"CodeDeliveryDetails": details}

    def _simulated(self, pool: Pool, client: Client, name: str) -> Json:
        """The answer for an unknown name, as if a code had been sent (4.17)."""
        if not client.hides_existence:
            raise self._not_found()
        attribute = (
            "email" if pool.recovery_order[0] != "verified_phone_number" or "email" in pool.auto_verified else "phone_number"
        )
        hashed = self._state.keyed_hash(pool, "delivery", self._state.store.fold(pool.id, name)).hex()
        letters = "".join(chr(ord("a") + int(digit, 16)) for digit in hashed[:2])
        value = f"{letters[0]}@{letters[1]}" if attribute == "email" else f"+{int(hashed[:8], 16) % 10_000:04d}"
        return {"CodeDeliveryDetails": delivery_details(attribute, value)}

    # -- recovery ---------------------------------------------------------------------------------------------------------

    @operation
    def forgot_password(
        self,
        *,
        client_id: str,
        username: str,
        secret_hash: str | None = None,
        client_metadata: Mapping[str, str] | None = None,
        user_context_data: Mapping[str, str] | None = None,
    ) -> Json:
        """Send a code with which a new password can be set."""
        pool, client, user = self._find_user(client_id, secret_hash, username)
        if pool.recovery == ("admin_only",):
            raise NotAuthorizedError("Contact administrator to reset password.", reason="not_allowed", rule="4.6")
        if user is None:
            user = migrate(self, pool, client, username, "ForgotPassword", None, client_metadata or {})
        subject = self._limits.subject(pool, user, username)
        self._limits.count(subject, "forgot", SEND_LIMIT)
        attribute = None if user is None else recovery_attribute(pool, user)
        if client.hides_existence and (user is None or attribute is None or not _may_recover(pool, user)):
            self._limits.request(subject)
            return self._simulated(pool, client, username)
        if user is None:
            raise self._not_found()
        _check_recovery(pool, user)
        if attribute is None:
            message = "Cannot reset password for the user as there is no registered/verified email or phone_number"
            raise CognitoError(message, rule="4.6")
        with self._state.transaction():
            self._state.current(user)
            self._limits.clear_request(subject)
            code = self._codes.make(pool, user, RECOVER, attribute)
        try:
            details = self._codes.send(pool, user, "ForgotPassword", attribute, code, client_id=client.id)
        except CognitoError as error:
            if not client.hides_existence or error.code != "CodeDeliveryFailureException":
                raise
            details = delivery_details(attribute, user.attributes[attribute])  # a failure would show that the user exists
        return {"CodeDeliveryDetails": details}

    @operation
    def confirm_forgot_password(
        self,
        *,
        client_id: str,
        username: str,
        confirmation_code: str,
        password: str,
        secret_hash: str | None = None,
        client_metadata: Mapping[str, str] | None = None,
        user_context_data: Mapping[str, str] | None = None,
    ) -> Json:
        """Set a new password with the code that was sent. Every sign-in of the user ends."""
        pool, client, user = self._find_user(client_id, secret_hash, username)
        if user is None and not client.hides_existence:
            raise self._not_found()
        check_policy(pool.password, password)
        subject = self._limits.subject(pool, user, username)
        self._limits.count(subject, "recover", RECOVERY_LIMIT)
        if user is None or self._limits.was_requested(subject):
            if not self._limits.was_requested(subject):
                raise _expired_code()
            message = "Invalid verification code provided, please try again."
            raise CognitoError(message, code="CodeMismatchException", rule="4.17")
        with self._state.transaction():
            user = self._state.current(user)
            self._codes.use(pool, user, RECOVER, recovery_attribute(pool, user) or "", confirmation_code)
            _check_recovery(pool, user)
            self._passwords.set(pool, user, Secret(password), temporary=False)
            user = sign_out(self._state, user)
            self._limits.succeeded(user.key)
            self._state.put_user(replace(user, status="CONFIRMED"))
        self._state.note(sub=user.sub)
        post_confirmation(self._state, pool, client.id, user, "ConfirmForgotPassword", client_metadata)
        return {}


def _may_recover(pool: Pool, user: User) -> bool:
    is_possible = pool.recovery != ("admin_only",) and user.status not in ("EXTERNAL_PROVIDER", "FORCE_CHANGE_PASSWORD")
    return user.enabled and is_possible


def _check_recovery(pool: Pool, user: User) -> None:
    if not _may_recover(pool, user):
        raise NotAuthorizedError("User password cannot be reset in the current state.", reason="not_allowed", rule="4.6")


def _expired_code() -> CognitoError:
    """The error for an unknown user, whose code cannot be checked (4.17)."""
    return CognitoError("Invalid code provided, please request a code again.", code="ExpiredCodeException", rule="4.17")


@contextmanager
def first_message(state: PoolState, user: User) -> Iterator[None]:
    """Send the first message to a new user. A user that it cannot reach is not kept: the call can be made again."""
    try:
        yield
    except CognitoError:
        with state.transaction():
            if user.key in state.tables.users:
                state.store.delete_user(state.current(user))
        raise


def post_confirmation(
    state: PoolState, pool: Pool, client_id: str, user: User, source: str, metadata: Mapping[str, str] | None = None
) -> None:
    request = {"userAttributes": attributes_of(user), "clientMetadata": dict(metadata or {})}
    run_trigger(state, pool, "PostConfirmation", source, username=user.username, client_id=client_id, request=request)


def recovery_attribute(pool: Pool, user: User) -> str | None:
    """The verified address or telephone number that comes first."""
    names = [name.removeprefix("verified_") for name in pool.recovery_order]
    return next((name for name in names if user.attributes.get(f"{name}_verified") == "true"), None)
