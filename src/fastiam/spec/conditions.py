"""One entry of a condition block (spec 4.1, 4.3): what an operator makes of absent, single and multivalued keys."""

from __future__ import annotations

from collections.abc import Callable

from fastiam.model.key_registry import fold
from fastiam.model.policy import ConditionEntry
from fastiam.model.request import ContextValue
from fastiam.spec.operators import OPERATORS, Operator, compare, variables_in
from fastiam.spec.statement_trace import View
from fastiam.spec.three_valued import F, T, Truth, U, all_of, any_of, negate, truth
from fastiam.spec.variables import unknown_names

ALL, ANY = "ForAllValues", "ForAnyValue"
_TAGS = ("aws:requesttag", "aws:resourcetag", "aws:principaltag")


def check_entry(entry: ConditionEntry, variables: bool, view: View) -> Truth:
    """One (operator, key) pair; the block is the AND of them (C1, C3)."""
    key = fold(entry.key)
    if entry.undetermined:
        return view.doubt("V17" if ":" not in key or key.rstrip("/") in _TAGS else "V15")
    if entry.operator == "Null":
        return _by_presence(entry, key, _null, view)
    if not entry.values:
        return _by_presence(entry, key, _without_values, view)
    op = OPERATORS[entry.operator]
    if view.unknown:
        unknown = _unknown_keys(entry, key, op, variables, view)
        if unknown:
            return view.open(unknown)
    value = view.get(key)
    return _absent(entry, op, view) if value is None else _present(entry, op, value, variables, view)


def _unknown_keys(entry: ConditionEntry, key: str, op: Operator, variables: bool, view: View) -> list[str]:
    """The unknown keys that an entry reads: its own and its variables (D72). Where the key is absent, no value matters."""
    if key not in view.unknown and view.get(key) is None:
        return []
    named = [name for text in entry.values for name in unknown_names(variables_in(op, text), view)] if variables else []
    return ([key] if key in view.unknown else []) + named


def _absent(entry: ConditionEntry, op: Operator, view: View) -> Truth:
    """Column `absent` of 4.3 (C10 to C12, C21)."""
    if entry.qualifier == ALL:
        return T
    if entry.qualifier == ANY:
        return view.doubt("C21") if entry.if_exists else F
    return truth(entry.if_exists or op.negated)


def _present(entry: ConditionEntry, op: Operator, value: ContextValue, variables: bool, view: View) -> Truth:
    """The columns of present keys in 4.3; `U` on spellings that contradict (C6) and without a set operator on many (C20)."""
    if value.conflict:
        return view.doubt("C6")
    if value.multi and not entry.qualifier:
        return view.doubt("C20")
    found = [compare(op, text, entry.values, variables, view) for text in value.values]
    if op.negated:
        found = [negate(each) for each in found]
    return any_of(found) if entry.qualifier == ANY else all_of(found)


def _by_presence(
    entry: ConditionEntry, key: str, rule: Callable[[ConditionEntry, ContextValue | None, View], Truth], view: View
) -> Truth:
    """An entry that asks only whether the key is there: on an unknown key it is open if that makes a difference (D72)."""
    if key not in view.unknown:
        return rule(entry, view.get(key), view)
    without, with_value = rule(entry, None, view), rule(entry, ContextValue(("present",)), view)
    return without if without is with_value else view.open([key])


def _null(entry: ConditionEntry, value: ContextValue | None, view: View) -> Truth:
    """`Null`: for it alone `""` is absent (C15, C16); with a set operator `U` where readings differ (V16)."""
    if not entry.values:
        return view.doubt("C14")
    is_null = value is None or not any(value.values)
    found = any_of([_null_value(text.lower(), entry.qualifier, is_null) for text in entry.values])
    return view.doubt("V16" if entry.qualifier else "V18") if found is U else found


def _null_value(text: str, qualifier: str, is_null: bool) -> Truth:
    if text not in ("true", "false"):
        return U
    asks_null = text == "true"
    if qualifier == ALL:
        return T if is_null or not asks_null else U
    if qualifier == ANY:
        return F if is_null or asks_null else U
    return truth(asks_null == is_null)


def _without_values(entry: ConditionEntry, value: ContextValue | None, view: View) -> Truth:
    """An empty list of policy values (C14), the same for positive and negated operators."""
    if value is not None and value.conflict:
        return view.doubt("C6")
    if entry.qualifier == ANY:
        return view.doubt("C21") if entry.if_exists and value is None else F
    if entry.qualifier == ALL or entry.if_exists:
        return truth(value is None)
    return view.doubt("C14")
