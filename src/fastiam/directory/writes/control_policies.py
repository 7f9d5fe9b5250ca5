"""Writes of what Organizations keeps beside the tree: policies by id, names of units, tags, services that may act."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from fastiam.directory.naming_rules import read_tags
from fastiam.directory.organization import (
    FULL_ACCESS_ID,
    POLICY_TYPES,
    SCP_TYPE,
    ControlPolicy,
    FailedAccount,
    Handshake,
    Organization,
)
from fastiam.directory.stored_policies import Given, StoredPolicy
from fastiam.directory.transactions import write
from fastiam.directory.unique_ids import new_control_policy_id
from fastiam.directory.writes.organizations import OrganizationWrites
from fastiam.errors import DirectoryError
from fastiam.model.policy import PolicyKind
from fastiam.model.request import shorten

_ID = re.compile(r"p-[0-9A-Za-z_]{1,128}")
_MAX_TAGS = 50
_MAX_FAILED = 100
_MAX_ENDED = 100  # handshakes
_FAILED_FOR = timedelta(days=90)


class ControlPolicyWrites(OrganizationWrites):
    """SCPs and RCPs by their ids, and details of the organisation."""

    @write
    def set_organization_details(
        self,
        *,
        names: Mapping[str, str] = {},
        tags: Mapping[str, Mapping[str, str]] = {},
        services: Mapping[str, datetime] = {},
        policies: Mapping[str, ControlPolicy] = {},
        failed_accounts: Mapping[str, FailedAccount] = {},
        handshakes: Mapping[str, Handshake] = {},
    ) -> None:
        """Set what the organisation has beside its tree, as `Organization` describes it.

        Raises
        ------
        DirectoryError
            a name or tags of what it does not have; an id that is none.
        """
        old = self._organization()
        for id_, policy in policies.items():
            if not isinstance(policy, ControlPolicy) or not _ID.fullmatch(id_) or policy.id != id_ or id_ == FULL_ACCESS_ID:
                raise DirectoryError(f"`{shorten(str(id_))}` is not a policy of an organisation", hint="its id starts with `p-`")
        made = replace(
            old,
            policies=dict(policies),
            services=dict(services),
            failed_accounts=dict(failed_accounts),
            handshakes=dict(handshakes),
        )
        for id_ in names:
            if not self._element(old, id_).startswith("ou-"):
                raise DirectoryError(f"`{shorten(id_)}` is not an organisational unit", hint="only units have names here")
        for id_ in tags:
            self._taggable(made, id_)
        read = {id_: read_tags(each, ignore_case=False) for id_, each in tags.items()}
        self._store.put_organization(replace(made, names=dict(names), tags=read))

    # -- policies -----------------------------------------------------------------------------------------------------

    @write
    def create_control_policy(self, name: str, document: Given, policy_type: str, *, description: str = "") -> str:
        """Create an SCP or RCP that is attached nowhere; its id.

        Raises
        ------
        PolicyError
            the document is rejected.
        DirectoryError
            another policy of the type has the name, or a quota.
        """
        old, id_ = self._organization(), new_control_policy_id()
        if policy_type not in POLICY_TYPES:
            raise DirectoryError(f"`{shorten(str(policy_type))}` is not a type of policy", hint="write `SERVICE_CONTROL_POLICY`")
        kind = PolicyKind.SCP if policy_type == SCP_TYPE else PolicyKind.RCP
        made = ControlPolicy(id_, self._read_control_policy(old, id_, name, document, kind), description)
        self._store.put_organization(replace(old, policies={**old.policies, id_: made}))
        return id_

    @write
    def update_control_policy(
        self, id: str, *, name: str | None = None, document: Given | None = None, description: str | None = None
    ) -> None:
        """Change an SCP or RCP, wherever it is attached.

        Raises
        ------
        PolicyError, DirectoryError
            as `create_control_policy`; there is no such policy, or it is of AWS.
        """
        old = self._organization()
        policy = self._control_policy(old, id)
        stored = policy.document
        if name is not None or document is not None:
            text = stored.text if document is None else document
            stored = self._read_control_policy(old, id, stored.name if name is None else name, text, stored.kind)
        new = replace(policy, document=stored, description=policy.description if description is None else description)

        def changed(levels: Mapping[str, tuple[StoredPolicy, ...]]) -> dict[str, tuple[StoredPolicy, ...]]:
            return {
                element: tuple(stored if each == policy.document else each for each in level) for element, level in levels.items()
            }

        policies = {**old.policies, id: new}
        self._store.put_organization(replace(old, policies=policies, scps=changed(old.scps), rcps=changed(old.rcps)))

    @write
    def delete_control_policy(self, id: str) -> None:
        """Delete an SCP or RCP that is attached nowhere."""
        old = self._organization()
        policy = self._control_policy(old, id)
        targets = tuple(old.targets(policy))
        if targets:
            raise DirectoryError(f"`{id}` is attached to `{targets[0]}`", rule="DIR-IN-USE", hint="detach it first")
        policies = {other: each for other, each in old.policies.items() if other != id}
        tags = {other: each for other, each in old.tags.items() if other != id}
        self._store.put_organization(replace(old, policies=policies, tags=tags))

    @write
    def attach_control_policy(self, element: str, id: str) -> None:
        """Attach an SCP or RCP, by its id, to a root, unit or account."""
        policy = self._control_policy(self._organization(), id, of_aws=True)
        (self.attach_scp if policy.type == SCP_TYPE else self.attach_rcp)(element, policy.document)

    @write
    def detach_control_policy(self, element: str, id: str) -> None:
        """Detach an SCP or RCP, by its id, from a root, unit or account. The last SCP must stay."""
        old = self._organization()
        policy = self._control_policy(old, id, of_aws=True)
        if policy.document not in old.attached(policy.type, self._element(old, element)):
            raise DirectoryError(f"`{element}` does not have `{id}`")
        (self.detach_scp if policy.type == SCP_TYPE else self.detach_rcp)(element, policy.document.name)
        if id != FULL_ACCESS_ID:  # it stays when it is attached nowhere any more
            now = self._organization()
            self._store.put_organization(replace(now, policies={**now.policies, id: policy}))

    # -- names, tags and services ---------------------------------------------------------------------------------------

    @write
    def rename_organizational_unit(self, id: str, name: str) -> None:
        """Give a unit a name."""
        old = self._organization()
        if not self._element(old, id).startswith("ou-"):
            raise DirectoryError(f"`{shorten(id)}` is not an organisational unit", hint="its id starts with `ou-`")
        self._store.put_organization(replace(old, names={**old.names, id: name}))

    @write
    def tag_in_organization(self, id: str, tags: Mapping[str, str]) -> None:
        """Add tags to the root, a unit, an account or a policy, by its id. An existing key gets the new value."""
        old = self._organization()
        new = {**old.tags.get(self._taggable(old, id), {}), **read_tags(tags, ignore_case=False)}
        if len(new) > _MAX_TAGS:
            raise DirectoryError(f"`{id}` would have {len(new)} tags, at most {_MAX_TAGS}", rule="DIR-QUOTA")
        self._store.put_organization(replace(old, tags={**old.tags, id: new}))

    @write
    def untag_in_organization(self, id: str, keys: Iterable[str]) -> None:
        """Remove the tags with these keys; absent keys are ignored."""
        old, gone = self._organization(), set(keys)
        new = {key: value for key, value in old.tags.get(self._taggable(old, id), {}).items() if key not in gone}
        others = {other: each for other, each in old.tags.items() if other != id}
        self._store.put_organization(replace(old, tags={**others, id: new} if new else others))

    @write
    def enable_service_access(self, service: str, since: datetime) -> None:
        """Let an AWS service act in the accounts of the organisation. It stays enabled since the first call."""
        old = self._organization()
        self._store.put_organization(replace(old, services={service: since, **old.services}))

    @write
    def disable_service_access(self, service: str) -> None:
        """Let an AWS service act in the accounts of the organisation no longer."""
        old = self._organization()
        self._store.put_organization(replace(old, services={name: at for name, at in old.services.items() if name != service}))

    @write
    def record_failed_account(self, request: str, failed: FailedAccount) -> None:
        """Keep that an account was not created, by the id of the request. Old failures are dropped."""
        old = self._organization()
        recent = [(id_, each) for id_, each in old.failed_accounts.items() if failed.at - each.at < _FAILED_FOR]
        self._store.put_organization(replace(old, failed_accounts=dict([*recent, (request, failed)][-_MAX_FAILED:])))

    @write
    def record_handshake(self, handshake: Handshake) -> None:
        """Keep an invitation in its present state. Old ones that have ended are dropped."""
        old = self._organization()
        kept = {**old.handshakes, handshake.id: handshake}
        ended = [id_ for id_, each in kept.items() if each.state_at(handshake.requested) != "OPEN"]
        for id_ in ended[:-_MAX_ENDED]:
            del kept[id_]
        self._store.put_organization(replace(old, handshakes=kept))

    # -- what they share ----------------------------------------------------------------------------------------------

    def _control_policy(self, organization: Organization, id_: str, *, of_aws: bool = False) -> ControlPolicy:
        policy = organization.control_policies().get(id_)
        if policy is None:
            raise DirectoryError(f"there is no policy `{shorten(str(id_))}` in the organisation", rule="DIR-NO-POLICY")
        if id_ == FULL_ACCESS_ID and not of_aws:
            raise DirectoryError(f"`{id_}` is a policy of AWS, which no account changes")
        return policy

    def _read_control_policy(self, old: Organization, id_: str, name: str, document: Given, kind: PolicyKind) -> StoredPolicy:
        reader = self._reader()
        (stored,) = reader.read_level([(name, document)], kind, f"{kind}s[{id_}]")
        others = (each.document for each in old.control_policies().values() if each.id != id_)
        if any(each.kind is kind and each.name == name for each in others):
            raise DirectoryError(f"another policy has the name `{shorten(name)}`", rule="DIR-EXISTS")
        self._check_level(reader, (stored,), id_)
        self._commit(reader)
        return stored

    def _taggable(self, organization: Organization, id_: str) -> str:
        if id_ in organization.control_policies() and id_ != FULL_ACCESS_ID:
            return id_
        return self._element(organization, id_)
