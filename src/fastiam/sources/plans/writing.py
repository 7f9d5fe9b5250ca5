"""Writes the facts of a plan into a directory, and removes those that the plan deletes.

INVARIANT: an attached policy without a document is a placeholder, never a policy that denies everything: otherwise a plan that
attaches it would seem to allow nothing new.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastiam.directory.account_model import AccountModel
from fastiam.directory.account_records import Entity, Group, Tables
from fastiam.directory.organization import ControlPolicy
from fastiam.directory.stored_policies import StoredPolicy
from fastiam.model.policy import PolicyKind
from fastiam.sources.managed_policies import is_same_document
from fastiam.sources.plans.facts import Change, Facts, PrincipalFacts, ResourceFacts, UndecidedFact


class FactWriter:
    """Writes facts into a directory. `differences` are the records that had another value."""

    def __init__(self, directory: AccountModel) -> None:
        self._directory = directory
        self.differences: list[str] = []

    @property
    def _tables(self) -> Tables:
        return self._directory.tables

    # -- setting ------------------------------------------------------------------------------------------------------

    def apply(self, change: Change) -> list[UndecidedFact]:
        """Write what a change does. Return what it does to SCPs and RCPs that the directory does not have.

        Records are removed first, since a new one can have the name of an old one; SCPs last, since one must stay attached.
        """
        removed = change.before.without(change.after)
        self.remove(removed)
        self.set(change.after)
        for id_, element in removed.targets:
            self._detach_from_element(element, id_)
        return self._not_in_organization(change)

    def set(self, facts: Facts, *, exclusive: bool = True) -> None:
        """Add the records that the directory lacks, and set the values of the others.

        With `exclusive`, policies and groups lose the attachments and members that the facts do not list.
        """
        for arn, document in facts.managed.items():
            self._set_managed(arn, document)
        for arn in facts.groups:
            if arn not in self._tables.groups:
                self._directory.add_group(arn)
        for arn, principal in facts.principals.items():
            self._set_principal(arn, principal)
        for arn, trust in facts.trust.items():
            self._set_trust(arn, trust)  # after all principals, which it can name
        for (identity, name), document in facts.inline.items():
            self._set_inline(identity, name, document)
        for identity, policy in facts.attached:
            self._attach(identity, policy)
        for policy, attachments in facts.attachments.items():
            self._set_attachments(policy, attachments, exclusive=exclusive)
        for user, group in facts.members:
            self._add_members(group, (user,))
        for group, users in facts.group_members.items():
            self._set_members(group, users, exclusive=exclusive)
        for arn, resource in facts.resources.items():
            self._set_resource(arn, resource)
        for id_, endpoint in facts.endpoints.items():
            self._set_endpoint(id_, endpoint)
        for id_, document in facts.organization.items():
            self._set_organization_policy(id_, document)
        for id_, element in facts.targets:
            known = self._control_policies(id_)
            found = facts.organization.get(id_) or (known[0].document if known else None)
            if found is not None and self._has_element(element):
                self._attach_to_element(element, id_, found)

    def _set_managed(self, arn: str, document: StoredPolicy) -> None:
        record = self._tables.managed.get(arn)
        if record is None:
            self._directory.add_managed_policy(arn, document, unique_id=None)
        elif not is_same_document(record.document, document):
            self.differences.append(arn)
            self._directory.create_policy_version(arn, document, set_as_default=True)

    def _set_principal(self, arn: str, facts: PrincipalFacts) -> None:
        record = self._tables.entities.get(arn)
        boundary = None if facts.boundary is None else (facts.boundary,)
        if record is None:
            self._directory.add_principal(arn, permissions_boundary=boundary, tags=facts.tags or {}, unique_id=None)
            return
        if record.boundary != boundary:
            self.differences.append(f"{arn}, permissions boundary")
            if boundary is None:
                self._directory.delete_permissions_boundary(arn)
            else:
                self._directory.set_permissions_boundary(arn, boundary)
        if facts.tags is not None and dict(record.tags) != dict(facts.tags):
            self.differences.append(f"{arn}, tags")
            self._directory.untag(arn, [key for key in record.tags if key not in facts.tags])
            self._directory.tag(arn, facts.tags)

    def _set_trust(self, arn: str, trust: StoredPolicy) -> None:
        record = self._tables.entities[arn]
        if record.trust is not None and is_same_document(record.trust, trust):
            return
        if record.trust is not None:
            self.differences.append(f"{arn}, trust policy")
        self._directory.set_trust_policy(arn, trust)

    def _set_inline(self, identity: str, name: str, document: StoredPolicy) -> None:
        record = self._identity(identity)
        old = next((stored for stored in record.inline if stored.name == name), None)
        if old is not None and is_same_document(old, document):
            return
        if old is not None:
            self.differences.append(f"{identity}, inline policy {name}")
        self._directory.put_inline_policy(identity, name, document)

    def _attach(self, identity: str, policy: str) -> None:
        record = self._identity(identity)
        if policy not in record.attached:
            self._directory.attach_policy(identity, policy)

    def _set_attachments(self, policy: str, attachments: frozenset[str], *, exclusive: bool = True) -> None:
        identities: list[Entity | Group] = [*self._tables.entities.values(), *self._tables.groups.values()]
        for record in identities if exclusive else ():
            if policy in record.attached and record.arn not in attachments:
                self._directory.detach_policy(record.arn, policy)
        for identity in sorted(attachments):
            self._attach(identity, policy)

    def _add_members(self, group: str, users: Iterable[str]) -> None:
        self._group(group)
        for user in users:
            self._entity(user)
            if group not in self._tables.entities[user].groups:
                self._directory.add_user_to_group(user, group)

    def _set_members(self, group: str, users: frozenset[str], *, exclusive: bool = True) -> None:
        for user, record in list(self._tables.entities.items()):
            if exclusive and group in record.groups and user not in users:
                self._directory.remove_user_from_group(user, group)
        self._add_members(group, sorted(users))

    def _set_resource(self, arn: str, facts: ResourceFacts) -> None:
        record = self._tables.resources.get(arn)
        if record is None:
            self._directory.add_resource(arn, account=facts.account, policy=facts.policy)
            return
        old = record.policies[0] if len(record.policies) == 1 else None
        is_same = old is facts.policy or (old is not None and facts.policy is not None and is_same_document(old, facts.policy))
        if facts.is_stated and (len(record.policies) > 1 or not is_same):
            if record.policies:
                self.differences.append(f"{arn}, resource policy")
            self._directory.set_resource_policy(arn, facts.policy)

    def _set_endpoint(self, id_: str, document: StoredPolicy | None) -> None:
        if id_ in self._tables.endpoints:
            self._directory.set_endpoint_policy(id_, document)
        else:
            self._directory.add_endpoint(id_, policy=document)

    def _set_organization_policy(self, id_: str, document: StoredPolicy) -> None:
        """Set the document of an SCP or RCP that the organization has, wherever it is attached."""
        for policy in self._control_policies(id_):
            if not is_same_document(policy.document, document):
                self.differences.append(id_)
                self._directory.update_control_policy(policy.id, document=document.text)

    def _attach_to_element(self, element: str, id_: str, document: StoredPolicy) -> None:
        known = next(iter(self._control_policies(id_)), None)
        if known is None:
            attach = self._directory.attach_scp if document.kind is PolicyKind.SCP else self._directory.attach_rcp
            attach(element, document)
        elif not self._is_attached(element, known):
            self._directory.attach_control_policy(element, known.id)

    def _is_attached(self, element: str, policy: ControlPolicy) -> bool:
        organization = self._tables.organization
        return organization is not None and policy.document in organization.attached(policy.type, element)

    def _control_policies(self, id_: str) -> list[ControlPolicy]:
        """Return the SCPs and RCPs of an id. Files name them by id, ARN or name."""
        organization = self._tables.organization
        found = {} if organization is None else organization.control_policies()
        return [policy for policy in found.values() if policy.id == id_ or _is_policy(policy.document, id_)]

    def _has_element(self, element: str) -> bool:
        organization = self._tables.organization
        return organization is not None and (element == organization.root or element in organization.parents)

    def _not_in_organization(self, change: Change) -> list[UndecidedFact]:
        """Return the SCPs and RCPs of a change that have no effect in this directory, because it lacks their elements."""
        attached = {id_ for id_, element in change.after.targets if self._has_element(element)}
        missing = [id_ for id_ in change.after.organization if id_ not in attached and not self._control_policies(id_)]
        missing += [id_ for id_, _ in (*change.before.targets, *change.after.targets) if not self._control_policies(id_)]
        reason = "the policies do not contain an organization with this SCP or RCP, or with its target"
        return [UndecidedFact(id_, reason, about=(id_,)) for id_ in dict.fromkeys(missing)]

    # -- removing -----------------------------------------------------------------------------------------------------

    def remove(self, facts: Facts) -> None:
        """Remove records and values, whichever of them exist, except for the targets of SCPs and RCPs."""
        for arn, resource in facts.resources.items():
            if resource.is_stated and arn in self._tables.resources:
                self._directory.set_resource_policy(arn, None)
        for id_ in facts.endpoints:
            if id_ in self._tables.endpoints:
                self._directory.set_endpoint_policy(id_, None)
        for identity, name in facts.inline:
            if name in {stored.name for stored in self._identity(identity).inline}:
                self._directory.delete_inline_policy(identity, name)
        attached = [*facts.attached, *((identity, policy) for policy, found in facts.attachments.items() for identity in found)]
        for identity, policy in attached:
            if policy in self._identity(identity).attached:
                self._directory.detach_policy(identity, policy)
        members = [*facts.members, *((user, group) for group, users in facts.group_members.items() for user in users)]
        for user, group in members:
            if group in self._entity(user).groups:
                self._directory.remove_user_from_group(user, group)
        for arn in facts.principals:
            self._delete_principal(arn)
        for arn in facts.groups:
            self._delete_group(arn)
        for arn in facts.managed:
            self._delete_managed(arn)

    def _detach_from_element(self, element: str, id_: str) -> None:
        for policy in self._control_policies(id_):
            if self._has_element(element) and self._is_attached(element, policy):
                self._directory.detach_control_policy(element, policy.id)

    def _delete_principal(self, arn: str) -> None:
        record = self._tables.entities.get(arn)
        if record is None:
            return
        self._strip(record)
        for group in record.groups:
            self._directory.remove_user_from_group(arn, group)
        for profile in [p for p in self._tables.instance_profiles.values() if p.role == arn]:
            self._directory.remove_role_from_instance_profile(profile.arn)
        self._directory.delete_principal(arn)

    def _delete_group(self, arn: str) -> None:
        record = self._tables.groups.get(arn)
        if record is None:
            return
        self._set_members(arn, frozenset())
        self._strip(record)
        self._directory.delete_group(arn)

    def _strip(self, record: Entity | Group) -> None:
        """Remove the policies of a record that is deleted with them."""
        for stored in record.inline:
            self._directory.delete_inline_policy(record.arn, stored.name)
        for policy in record.attached:
            self._directory.detach_policy(record.arn, policy)

    def _delete_managed(self, arn: str) -> None:
        record = self._tables.managed.get(arn)
        if record is None:
            return
        self._set_attachments(arn, frozenset())
        for entity in [entity for entity in self._tables.entities.values() if arn in (entity.boundary or ())]:
            self._directory.delete_permissions_boundary(entity.arn)
        for version in [version for version in record.versions if version != record.default]:
            self._directory.delete_policy_version(arn, version)
        self._directory.delete_policy(arn)

    # -- records that facts refer to ----------------------------------------------------------------------------------

    def _identity(self, arn: str) -> Entity | Group:
        """Return the record of an identity. One that no file has is added, without policies."""
        if ":group/" not in arn:
            return self._entity(arn)
        self._group(arn)
        return self._tables.groups[arn]

    def _group(self, arn: str) -> None:
        if arn not in self._tables.groups:
            self._directory.add_group(arn)

    def _entity(self, arn: str) -> Entity:
        if arn not in self._tables.entities:
            self._directory.add_principal(arn, unique_id=None)
        return self._tables.entities[arn]


def _is_policy(stored: StoredPolicy, id_: str) -> bool:
    """Whether a stored SCP or RCP has an id: files name such policies by id, ARN or name."""
    return id_ in (stored.name, stored.name.rpartition("/")[2], (stored.arn or "").rpartition("/")[2])
