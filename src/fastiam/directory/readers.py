"""The public readers of an account model: names of records, one record, its documents, the attachments of a policy.

Listings are ARNs or ids in the order of writing. A record is an immutable copy. No `repr` contains a document.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from fastiam.directory.account_records import Account, Endpoint, Entity, Group, ManagedPolicy, Resource, Tables
from fastiam.directory.stored_policies import StoredPolicy
from fastiam.directory.writes.base import Writes
from fastiam.errors import DirectoryError, did_you_mean
from fastiam.model.key_registry import fold
from fastiam.model.policy import PolicyKind
from fastiam.model.request import shorten
from fastiam.model.source_map import Origin

_COMPARED = 5_000  # names that are compared to find a similar one
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """One policy document of a directory.

    Attributes
    ----------
    owner
        the ARN or id of the principal, group, managed policy, resource, endpoint, account or unit that has the document.
    name
        the name of the policy in decisions.
    kind
        how it is read (spec 1.1).
    text
        its JSON text.
    version
        the version of a managed policy; `in_force` : whether it is the default one.
    origin
        the file and path that it was read from, or None.
    """

    owner: str
    name: str
    kind: PolicyKind
    text: str = field(repr=False)
    version: str | None = None
    in_force: bool = True
    origin: Origin | None = field(default=None, repr=False, compare=False)

    def parsed(self) -> dict[str, Any]:
        """The document as a mapping."""
        document: dict[str, Any] = json.loads(self.text)
        return document


@dataclass(frozen=True, slots=True)
class Attachments:
    """The attachments of a managed policy: ARNs of users, groups and roles that have it as a policy, and as a boundary."""

    attached_to: tuple[str, ...]
    boundary_of: tuple[str, ...]


class AccountReaders(Writes):
    """The readers. They read memory: `refresh` adds what other processes have written to the store."""

    def accounts(self) -> tuple[str, ...]:
        """The ids of all accounts."""
        return tuple(self.tables.accounts)

    def account(self, id: str) -> Account:
        """The record of an account: partition, name, canonical id.

        Raises
        ------
        DirectoryError
            there is no such record. All readers of one record raise it.
        """
        return _found(self.tables.accounts, id, "account")

    def find(self, type_: str, name: str, account: str, partition: str = "aws", *, ignore_case: bool = False) -> str | None:
        """The ARN of a user, group, role or instance profile by its name, or None.

        Parameters
        ----------
        type_
            `user`, `group`, `role` or `instance-profile`.
        ignore_case
            find a name in another case, too. At most one has it (spec 1.3).
        """
        arn = self._store.indexes.names.get((partition, account, type_, fold(name)))
        return arn if arn is None or ignore_case or arn.rpartition("/")[2] == name else None

    def principals(self, account: str | None = None) -> tuple[str, ...]:
        """The ARNs of all users and roles, or of those of an account."""
        return tuple(self.tables.entities if account is None else self._store.indexes.of_account.get(account, ()))

    def principal(self, arn: str) -> Entity:
        """The record of a user or role: tags, groups, names of policies, boundary, ids."""
        entity = _found(self.tables.entities, arn, "user or role")
        return replace(entity, tags=dict(entity.tags))

    def groups(self, account: str | None = None) -> tuple[str, ...]:
        """The ARNs of all groups, or of those of an account."""
        return tuple(self.tables.groups if account is None else self._store.indexes.owned.get(f"{account} group", ()))

    def group(self, arn: str) -> Group:
        """The record of a group."""
        return _found(self.tables.groups, arn, "group")

    def members(self, group: str) -> tuple[str, ...]:
        """The ARNs of the users in a group."""
        self.group(group)
        return tuple(self._store.indexes.members.get(group, ()))

    def policies(self, account: str | None = None) -> tuple[str, ...]:
        """The ARNs of all managed policies, or of those of an account; `aws` selects the policies of AWS."""
        return tuple(self.tables.managed if account is None else self._store.indexes.owned.get(f"{account} policy", ()))

    def policy(self, arn: str) -> ManagedPolicy:
        """The record of a managed policy: its versions, the default one, tags."""
        managed = _found(self.tables.managed, arn, "managed policy")
        return replace(managed, versions=dict(managed.versions), tags=dict(managed.tags))

    def resources(self, account: str | None = None) -> tuple[str, ...]:
        """The ARNs of all resources with a record, or of those that an account owns."""
        records = tuple(self.tables.resources.values())
        return tuple(record.arn for record in records if account in (None, record.account, record.arn.split(":")[4]))

    def resource(self, arn: str) -> Resource:
        """The record of a resource: owner, tags, names of policies."""
        resource = _found(self.tables.resources, arn, "resource")
        return replace(resource, tags=dict(resource.tags))

    def endpoints(self) -> tuple[str, ...]:
        """The ids of all VPC endpoints with a record."""
        return tuple(self.tables.endpoints)

    def endpoint(self, id: str) -> Endpoint:
        """The record of a VPC endpoint."""
        return _found(self.tables.endpoints, id, "endpoint")

    def documents(self, owner: str | None = None) -> tuple[PolicyDocument, ...]:
        """All policy documents, or those of one ARN or id: for a principal its inline policies, boundary and trust policy.

        Attached managed policies are documents of their own ARN (`principal(arn).attached`).

        Raises
        ------
        DirectoryError
            there is no record of the owner.
        """
        tables = self.tables
        if owner is not None and not any(owner in table for table in _tables_of(tables)):
            raise DirectoryError(f"there is no record of `{shorten(str(owner))}`", hint="name it by its ARN or id")
        return tuple(_documents(tables, owner))

    def attachments(self, policy: str) -> Attachments:
        """The attachments of a managed policy, which need not have a record."""
        arns = tuple(self._store.indexes.users.get(policy, ()))
        entities = [entity for arn in arns if (entity := self.tables.entities.get(arn)) is not None]
        groups = [group for arn in arns if (group := self.tables.groups.get(arn)) is not None]
        owners: tuple[Entity | Group, ...] = (*entities, *groups)
        return Attachments(
            tuple(owner.arn for owner in owners if policy in owner.attached),
            tuple(entity.arn for entity in entities if policy in (entity.boundary or ())),
        )


def _found(table: Mapping[str, R], key: str, what: str) -> R:
    found = table.get(key)
    if found is None:
        hint = did_you_mean(str(key), tuple(table)) if len(table) <= _COMPARED else ""
        raise DirectoryError(f"there is no {what} `{shorten(str(key))}`", hint=hint)
    return found


def _tables_of(tables: Tables) -> Iterator[Mapping[str, object]]:
    yield from (tables.entities, tables.groups, tables.managed, tables.resources, tables.endpoints, tables.accounts)
    if tables.organization is not None:
        yield from (tables.organization.parents, {tables.organization.root: None})


def _documents(tables: Tables, owner: str | None) -> Iterator[PolicyDocument]:
    def of(table: Mapping[str, R]) -> tuple[R, ...]:
        return tuple(table.values()) if owner is None else (table[owner],) if owner in table else ()

    for entity in of(tables.entities):
        own = [stored for stored in entity.boundary or () if isinstance(stored, StoredPolicy)]
        yield from _named(entity.arn, (*entity.inline, *own, *((entity.trust,) if entity.trust else ())))
    for group in of(tables.groups):
        yield from _named(group.arn, group.inline)
    for managed in of(tables.managed):
        for version, stored in managed.versions.items():
            in_force = version == managed.default
            yield PolicyDocument(managed.arn, stored.name, stored.kind, stored.text, version, in_force, stored.origin)
    for resource in of(tables.resources):
        yield from _named(resource.arn, resource.policies)
    for endpoint in of(tables.endpoints):
        yield from _named(endpoint.id, endpoint.policies or ())
    for account in of(tables.accounts):
        for levels in (account.scps, account.rcps):
            for level in levels or ():
                yield from _named(account.id, level)
    if tables.organization is not None:
        for by_element in (tables.organization.scps, tables.organization.rcps):
            for element, level in by_element.items():
                if owner in (None, element):
                    yield from _named(element, level)


def _named(owner: str, policies: Iterable[StoredPolicy]) -> Iterator[PolicyDocument]:
    return (PolicyDocument(owner, stored.name, stored.kind, stored.text, origin=stored.origin) for stored in policies)
