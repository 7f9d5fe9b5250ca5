"""The user of an outside identity: found by its record, linked, or made (UP111, UP113, UP115)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastiam.cognito.cognito_errors import CognitoError, NotAuthorizedError
from fastiam.cognito.user_pools.attributes import BOOLEANS, VERIFIABLE, check_value, missing_required, refused, schema_of
from fastiam.cognito.user_pools.providers import SUBJECT
from fastiam.cognito.user_pools.state import PoolState
from fastiam.cognito.user_pools.triggers import PRE_SIGN_UP, attributes_of, run_trigger
from fastiam.directory.user_pool_records import Client, Group, Identity, Pool, Provider, User

_MAX_NAME = 128


def user_of(state: PoolState, pool: Pool, client: Client, provider: Provider, subject: str, claims: Mapping[str, Any]) -> User:
    """The user of a verified identity, after its sign-in.

    Raises
    ------
    NotAuthorizedError
        the user is disabled.
    CognitoError
        the name of the new user is taken, attributes are wrong, or a trigger refuses.
    """
    key = f"{pool.id}/{provider.unique_id}/{SUBJECT}/{subject}"
    stored = state.tables.identities.get(key)
    if stored is None:
        stored = _link_by_claim(state, pool, provider, subject, key, claims)
    values = _mapped(pool, client, provider, claims)
    if stored is None:
        user = _new_external_user(state, pool, client, provider, subject, key, values)
    else:
        user = state.tables.users[f"{pool.id}/{stored.sub}"]
        if not user.enabled:
            raise NotAuthorizedError("User is disabled.", reason="unknown_principal", rule="4.4")
        if not stored.linked:  # a native user keeps its own attributes
            with state.transaction():
                user = _with_values(pool, state.current(user), values)
                state.put_user(user)
    state.note(sub=user.sub)
    request = {"userAttributes": attributes_of(user), "newDeviceUsed": False}
    run_trigger(state, pool, "PostAuthentication", "Authentication", username=user.username, client_id=client.id, request=request)
    return user


def _link_by_claim(
    state: PoolState, pool: Pool, provider: Provider, subject: str, key: str, claims: Mapping[str, Any]
) -> Identity | None:
    """The link by a claim of this identity; it is bound to the subject now. None unless there is exactly one."""
    links = [
        (stored_key, identity)
        for stored_key, identity in state.tables.identities.items()
        if identity.pool == pool.id
        and identity.provider == provider.unique_id
        and identity.attribute != SUBJECT
        and claims.get(identity.attribute) == identity.value
    ]
    if not links:
        return None
    if len(links) > 1:
        raise CognitoError("several users are linked to this identity", rule="UP113")
    with state.transaction():
        stored_key, identity = links[0]
        if state.tables.identities.get(stored_key) is not identity:
            raise CognitoError("the link was used meanwhile", rule="UP113")
        bound = replace(identity, attribute=SUBJECT, value=subject)
        state.put("identities", stored_key, None)
        state.put("identities", key, bound)
    return bound


def _mapped(pool: Pool, client: Client, provider: Provider, claims: Mapping[str, Any]) -> dict[str, str]:
    """The attributes that the mapping of the provider gives (UP111)."""
    schema, values = schema_of(pool), {}
    for name, claim in provider.mapping.items():
        value = claims.get(claim)
        if name == "username" or value is None:
            continue
        if client.writable is not None and name not in client.writable and name not in BOOLEANS:
            raise refused(f"the client cannot write the mapped attribute `{name}`", rule="UP111")
        text = _text(value).lower() if schema[name].type == "Boolean" else _text(value)
        check_value(schema[name], text)
        values[name] = text
    for name in VERIFIABLE:
        if name not in values:  # the address of the user is not one that this provider has verified now
            values.pop(f"{name}_verified", None)
        elif f"{name}_verified" not in provider.mapping:
            values[f"{name}_verified"] = "false"
    return values


def _with_values(pool: Pool, user: User, values: Mapping[str, str]) -> User:
    attributes = {name: value for name, value in {**user.attributes, **values}.items() if value}
    for name in VERIFIABLE:
        is_new = attributes.get(name) != user.attributes.get(name)
        if not attributes.get(name) or (is_new and f"{name}_verified" not in values):
            attributes.pop(f"{name}_verified", None)
    if missing := missing_required(pool, attributes):
        raise refused(f"required attributes are missing: {', '.join(missing)}", rule="UP111")
    return replace(user, attributes=attributes)


def _new_external_user(
    state: PoolState, pool: Pool, client: Client, provider: Provider, subject: str, key: str, values: Mapping[str, str]
) -> User:
    """A user for an identity that signs in for the first time. Its name must be free (UP115)."""
    now, name, group = state.now(), f"{provider.name}_{subject}", f"{pool.id}_{provider.name}"
    if len(name) > _MAX_NAME or any(char.isspace() for char in name):
        raise refused("the subject cannot be a user name", rule="UP111")
    if state.store.user_key(pool.id, name) is not None:
        raise CognitoError("the user name of this identity is taken", code="UsernameExistsException", rule="UP115")
    empty = User(pool.id, state.new_id(), name, now, now, "EXTERNAL_PROVIDER", groups=(group,))
    user = _with_values(pool, empty, values)
    request = {"userAttributes": dict(user.attributes), "validationData": {}}
    run_trigger(
        state, pool, "PreSignUp", "ExternalProvider", username=name, client_id=client.id, request=request, response=PRE_SIGN_UP
    )
    issuer = provider.details.get("oidc_issuer", "")
    identity = Identity(pool.id, provider.unique_id, provider.name, provider.type, SUBJECT, subject, user.sub, now, False, issuer)
    with state.transaction():
        if key in state.tables.identities or provider.unique_id != state.provider(pool, provider.name).unique_id:
            raise CognitoError("the identity has signed in meanwhile, try again", rule="UP115")
        group_key = f"{pool.id}/{group}"
        if group_key not in state.tables.groups:
            text = f"Autogenerated group for users who sign in using {provider.name}"
            state.put("groups", group_key, Group(pool.id, group, now, now, text))
        state.put_user(user)
        state.put("identities", key, identity)
    return user


def _text(value: object) -> str:
    """A claim as text: booleans as JSON has them, lists with their items in brackets."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_text, value))}]"
    return value if isinstance(value, str) else str(value)
