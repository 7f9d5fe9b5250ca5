"""The account model: accounts, users, groups, roles, managed policies, resources, endpoints and one organisation.

`writes` has the writes: each is checked in full, then applied in full. `readers` has the reads. Engines read snapshots.
"""

from __future__ import annotations

from fastiam.directory.readers import AccountReaders
from fastiam.directory.writes.accounts import AccountWrites
from fastiam.directory.writes.control_policies import ControlPolicyWrites
from fastiam.directory.writes.groups import GroupWrites
from fastiam.directory.writes.identity_pools import IdentityPoolWrites
from fastiam.directory.writes.policies import IdentityPolicyWrites, PolicyWrites
from fastiam.directory.writes.providers import ProviderWrites
from fastiam.directory.writes.resources import ResourceWrites
from fastiam.directory.writes.roles_anywhere import RolesAnywhereWrites
from fastiam.directory.writes.tags import TagWrites
from fastiam.directory.writes.user_pools import UserPoolWrites
from fastiam.directory.writes.users_and_roles import PrincipalWrites


class AccountModel(
    AccountReaders,
    AccountWrites,
    ControlPolicyWrites,
    PolicyWrites,
    IdentityPolicyWrites,
    GroupWrites,
    PrincipalWrites,
    ProviderWrites,
    RolesAnywhereWrites,
    IdentityPoolWrites,
    UserPoolWrites,
    TagWrites,
    ResourceWrites,
):
    """Accounts with their contents: all reads and writes of a directory."""
