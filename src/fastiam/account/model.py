"""The account model: accounts, users, groups, roles, managed policies, resources, endpoints and one organisation.

Every write is checked as a whole and then done as a whole (`writes`); what is there is read by `readers`, and through
snapshots.
"""

from __future__ import annotations

from fastiam.account.readers import AccountReaders
from fastiam.account.writes.accounts import AccountWrites
from fastiam.account.writes.groups import GroupWrites
from fastiam.account.writes.identities import IdentityWrites
from fastiam.account.writes.organizations import OrganizationWrites
from fastiam.account.writes.policies import HolderWrites, PolicyWrites
from fastiam.account.writes.principals import PrincipalWrites
from fastiam.account.writes.resources import ResourceWrites
from fastiam.account.writes.roles_anywhere import RolesAnywhereWrites
from fastiam.account.writes.tags import TagWrites


class AccountModel(
    AccountReaders,
    AccountWrites,
    OrganizationWrites,
    PolicyWrites,
    HolderWrites,
    GroupWrites,
    PrincipalWrites,
    IdentityWrites,
    RolesAnywhereWrites,
    TagWrites,
    ResourceWrites,
):
    """Accounts and everything in them."""
