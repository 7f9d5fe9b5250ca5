"""The account model: accounts, users, groups, roles, managed policies, resources, endpoints and one organisation.

Every write is checked as a whole and done as a whole, as one transaction: a write that raises has changed nothing. What AWS
refuses when it is written is a `DirectoryError` in mode `strict` and a finding in mode `lenient`, which reads state that exists
(F5). What would be no record at all, such as an ARN that is none, is an error in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from fastiam.account.books import Ledger, write
from fastiam.account.documents import Given, Mode, Reader, StoredLevels, StoredPolicy, as_items, is_managed_arn
from fastiam.account.holders import holders_of, stored_arn
from fastiam.account.naming import check_account, entity_subject, group_parts, name_errors, read_tags
from fastiam.account.organization import POLICY_TYPES, Organization, read_tree
from fastiam.account.records import SESSION_DURATION, Account, Endpoint, Entity, Group, ManagedPolicy, Resource, Tables
from fastiam.account.snapshot import Snapshot
from fastiam.account.store import Store
from fastiam.account.subjects import Subject
from fastiam.account.trust import named_entities
from fastiam.arn import is_account, split_arn
from fastiam.errors import DirectoryError, Finding, Severity
from fastiam.keys import fold
from fastiam.model import PolicyKind
from fastiam.profile import PrincipalKind
from fastiam.request import shorten

HERE = "directory"  # the source of findings that a write makes about itself


class AccountModel:
    """Accounts and everything in them, written one record at a time."""

    def __init__(self, mode: Mode) -> None:
        if mode not in ("strict", "lenient"):
            raise ValueError(f"unknown mode `{mode}`: a directory is `strict` or `lenient`")
        self.mode: Mode = mode
        self.findings: list[Finding] = []
        self._store = Store()
        self._levels: dict[tuple[PolicyKind, str, str], StoredPolicy] = {}  # one object for equal SCPs of many accounts

    @property
    def tables(self) -> Tables:
        """The records. Only the store changes them."""
        return self._store.tables

    @property
    def ledger(self) -> Ledger:
        """The store, the books that others have joined to it, and the transactions over all of them."""
        return self._store.ledger

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside are one; an error undoes them and takes their findings back."""
        n_findings = len(self.findings)
        try:
            with self.ledger.transaction():
                yield
        except BaseException:
            del self.findings[n_findings:]
            raise

    def snapshot(self) -> Snapshot:
        """An immutable view of what is there now."""
        return self._store.snapshot()

    # -- accounts and the organisation --------------------------------------------------------------------------------

    @write
    def add_account(self, id_: str, *, name: str | None, canonical_id: str | None, partition: str) -> None:
        """An account; one that another record has brought into being already gets the details."""
        old = self.tables.accounts.get(check_account(id_), Account(id_, partition))
        new = replace(old, name=name or old.name, canonical_id=canonical_id or old.canonical_id, partition=partition)
        self._commit(self._reader())
        self._store.put("accounts", id_, new)

    @write
    def set_organization(
        self,
        id_: str,
        *,
        management_account: str | None,
        root: str,
        organizational_units: Mapping[str, str],
        accounts: Mapping[str, str | Sequence[str] | None],
        delegated_administrators: Iterable[str] | Mapping[str, Iterable[str]],
        scps: Mapping[str, object],
        rcps: Mapping[str, object],
        policy_types: Iterable[str],
    ) -> None:
        """The whole tree at once; an organisation that was there is replaced."""
        if not id_.startswith("o-") or not root.startswith("r-"):
            raise DirectoryError(f"`{id_}` and `{root}` are no organisation and root", hint="the ids start with `o-` and `r-`")
        places = dict(accounts)
        if management_account is not None:
            places.setdefault(check_account(management_account), None)
        parents = read_tree(root, organizational_units, places)
        reader = self._reader()
        organization = Organization(
            id_,
            root,
            management_account,
            parents,
            _delegates(delegated_administrators, parents),
            _policies_by_element(reader, scps, PolicyKind.SCP, "scps", {root, *parents}),
            _policies_by_element(reader, rcps, PolicyKind.RCP, "rcps", {root, *parents}),
            _policy_types(policy_types),
        )
        self._commit(reader)
        self._store.put_organization(organization)
        for account in places:
            self._ensure_account(account)

    @write
    def set_scps(self, account: str, levels: Sequence[object] | None) -> None:
        """The SCPs of an account's path, root first; None takes those of the organisation's tree again."""
        found = self._read_levels(account, levels, PolicyKind.SCP, "scps")
        self._store.put("accounts", account, replace(self.tables.accounts[account], scps=found))

    @write
    def set_rcps(self, account: str, levels: Sequence[object] | None) -> None:
        """The RCPs of an account's path, root first; None takes those of the organisation's tree again."""
        found = self._read_levels(account, levels, PolicyKind.RCP, "rcps")
        self._store.put("accounts", account, replace(self.tables.accounts[account], rcps=found))

    def _read_levels(self, account: str, levels: Sequence[object] | None, kind: PolicyKind, name: str) -> StoredLevels | None:
        check_account(account)
        reader = self._reader()
        found = None if levels is None else reader.read_levels(levels, kind, name)
        self._commit(reader)
        self._ensure_account(account)
        if found is None:
            return None
        return tuple(tuple(self._levels.setdefault((kind, p.name, p.text), p) for p in level) for level in found)

    # -- policies and groups ------------------------------------------------------------------------------------------

    @write
    def add_managed_policy(self, arn: str, versions: Mapping[str, Given], default: str) -> None:
        """A managed policy with its versions, of which `default` is in force."""
        parts = split_arn(arn)
        if parts is None or parts.service != "iam" or not parts.rest.startswith("policy/") or parts.rest.endswith("/"):
            raise DirectoryError(f"`{shorten(arn)}` is not a managed policy", hint="write `arn:aws:iam::<account>:policy/Name`")
        if default not in versions:
            raise DirectoryError(f"`{arn}` has no version `{default}`, which is to be in force")
        reader = self._reader()
        if self._exists(reader, self.tables.managed, arn, "managed policy"):
            return
        read = {v: reader.read(document, PolicyKind.IDENTITY, arn, arn=arn) for v, document in versions.items()}
        self._commit(reader)
        self._store.put("managed", arn, ManagedPolicy(arn, read, default))
        if is_account(parts.account):
            self._ensure_account(parts.account, parts.partition)

    @write
    def add_group(self, group: str, *, account: str | None, policies: object, unique_id: str | None) -> None:
        """A group by ARN, or by name and account. `policies` are inline documents and ARNs of managed policies."""
        if account is not None:
            check_account(account)
        partition, owner, path, name = group_parts(group, account, self._partition(account))
        arn = f"arn:{partition}:iam::{owner}:group{path}{name}"
        reader = self._reader()
        if self._exists(reader, self.tables.groups, arn, "group"):
            return
        self._check_name(reader, None, arn, (partition, owner, "group", name), path)
        inline, attached = self._split(reader, policies, arn)
        self._commit(reader)
        self._store.put("groups", arn, Group(arn, partition, owner, path, name, unique_id, inline, attached))
        self._ensure_account(owner, partition)

    # -- users and roles ----------------------------------------------------------------------------------------------

    @write
    def add_principal(
        self,
        arn: str,
        *,
        identity_policies: object,
        permissions_boundary: object,
        tags: Mapping[str, str],
        unique_id: str | None,
        trust_policy: Given | None,
        groups: Iterable[str],
        max_session_duration: int = SESSION_DURATION,
    ) -> None:
        """A user or role with everything it has. A root user brings its account into being and has nothing of its own."""
        subject = entity_subject(arn)
        reader = self._reader()
        if self._exists(reader, self.tables.entities, arn, "principal"):
            return
        inline, attached = self._split(reader, identity_policies, arn)
        entity = Entity(
            arn,
            subject.kind,
            subject.partition or "aws",
            subject.account or "",
            subject.path,
            subject.name,
            unique_id,
            read_tags(tags, ignore_case=True),
            inline,
            attached,
            self._read_boundary(reader, permissions_boundary, arn),
            self._find_groups(reader, groups, subject),
            None if trust_policy is None else self._read_trust(reader, arn, trust_policy),
            max_session_duration,
        )
        self._check_entity(reader, entity)
        if entity.trust is not None:
            self._check_trust_is_free(arn)
        self._commit(reader)
        self._store_entity(entity)

    def _store_entity(self, entity: Entity) -> None:
        self._ensure_account(entity.account, entity.partition)
        if entity.kind is PrincipalKind.ROOT and not (entity.inline or entity.attached or entity.boundary is not None):
            return
        self._store.put("entities", entity.arn, entity)

    def _check_entity(self, reader: Reader, entity: Entity) -> None:
        if entity.kind is PrincipalKind.ROOT:
            if entity.tags or entity.groups or entity.trust or entity.unique_id:
                raise DirectoryError("a root user has no tags, groups, trust policy or unique id", rule="5.2")
            if entity.inline or entity.attached or entity.boundary is not None:
                self._refuse(reader, "D6", entity.arn, "a root user has no policies and no boundary of its own")
            return
        type_ = "user" if entity.kind is PrincipalKind.USER else "role"
        if entity.groups and type_ == "role":
            raise DirectoryError(f"`{entity.arn}` is a role and cannot be in a group", rule="D1")
        if entity.trust and type_ == "user":
            raise DirectoryError(f"`{entity.arn}` is a user and has no trust policy", rule="1.1")
        if entity.kind is PrincipalKind.SLR and entity.boundary is not None:
            self._refuse(reader, "D6", entity.arn, "a service-linked role has no permissions boundary")
        self._check_name(reader, entity.kind, entity.arn, (entity.partition, entity.account, type_, entity.name), entity.path)

    @write
    def set_trust_policy(self, arn: str, trust_policy: Given) -> None:
        """The trust policy of a role that is there."""
        entity = self._entity(arn)
        if entity.kind not in (PrincipalKind.ROLE, PrincipalKind.SLR):
            raise DirectoryError(f"`{arn}` is not a role and has no trust policy", rule="1.1")
        self._check_trust_is_free(arn)
        reader = self._reader()
        trust = self._read_trust(reader, arn, trust_policy)
        self._commit(reader)
        self._store.put("entities", arn, replace(entity, trust=trust))

    @write
    def put_inline_policy(self, arn: str, name: str, document: Given) -> None:
        """An inline policy of a user or role, in place of one of the same name, else after the others."""
        entity = self._entity(arn)
        reader = self._reader()
        new = reader.read(document, PolicyKind.IDENTITY, name)
        names = [stored.name for stored in entity.inline]
        at = names.index(name) if name in names else len(names)
        self._commit(reader)
        self._store.put("entities", arn, replace(entity, inline=(*entity.inline[:at], new, *entity.inline[at + 1 :])))

    def _entity(self, arn: str) -> Entity:
        entity = self.tables.entities.get(arn)
        if entity is None:
            raise DirectoryError(f"there is no `{shorten(arn)}`", hint="add it with `add_principal`")
        return entity

    # -- resources and endpoints --------------------------------------------------------------------------------------

    @write
    def add_resource(
        self, arn: str, *, account: str | None, policy: object, tags: Mapping[str, str], restrict_public_buckets: bool
    ) -> None:
        """A resource under the ARN of what carries its policies (D60); `policy` is one document or several."""
        reader = self._reader()
        resource = self._read_resource(reader, arn, account, policy, tags, restrict_public_buckets)
        if self._exists(reader, self.tables.resources, resource.arn, "resource"):
            return
        self._commit(reader)
        self._store.put("resources", resource.arn, resource)
        parts = split_arn(arn)
        if resource.account is not None and parts is not None:
            self._ensure_account(resource.account, parts.partition)

    @write
    def set_resource_policy(self, arn: str, policy: object) -> None:
        """The policy of a resource that is there; None takes it away."""
        old = self.tables.resources.get(stored_arn(arn))
        if old is None:
            raise DirectoryError(f"there is no `{shorten(arn)}`", hint="add it with `add_resource`")
        reader = self._reader()
        new = self._read_resource(reader, arn, old.account, policy, old.tags, old.restrict_public_buckets)
        self._commit(reader)
        self._store.put("resources", old.arn, new)

    def _read_resource(
        self, reader: Reader, arn: str, account: str | None, policy: object, tags: Mapping[str, str], restrict: bool
    ) -> Resource:
        parts = split_arn(arn) if isinstance(arn, str) else None
        if parts is None:
            raise DirectoryError(f"`{shorten(str(arn))}` is not a resource", hint="write an ARN with six fields")
        if account is None:
            account = parts.account if is_account(parts.account) else None
        else:
            check_account(account)
        if restrict and (parts.service != "s3" or parts.account or "/" in parts.rest):
            raise DirectoryError(f"`{shorten(arn)}` is not a bucket", rule="D33", hint="only buckets restrict public policies")
        stored = stored_arn(arn)
        policies = self._read_resource_policies(reader, stored, policy)
        return Resource(stored, account, policies, read_tags(tags, ignore_case=False), restrict)

    def _read_resource_policies(self, reader: Reader, arn: str, policy: object) -> tuple[StoredPolicy, ...]:
        items = () if policy is None else as_items(policy)
        if items and not any(arn in group for group in holders_of(arn).groups):
            self._refuse(reader, "6.10", arn, "no policy is ever read from this ARN", "store it under the ARN of its holder")
        if _is_role(arn):
            entity = self.tables.entities.get(arn)
            if items and entity is not None and entity.trust is not None:
                raise DirectoryError(f"`{arn}` has a trust policy already", hint="use `set_trust_policy`")
            return tuple(self._read_trust(reader, arn, item) for item in items)
        names = [arn] if len(items) == 1 else [f"{arn}[{i}]" for i in range(len(items))]
        return tuple(reader.read(item, PolicyKind.RESOURCE, name) for item, name in zip(items, names, strict=True))

    @write
    def add_endpoint(self, id_: str, *, policy: object, account: str | None, gateway: bool) -> None:
        """A VPC endpoint; without a policy it gives full access (G4)."""
        if not isinstance(id_, str) or not id_:
            raise DirectoryError(f"`{id_}` is not the id of an endpoint", hint="write `vpce-...`")
        if account is not None:
            check_account(account)
        reader = self._reader()
        if self._exists(reader, self.tables.endpoints, id_, "endpoint"):
            return
        items = None if policy is None else tuple(reader.read(item, PolicyKind.VPCE, id_) for item in as_items(policy))
        self._commit(reader)
        self._store.put("endpoints", id_, Endpoint(id_, items, account, gateway))
        if account is not None:
            self._ensure_account(account)

    # -- what writes share --------------------------------------------------------------------------------------------

    def _reader(self) -> Reader:
        return Reader(self.mode, [])

    def _commit(self, reader: Reader) -> None:
        """The point after which a write does not fail: its findings count."""
        self.findings += reader.findings

    def _refuse(self, reader: Reader, rule: str, about: str, message: str, hint: str = "") -> None:
        """An error in mode strict, a finding in mode lenient."""
        if self.mode == "strict":
            raise DirectoryError(f"{message}: `{shorten(about)}`", rule=rule, hint=hint)
        reader.findings.append(Finding(rule, Severity.ERROR, f"{message}: `{shorten(about)}`", HERE, "$", hint=hint))

    def _exists(self, reader: Reader, table: Mapping[str, Any], key: str, what: str) -> bool:
        """Whether a record is there already; the first one stays."""
        if key not in table:
            return False
        self._refuse(reader, "DIR-EXISTS", key, f"there is a {what} of this name already")
        self._commit(reader)
        return True

    def _check_name(
        self, reader: Reader, kind: PrincipalKind | None, arn: str, key: tuple[str, str, str, str], path: str
    ) -> None:
        for error in name_errors(kind, path, key[3]):
            self._refuse(reader, "DIR-NAME", arn, error)
        other = self._store.indexes.names.get((*key[:3], fold(key[3])))
        if other is not None:
            self._refuse(reader, "DIR-NAME", arn, f"names are unique whatever their case, and `{other}` is there")

    def _ensure_account(self, account: str, partition: str = "aws") -> None:
        if account not in self.tables.accounts:
            self._store.put("accounts", account, Account(account, partition))

    def _partition(self, account: str | None) -> str:
        known = self.tables.accounts.get(account or "")
        return known.partition if known else "aws"

    def _split(self, reader: Reader, policies: object, owner: str) -> tuple[tuple[StoredPolicy, ...], tuple[str, ...]]:
        """Inline documents, and the ARNs of attached managed policies, each kept once."""
        inline: list[StoredPolicy] = []
        attached: dict[str, None] = {}
        for i, item in enumerate(as_items(policies)):
            if is_managed_arn(item):
                self._check_managed(reader, item, owner, "DIR-NO-POLICY", "grants and denies nothing")
                attached[item] = None
            else:
                inline.append(reader.read(item, PolicyKind.IDENTITY, f"identity_policies[{i}]"))
        return tuple(inline), tuple(attached)

    def _check_managed(self, reader: Reader, arn: str, owner: str, rule: str, effect: str) -> None:
        if arn not in self.tables.managed:
            message = f"`{shorten(owner)}` has a managed policy of which no document is known, so that it {effect}"
            self._refuse(reader, rule, arn, message, "add it with `add_managed_policy`, or load the file that holds it")

    def _read_boundary(self, reader: Reader, boundary: object, owner: str) -> tuple[StoredPolicy | str, ...] | None:
        if boundary is None:
            return None
        read: list[StoredPolicy | str] = []
        for i, item in enumerate(as_items(boundary)):
            if is_managed_arn(item):
                self._check_managed(reader, item, owner, "DIR-NO-BOUNDARY", "allows nothing as a boundary")
                read.append(item)
            else:
                read.append(reader.read(item, PolicyKind.BOUNDARY, f"permissions_boundary[{i}]"))
        return tuple(read)

    def _find_groups(self, reader: Reader, groups: Iterable[str], subject: Subject) -> tuple[str, ...]:
        """The ARNs of groups given by name or ARN; a name is looked up whatever its case (spec 1.3)."""
        found: dict[str, None] = {}
        for group in (groups,) if isinstance(groups, str) else groups:
            partition, account, _, name = group_parts(group, subject.account, subject.partition or "aws")
            arn = self._store.indexes.names.get((partition, account, "group", fold(name)))
            if account != subject.account:
                raise DirectoryError(f"`{shorten(group)}` is a group of another account than `{subject.text}`")
            if arn is None:
                self._refuse(reader, "DIR-NO-GROUP", group, f"`{subject.text}` is in a group that is not there")
            else:
                found[arn] = None
        return tuple(found)

    def _check_trust_is_free(self, arn: str) -> None:
        stored = self.tables.resources.get(arn)
        if stored is not None and stored.policies:
            raise DirectoryError(f"`{arn}` has a trust policy already", hint="use `set_resource_policy`")

    def _read_trust(self, reader: Reader, arn: str, policy: Given) -> StoredPolicy:
        trust = reader.read(policy, PolicyKind.TRUST, arn)
        for named in named_entities(trust.policy):
            if named.text != arn and self._is_stranger(named):
                message = f"the trust policy of `{arn}` names a principal that its account does not have"
                self._refuse(reader, "N32", named.text, message, "add users and roles before the roles that trust them")
        return trust

    def _is_stranger(self, named: Subject) -> bool:
        """A user or role of an account of which users and roles are known, but not this one; roles go by name (N11)."""
        place = (named.partition or "", named.account or "")
        people = self._store.indexes.of_account.get(place[1], ())
        if not any(arn.startswith(f"arn:{place[0]}:") for arn in people):
            return False
        if named.kind is PrincipalKind.USER:
            return named.text not in self.tables.entities
        return (*place, named.name) not in self.tables.roles


