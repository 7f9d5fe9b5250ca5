"""Accounts and their organisation, resolved: shared context keys, SCP and RCP paths, facts about owners (spec 6.2)."""

from __future__ import annotations

from fastiam.directory.account_records import Account, Tables
from fastiam.directory.organization import RCP_TYPE, SCP_TYPE
from fastiam.directory.stored_policies import StoredLevels
from fastiam.model.profile import AccountFacts, Levels, PrincipalKind
from fastiam.resolve.derived_keys import FALSE, Keys, organization_keys, single

_ORGANIZATION = frozenset(("aws:principalorgid", "aws:principalorgpaths", "aws:principalorgmasteraccountid"))
_Resolved = tuple[Levels | None, str]


class Accounts:
    """What callers and resources inherit from the accounts of a directory. Everything is found once per account."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._keys: dict[str, Keys] = {}
        self._scps: dict[str, _Resolved] = {}
        self._facts: dict[str, AccountFacts] = {}

    def is_known(self, account: str | None) -> bool:
        """Whether the directory holds a record of the account."""
        return account in self._tables.accounts

    def canonical_id(self, account: str) -> str | None:
        """The S3 canonical id, where known."""
        record = self._tables.accounts.get(account)
        return record.canonical_id if record else None

    def may_assume_root(self, account: str) -> bool:
        """Spec 7.4: the management account, or the delegated administrator for IAM."""
        organization = self._tables.organization
        return organization is not None and organization.administers_iam(account)

    def keys(self, account: str) -> Keys:
        """The context keys that all callers of an account share (5.2)."""
        keys = self._keys.get(account)
        if keys is None:
            facts, organization = self.facts(account), self._tables.organization
            master = organization.management_account if organization and facts.org_id else None
            keys = {"aws:principalaccount": single(account), "aws:principalisawsservice": FALSE}
            keys |= organization_keys("principal", facts.org_id, facts.org_path, master)
            self._keys[account] = keys
        return keys

    def without_open(self, account: str, absent: frozenset[str]) -> frozenset[str]:
        """`absent` for a caller of the account: the organisation of an account without a record is unknown (K1)."""
        return absent if self.is_known(account) else absent - _ORGANIZATION

    def scps(self, account: str, kind: PrincipalKind) -> _Resolved:
        """The SCP levels of an account's callers, or None and why they do not apply (D11)."""
        if kind is PrincipalKind.SLR:
            return None, "service_linked_role"
        found = self._scps.get(account)
        if found is None:
            found = self._scps[account] = self._levels(account, SCP_TYPE)
        return found

    def facts(self, account: str) -> AccountFacts:
        """The account as the owner of resources, endpoints and sources. Unknown accounts are in no organisation."""
        facts = self._facts.get(account)
        if facts is None:
            organization = self._tables.organization
            path = organization.path(account) if organization else None
            rcps, note = self._levels(account, RCP_TYPE)
            facts = AccountFacts(account, organization.id if organization and path else None, path, rcps, note)
            if self.is_known(account):
                self._facts[account] = facts
        return facts

    def _levels(self, account: str, policy_type: str) -> _Resolved:
        """The levels of a path: those given for the account, else those of the organisation's tree (D10, D11, D14)."""
        organization, record = self._tables.organization, self._tables.accounts.get(account)
        if organization is not None and account == organization.management_account:
            return None, "management_account"
        given = _given(record, policy_type)
        if given is not None:
            return _policies(given), ""
        if organization is None or account not in organization.parents:
            return None, "outside_organization"
        if policy_type not in organization.policy_types:
            return None, "policy_type_disabled"
        is_scp = policy_type == SCP_TYPE
        return _policies(organization.scp_levels(account) if is_scp else organization.rcp_levels(account)), ""


def _given(record: Account | None, policy_type: str) -> StoredLevels | None:
    if record is None:
        return None
    return record.scps if policy_type == SCP_TYPE else record.rcps


def _policies(levels: StoredLevels) -> Levels:
    return tuple(tuple(stored.policy for stored in level) for level in levels)
