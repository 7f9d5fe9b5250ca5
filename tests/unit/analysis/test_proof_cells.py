"""The cells and values of proofs are complete: no drawn text has a combination of results that they lack.

Faults that are planted in the builders are found by the same checks.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastiam.analysis.proof import cells as proof_cells
from fastiam.analysis.proof import key_values as proof_keys
from fastiam.analysis.proof import names as proof_names
from fastiam.analysis.proof import statement_formulas as proof_statements
from fastiam.analysis.proof import values as proof_values
from fastiam.analysis.proof.cells import ProofLimitError, cells, fold_class, fold_classes, glob_symbols
from fastiam.analysis.proof.formula import Budget, Literal, every, literal, negation, solve, some
from fastiam.analysis.proof.key_values import KeyTest, clock_values, key_values
from fastiam.analysis.proof.names import BoundPattern, action_cells, resource_cells
from fastiam.analysis.proof.statement_formulas import BoundStatement
from fastiam.model.key_registry import fold, fold_char
from fastiam.model.policy import ConditionEntry, Effect, Policy, PolicyKind, Statement
from fastiam.model.request import ContextValue
from fastiam.policy.conditions.operators import BASE_OPERATORS, BaseOperator, Comparison
from fastiam.spec.actions import check_actions, split_action
from fastiam.spec.operators import OPERATORS
from fastiam.spec.resource_patterns import check_resources
from fastiam.spec.statement_keys import StatementKeys
from fastiam.spec.three_valued import F, T
from fastiam.spec.wildcards import glob_matches, read_glob

N_VALUES = 10_000  # of each family
ACCOUNT = "123456789012"


# -- values of condition keys -----------------------------------------------------------------------------------------


def numbers(chance: random.Random) -> str:
    text = str(Decimal(chance.randint(-40, 440)) / 4)
    return chance.choice((text, text, text + "0" if "." in text else text + ".0", "x", "1e1", "", "007", "-0"))


def dates(chance: random.Random) -> str:
    moment = datetime(2026, chance.choice((1, 3, 6)), 1, tzinfo=UTC) + timedelta(seconds=chance.randint(-2, 2))
    written = moment.strftime("%Y-%m-%dT%H:%M:%S") + chance.choice(("", ".5", ".25", ".000000001", ".4999999999")) + "Z"
    return chance.choice((written, written, str(int(moment.timestamp())), moment.strftime("%Y-%m-%d"), "2026", "x", str(2**62)))


def addresses(chance: random.Random) -> str:
    low = IPv4Address(int(IPv4Address("10.0.0.0")) + chance.choice((-1, 0, 1, 255, 256, 257, 0xFFFF, 0xFFFFFF, 0x1000000)))
    high = IPv6Address((0x20010DB8 << 96) + chance.choice((-1, 0, 1, 2, 1 << 96, (1 << 96) - 1)))
    return chance.choice((str(low), f"::ffff:{low}", str(high), high.exploded, "::", "::1", "x", "010.0.0.0", ""))


def texts(chance: random.Random) -> str:
    return "".join(chance.choice("abABkK\u212a*") for _ in range(chance.randint(0, 4)))


def arns(chance: random.Random) -> str:
    fields = [chance.choice(("aws", "", "s3", "iam", "b", "x")) for _ in range(4)]
    return ":".join((chance.choice(("arn", "arn", "x")), *fields, chance.choice(("b", "b/k", "role/app", "a:b", ""))))


def bools(chance: random.Random) -> str:
    return chance.choice(("true", "TRUE", "false", "False", "", "yes", "tRue"))


def binaries(chance: random.Random) -> str:
    return chance.choice(("YQ==", "YR==", "YWI=", "AA==", "", "x", "AAAA"))


NUMBERS = ("5", "6", "5.25", "-1", "x")
DATES = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", "1767225601")
ADDRESSES = ("10.0.0.0/24", "10.0.0.0/8", "10.0.1.0", "2001:db8::/32", "::/0", "2001:db8::1")
ARNS = ("arn:aws:iam::*:role/*", "arn:*:s3:*:*:b*", "arn:aws:s3:::b", "*")
FAMILIES: dict[str, tuple[tuple[str, ...], tuple[str, ...], Callable[[random.Random], str]]] = {
    "text": (("StringEquals", "StringNotEquals"), ("a", "ab", "", "A"), texts),
    "ignore_case": (("StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringEquals"), ("ab", "k", "K", "aB"), texts),
    "glob": (("StringLike", "StringNotLike", "StringEquals"), ("a*", "?b", "*b*", "a", "*"), texts),
    "number": (("NumericEquals", "NumericLessThan", "NumericGreaterThanEquals", "NumericNotEquals"), NUMBERS, numbers),
    "date": (("DateEquals", "DateLessThan", "DateGreaterThan"), DATES, dates),
    "address": (("IpAddress", "NotIpAddress"), ADDRESSES, addresses),
    "arn": (("ArnLike", "ArnNotEquals", "StringLike"), ARNS, arns),
    "bool": (("Bool",), ("true", "false"), bools),
    "binary": (("BinaryEquals",), ("YQ==", "YWI="), binaries),
    "two_families": (("NumericEquals", "StringEquals", "StringLike", "NumericLessThan"), ("5", "5.0", "6", "1*"), numbers),
    "three_families": (("DateEquals", "StringEquals", "NumericLessThan"), ("1767225600", "2026-01-01", "5"), dates),
    "presence": (("Null", "StringEquals", "Null"), ("true", "false", ""), texts),
}
QUALIFIERS = ("", "", "ForAllValues", "ForAnyValue")


def missing_results(family: str, n_values: int, n_keys: int = 20, key: str = "acme:k") -> list[object]:
    """Return drawn values of a key with results that `key_values` lacks. All qualifiers, absence and lists occur.

    A tag of a resource has no lists, but two spellings (C6).
    """
    is_tag = key != "acme:k"
    operators, policy_values, draw = FAMILIES[family]
    chance = random.Random(n_keys)
    missing: list[object] = []
    for _ in range(n_keys):
        tests = tuple(
            KeyTest(
                ConditionEntry(
                    operator := chance.choice(operators),
                    chance.choice(QUALIFIERS),
                    operator != "Null" and chance.random() < 0.3,
                    key,
                    tuple(chance.sample(policy_values, chance.choice((1, 1, 2)))),
                ),
                True,
            )
            for _ in range(chance.choice((1, 2, 3)))
        )
        known = {value.results for value in key_values(fold(key), tests)}
        for _ in range(n_values // n_keys):
            values = tuple(draw(chance) for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 4))))
            is_conflict = is_tag and len(set(values)) > 1
            is_list = len(values) > 1 or not is_tag and chance.random() < 0.3
            values = values if is_conflict or not is_tag else values[:1]
            value = ContextValue(values, is_list and (is_conflict or not is_tag), conflict=is_conflict) if values else None
            if tuple(test.check(value) for test in tests) not in known:
                missing.append((tests, value))
    return missing


@pytest.mark.parametrize("family", FAMILIES)
def test_values_of_a_family_have_all_results(family):
    """The argument at each function of `proof_values`: no value has results that the set lacks."""
    assert missing_results(family, N_VALUES) == []
    assert missing_results(family, N_VALUES // 4, key="aws:ResourceTag/k") == []


@pytest.mark.parametrize("family", FAMILIES)
def test_values_with_a_text_have_their_results(family):
    operators, policy_values, _ = FAMILIES[family]
    tests = tuple(KeyTest(ConditionEntry(name, "", False, "acme:k", policy_values[:2]), True) for name in operators)
    found = key_values("acme:k", tests)
    for value in found:
        if value.is_text:
            assert tuple(test.check(value.value) for test in tests) == value.results
    assert len({value.results for value in found}) == len(found) > 1


def test_operator_without_patterns_is_undecided(monkeypatch):
    """A new operator of the specification is not taken as a pattern until the proofs know its texts."""
    monkeypatch.setitem(OPERATORS, "StringStartsWith", replace(OPERATORS["StringEquals"], holds=str.startswith))
    monkeypatch.setitem(BASE_OPERATORS, "StringStartsWith", BaseOperator("string", Comparison.NULL, variables=True))
    with pytest.raises(ProofLimitError, match="operator StringStartsWith"):
        key_values("acme:k", (KeyTest(ConditionEntry("StringStartsWith", "", False, "acme:k", ("a",)), True),))


def test_neighbours_of_adjacent_instants_are_exact():
    """Between two instants of one nanosecond there is none, and beyond the years of ISO dates only whole seconds."""
    near = proof_values.date_values(["2026-01-01T00:00:00.000000001Z", "2026-01-01T00:00:00.000000002Z"])
    far = proof_values.date_values(["253402300900", "253402300901"])
    assert [one[0] for one in near] == [
        "2025-12-31T23:59:59Z",
        "2026-01-01T00:00:00.000000001Z",
        "2026-01-01T00:00:00.000000002Z",
        "2026-01-01T00:00:01Z",
        "~",
    ]
    assert [one[0] for one in far] == ["253402300899", "253402300900", "253402300901", "253402300902", "~"]


def test_numbers_with_too_many_digits_are_undecided():
    with pytest.raises(ProofLimitError, match="digits"):
        proof_values.number_values(["1" * 9000, "0." + "1" * 9000])


def test_clock_instants_have_all_results():
    """H57: both keys of the clock are one whole second."""
    tests = (
        KeyTest(ConditionEntry("DateLessThan", "", False, "aws:CurrentTime", ("2026-01-01T00:00:00.5Z",)), True),
        KeyTest(ConditionEntry("NumericEquals", "", False, "aws:EpochTime", ("1767225600", "1767225602")), True),
        KeyTest(ConditionEntry("DateGreaterThan", "", True, "aws:EpochTime", ("-1",)), True),
    )
    known = {results for _, results in clock_values(tests) or ()}
    for second in (*range(1767225590, 1767225610), *range(-5, 5), -62135596800, 253402300799):
        text = datetime.fromtimestamp(0, UTC) + timedelta(seconds=second)
        shown = {"aws:currenttime": text.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0"), "aws:epochtime": str(second)}
        assert tuple(test.check(ContextValue((shown[test.key],))) for test in tests) in known
    assert clock_values((KeyTest(ConditionEntry("StringLike", "", False, "aws:CurrentTime", ("2026*",)), True),)) is None


# -- cells of names ---------------------------------------------------------------------------------------------------


@given(st.lists(st.text("ab*?", max_size=5), min_size=1, max_size=4), st.lists(st.text("abx", max_size=6), max_size=30))
def test_cells_of_globs_have_each_text(globs, drawn):
    found = cells([[glob_symbols(read_glob(glob))] for glob in globs])
    for text in (*drawn, *found.values()):
        matched = sum(1 << number for number, glob in enumerate(globs) if glob_matches(read_glob(glob), text))
        assert matched in found
    for matched, text in found.items():
        assert matched == sum(1 << number for number, glob in enumerate(globs) if glob_matches(read_glob(glob), text))


GROUPS = st.lists(st.lists(st.text("ab*?", max_size=4), min_size=1, max_size=4), min_size=1, max_size=3)


@given(GROUPS, st.text("abx", max_size=6))
def test_cells_of_groups_have_each_text(groups, text):
    """A group matches if one of its patterns does; a pattern that ends with `*` decides its group."""
    found = cells([[glob_symbols(read_glob(glob)) for glob in group] for group in groups])
    matched = sum(1 << n for n, group in enumerate(groups) if any(glob_matches(read_glob(glob), text) for glob in group))
    assert matched in found


def test_fold_classes_of_ascii_letters_are_complete():
    for code in range(128):
        char = chr(code)
        if fold_char(char) == char:
            assert set(fold_class(char)) == set(fold_classes().get(char, (char,))), char


def missing_actions(seed: int) -> list[object]:
    """Return drawn actions that no cell has, by the evaluator of the specification."""
    chance = random.Random(seed)
    patterns = ("s3:Get*", "*:Get*", "s?:*t", "sqs:SendMessage", "*", "s3:?", "S3:GETOBJECT", "s*:*e*")
    elements = [tuple(chance.sample(patterns, chance.choice((1, 2, 3)))) for _ in range(3)]
    found = action_cells(elements)
    known = {tuple(check_actions(one, False, split_action(cell.action)) for one in elements) for cell in found}
    prefixes, parts = ("s3", "sqs", "sa", "x", "s"), ("Get", "Object", "t", "e", "x")
    names = ["".join(chance.choices(parts, k=chance.choice((1, 2, 3)))) for _ in range(100)]
    drawn = [f"{chance.choice(prefixes)}:{name}" for name in names]
    drawn += ["sqs:SendMessage", "s3:GetObject"]
    return [text for text in drawn if tuple(check_actions(one, False, split_action(text)) for one in elements) not in known]


def test_action_cells_have_each_action():
    assert [missing for seed in range(30) for missing in missing_actions(seed)] == []


RESOURCES = (
    "arn:aws:s3:::b/*",
    "arn:aws:s3:::b/k",
    "arn:aws:s3:::*",
    "arn:*:s3:::b?",
    "arn:aws:s3:::b/${aws:username}",
    "arn:aws:sqs:*:*:q",
    "arn:aws:sqs:*",
    "arn:aws:sqs",
    "arn:aws:iam::*:u*/x",
    "arn:aws:iam::*:user/x",
    "arn:aws:*:x*:y",
)


def draw_resource(chance: random.Random) -> str:
    text = chance.choice(RESOURCES).replace("${aws:username}", chance.choice(("ana", "")))
    text = "".join(chance.choice(("", "x", "b/k", "user", ":", "us-east-1:1")) if char in "*?" else char for char in text)
    return text + ":x" * max(0, 5 - text.count(":"))


def missing_resources(seed: int) -> list[object]:
    """Return drawn ARNs with results that no cell has, as statements of both effects read them."""
    chance = random.Random(seed)
    statements = []
    for number in range(3):
        texts = tuple(chance.sample(RESOURCES, chance.choice((1, 2))))
        effect = chance.choice((Effect.ALLOW, Effect.DENY))
        one = Statement(number, None, effect, ("*",), resources=texts, not_resource=chance.random() < 0.3)
        known = (("aws:username", chance.choice((None, ContextValue(("ana",))))),)
        statements.append(BoundStatement(Policy(PolicyKind.IDENTITY, True, (one,)), one, known))

    def results(arn: str) -> tuple[bool, ...]:
        found = []
        for each in statements:
            keys = StatementKeys({name: value for name, value in each.known if value is not None}, (), T)
            result = check_resources(each.statement.resources or (), each.statement.not_resource, arn, True, keys)
            found.append(result is T if each.is_allow else result is not F)
        return tuple(found)

    known_results = set(map(results, resource_cells([one.resource_element().patterns for one in statements], ("aws",))))
    drawn = [draw_resource(chance) for _ in range(100)]
    return [arn for arn in drawn if arn.startswith("arn:aws:") and results(arn) not in known_results]


def test_resource_cells_have_each_resource():
    """R1 to R10 and VR8, for Allows and Denies, `Resource` and `NotResource`."""
    assert [missing for seed in range(60) for missing in missing_resources(seed)] == []


def missing_results_of_variables() -> list[object]:
    """Return results of a pattern with an unknown variable that its formula excludes (VR8)."""
    pattern = BoundPattern("arn:aws:s3:::b/${aws:username}", True)
    missing = []
    for arn in ("arn:aws:s3:::b/ana", "arn:aws:s3:::c/ana"):
        bits = proof_statements._possible(pattern, arn)
        for value in (ContextValue(("ana",)), ContextValue(("bo",)), None):
            keys = StatementKeys({} if value is None else {"aws:username": value}, (), T)
            positive = check_resources((pattern.text,), False, arn, True, keys)
            is_resolved = check_resources((pattern.text,), True, arn, True, keys) in (T, F)
            wanted = (
                {T: proof_statements._IS_T, F: proof_statements._IS_F}[positive] if is_resolved else proof_statements._UNRESOLVED
            )
            if not bits & wanted:
                missing.append((arn, value))
    return missing


def test_unknown_variable_has_three_results():
    assert missing_results_of_variables() == []


# -- planted faults ---------------------------------------------------------------------------------------------------


def without_neighbours(values):
    known = {text for text in values if proof_values.read_number(text) is not None}
    return [*((text,) for text in known), (proof_values.UNREADABLE,)]


def patch_second_spelling(patch):
    patch.setattr(proof_values, "_number_spellings", lambda value: (format(value, "f"),))


def patch_literals(patch):
    """A literal outside of the product: it is a value, and no pattern beside it."""
    found = proof_keys._text_cells

    def changed(tests):
        globs = [test for test in tests if test.entry.operator == "StringLike"]
        return found(globs)[0], [text for test in tests for text in test.entry.values if test not in globs]

    patch.setattr(proof_keys, "_text_cells", changed)


def patch_folding(patch):
    patch.setattr(proof_keys, "folded_symbols", lambda text: tuple(text))


def patch_lists(patch):
    found = proof_keys._lists
    patch.setattr(proof_keys, "_lists", lambda tests: {k: v for k, v in found(tests).items() if len(v) < 2})


def patch_dates(patch):
    patch.setattr(proof_values, "_between", lambda one, two: [])


def patch_addresses(patch):
    patch.setattr(proof_values, "_bounds", lambda network: (0, 0))


def patch_two_results(patch):
    patch.setattr(proof_statements, "_UNRESOLVED", 0)


def patch_crossing(patch):
    patch.setattr(proof_names, "_crossing", lambda field: proof_cells.field_symbols(field))


def patch_prefixes(patch):
    found = proof_names._split
    patch.setattr(proof_names, "_split", lambda text: (parts := found(text)) and (parts[0].replace("*", "x"), parts[1]))


def patch_fields(patch):
    """Wildcards of an ARN field that match colons."""
    patch.setattr(proof_keys, "field_symbols", glob_symbols)


FAULTS = {
    "dropped neighbour value": (
        lambda patch: patch.setitem(proof_keys._VALUES, "number", without_neighbours),
        lambda: missing_results("number", 1000),
    ),
    "one spelling of a number": (patch_second_spelling, lambda: missing_spellings()),
    "literal outside of the product": (patch_literals, lambda: missing_results("glob", 4000, 100)),
    "case folding": (patch_folding, lambda: missing_results("ignore_case", 4000, 100)),
    "lists of one element": (patch_lists, lambda: missing_results("number", 1000)),
    "dates between two": (patch_dates, lambda: missing_results("date", 4000)),
    "ends of ranges": (patch_addresses, lambda: missing_results("address", 1000)),
    "two results for a variable": (patch_two_results, missing_results_of_variables),
    "match that crosses fields": (patch_crossing, lambda: [one for seed in range(60) for one in missing_resources(seed)]),
    "wildcard in a prefix": (patch_prefixes, lambda: [one for seed in range(30) for one in missing_actions(seed)]),
    "colon in an ARN field": (patch_fields, lambda: missing_results("arn", 4000)),
}


def missing_spellings() -> list[object]:
    """Return whether the value `5.0` is missing beside `5` (C24)."""
    tests = tuple(KeyTest(ConditionEntry(name, "", False, "acme:n", ("5",)), True) for name in ("NumericEquals", "StringEquals"))
    return [] if any(value.is_text and value.results == (T, F) for value in key_values("acme:n", tests)) else [tests]


@pytest.mark.parametrize("name", FAULTS)
def test_planted_fault_in_the_builders_is_found(name, monkeypatch):
    plant, check = FAULTS[name]
    key_values.cache_clear()
    assert check() == []
    plant(monkeypatch)
    key_values.cache_clear()
    assert check() != []
    monkeypatch.undo()
    key_values.cache_clear()


# -- formulas ---------------------------------------------------------------------------------------------------------


def formulas(variables: int) -> st.SearchStrategy:
    leaves = st.builds(lambda variable, bits: literal(variable, bits, 7), st.integers(0, variables - 1), st.integers(0, 7))
    junctions = st.sampled_from((every, some))
    return st.recursive(
        leaves, lambda parts: st.builds(lambda join, of: join(of), junctions, st.lists(parts, max_size=3)), max_leaves=12
    )


def holds(formula, values) -> bool:
    if isinstance(formula, bool):
        return formula
    if isinstance(formula, Literal):
        return bool(formula.values >> values[formula.variable] & 1)
    return (all if formula.is_and else any)(holds(part, values) for part in formula.parts)


@given(formulas(3))
def test_solver_finds_values_if_some_exist(formula):
    values = [(a, b, c) for a in range(3) for b in range(3) for c in range(3)]
    found = solve(formula, dict.fromkeys(range(3), 7), Budget(10_000, lambda: False))
    assert (found is not None) is any(holds(formula, one) for one in values)
    if found is not None:
        assert all(holds(formula, one) for one in values if all(found.get(n, 7) >> one[n] & 1 for n in range(3)))
    assert all(holds(negation(formula), one) is not holds(formula, one) for one in values)
