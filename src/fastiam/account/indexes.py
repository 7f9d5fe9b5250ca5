"""Reverse look-ups over the records of a model: who is reached when a record changes, and which names are taken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from fastiam.account.holders import holders_of
from fastiam.account.records import Entity, Group, Resource
from fastiam.keys import fold
from fastiam.profile import PrincipalKind

Name = tuple[str, str, str, str]  # partition, account, type, folded name: unique whatever the case (spec 1.3)
Links = defaultdict[str, dict[str, None]]  # ordered sets


class Indexes:
    """Kept up record by record.

    Attributes
    ----------
    names : ARN of each group, user and role by its name.
    of_account : users and roles of an account; what a lenient load gave a root user is among them (D6).
    users : entities and groups that have a managed policy attached or as boundary, whether there is a document or not.
    members : users of a group.
    dependents : stored resources that a policy stored under another ARN governs as well (6.10).
    """

    def __init__(self) -> None:
        self.names: dict[Name, str] = {}
        self.of_account: Links = defaultdict(dict)
        self.users: Links = defaultdict(dict)
        self.members: Links = defaultdict(dict)
        self.dependents: Links = defaultdict(dict)

    def replace(self, table: str, key: str, old: Any, new: Any) -> None:
        """One record in place of another; None where there was or will be none."""
        links = _LINKS.get(table)
        if links is None:
            return
        was, is_ = (set() if record is None else set(links(self, record)) for record in (old, new))
        for name, source in was - is_:
            targets = getattr(self, name)[source]
            targets.pop(key, None)
            if not targets:
                del getattr(self, name)[source]
        for name, source in is_ - was:
            getattr(self, name)[source][key] = None

    def add(self, table: str, key: str, record: Any) -> None:
        """A record that was not there. PERF: what `replace` does, without sets to compare."""
        links = _LINKS.get(table)
        if links is not None:
            for name, source in links(self, record):
                getattr(self, name)[source][key] = None


def name_of(record: Entity | Group | None) -> Name | None:
    """The name that a record takes; a root user has none."""
    if record is None:
        return None
    if isinstance(record, Group):
        return record.partition, record.account, "group", fold(record.name)
    if record.kind is PrincipalKind.ROOT:
        return None
    type_ = "user" if record.kind is PrincipalKind.USER else "role"
    return record.partition, record.account, type_, fold(record.name)


def _of_entity(_: Indexes, entity: Entity) -> Iterator[tuple[str, str]]:
    yield "of_account", entity.account
    yield from _uses(entity.attached)
    yield from _uses(item for item in entity.boundary or () if isinstance(item, str))
    for group in entity.groups:
        yield "members", group


def _of_group(_: Indexes, group: Group) -> Iterator[tuple[str, str]]:
    yield from _uses(group.attached)


def _of_resource(_: Indexes, resource: Resource) -> Iterator[tuple[str, str]]:
    for group in holders_of(resource.arn).groups:
        for holder in group:
            if holder != resource.arn:
                yield "dependents", holder


def _uses(arns: Iterable[str]) -> Iterator[tuple[str, str]]:
    for arn in arns:
        yield "users", arn


_LINKS: dict[str, Any] = {"entities": _of_entity, "groups": _of_group, "resources": _of_resource}
