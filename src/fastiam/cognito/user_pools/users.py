"""What administrators do with users (4.6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from fastiam.cognito.cognito_errors import CognitoError, NotAuthorizedError
from fastiam.cognito.user_pools.attributes import changed_values, listed, read_attributes
from fastiam.cognito.user_pools.calls import Calls, with_token
from fastiam.cognito.user_pools.codes import MEDIUM, RECOVER
from fastiam.cognito.user_pools.naming import new_user, take_aliases
from fastiam.cognito.user_pools.operations import operation
from fastiam.cognito.user_pools.passwords import check_policy
from fastiam.cognito.user_pools.sign_up import first_message, post_confirmation, recovery_attribute
from fastiam.cognito.user_pools.state import Json
from fastiam.cognito.user_pools.triggers import PRE_SIGN_UP, run_trigger
from fastiam.cognito.user_pools.user_profile import mfa_settings, remove_attributes, write_attributes
from fastiam.credentials.secret import Secret
from fastiam.directory.user_pool_records import Pool, User

Given = Sequence[Mapping[str, str]]
FORCE = "FORCE_CHANGE_PASSWORD"
_STATUS = "cognito:user_status"
_SEARCHED = frozenset(
    {"username", "email", "phone_number", "name", "given_name", "family_name", "preferred_username", _STATUS, "status", "sub"}
)
_FILTER = re.compile(r'\s*(?:"([\w:.-]+)"|([\w:.-]+))\s*(\^?=)\s*"((?:[^"\\]|\\.)*)"\s*', re.ASCII)


def describe_user(user: User, *, attributes: str = "Attributes") -> Json:
    """A user as answers have it."""
    return {
        "Username": user.username,
        attributes: listed({"sub": user.sub, **user.attributes}),
        "UserCreateDate": user.created,
        "UserLastModifiedDate": user.modified,
        "Enabled": user.enabled,
        "UserStatus": user.status,
    }


class UserCalls(Calls):
    """AdminCreateUser, ListUsers and others."""

    @operation
    def admin_create_user(
        self,
        *,
        user_pool_id: str,
        username: str,
        user_attributes: Given = (),
        validation_data: Given = (),
        temporary_password: str | None = None,
        force_alias_creation: bool = False,
        message_action: str = "",
        desired_delivery_mediums: Sequence[str] = (),
        client_metadata: Mapping[str, str] | None = None,
    ) -> Json:
        """Make a user with a temporary password, or send it again (`RESEND`)."""
        pool = self._state.pool(user_pool_id)
        if temporary_password is not None:
            check_policy(pool.password, temporary_password)
        password = Secret(temporary_password) if temporary_password is not None else self._passwords.generate(pool.password)
        if message_action == "RESEND":
            user = self._state.user(pool, username)
            if user.status != FORCE:
                raise CognitoError("the user has set a password", code="UnsupportedUserStateException", rule="4.6")
            with self._state.transaction():
                user = self._state.current(user)
                self._passwords.set(pool, user, password, temporary=True)
        else:
            values = read_attributes(pool, user_attributes, client=None, user=None)
            user = new_user(self._state, pool, username, {name: value for name, value in values.items() if value}, FORCE)
            self._check_admin_sign_up(pool, user, validation_data, client_metadata)
            user = replace(user, attributes=changed_values(replace(user, attributes={}), user.attributes, keep_verified=True))
            with self._state.transaction():
                if force_alias_creation:
                    take_aliases(self._state, user)
                self._state.put_user(user)
                self._passwords.set(pool, user, password, temporary=True)
        self._state.note(sub=user.sub)
        if message_action == "RESEND":
            self._invite(pool, user, password, desired_delivery_mediums)
        elif message_action != "SUPPRESS":
            with first_message(self._state, user):
                self._invite(pool, user, password, desired_delivery_mediums)
        return {"User": describe_user(self._state.current(user))}

    def _check_admin_sign_up(self, pool: Pool, user: User, validation: Given, metadata: Mapping[str, str] | None) -> None:
        """PreSignUp may refuse; its flags have no effect here."""
        request = {
            "userAttributes": dict(user.attributes),
            "validationData": {entry["Name"]: entry.get("Value", "") for entry in validation},
            "clientMetadata": dict(metadata or {}),
        }
        run_trigger(
            self._state, pool, "PreSignUp", "AdminCreateUser", username=user.username, request=request, response=PRE_SIGN_UP
        )

    def _invite(self, pool: Pool, user: User, password: Secret, mediums: Sequence[str]) -> None:
        has = [name for name in ("phone_number", "email") if user.attributes.get(name)]
        for name in [name for name in has if MEDIUM[name] in mediums] if mediums else has[:1]:
            self._codes.send(pool, user, "AdminCreateUser", name, password)

    @operation
    def admin_get_user(self, *, user_pool_id: str, username: str) -> Json:
        """A user with all attributes."""
        user = self._state.user(self._state.pool(user_pool_id), username)
        return describe_user(user, attributes="UserAttributes") | mfa_settings(user)

    @operation
    def admin_delete_user(self, *, user_pool_id: str, username: str) -> Json:
        """Delete a user."""
        user = self._state.user(self._state.pool(user_pool_id), username)
        with self._state.transaction():
            self._state.store.delete_user(self._state.current(user))
        return {}

    @operation
    def admin_update_user_attributes(
        self, *, user_pool_id: str, username: str, user_attributes: Given, client_metadata: Mapping[str, str] | None = None
    ) -> Json:
        """Change attributes of a user; `email_verified` and `phone_number_verified` as well."""
        pool = self._state.pool(user_pool_id)
        user = self._state.user(pool, username)
        write_attributes(self, pool, user, read_attributes(pool, user_attributes, client=None, user=user), is_admin=True)
        return {}

    @operation
    def admin_delete_user_attributes(self, *, user_pool_id: str, username: str, user_attribute_names: Sequence[str]) -> Json:
        """Remove attributes of a user."""
        pool = self._state.pool(user_pool_id)
        remove_attributes(self, pool, self._state.user(pool, username), user_attribute_names)
        return {}

    @operation
    def admin_confirm_sign_up(
        self, *, user_pool_id: str, username: str, client_metadata: Mapping[str, str] | None = None
    ) -> Json:
        """Confirm a user without a code."""
        pool = self._state.pool(user_pool_id)
        user = self._state.user(pool, username)
        with self._state.transaction():
            user = self._state.current(user)
            if user.status != "UNCONFIRMED":
                message = f"User cannot be confirmed. Current status is {user.status}"
                raise NotAuthorizedError(message, reason="not_allowed", rule="4.6")
            user = replace(user, status="CONFIRMED")
            self._state.put_user(user)
        post_confirmation(self._state, pool, "CLIENT_ID_NOT_APPLICABLE", user, "ConfirmSignUp", client_metadata)
        return {}

    @operation
    def admin_disable_user(self, *, user_pool_id: str, username: str) -> Json:
        """Refuse sign-in, refresh and tokens of a user."""
        return self._enable(user_pool_id, username, is_enabled=False)

    @operation
    def admin_enable_user(self, *, user_pool_id: str, username: str) -> Json:
        """Undo `admin_disable_user`."""
        return self._enable(user_pool_id, username, is_enabled=True)

    def _enable(self, pool_id: str, username: str, *, is_enabled: bool) -> Json:
        user = self._state.user(self._state.pool(pool_id), username)
        with self._state.transaction():
            self._state.put_user(replace(self._state.current(user), enabled=is_enabled))
        return {}

    @operation
    def admin_set_user_password(self, *, user_pool_id: str, username: str, password: str, permanent: bool = False) -> Json:
        """Set a password; one that is not permanent must be changed at the next sign-in.

        Refresh tokens go on, as on AWS; session cookies of pages and codes that are not redeemed do not (UP96).
        """
        pool = self._state.pool(user_pool_id)
        user = self._state.user(pool, username)
        check_policy(pool.password, password)
        with self._state.transaction():
            user = self._state.current(user)
            if user.status == "EXTERNAL_PROVIDER":
                raise CognitoError("users of an outside identity provider have no password", rule="UP115")
            self._passwords.set(pool, user, Secret(password), temporary=not permanent)
            self._limits.succeeded(user.key)
            self._state.put_user(replace(user, status="CONFIRMED" if permanent else FORCE))
        return {}

    @operation
    def admin_reset_user_password(
        self, *, user_pool_id: str, username: str, client_metadata: Mapping[str, str] | None = None
    ) -> Json:
        """Void the password of a user, and send a code for a new one."""
        pool = self._state.pool(user_pool_id)
        user = self._state.user(pool, username)
        attribute = recovery_attribute(pool, user)
        if user.status in ("EXTERNAL_PROVIDER", FORCE):
            raise NotAuthorizedError("User password cannot be reset in the current state.", reason="not_allowed", rule="4.6")
        if attribute is None:
            message = "Cannot reset password for the user as there is no registered/verified email or phone_number"
            raise CognitoError(message, rule="4.6")
        with self._state.transaction():
            user = replace(self._state.current(user), status="RESET_REQUIRED")
            self._state.put_user(user)
            self._limits.clear_request(user.key)
            code = self._codes.make(pool, user, RECOVER, attribute)
        self._codes.send(pool, user, "ForgotPassword", attribute, code)
        return {}

    @operation
    def list_users(
        self,
        *,
        user_pool_id: str,
        attributes_to_get: Sequence[str] | None = None,
        limit: int | None = None,
        pagination_token: str | None = None,
        filter: str = "",
    ) -> Json:
        """The users of a pool. The filter is one comparison: `email = "a@x.example"`, or `^=` for a beginning."""
        pool = self._state.pool(user_pool_id)
        users = self._state.store.users(pool.id)
        if filter:
            matches = _read_filter(filter)
            users = [user for user in users if matches(user)]
        page, token = self._page(f"users {pool.id}", [(user.sub, user) for user in users], limit, pagination_token)
        found = [describe_user(user) for user in page]
        if attributes_to_get is not None:
            for entry in found:
                entry["Attributes"] = [item for item in entry["Attributes"] if item["Name"] in attributes_to_get]
        return with_token({"Users": found}, "PaginationToken", token)


def _read_filter(text: str) -> Callable[[User], bool]:
    """The test of a filter. AWS searches these attributes alone.

    Raises
    ------
    CognitoError
        another form, or another attribute.
    """
    read = _FILTER.fullmatch(text)
    if read is None:
        raise CognitoError('Error while parsing filter: it has not the form `name = "value"`.', rule="FD3")
    name, operator, value = read[1] or read[2], read[3], re.sub(r"\\(.)", r"\1", read[4])
    if name not in _SEARCHED:
        raise CognitoError(f"Invalid search attribute: {name}", rule="FD3")
    if name == _STATUS:
        value = value.upper()

    def matches(user: User) -> bool:
        special = {
            "username": user.username,
            "sub": user.sub,
            _STATUS: user.status,
            "status": "Enabled" if user.enabled else "Disabled",
        }
        stored = special[name] if name in special else user.attributes.get(name, "")
        return stored.startswith(value) if operator == "^=" else stored == value

    return matches
