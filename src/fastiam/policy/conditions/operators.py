"""Condition operators: the table of their properties, and their spellings (spec 4.2).

The parser, the engine, the analyses and the generator of the tests read this table. The specification evaluator has functions
of its own.
"""

from __future__ import annotations

from enum import IntEnum
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


class Comparison(IntEnum):
    """How a context value is compared with a policy value. `kernel/eval/operators.pxd` has the same numbers."""

    STRING = 0
    STRING_FOLD = 1
    STRING_LIKE = 2
    NUMERIC = 3
    DATE = 4
    BOOL = 5
    BINARY = 6
    IP = 7
    ARN = 8
    NULL = 9


TEXT_COMPARISONS = frozenset((Comparison.STRING, Comparison.STRING_FOLD, Comparison.STRING_LIKE, Comparison.ARN))


class Relation(IntEnum):
    """Of numbers and dates: context value to policy value."""

    EQ = 0
    LT = 1
    LE = 2
    GT = 3
    GE = 4


class BaseOperator(NamedTuple):
    """The properties of an operator. Code that treats operators differently reads them here; a new operator has the defaults.

    Attributes
    ----------
    family
        how policy values are read and checked.
    comparison
        how values are compared. In `TEXT_COMPARISONS`: a text with a pattern, which filters and proofs can express.
    relation
        of numbers and dates.
    negated
        it is true where its positive counterpart is false (C2).
    wildcards, variables
        policy values can contain them.
    restricts
        a condition with fixed values is true for these values only, so that it limits whom a policy names (D33, IP51).
    """

    family: str
    comparison: Comparison
    relation: Relation = Relation.EQ
    negated: bool = False
    wildcards: bool = False
    variables: bool = False
    restricts: bool = False


def _with_negation(name: str, negated: str, operator: BaseOperator) -> dict[str, BaseOperator]:
    return {name: operator, negated: operator._replace(negated=True, restricts=False)}


def _ordered(start: str, operator: BaseOperator) -> dict[str, BaseOperator]:
    return {
        **_with_negation(f"{start}Equals", f"{start}NotEquals", operator),
        f"{start}LessThan": operator._replace(relation=Relation.LT),
        f"{start}LessThanEquals": operator._replace(relation=Relation.LE),
        f"{start}GreaterThan": operator._replace(relation=Relation.GT),
        f"{start}GreaterThanEquals": operator._replace(relation=Relation.GE),
    }


_STRING = BaseOperator("string", Comparison.STRING, variables=True, restricts=True)
_ARN = BaseOperator("arn", Comparison.ARN, wildcards=True, variables=True, restricts=True)

BASE_OPERATORS: dict[str, BaseOperator] = {
    **_with_negation("StringEquals", "StringNotEquals", _STRING),
    **_with_negation("StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", _STRING._replace(comparison=Comparison.STRING_FOLD)),
    **_with_negation("StringLike", "StringNotLike", _STRING._replace(comparison=Comparison.STRING_LIKE, wildcards=True)),
    **_ordered("Numeric", BaseOperator("numeric", Comparison.NUMERIC)),
    **_ordered("Date", BaseOperator("date", Comparison.DATE)),
    "Bool": BaseOperator("bool", Comparison.BOOL),
    "BinaryEquals": BaseOperator("binary", Comparison.BINARY),
    **_with_negation("IpAddress", "NotIpAddress", BaseOperator("ip", Comparison.IP, restricts=True)),
    **dict.fromkeys(("ArnEquals", "ArnLike"), _ARN),
    **dict.fromkeys(("ArnNotEquals", "ArnNotLike"), _ARN._replace(negated=True, restricts=False)),
    "Null": BaseOperator("null", Comparison.NULL),
}


def _spellings() -> dict[str, Operator]:
    found = {}
    for base, of in BASE_OPERATORS.items():
        for qualifier in ("", *QUALIFIERS):
            for if_exists in (False, True) if base != "Null" else (False,):  # V15: no `NullIfExists`
                name = (f"{qualifier}:" if qualifier else "") + base + (IF_EXISTS if if_exists else "")
                found[name] = Operator(base, qualifier, if_exists, of.family, of.wildcards, of.variables)
    return found


OPERATORS: dict[str, Operator] = _spellings()
BY_FOLDED_NAME: dict[str, str] = {name.lower(): name for name in OPERATORS}
