"""Condition operators (spec 4.2): how one context value compares with one policy value."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastiam.model.arn import Arn, split_arn
from fastiam.model.key_registry import fold
from fastiam.model.request import ContextValue
from fastiam.spec.three_valued import F, Truth, any_of, truth, undetermined
from fastiam.spec.values import Network, read_address, read_binary, read_bool, read_date, read_network, read_number
from fastiam.spec.variables import Variable, read_tokens, substitute, variables_of
from fastiam.spec.wildcards import Glob, Wildcard, glob_matches

Parser = Callable[[Any], Any]  # returns None for a text that it cannot read
ArnPattern = tuple[Glob, ...]  # the globs of fields 2 to 6


@dataclass(frozen=True, slots=True)
class Operator:
    """A base operator.

    Attributes
    ----------
    negated
        it is true where its positive counterpart is false (C2).
    read_context
        text of a context value to a value (C22).
    read_policy
        text of a policy value to a value (V18); with `variables`, its tokens after substitution.
    holds
        the positive comparison, context value first.
    variables, wildcards
        columns V and W of the table.
    """

    negated: bool
    read_context: Parser
    read_policy: Parser
    holds: Callable[[Any, Any], bool]
    variables: bool = False
    wildcards: bool = False


def compare(op: Operator, actual: str, expected: tuple[str, ...], variables: bool, context: Mapping[str, ContextValue]) -> Truth:
    """`P` of 4.3: the OR over the policy values, without the negation of the operator (C2)."""
    value = op.read_context(actual)
    if value is None:
        return undetermined("C22")
    return any_of(_compare_one(op, value, text, variables, context) for text in expected)


def _compare_one(op: Operator, value: object, text: str, variables: bool, context: Mapping[str, ContextValue]) -> Truth:
    """One policy value: `F` if one of its variables is unresolved (VR9, C23), `U` if it cannot be read (V18, V30)."""
    source: str | Glob | None = text
    if op.variables:
        source = substitute(read_tokens(text, variables, op.wildcards), context)
        if source is None:
            return F
    expected = op.read_policy(source)
    return undetermined("V18") if expected is None else truth(op.holds(value, expected))


def variables_in(op: Operator, text: str) -> list[Variable]:
    """The variables of a policy value, if the operator allows them (VR1)."""
    return variables_of(read_tokens(text, True, op.wildcards)) if op.variables else []


def _text_of(tokens: Glob) -> str:
    """A value without wildcards is literal text (V21)."""
    return "".join(token if isinstance(token, str) else token.value for token in tokens)


def _equals_fold(actual: str, expected: str) -> bool:
    """Simple case folding, character by character (4.2, O14)."""
    return fold(actual) == fold(expected)


def _like(actual: str, pattern: Glob) -> bool:
    return glob_matches(pattern, actual)


def read_arn_pattern(tokens: Glob) -> ArnPattern | None:
    """A value of an ARN operator cut at its first five colons, or None with fewer or without `arn` (C60, C62, C64)."""
    fields: list[list[str | Wildcard]] = [[]]
    for token in tokens:
        if isinstance(token, Wildcard):
            fields[-1].append(token)
            continue
        first, *others = token.split(":", 6 - len(fields))
        fields[-1].append(first)
        fields += [[other] for other in others]
    if len(fields) < 6 or Wildcard.ANY in fields[0] or Wildcard.ONE in fields[0] or _text_of(tuple(fields[0])) != "arn":
        return None
    return tuple(map(tuple, fields[1:]))


def _arn_like(actual: Arn, pattern: ArnPattern) -> bool:
    """Field by field; no wildcard crosses a colon before field 6 (C60, C61, C63)."""
    return all(map(glob_matches, pattern, actual))


def _in_range(actual: Network, expected: Network) -> bool:
    return expected.contains(actual)


def _family(names: str, positive: Operator) -> dict[str, Operator]:
    """An operator under its name, and its negated form under a second one."""
    name, *negated = names.split()
    opposite = Operator(True, positive.read_context, positive.read_policy, positive.holds, positive.variables, positive.wildcards)
    return {name: positive, **dict.fromkeys(negated, opposite)}


def _ordered(family: str, read: Parser) -> dict[str, Operator]:
    """The operators of numbers and of dates (C10, C30, C43)."""
    orders = (("LessThan", operator.lt), ("LessThanEquals", operator.le), ("GreaterThan", operator.gt))
    return {
        **_family(f"{family}Equals {family}NotEquals", Operator(False, read, read, operator.eq)),
        **{family + name: Operator(False, read, read, order) for name, order in orders},
        f"{family}GreaterThanEquals": Operator(False, read, read, operator.ge),
    }


_ARN = Operator(False, split_arn, read_arn_pattern, _arn_like, variables=True, wildcards=True)

OPERATORS: dict[str, Operator] = {
    **_family("StringEquals StringNotEquals", Operator(False, str, _text_of, operator.eq, variables=True)),
    **_family("StringEqualsIgnoreCase StringNotEqualsIgnoreCase", Operator(False, str, _text_of, _equals_fold, variables=True)),
    **_family("StringLike StringNotLike", Operator(False, str, tuple, _like, variables=True, wildcards=True)),
    **_ordered("Numeric", read_number),
    **_ordered("Date", read_date),
    "Bool": Operator(False, read_bool, read_bool, operator.eq),
    "BinaryEquals": Operator(False, read_binary, read_binary, operator.eq),
    **_family("IpAddress NotIpAddress", Operator(False, read_address, read_network, _in_range)),
    **_family("ArnEquals ArnNotEquals", _ARN),
    **_family("ArnLike ArnNotLike", _ARN),
}
