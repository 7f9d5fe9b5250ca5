"""Writes of groups and their members."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from fastiam.directory.account_records import Entity, Group
from fastiam.directory.naming_rules import check_account, entity_ref, group_parts
from fastiam.directory.principal_references import identity_of
from fastiam.directory.stored_policies import Policies, Reader
from fastiam.directory.transactions import write
from fastiam.directory.unique_ids import GROUP, NEW, id_for
from fastiam.directory.writes.base import IamIdentity, Writes, refuse_in_use, stored_names, type_of
from fastiam.errors import DirectoryError
from fastiam.model.profile import PrincipalKind
from fastiam.model.request import shorten


class GroupWrites(Writes):
    """Groups, and the renaming of users and groups."""

    @write
    def add_group(
        self,
        group: str,
        identity_policies: Policies = (),
        *,
        account: str | None = None,
        unique_id: str | None = NEW,
        created: datetime | None = None,
    ) -> None:
        """Add a group by ARN, or by name and account, with inline documents and ARNs of managed policies."""
        if account is not None:
            check_account(account)
        partition, owner, path, name = group_parts(group, account, self._partition(account))
        arn = f"arn:{partition}:iam::{owner}:group{path}{name}"
        reader = self._reader()
        if self._exists(reader, self.tables.groups, arn, "group"):
            return
        self._check_name(reader, arn, "group", path, name, (partition, owner))
        self._check_room(reader, arn, "group", owner)
        inline, attached = self._split(reader, identity_policies, arn)
        new = Group(arn, partition, owner, path, name, id_for(unique_id, GROUP), inline, attached, created)
        self._check_policies(reader, new)
        self._commit(reader)
        self._put("groups", new)
        self._ensure_account(owner, partition)

    @write
    def delete_group(self, arn: str) -> None:
        """Delete a group.

        Raises
        ------
        DirectoryError
            it still has members or policies.
        """
        group = self._group(arn)
        refuse_in_use(
            arn,
            {
                "has the member": tuple(self._store.indexes.members.get(arn, ())),
                "has the managed policy": group.attached,
                "has the inline policy": stored_names(group.inline),
            },
        )
        self._store.put("groups", arn, None)

    @write
    def add_user_to_group(self, user: str, group: str) -> None:
        """Add a user to a group of its account, both by ARN. A user that is in it stays."""
        entity, joined = self._user(user), self._group(group)
        if (joined.partition, joined.account) != (entity.partition, entity.account):
            raise DirectoryError(f"`{group}` is a group of another account than `{user}`")
        if group in entity.groups:
            return
        reader = self._reader()
        new = replace(entity, groups=(*entity.groups, group))
        self._check_quota(reader, "groups_per_user", len(new.groups), user, "too many groups")
        self._commit(reader)
        self._put("entities", new)

    @write
    def remove_user_from_group(self, user: str, group: str) -> None:
        """Remove a user from a group."""
        entity = self._user(user)
        if group not in entity.groups:
            raise DirectoryError(f"`{user}` is not in `{shorten(group)}`")
        self._put("entities", replace(entity, groups=tuple(arn for arn in entity.groups if arn != group)))

    @write
    def rename(self, arn: str, name: str, *, path: str | None = None) -> str:
        """Rename a user or group, and change its path if one is given. Return its new ARN.

        A user keeps id, policies and groups, and policies that name it are updated (N34). Conditions on `aws:PrincipalArn` are
        not (N33).

        Raises
        ------
        DirectoryError
            a role, which cannot be renamed; a name that is taken or not valid.
        """
        old = self._get_identity(arn)
        type_, path = type_of(old), old.path if path is None else path
        if type_ == "role":
            raise DirectoryError(f"`{arn}` is a role and keeps its name", hint="delete it, and create another one")
        new_arn = f"arn:{old.partition}:iam::{old.account}:{type_}{path}{name}"
        if new_arn == arn:
            return arn
        new, reader = replace(old, arn=new_arn, name=name, path=path), self._reader()
        self._check_renamed(reader, old, new)
        self._commit(reader)
        self._put_identity(new)
        if isinstance(new, Entity):
            self._store.put("entities", arn, None)
            self._rename_in_policies(identity_of(entity_ref(arn)), new_arn)
            return new_arn
        for member in list(self._store.indexes.members.get(arn, ())):
            user = self.tables.entities[member]
            groups = tuple(new_arn if group == arn else group for group in user.groups)
            self._put("entities", replace(user, groups=groups))
        self._store.put("groups", arn, None)
        return new_arn

    def _check_renamed(self, reader: Reader, old: IamIdentity, new: IamIdentity) -> None:
        """Check a new name, which may be the old one in another case."""
        if not new.name or "/" in new.name or not (new.path.startswith("/") and new.path.endswith("/")):
            raise DirectoryError(
                f"`{shorten(new.path + new.name)}` is not a path and name", hint="a path starts and ends with `/`"
            )
        if new.arn in self.tables.entities or new.arn in self.tables.groups:
            raise DirectoryError(f"there is `{new.arn}` already", rule="DIR-EXISTS")
        self._check_name(reader, new.arn, type_of(new), new.path, new.name, (new.partition, new.account), own=old.arn)

    def _group(self, arn: str) -> Group:
        group = self.tables.groups.get(arn)
        if group is None:
            raise DirectoryError(f"there is no group `{shorten(str(arn))}`", hint="write its ARN; add it with `add_group`")
        return group

    def _user(self, arn: str) -> Entity:
        entity = self._entity(arn)
        if entity.kind is not PrincipalKind.USER:
            raise DirectoryError(f"`{arn}` is not a user, and cannot be in a group", rule="D1")
        return entity
