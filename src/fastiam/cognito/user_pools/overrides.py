"""PreTokenGeneration: what a trigger may change in tokens (4.13)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastiam.cognito.user_pools.state import Json, PoolState
from fastiam.cognito.user_pools.triggers import attributes_of, invalid_response, run_trigger
from fastiam.directory.user_pool_records import Client, Pool, User
from fastiam.strict_json import IDENTITY_LIMITS, read_object

PROTECTED = frozenset(
    "acr amr aud at_hash auth_time azp cognito:username client_id device_key event_id exp iat identities iss jti nbf nonce "
    "origin_jti sub token_use username version scope".split()
)
_TRIGGER = "PreTokenGeneration"
_GROUPS = {"groupsToOverride": "cognito:groups", "iamRolesToOverride": "cognito:roles"}


def override_claims(
    state: PoolState,
    pool: Pool,
    client: Client,
    user: User | None,
    source: str,
    id_claims: Json,
    access_claims: Json,
    metadata: Json,
) -> tuple[Json, Json]:
    """The claims of both tokens as the trigger of the pool changes them.

    Raises
    ------
    CognitoError
        the trigger failed, or its result has another form.
    """
    version = pool.token_version
    name = "claimsOverrideDetails" if version == "V1_0" else "claimsAndScopeOverrideDetails"
    request: Json = {
        "userAttributes": {} if user is None else attributes_of(user),
        "groupConfiguration": {
            "groupsToOverride": id_claims.get("cognito:groups", []),
            "iamRolesToOverride": id_claims.get("cognito:roles", []),
            "preferredRole": id_claims.get("cognito:preferred_role"),
        },
        "clientMetadata": metadata,
    }
    if version != "V1_0":
        request["scopes"] = access_claims["scope"].split()
    response = run_trigger(
        state,
        pool,
        _TRIGGER,
        source,
        username=client.id if user is None else user.username,
        client_id=client.id,
        request=request,
        response={name: None},
        version=version[1:2],
    )
    details = _member(response or {}, name)
    if not details:
        return id_claims, access_claims
    groups = _member(details, "groupOverrideDetails")
    if "groupOverrideDetails" in details and details["groupOverrideDetails"] is not None:
        id_claims = _with_groups(id_claims, groups)
        access_claims = _with_groups(access_claims, {"groupsToOverride": groups.get("groupsToOverride")})
    if version == "V1_0":
        return _changed(state, id_claims, details, only_text=True), access_claims
    id_claims = _changed(state, id_claims, _member(details, "idTokenGeneration"))
    access = _member(details, "accessTokenGeneration")
    return id_claims, _with_scopes(state, _changed(state, access_claims, access), access)


def _member(source: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = source.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise invalid_response(_TRIGGER, f"`{name}` is not an object")
    return value


def _texts(source: Mapping[str, Any], name: str) -> list[str]:
    value = source.get(name)
    if value is None:
        return []
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise invalid_response(_TRIGGER, f"`{name}` is not a list of texts")
    return list(value)


def _with_groups(claims: Json, groups: Mapping[str, Any]) -> Json:
    """Groups, roles and preferred role are replaced as a whole (UP75)."""
    kept = {key: value for key, value in claims.items() if key not in (*_GROUPS.values(), "cognito:preferred_role")}
    for name, claim in _GROUPS.items():
        if texts := _texts(groups, name):
            kept[claim] = texts
    preferred = groups.get("preferredRole")
    if preferred is not None and not isinstance(preferred, str):
        raise invalid_response(_TRIGGER, "`preferredRole` is not text")
    return kept | ({"cognito:preferred_role": preferred} if preferred else {})


def is_protected(claim: str) -> bool:
    """Whether a trigger cannot change a claim (UP76)."""
    return claim in PROTECTED or claim.startswith(("cognito:", "aws:", "dev:"))


def _changed(state: PoolState, claims: Json, details: Mapping[str, Any], *, only_text: bool = False) -> Json:
    added, result = _member(details, "claimsToAddOrOverride"), dict(claims)
    for claim, value in added.items():
        if not isinstance(claim, str) or (only_text and not isinstance(value, str)):
            raise invalid_response(_TRIGGER, "a claim is not text")
        if not _is_json(claim, value):
            raise invalid_response(_TRIGGER, f"the claim `{claim[:64]}` is not a JSON value as tokens can have it")
        if is_protected(claim):
            state.warn(f"{_TRIGGER} cannot change the claim `{claim[:64]}`")
        else:
            result[claim] = value
    for claim in _texts(details, "claimsToSuppress"):
        if is_protected(claim):
            state.warn(f"{_TRIGGER} cannot suppress the claim `{claim[:64]}`")
        else:
            result.pop(claim, None)
    return result


def _is_json(claim: str, value: object) -> bool:
    """Whether a token with this claim can be read again."""
    try:
        read_object(json.dumps({claim: value}, allow_nan=False).encode(), IDENTITY_LIMITS)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _with_scopes(state: PoolState, claims: Json, details: Mapping[str, Any]) -> Json:
    scopes = [scope for scope in claims["scope"].split() if scope not in _texts(details, "scopesToSuppress")]
    added = _texts(details, "scopesToAdd")
    if any(not scope or any(char.isspace() for char in scope) for scope in added):
        raise invalid_response(_TRIGGER, "a scope has white space")
    for scope in [scope for scope in added if scope.startswith("aws.cognito.")]:
        state.warn(f"{_TRIGGER} cannot add the scope `{scope[:64]}`")  # it opens the pool's own API
        added.remove(scope)
    return claims | {"scope": " ".join(dict.fromkeys([*scopes, *added]))}
