"""Statements as formulas: when a statement applies to an action and a resource, by the values of the condition keys.

Each condition key is a variable, with the values of `key_values`. A test that reads a policy variable without a known value is
a variable of its own with any result; equal tests are the same variable. That keeps a proof correct and can leave it undecided.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from fastiam.analysis.proof.cells import ProofLimitError
from fastiam.analysis.proof.domains import FREE, KeyDomain
from fastiam.analysis.proof.formula import Formula, Values, every, literal, some
from fastiam.analysis.proof.key_values import (
    CLOCK,
    CLOCK_NAME,
    KeyTest,
    KeyValue,
    Known,
    Starts,
    clock_values,
    key_values,
    unresolved_variables,
)
from fastiam.analysis.proof.names import BoundPattern, Element
from fastiam.model.decision import Layer
from fastiam.model.key_registry import fold
from fastiam.model.policy import ConditionEntry, Effect, Policy, Statement
from fastiam.model.request import ContextValue
from fastiam.policy.action_patterns import split_action_pattern
from fastiam.policy.wildcards import matches_everything
from fastiam.spec.resource_patterns import check_resources
from fastiam.spec.statement_keys import StatementKeys
from fastiam.spec.three_valued import F, T, Truth, U, negate

V = TypeVar("V")
_MAX_KEPT = 100_000  # results of one element
# the results of a test with an unknown variable; a resource pattern can be unresolved too (VR8)
_IS_T, _IS_U, _IS_F, _UNRESOLVED = 1, 2, 4, 8
_ALL_OF_PATTERN, _ALL_OF_CONDITION = 15, 7


@dataclass(frozen=True, slots=True)
class BoundStatement:
    """A statement of a policy, with the keys that have one known value in each request.

    `starts` has the text that each value of a key begins with, by its name: the rest is a value that both sides share.
    `layer` and `level` are its place in a comparison of several layers. `opened`: an undetermined test counts as true in an Allow
    and as false in a Deny, the other way round than F3.
    """

    policy: Policy
    statement: Statement
    known: Known = ()
    starts: Starts = ()
    layer: Layer = Layer.IDENTITY
    level: int = 0
    opened: bool = False

    @property
    def is_allow(self) -> bool:
        return self.statement.effect is Effect.ALLOW

    @property
    def needs_truth(self) -> bool:
        """Whether only a test that is true lets the statement apply, not one that is undetermined (F3)."""
        return self.is_allow is not self.opened

    def matches_action(self, elements: Container[Element]) -> bool:
        """Whether the statement can apply to an action that these elements match (A1 to A5)."""
        if self.statement.undetermined and self.needs_truth:
            return False
        result = _check_actions(self.statement, elements)
        return result is T if self.needs_truth else result is not F

    def resource_element(self) -> ResourceElement:
        """Return the resource patterns with the values of their variables."""
        statement = self.statement
        reads_keys = self.policy.variables and any("${" in text for text in statement.resources or ())
        known, starts = (self.known, self.starts) if reads_keys else ((), ())
        texts, inverted = statement.resources or (), statement.not_resource
        return _resource_element(texts, inverted, self.policy.variables, known, starts, self.needs_truth)

    def key_test(self, entry: ConditionEntry) -> KeyTest:
        """Return the test of a condition entry."""
        names = unresolved_variables(entry, self.policy.variables)
        start = next((text for name, text in self.starts if name == fold(entry.key)), "")
        return KeyTest(entry, self.policy.variables, _named(names, self.known), start)

    def starts_of(self, names: Iterable[str]) -> Starts:
        """Return the starts of the values of some keys."""
        return _named(names, self.starts)

    def known_value(self, key: str) -> tuple[ContextValue | None] | None:
        """Return the value of a key in each request; None if it is not known."""
        return next(((value,) for name, value in self.known if name == key), None)


def _named(names: Iterable[str], pairs: tuple[tuple[str, V], ...]) -> tuple[tuple[str, V], ...]:
    wanted = set(names)
    return tuple(pair for pair in pairs if pair[0] in wanted) if wanted else ()


class ResourceElement:
    """The `Resource` or `NotResource` of a statement.

    Attributes
    ----------
    patterns
        all of them.
    opaque
        those with a variable whose value is not known.
    """

    def __init__(self, patterns: tuple[BoundPattern, ...], inverted: bool, needs_truth: bool) -> None:
        self.patterns, self._inverted, self._needs_truth = patterns, inverted, needs_truth
        self.opaque = tuple(one for one in patterns if one.is_opaque)
        self._results: dict[str, bool] = {}

    def holds(self, arn: str) -> bool:
        """Whether the patterns that are not opaque let the statement apply to a resource (F3)."""
        found = self._results.get(arn)
        if found is None:
            others = [one for one in self.patterns if one not in self.opaque] if arn != "*" else self.patterns
            known = {name: value for one in others for name, value in one.known if value is not None}
            texts, variables = tuple(one.text for one in others), any(one.variables for one in others)
            result = check_resources(texts, self._inverted, arn, variables, StatementKeys(known, (), T))
            if len(self._results) >= _MAX_KEPT:
                self._results.clear()
            found = self._results[arn] = _holds(result, self._needs_truth)
        return found


@lru_cache(maxsize=50_000)  # PERF: statements of many principals and cases have the same patterns
def _resource_element(
    texts: Element, inverted: bool, variables: bool, known: Known, starts: Starts, needs_truth: bool
) -> ResourceElement:
    found = []
    for text in texts:
        names = BoundPattern(text, variables).variable_names()
        found.append(BoundPattern(text, variables, _named(names, known), _named(names, starts), needs_truth is inverted))
    return ResourceElement(tuple(found), inverted, needs_truth)


def _check_actions(statement: Statement, elements: Container[Element]) -> Truth:
    if statement.actions is None:
        return T
    found = T if statement.actions in elements else _action_at_least(statement.actions)
    return negate(found) if statement.not_action else found


@lru_cache(maxsize=4096)
def _action_at_least(actions: Element) -> Truth:
    """Return the result for each action: T with the pattern `*`, U with a malformed one (V24)."""
    if any(map(matches_everything, actions)):
        return T
    return U if any(split_action_pattern(text) is None for text in actions) else F


class StatementFormulas:
    """The formulas of some statements, which share their variables.

    Attributes
    ----------
    values
        the values of each variable of a condition key; None for a test with any result.
    """

    def __init__(
        self,
        statements: Sequence[BoundStatement],
        always_present: Container[str],
        domain_of: Callable[[str], KeyDomain] = lambda _: FREE,
    ) -> None:
        self._keys: dict[str, int] = {}
        self._opaque: dict[object, int] = {}
        self._tests: dict[str, tuple[KeyTest, ...]] = {}
        self._domains: dict[int, int] = {}
        self.values: list[tuple[KeyValue, ...] | None] = []
        tests: dict[str, dict[KeyTest, None]] = {}
        for one in statements:
            for entry in one.statement.conditions:
                test = one.key_test(entry)
                if one.known_value(test.key) is None and not _is_opaque(test):
                    tests.setdefault(_variable_key(test.key), {})[test] = None
        for key, of_key in tests.items():
            self._tests[key] = tuple(of_key)
            tests_of_key = self._tests[key]
            found = _clock(tests_of_key) if key == CLOCK[0] else _values(key, tests_of_key, key in always_present, domain_of(key))
            self._keys[key] = self._add(found, (1 << len(found)) - 1)
        self._conditions = {id(one): self._of_conditions(one) for one in statements}
        self._elements = {id(one): one.resource_element() for one in statements}

    def _add(self, values: tuple[KeyValue, ...] | None, domain: int) -> int:
        self.values.append(values)
        self._domains[len(self.values) - 1] = domain
        return len(self.values) - 1

    def domains(self, arn: str, statements: Iterable[BoundStatement], *, is_text: bool) -> dict[int, int]:
        """Return the values that each variable can have for a resource; with `is_text`, only those that some request has."""
        found = dict(self._domains)
        for number, values in enumerate(self.values):
            if values is not None and is_text:
                found[number] = sum(1 << index for index, value in enumerate(values) if value.is_text)
        for one in statements if self._opaque else ():
            for pattern in one.resource_element().opaque:
                variable = self._opaque.get(_name_of(pattern))
                if variable is not None:
                    found[variable] = _possible(pattern, arn)
        return found

    def has_variables(self, chosen: Values) -> bool:
        """Whether one of the chosen variables is a test with any result."""
        return any(self.values[variable] is None for variable in chosen)

    def context(self, chosen: Values, domains: Mapping[int, int] = {}) -> dict[str, KeyValue]:
        """Return the values of the keys that are chosen, by the name that a policy writes; of the others a value of `domains`."""
        found = {}
        for key, variable in self._keys.items():
            values, bits = self.values[variable], chosen.get(variable, domains.get(variable, 0))
            if bits and values is not None:
                first = (bits & -bits).bit_length() - 1
                name = CLOCK_NAME if key == CLOCK[0] else self._tests[key][0].entry.key
                found[name] = values[first]
        return found

    def applies(self, one: BoundStatement, arn: str) -> Formula:
        """Return when a statement applies to a resource (F3); its action has to match."""
        return every((self._of_resources(one, arn), self._conditions[id(one)]))

    def _of_conditions(self, one: BoundStatement) -> Formula:
        parts: list[Formula] = []
        for entry in one.statement.conditions:
            test = one.key_test(entry)
            known = one.known_value(test.key)
            if _is_opaque(test):
                starts = one.starts_of((test.key, *unresolved_variables(entry, test.variables)))
                about = test.known, known, starts
                name = (entry.operator, entry.qualifier, entry.if_exists, test.key, frozenset(entry.values), *about)
                if name not in self._opaque:
                    self._opaque[name] = self._add(None, _ALL_OF_CONDITION)
                parts.append(literal(self._opaque[name], _IS_T if one.needs_truth else _IS_T | _IS_U, _ALL_OF_CONDITION))
            elif known is not None:
                parts.append(_holds(test.check(known[0]), one.needs_truth))
            else:
                parts.append(self._of_key(test, one.needs_truth))
        return every(parts)

    def _of_key(self, test: KeyTest, needs_truth: bool) -> Formula:
        key = _variable_key(test.key)
        variable, number = self._keys[key], self._tests[key].index(test)
        values = self.values[variable] or ()
        true = sum(1 << index for index, value in enumerate(values) if _holds(value.results[number], needs_truth))
        return literal(variable, true, (1 << len(values)) - 1)

    def _of_resources(self, one: BoundStatement, arn: str) -> Formula:
        statement = one.statement
        if statement.resources is None:
            return True
        element = self._elements[id(one)]
        rest = element.holds(arn)
        if not element.opaque or arn == "*":
            return rest
        literals = []
        for pattern in element.opaque:
            variable = self._opaque.get(_name_of(pattern))
            if variable is None:
                variable = self._opaque[_name_of(pattern)] = self._add(None, _ALL_OF_PATTERN)
            if statement.not_resource:
                results = _IS_F if one.needs_truth else _IS_F | _IS_U | _UNRESOLVED
            else:
                results = _IS_T if one.needs_truth else _IS_T | _IS_U
            literals.append(literal(variable, results, _ALL_OF_PATTERN))
        return every((rest, *literals)) if statement.not_resource else some((rest, *literals))


def _holds(result: Truth, needs_truth: bool) -> bool:
    """Whether a test lets its statement apply (F3)."""
    return result is T if needs_truth else result is not F


def _is_opaque(test: KeyTest) -> bool:
    """Whether a test depends on a variable without a known value, or compares the text of the clock."""
    known = {name for name, _ in test.known}
    if any(name and name not in known for name in unresolved_variables(test.entry, test.variables)):
        return True
    return test.key in CLOCK and clock_values((test,)) is None


def _variable_key(key: str) -> str:
    return CLOCK[0] if key in CLOCK else key


def _values(key: str, tests: tuple[KeyTest, ...], always_present: bool, domain: KeyDomain) -> tuple[KeyValue, ...]:
    """Return values of a domain that have each combination of results. More tests of the forms distinguish what is in it."""
    found = key_values(key, (*tests, *domain.forms), always_present=always_present or not domain.absent)
    if domain is FREE:
        return found
    kept = tuple(one for one in found if domain.has(one, len(tests)))
    if not kept:
        raise ProofLimitError(f"no value of `{key}` is known")
    return kept


def _clock(tests: tuple[KeyTest, ...]) -> tuple[KeyValue, ...]:
    found = clock_values(tests)
    if found is None:  # `_is_opaque` excludes them
        raise ProofLimitError("a condition compares the text of the clock")
    return tuple(KeyValue(ContextValue((str(second),)), results) for second, results in found)


def _name_of(pattern: BoundPattern) -> object:
    """Return what equal patterns of both sides have in common."""
    return pattern.text, pattern.variables, pattern.known, pattern.starts


def _possible(pattern: BoundPattern, arn: str) -> int:
    """Return the results that a pattern with an unknown variable can have for a resource."""
    known = {name: value for name, value in pattern.known if value is not None}
    unknown = pattern.variable_names() - {name for name, _ in pattern.known}
    best = check_resources((pattern.text,), False, arn, pattern.variables, StatementKeys(known, unknown, T))
    return _IS_F | _UNRESOLVED | (0 if best is F else _IS_U if best is not T else _IS_U | _IS_T)
