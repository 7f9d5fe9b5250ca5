"""What users do with their own account, with an access token (4.6), and how attributes change (UP25)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fastiam.cognito.cognito_errors import CognitoError, NotAuthorizedError
from fastiam.cognito.user_pools.attempts import CHANGE_LIMIT, CONFIRM_LIMIT, SEND_LIMIT
from fastiam.cognito.user_pools.attributes import (
    VERIFIABLE,
    can_write,
    changed_values,
    listed,
    read_attributes,
    refused,
    schema_of,
)
from fastiam.cognito.user_pools.calls import Calls
from fastiam.cognito.user_pools.codes import MFA, RECOVER, SIGN_UP, VERIFY
from fastiam.cognito.user_pools.operations import operation
from fastiam.cognito.user_pools.passwords import check_policy
from fastiam.cognito.user_pools.state import Json
from fastiam.cognito.user_pools.tokens import readable_attributes
from fastiam.credentials.secret import Secret
from fastiam.directory.user_pool_records import Pool, User

Given = Sequence[Mapping[str, str]]


class ProfileCalls(Calls):
    """GetUser, UpdateUserAttributes, ChangePassword and others."""

    @operation
    def get_user(self, *, access_token: str) -> Json:
        """The caller, with the attributes that the client may read."""
        access = self._access(access_token)
        user = access.user
        answer: Json = {
            "Username": user.username,
            "UserAttributes": listed({"sub": user.sub, **readable_attributes(access.client, user)}),
        }
        return answer | mfa_settings(user)

    @operation
    def change_password(self, *, access_token: str, proposed_password: str, previous_password: str | None = None) -> Json:
        """Set a new password of the caller."""
        access = self._access(access_token)
        pool, user = access.pool, access.user
        if previous_password is None:
            raise CognitoError("`PreviousPassword` is missing", rule="4.6")
        self._limits.check_lock(user.key)
        self._limits.count(user.key, "change", CHANGE_LIMIT)
        if not self._passwords.matches(pool, user, user.username, Secret(previous_password)):
            self._limits.failed(user.key)
            raise NotAuthorizedError("Incorrect username or password.", reason="wrong_password", rule="UP100")
        check_policy(pool.password, proposed_password)
        with self._state.transaction():
            self._limits.check_lock(user.key)
            self._passwords.set(pool, self._state.current(user), Secret(proposed_password), temporary=False)
        return {}

    @operation
    def delete_user(self, *, access_token: str) -> Json:
        """Delete the caller."""
        user = self._access(access_token).user
        with self._state.transaction():
            self._state.store.delete_user(self._state.current(user))
        return {}

    # -- attributes -------------------------------------------------------------------------------------------------------

    @operation
    def update_user_attributes(
        self, *, access_token: str, user_attributes: Given, client_metadata: Mapping[str, str] | None = None
    ) -> Json:
        """Change attributes of the caller. A new address gets a code."""
        access = self._access(access_token)
        values = read_attributes(access.pool, user_attributes, client=access.client, user=access.user)
        sent = write_attributes(self, access.pool, access.user, values, client_id=access.client.id, is_admin=False)
        return {"CodeDeliveryDetailsList": sent}

    @operation
    def delete_user_attributes(self, *, access_token: str, user_attribute_names: Sequence[str]) -> Json:
        """Remove attributes of the caller."""
        access = self._access(access_token)
        if not all(can_write(access.client, name) for name in user_attribute_names):
            raise refused("A client attempted to write unauthorized attribute", code="NotAuthorizedException")
        remove_attributes(self, access.pool, access.user, user_attribute_names)
        return {}

    @operation
    def get_user_attribute_verification_code(
        self, *, access_token: str, attribute_name: str, client_metadata: Mapping[str, str] | None = None
    ) -> Json:
        """Send a code that verifies an address of the caller."""
        access = self._access(access_token)
        user = access.user
        value = user.pending.get(attribute_name) or user.attributes.get(attribute_name)
        if attribute_name not in VERIFIABLE or not value:
            raise CognitoError("the user has no such attribute that can be verified", rule="4.6")
        self._limits.count(user.key, "verify send", SEND_LIMIT)
        with self._state.transaction():
            user = self._state.current(user)
            value = user.pending.get(attribute_name) or user.attributes.get(attribute_name, "")
            code = self._codes.make(access.pool, user, VERIFY, attribute_name, value)
        details = self._codes.send(
            access.pool, user, "VerifyUserAttribute", attribute_name, code, client_id=access.client.id, value=value
        )
        return {"CodeDeliveryDetails": details}

    @operation
    def verify_user_attribute(self, *, access_token: str, attribute_name: str, code: str) -> Json:
        """Prove an address by the code that was sent to it."""
        access = self._access(access_token)
        if attribute_name not in VERIFIABLE:
            raise CognitoError("the attribute cannot be verified", rule="4.6")
        self._limits.count(access.user.key, "verify", CONFIRM_LIMIT)
        with self._state.transaction():
            user = self._state.current(access.user)
            value = user.pending.get(attribute_name) or user.attributes.get(attribute_name, "")
            self._codes.use(access.pool, user, VERIFY, attribute_name, code, value)
            pending = {name: stored for name, stored in user.pending.items() if name != attribute_name}
            attributes = {**user.attributes, attribute_name: value, f"{attribute_name}_verified": "true"}
            self._state.put_user(replace(user, attributes=attributes, pending=pending))
        return {}


def mfa_settings(user: User) -> Json:
    """The MFA factors of a user, in answers."""
    answer: Json = {"UserMFASettingList": list(user.factors)} if user.factors else {}
    return answer | ({"PreferredMfaSetting": user.preferred} if user.preferred else {})


def write_attributes(
    calls: Calls, pool: Pool, user: User, values: Mapping[str, str], *, client_id: str = "", is_admin: bool
) -> list[Json]:
    """Change attributes, and send codes to new addresses. The result is a list of `CodeDeliveryDetails`.

    An attribute that must be verified first keeps its value until then (UP25).
    """
    codes = {}
    with calls._state.transaction():
        user = calls._state.current(user)
        direct, pending = dict(values), dict(user.pending)
        for name in VERIFIABLE:
            if name not in values:
                continue
            is_new = values[name] != user.attributes.get(name, "")
            is_dropped = pending.pop(name, None) is not None
            for purpose in (VERIFY, SIGN_UP, RECOVER, MFA) if is_new else (VERIFY,) if is_dropped else ():
                calls._codes.void(user, purpose, name)  # a code that went to one address must not prove another one
            is_proven = is_admin and values.get(f"{name}_verified") == "true"
            if is_new and values[name] and not is_proven and name in pool.auto_verified:
                codes[name] = calls._codes.make(pool, user, VERIFY, name, values[name])
                if not is_admin and name in pool.verify_before_update:
                    pending[name] = direct.pop(name)
        attributes = changed_values(user, direct, keep_verified=is_admin)
        user = replace(user, attributes=attributes, pending=pending)
        calls._state.put_user(user)
    return [
        calls._codes.send(pool, user, "UpdateUserAttribute", name, code, client_id=client_id, value=user.pending.get(name, ""))
        for name, code in codes.items()
    ]


def remove_attributes(calls: Calls, pool: Pool, user: User, names: Sequence[str]) -> None:
    """Remove attributes that are neither required nor immutable."""
    schema = schema_of(pool)
    for name in names:
        if name not in schema or name == "sub" or schema[name].required or not schema[name].mutable:
            raise refused(f"the attribute `{name}` cannot be removed")
        if name == user.login:
            raise refused(f"the user signs in by the attribute `{name}`", rule="UP21")
    write_attributes(calls, pool, user, dict.fromkeys(names, ""), is_admin=True)
