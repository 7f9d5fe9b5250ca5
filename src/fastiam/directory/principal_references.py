"""Principals that a policy names, and the policy with one of them replaced (spec 3.5, N30 to N34).

IAM stores unique ids instead of the ARNs of users and roles, and shows the ARNs of existing ones. A directory stores what IAM
shows: an ARN denotes the user or role that exists now. It is replaced by the unique id when this one is deleted, so that no
principal matches it, and by the new ARN when this one is renamed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache

from fastiam.directory.principal_refs import PrincipalRef, parse_principal, role_arn
from fastiam.directory.stored_policies import StoredPolicy, text_of
from fastiam.errors import RequestValueError
from fastiam.model.policy import Policy, Statement
from fastiam.model.profile import ENTITIES, PrincipalKind
from fastiam.policy.json_text import JsonValue, read_json

_ARN = re.compile('"(arn:[^"]*:iam::[0-9]{12}:(?:user|role)/[^"]*)"')
_ELEMENTS = ("Principal", "NotPrincipal")


def named_entities(policy: Policy) -> Iterator[PrincipalRef]:
    """The users and roles that the statements name by ARN, without sessions and accounts (N33)."""
    for statement in policy.statements:
        for entry in statement.principals or ():
            named = _named(entry.value) if entry.type == "AWS" else None
            if named is not None:
                yield named


@lru_cache(maxsize=8192)
def _named(value: str) -> PrincipalRef | None:
    """The user or role of a principal value; None for all other forms."""
    if not value.startswith("arn:"):
        return None
    try:
        named = parse_principal(value)
    except RequestValueError:
        return None  # another form, such as a group: the parser of policies reports it
    return named if named.kind in ENTITIES and not named.session else None


def identity_of(named: PrincipalRef) -> str:
    """The key of a user or role: equal for two ARNs that name the same one. The path of a role does not count (N11)."""
    return named.text if named.kind is PrincipalKind.USER else role_arn(named)


def identities_in(stored: StoredPolicy) -> set[str]:
    """The users and roles that the policy may name: a superset. The text is searched, not parsed.

    PERF: opening a store with 50,000 roles parses no trust policy.
    """
    if "\\" in stored.text:  # escaped letters
        return {identity_of(named) for named in named_entities(stored.policy)}
    found = map(_named, _ARN.findall(stored.text))
    return {identity_of(named) for named in found if named is not None}


def names_identity(stored: StoredPolicy, identity: str) -> bool:
    """Whether the policy names the user or role."""
    return any(identity_of(named) == identity for named in named_entities(stored.policy))


def with_name(stored: StoredPolicy, identity: str, name: str) -> StoredPolicy:
    """The policy with another name for one user or role in all principals (N33)."""

    def change(value: str) -> str:
        named = _named(value)
        return name if named is not None and identity_of(named) == identity else value

    statements = tuple(_with_principals(statement, change) for statement in stored.policy.statements)
    return StoredPolicy(replace(stored.policy, statements=statements), text_of(_changed(read_json(stored.text), change)))


def _with_principals(statement: Statement, change: Callable[[str], str]) -> Statement:
    if not statement.principals:
        return statement
    entries = (replace(e, value=change(e.value)) if e.type == "AWS" else e for e in statement.principals)
    return replace(statement, principals=tuple(entries))


def _changed(document: JsonValue, change: Callable[[str], str]) -> Mapping[str, JsonValue]:
    """The document with replaced names in the principals of its statements."""
    assert isinstance(document, dict)
    statements = document.get("Statement")
    for statement in statements if isinstance(statements, list) else [statements]:
        for element in _ELEMENTS:
            principals = statement.get(element) if isinstance(statement, dict) else None
            if isinstance(principals, dict) and "AWS" in principals:
                principals["AWS"] = _each(principals["AWS"], change)
    return document


def _each(values: JsonValue, change: Callable[[str], str]) -> JsonValue:
    if isinstance(values, list):
        return [change(value) if isinstance(value, str) else value for value in values]
    return change(values) if isinstance(values, str) else values
