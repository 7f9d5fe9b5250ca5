"""Condition operators: their names and families (spec 4.2)."""

from __future__ import annotations

from typing import NamedTuple

QUALIFIERS = ("ForAllValues", "ForAnyValue")
IF_EXISTS = "IfExists"


class Operator(NamedTuple):
    """One spelling of an operator, parsed. `wildcards` and `variables`: whether its values can contain them."""

    base: str
    qualifier: str
    if_exists: bool
    family: str
    wildcards: bool
    variables: bool


_FAMILIES: dict[str, str] = {
    "string": "StringEquals StringNotEquals StringEqualsIgnoreCase StringNotEqualsIgnoreCase StringLike StringNotLike",
    "numeric": "NumericEquals NumericNotEquals NumericLessThan NumericLessThanEquals NumericGreaterThan NumericGreaterThanEquals",
    "date": "DateEquals DateNotEquals DateLessThan DateLessThanEquals DateGreaterThan DateGreaterThanEquals",
    "bool": "Bool",
    "binary": "BinaryEquals",
    "ip": "IpAddress NotIpAddress",
    "arn": "ArnEquals ArnNotEquals ArnLike ArnNotLike",
    "null": "Null",
}
FAMILY: dict[str, str] = {base: family for family, bases in _FAMILIES.items() for base in bases.split()}
BASES = tuple(FAMILY)


def _spellings() -> dict[str, Operator]:
    found = {}
    for base, family in FAMILY.items():
        wildcards, variables = family == "arn" or base in ("StringLike", "StringNotLike"), family in ("string", "arn")
        for qualifier in ("", *QUALIFIERS):
            for if_exists in (False, True) if base != "Null" else (False,):  # V15: no `NullIfExists`
                name = (f"{qualifier}:" if qualifier else "") + base + (IF_EXISTS if if_exists else "")
                found[name] = Operator(base, qualifier, if_exists, family, wildcards, variables)
    return found


OPERATORS: dict[str, Operator] = _spellings()
BY_FOLDED_NAME: dict[str, str] = {name.lower(): name for name in OPERATORS}