def _is_role(arn: str) -> bool:
    parts = split_arn(arn)
    return parts is not None and parts.service == "iam" and parts.rest.startswith("role/")


def _delegates(given: Iterable[str] | Mapping[str, Iterable[str]], parents: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Services by delegated administrator; an account given without services administers IAM."""
    services = dict(given) if isinstance(given, Mapping) else dict.fromkeys(given, ("iam.amazonaws.com",))
    for account in services:
        if account not in parents:
            raise DirectoryError(f"`{account}` administers an organisation that it does not belong to")
    return {account: frozenset(names) for account, names in services.items()}


def _policies_by_element(
    reader: Reader, given: Mapping[str, object], kind: PolicyKind, name: str, elements: set[str]
) -> dict[str, tuple[StoredPolicy, ...]]:
    for element in given:
        if element not in elements:
            raise DirectoryError(f"`{element}` is no root, unit or account of the organisation")
    return {element: reader.read_level(level, kind, f"{name}[{element}]") for element, level in given.items()}


def _policy_types(given: Iterable[str]) -> frozenset[str]:
    types = frozenset(given)
    if not types <= POLICY_TYPES:
        raise DirectoryError(f"`{sorted(types - POLICY_TYPES)[0]}` is no policy type", hint=" or ".join(sorted(POLICY_TYPES)))
    return types
