"""An immutable view of a directory: the profiles that an engine needs. Later writes do not affect it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from fastiam.directory.account_records import Endpoint, Resource, Tables
from fastiam.directory.stored_policies import StoredPolicy
from fastiam.model.arn import split_arn
from fastiam.model.policy import Policy
from fastiam.model.profile import (
    AccountFacts,
    EndpointProfile,
    PrincipalKind,
    PrincipalProfile,
    PrincipalTemplate,
    ResourceFacts,
    ResourceProfile,
)
from fastiam.model.request import ContextValue, check_action, check_resource
from fastiam.model.session import Session
from fastiam.resolve.accounts import Accounts
from fastiam.resolve.changes import JournalPosition
from fastiam.resolve.context_checks import check_context
from fastiam.resolve.derived_keys import Keys, organization_keys, single
from fastiam.resolve.principal_profiles import Principals
from fastiam.resolve.resource_profiles import Resources, is_recorded

UnknownOwner = Literal["principal", "deny"]
_ENDPOINT = "aws:sourcevpce"


class Snapshot:
    """An immutable view of an account model. It pickles."""

    def __init__(self, tables: Tables, position: JournalPosition | None = None) -> None:
        self._tables, self._position = tables, position
        self._accounts = Accounts(self._tables)
        self._principals = Principals(self._tables, self._accounts)
        self._resources = Resources(self._tables, self._accounts)
        self._has_endpoint_policies = any(e.policies is not None for e in self._tables.endpoints.values())

    def __reduce__(self) -> tuple[Any, ...]:
        return Snapshot, (self._tables,)

    @property
    def tables(self) -> Tables:
        """The records, which do not change."""
        return self._tables

    @property
    def position(self) -> JournalPosition | None:
        """The moment in the life of its model; None for one that was unpickled."""
        return self._position

    # -- what there is ------------------------------------------------------------------------------------------------

    def principals(self) -> Iterator[PrincipalProfile]:
        """The root of each account, then users and roles; a role as some session of it (N5)."""
        return self._principals.all()

    def names(self) -> Iterator[tuple[str, PrincipalKind]]:
        """Name and kind of everyone in `principals`, in the same order; nothing is resolved."""
        for account in self._tables.accounts.values():
            yield f"arn:{account.partition}:iam::{account.id}:root", PrincipalKind.ROOT
        for entity in self._tables.entities.values():
            if entity.kind is not PrincipalKind.ROOT:
                yield entity.arn, entity.kind

    def has_principal(self, name: str) -> bool:
        """Whether `names` has this name."""
        entity = self._tables.entities.get(name)
        if entity is not None and entity.kind is not PrincipalKind.ROOT:
            return True
        arn = split_arn(name)
        account = self._tables.accounts.get(arn.account) if arn is not None and arn.rest == "root" else None
        return account is not None and name == f"arn:{account.partition}:iam::{account.id}:root"

    def resources(self) -> Iterator[tuple[str, Resource]]:
        """Stored resources by the ARN that they are stored under, role ARNs with trust policies not among them."""
        return iter(self._tables.resources.items())

    def entity_resources(self) -> Iterator[str]:
        """The ARNs of users and roles that are resources of note: with tags, or with a trust policy."""
        return (entity.arn for entity in self._tables.entities.values() if is_recorded(entity))

    def has_record(self, arn: str) -> bool:
        """Whether `resources` or `entity_resources` has this ARN."""
        entity = self._tables.entities.get(arn)
        return arn in self._tables.resources or (entity is not None and is_recorded(entity))

    def accounts(self) -> Iterator[AccountFacts]:
        """Every account with a record."""
        return map(self.account_facts, self._tables.accounts)

    def policies(self) -> Iterator[Policy]:
        """All policies in force."""
        tables = self._tables
        for entity in tables.entities.values():
            yield from (stored.policy for stored in entity.inline)
            yield from (item.policy for item in entity.boundary or () if isinstance(item, StoredPolicy))
            if entity.trust is not None:
                yield entity.trust.policy
        for group in tables.groups.values():
            yield from (stored.policy for stored in group.inline)
        yield from (managed.document.policy for managed in tables.managed.values())
        for resource in tables.resources.values():
            yield from (stored.policy for stored in resource.policies)
        for endpoint in tables.endpoints.values():
            yield from (stored.policy for stored in endpoint.policies or ())
        organization = tables.organization
        levels = [level for account in tables.accounts.values() for of in (account.scps, account.rcps) for level in of or ()]
        if organization is not None:
            levels += (*organization.scps.values(), *organization.rcps.values())
        yield from (stored.policy for level in levels for stored in level)

    def endpoints(self) -> Iterator[EndpointProfile]:
        """Every endpoint with a record."""
        return map(self._endpoint, self._tables.endpoints.values())

    @property
    def has_endpoint_policies(self) -> bool:
        """Whether an endpoint id without a record makes the layer `vpce` undetermined (D40)."""
        return self._has_endpoint_policies

    # -- what a request asks ------------------------------------------------------------------------------------------

    def principal(self, subject: str | Session | PrincipalProfile, action: str = "") -> PrincipalProfile:
        """The profile of a principal; `action` distinguishes a federated provider's name from a service's (N3).

        Raises
        ------
        RequestValueError
            no principal string; a session that contradicts itself.
        PolicyError
            a session policy is rejected; they are read strictly.
        """
        if isinstance(subject, PrincipalProfile):
            return subject
        if isinstance(subject, Session):
            return self._principals.of_session(subject)
        return self._principals.of_name(subject, action)

    def template_for(self, name: str) -> PrincipalTemplate | None:
        """The template of principals whose names start like this one, if they differ in few keys.

        Raises
        ------
        RequestValueError
            no principal string.
        """
        return self._principals.template_for(name)

    def facts(self, arn: str) -> ResourceFacts:
        """The facts of a literal resource ARN, which do not depend on the principal."""
        return self._resources.facts(arn)

    def resource_tags(self, arn: str) -> Mapping[str, ContextValue]:
        """The `aws:ResourceTag/*` keys of a literal resource ARN, folded; empty if its record has no tags."""
        return self._resources.tags(arn)

    def account_facts(self, id_: str) -> AccountFacts:
        """What is known of an account as owner; one without a record is in no organisation."""
        return self._accounts.facts(id_)

    def endpoint(self, id_: str | None) -> EndpointProfile | None:
        """The endpoint of an `aws:SourceVpce`; None where no endpoint layer applies (D40)."""
        if id_ is None:
            return None
        record = self._tables.endpoints.get(id_)
        if record is not None:
            return self._endpoint(record)
        return EndpointProfile(id_, known=False) if self._has_endpoint_policies else None

    def _endpoint(self, record: Endpoint) -> EndpointProfile:
        policies = None if record.policies is None else tuple(stored.policy for stored in record.policies)
        keys: Keys = {}
        if record.account is not None:
            facts = self.account_facts(record.account)
            keys = {"aws:vpceaccount": single(record.account), **organization_keys("vpce", facts.org_id, facts.org_path)}
        return EndpointProfile(record.id, policies, record.gateway, keys=keys)

    def resource(
        self,
        arn: str,
        action: str,
        principal: PrincipalProfile,
        *,
        resource_account: str | None = None,
        unknown_owner: UnknownOwner = "principal",
    ) -> ResourceProfile:
        """The resource with its owner (D23), and the policies that govern it for this caller and action (6.10).

        Raises
        ------
        RequestValueError
            no resource; a `resource_account` that contradicts the record of it or its governing resource.
        """
        return self._resources.profile(check_resource(arn), action, principal, resource_account, unknown_owner)

    def owner_keys(self, owner: str | None) -> Keys:
        """`aws:ResourceAccount`, `aws:ResourceOrgID` and `aws:ResourceOrgPaths` for a resource of this owner."""
        return self._resources.owner_keys(owner)

    def check_context(
        self,
        principal: PrincipalProfile,
        resource: ResourceProfile,
        endpoint: EndpointProfile | None,
        context: Mapping[str, ContextValue],
    ) -> None:
        """Refuse a context that contradicts what is known (K1).

        Raises
        ------
        RequestValueError
            names the key.
        """
        check_context(self._accounts, principal, resource, endpoint, context)

    def profiles(
        self,
        subject: str | Session | PrincipalProfile,
        action: str,
        resource: str,
        context: Mapping[str, ContextValue],
        *,
        resource_account: str | None = None,
        unknown_owner: UnknownOwner = "principal",
        endpoint_unknown: bool = False,
    ) -> tuple[PrincipalProfile, ResourceProfile, EndpointProfile | None]:
        """Everything that decides one request. `context` is by folded key, as `request.read_context` gives it.

        `endpoint_unknown`: the caller does not say which endpoint the request comes through, if any (D71).

        Raises
        ------
        RequestValueError
            see `principal`, `resource` and `check_context`.
        """
        principal = self.principal(subject, check_action(action))
        target = self.resource(resource, action, principal, resource_account=resource_account, unknown_owner=unknown_owner)
        endpoint = self._chosen_endpoint(context.get(_ENDPOINT), endpoint_unknown)
        self.check_context(principal, target, endpoint, context)
        return with_service_names(principal, context), target, endpoint

    def _chosen_endpoint(self, id_: ContextValue | None, is_unknown: bool) -> EndpointProfile | None:
        """The endpoint that the context names; several ids name none that is known."""
        if id_ is None and not is_unknown:
            return None
        if id_ is not None and len(id_.values) == 1:
            return self.endpoint(id_.values[0])
        return EndpointProfile("", known=False) if self._has_endpoint_policies else None


def with_service_names(principal: PrincipalProfile, context: Mapping[str, ContextValue]) -> PrincipalProfile:
    """A service with all names that the caller gives in `aws:PrincipalServiceNamesList`, the primary one first (N12, K1)."""
    names = context.get("aws:principalservicenameslist")
    if principal.kind is not PrincipalKind.SVC or names is None:
        return principal
    return replace(principal, service_names=tuple(dict.fromkeys((*principal.service_names, *names.values))))
