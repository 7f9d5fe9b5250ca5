"""Condition entries of the specification evaluator: the truth table of 4.3 and the examples of 4.7 and 8.6."""

import pytest

from fastiam.model.policy import ConditionEntry
from fastiam.model.request import ContextValue
from fastiam.spec import conditions
from fastiam.spec.operators import OPERATORS
from fastiam.spec.statement_keys import StatementKeys
from fastiam.spec.three_valued import F, T, Truth, U

ABSENT = object()
DEP = "arn:aws:iam::111111111111:role/ops/Dep"


def entry(name: str, values: object, key: str = "k:x", undetermined: bool = False) -> ConditionEntry:
    """A condition entry from its name as written, such as `ForAnyValue:StringEqualsIfExists`."""
    qualifier, colon, operator = name.rpartition(":")
    base = operator.removesuffix("IfExists")
    texts = tuple(values) if isinstance(values, list) else (values,)
    return ConditionEntry(base, qualifier if colon else "", base != operator, key, texts, undetermined)


def result(condition: ConditionEntry, value: object = ABSENT, variables: bool = True, **others: str) -> Truth:
    """The result of an entry; a list is a multivalued key."""
    context = {name.replace("_", ":"): ContextValue((text,)) for name, text in others.items()}
    if value is not ABSENT:
        texts = tuple(value) if isinstance(value, list) else (value,)
        context["k:x"] = ContextValue(texts, multi=isinstance(value, list))
    return conditions.check_entry(condition, variables, StatementKeys(context, frozenset(), T))


A, AB, ABC, B, C = ["a"], ["a", "b"], ["a", "b", "c"], ["b"], ["c"]
TABLE = [  # form, absent, "a", "c", ["a"], ["a","c"], ["c"]; the policy says ["a", "b"]
    ("StringEquals", F, T, F, U, U, U),
    ("StringNotEquals", T, F, T, U, U, U),
    ("StringEqualsIfExists", T, T, F, U, U, U),
    ("StringNotEqualsIfExists", T, F, T, U, U, U),
    ("ForAllValues:StringEquals", T, T, F, T, F, F),
    ("ForAllValues:StringNotEquals", T, F, T, F, F, T),
    ("ForAnyValue:StringEquals", F, T, F, T, T, F),
    ("ForAnyValue:StringNotEquals", F, F, T, F, T, T),
    ("ForAllValues:StringEqualsIfExists", T, T, F, T, F, F),
    ("ForAnyValue:StringEqualsIfExists", U, T, F, T, T, F),
    ("ForAnyValue:StringNotEqualsIfExists", U, F, T, F, T, T),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])
def test_condition_truth_table(row: tuple) -> None:  # 4.3, C10 to C13, C20, C21
    name, *expected = row
    columns = (ABSENT, "a", "c", ["a"], ["a", "c"], ["c"])
    assert [result(entry(name, AB), value) for value in columns] == expected


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_absent_key_is_false_and_true_for_negated_operators(name: str) -> None:  # C10
    assert result(entry(name, "1")) is (T if "Not" in name else F)
    assert result(entry(name + "IfExists", "1")) is T  # C11


