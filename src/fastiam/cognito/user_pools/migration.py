"""UserMigration: a trigger that makes a user of another system at the first sign-in (4.12)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fastiam.cognito.cognito_errors import CognitoError
from fastiam.cognito.user_pools.attributes import listed, read_attributes
from fastiam.cognito.user_pools.calls import Calls
from fastiam.cognito.user_pools.naming import new_user, take_aliases
from fastiam.cognito.user_pools.triggers import flag, invalid_response, run_trigger
from fastiam.credentials.secret import Secret
from fastiam.directory.user_pool_records import Client, Pool, User

_TRIGGER = "UserMigration"


def migrate(
    calls: Calls, pool: Pool, client: Client, name: str, source: str, password: Secret | None, metadata: Mapping[str, str]
) -> User | None:
    """The user that the trigger of the pool makes of an unknown name; None without a trigger, or if it knows no such user.

    Raises
    ------
    CognitoError
        the trigger fails, its result has another form, or the pool does not take such a user.
    """
    state, subject = calls._state, calls._limits.subject(pool, None, name)
    calls._limits.check_lock(subject)
    request = {"password": password, "validationData": dict(metadata)}
    empty = {"userAttributes": None, "finalUserStatus": None, "messageAction": None, "forceAliasCreation": None}
    try:
        answered = run_trigger(state, pool, _TRIGGER, source, username=name, client_id=client.id, request=request, response=empty)
    except CognitoError as error:
        if password is not None and error.code == "UserLambdaValidationException":
            calls._limits.failed(subject)  # the other system has refused the password
        raise
    if answered is None:
        return None
    if answered.get("userAttributes") is None:
        if password is not None and not client.hides_existence:  # else the caller counts it as a wrong password
            calls._limits.failed(subject)
        return None
    given = answered["userAttributes"]
    if not isinstance(given, Mapping) or not all(isinstance(k, str) and isinstance(v, str) for k, v in given.items()):
        raise invalid_response(_TRIGGER, "`userAttributes` is not an object of texts")
    takes_aliases = flag(answered, "forceAliasCreation", _TRIGGER)
    values = read_attributes(pool, listed({k: v for k, v in given.items() if k != "username"}), client=None, user=None)
    status = "CONFIRMED" if answered.get("finalUserStatus") == "CONFIRMED" else "RESET_REQUIRED"
    with state.transaction():
        user = new_user(state, pool, name, {key: value for key, value in values.items() if value}, status)
        if takes_aliases:
            take_aliases(state, user)
        state.put_user(user)
        if password is not None:
            calls._passwords.set(pool, user, password, temporary=False)
    return replace(state.current(user))
