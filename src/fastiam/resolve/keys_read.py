"""The condition keys that policies read, and those whose values differ between two profiles of a principal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fastiam.model.key_registry import fold
from fastiam.model.policy import Policy
from fastiam.model.profile import PrincipalProfile
from fastiam.policy.conditions.operators import BASE_OPERATORS
from fastiam.spec.variables import read_tokens, variables_of


def keys_read(policies: Iterable[Policy]) -> Iterator[str]:
    """Yield the folded keys that statements read, in conditions and in variables."""
    for policy in policies:
        for statement in policy.statements:
            texts = list(statement.resources or ())
            for entry in statement.conditions:
                yield fold(entry.key)
                texts += entry.values
            for text in texts if policy.variables else ():
                if "${" in text:
                    yield from (one.name for one in variables_of(read_tokens(text, True, True)) if one.name)


def families_read(policies: Iterable[Policy]) -> dict[str, frozenset[str]]:
    """Return the families of operators that statements test each folded key with."""
    found: dict[str, set[str]] = {}
    for policy in policies:
        for statement in policy.statements:
            for entry in statement.conditions:
                if entry.operator in BASE_OPERATORS:
                    found.setdefault(fold(entry.key), set()).add(BASE_OPERATORS[entry.operator].family)
    return {key: frozenset(families) for key, families in found.items()}


def differing_keys(before: PrincipalProfile, after: PrincipalProfile) -> frozenset[str]:
    """Return the keys whose values differ between two profiles of a principal."""
    names = before.keys.keys() | after.keys.keys()
    return frozenset(name for name in names if before.keys.get(name) != after.keys.get(name))