VALUES = [
    ("StringNotEquals", AB, "c", T),
    ("StringNotEquals", AB, "b", F),
    ("StringLike", "", "", T),
    ("StringLike", "a*c", "abc/dc", T),  # E154
    ("StringLike", "a*c", "Abc", F),
    ("StringEquals", "a*", "ab", F),  # E155
    ("StringEquals", "a*", "a*", T),
    ("StringEqualsIgnoreCase", "AbC", "aBc", T),  # E156
    ("StringEqualsIgnoreCase", "STRASSE", "stra\u00dfe", F),  # O14: one character stays one
    ("StringEqualsIgnoreCase", "\u00c9", "\u00e9", T),
    ("NumericLessThanEquals", "10", "10.0", T),  # E157
    ("NumericLessThanEquals", "10", "11", F),
    ("NumericLessThan", "10", "9.99", T),
    ("NumericGreaterThan", "10", "10", F),
    ("NumericGreaterThanEquals", "10", "10", T),
    ("NumericEquals", ["ten", "5"], "5", T),  # E159
    ("NumericEquals", ["ten", "5"], "6", U),
    ("NumericEquals", "5", "5abc", U),  # E160
    ("NumericNotEquals", "5", "5abc", U),
    ("NumericNotEquals", "ten", "5", U),
    ("NumericNotEquals", ["ten", "5"], "5", F),
    ("DateGreaterThan", "2030-01-01T00:00:00Z", "2030-01-01T00:00:01Z", T),  # E162
    ("DateGreaterThan", "2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z", F),
    ("DateEquals", "2024-05-06", "1714953600", T),  # E163
    ("DateNotEquals", "2024-05-06", "1714953601", T),
    ("DateLessThan", "2024", "1999-01-01", U),  # E164
    ("DateLessThan", "2024-05-06T10:00:00", "1999-01-01", U),  # E165
    ("DateEquals", "+2024", "1970-01-01T00:33:44Z", T),  # E352
    ("DateLessThan", "9999-12-31", "2300-01-01", T),
    ("DateLessThanEquals", "2024-05-06T00:00:00.000000001Z", "2024-05-06T00:00:00.000000002Z", F),
    ("Bool", "TRUE", "true", T),  # E167
    ("Bool", ["true", "false"], "true", T),  # E168
    ("Bool", "true", "1", U),
    ("BinaryEquals", "QUJD", "QUJD", T),  # E169
    ("BinaryEquals", "QUJ", "QUJD", U),
    ("IpAddress", "10.0.0.0/33", "10.0.0.1", U),  # E174
    ("IpAddress", "203.0.113.0/24", "2001:db8::1", F),
    ("NotIpAddress", "203.0.113.0/24", "2001:db8::1", T),  # E171
    ("NotIpAddress", "203.0.113.0/24", "10.0.0.1/32", U),
    ("ArnEquals", "arn:aws:sns:*:A:*", "arn:aws:sns:us-east-1:A:t", T),  # E176
    ("ArnLike", "arn:aws:svc:*:A:fin/*", "arn:aws:svc:us-east-1:X:store/a:A:fin/d", F),  # E177
    ("StringLike", "arn:aws:svc:*:A:fin/*", "arn:aws:svc:us-east-1:X:store/a:A:fin/d", T),
    ("ArnLike", "arn:aws:logs:*:A:log-group:*", "arn:aws:logs:r:A:log-group:g:log-stream:s", T),  # E178
    ("ArnLike", "*", DEP, U),  # E179
    ("ArnLike", "arn:aws:iam::1", DEP, U),
    ("ArnLike", "a*n:aws:iam::*:*", DEP, U),
    ("ArnNotLike", "arn:aws:iam::*:role/ops", DEP, T),
    ("ArnLike", "arn:aws:iam::*:role/*", "role", U),
    ("StringEquals", "1.0", "1", F),  # G12, C24
]


@pytest.mark.parametrize(("name", "values", "value", "expected"), VALUES)
def test_values_compare_by_operator_family(name: str, values: object, value: str, expected: Truth) -> None:  # 4.2, 4.7, C22
    assert result(entry(name, values), value) == expected


NULL = [  # form, values, absent, "", "a", ["", "a"], ["", ""]
    ("Null", "true", T, T, F, F, T),
    ("Null", "false", F, F, T, T, F),
    ("Null", "TRUE", T, T, F, F, T),
    ("Null", ["true", "false"], T, T, T, T, T),
    ("Null", "maybe", U, U, U, U, U),
    ("Null", ["maybe", "true"], T, T, U, U, T),
    ("ForAllValues:Null", "false", T, T, T, T, T),
    ("ForAllValues:Null", "true", T, T, U, U, T),
    ("ForAnyValue:Null", "true", F, F, F, F, F),
    ("ForAnyValue:Null", "false", F, F, U, U, F),
    ("Null", [], U, U, U, U, U),
]


@pytest.mark.parametrize("row", NULL, ids=str)
def test_null_tests_the_presence_of_a_key(row: tuple) -> None:  # C15, C16, V16, C14
    name, values, *expected = row
    columns = (ABSENT, "", "a", ["", "a"], ["", ""])
    assert [result(entry(name, values), value) for value in columns] == expected


EMPTY = [  # form, absent, present
    ("StringEquals", U, U),
    ("StringNotEquals", U, U),
    ("StringEqualsIfExists", T, F),
    ("StringNotEqualsIfExists", T, F),
    ("ForAllValues:StringEquals", T, F),
    ("ForAllValues:StringNotEquals", T, F),
    ("ForAnyValue:StringEquals", F, F),
    ("ForAnyValue:StringEqualsIfExists", U, F),
]


@pytest.mark.parametrize(("name", "absent", "present"), EMPTY)
def test_empty_policy_value_list(name: str, absent: Truth, present: Truth) -> None:  # C14
    assert [result(entry(name, [])), result(entry(name, []), "a")] == [absent, present]


