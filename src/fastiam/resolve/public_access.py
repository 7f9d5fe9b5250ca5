"""Whether a bucket policy is public (spec D33), as S3 Block Public Access asks."""

from __future__ import annotations

import ipaddress
import re

from fastiam.model.arn import is_account, split_arn
from fastiam.model.key_registry import fold
from fastiam.model.policy import ConditionEntry, Effect, Policy, PrincipalEntry, Statement
from fastiam.policy.conditions.operators import BASE_OPERATORS

_KEYS = frozenset(
    map(
        fold,
        (
            "aws:SourceIp aws:SourceArn aws:SourceVpc aws:SourceVpce aws:SourceOwner aws:SourceAccount aws:userid"
            " aws:PrincipalOrgID aws:PrincipalArn aws:PrincipalAccount s3:DataAccessPointArn s3:DataAccessPointAccount"
            " s3:x-amz-server-side-encryption-aws-kms-key-id"
        ).split(),
    )
)
_PREFIX = re.compile(r"(?:/[0-9]{1,3})?")
_V4_IN_V6 = ipaddress.IPv6Network("::ffff:0:0/96")


def is_public(policy: Policy) -> bool:
    """Whether an Allow for a wildcard principal is not limited by a condition with fixed values."""
    return any(
        statement.effect is Effect.ALLOW and _is_for_everyone(statement) and not any(map(_holds, statement.conditions))
        for statement in policy.statements
    )


def _is_for_everyone(statement: Statement) -> bool:
    if statement.principals is None:
        return False
    return statement.not_principal or any(map(_is_wildcard, statement.principals))


def _is_wildcard(entry: PrincipalEntry) -> bool:
    """`"*"`, `{"AWS": "*"}`, and, read leniently, any `Federated` principal."""
    return entry.type in ("*", "Federated") or (entry.type == "AWS" and entry.value == "*")


def _holds(entry: ConditionEntry) -> bool:
    key, operator = fold(entry.key), BASE_OPERATORS.get(entry.operator)
    fitting = operator is not None and operator.restricts and entry.qualifier != "ForAllValues" and not entry.if_exists
    if not fitting or entry.undetermined or key not in _KEYS or not entry.values:
        return False
    return all(_is_fixed(key, value) for value in entry.values)


def _is_fixed(key: str, value: str) -> bool:
    if key == "s3:dataaccesspointarn":
        return _has_fixed_account(value)
    if any(mark in value for mark in ("*", "?", "${")):
        return False
    return key != "aws:sourceip" or _is_narrow(value)


def _has_fixed_account(value: str) -> bool:
    """The access point's name may be a wildcard if the account id is fixed."""
    arn = split_arn(value)
    if arn is None or "${" in value or not is_account(arn.account) or not arn.rest.startswith("accesspoint/"):
        return False
    return not any(mark in field for mark in "*?" for field in arn[:3])


def _is_narrow(value: str) -> bool:
    """A CIDR no wider than /8 in IPv4, /32 in IPv6; IPv4 written as IPv6 counts as IPv4 (C52)."""
    address, slash, prefix = value.partition("/")
    if not _PREFIX.fullmatch(slash + prefix) or "%" in address:
        return False
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False
    if isinstance(network, ipaddress.IPv4Network):
        return network.prefixlen >= 8
    if network.prefixlen >= 96 and network.subnet_of(_V4_IN_V6):
        return network.prefixlen - 96 >= 8
    return network.prefixlen >= 32
