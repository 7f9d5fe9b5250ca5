"""Writes of policies: managed policies with their versions, and the policies of users, groups and roles (spec 1.1, 1.7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from fastiam.directory.account_records import Entity, ManagedPolicy
from fastiam.directory.naming_rules import hint_of_missing_policy, iam_name, is_version
from fastiam.directory.stored_policies import Given, Reader, StoredPolicy, has_name, is_managed_arn
from fastiam.directory.transactions import write
from fastiam.directory.unique_ids import NEW, POLICY, id_for
from fastiam.directory.writes.base import IamIdentity, Writes, refuse_in_use
from fastiam.errors import DirectoryError
from fastiam.model.arn import is_account
from fastiam.model.policy import PolicyKind
from fastiam.model.profile import PrincipalKind
from fastiam.model.request import shorten


class PolicyWrites(Writes):
    """Managed policies."""

    @write
    def add_managed_policy(
        self,
        arn: str,
        document: Given | None = None,
        *,
        versions: Mapping[str, Given] | None = None,
        default_version: str = "v1",
        unique_id: str | None = NEW,
        tags: Mapping[str, str] = {},
        created: datetime | None = None,
        updated: datetime | None = None,
        description: str = "",
        version_dates: Mapping[str, datetime] | None = None,
    ) -> None:
        """Add a managed policy of AWS or of a customer, with one document or all versions. It is attached by its ARN.

        Parameters
        ----------
        created, updated, version_dates
            None if they are unknown. By default, `updated` and the dates are `created`.

        Raises
        ------
        PolicyError
            a document is rejected.
        DirectoryError
            not a policy ARN, the ARN is taken, no document is in force, or a quota.
        """
        parts = iam_name(arn, "policy")
        given = dict(versions or {})
        if document is not None:
            given[default_version] = document
        if default_version not in given:
            raise DirectoryError(f"`{arn}` has no version `{default_version}`, the default version")
        reader = self._reader()
        if self._exists(reader, self.tables.managed, arn, "managed policy"):
            return
        read = {v: reader.read(document, PolicyKind.IDENTITY, arn, arn=arn) for v, document in given.items()}
        policy = ManagedPolicy(
            arn,
            read,
            default_version,
            id_for(unique_id, POLICY),
            self._read_tags(reader, tags, arn),
            created,
            updated or created,
            description,
            dict(version_dates or ({} if created is None else dict.fromkeys(read, created))),
        )
        if is_account(parts.account):
            self._check_name(reader, arn, "policy", parts.path, parts.name)
            self._check_room(reader, arn, "policy", parts.account)
            self._check_versions(reader, policy, read)
        self._commit(reader)
        self._put("managed", policy)
        if is_account(parts.account):
            self._ensure_account(parts.account, parts.partition)

    @write
    def create_policy_version(
        self, arn: str, document: Given, *, set_as_default: bool = False, created: datetime | None = None
    ) -> str:
        """Add a version to a managed policy, and make it the default if requested. Return its id.

        The id is above that of every version that exists. A customer's policy has at most five versions: delete one first.
        `created` is None if it is unknown.
        """
        policy, reader = self._managed(arn), self._reader()
        stored = reader.read(document, PolicyKind.IDENTITY, arn, arn=arn)
        version = f"v{max((int(v[1:]) for v in policy.versions if is_version(v)), default=0) + 1}"
        default = version if set_as_default else policy.default
        dates = policy.version_dates if created is None else {**policy.version_dates, version: created}
        new = replace(
            policy,
            versions={**policy.versions, version: stored},
            default=default,
            updated=created or policy.updated,
            version_dates=dates,
        )
        if is_account(iam_name(arn, "policy").account):
            self._check_versions(reader, new, {version: stored})
        self._commit(reader)
        self._put("managed", new)
        return version

    @write
    def set_default_policy_version(self, arn: str, version: str, *, updated: datetime | None = None) -> None:
        """Make another version of a managed policy the default. `updated` is None if the time is unknown."""
        policy = self._managed(arn)
        new = replace(policy, default=_known_version(policy, version), updated=updated or policy.updated)
        self._put("managed", new)

    @write
    def delete_policy_version(self, arn: str, version: str) -> None:
        """Delete a version that is not the default."""
        policy = self._managed(arn)
        if _known_version(policy, version) == policy.default:
            raise DirectoryError(f"`{version}` of `{arn}` is in force", rule="DIR-IN-USE", hint="set another default first")
        versions = {v: stored for v, stored in policy.versions.items() if v != version}
        dates = {v: date for v, date in policy.version_dates.items() if v != version}
        self._put("managed", replace(policy, versions=versions, version_dates=dates))

    @write
    def delete_policy(self, arn: str) -> None:
        """Delete a managed policy.

        Raises
        ------
        DirectoryError
            it is in use as policy or boundary, or it has other versions than the default.
        """
        policy = self._managed(arn)
        others = tuple(version for version in policy.versions if version != policy.default)
        refuse_in_use(arn, {"belongs to": tuple(self._store.indexes.users.get(arn, ())), "has the version": others})
        self._store.put("managed", arn, None)

    def _managed(self, arn: str) -> ManagedPolicy:
        policy = self.tables.managed.get(arn)
        if policy is None:
            raise DirectoryError(f"there is no managed policy `{shorten(str(arn))}`", hint=hint_of_missing_policy(str(arn)))
        return policy

    def _check_versions(self, reader: Reader, policy: ManagedPolicy, new: Mapping[str, StoredPolicy]) -> None:
        """Check the limits of a customer's policy. Policies of AWS have none."""
        self._check_quota(reader, "versions_per_policy", len(policy.versions), policy.arn, "too many versions")
        for version, stored in new.items():
            if not is_version(version):
                self._refuse(reader, "DIR-NAME", policy.arn, f"`{shorten(version)}` is not a version: write `v1`, `v2`, ...")
            self._check_document(reader, stored, "managed_policy_size", policy.arn)


