"""One entry of a condition block (spec 4.1, 4.3): operators on absent, single-valued and multivalued keys."""

from __future__ import annotations

from fastiam.model.key_registry import fold
from fastiam.model.policy import ConditionEntry
from fastiam.model.request import ContextValue
from fastiam.spec.operators import OPERATORS, Operator, compare, variables_in
from fastiam.spec.statement_keys import StatementKeys
from fastiam.spec.three_valued import F, T, Truth, all_of, any_of, negate, truth, undetermined
from fastiam.spec.variables import unknown_names

ALL, ANY = "ForAllValues", "ForAnyValue"
_TAGS = ("aws:requesttag", "aws:resourcetag", "aws:principaltag")


def check_entry(entry: ConditionEntry, variables: bool, keys: StatementKeys) -> Truth:
    """One (operator, key) pair; the block is the AND of its entries (C1, C3)."""
    key = fold(entry.key)
    if entry.undetermined:
        return undetermined("V17" if ":" not in key or key.rstrip("/") in _TAGS else "V15")
    if residual_keys(entry, variables, keys):
        return keys.residual
    value = keys.context.get(key)
    if _tests_presence(entry):
        return _check_presence(entry, value)
    op = OPERATORS[entry.operator]
    return _check_absent(entry, op) if value is None else _check_present(entry, op, value, variables, keys)


def residual_keys(entry: ConditionEntry, variables: bool, keys: StatementKeys) -> list[str]:
    """The unknown keys of a residual test: the key of the entry and its variables (D72); none if the result is known."""
    if not keys.unknown or entry.undetermined:
        return []
    key = fold(entry.key)
    is_unknown = key in keys.unknown
    if _tests_presence(entry):
        if not is_unknown or _check_presence(entry, None) == _check_presence(entry, ContextValue(("present",))):
            return []
        return [key]
    if not is_unknown and key not in keys.context:
        return []  # the key is absent: no value of the entry is compared
    op = OPERATORS[entry.operator]
    names = [name for text in entry.values for name in unknown_names(variables_in(op, text), keys.unknown)] if variables else []
    return ([key] if is_unknown else []) + names


def _check_absent(entry: ConditionEntry, op: Operator) -> Truth:
    """Column `absent` of 4.3 (C10 to C12, C21)."""
    if entry.qualifier == ALL:
        return T
    if entry.qualifier == ANY:
        return undetermined("C21") if entry.if_exists else F
    return truth(entry.if_exists or op.negated)


def _check_present(entry: ConditionEntry, op: Operator, value: ContextValue, variables: bool, keys: StatementKeys) -> Truth:
    """The columns of present keys in 4.3 (C4, C5, C13); `U` for contradicting spellings (C6), and without set operator (C20)."""
    if value.conflict:
        return undetermined("C6")
    if value.multi and not entry.qualifier:
        return undetermined("C20")
    found = (compare(op, text, entry.values, variables, keys.context) for text in value.values)
    results = map(negate, found) if op.negated else found
    return any_of(results) if entry.qualifier == ANY else all_of(results)


def _tests_presence(entry: ConditionEntry) -> bool:
    """Whether the result depends only on the presence of the key: `Null`, and an empty list of policy values (C14)."""
    return entry.operator == "Null" or not entry.values


def _check_presence(entry: ConditionEntry, value: ContextValue | None) -> Truth:
    return _check_null(entry, value) if entry.operator == "Null" else _check_without_values(entry, value)


def _check_null(entry: ConditionEntry, value: ContextValue | None) -> Truth:
    """`Null`: `""` is absent for this operator only (C15, C16); with a set operator `U` where readings differ (V16)."""
    if not entry.values:
        return undetermined("C14")
    is_null = value is None or not any(value.values)
    return any_of(_check_null_value(text.lower(), entry.qualifier, is_null) for text in entry.values)


def _check_null_value(text: str, qualifier: str, is_null: bool) -> Truth:
    if text not in ("true", "false"):
        return undetermined("V16" if qualifier else "V18")
    expects_null = text == "true"
    if qualifier == ALL:
        return T if is_null or not expects_null else undetermined("V16")
    if qualifier == ANY:
        return F if is_null or expects_null else undetermined("V16")
    return truth(expects_null == is_null)


def _check_without_values(entry: ConditionEntry, value: ContextValue | None) -> Truth:
    """An empty list of policy values (C14), the same for positive and negated operators."""
    if value is not None and value.conflict:
        return undetermined("C6")
    if entry.qualifier == ANY:
        return undetermined("C21") if entry.if_exists and value is None else F
    if entry.qualifier == ALL or entry.if_exists:
        return truth(value is None)
    return undetermined("C14")
