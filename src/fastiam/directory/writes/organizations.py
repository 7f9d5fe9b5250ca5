"""Writes of the organisation: the whole, and its tree, policies and administrators (spec 6.2, G3, G5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from fastiam.directory.naming_rules import check_account
from fastiam.directory.organization import IAM_SERVICE, POLICY_TYPES, RCP_TYPE, SCP_TYPE, Organization, check_tree, read_tree
from fastiam.directory.stored_policies import FULL_ACCESS, FULL_ACCESS_ARN, Given, Policies, Reader, StoredPolicy
from fastiam.directory.transactions import write
from fastiam.directory.writes.base import Writes, refuse_in_use
from fastiam.errors import DirectoryError, did_you_mean
from fastiam.model.arn import is_account
from fastiam.model.policy import PolicyKind
from fastiam.model.request import is_iterable, shorten

_ByElement = dict[str, tuple[StoredPolicy, ...]]


class OrganizationWrites(Writes):
    """The organisation."""

    @write
    def set_organization(
        self,
        id: str,
        *,
        management_account: str | None = None,
        root: str = "r-1",
        organizational_units: Mapping[str, str] = {},
        accounts: Mapping[str, str | Sequence[str] | None] = {},
        delegated_administrators: Iterable[str] | Mapping[str, Iterable[str]] = (),
        scps: Mapping[str, Policies] = {},
        rcps: Mapping[str, Policies] = {},
        policy_types: Iterable[str] = POLICY_TYPES,
    ) -> None:
        """Set the whole organisation; an existing one is replaced.

        Parameters
        ----------
        organizational_units
            parent (another unit, or the root) of each unit, by id.
        accounts
            for each account its parent (`ou-a`), its path (`ou-a/ou-b`, `o-1/r-1/ou-a/`), or None for the root. A path adds its
            units. A parent is in `organizational_units` or in a path; it is added if the former is empty.
        delegated_administrators
            accounts that administer IAM for the organisation, or services by account.
        scps, rcps
            policies attached to a root, unit or account, by its id. An element without an entry has `FullAWSAccess` as its SCP
            (G5), and `RCPFullAWSAccess` as its RCP (G3). In a list of SCPs,
            `arn:aws:organizations::aws:policy/service_control_policy/p-FullAWSAccess` denotes the former. An empty list of SCPs
            allows nothing.
        policy_types
            the enabled ones among `SERVICE_CONTROL_POLICY` and `RESOURCE_CONTROL_POLICY`.

        Raises
        ------
        PolicyError
            a document is rejected.
        DirectoryError
            a malformed tree, a policy of an element that is not in it, or a quota.
        """
        if not id.startswith("o-") or not root.startswith("r-"):
            raise DirectoryError(
                f"`{id}` and `{root}` are not an organisation and a root", hint="the ids start with `o-` and `r-`"
            )
        places = dict(accounts)
        if management_account is not None:
            places.setdefault(check_account(management_account), None)
        parents = read_tree(id, root, organizational_units, places)
        reader = self._reader()
        organization = Organization(
            id,
            root,
            management_account,
            parents,
            _delegates(delegated_administrators, parents),
            self._by_element(reader, scps, PolicyKind.SCP, {root, *parents}),
            self._by_element(reader, rcps, PolicyKind.RCP, {root, *parents}),
            _policy_types(policy_types),
        )
        self._commit(reader)
        self._store.put_organization(organization)
        for account in places:
            self._ensure_account(account)

    @write
    def delete_organization(self) -> None:
        """Delete the organisation with its units and policies; the accounts stay."""
        self._organization()
        self._store.put_organization(None)

    # -- the tree -----------------------------------------------------------------------------------------------------

    @write
    def create_organizational_unit(self, id: str, parent: str | None = None, *, name: str = "") -> None:
        """Create a unit below another one, or below the root."""
        old = self._organization()
        if not id.startswith("ou-"):
            raise DirectoryError(f"`{shorten(id)}` is not an organisational unit", hint="its id starts with `ou-`")
        if id in old.parents:
            raise DirectoryError(f"there is `{id}` already", rule="DIR-EXISTS")
        self._place(replace(old, names={**old.names, id: name}) if name else old, id, parent)

    @write
    def delete_organizational_unit(self, id: str) -> None:
        """Delete an empty unit. The policies attached to it stay, by their ids."""
        old = self._organization()
        if not id.startswith("ou-"):
            raise DirectoryError(f"`{shorten(id)}` is not an organisational unit", hint="its id starts with `ou-`")
        self._element(old, id)
        refuse_in_use(id, {"holds": tuple(child for child, parent in old.parents.items() if parent == id)})
        self._store.put_organization(_without(old, id))

    @write
    def move(self, element: str, parent: str | None = None) -> None:
        """Move an account or unit, with all below it, to another unit or to the root. An account from outside joins.

        Raises
        ------
        DirectoryError
            a unit would be below itself; the element or the parent is absent.
        """
        old = self._organization()
        if not is_account(element):
            self._element(old, element)
        if element == old.root:
            raise DirectoryError(f"`{element}` is the root and cannot be moved")
        self._place(old, element, parent)
        if is_account(element):
            self._ensure_account(element)

    @write
    def remove_account_from_organization(self, account: str) -> None:
        """Remove an account; SCPs and RCPs no longer apply to it (D11). The policies attached to it stay, by their ids."""
        old = self._organization()
        if account == old.management_account:
            raise DirectoryError(f"`{account}` is the management account and cannot leave")
        if self._element(old, account) and not is_account(account):
            raise DirectoryError(f"`{account}` is not an account")
        self._store.put_organization(_without(old, account))

    @write
    def register_delegated_administrator(self, account: str, service: str = IAM_SERVICE) -> None:
        """Register a member account as administrator of a service; that of IAM may call `sts:AssumeRoot` (7.4)."""
        old = self._organization()
        if account == old.management_account:
            raise DirectoryError(f"`{account}` is the management account, which administers everything")
        if not is_account(self._element(old, account)):
            raise DirectoryError(f"`{account}` is not an account")
        _check_service(service)
        services = old.delegated.get(account, frozenset()) | {service}
        self._store.put_organization(replace(old, delegated={**old.delegated, account: services}))

    @write
    def deregister_delegated_administrator(self, account: str, service: str = IAM_SERVICE) -> None:
        """Deregister a member account as administrator of a service."""
        old = self._organization()
        services = old.delegated.get(account, frozenset())
        if service not in services:
            raise DirectoryError(f"`{shorten(account)}` is not a delegated administrator of `{shorten(service)}`")
        delegated = {**old.delegated, account: services - {service}}
        self._store.put_organization(replace(old, delegated={a: names for a, names in delegated.items() if names}))

    # -- policies -----------------------------------------------------------------------------------------------------

    @write
    def attach_scp(self, element: str, policy: Given) -> None:
        """Attach an SCP to a root, unit or account: a pair `(name, document)`, or the ARN of `FullAWSAccess`."""
        old = self._organization()
        level = self._attached(old.scps.get(element, (FULL_ACCESS,)), element, policy, PolicyKind.SCP)
        self._store.put_organization(replace(old, scps={**old.scps, element: level}))

    @write
    def detach_scp(self, element: str, name: str) -> None:
        """Detach an SCP, by its name, from a root, unit or account. The last one must stay."""
        old = self._organization()
        level = _detached(old.scps.get(self._element(old, element), (FULL_ACCESS,)), element, name)
        if not level:
            message = f"`{name}` is the last SCP at `{element}`, and one must stay attached"
            raise DirectoryError(message, rule="1.7", hint="attach another one first")
        self._store.put_organization(replace(old, scps={**old.scps, element: level}))

    @write
    def attach_rcp(self, element: str, policy: Given) -> None:
        """Attach an RCP to a root, unit or account: a pair `(name, document)`. `RCPFullAWSAccess` is always attached (G3)."""
        old = self._organization()
        level = self._attached(old.rcps.get(element, ()), element, policy, PolicyKind.RCP)
        self._store.put_organization(replace(old, rcps={**old.rcps, element: level}))

    @write
    def detach_rcp(self, element: str, name: str) -> None:
        """Detach an RCP, by its name, from a root, unit or account."""
        old = self._organization()
        level = _detached(old.rcps.get(self._element(old, element), ()), element, name)
        self._store.put_organization(replace(old, rcps={**old.rcps, element: level}))

    @write
    def enable_policy_type(self, policy_type: str) -> None:
        """Enable SCPs or RCPs: `SERVICE_CONTROL_POLICY` or `RESOURCE_CONTROL_POLICY`."""
        old = self._organization()
        self._store.put_organization(replace(old, policy_types=old.policy_types | _policy_types((policy_type,))))

    @write
    def disable_policy_type(self, policy_type: str) -> None:
        """Disable SCPs or RCPs (D11). As in AWS, all policies of the type are detached, and stay by their ids."""
        old = self._organization()
        types = old.policy_types - _policy_types((policy_type,))
        scps = {} if policy_type == SCP_TYPE else old.scps
        rcps = {} if policy_type == RCP_TYPE else old.rcps
        self._store.put_organization(_keeping(old, replace(old, policy_types=types, scps=scps, rcps=rcps)))

    # -- what they share ----------------------------------------------------------------------------------------------

    def _organization(self) -> Organization:
        organization = self.tables.organization
        if organization is None:
            raise DirectoryError("there is no organisation", hint="add it with `set_organization`")
        return organization

    def _element(self, organization: Organization, id_: str) -> str:
        """Check that a root, unit or account exists."""
        if id_ != organization.root and id_ not in organization.parents:
            message = f"`{shorten(str(id_))}` is not a root, unit or account of the organisation"
            raise DirectoryError(message, hint=did_you_mean(str(id_), {organization.root, *organization.parents}))
        return id_

    def _place(self, old: Organization, element: str, parent: str | None) -> None:
        parent = self._element(old, old.root if parent is None else parent)
        if is_account(parent):
            raise DirectoryError(f"`{parent}` is an account, and cannot be a parent")
        parents = {**old.parents, element: parent}
        check_tree(parents, old.root)
        self._store.put_organization(replace(old, parents=parents))

    def _attached(self, level: Sequence[StoredPolicy], element: str, given: Given, kind: PolicyKind) -> tuple[StoredPolicy, ...]:
        """The policies of an element with one more policy."""
        organization, reader = self._organization(), self._reader()
        (stored,) = reader.read_level([given], kind, f"{kind}s[{self._element(organization, element)}]")
        names = [old.name for old in level]
        if stored.name in names:
            raise DirectoryError(f"`{element}` has `{stored.name}` already", rule="DIR-EXISTS", hint="detach it first")
        if (SCP_TYPE if kind is PolicyKind.SCP else RCP_TYPE) not in organization.policy_types:
            self._refuse(reader, "D11", element, "policies of this type are not enabled", "use `enable_policy_type`")
        new = (*level, stored)
        self._check_level(reader, new, element)
        self._commit(reader)
        return new

    def _by_element(self, reader: Reader, given: Mapping[str, Policies], kind: PolicyKind, elements: set[str]) -> _ByElement:
        found: _ByElement = {}
        for element, level in given.items():
            if element not in elements:
                message = f"`{shorten(str(element))}` is not a root, unit or account of the organisation"
                raise DirectoryError(message, hint=did_you_mean(str(element), elements))
            found[element] = reader.read_level(level, kind, f"{kind}s[{element}]")
            self._check_level(reader, found[element], element)
        return found


def _without(organization: Organization, element: str) -> Organization:
    """The organisation without an account or empty unit. Its policies are detached."""

    def rest(given: Mapping[str, tuple[StoredPolicy, ...]]) -> _ByElement:
        return {id_: level for id_, level in given.items() if id_ != element}

    parents = {id_: parent for id_, parent in organization.parents.items() if id_ != element}
    delegated = {id_: services for id_, services in organization.delegated.items() if id_ != element}
    scps, rcps = rest(organization.scps), rest(organization.rcps)
    names = {id_: name for id_, name in organization.names.items() if id_ != element}
    tags = {id_: each for id_, each in organization.tags.items() if id_ != element}
    new = replace(organization, parents=parents, delegated=delegated, scps=scps, rcps=rcps, names=names, tags=tags)
    return _keeping(organization, new)


def _keeping(old: Organization, new: Organization) -> Organization:
    """The new organisation with the policies of the old one that had no record, and that are attached nowhere any more."""
    present = new.control_policies()
    detached = {id_: policy for id_, policy in old.control_policies().items() if id_ not in present}
    return replace(new, policies={**new.policies, **detached}) if detached else new


def _detached(level: Sequence[StoredPolicy], element: str, name: str) -> tuple[StoredPolicy, ...]:
    name = FULL_ACCESS.name if name == FULL_ACCESS_ARN else name
    kept = tuple(stored for stored in level if stored.name != name)
    if len(kept) == len(level):
        raise DirectoryError(f"`{element}` does not have `{shorten(name)}`")
    return kept


def _delegates(given: Iterable[str] | Mapping[str, Iterable[str]], parents: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Services by delegated administrator; an account given without services administers IAM."""
    accounts = tuple(given)
    if not all(isinstance(account, str) for account in accounts):
        raise DirectoryError("a delegated administrator must be the id of an account, as text")
    services = dict(given) if isinstance(given, Mapping) else dict.fromkeys(accounts, (IAM_SERVICE,))
    for account, names in services.items():
        if account not in parents:
            message = f"`{account}` administers an organisation that it does not belong to"
            raise DirectoryError(message, hint=did_you_mean(str(account), filter(is_account, parents)))
        if not is_account(account):
            raise DirectoryError(f"`{account}` is not an account", hint="accounts administer an organisation, units do not")
        if isinstance(names, str):
            message = f"`{account}` administers `{shorten(names)}`, which is one text"
            raise DirectoryError(message, hint="write a list of services")
        if not is_iterable(names):
            raise DirectoryError(f"the services of `{account}` must be a list, not `{type(names).__name__}`")
    listed = {account: tuple(names) for account, names in services.items()}
    for name in chain.from_iterable(listed.values()):
        _check_service(name)
    return {account: frozenset(names) for account, names in listed.items()}


def _check_service(name: object) -> None:
    if not isinstance(name, str) or "." not in name:
        raise DirectoryError(f"`{name}` is not a service", hint="write its principal, such as `iam.amazonaws.com`")


def _policy_types(given: Iterable[str]) -> frozenset[str]:
    types = frozenset(given)
    if not types <= POLICY_TYPES:
        raise DirectoryError(f"`{sorted(types - POLICY_TYPES)[0]}` is not a policy type", hint=" or ".join(sorted(POLICY_TYPES)))
    return types
