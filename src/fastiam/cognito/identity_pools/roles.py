"""The role of an identity in the enhanced flow: its default role, claims of a user pool's token, or rules (5.6)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from fastiam.cognito.cognito_errors import CognitoError, NotAuthorizedError
from fastiam.cognito.identity_pools.parameters import AUTHENTICATED, TOKEN, UNAUTHENTICATED
from fastiam.cognito.identity_pools.verified import VerifiedLogin
from fastiam.directory.identity_pool_records import IdentityPool, MappingRule, RoleMapping

ROLES, PREFERRED = "cognito:roles", "cognito:preferred_role"


@dataclass(frozen=True, slots=True)
class Choice:
    """A role, and how it was chosen: a word for audit events."""

    role: str
    by: str


def choose_role(pool: IdentityPool, logins: Sequence[VerifiedLogin], custom_role: str | None) -> Choice:
    """The role of a call with these verified logins. Without logins the identity is unauthenticated.

    Raises
    ------
    CognitoError
        the pool has no such role; a guest names a role.
    NotAuthorizedError
        the logins do not lead to the role that was named, or not to one role.
    """
    if not logins:
        if custom_role is not None:
            raise CognitoError("an unauthenticated identity cannot choose its role", rule="5.6")
        return _default(pool, UNAUTHENTICATED)
    mapped = [(login, pool.role_mappings[login.mapping]) for login in logins if login.mapping in pool.role_mappings]
    if not mapped:
        choice = _default(pool, AUTHENTICATED)
        if custom_role not in (None, choice.role):
            _refuse("the role is not the one of authenticated identities", "5.6")
        return choice
    choices = [_mapped(pool, login, mapping, custom_role) for login, mapping in mapped]
    if len({choice.role for choice in choices}) > 1:
        _refuse("the logins lead to different roles", "5.6")
    return choices[0]


def _default(pool: IdentityPool, kind: str) -> Choice:
    role = pool.roles.get(kind)
    if role is None:
        raise CognitoError(
            f"the identity pool has no role for {kind} identities",
            rule="5.6",
            hint="set it with `set_identity_pool_roles`",
            code="InvalidIdentityPoolConfigurationException",
        )
    return Choice(role, kind)


def _mapped(pool: IdentityPool, login: VerifiedLogin, mapping: RoleMapping, custom_role: str | None) -> Choice:
    choose = _by_token if mapping.type == TOKEN else _by_rules
    choice = choose(login.claims, mapping, custom_role)
    if choice is not None:
        return choice
    if custom_role is not None:
        _refuse("the login does not lead to this role", "ID50" if mapping.type == TOKEN else "ID53")
    if mapping.ambiguous_role_resolution != "AuthenticatedRole":
        _refuse("the login does not lead to exactly one role", "ID50" if mapping.type == TOKEN else "ID52")
    return _default(pool, AUTHENTICATED)


def _by_token(claims: Mapping[str, Any], mapping: RoleMapping, custom_role: str | None) -> Choice | None:
    """ID50. A text in place of the list is one role: splitting it could invent another one."""
    given = claims.get(ROLES)
    listed = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    roles = [role for role in listed if isinstance(role, str)]
    if custom_role is not None:
        return Choice(custom_role, "token:custom") if custom_role in roles else None
    preferred = claims.get(PREFERRED)
    if preferred is not None:
        return Choice(preferred, "token:preferred") if isinstance(preferred, str) else None
    return Choice(roles[0], "token:only") if len(roles) == 1 and len(listed) == 1 else None


def _by_rules(claims: Mapping[str, Any], mapping: RoleMapping, custom_role: str | None) -> Choice | None:
    """ID52, ID53: the first rule that matches; with a named role, the first one of this role."""
    for number, rule in enumerate(mapping.rules, 1):
        if custom_role in (None, rule.role_arn) and matches(rule, claims):
            return Choice(rule.role_arn, f"rule:{number}")
    return None


def matches(rule: MappingRule, claims: Mapping[str, Any]) -> bool:
    """Whether a claim matches a rule. Case-sensitive; an absent claim matches no rule, `NotEqual` included."""
    claim = claims.get(rule.claim)
    if isinstance(claim, list):
        return _matches_list(rule, claim)
    text = claim_text(claim)
    if text is None:
        return False
    match rule.match_type:
        case "Equals":
            return text == rule.value
        case "Contains":
            return rule.value in text
        case "StartsWith":
            return text.startswith(rule.value)
        case "NotEqual":
            return text != rule.value
    return False


def _matches_list(rule: MappingRule, claim: list[Any]) -> bool:
    """A list matches by whole elements. One with an element that is not a text matches nothing."""
    if not all(isinstance(element, str) for element in claim):
        return False
    match rule.match_type:
        case "Equals":
            return claim == [rule.value]
        case "Contains":
            return rule.value in claim
        case "NotEqual":
            return rule.value not in claim
    return False


def claim_text(claim: Any) -> str | None:
    """A claim as text: numbers and booleans as JSON; None for an absent one, a list or an object."""
    if isinstance(claim, str):
        return claim
    return json.dumps(claim) if isinstance(claim, (bool, int, float)) else None


def _refuse(message: str, rule: str) -> NoReturn:
    raise NotAuthorizedError(message, reason="role", rule=rule)
