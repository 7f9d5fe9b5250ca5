"""Condition entries as formulas (spec 4.1 to 4.3). What no column and no ARN decides, the specification evaluator decides.

A test has three values, so it is a pair of formulas: where it is true, and where it is true or undetermined (F1, F3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product

from fastiam.analysis.filter import patterns
from fastiam.analysis.filter.formula import (
    Column,
    Compares,
    Formula,
    Readable,
    Same,
    Text,
    Unknown,
    all_of,
    any_of,
    equals,
    matches,
    negation,
    positive_operator,
    spellings_of_bool,
)
from fastiam.analysis.filter.patterns import Part, of_glob
from fastiam.analysis.filter.row_keys import VALID_ARN, Alternatives, Field, RowKeys, Unexpressed, Value, field_pattern
from fastiam.model.key_registry import fold
from fastiam.model.policy import ConditionEntry
from fastiam.model.request import ContextValue
from fastiam.policy.conditions.operators import BASE_OPERATORS, TEXT_COMPARISONS, Comparison
from fastiam.spec.conditions import ANY, check_entry
from fastiam.spec.operators import OPERATORS, Operator, compare, read_arn_pattern, variables_in
from fastiam.spec.statement_keys import StatementKeys
from fastiam.spec.three_valued import F, T, Truth
from fastiam.spec.variables import Tokens, Variable, read_tokens, resolve
from fastiam.spec.wildcards import Wildcard

_MAX_ALTERNATIVES = 256  # of one entry: combinations of the values of its keys


@dataclass(frozen=True, slots=True)
class Pair:
    """Where a test is true, and where it is true or undetermined."""

    certain: Formula
    possible: Formula

    def negated(self) -> Pair:
        """The negation of the test (F2)."""
        return Pair(negation(self.possible), negation(self.certain))


TRUE, FALSE, UNDETERMINED = Pair(True, True), Pair(False, False), Pair(False, True)


def pair_of(truth: Truth) -> Pair:
    """A test that is the same in all rows."""
    return TRUE if truth is T else FALSE if truth is F else UNDETERMINED


def unknown_pair(key: str, operator: str) -> Pair:
    """A test that is not expressed."""
    return Pair(Unknown(key, operator), Unknown(key, operator))


def all_pairs(pairs: Iterable[Pair]) -> Pair:
    """AND of tests (F2)."""
    known = list(pairs)
    return Pair(all_of(pair.certain for pair in known), all_of(pair.possible for pair in known))


def any_pair(pairs: Iterable[Pair]) -> Pair:
    """OR of tests (F2)."""
    known = list(pairs)
    return Pair(any_of(pair.certain for pair in known), any_of(pair.possible for pair in known))


def where(cases: Iterable[tuple[Formula, Pair]]) -> Pair:
    """The test of the one case whose condition is true."""
    known = list(cases)
    return Pair(
        any_of(all_of((condition, pair.certain)) for condition, pair in known),
        any_of(all_of((condition, pair.possible)) for condition, pair in known),
    )


def combinations(names: list[str], keys: RowKeys) -> list[tuple[Formula, dict[str, Value]]] | None:
    """The values that several keys can have together, each with its condition; None if there are too many."""
    found: list[Alternatives] = [keys.values_of(name) for name in names]
    count = 1
    for alternatives in found:
        count *= len(alternatives)
    if count > _MAX_ALTERNATIVES:
        return None
    return [
        (all_of(condition for condition, _ in chosen), dict(zip(names, (value for _, value in chosen), strict=True)))
        for chosen in product(*found)
    ]


def names_of_entry(entry: ConditionEntry, variables: bool) -> list[str]:
    """The keys that an entry reads: its own key first, then those of its variables."""
    op = OPERATORS.get(entry.operator)
    read = [variable.name for text in entry.values for variable in variables_in(op, text)] if op and variables else []
    return list(dict.fromkeys((fold(entry.key), *(name for name in read if name is not None))))


def check_entry_of_rows(entry: ConditionEntry, variables: bool, keys: RowKeys) -> Pair:
    """One (operator, key) pair of a condition block."""
    if entry.undetermined:
        return pair_of(check_entry(entry, variables, StatementKeys({}, (), F)))
    names = names_of_entry(entry, variables)
    found = combinations(names, keys)
    if found is None:
        return _unknown(entry)
    return where((condition, _check_values(entry, variables, values)) for condition, values in found if condition is not False)


def _unknown(entry: ConditionEntry) -> Pair:
    return unknown_pair(entry.key, entry.operator_text)


def _check_values(entry: ConditionEntry, variables: bool, values: Mapping[str, Value]) -> Pair:
    """An entry for known kinds of values of the keys that it reads."""
    known = {name: value for name, value in values.items() if isinstance(value, ContextValue)}
    value = values[fold(entry.key)]
    if all(value is None or isinstance(value, ContextValue) for value in values.values()) or value is None:
        return pair_of(check_entry(entry, variables, StatementKeys(known, (), F)))
    if entry.operator == "Null" or not entry.values:
        return _check_presence(entry, variables, value)
    if isinstance(value, Unexpressed) or any(isinstance(other, Unexpressed) for other in values.values()):
        return _unknown(entry)
    op = OPERATORS[entry.operator]
    if isinstance(value, ContextValue):
        if value.conflict or value.multi and not entry.qualifier:
            return UNDETERMINED
        tests = [_check_known(entry, op, text, variables, values) for text in value.values]
        found = [test.negated() for test in tests] if op.negated else tests
        return any_pair(found) if entry.qualifier == ANY else all_pairs(found)
    test = any_pair(_compare(entry, op, value, text, variables, values) for text in entry.values)
    readable = _readable(entry, value)
    test = Pair(all_of((readable, test.certain)), any_of((negation(readable), test.possible)))
    return test.negated() if op.negated else test


def _check_presence(entry: ConditionEntry, variables: bool, value: Value) -> Pair:
    """`Null`, and an entry without policy values: `""` is absent for `Null` (C14, C16)."""
    key = fold(entry.key)
    empty, present = (
        pair_of(check_entry(entry, variables, StatementKeys({key: ContextValue((text,))}, (), F))) for text in ("", "present")
    )
    if empty == present:
        return present
    if isinstance(value, tuple):
        is_empty = equals(value, "")
        return where(((is_empty, empty), (negation(is_empty), present)))
    return present if isinstance(value, Field) else _unknown(entry)


# -- policy values with variables ------------------------------------------------------------------------------------------

Parts = tuple["str | Wildcard | Column", ...]  # a policy value with the values of its variables


def substituted(tokens: Tokens, values: Mapping[str, Value]) -> list[tuple[Formula, Parts | None]]:
    """A policy value with its variables replaced, by condition; None where one is unresolved (VR6, VR7).

    The list is empty if a variable is a field of the ARN, or is not expressed.
    """
    choices: list[list[tuple[Formula, Parts | None]]] = []
    for token in tokens:
        if not isinstance(token, Variable):
            choices.append([(True, (token,))])
            continue
        value = None if token.name is None else values.get(token.name)
        if isinstance(value, (Field, Unexpressed)):
            return []
        if isinstance(value, tuple):
            default = resolve(token, {})
            is_empty = equals(value, "")
            without: Parts | None = None if default is None else (default,)
            choices.append([(negation(is_empty), value), (is_empty, without)])
            continue
        context = {token.name: value} if token.name is not None and isinstance(value, ContextValue) else {}
        text = resolve(token, context)
        choices.append([(True, None if text is None else (text,))])
    found: list[tuple[Formula, Parts | None]] = []
    for chosen in product(*choices):
        parts: list[str | Wildcard | Column] | None = []
        for _, part in chosen:
            parts = None if part is None or parts is None else [*parts, *part]
        found.append((all_of(condition for condition, _ in chosen), None if parts is None else tuple(parts)))
    return found


# -- comparisons ------------------------------------------------------------------------------------------------------------


def _readable(entry: ConditionEntry, value: Text | Field) -> Formula:
    """The value can be read as one of the operator (C22)."""
    comparison = BASE_OPERATORS[entry.operator].comparison
    if comparison in TEXT_COMPARISONS and comparison is not Comparison.ARN:
        return True
    if isinstance(value, Field):
        return Unknown(entry.key, entry.operator_text)
    if comparison is Comparison.ARN:
        return matches(value, VALID_ARN)
    if comparison is Comparison.BOOL:
        return equals(value, *spellings_of_bool(True), *spellings_of_bool(False))
    return Readable(value, positive_operator(entry.operator), entry.key)


def _compare(
    entry: ConditionEntry, op: Operator, value: Text | Field, expected: str, variables: bool, values: Mapping[str, Value]
) -> Pair:
    """A value of the row with one policy value, without the negation of the operator (C2)."""
    unknown = _unknown(entry)
    if not op.variables:
        if op.read_policy(expected) is None:
            return UNDETERMINED  # V18
        if isinstance(value, Field):
            return unknown
        leaf: Formula
        if BASE_OPERATORS[entry.operator].comparison is Comparison.BOOL:
            leaf = equals(value, *spellings_of_bool(op.read_policy(expected)))
        else:
            leaf = Compares(value, positive_operator(entry.operator), (expected,), entry.key)
        return Pair(leaf, leaf)
    cases = substituted(read_tokens(expected, variables, op.wildcards), values)
    if not cases:
        return unknown
    found = []
    for condition, parts in cases:
        if parts is None:
            found.append((condition, FALSE))  # VR9
            continue
        pair = _compare_text(value, parts, entry)
        found.append((condition, unknown if pair is None else pair))
    return where(found)


def _compare_text(value: Text | Field, parts: Parts, entry: ConditionEntry) -> Pair | None:
    """A text of the row with a policy value in which variables are replaced; None if it cannot be expressed."""
    comparison = BASE_OPERATORS[entry.operator].comparison
    if comparison not in TEXT_COMPARISONS:
        return None
    columns = [part for part in parts if isinstance(part, Column)]
    glob = tuple(part for part in parts if not isinstance(part, Column))
    if isinstance(value, Field):
        if columns or comparison in (Comparison.ARN, Comparison.STRING_FOLD):
            return None
        if any(isinstance(part, str) and ":" in part for part in glob):
            return FALSE  # no field has a colon
        leaf = matches(value.arn, field_pattern(value.number, of_glob(glob, in_field=True)))
        return Pair(leaf, leaf)
    if not columns:
        return _compare_literal(comparison, value, glob, entry)
    if comparison in (Comparison.ARN, Comparison.STRING_FOLD):
        return None
    *before, last = parts
    starts = last is Wildcard.ANY
    other = tuple(before) if starts else parts
    if any(isinstance(part, Wildcard) for part in other):
        return None
    leaf = Same(value, tuple(part for part in other if not isinstance(part, Wildcard)), starts)
    return Pair(leaf, leaf)


def _compare_literal(comparison: Comparison, value: Text, glob: tuple[str | Wildcard, ...], entry: ConditionEntry) -> Pair | None:
    leaf: Formula
    if comparison is Comparison.ARN:
        fields = read_arn_pattern(glob)
        if fields is None:
            return UNDETERMINED  # V18, V30
        parts: list[Part] = ["arn:"]
        for one in fields[:4]:
            parts += [*of_glob(one, in_field=True), ":"]
        leaf = matches(value, (*parts, *of_glob(fields[4])))
        return Pair(leaf, leaf)
    text = "".join(part for part in glob if isinstance(part, str))
    if comparison is Comparison.STRING:
        leaf = equals(value, text)
    elif comparison is Comparison.STRING_FOLD:
        folded = patterns.ignoring_case(text)
        leaf = (
            Compares(value, positive_operator(entry.operator), (text,), entry.key) if folded is None else matches(value, folded)
        )
    else:
        leaf = True if glob == (Wildcard.ANY,) else matches(value, of_glob(glob))
    return Pair(leaf, leaf)


def _check_known(entry: ConditionEntry, op: Operator, text: str, variables: bool, values: Mapping[str, Value]) -> Pair:
    """A known value with policy values of which some have a variable that a column gives."""
    found: list[Pair] = []
    known = {name: value for name, value in values.items() if isinstance(value, ContextValue)}
    for expected in entry.values:
        names = [variable.name for variable in variables_in(op, expected)] if variables else []
        if not any(isinstance(values.get(name or ""), (tuple, Field)) for name in names):
            found.append(pair_of(compare(op, text, (expected,), variables, known)))
            continue
        if op.read_context(text) is None:
            return UNDETERMINED  # C22
        cases = substituted(read_tokens(expected, variables, op.wildcards), values)
        pairs = [(condition, FALSE if parts is None else _equal_known(entry, text, parts)) for condition, parts in cases]
        found.append(where(pairs) if cases else _unknown(entry))
    return any_pair(found)


def _equal_known(entry: ConditionEntry, text: str, parts: Parts) -> Pair:
    if BASE_OPERATORS[entry.operator].comparison not in (Comparison.STRING, Comparison.STRING_LIKE):
        return _unknown(entry)
    if any(isinstance(part, Wildcard) for part in parts):
        return _unknown(entry)
    leaf = equals(tuple(part for part in parts if not isinstance(part, Wildcard)), text)
    return Pair(leaf, leaf)
