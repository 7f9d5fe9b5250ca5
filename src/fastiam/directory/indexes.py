"""Reverse indexes of the records of a model: which records a change affects, and which names are taken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from fastiam.directory.account_records import Entity, Group, InstanceProfile, ManagedPolicy, OidcProvider, Resource, SamlProvider
from fastiam.directory.governing_resources import governing_resources_of
from fastiam.directory.principal_references import identities_in
from fastiam.directory.stored_policies import StoredPolicy
from fastiam.model.key_registry import fold
from fastiam.model.profile import WITH_LONG_TERM_KEYS, PrincipalKind

Name = tuple[str, str, str, str]  # partition, account, type, folded name: unique ignoring case (spec 1.3)
Links = defaultdict[str, dict[str, None]]  # ordered sets


class Indexes:
    """Indexes that each change of a record updates.

    Attributes
    ----------
    names
        ARN of each group, user and role by its name.
    of_account
        users and roles of an account, and a root user to which a lenient load gave policies (D6).
    users
        entities and groups that have a managed policy attached or as boundary, with or without a document.
    members
        users of a group.
    dependents
        stored resources that a policy stored under another ARN also governs (6.10).
    named
        roles and resources whose policies name a user or role, by `principal_references.identity_of` (N30).
    profiles
        instance profiles of a role.
    owned
        records of an account and type, by `<account> <type>`.
    """

    def __init__(self) -> None:
        self.names: dict[Name, str] = {}
        self.of_account: Links = defaultdict(dict)
        self.users: Links = defaultdict(dict)
        self.members: Links = defaultdict(dict)
        self.dependents: Links = defaultdict(dict)
        self.named: Links = defaultdict(dict)
        self.profiles: Links = defaultdict(dict)
        self.owned: Links = defaultdict(dict)

    def replace(self, table: str, key: str, old: Any, new: Any) -> None:
        """Update the indexes for a record that changes from `old` to `new`; None means that it is absent."""
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
        """Add a new record. PERF: as `replace`, without a comparison of sets."""
        links = _LINKS.get(table)
        if links is not None:
            for name, source in links(self, record):
                getattr(self, name)[source][key] = None


def name_of(record: Entity | Group | InstanceProfile | None) -> Name | None:
    """The name of a record; a root user has none."""
    if record is None or isinstance(record, Entity) and record.kind is PrincipalKind.ROOT:
        return None
    return record.partition, record.account, _type_of(record), fold(record.name)


def _type_of(record: Entity | Group | InstanceProfile) -> str:
    if isinstance(record, Entity):
        return "user" if record.kind in WITH_LONG_TERM_KEYS else "role"
    return "group" if isinstance(record, Group) else "instance-profile"


def _of_entity(_: Indexes, entity: Entity) -> Iterator[tuple[str, str]]:
    yield "of_account", entity.account
    yield "owned", f"{entity.account} {_type_of(entity)}"
    yield from _uses(entity.attached)
    yield from _uses(item for item in entity.boundary or () if isinstance(item, str))
    for group in entity.groups:
        yield "members", group
    if entity.trust is not None:
        yield from _names((entity.trust,))


def _of_group(_: Indexes, group: Group) -> Iterator[tuple[str, str]]:
    yield "owned", f"{group.account} group"
    yield from _uses(group.attached)


def _of_managed(_: Indexes, policy: ManagedPolicy) -> Iterator[tuple[str, str]]:
    yield "owned", f"{policy.arn.split(':')[4]} policy"


def _of_instance_profile(_: Indexes, profile: InstanceProfile) -> Iterator[tuple[str, str]]:
    if profile.role is not None:
        yield "profiles", profile.role


def _of_saml_provider(_: Indexes, provider: SamlProvider) -> Iterator[tuple[str, str]]:
    yield "owned", f"{provider.account} saml-provider"


def _of_oidc_provider(_: Indexes, provider: OidcProvider) -> Iterator[tuple[str, str]]:
    yield "owned", f"{provider.account} oidc-provider"


def _of_resource(_: Indexes, resource: Resource) -> Iterator[tuple[str, str]]:
    for group in governing_resources_of(resource.arn).groups:
        for arn in group:
            if arn != resource.arn:
                yield "dependents", arn
    yield from _names(resource.policies)


def _names(policies: Iterable[StoredPolicy]) -> Iterator[tuple[str, str]]:
    for stored in policies:
        for identity in identities_in(stored):
            yield "named", identity


def _uses(arns: Iterable[str]) -> Iterator[tuple[str, str]]:
    for arn in arns:
        yield "users", arn


_LINKS: dict[str, Any] = {
    "entities": _of_entity,
    "groups": _of_group,
    "managed": _of_managed,
    "resources": _of_resource,
    "instance_profiles": _of_instance_profile,
    "saml_providers": _of_saml_provider,
    "oidc_providers": _of_oidc_provider,
}
