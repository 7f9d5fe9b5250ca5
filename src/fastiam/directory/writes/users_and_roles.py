"""Writes of users and roles: adding and deleting them, trust policies, boundaries and session durations (spec 3.5, 1.7)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from fastiam.directory.account_records import SESSION_DURATION, Entity
from fastiam.directory.naming_rules import entity_ref, group_parts
from fastiam.directory.principal_references import identity_of
from fastiam.directory.principal_refs import PrincipalRef
from fastiam.directory.stored_policies import Given, Policies, Reader, StoredPolicy, as_items, has_name, is_managed_arn
from fastiam.directory.transactions import write
from fastiam.directory.unique_ids import NEW, ROLE, USER, id_for, new_id
from fastiam.directory.writes.base import HERE, Writes, refuse_in_use, stored_names, type_of
from fastiam.errors import DirectoryError, Finding, Severity
from fastiam.model.key_registry import fold
from fastiam.model.policy import PolicyKind
from fastiam.model.profile import ROLES, PrincipalKind
from fastiam.model.request import shorten


class PrincipalWrites(Writes):
    """Users and roles."""

    @write
    def add_principal(
        self,
        arn: str,
        *,
        identity_policies: Policies = (),
        permissions_boundary: Policies | None = None,
        tags: Mapping[str, str] = {},
        unique_id: str | None = NEW,
        made_id: bool = False,
        trust_policy: Given | None = None,
        groups: Iterable[str] = (),
        max_session_duration: int = SESSION_DURATION,
        created: datetime | None = None,
        description: str = "",
    ) -> None:
        """Add a user or role. A root user adds its account, and has no policies.

        Parameters
        ----------
        identity_policies
            inline documents and ARNs of managed policies. An unnamed document is named after its position.
        permissions_boundary
            a document or ARN; None: no boundary; an empty list allows nothing.
        tags
            keys are compared without case; a second spelling replaces the first.
        unique_id
            `AIDA...` or `AROA...`, part of `aws:userid`. `new` generates one; None: the id is unknown, and no key is derived from
            it.
        made_id
            the id was generated, so that a request may have another one (K1). `new` implies it.
        trust_policy
            of a role. In accounts with known users and roles, it may name only existing ones (N32).
        groups
            names or ARNs of groups of the user's account.
        max_session_duration
            of a role's sessions, in seconds, 3,600 to 43,200.
        created
            None if it is unknown.
        description
            of a role.

        Raises
        ------
        PolicyError
            a document is rejected.
        DirectoryError
            a session, another ARN, a name that is taken, an absent policy or group, a quota.
        """
        ref = entity_ref(arn)
        reader = self._reader()
        if self._exists(reader, self.tables.entities, arn, "principal"):
            return
        inline, attached = self._split(reader, identity_policies, arn)
        entity = Entity(
            arn,
            ref.kind,
            ref.partition or "aws",
            ref.account or "",
            ref.path,
            ref.name,
            self._read_id(reader, unique_id, ref),
            made_id or (unique_id == NEW and ref.kind is not PrincipalKind.ROOT),
            self._read_tags(reader, tags, arn),
            inline,
            attached,
            self._read_boundary(reader, permissions_boundary, arn),
            self._find_groups(reader, groups, ref),
            None if trust_policy is None else self._read_trust(reader, arn, trust_policy),
            max_session_duration,
            created,
            description,
        )
        self._check_entity(reader, entity)
        if entity.trust is not None:
            self._check_trust_is_free(arn)
        self._commit(reader)
        self._ensure_account(entity.account, entity.partition)
        if entity.kind is not PrincipalKind.ROOT or inline or attached or entity.boundary is not None:
            self._put("entities", entity)

    @write
    def delete_principal(self, arn: str) -> None:
        """Delete a user or role with its credentials. Policies that name it keep its unique id, which matches no principal, not
        even a new one of the same name (N30). The policies of a service-linked role are deleted with it.

        Raises
        ------
        DirectoryError
            it still has policies, is in a group, or is the role of an instance profile.
        """
        entity = self._entity(arn)
        in_use = {"is the role of": tuple(self._store.indexes.profiles.get(arn, ()))}
        if entity.kind is not PrincipalKind.SLR:
            in_use |= {
                "is in the group": entity.groups,
                "has the managed policy": entity.attached,
                "has the inline policy": stored_names(entity.inline),
            }
        refuse_in_use(arn, in_use)
        self._store.put("entities", arn, None)
        if arn in self.tables.resources:  # its trust policy, if stored under its ARN, and its attributes
            self._store.put("resources", arn, None)
        if entity.kind is not PrincipalKind.ROOT:
            orphan = entity.unique_id or new_id(ROLE if entity.kind in ROLES else USER)
            self._rename_in_policies(identity_of(entity_ref(arn)), orphan)

    @write
    def set_trust_policy(self, arn: str, trust_policy: Given) -> None:
        """Set the trust policy of an existing role."""
        entity = self._role(arn)
        self._check_trust_is_free(arn)
        reader = self._reader()
        trust = self._read_trust(reader, arn, trust_policy)
        self._commit(reader)
        self._put("entities", replace(entity, trust=trust))

    @write
    def set_max_session_duration(self, arn: str, seconds: int) -> None:
        """Set the maximum session duration of a role, 3,600 to 43,200 seconds."""
        entity, reader = self._role(arn), self._reader()
        self._check_duration(reader, arn, seconds)
        self._commit(reader)
        self._put("entities", replace(entity, max_session_duration=seconds))

    @write
    def set_description(self, arn: str, description: str) -> None:
        """Set the description of a role."""
        self._put("entities", replace(self._role(arn), description=description))

    @write
    def set_permissions_boundary(self, arn: str, boundary: Policies) -> None:
        """Set the permissions boundary of a user or role: the ARN of a managed policy, or a document.

        An empty list is a boundary that allows nothing.
        """
        entity, reader = self._entity(arn), self._reader()
        if boundary is None:
            raise DirectoryError("None is not a boundary", hint="use `delete_permissions_boundary`")
        new = replace(entity, boundary=self._read_boundary(reader, boundary, arn))
        self._check_entity(reader, new)
        self._commit(reader)
        self._put("entities", new)

    @write
    def delete_permissions_boundary(self, arn: str) -> None:
        """Remove the permissions boundary of a user or role."""
        entity = self._entity(arn)
        if entity.boundary is None:
            raise DirectoryError(f"`{arn}` has no permissions boundary")
        self._put("entities", replace(entity, boundary=None))

    def _role(self, arn: str) -> Entity:
        entity = self._entity(arn)
        if entity.kind not in ROLES:
            raise DirectoryError(f"`{arn}` is not a role and has no trust policy", rule="1.1")
        return entity

    def _read_id(self, reader: Reader, given: str | None, ref: PrincipalRef) -> str | None:
        """The unique id of a new record (spec 7.3). A root user has none: its id is that of its account (5.2)."""
        if ref.kind is PrincipalKind.ROOT:
            if given not in (None, NEW):
                raise DirectoryError("a root user has no tags, groups, trust policy or unique id", rule="5.2")
            return None
        prefix = ROLE if ref.kind in ROLES else USER
        if given not in (None, NEW) and not re.fullmatch(prefix + "[A-Za-z0-9_]+", given or ""):
            message = f"`{shorten(given or '')}` is not a unique id of this kind, and policies cannot name it: `{ref.text}`"
            hint = f"write `{prefix}...`, or leave it out if it is unknown"
            reader.findings.append(Finding("DIR-ID", Severity.WARN, message, HERE, "$", hint=hint))
        return id_for(given, prefix)

    # -- checks -------------------------------------------------------------------------------------------------------

    def _check_entity(self, reader: Reader, entity: Entity) -> None:
        if entity.kind is PrincipalKind.ROOT:
            if entity.tags or entity.groups or entity.trust:
                raise DirectoryError("a root user has no tags, groups, trust policy or unique id", rule="5.2")
            if entity.inline or entity.attached or entity.boundary is not None:
                self._refuse(reader, "D6", entity.arn, "a root user has no policies and no boundary")
            return
        type_ = type_of(entity)
        if entity.groups and type_ == "role":
            raise DirectoryError(f"`{entity.arn}` is a role and cannot be in a group", rule="D1")
        if entity.trust and type_ == "user":
            raise DirectoryError(f"`{entity.arn}` is a user and has no trust policy", rule="1.1")
        if entity.kind is PrincipalKind.SLR and entity.boundary is not None:
            self._refuse(reader, "D6", entity.arn, "a service-linked role has no permissions boundary")
        if entity.arn not in self.tables.entities:
            self._check_name(reader, entity.arn, type_, entity.path, entity.name, (entity.partition, entity.account))
            self._check_room(reader, entity.arn, type_, entity.account)
        self._check_policies(reader, entity)
        self._check_quota(reader, "groups_per_user", len(entity.groups), entity.arn, "too many groups")
        boundaries = sum(isinstance(item, str) or has_name(item) for item in entity.boundary or ())
        self._check_quota(reader, "boundaries_per_principal", boundaries, entity.arn, "too many boundaries")
        self._check_duration(reader, entity.arn, entity.max_session_duration)

    def _check_duration(self, reader: Reader, arn: str, seconds: int) -> None:
        if not isinstance(seconds, int) or isinstance(seconds, bool):
            raise DirectoryError(f"the session duration of `{arn}` must be a number of seconds, not `{seconds!r}`")
        least, most = self.quotas.min_session_duration, self.quotas.max_session_duration
        if (least is not None and seconds < least) or (most is not None and seconds > most):
            limits = f"{least or 0:,} to {'more' if most is None else f'{most:,}'} (quota `max_session_duration`)"
            self._refuse(reader, "DIR-QUOTA", arn, f"sessions of {seconds:,} seconds, the limits are {limits}")

    def _read_boundary(self, reader: Reader, boundary: object, owner: str) -> tuple[StoredPolicy | str, ...] | None:
        if boundary is None:
            return None
        read: list[StoredPolicy | str] = []
        for i, item in enumerate(as_items(boundary)):
            if is_managed_arn(item):
                self._check_managed(reader, item, owner, "DIR-NO-BOUNDARY")
                read.append(item)
            else:
                read.append(reader.read(item, PolicyKind.BOUNDARY, f"permissions_boundary[{i}]"))
        return tuple(read)

    def _find_groups(self, reader: Reader, groups: Iterable[str], ref: PrincipalRef) -> tuple[str, ...]:
        """The ARNs of groups given by name or ARN; the case of a name does not count (spec 1.3)."""
        found: dict[str, None] = {}
        for group in (groups,) if isinstance(groups, str) else groups:
            partition, account, path, name = group_parts(group, ref.account, ref.partition or "aws")
            arn = self._store.indexes.names.get((partition, account, "group", fold(name)))
            if account != ref.account:
                raise DirectoryError(f"`{shorten(group)}` is a group of another account than `{ref.text}`")
            if arn is None:
                message = f"`{ref.text}` is in a group that is not there and counts as one that denies everything"
                self._refuse(reader, "DIR-NO-GROUP", group, message)
                arn = f"arn:{partition}:iam::{account}:group{path}{name}"
            found[arn] = None
        return tuple(found)

    # -- trust --------------------------------------------------------------------------------------------------------

    def _check_trust_is_free(self, arn: str) -> None:
        stored = self.tables.resources.get(arn)
        if stored is not None and stored.policies:
            raise DirectoryError(f"`{arn}` has a trust policy already", hint="use `set_resource_policy`")
