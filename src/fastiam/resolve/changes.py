"""What differs between two snapshots, so that an engine can keep everything else.

A model records what each write affects, and ends a record with a mark at each snapshot. Marks are a chain: each refers to the
next one and to what was written between the two, and never back, so that marks before the oldest snapshot in use are
garbage. Snapshots of different models, and those that were unpickled, have no common chain: their records are compared.

Invariant: the affected set is a superset of what a change affects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastiam.directory.account_records import Account, Entity, Tables
from fastiam.directory.governing_resources import partial_secret
from fastiam.directory.indexes import Indexes
from fastiam.model.profile import PrincipalKind
from fastiam.resolve.accounts import Accounts

if TYPE_CHECKING:
    from fastiam.resolve.snapshot import Snapshot

_NONE: frozenset[str] = frozenset()
TABLES = ("accounts", "entities", "groups", "managed", "resources", "endpoints")


@dataclass(frozen=True)
class Changes:
    """What may differ between two snapshots; all else is equal in both.

    Attributes
    ----------
    principals
        ARNs of roots, users and roles whose profile may differ: added, changed, removed. A role stands for its sessions. Callers
        without a record (unknown users and sessions, roots of unknown accounts) differ only where their account is among
        `accounts`; what was resolved from a `Session` is always to be resolved again.
    resources
        ARNs of stored resources, users and roles whose `ResourceFacts` may differ. One that carries policies includes all that it
        governs (spec 6.10). SCPs and RCPs are not part of these facts.
    accounts
        ids of accounts whose `AccountFacts` may differ.
    endpoints
        ids of endpoints whose profile may differ.
    everything
        no cheaper answer is exact: whether endpoints without a record are undetermined has changed (D40).
    """

    principals: frozenset[str] = _NONE
    resources: frozenset[str] = _NONE
    accounts: frozenset[str] = _NONE
    endpoints: frozenset[str] = _NONE
    everything: bool = False

    def __bool__(self) -> bool:
        return bool(self.principals or self.resources or self.accounts or self.endpoints or self.everything)


@dataclass(slots=True)
class AffectedSet:
    """What writes have reached so far."""

    principals: set[str] = field(default_factory=set)
    resources: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    endpoints: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.principals or self.resources or self.accounts or self.endpoints)

    def add(self, other: AffectedSet) -> None:
        """All of the other's as well."""
        self.principals |= other.principals
        self.resources |= other.resources
        self.accounts |= other.accounts
        self.endpoints |= other.endpoints

    def record(self, table: str, key: str, old: Any, new: Any, tables: Tables, reach: Indexes) -> None:
        """Add what the change of a record affects. `reach` indexes the principals that a record affects."""
        if table == "entities":
            self._entity(key, old, new)
        elif table == "resources":
            self.resources.update((key, *reach.dependents.get(key, ())))
            partial = partial_secret(key)
            if partial is not None:
                self.resources.add(partial)
        elif table == "groups":
            self.principals.update(reach.members.get(key, ()))
        elif table == "managed":
            if old is None or new is None or old.document != new.document:
                self._users_of(key, reach)
        elif table == "endpoints":
            self.endpoints.add(key)
        elif table == "accounts":
            self._account(key, old, new, tables, reach)

    def _entity(self, arn: str, old: Entity | None, new: Entity | None) -> None:
        if _as_resource(old) != _as_resource(new):
            self.resources.add(arn)
        if old is None or new is None or _without_trust(old) != _without_trust(new):
            self.principals.add(arn)

    def _users_of(self, policy: str, reach: Indexes) -> None:
        for user in reach.users.get(policy, ()):
            if ":group/" in user:
                self.principals.update(reach.members.get(user, ()))
            else:
                self.principals.add(user)

    def _account(self, id_: str, old: Account | None, new: Account | None, tables: Tables, reach: Indexes) -> None:
        self.accounts.add(id_)
        partitions = {account.partition for account in (old, new) if account is not None}
        self.principals.update(f"arn:{partition}:iam::{id_}:root" for partition in partitions)
        self.principals.update(reach.of_account.get(id_, ()))
        self.endpoints.update(endpoint.id for endpoint in tables.endpoints.values() if endpoint.account == id_)

    def organization(self, old: Tables, new: Tables, reach: Indexes) -> None:
        """Another tree: every account that inherits something else from it."""
        before, after = Accounts(old), Accounts(new)
        members: dict[str, None] = {}
        for tables in (old, new):
            if tables.organization is not None:
                members.update(dict.fromkeys(tables.organization.accounts()))
        for id_ in members:
            if _inherited(before, id_) != _inherited(after, id_):
                self._account(id_, old.accounts.get(id_), new.accounts.get(id_), new, reach)


def _as_resource(entity: Entity | None) -> tuple[object, ...]:
    return (None, {}) if entity is None else (entity.trust, entity.tags)


def _without_trust(entity: Entity) -> tuple[object, ...]:
    return tuple(getattr(entity, name) for name in _OWN)


_OWN = tuple(name for name in Entity.__slots__ if name not in ("trust", "max_session_duration"))


def _inherited(accounts: Accounts, id_: str) -> tuple[object, ...]:
    return accounts.keys(id_), accounts.facts(id_), accounts.scps(id_, PrincipalKind.USER), accounts.may_assume_root(id_)


@dataclass(slots=True, eq=False)
class JournalPosition:
    """A moment of a model: what was written until the next one, which is None for the last."""

    number: int = 0
    affected: AffectedSet | None = None
    next: JournalPosition | None = None

    def until(self, other: JournalPosition) -> AffectedSet | None:
        """What was written between this mark and a later one; None where the other does not follow."""
        found = AffectedSet()
        at: JournalPosition | None = self
        while at is not None and at is not other and at.number < other.number:
            if at.affected is not None:
                found.add(at.affected)
            at = at.next
        return found if at is other else None


def changes_between(old: Snapshot, new: Snapshot) -> Changes:
    """What may differ between two snapshots, of one model in either order of time, or of different ones.

    Within one model it costs what the writes between the two reach; else every record is compared.
    """
    affected = _by_journal(old.position, new.position)
    if affected is None:
        affected = _by_records(old.tables, new.tables)
    return Changes(
        frozenset(affected.principals),
        frozenset(affected.resources),
        frozenset(affected.accounts),
        frozenset(affected.endpoints),
        everything=old.has_endpoint_policies != new.has_endpoint_policies,
    )


def _by_journal(old: JournalPosition | None, new: JournalPosition | None) -> AffectedSet | None:
    if old is None or new is None:
        return None
    return old.until(new) if old.number <= new.number else new.until(old)


def _by_records(old: Tables, new: Tables) -> AffectedSet:
    affected, reach = AffectedSet(), _reach((old, new))
    for table in TABLES:
        for key, before, after in _differing(getattr(old, table), getattr(new, table)):
            affected.record(table, key, before, after, old, reach)
            affected.record(table, key, before, after, new, reach)
    affected.organization(old, new, reach)
    return affected


def _differing(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for key, before in old.items():
        after = new.get(key)
        if before is not after and before != after:
            yield key, before, after
    for key, after in new.items():
        if key not in old:
            yield key, None, after


def _reach(several: Iterable[Tables]) -> Indexes:
    reach = Indexes()
    for tables in several:
        for table in TABLES:
            for key, record in getattr(tables, table).items():
                reach.add(table, key, record)
    return reach