class IdentityPolicyWrites(Writes):
    """The policies of users, groups and roles."""

    @write
    def attach_policy(self, identity: str, policy: str) -> None:
        """Attach a managed policy to a user, group or role, both by ARN. An attached policy keeps its position."""
        record, reader = self._changeable(identity), self._reader()
        if not is_managed_arn(policy):
            raise DirectoryError(f"`{shorten(str(policy))}` is not the ARN of a managed policy", hint="use `put_inline_policy`")
        if policy in record.attached:
            return
        self._check_managed(reader, policy, identity, "DIR-NO-POLICY")
        new = replace(record, attached=(*record.attached, policy))
        self._check_policies(reader, new)
        self._commit(reader)
        self._put_identity(new)

    @write
    def detach_policy(self, identity: str, policy: str) -> None:
        """Detach a managed policy from a user, group or role."""
        record = self._changeable(identity)
        if policy not in record.attached:
            raise DirectoryError(f"`{identity}` does not have the managed policy `{shorten(str(policy))}`")
        self._put_identity(replace(record, attached=tuple(arn for arn in record.attached if arn != policy)))

    @write
    def put_inline_policy(self, arn: str, name: str, document: Given) -> None:
        """Put an inline policy of a user, group or role. It replaces the one with its name, else it is appended."""
        record, reader = self._changeable(arn), self._reader()
        if not isinstance(name, str) or not name:
            raise DirectoryError(f"`{name}` is not the name of a policy", rule="DIR-NAME")
        stored = reader.read(document, PolicyKind.IDENTITY, name)
        name, names = stored.name, [stored.name for stored in record.inline]
        if name not in names and not has_name(stored):  # an unnamed policy can be replaced, not added
            raise DirectoryError(f"`{shorten(name)}` is not the name of a policy", rule="DIR-NAME")
        at = names.index(name) if name in names else len(names)
        new = replace(record, inline=(*record.inline[:at], stored, *record.inline[at + 1 :]))
        self._check_policies(reader, new)
        self._commit(reader)
        self._put_identity(new)

    @write
    def delete_inline_policy(self, arn: str, name: str) -> None:
        """Delete an inline policy of a user, group or role."""
        record = self._changeable(arn)
        kept = tuple(stored for stored in record.inline if stored.name != name)
        if len(kept) == len(record.inline):
            raise DirectoryError(f"`{arn}` has no inline policy `{shorten(name)}`")
        self._put_identity(replace(record, inline=kept))

    def _changeable(self, arn: str) -> IamIdentity:
        """The record of a user, group or role whose policies may change; those of a service-linked role belong to its service."""
        record = self._get_identity(arn)
        if isinstance(record, Entity) and record.kind is PrincipalKind.SLR and self.mode == "strict":
            raise DirectoryError(f"`{arn}` is a service-linked role, whose policies its service writes", rule="DIR-LINKED")
        return record


def _known_version(policy: ManagedPolicy, version: str) -> str:
    if version not in policy.versions:
        raise DirectoryError(f"`{policy.arn}` has no version `{shorten(version)}`")
    return version
