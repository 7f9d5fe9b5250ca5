"""`Role` values for an identity provider that maps directory groups to roles, as claim rules of ADFS do (2.9).

This belongs to the side of the identity provider: the values are verified like those of any assertion (SA92).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from fastiam.credentials.sts_errors import ValidationError
from fastiam.model.arn import is_account

BY_ACCOUNT = r"AWS-(?P<account>[0-9]{12})-(?P<role>[\w+=,.@-]{1,64})"
FIXED_ACCOUNT = r"(?P<role>ADFS-[\w+=,.@-]{1,59})"


def roles_of_groups(
    groups: Iterable[str], provider_name: str, *, pattern: str = BY_ACCOUNT, account: str = "", partition: str = "aws"
) -> tuple[str, ...]:
    """The `Role` values, `role ARN,provider ARN`, of the groups whose whole name matches a pattern; case does not count (SA90).

    Parameters
    ----------
    provider_name
        name of the SAML provider, the same in each account.
    pattern
        regular expression with the group `role`, and optionally `account`. The default is `AWS-<12 digits>-<role name>`;
        `FIXED_ACCOUNT` is the older form, in which the name of the group is that of the role.
    account
        of all roles, for a pattern without the group `account`.

    Raises
    ------
    ValidationError
        neither the pattern nor `account` gives the account.
    """
    compiled = re.compile(pattern, re.IGNORECASE | re.ASCII)
    if "account" not in compiled.groupindex and not is_account(account):
        raise ValidationError("the pattern has no group `account`", rule="SA90", hint="pass `account`, 12 digits")
    found: dict[str, None] = {}
    for group in groups:
        match = compiled.fullmatch(group)
        if match is not None:
            owner = match["account"] if "account" in compiled.groupindex else account
            prefix = f"arn:{partition}:iam::{owner}"
            found[f"{prefix}:role/{match['role']},{prefix}:saml-provider/{provider_name}"] = None
    return tuple(found)
