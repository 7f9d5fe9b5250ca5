"""Whom a trust policy names (spec N30 to N32)."""

from __future__ import annotations

from collections.abc import Iterator

from fastiam.account.subjects import Subject, read_subject
from fastiam.errors import RequestValueError
from fastiam.model import Policy
from fastiam.profile import PrincipalKind

_ENTITIES = (PrincipalKind.USER, PrincipalKind.ROLE, PrincipalKind.SLR)


def named_entities(policy: Policy) -> Iterator[Subject]:
    """The users and roles that the statements name by ARN; sessions and account forms are none (N33)."""
    for statement in policy.statements:
        for entry in statement.principals or ():
            if entry.type == "AWS" and entry.value.startswith("arn:"):
                try:
                    named = read_subject(entry.value)
                except RequestValueError:
                    continue  # another form, such as a group: the language reports it
                if named.kind in _ENTITIES and not named.session:
                    yield named
