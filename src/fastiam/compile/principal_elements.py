"""Principal entries as tokens (spec 3.2): the form of a text, and the symbols that it compares."""

from __future__ import annotations

import re
from collections.abc import Callable

from fastiam.compile.layout import KINDS, NONE, Form
from fastiam.compile.pattern_text import utf8
from fastiam.model.arn import is_account, split_arn
from fastiam.model.policy import PolicyKind, PrincipalEntry
from fastiam.model.profile import PROVIDER_TYPES, PrincipalKind

Token = tuple[int, int, int, int]  # form, value, other, third
Symbol = Callable[[bytes], int]

_UNIQUE = re.compile(r"(AIDA|AROA)\w+", re.ASCII)
_BUILT_IN = frozenset({"cognito-identity.amazonaws.com", "www.amazon.com", "graph.facebook.com", "accounts.google.com"})
_U: Token = (Form.U, NONE, NONE, NONE)
_NEVER: Token = (Form.NEVER, NONE, NONE, NONE)


def role_symbol(partition: str, account: str, name: str) -> bytes:
    """The key of a role: partition, account and name, never the path (N11)."""
    return utf8("\0".join((partition, account, name)))


def read_principal(entry: PrincipalEntry, kind: PolicyKind, symbol: Symbol) -> Token:
    """The token of an entry. A form that is not known, or a wildcard in a name, is `U` (V32, V41)."""
    type_, value = entry.type, entry.value
    if type_ == "*":
        return (Form.STAR, NONE, NONE, NONE)
    if type_ == "AWS" and value == "*":
        return (Form.AWS_STAR, NONE, NONE, NONE)
    if "*" in value or "?" in value or "\n" in value or not value:
        return _U
    if type_ == "AWS":
        return _read_aws(value, symbol)
    if type_ == "Service" and value == value.lower():
        return (Form.SERVICE, symbol(utf8(value)), NONE, NONE)
    if type_ == "CanonicalUser":
        return (Form.CANONICAL, symbol(utf8(value)), NONE, NONE)
    provider = _provider_kind(value) if type_ == "Federated" else None
    if provider is not None:
        return (Form.PROVIDER, symbol(utf8(value)), KINDS[provider], NONE) if kind is PolicyKind.TRUST else _NEVER  # V35
    return _U


def _read_aws(value: str, symbol: Symbol) -> Token:
    if is_account(value):
        return (Form.ACCOUNT, symbol(utf8(value)), NONE, NONE)
    unique = _UNIQUE.fullmatch(value)
    if unique is not None:
        return (Form.UNIQUE, symbol(utf8(value)), int(unique[1] == "AIDA"), NONE)
    arn = split_arn(value)
    if arn is None or not arn.partition or arn.region:
        return _U
    kind, slash, name = arn.rest.partition("/")
    if arn.service == "iam" and kind == "user" and name:
        return (Form.USER, symbol(utf8(value)), symbol(utf8(arn.account)), symbol(utf8(arn.partition)))
    if not is_account(arn.account):
        return _U
    if arn.service == "iam":
        return _read_iam(arn.partition, arn.account, arn.rest, kind, name, symbol)
    if arn.service != "sts":
        return _U
    parts = name.split("/")
    if kind == "assumed-role" and len(parts) == 2 and all(parts):
        return (Form.SESSION, symbol(utf8(value)), symbol(role_symbol(arn.partition, arn.account, parts[0])), NONE)
    if kind == "federated-user" and name and len(parts) == 1:
        return (Form.FEDERATED_USER, symbol(utf8(value)), NONE, NONE)
    return _U


def _read_iam(partition: str, account: str, rest: str, kind: str, name: str, symbol: Symbol) -> Token:
    if rest == "root":
        return (Form.ACCOUNT, symbol(utf8(account)), symbol(utf8(partition)), NONE)
    last = name.rpartition("/")[2]
    if kind == "role" and last:
        return (Form.ROLE, symbol(role_symbol(partition, account, last)), NONE, NONE)
    return _NEVER if kind == "group" and name else _U  # groups cannot be principals (3.2)


def _provider_kind(value: str) -> PrincipalKind | None:
    """The kind of an identity provider; None for any other text."""
    if value in _BUILT_IN:
        return PrincipalKind.OIDC
    arn = split_arn(value)
    if arn is None or arn.service != "iam" or arn.region or not arn.partition or not is_account(arn.account):
        return None
    type_, _, name = arn.rest.partition("/")
    return PROVIDER_TYPES.get(type_) if name else None