def test_contradicting_spellings_are_undetermined_except_null() -> None:  # C6, E193
    value = ContextValue(("a", "b"), multi=True, conflict=True)
    for name in (*OPERATORS, *("ForAnyValue:" + name for name in OPERATORS), *("ForAllValues:" + name for name in OPERATORS)):
        keys = StatementKeys({"k:x": value}, frozenset(), T)
        assert conditions.check_entry(entry(name, "a"), True, keys) == U, name
    assert conditions.check_entry(entry("Null", "false"), True, StatementKeys({"k:x": value}, frozenset(), T)) is T


def test_unknown_operator_and_invalid_key_are_undetermined() -> None:  # V15, V17
    assert result(entry("StringEqual", "a", undetermined=True), "a") == U
    assert result(entry("StringNotEquals", "a", key="username", undetermined=True)) == U


def test_key_names_are_case_insensitive() -> None:  # C4, E150
    assert result(entry("StringEquals", "a", key="K:X"), "a") is T


SUBSTITUTED = [
    ("StringEquals", "${k:x}", "ana", {"k_y": "1"}, T),  # the key itself
    ("StringEquals", "100${$}", "100$", {}, T),  # E102
    ("StringLike", "a${*}b", "aXb", {}, F),  # E010
    ("StringLike", "a${*}b", "a*b", {}, T),
    ("StringLike", "${k:y}*", "ana", {"k_y": "a"}, T),
    ("StringLike", "${k:y}", "ana", {"k_y": "*"}, F),  # VR5
    ("StringEquals", "${k:y}", "", {}, F),  # E097
    ("StringNotEquals", "${k:y}", "red", {}, T),  # E098, VR9
    ("StringNotEquals", ["${k:y}", "red"], "red", {}, F),
    ("StringEqualsIgnoreCase", "${k:y}", "ANA", {"k_y": "ana"}, T),
    ("NumericEquals", "${k:y}", "1", {"k_y": "1"}, U),  # E103, V30
    ("Bool", "${k:y}", "true", {"k_y": "true"}, U),
    ("ArnLike", "arn:aws:iam::*:role/${k:y}", "arn:aws:iam::1:role/Dep", {"k_y": "Dep"}, T),  # E105
    ("ArnLike", "${k:y}", DEP, {"k_y": DEP}, T),  # E106
    ("ArnLike", "${k:y}", DEP, {"k_y": "x"}, U),
    ("ArnLike", "arn:aws:iam::${k:y}", DEP, {"k_y": "111111111111:role/ops/Dep"}, T),  # C64
    ("ArnLike", "arn:aws:iam::${k:y}:role/*", DEP, {}, F),
    ("ArnNotLike", "${k:y}", DEP, {}, T),
    ("ArnLike", "${k:y}", "no arn", {}, U),  # C22 before VR9
]


@pytest.mark.parametrize(("name", "value", "actual", "others", "expected"), SUBSTITUTED)
def test_variables_in_condition_values(name: str, value: str, actual: str, others: dict, expected: Truth) -> None:  # VR4 to VR9
    assert result(entry(name, value), actual, **others) == expected


def test_variables_are_literal_in_old_versions() -> None:  # 1.4, E009
    assert result(entry("StringLike", "a${*}b"), "a${zz}b", variables=False) is T
    assert result(entry("StringEquals", "${k:y}"), "${k:y}", variables=False, k_y="a") is T


OPEN = [  # condition, best, worst of an Allow; equal ones are not open
    (entry("StringEquals", "a"), T, F),
    (entry("StringNotEqualsIfExists", "a"), T, F),
    (entry("StringEquals", "${k:x}", key="k:y"), F, F),  # that key is absent: no value matters
    (entry("NumericEquals", "${k:x}", key="k:y"), F, F),  # no variable there
    (entry("Null", "true"), T, F),
    (entry("Null", ["true", "false"]), T, T),
    (entry("ForAllValues:Null", "false"), T, T),  # V16
    (entry("ForAllValues:Null", "true"), T, F),
    (entry("ForAnyValue:Null", "true"), F, F),
    (entry("StringEquals", []), U, U),  # C14
    (entry("ForAnyValue:StringEquals", []), F, F),
    (entry("ForAllValues:StringEquals", []), T, F),
    (entry("StringEquals", "a", undetermined=True), U, U),  # V15
]


@pytest.mark.parametrize(("condition", "best", "worst"), OPEN)
def test_unknown_key_makes_an_entry_residual(condition: ConditionEntry, best: Truth, worst: Truth) -> None:  # D72
    both = [StatementKeys({}, frozenset({"k:x"}), residual) for residual in (T, F)]
    assert [conditions.check_entry(condition, True, keys) for keys in both] == [best, worst]
    assert [conditions.residual_keys(condition, True, keys) for keys in both] == [[] if best == worst else ["k:x"]] * 2
